"""Drives the Windows programs under Wine as hosts would: smoke.py FOLDER_OF_PROGRAMS

Two servers at one instant are two clients of one daemon over a named pipe; a killed daemon is found again on the same
sessions; the end is clean. Wine shows pipes, locks, process creation and the record. It does not show job objects as real
hosts use them, the WMI way out of them, packaged apps or real access control.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_SECONDS = 120


class Host:
    """A spawned server and its pipes."""

    def __init__(self, world, name):
        self.name = name
        self.next_id = 0
        self.server = world.spawn("palace-mcp.exe", "--palace", world.palace)

    def send(self, method, params):
        self.next_id += 1
        self.write({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params})
        return self.next_id

    def write(self, message):
        self.server.stdin.write(json.dumps(message).encode() + b"\n")
        self.server.stdin.flush()

    def answer(self, request):
        while True:
            line = self.server.stdout.readline()
            assert line, f"{self.name}: the server ended"
            message = json.loads(line)
            if message.get("id") == request:
                assert "result" in message, message
                return message["result"]

    def initialize(self):
        client = {"name": self.name, "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        request = self.send("initialize", params)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return request

    def call(self, tool, **arguments):
        return self.send("tools/call", {"name": f"mempalace_{tool}", "arguments": arguments})

    def result(self, request):
        result = self.answer(request)
        assert not result.get("isError"), result
        return json.loads(result["content"][0]["text"])


class World:
    """A Wine prefix of its own with the programs and one palace."""

    palace = "C:\\palace"

    def __init__(self, folder, programs):
        self.programs = pathlib.Path(programs)
        self.prefix = pathlib.Path(folder) / "prefix"
        keep = ("PATH", "LANG", "TERM")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        self.environment |= {"HOME": folder, "WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all", "DISPLAY": ""}
        self.run("palacectl.exe", "--version")

    def command(self, program, *arguments):
        return ["wine", str(self.programs / program), *arguments]

    def spawn(self, program, *arguments):
        return subprocess.Popen(
            self.command(program, *arguments),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, program, *arguments):
        return subprocess.run(
            self.command(program, *arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            text=True,
            check=False,
        )

    def record(self):
        path = self.prefix / "drive_c/palace/.daemon/endpoint.json"
        return json.loads(path.read_text()) if path.exists() else None

    def daemons(self):
        """Returns the Linux process ids of this world's daemons."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if b"palaced.exe" in words and f"WINEPREFIX={self.prefix}".encode() in environment:
                found.append(int(process.name))
        return found

    def close(self):
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["wineserver", "--kill"], env=self.environment, check=False, stderr=subprocess.DEVNULL)


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def show(world):
    print("two servers at the same instant")
    hosts = [Host(world, "left"), Host(world, "right")]
    for host, request in [(host, host.initialize()) for host in hosts]:
        host.answer(request)
    writes = [
        host.call("add_drawer", wing="windows", room="smoke", content=f"the {host.name} host was here")
        for host in hosts
    ]
    for host, write in zip(hosts, writes):
        assert host.result(write)["success"] is True
    assert len(world.daemons()) == 1, world.daemons()
    record = world.record()
    # A name that nobody can guess, and that says nothing of the secret: every user can list the names of pipes.
    pipe = record["address"].get("pipe", "")
    assert re.fullmatch(rf"palace-{record['generation']}-[0-9a-f]{{32}}", pipe), record
    assert record["token"][:8] not in pipe, record
    print(f"one daemon, generation {record['generation']}, on a named pipe")

    for host, other in (hosts, hosts[::-1]):
        found = host.result(host.call("search", query=f"the {other.name} host was here"))
        assert found["results"][0]["text"] == f"the {other.name} host was here", found
    print("each finds what the other wrote")

    for pid in world.daemons():
        os.kill(pid, signal.SIGKILL)
    writes = [
        host.call("add_drawer", wing="windows", room="smoke", content=f"{host.name}, after the kill")
        for host in hosts
    ]
    for host, write in zip(hosts, writes):
        assert host.result(write)["success"] is True
    assert hosts[0].result(hosts[0].call("status"))["total_drawers"] == 4
    assert world.record()["generation"] != record["generation"]
    assert len(world.daemons()) == 1, world.daemons()
    print("daemon killed; the same sessions go on with the next one, nothing lost or doubled")

    second = world.run("palaced.exe", "--palace", world.palace)
    assert second.returncode == 3, second
    print("a second daemon refuses")

    status = world.run("palacectl.exe", "--palace", world.palace, "status")
    assert status.returncode == 0 and "4 drawers" in status.stdout, status
    stopped = world.run("palacectl.exe", "--palace", world.palace, "stop")
    assert stopped.returncode == 0, stopped
    wait_until("the daemon's end", lambda: not world.daemons())
    assert world.record() is None
    print("stopped in order:", stopped.stdout.strip())

    for host in hosts:
        host.server.stdin.close()
    for host in hosts:
        assert host.server.wait(timeout=PATIENCE_SECONDS) == 0
    print("both servers ended with their hosts")


def main():
    folder = tempfile.mkdtemp(prefix="palace-windows-")
    world = World(folder, sys.argv[1])
    try:
        show(world)
    except BaseException:
        for log in sorted(world.prefix.glob("drive_c/palace/.daemon/log/*")):
            print(f"-- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        raise
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    print("windows smoke: passed")


if __name__ == "__main__":
    main()
