"""Runs the script beside this file on MemPalace and stores the shapes and plain values of its answers:

    record.py PATH_OF_MEMPALACE_MCP HOME_WITH_ITS_MODEL

Texts are stored only under keys whose text is data (names, dates, directions); everywhere else a text is stored as
"<text>", so that no sentence of the peer's is kept here. Ids are stored where two runs agree on them: those that follow
from what was given. Numbers with a fraction are stored as "<number>".
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
LONG = "A sentence that is repeated until the drawer is long. " * 40
PLAIN = set(
    "wing room agent topic reason direction subject predicate object valid_from valid_to entity as_of resolved_from fact "
    "ended superseded label kind type stream from_agent to_agent status branch base_commit body room topic source_file "
    "connected_wing connected_room created_by content sha256 target_wing hall added_by id_recipe since before query text "
    "content_preview matched_via content_date_source authored_at_source source_closet source_drawer_id source_path".split()
)
TODAY = datetime.date.today().isoformat()
IDS = set("id drawer_id parent_drawer_id chunk_ids deleted_ids tunnel_id deleted triple_id".split())


def plain(value, again, key=None):
    """Returns what is stored of an answer, given the same answer of another run."""
    if isinstance(value, dict):
        # Some keys are ids themselves.
        other = again if isinstance(again, dict) else {}
        return {name: plain(item, other.get(name), name) for name, item in value.items()}
    if isinstance(value, list):
        others = again if isinstance(again, list) and len(again) == len(value) else [None] * len(value)
        return [plain(item, other, key) for item, other in zip(value, others)]
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return "<number>"
    if value == TODAY:
        # What is dated by itself has another date tomorrow.
        return "<text>"
    is_data = (key in PLAIN and len(value) <= 64) or (key in IDS and value == again)
    return value if is_data else "<text>"


def filled(value, answers):
    """Replaces $name.path by what an earlier answer held there."""
    if isinstance(value, dict):
        return {name: filled(item, answers) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, answers) for item in value]
    if value == "$long":
        return LONG
    if isinstance(value, str) and value.startswith("$"):
        name, *path = value[1:].split(".")
        found = answers[name]
        for part in path:
            found = found[part]
        return found
    return value


def run(program, home, steps):
    """Returns the answers of one run in a palace and a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # A home of its own: settings are kept there. Only the model is shared.
        private = pathlib.Path(folder) / "home"
        private.mkdir()
        (private / ".cache").symlink_to(pathlib.Path(home).resolve() / ".cache")
        environment = dict(os.environ, HOME=str(private))
        server = subprocess.Popen(
            [program, "--palace", f"{folder}/palace"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

        def request(number, method, params):
            line = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            server.stdin.write(json.dumps(line).encode() + b"\n")
            server.stdin.flush()
            while True:
                message = json.loads(server.stdout.readline())
                if message.get("id") == number:
                    return message

        client = {"name": "recorder", "version": "1"}
        request(0, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        answers, recorded = {}, []
        for number, step in enumerate(steps, 1):
            arguments = filled(step["with"], answers)
            message = request(number, "tools/call", {"name": f"mempalace_{step['call']}", "arguments": arguments})
            if "error" in message:
                data = message["error"].get("data") or {}
                recorded.append({"code": message["error"]["code"], "data": data})
                continue
            answer = json.loads(message["result"]["content"][0]["text"])
            if "as" in step:
                answers[step["as"]] = answer
            recorded.append({"result": answer})
        server.stdin.close()
        server.wait()
    return recorded


def main(program, home):
    steps = json.loads((HERE / "script.json").read_text())
    first, second = (run(program, home, steps) for _ in range(2))
    recorded = [plain(answer, again) for answer, again in zip(first, second, strict=True)]
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False, sort_keys=True) for answer in recorded)
    (HERE / "recorded.json").write_text(f"[\n{lines}\n]\n")


main(*sys.argv[1:])
