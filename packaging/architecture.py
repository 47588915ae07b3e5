"""Draws packaging/architecture.svg: python3 packaging/architecture.py. The picture is this text; edit it here."""

import pathlib

BOXES = [
    # x, y, width, height, class, title, lines
    (20, 20, 170, 56, "host", "Claude Desktop", ["spawns its server twice"]),
    (20, 96, 170, 56, "host", "Claude Code", ["one per window"]),
    (20, 172, 170, 56, "host", "Codex, Cursor, …", ["killed at will"]),
    (20, 248, 170, 56, "host", "you", ["at a terminal"]),
    (250, 8, 150, 36, "proxy", "palace-mcp", []),
    (250, 52, 150, 36, "proxy", "palace-mcp", []),
    (250, 106, 150, 36, "proxy", "palace-mcp", []),
    (250, 182, 150, 36, "proxy", "palace-mcp", []),
    (250, 258, 150, 36, "proxy", "palacectl", []),
    (480, 20, 250, 284, "daemon", "palaced: one per palace", []),
    (500, 56, 210, 44, "layer", "session", ["JSON-RPC, control, idle, drain"]),
    (500, 106, 210, 44, "layer", "tools", ["arguments → calls → JSON"]),
    (500, 156, 210, 44, "layer", "palace", ["decide → one writer → answer"]),
    (500, 206, 210, 80, "layer", "engine", ["redb: the truth", "vectors, words: derived", "model: loaded once"]),
    (790, 96, 170, 132, "disk", "palace directory", ["palace.redb", ".derived/ (rebuildable)", ".daemon/ locks, socket,", "record, log"]),
]
LINES = [
    (190, 40, 250, 26), (190, 56, 250, 70), (190, 124, 250, 124), (190, 200, 250, 200), (190, 276, 250, 276),
    (400, 26, 480, 78), (400, 70, 480, 78), (400, 124, 480, 78), (400, 200, 480, 78), (400, 276, 480, 78),
    (710, 246, 790, 162),
]
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24 } .title { font-weight: 600 } .line { font-size: 11px; fill: #57606a }
rect { rx: 6; stroke: #57606a; fill: #ffffff } .host rect { fill: #f6f8fa } .proxy rect { fill: #ddf4ff }
.daemon rect { fill: #fff8c5 } .layer rect { fill: #ffffff } .disk rect { fill: #dafbe1 } path { stroke: #57606a; fill: none }
"""


def main() -> None:
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 320" role="img">',
             "<title>Every host spawn is a client of the one daemon of its palace</title>", f"<style>{STYLE}</style>",
             '<rect x="0" y="0" width="980" height="320" fill="#ffffff" stroke="none"/>']
    parts += [f'<path d="M{x1} {y1} L{x2} {y2}"/>' for x1, y1, x2, y2 in LINES]
    for x, y, width, height, kind, title, lines in BOXES:
        top = y + (24 if lines or kind == "daemon" else height / 2 + 5)
        top = y + 18 if kind == "layer" else top
        parts.append(f'<g class="{kind}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/>')
        parts.append(f'<text class="title" x="{x + width / 2}" y="{top:g}" text-anchor="middle">{title}</text>')
        parts += [f'<text class="line" x="{x + width / 2}" y="{top + 17 * (at + 1):g}" text-anchor="middle">{line}</text>'
                  for at, line in enumerate(lines)]
        parts.append("</g>")
    parts.append("</svg>")
    pathlib.Path(__file__).with_name("architecture.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


main()
