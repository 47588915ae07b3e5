"""Writes a large palace as MemPalace lays it out, without MemPalace: for measuring imports, not for testing them.

    python3 tests/upstream/synthetic.py COUNT FOLDER

FOLDER becomes a palace of COUNT drawers of about 500 characters with nine metadata keys each, nine tenths of the vectors in
index files and one tenth in the queue. Texts and vectors are random and the same in every run. Needs Python alone.
"""

import array
import json
import pathlib
import pickle
import random
import sqlite3
import struct
import sys

DIMENSION = 384
COLLECTION, ROWS, INDEX = "c0c0c0c0-0000-4000-8000-000000000001", "5e600000-rows", "5e600000-index"
WORDS = [a + b for a in "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu".split() for b in "n r s t m".split()]
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE collections(id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER, database_id TEXT,
        config_json_str TEXT, schema_str TEXT);
    CREATE TABLE collection_metadata(collection_id TEXT, key TEXT, str_value TEXT, int_value INTEGER,
        float_value REAL, bool_value INTEGER, PRIMARY KEY(collection_id, key));
    CREATE TABLE segments(id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, collection TEXT NOT NULL);
    CREATE TABLE embeddings(id INTEGER PRIMARY KEY, segment_id TEXT NOT NULL, embedding_id TEXT NOT NULL,
        seq_id BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, UNIQUE(segment_id, embedding_id));
    CREATE TABLE embedding_metadata(id INTEGER REFERENCES embeddings(id), key TEXT NOT NULL, string_value TEXT,
        int_value INTEGER, float_value REAL, bool_value INTEGER, PRIMARY KEY(id, key));
    CREATE TABLE embeddings_queue(seq_id INTEGER PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        operation INTEGER NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT);
    CREATE TABLE max_seq_id(segment_id TEXT PRIMARY KEY, seq_id INTEGER);
"""


def unit(vector):
    """Scales to length one: an index of cosines keeps nothing else, and readers take other lengths for damage."""
    length = sum(value * value for value in vector) ** 0.5
    return array.array("f", (value / length for value in vector))


def vectors(count, dice):
    """Unit vectors: a few hundred directions, each varied in a dozen components."""
    bases = []
    for _ in range(400):
        values = [dice.gauss(0, 1) for _ in range(DIMENSION)]
        length = sum(value * value for value in values) ** 0.5
        bases.append(array.array("f", (value / length for value in values)))
    for _ in range(count):
        vector = array.array("f", dice.choice(bases))
        for _ in range(12):
            vector[dice.randrange(DIMENSION)] += dice.uniform(-0.1, 0.1)
        yield vector


def main():
    count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True)
    (folder / INDEX).mkdir()
    dice = random.Random(7)
    database = sqlite3.connect(folder / "chroma.sqlite3")
    database.executescript(SCHEMA)
    database.execute("insert into collections values(?, 'mempalace_drawers', ?, '', '{}', null)", (COLLECTION, DIMENSION))
    database.execute("insert into collection_metadata values(?, 'hnsw:space', 'cosine', null, null, null)", (COLLECTION,))
    for segment, scope, kind in [(ROWS, "METADATA", "metadata/sqlite"), (INDEX, "VECTOR", "vector/hnsw-local-persisted")]:
        database.execute("insert into segments values(?, ?, ?, ?)", (segment, f"urn:chroma:segment/{kind}", scope, COLLECTION))
    indexed = count * 9 // 10
    size, labels = 132 + 4 * DIMENSION + 8, {}
    level0 = open(folder / INDEX / "data_level0.bin", "wb")
    for number, vector in enumerate(map(unit, vectors(count, dice)), 1):
        name = f"drawer_wing{number % 11}_room{number % 17}_{number:024x}"
        text = " ".join(dice.choices(WORDS, k=110)) + f" case {number}"
        database.execute("insert into embeddings(id, segment_id, embedding_id, seq_id) values(?, ?, ?, ?)",
                         (number, ROWS, name, number))
        filed = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00.{number % 1000000:06}"
        texts = {"chroma:document": text, "wing": f"wing{number % 11}", "room": f"room{number % 17}", "source_file": "",
                 "added_by": "mcp", "filed_at": filed, "last_modified": filed, "id_recipe": "v3"}
        database.executemany("insert into embedding_metadata(id, key, string_value) values(?, ?, ?)",
                             [(number, key, value) for key, value in texts.items()])
        database.execute("insert into embedding_metadata(id, key, int_value) values(?, 'chunk_index', 0)", (number,))
        if number <= indexed:
            labels[name] = number
            level0.write(bytes(132) + vector.tobytes() + struct.pack("<Q", number))
        else:
            metadata = json.dumps({**texts, "chunk_index": 0})
            database.execute("insert into embeddings_queue(seq_id, operation, topic, id, vector, encoding, metadata)"
                             " values(?, 2, ?, ?, ?, 'FLOAT32', ?)",
                             (number, f"persistent://default/default/{COLLECTION}", name, vector.tobytes(), metadata))
    level0.close()
    header = struct.pack("<iQQQQQQiIQQQdQ", 1, 0, count, indexed, size, size - 8, 132, 0, 0, 16, 32, 16, 0.3607, 100)
    (folder / INDEX / "header.bin").write_bytes(header)
    (folder / INDEX / "length.bin").write_bytes(struct.pack("<f", 1.0) * indexed)
    (folder / INDEX / "link_lists.bin").write_bytes(b"")
    state = {"dimensionality": None, "total_elements_added": indexed, "max_seq_id": None, "id_to_label": labels,
             "label_to_id": {label: name for name, label in labels.items()}, "id_to_seq_id": {}}
    with open(folder / INDEX / "index_metadata.pickle", "wb") as out:
        pickle.dump(state, out)
    database.executemany("insert into max_seq_id values(?, ?)", [(ROWS, count), (INDEX, indexed)])
    (folder / "mempalace_embedder.json").write_text(json.dumps({"mempalace_drawers": {"model_name": "minilm", "dimension": DIMENSION}}))
    database.commit()


if __name__ == "__main__":
    main()
