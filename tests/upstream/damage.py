"""Damages a palace of MemPalace in one named way, in place:

    python3 tests/upstream/damage.py NAME PALACE        PALACE is the folder of chroma.sqlite3: give it a copy
    python3 tests/upstream/damage.py --list

Needs Python alone (SQLite 3.34 or later). Prints what the damage took from `mempalace_drawers`, as JSON:

    rows           ids of which documents or metadata cannot be read from the table, at least in part
    vectors        ids whose vector is neither in the queue nor in sound index files
    stale_vectors  ids for which the index files hold the vector of an earlier text, and nothing holds the right one

What is found in the other ids must be what it was before. A list that cannot be told is null.
"""

import argparse
import contextlib
import json
import pathlib
import pickle
import shutil
import sqlite3
import struct

COLLECTION = "mempalace_drawers"
HEADER = struct.Struct("<iQQQQQQiIQQQdQ")  # of header.bin; fields by number below
MAX_ELEMENTS, COUNT, ELEMENT_SIZE, LABEL_OFFSET = 2, 3, 4, 5
STAMP = "20260101-000000"
DELETE = 3  # operation of the queue


class Palace:
    """The parts of a palace that can be damaged."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "chroma.sqlite3"
        with self.database() as database:
            (self.collection,) = database.execute("select id from collections where name = ?", [COLLECTION]).fetchone()
            segments = database.execute("select scope, id from segments where collection = ?", [self.collection])
            self.segments = dict(segments)
        self.topic = f"persistent://default/default/{self.collection}"
        self.index = folder / self.segments["VECTOR"]

    @contextlib.contextmanager
    def database(self):
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            yield connection

    def header(self):
        return list(HEADER.unpack((self.index / "header.bin").read_bytes()))

    def labels(self):
        """Returns the ids that the index files hold, with the position of each in data_level0.bin."""
        stored = self.index / "index_metadata.pickle"
        if not stored.exists():
            return {}
        header, data = self.header(), (self.index / "data_level0.bin").read_bytes()
        positions = range(header[COUNT])
        label_at = {
            struct.unpack_from("<Q", data, at * header[ELEMENT_SIZE] + header[LABEL_OFFSET])[0]: at for at in positions
        }
        return {id: label_at[label] for id, label in pickle.loads(stored.read_bytes())["id_to_label"].items()}

    def stored_ids(self):
        with self.database() as database:
            query = "select embedding_id from embeddings where segment_id = ?"
            return {id for (id,) in database.execute(query, [self.segments["METADATA"]])}

    def queued_ids(self):
        """Returns the ids whose latest vector is in the queue."""
        found = set()
        with self.database() as database:
            query = "select id, operation, vector is not null from embeddings_queue where topic = ? order by seq_id"
            for id, operation, has_vector in database.execute(query, [self.topic]):
                if operation == DELETE:
                    found.discard(id)
                elif has_vector:
                    found.add(id)
        return found


def took(rows=(), vectors=(), stale_vectors=()):
    lists = {"rows": rows, "vectors": vectors, "stale_vectors": stale_vectors}
    return {name: None if ids is None else sorted(ids) for name, ids in lists.items()}


def without_index(palace):
    """What is lost where nothing of the index files can be read."""
    return took(vectors=palace.stored_ids() - palace.queued_ids())


def header_insane(palace):
    """header.bin counts more elements than there can be."""
    lost = without_index(palace)
    header = palace.header()
    header[MAX_ELEMENTS], header[COUNT] = 2**40, 2**41
    (palace.index / "header.bin").write_bytes(HEADER.pack(*header))
    return lost


def vectors_truncated(palace):
    """data_level0.bin ends in the middle of an element, half-way through those in use."""
    labels, header = palace.labels(), palace.header()
    kept = header[COUNT] // 2
    with open(palace.index / "data_level0.bin", "r+b") as file:
        file.truncate(kept * header[ELEMENT_SIZE] + 100)
    cut = {id for id, at in labels.items() if at >= kept}
    return took(vectors=(cut & palace.stored_ids()) - palace.queued_ids())


def pickle_corrupt(palace):
    """index_metadata.pickle is overwritten in the middle and ends early."""
    lost = without_index(palace)
    path = palace.index / "index_metadata.pickle"
    data = path.read_bytes()
    third = len(data) // 3
    path.write_bytes(data[:third] + b"\xff" * third + data[2 * third : -16])
    return lost


def pickle_foreign(palace):
    """index_metadata.pickle is a sound pickle that calls a function and then announces a string of 2 GB."""
    lost = without_index(palace)
    call = b"cbuiltins\nprint\n(X\x06\x00\x00\x00calledtR0"
    (palace.index / "index_metadata.pickle").write_bytes(b"\x80\x02" + call + b"X\xff\xff\xff\x7f" + b"short" + b".")
    return lost


def segment_quarantined(palace):
    """The folder of the index is renamed as the peer does it with bad metadata; nothing stands in its place."""
    lost = without_index(palace)
    palace.index.rename(f"{palace.index}.corrupt-{STAMP}")
    return lost


def segment_drift(palace):
    """The folder is renamed as the peer does it with bad counts, and chromadb has put an empty index in its place."""
    lost = without_index(palace)
    header, moved = palace.header(), pathlib.Path(f"{palace.index}.drift-{STAMP}")
    palace.index.rename(moved)
    palace.index.mkdir()
    header[COUNT], header[7], header[8] = 0, -1, 2**32 - 1  # no levels, no entry
    (palace.index / "header.bin").write_bytes(HEADER.pack(*header))
    (palace.index / "data_level0.bin").write_bytes(bytes(header[MAX_ELEMENTS] * header[ELEMENT_SIZE]))
    (palace.index / "length.bin").write_bytes(bytes(header[MAX_ELEMENTS] * 4))
    (palace.index / "link_lists.bin").write_bytes(b"")
    return lost


def hnsw_missing(palace):
    """The folder of the index is gone."""
    lost = without_index(palace)
    shutil.rmtree(palace.index)
    return lost


def fts_broken(palace):
    """The full-text index is overwritten: SQLite's quick_check fails, the tables that matter are sound."""
    with palace.database() as database:
        database.execute("update embedding_fulltext_search_data set block = zeroblob(length(block)) where id > 10")
    return took()


def max_seq_poisoned(palace):
    """max_seq_id holds eight bytes of text read as a number, as an old version of the peer left it."""
    poisoned = int.from_bytes(b"\x11\x11" + b"000042", "big")
    with palace.database() as database:
        database.execute("update max_seq_id set seq_id = ?", [poisoned])
    return took()


def queue_purged(palace):
    """The queue is empty: what the index files did not hold yet is lost."""
    queued, indexed = palace.queued_ids(), set(palace.labels())
    # The queue keeps the last operation that the index has taken in.
    with palace.database() as database:
        query = "select seq_id from max_seq_id where segment_id = ?"
        taken = (database.execute(query, [palace.segments["VECTOR"]]).fetchone() or [0])[0]
        later = "select id from embeddings_queue where topic = ? and vector is not null and seq_id > ?"
        queued &= {id for (id,) in database.execute(later, [palace.topic, taken])}
        database.execute("delete from embeddings_queue")
    return took(vectors=queued - indexed, stale_vectors=queued & indexed)


def varint(data, at):
    value = 0
    for length in range(1, 10):
        byte = data[at + length - 1]
        if length == 9:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + length


def leaves(data, page_size, page):
    """Returns the leaf pages of a table's tree with the row numbers on each."""
    start = (page - 1) * page_size
    top = start + (100 if page == 1 else 0)
    kind, cells = data[top], struct.unpack_from(">H", data, top + 3)[0]
    interior = kind == 5
    pointers = struct.unpack_from(f">{cells}H", data, top + (12 if interior else 8))
    if not interior:
        return [(page, [varint(data, varint(data, start + pointer)[1])[0] for pointer in pointers])]
    children = [struct.unpack_from(">I", data, start + pointer)[0] for pointer in pointers]
    children += struct.unpack_from(">I", data, top + 8)
    return [leaf for child in children for leaf in leaves(data, page_size, child)]


def sqlite_page_zeroed(palace):
    """One leaf page of the table embedding_metadata is all zeros, in the middle of the table."""
    data = bytearray(palace.file.read_bytes())
    page_size = struct.unpack_from(">H", data, 16)[0]
    with palace.database() as database:
        (root,) = database.execute("select rootpage from sqlite_master where name = 'embedding_metadata'").fetchone()
        found = leaves(data, page_size, root)
        page, row_numbers = found[len(found) // 2]
        query = """select distinct embedding_id from embeddings join embedding_metadata using (id)
                   where segment_id = ? and embedding_metadata.rowid between ? and ?"""
        segment = palace.segments["METADATA"]
        ids = [id for (id,) in database.execute(query, [segment, min(row_numbers), max(row_numbers)])]
    data[(page - 1) * page_size : page * page_size] = bytes(page_size)
    palace.file.write_bytes(data)
    return took(rows=ids)


def sqlite_truncated(palace):
    """chroma.sqlite3 ends after 60 % of its pages."""
    data = palace.file.read_bytes()
    page_size = struct.unpack_from(">H", data, 16)[0]
    palace.file.write_bytes(data[: len(data) // page_size * 6 // 10 * page_size])
    return took(rows=None, vectors=None, stale_vectors=None)


def wal_left(palace):
    """The database is in WAL mode and its last five rows stand in the -wal file only, as after a killed writer."""
    chosen = "select id from embeddings where segment_id = ? order by id desc limit 5"
    parts = {
        "embeddings": f"id in ({chosen})",
        "embedding_metadata": f"id in ({chosen})",
        "embedding_fulltext_search": f"rowid in ({chosen})",
        "embeddings_queue": f"id in (select embedding_id from embeddings where id in ({chosen}))",
    }
    parameters = [palace.segments["METADATA"]]
    with contextlib.closing(sqlite3.connect(palace.file)) as database:
        moved = {}
        for name, condition in parts.items():
            columns = "rowid, *" if name == "embedding_fulltext_search" else "*"
            moved[name] = database.execute(f"select {columns} from {name} where {condition}", parameters).fetchall()
        for name, condition in reversed(parts.items()):
            database.execute(f"delete from {name} where {condition}", parameters)
        database.commit()
        database.execute("pragma journal_mode = wal")
        database.execute("pragma wal_autocheckpoint = 0")
        for name, rows in moved.items():
            target = f"{name}(rowid, string_value)" if name == "embedding_fulltext_search" else name
            for row in rows:
                database.execute(f"insert into {target} values ({', '.join('?' * len(row))})", row)
        database.commit()
        # Closing would write the rows back: both files are kept as they are now.
        kept = {path: path.read_bytes() for path in [palace.file, palace.file.with_name("chroma.sqlite3-wal")]}
    for path, data in kept.items():
        path.write_bytes(data)
    return took()


DAMAGES = {
    function.__name__.replace("_", "-"): function
    for function in [
        header_insane, vectors_truncated, pickle_corrupt, pickle_foreign, segment_quarantined, segment_drift,
        hnsw_missing, fts_broken, max_seq_poisoned, queue_purged, sqlite_page_zeroed, sqlite_truncated, wal_left,
    ]
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the damages and end")
    parser.add_argument("name", nargs="?", choices=DAMAGES)
    parser.add_argument("palace", nargs="?", type=pathlib.Path)
    given = parser.parse_args()
    if given.list:
        for name, function in DAMAGES.items():
            print(f"{name:20} {function.__doc__}")
    elif given.palace is None:
        parser.error("a name and a palace are needed")
    else:
        print(json.dumps(DAMAGES[given.name](Palace(given.palace)), ensure_ascii=False))


if __name__ == "__main__":
    main()
