"""Writes golden.json: texts and their vectors by the unquantised f32 model, for the program's tests.

    python build_golden.py f32-model.onnx tokenizer.json golden.json

Needs numpy, onnxruntime and tokenizers. The f32 model is any export of the published weights with last_hidden_state
as its output. Vectors are f16, little-endian, in hexadecimal.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

TOKEN_COUNT_MAX = 256

TEXTS = [
    "",
    "The cat sat on the mat.",
    "A kitten was resting on the rug.",
    "We moved the release from Tuesday to Thursday because the migration test failed twice.",
    "fn main() -> Result<(), Box<dyn Error>> {\n    let file = File::open(path)?;\n    Ok(())\n}",
    "SELECT wing, count(*) FROM drawers GROUP BY wing ORDER BY 2 DESC;",
    "Où avons-nous rangé les clés de la vieille maison ?",
    "記憶の宮殿は古代の記憶術である。",
    "Café 🙂 naïve — “quotes”, tabs\tand\u00a0hard spaces",
    "User: remind me what Dana said about the budget\nAssistant: Dana wants to cut it by ten percent.",
    "ERROR 2024-11-03T04:05:06Z worker-7 pool exhausted after 30000 ms (capacity=64, waiting=213)",
    "The palace has wings, each wing has rooms, and every room keeps its drawers in order. " * 40,
]


def main(model, tokenizer, target):
    tokenizer = Tokenizer.from_file(tokenizer)
    tokenizer.enable_truncation(TOKEN_COUNT_MAX)
    tokenizer.no_padding()
    session = onnxruntime.InferenceSession(model)
    rows = []
    for text in TEXTS:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        vector = session.run(["last_hidden_state"], inputs)[0][0].mean(0)
        vector = (vector / np.linalg.norm(vector)).astype("<f2")
        rows.append({"text": text, "token_count": int(ids.size), "vector": vector.tobytes().hex()})
    with open(target, "w", encoding="utf-8") as file:
        json.dump(rows, file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
