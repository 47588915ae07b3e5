"""Writes the palace `hnsw` with chromadb alone: `hnsw.py PALACE`. Run by build.py.

The collections are named and configured as the peer's, but chromadb writes its index files every 20 operations instead
of every 1,000, so that a few dozen rows are enough to have vectors in both places and changes on both sides of a write.
"""

import sys

import chromadb
import numpy
from chromadb.config import Settings
from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

import prose

SPACE = {"hnsw:space": "cosine", "hnsw:num_threads": 1, "hnsw:batch_size": 10, "hnsw:sync_threshold": 20}
EMBED = ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])


def metadata(number, **more):
    filed = f"2026-01-02T08:{number:02}:00.000000"
    return {
        "wing": "harbor", "room": ["tides", "ropes", "lamps"][number % 3], "source_file": "", "added_by": "mcp",
        "filed_at": filed, "last_modified": filed, "id_recipe": "v3", "chunk_index": 0, **more,
    }  # fmt: skip


def drawer_id(number):
    return f"drawer_harbor_{['tides', 'ropes', 'lamps'][number % 3]}_{number:024x}"


def file_drawers(collection, numbers):
    for number in numbers:
        text = prose.note(number)
        collection.upsert(ids=[drawer_id(number)], documents=[text], embeddings=EMBED([text]), metadatas=[metadata(number)])


def replace(collection, number, text):
    collection.update(ids=[drawer_id(number)], documents=[text], embeddings=EMBED([text]), metadatas=[metadata(number)])


def main(palace):
    client = chromadb.PersistentClient(palace, settings=Settings(anonymized_telemetry=False))
    drawers = client.create_collection("mempalace_drawers", metadata=SPACE, embedding_function=None)
    closets = client.create_collection("mempalace_closets", metadata=SPACE, embedding_function=None)

    # Operations 1 to 20: the first write of the index.
    file_drawers(drawers, range(14))
    drawers.delete(ids=[drawer_id(2)])
    replace(drawers, 3, "Replaced before the index was written.")
    drawers.update(ids=[drawer_id(4)], metadatas=[{"room": "quay"}])
    typed = metadata(14, flag=True, off=False, count=-7, large=2**53 + 1, share=0.25, whole=3.0, empty="")
    drawers.upsert(ids=[drawer_id(14)], documents=["A row with every type."], embeddings=EMBED(["typed"]), metadatas=[typed])
    stretched = numpy.array(EMBED(["Not of length one."])) * numpy.float32(2.5)
    drawers.upsert(ids=[drawer_id(15)], documents=["Not of length one."], embeddings=stretched, metadatas=[metadata(15)])
    file_drawers(drawers, [16])

    # 21 to 40: the second one, which removes and replaces what the first one wrote. A closet is filed in between.
    closet = {"wing": "harbor", "room": "tides", "source_file": "/tmp/peer-project/README.md", "drawer_count": 2}
    for number in range(3):
        line = f"topic {number}|Mara Lindqvist;Tobias Renner|2026-01-02:L1-L9|→{drawer_id(number)},{drawer_id(number + 1)}"
        closets.upsert(ids=[f"closet_harbor_tides_{number:02}"], documents=[line], embeddings=EMBED([line]), metadatas=[closet])
    drawers.delete(ids=[drawer_id(5)])
    replace(drawers, 6, "Replaced before the second writing.")
    file_drawers(drawers, range(17, 35))

    # After it: only in the queue.
    drawers.delete(ids=[drawer_id(7), drawer_id(20)])
    replace(drawers, 8, "Replaced after the index was written; the file holds an old vector.")
    drawers.update(ids=[drawer_id(9)], metadatas=[{"room": "quay"}])
    file_drawers(drawers, [20, 35, 36, 37, 38, 39, 40])  # 20 is deleted and filed again
    drawers.delete(ids=[drawer_id(36)])
    drawers.upsert(ids=[drawer_id(41)], documents=["Longer than one."], embeddings=stretched, metadatas=[metadata(41)])
    drawers.add(ids=["bare"], documents=["A row without metadata."], embeddings=EMBED(["bare"]))


if __name__ == "__main__":
    main(sys.argv[1])
