"""Runs MemPalace itself: its command line and one session of its server, in a home of their own."""

import json
import os
import pathlib
import subprocess
import sys

PROGRAMS = pathlib.Path(sys.executable).parent
MODEL_FILES = "config.json model.onnx special_tokens_map.json tokenizer_config.json tokenizer.json vocab.txt".split()


def give_model(home, model):
    """Puts links to the embedding model where the peer looks for it, so that it downloads nothing."""
    folder = home / ".cache/chroma/onnx_models/all-MiniLM-L6-v2/onnx"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODEL_FILES:
        (folder / name).symlink_to((model / name).resolve(strict=True))


def environment(home, palace=None):
    """Returns an environment that names the home and nothing else of this machine; the palace only if it is given."""
    named = {"MEMPALACE_PALACE_PATH": str(palace)} if palace else {}
    return {"HOME": str(home), "PATH": f"{PROGRAMS}{os.pathsep}{os.defpath}", "ANONYMIZED_TELEMETRY": "False", **named}


def command(home, palace, *arguments, stdin=""):
    """Runs `mempalace` on a palace, with what it says on stderr only if it fails."""
    done = subprocess.run(
        [PROGRAMS / "mempalace", "--palace", palace, *arguments],
        env=environment(home, palace),
        input=stdin,
        text=True,
        capture_output=True,
    )
    if done.returncode:
        raise RuntimeError(f"mempalace {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Session:
    """One `mempalace-mcp` on a palace: `with Session(...) as peer: peer.add_drawer(wing=..., ...)`.

    `flag=False` names the palace by the environment instead of `--palace`: then the peer keeps the knowledge graph in
    the home and not beside the palace.
    """

    def __init__(self, home, palace, backend=None, flag=True):
        arguments = ["--palace", palace] if flag else []
        arguments += ["--backend", backend] if backend else []
        self.number = 0
        self.server = subprocess.Popen(
            [PROGRAMS / "mempalace-mcp", *arguments],
            env=environment(home, None if flag else palace),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self):
        client = {"name": "build", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()

    def request(self, method, params):
        self.number += 1
        line = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.server.stdin.write(json.dumps(line).encode() + b"\n")
        self.server.stdin.flush()
        while True:
            message = json.loads(self.server.stdout.readline())
            if message.get("id") == self.number:
                return message

    def __getattr__(self, tool):
        def call(**arguments):
            message = self.request("tools/call", {"name": f"mempalace_{tool}", "arguments": arguments})
            if "error" in message:
                raise RuntimeError(f"{tool}: {message['error']}")
            answer = json.loads(message["result"]["content"][0]["text"])
            if isinstance(answer, dict) and (answer.get("error") or answer.get("success") is False):
                raise RuntimeError(f"{tool}: {answer}")
            return answer

        return call
