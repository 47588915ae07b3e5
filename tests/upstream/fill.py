"""Fills a palace with numbered one-sentence drawers through MemPalace's own collection, in batches: for measuring it when
it is large. Through its server the same takes a hundred milliseconds a drawer.

    V/bin/pip install mempalace==3.11.0
    HOME=DIR V/bin/python tests/upstream/fill.py COUNT PALACE

DIR is a home folder with the model in .cache/chroma/onnx_models. The drawers are those that the bench files, under the
ids and with the metadata that the server's `add_drawer` gives them. Vectors are the model's, but sentences are padded to
the longest of their batch and not to 256 tokens, which changes them by rounding alone.
"""

import datetime
import os
import sys

COUNT, PALACE = int(sys.argv[1]), sys.argv[2]
BATCH = 100
TOPICS = ["the garden wall", "a sailing trip", "the tax form", "compiler errors", "grandmother's recipe"]
VERBS = ["was postponed because of", "reminds everyone of", "got settled after", "cost more than"]


def note(number):
    """The sentence of the same number in tests/bench/measure.rs."""
    subject, verb, other = TOPICS[number % 5], VERBS[number // 5 % 4], TOPICS[(number // 20 + 2) % 5]
    week, case = number % 53, number * 7919 % 10_007
    return f"Note {number}: {subject} {verb} {other} in week {week}; the details are with case {case}."


class Model:
    """The peer's embedding model, a batch at a time."""

    def __init__(self):
        from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

        self.inner = ONNXMiniLM_L6_V2()
        self.tokenizer = self.inner.tokenizer
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")

    def vectors(self, texts):
        import numpy

        tokens = self.tokenizer.encode_batch(texts)
        ids = numpy.array([one.ids for one in tokens], dtype=numpy.int64)
        mask = numpy.array([one.attention_mask for one in tokens], dtype=numpy.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        states = self.inner.model.run(None, inputs)[0]
        means = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return (means / numpy.linalg.norm(means, axis=1, keepdims=True)).astype(numpy.float32).tolist()


def main():
    os.environ["MEMPALACE_PALACE_PATH"] = PALACE
    from mempalace import mcp_server
    from mempalace.ids import ID_RECIPE, make_drawer_id_from_content

    model = Model()
    drawers = mcp_server._get_collection(create=True)
    for first in range(0, COUNT, BATCH):
        ids, texts, metadata = [], [], []
        for number in range(first, min(first + BATCH, COUNT)):
            text, room, now = note(number), f"room{number % 7}", datetime.datetime.now().isoformat()
            ids.append(make_drawer_id_from_content("bench", room, text))
            texts.append(text)
            metadata.append({"wing": "bench", "room": room, "source_file": "", "added_by": "mcp", "filed_at": now,
                             "id_recipe": ID_RECIPE, "last_modified": now, "chunk_index": 0})
        drawers.upsert(ids=ids, documents=texts, metadatas=metadata, embeddings=model.vectors(texts))
        print(f"\r{first + len(ids)} of {COUNT}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
