"""A development front: serves palace-mcp over streamable HTTP on loopback, for the official conformance suite alone.

    front.py PROXY PALACE [PORT]

Each session with a handshake has a proxy of its own, as each host has; stateless requests share one. The front checks what
HTTP adds (origin, session, headers) and relays the rest unread: what is tested is the server behind it.
"""

import http.server
import json
import queue
import subprocess
import sys
import threading
import uuid

MODERN = "2026-07-28"
VERSIONS = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN}
HEADER_MISMATCH = -32020


class Proxy:
    """One palace-mcp and who waits for its answers."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.waiting, self.lock, self.count = {}, threading.Lock(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            waiting = self.waiting.pop(message.get("id"), None)
            if waiting:
                waiting.put(message)

    def send(self, message):
        with self.lock:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def ask(self, message):
        # Clients that share this proxy may use the same ids.
        with self.lock:
            self.count += 1
            number = self.count
        waiting = self.waiting.setdefault(number, queue.Queue())
        self.send(message | {"id": number})
        return waiting.get(timeout=60) | {"id": message["id"]}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sessions = {}

    def log_message(self, *_):
        pass

    def reply(self, status, message=None, headers=()):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, text, number=None):
        self.reply(status, {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}})

    def is_local(self):
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        origin = self.headers.get("Origin")
        name = origin.split("//", 1)[-1].rsplit(":", 1)[0] if origin else "localhost"
        return {host, name} <= {"localhost", "127.0.0.1", "[::1]"}

    def do_GET(self):
        self.refuse(405, -32600, "this front has no stream of its own")

    def do_DELETE(self):
        proxy = self.sessions.pop(self.headers.get("Mcp-Session-Id"), None)
        if proxy is None:
            return self.refuse(404, -32600, "no such session")
        proxy.close()
        self.reply(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.is_local():
            return self.refuse(403, -32600, "only this machine may ask")
        try:
            message = json.loads(body)
        except ValueError:
            return self.refuse(400, -32700, "parse error")
        if not isinstance(message, dict):
            return self.refuse(400, -32600, "one message at a time")
        meta = (message.get("params") or {}).get("_meta") or {}
        version = meta.get("io.modelcontextprotocol/protocolVersion")
        session = self.headers.get("Mcp-Session-Id")
        if message.get("method") == "initialize":
            session = uuid.uuid4().hex
            self.sessions[session] = Proxy(self.server.command)
            return self.relay(self.sessions[session], message, [("Mcp-Session-Id", session)])
        if session is not None:
            if session not in self.sessions:
                return self.refuse(404, -32600, "no such session", message.get("id"))
            return self.relay(self.sessions[session], message, [])
        if version is None and self.header("MCP-Protocol-Version") == MODERN:
            return self.refuse(400, -32602, "_meta needs io.modelcontextprotocol/protocolVersion", message.get("id"))
        wrong = self.wrong_header(message, version)
        if wrong:
            return self.refuse(400, HEADER_MISMATCH, wrong, message.get("id"))
        self.relay(self.server.stateless, message, [])

    def header(self, name):
        value = self.headers.get(name)
        return None if value is None else value.strip()

    def wrong_header(self, message, version):
        """Returns why the headers do not say what the body says (2026-07-28)."""
        said = self.header("MCP-Protocol-Version")
        if version is None and said is None:
            return None
        if said != version:
            return f"MCP-Protocol-Version is {said!r}, the request says {version!r}"
        method = self.header("Mcp-Method")
        if method != message.get("method"):
            return f"Mcp-Method is {method!r}, the request says {message.get('method')!r}"
        params = message.get("params") or {}
        named = params.get("uri") if message["method"] == "resources/read" else params.get("name")
        needs_name = message["method"] in ("tools/call", "prompts/get", "resources/read")
        if needs_name and self.header("Mcp-Name") != named:
            return f"Mcp-Name is {self.header('Mcp-Name')!r}, the request says {named!r}"
        return None

    def relay(self, proxy, message, headers):
        if "id" not in message:
            proxy.send(message)
            return self.reply(202, headers=headers)
        answer = proxy.ask(message)
        status = 200
        code = answer.get("error", {}).get("code")
        meta = (message.get("params") or {}).get("_meta")
        if meta is not None and not headers:
            status = {-32601: 404, -32022: 400}.get(code, 200)
            if code == -32602 and "io.modelcontextprotocol/clientCapabilities" not in meta:
                status = 400
        self.reply(status, answer, headers)


def main(proxy, palace, port="0"):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Front)
    server.command = [proxy, "--palace", palace]
    server.stateless = Proxy(server.command)
    print(server.server_port, flush=True)
    server.serve_forever()


main(*sys.argv[1:])
