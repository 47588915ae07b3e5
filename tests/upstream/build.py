"""Builds palaces with MemPalace 3.11.0 itself, for the tests of the import.

    python3 -m venv V && V/bin/pip install mempalace==3.11.0
    V/bin/python tests/upstream/build.py --model MODEL [--out OUT] [--pack FIXTURES] [NAME...]

MODEL is a folder with the ONNX files of all-MiniLM-L6-v2 (model.onnx, tokenizer.json and four small ones). Each palace
NAME (all of them unless some are named) is built in OUT/NAME as an installation leaves it: `home` is the user's home,
`memory/palace` the palace, `memory/tunnels.json` beside it. With --pack every palace but `large` is stored as
FIXTURES/NAME.tar.gz, and what the oracle finds in it as FIXTURES/NAME.expected.json.gz.

| palace | what it holds |
|---|---|
| queue-only | every kind of record the server writes; all vectors still in the queue |
| updated | drawers that were replaced, moved, shortened, deleted and filed again |
| mined | a project and a conversation: closets, hallways, tunnels, registry rows, swept messages, hook state |
| large | over 1,000 rows, so that the peer has written its index, and changes after that |
| exact | backend sqlite_exact |
| kg-split | facts in the home and others in the palace |
| hnsw | made with chromadb and a low threshold: some vectors in index files, some in the queue, some in both |
"""

import argparse
import ctypes
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import oracle
import peer
import prose

FIXED_TIME = 1_767_225_600  # 2026-01-01, for archives that do not differ by when they were packed
HOME_LEFT_OUT = [".cache", ".mempalace/locks", ".mempalace/server"]  # the model, process ids, paths of this machine


def add_notes(session, wing, rooms, texts):
    """Files each text in the next of the rooms and returns the ids."""
    return [
        session.add_drawer(wing=wing, room=rooms[number % len(rooms)], content=text)["drawer_id"]
        for number, text in enumerate(texts)
    ]


def queue_only(home, palace):
    with peer.Session(home, palace) as session:
        notes = add_notes(session, "harbor", ["tides", "ropes", "lamps"], prose.notes(14))
        add_notes(session, "ledger", ["tides", "books"], prose.UNICODE)
        session.add_drawer(wing="ledger", room="books", content=prose.long_note(1))
        session.add_drawer(wing="ledger", room="books", content="ü⚓" * 401 + "x")
        session.add_drawer(
            wing="harbor", room="ropes", content="Filed with a source.", source_file="/tmp/peer-project/notes.txt",
            added_by="keeper",
        )  # fmt: skip
        texts = [*prose.notes(2, 60), prose.note(0)]  # the last one is known
        session.checkpoint(
            items=[{"wing": "harbor", "room": "quay", "content": text} for text in texts],
            diary={"agent_name": "Keeper", "entry": "Filed two notes, met one again.", "topic": "checkpoint"},
        )  # fmt: skip
        fog = "The fog came at noon — ⚓ held."
        session.diary_write(agent_name="Keeper", entry=fog, topic="weather", wing="harbor")
        session.diary_write(agent_name="Scribe", entry=prose.long_note(3, 20), topic="report")
        graph(session)
        tunnels(session, notes)
        log(session)


def graph(session):
    """Adds facts of every kind: dated, closed, superseded, sourced, in other scripts."""
    session.kg_add(subject="Mara Lindqvist", predicate="works at", object="Pilot House", valid_from="2025-03-01")
    session.kg_add(subject="Tobias Renner", predicate="works at", object="Salt Yard")
    session.kg_add(subject="Tobias Renner", predicate="owns", object="Blue Ferry", valid_from="2024-01-01",
                   valid_to="2024-12-31")  # fmt: skip
    session.kg_add(subject="Mara's lamp", predicate="stands in", object="Long Shed", source_closet="closet_lamps",
                   source_file="/tmp/peer-project/notes.txt", source_drawer_id="drawer_harbor_lamps_0")  # fmt: skip
    session.kg_add(subject="港の時計", predicate="zeigt auf", object="Fähre ⚓", valid_from="2025-05-05T05:05:05Z")
    session.kg_add(subject="Ferry", predicate="leaves from", object="North Quay")
    session.kg_invalidate(subject="Ferry", predicate="leaves from", object="North Quay", ended="2025-06-30")
    session.kg_supersede(subject="Tobias Renner", predicate="works at", old_object="Salt Yard",
                         new_object="Pilot House", at="2025-09-01")  # fmt: skip


def tunnels(session, notes):
    session.create_tunnel(source_wing="harbor", source_room="tides", target_wing="ledger", target_room="books",
                          label="the same tide, twice ⚓", source_drawer_id=notes[0])  # fmt: skip
    session.create_tunnel(source_wing="ledger", source_room="tides", target_wing="harbor", target_room="tides")
    removed = session.create_tunnel(
        source_wing="harbor", source_room="ropes", target_wing="ledger", target_room="tides"
    )
    session.delete_tunnel(tunnel_id=removed["id"])
    session.follow_tunnels(wing="harbor", room="tides")


def log(session):
    artifact = session.artifact_put(kind="note", content="Lamp shelf: 4 ü lamps.\n", created_by="keeper",
                                    metadata={"shelf": 4, "dry": True})["artifact"]  # fmt: skip
    first = session.event_append(
        type="note.filed", stream="project/harbor", room="lamps", topic="shelf", from_agent="keeper", to_agent="scribe",
        correlation_id="shelf-1", branch="main", base_commit="0123abc", status="open",
        body="Count the lamps — all of them.",
        metadata={"count": 4, "nested": {"list": [1, 2.5, None]}}, artifact_ids=[artifact["id"]],
    )["event"]  # fmt: skip
    session.event_ack(event_id=first["id"], from_agent="scribe", status="claimed", body="Counting.")
    session.event_append(type="note.plain", stream="project/harbor", room="lamps", from_agent="keeper")
    session.task_create(project="Harbor", from_agent="keeper", to_agent="scribe", goal="Count the ropes", branch="main",
                        base_commit="0123abcd", done="A number stands in the book.")  # fmt: skip
    session.patch_submit(content="--- a/book\n+++ b/book\n@@ -1 +1 @@\n-3 ropes\n+4 ropes\n", from_agent="scribe",
                         stream="project/harbor", correlation_id="shelf-1", branch="main", base_commit="0123abcd",
                         body="Four ropes.")  # fmt: skip


def updated(home, palace):
    with peer.Session(home, palace) as session:
        notes = add_notes(session, "harbor", ["tides", "ropes"], prose.notes(16))
        shortened = session.add_drawer(wing="harbor", room="books", content=prose.long_note(1, 45))["drawer_id"]
        lengthened = session.add_drawer(wing="harbor", room="books", content="A short note that will grow.")[
            "drawer_id"
        ]
        chunked = session.add_drawer(wing="harbor", room="books", content=prose.long_note(2, 30))["drawer_id"]
        session.update_drawer(drawer_id=notes[0], content="The text of this note was replaced.")
        session.update_drawer(drawer_id=notes[1], room="lamps")
        session.update_drawer(drawer_id=notes[2], content="Replaced and moved.", wing="ledger", room="books")
        session.update_drawer(drawer_id=notes[3], content="Replaced once.")
        session.update_drawer(drawer_id=notes[3], content="Replaced twice.")
        session.update_drawer(drawer_id=shortened, content="The long report became one line.")
        session.update_drawer(drawer_id=lengthened, content=prose.long_note(3, 25))
        session.update_drawer(drawer_id=chunked, wing="ledger")
        session.delete_drawer(drawer_id=notes[4])
        session.delete_drawers(drawer_ids=notes[5:8])
        add_notes(session, "harbor", ["tides", "ropes"], [prose.note(4)])  # the id of a deleted row again
        by_source = {"wing": "harbor", "room": "tides", "source_file": "/tmp/peer-project/gone.txt"}
        session.add_drawer(content="One of a source that goes.", **by_source)
        session.add_drawer(content="Two of a source that goes.", **by_source)
        session.delete_by_source(source_file=by_source["source_file"], dry_run=False)
    # A second process: it opens what the first one left.
    with peer.Session(home, palace) as session:
        session.update_drawer(drawer_id=notes[8], content="Replaced by a second process.")
        session.delete_drawer(drawer_id=notes[9])
        add_notes(session, "harbor", ["tides"], prose.notes(3, 40))


def write_project(folder):
    for name, text in prose.PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "docs/log.md").write_text(prose.long_note(5))  # several chunks that overlap


def write_conversation(path, session_id, turns):
    """Writes turns as Claude Code keeps them: one JSON object a line."""

    def line(number, role, content):
        return json.dumps({
            "type": role, "uuid": f"{session_id}-{number:04}", "sessionId": session_id,
            "timestamp": f"2026-01-02T08:{number // 60:02}:{number % 60:02}.000Z",
            "message": {"role": role, "content": content},
        }, ensure_ascii=False)  # fmt: skip

    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for question, answer in turns:
        lines.append(line(len(lines), "user", question))
        lines.append(line(len(lines), "assistant", [{"type": "text", "text": answer}]))
    path.write_text("\n".join(lines) + "\n")


def adopt_orphans():
    """Makes this process the parent of what its children leave behind, so that it can wait for it (Linux)."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1)


def mined(home, palace, sources):
    adopt_orphans()
    project, talks = sources / "peer-project", sources / "peer-talks"
    for folder in [project, talks]:
        shutil.rmtree(folder, ignore_errors=True)
    write_project(project)
    write_conversation(talks / "monday.jsonl", "monday", prose.CONVERSATION)
    write_conversation(sources / "peer-talks-swept/tuesday.jsonl", "tuesday", prose.CONVERSATION[:2])
    (talks / "blank.txt").write_text("\n")  # nothing to file: only a registry row
    state = home / ".mempalace"
    state.mkdir()
    (state / "identity.txt").write_text("I keep the books of an invented harbour.\n")
    peer.command(home, palace, "init", project, "--yes", "--no-llm")
    peer.command(home, palace, "mine", project)
    peer.command(home, palace, "mine", talks, "--mode", "convos", "--wing", "talks")
    shutil.copyfile(talks / "monday.jsonl", talks / "monday-again.jsonl")  # known text: only a registry row
    peer.command(home, palace, "mine", talks, "--mode", "convos", "--wing", "talks")
    peer.command(home, palace, "sweep", sources / "peer-talks-swept/tuesday.jsonl")
    long_talk = [(f"Question {number}: {note}", note) for number, note in enumerate(prose.notes(15))]
    transcript = sources / "peer-talks-hook/wednesday.jsonl"
    write_conversation(transcript, "wednesday", long_talk)
    event = {
        "session_id": "wednesday",
        "stop_hook_active": False,
        "transcript_path": str(transcript),
        "cwd": str(project),
    }
    peer.command(home, palace, "hook", "run", "--hook", "stop", "--harness", "claude-code", stdin=json.dumps(event))
    for record in (home / ".mempalace/hook_state/mine_pids").iterdir():
        os.waitpid(int(record.read_text().split()[0]), 0)  # the miner that the hook left behind
    with peer.Session(home, palace) as session:
        add_notes(session, "peer_project", ["general"], ["A note beside what was mined."])


def large(home, palace, sources):
    folder = sources / "peer-project-large"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(16):
        # About 68 chunks each.
        (folder / f"report{number:02}.md").write_text(
            "\n\n".join(prose.long_note(number * 60 + part, 12) for part in range(60))
        )
    (folder / "mempalace.yaml").write_text("wing: reports\nrooms:\n  - name: general\n    description: All reports\n")
    peer.command(home, palace, "mine", folder)
    with peer.Session(home, palace) as session:
        drawers = [drawer["drawer_id"] for drawer in session.list_drawers(limit=60)["drawers"]]
        session.delete_drawers(drawer_ids=drawers[:20])
        for drawer in drawers[20:30]:
            session.update_drawer(drawer_id=drawer, content=f"Replaced after the index was written: {drawer}.")
        for drawer in drawers[30:40]:
            session.update_drawer(drawer_id=drawer, room="moved")
        add_notes(session, "harbor", ["tides"], prose.notes(20))


def exact(home, palace):
    with peer.Session(home, palace, backend="sqlite_exact") as session:
        notes = add_notes(session, "harbor", ["tides", "ropes"], [*prose.notes(8), *prose.UNICODE])
        session.add_drawer(wing="ledger", room="books", content=prose.long_note(1))
        session.update_drawer(drawer_id=notes[0], content="The text of this note was replaced.")
        session.update_drawer(drawer_id=notes[1], room="lamps")
        session.delete_drawer(drawer_id=notes[2])
        session.diary_write(agent_name="Keeper", entry="The fog came at noon.", topic="weather")
        session.kg_add(subject="Mara Lindqvist", predicate="works at", object="Pilot House")


def kg_split(home, palace):
    with peer.Session(home, palace, flag=False) as session:
        add_notes(session, "harbor", ["tides"], prose.notes(3))
        session.kg_add(subject="Mara Lindqvist", predicate="works at", object="Salt Yard", valid_from="2024-01-01")
        session.kg_add(subject="Tobias Renner", predicate="owns", object="Blue Ferry")
        session.kg_add(subject="Only Home", predicate="knows", object="Blue Ferry")
    with peer.Session(home, palace) as session:
        # The peer does not see the facts above: the first two of these say again what it has already stored.
        session.kg_add(subject="Mara Lindqvist", predicate="works at", object="Salt Yard", valid_from="2024-01-01")
        session.kg_add(subject="Tobias Renner", predicate="owns", object="Blue Ferry", valid_to="2025-12-31")
        session.kg_add(subject="Only Palace", predicate="knows", object="Blue Ferry")


def hnsw(home, palace):
    # chromadb looks for the model in the home as it was when Python started.
    subprocess.run(
        [sys.executable, pathlib.Path(__file__).with_name("hnsw.py"), palace], env=peer.environment(home), check=True
    )
    (palace / "mempalace_embedder.json").write_text(
        json.dumps({name: {"model_name": "minilm", "dimension": 384} for name in oracle.COLLECTIONS}, indent=2)
    )


PALACES = {
    "queue-only": queue_only, "updated": updated, "mined": mined, "large": large, "exact": exact, "kg-split": kg_split,
    "hnsw": hnsw,
}  # fmt: skip
WITH_SOURCES = {"mined", "large"}
NOT_PACKED = {"large"}


def build(name, out, model, sources):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    home, palace = folder / "home", folder / "memory/palace"
    home.mkdir(parents=True)
    palace.parent.mkdir()
    peer.give_model(home, model)
    PALACES[name](home, palace, *([sources] if name in WITH_SOURCES else []))
    for left_out in HOME_LEFT_OUT:
        shutil.rmtree(home / left_out, ignore_errors=True)
    return folder


def pack(folder, fixtures):
    """Stores a palace and what the oracle finds in it; nothing in the archive tells who packed it, where or when."""

    def anonymous(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = FIXED_TIME
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    def compressed(path, data):
        path.write_bytes(gzip.compress(data, 9, mtime=0))

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder), recursive=False, filter=anonymous)
    compressed(fixtures / f"{folder.name}.tar.gz", archive.getvalue())
    expected = json.dumps(oracle.content(folder), ensure_ascii=False, sort_keys=True, indent=1)
    compressed(fixtures / f"{folder.name}.expected.json.gz", expected.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the embedding model's files")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("/tmp/peer-palaces"))
    parser.add_argument(
        "--sources", type=pathlib.Path, default=pathlib.Path("/tmp"), help="where what is mined is written"
    )
    parser.add_argument("--pack", type=pathlib.Path, help="folder of the fixtures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PALACES))
    given = parser.parse_args()
    if unknown := set(given.names) - set(PALACES):
        parser.error(f"no such palace: {', '.join(sorted(unknown))}")
    for name in given.names or PALACES:
        folder = build(name, given.out, given.model, given.sources)
        print("built", folder)
        if given.pack and name not in NOT_PACKED:
            given.pack.mkdir(parents=True, exist_ok=True)
            pack(folder, given.pack)


if __name__ == "__main__":
    main()
