"""Asks MemPalace what its index cards say for searches in the palace `mined` of the fixtures, and stores it:

    closets.py PATH_OF_MEMPALACE_MCP HOME_WITH_ITS_MODEL

Of each query: every source with a boost, the boost, and the begin of its card. The texts are those of the fixture.
"""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).parent
QUERIES = [
    "lamp oil tides harbour",
    "how are tides computed",
    "who built the harbour ledger",
    "Mara Lindqvist keeps it",
    "why did we decide to keep two books",
    "tide table of the Harbour Ledger",
    "why does the lamp flicker",
]


def asked(program, home, palace):
    process = subprocess.Popen(
        [program, "--palace", palace], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": home}, text=True,
    )

    def request(number, method, params):
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["result"]

    request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})
    for number, query in enumerate(QUERIES, 1):
        arguments = {"query": query, "limit": 20, "max_distance": 0}
        answer = request(number, "tools/call", {"name": "mempalace_search", "arguments": arguments})
        hits = json.loads(answer["content"][0]["text"])["results"]
        spoken_for = [hit for hit in hits if hit["closet_boost"]]
        assert all(hit["matched_via"] == "drawer+closet" for hit in spoken_for)
        yield {
            "query": query,
            "boosts": {hit["source_file"]: [hit["closet_boost"], hit["closet_preview"]] for hit in spoken_for},
        }
    process.stdin.close()
    process.wait()


with tempfile.TemporaryDirectory() as folder:
    with tarfile.open(HERE.parent / "fixtures/upstream/mined.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    found = list(asked(sys.argv[1], sys.argv[2], folder + "/memory/palace"))
lines = ",\n".join(json.dumps(entry, ensure_ascii=False, sort_keys=True) for entry in found)
(HERE / "closets.json").write_text(f"[\n{lines}\n]\n")
