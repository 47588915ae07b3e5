"""Prints what a palace of MemPalace holds, as MemPalace's own libraries read it:

    V/bin/python tests/upstream/oracle.py FOLDER [--vectors base64|sha256]

FOLDER holds `home` and `memory/palace` as build.py leaves them. Everything is read from a copy, because chromadb writes
to what it opens. Vectors are little-endian f32: the bytes in base64, or their SHA-256.
"""

import argparse
import base64
import contextlib
import hashlib
import importlib.metadata
import json
import pathlib
import shutil
import sqlite3
import tempfile

COLLECTIONS = ["mempalace_drawers", "mempalace_closets"]


def vector(values, form):
    import numpy

    data = numpy.asarray(values, "<f4").tobytes()
    return hashlib.sha256(data).hexdigest() if form == "sha256" else base64.b64encode(data).decode()


def chroma_rows(palace, form):
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(str(palace), settings=Settings(anonymized_telemetry=False))
    stored = {collection.name for collection in client.list_collections()}
    found = {}
    for name in COLLECTIONS:
        rows = []
        if name in stored:
            got = client.get_collection(name, embedding_function=None).get(
                include=["documents", "metadatas", "embeddings"]
            )
            columns = zip(got["ids"], got["documents"], got["metadatas"], got["embeddings"], strict=True)
            rows = [
                {"id": id, "document": document, "metadata": metadata, "vector": vector(values, form)}
                for id, document, metadata, values in columns
            ]
        found[name] = sorted(rows, key=lambda row: row["id"])
    return found


def exact_rows(palace, form):
    import numpy

    found = {name: [] for name in COLLECTIONS}
    query = """select name, documents.id, document, metadata_json, embedding from documents
               join collections on collections.id = collection_id order by documents.id"""
    with contextlib.closing(sqlite3.connect(palace / "sqlite_exact.sqlite3")) as database:
        for name, id, document, metadata, blob in database.execute(query):
            row = {"id": id, "document": document, "metadata": json.loads(metadata)}
            found[name].append(row | {"vector": vector(numpy.frombuffer(blob, "<f4"), form)})
    return found


def table(path, name, order):
    """Returns the rows of a table as objects, or None where there is no such file."""
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"select * from {name} order by {order}")]


def graph(path):
    return path.exists() and {name: table(path, name, "id") for name in ["entities", "triples"]} or None


def document(path):
    return json.loads(path.read_text()) if path.exists() else None


def content(folder, form="base64"):
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "copy"
        shutil.copytree(folder, copy)
        palace, log = copy / "memory/palace", copy / "memory/palace/logstream.sqlite3"
        rows = exact_rows if (palace / "sqlite_exact.sqlite3").exists() else chroma_rows
        return {
            "made_by": {name: importlib.metadata.version(name) for name in ["mempalace", "chromadb"]},
            "collections": rows(palace, form),
            "knowledge_graph": {
                "home": graph(copy / "home/.mempalace/knowledge_graph.sqlite3"),
                "palace": graph(palace / "knowledge_graph.sqlite3"),
            },
            "tunnels": document(palace.parent / "tunnels.json"),
            "hallways": document(palace.parent / "hallways.json"),
            "events": table(log, "events", "hlc"),
            "artifacts": table(log, "artifacts", "id"),
            "event_artifacts": table(log, "event_artifacts", "event_id, artifact_id"),
            "replica": document(palace / "replica.json"),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--vectors", choices=["base64", "sha256"], default="base64")
    given = parser.parse_args()
    print(json.dumps(content(given.folder, given.vectors), ensure_ascii=False, sort_keys=True, indent=1))


if __name__ == "__main__":
    main()
