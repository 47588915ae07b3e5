"""Writes the palace `hnsw` with chromadb alone: `hnsw.py PALACE`. Run by build.py.

The collections are named and configured as the peer's, but chromadb writes its index files every 30 operations instead
of every 1,000, so that a few dozen rows are enough to have vectors in both places and changes on both sides of a write.
"""

import sys

import chromadb
import numpy
from chromadb.config import Settings
from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

import prose

SPACE = {"hnsw:space": "cosine", "hnsw:num_threads": 1, "hnsw:batch_size": 10, "hnsw:sync_threshold": 30}
EMBED = ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])
ROOMS = ["tides", "ropes", "lamps"]


def drawer_id(number):
    return f"drawer_harbor_{ROOMS[number % 3]}_{number:024x}"


def vectors(text):
    return numpy.array(EMBED([text]))


class Drawers:
    """The collection of drawers, addressed by numbers."""

    def __init__(self, collection):
        self.collection = collection

    def file(self, number, text, length=1.0, **more):
        """Files a text whose vector has the given length, with metadata as `add_drawer` writes it and more."""
        filed = f"2026-01-02T08:{number:02}:00.000000"
        metadata = {
            "wing": "harbor", "room": ROOMS[number % 3], "source_file": "", "added_by": "mcp", "filed_at": filed,
            "last_modified": filed, "id_recipe": "v3", "chunk_index": 0, **more,
        }  # fmt: skip
        stretched = vectors(text) * numpy.float32(length)
        self.collection.upsert(ids=[drawer_id(number)], documents=[text], embeddings=stretched, metadatas=[metadata])

    def file_notes(self, numbers):
        for number in numbers:
            self.file(number, prose.note(number))

    def replace(self, number, text):
        self.collection.update(ids=[drawer_id(number)], documents=[text], embeddings=vectors(text))

    def move(self, number, room):
        self.collection.update(ids=[drawer_id(number)], metadatas=[{"room": room}])

    def delete(self, *numbers):
        self.collection.delete(ids=[drawer_id(number) for number in numbers])


def file_closets(collection):
    metadata = {"wing": "harbor", "room": "tides", "source_file": "/tmp/peer-project/README.md", "drawer_count": 2}
    for number in range(3):
        line = (
            f"topic {number}|Mara Lindqvist;Tobias Renner|2026-01-02:L1-L9|→{drawer_id(number)},{drawer_id(number + 1)}"
        )
        id = f"closet_harbor_tides_{number:02}"
        collection.upsert(ids=[id], documents=[line], embeddings=vectors(line), metadatas=[metadata])


def main(palace):
    client = chromadb.PersistentClient(palace, settings=Settings(anonymized_telemetry=False))
    drawers = Drawers(client.create_collection("mempalace_drawers", metadata=SPACE, embedding_function=None))
    closets = client.create_collection("mempalace_closets", metadata=SPACE, embedding_function=None)

    # Operations 1 to 30: the first write of the index.
    drawers.file_notes(range(24))
    drawers.delete(2)
    drawers.replace(3, "Replaced before the index was written.")
    drawers.move(4, "quay")
    drawers.file(24, "Every type.", flag=True, off=False, count=-7, large=2**53 + 1, share=0.25, whole=3.0, empty="")
    drawers.file(25, "A vector not of length one, in the index.", length=2.5)
    drawers.file_notes([26])

    # 31 to 60: the second one, which removes and replaces what the first one wrote. A few closets are filed before it.
    file_closets(closets)
    drawers.delete(5)
    drawers.replace(6, "Replaced before the second writing.")
    drawers.file_notes(range(27, 55))

    # After it: only in the queue.
    drawers.delete(7, 20)
    drawers.replace(8, "Replaced after the index was written; the file holds an old vector.")
    drawers.move(9, "quay")
    drawers.file_notes([20, 55, 56, 57, 58])  # 20 was deleted and is filed again
    drawers.delete(10, 56)
    drawers.file(10, "Deleted, and filed again with another text.")
    drawers.file(59, "A vector not of length one, in the queue.", length=2.5)
    text = "A row without metadata."
    drawers.collection.add(ids=["bare"], documents=[text], embeddings=vectors(text))


if __name__ == "__main__":
    main(sys.argv[1])
