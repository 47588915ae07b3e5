//! Palaces that MemPalace wrote, moved in by real programs: everything is there, the source is untouched, kills cost
//! nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use palace_tests::external::client;
use palace_tests::wait::{wait_for, wait_until};
use palace_tests::{Client, Sandbox, daemon};

use crate::sandbox;

const LONG: Duration = Duration::from_secs(60);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/upstream")
}

/// Unpacks an installation of MemPalace below the sandbox's home.
fn unpack(sandbox: &Sandbox, name: &str) -> PathBuf {
    let to = sandbox.home().join(name);
    let packed = std::fs::File::open(fixtures().join(format!("{name}.tar.gz"))).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(&to).unwrap();
    to
}

/// What MemPalace's own libraries read from it.
fn expected(name: &str) -> Value {
    let packed = std::fs::File::open(fixtures().join(format!("{name}.expected.json.gz"))).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every file of a folder with its bytes and its time.
fn state(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            found.insert(path.clone(), (Vec::new(), metadata.modified().unwrap()));
            found.extend(state(&path));
        } else {
            found.insert(path.clone(), (std::fs::read(&path).unwrap(), metadata.modified().unwrap()));
        }
    }
    found
}

fn ctl(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    let output = sandbox.palacectl(arguments).arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), json)
}

fn import(sandbox: &Sandbox, source: &Path, more: &[&str]) -> (i32, Value) {
    let (palace, home) = (source.join("memory/palace"), source.join("home"));
    let mut arguments = vec!["import", palace.to_str().unwrap(), "--home", home.to_str().unwrap()];
    arguments.extend(more);
    ctl(sandbox, &arguments)
}

fn drawers(expected: &Value) -> &Vec<Value> {
    expected["collections"]["mempalace_drawers"].as_array().unwrap()
}

/// How many of them are counted: what miners keep for themselves is not.
fn counted(expected: &Value) -> usize {
    drawers(expected).iter().filter(|drawer| drawer["metadata"]["room"] != "_registry").count()
}

/// Asks for every drawer that is expected, by its id, and compares the text.
fn has_everything(sandbox: &Sandbox, expected: &Value) {
    let mut host = sandbox.host("reader");
    host.initialize();
    let mut seen = 0;
    for drawer in drawers(expected) {
        let Some(text) = drawer["document"].as_str() else { continue };
        let found = host.call("get_drawer", &json!({"drawer_id": drawer["id"]}));
        assert_eq!(found["content"], text, "{}", drawer["id"]);
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn every_kind_of_palace_moves_in_whole_and_is_not_touched() {
    for name in ["queue-only", "updated", "mined", "exact", "kg-split", "hnsw"] {
        let sandbox = sandbox();
        let source = unpack(&sandbox, name);
        let before = state(&source);
        let (code, dry) = import(&sandbox, &source, &["--dry-run"]);
        assert_eq!((code, &dry["dry_run"]), (0, &json!(true)), "{name}: {dry}");
        let (_, status) = ctl(&sandbox, &["status"]);
        assert_eq!(status["counts"]["drawers"], 0, "a dry run stores nothing");

        let (code, report) = import(&sandbox, &source, &[]);
        let expected = expected(name);
        let rows = drawers(&expected).len();
        assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{name}: {report}");
        assert_eq!(report["rows"]["new"], rows, "{name}: {report}");
        assert_eq!(report["proof"]["documents_equal_by_sha256"], rows, "{name}");
        assert_eq!(report["loss_count"], 0, "{name}: {report}");
        has_everything(&sandbox, &expected);
        let (code, verified) = ctl(&sandbox, &["verify"]);
        assert_eq!((code, &verified["problems"]), (0, &json!([])), "{name}");

        let (code, again) = import(&sandbox, &source, &[]);
        assert_eq!(
            (code, &again["rows"]["new"], &again["rows"]["same"]),
            (0, &json!(0), &json!(rows)),
            "{name}"
        );
        assert_eq!(again["records"]["new"], 0, "{name}: {again}");
        assert_eq!(state(&source), before, "{name}: the source was touched");
    }
}

#[test]
fn what_stands_beside_the_drawers_moves_in_too() {
    let sandbox = sandbox();
    let source = unpack(&sandbox, "queue-only");
    let (_, report) = import(&sandbox, &source, &[]);
    let records = &report["proof"]["records"];
    assert_eq!(records["compared"], records["equal"], "{report}");
    assert_eq!(records["compared"], report["records"]["new"], "{report}");
    let expected = expected("queue-only");
    let mut host = sandbox.host("reader");
    host.initialize();
    let triples = expected["knowledge_graph"]["home"]["triples"].as_array();
    let triples = triples.or_else(|| expected["knowledge_graph"]["palace"]["triples"].as_array()).unwrap();
    let stats = host.call("kg_stats", &json!({}));
    assert_eq!(stats["triples"], triples.len(), "{stats}");
    let events = host.call("event_list", &json!({"limit": 100}));
    assert_eq!(events["count"], expected["events"].as_array().unwrap().len());
    for event in expected["events"].as_array().unwrap() {
        let listed = events["events"].as_array().unwrap();
        assert!(listed.iter().any(|found| found["id"] == event["id"] && found["body"] == event["body"]));
    }
    for artifact in expected["artifacts"].as_array().unwrap() {
        let found = host.call("artifact_get", &json!({"artifact_id": artifact["id"]}));
        assert_eq!(found["artifact"]["content"], artifact["content"]);
    }
    let tunnels = host.call("list_tunnels", &json!({}));
    assert_eq!(tunnels.as_array().unwrap().len(), expected["tunnels"].as_array().unwrap().len());
}

/// `tests/parity/closets.py` recorded what MemPalace's cards say in this palace.
#[test]
fn index_cards_speak_for_the_sources_that_the_peers_spoke_for() {
    let recorded: Vec<Value> = serde_json::from_str(include_str!("../parity/closets.json")).unwrap();
    let sandbox = sandbox();
    let source = unpack(&sandbox, "mined");
    import(&sandbox, &source, &[]);
    let mut host = sandbox.host("reader");
    host.initialize();
    for asked in recorded {
        let question = json!({"query": asked["query"], "limit": 20, "max_distance": 0});
        let found = host.call("search", &question);
        let mut spoken_for = serde_json::Map::new();
        for hit in found["results"].as_array().unwrap() {
            let number = |key: &str| hit[key].as_f64().unwrap();
            let left = (number("distance") - number("closet_boost")).max(0.0);
            assert!((number("effective_distance") - left).abs() < 1e-3, "{hit}");
            assert_eq!(hit["matched_via"] == "drawer+closet", number("closet_boost") > 0.0, "{hit}");
            if number("closet_boost") > 0.0 {
                let said = json!([hit["closet_boost"], hit["closet_preview"]]);
                spoken_for.insert(hit["source_file"].as_str().unwrap().to_owned(), said);
            }
        }
        assert_eq!(Value::Object(spoken_for), asked["boosts"], "{}", asked["query"]);
    }
}

#[test]
fn an_import_survives_kills_at_every_stage_and_goes_on() {
    for point in ["import.batch", "import.stored", "import.complete"] {
        let sandbox = sandbox();
        let source = unpack(&sandbox, "mined");
        let before = state(&source);
        let palace = source.join("memory/palace");
        let killed = sandbox
            .breaking(&sandbox.programs().palacectl, &format!("{point}=kill"))
            .arg("--palace")
            .arg(sandbox.palace())
            .args(["import", palace.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(sandbox.reached(point), "{point}");
        assert_ne!(killed.status.code(), Some(0), "{point}: a killed daemon proves nothing");
        let (code, report) = import(&sandbox, &source, &["--resume"]);
        assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{point}: {report}");
        has_everything(&sandbox, &expected("mined"));
        let (_, status) = ctl(&sandbox, &["status"]);
        assert_eq!(status["counts"]["drawers"], counted(&expected("mined")), "{point}");
        assert_eq!(state(&source), before, "{point}");
    }
}

/// Files texts until the store has no room for another.
#[cfg(unix)]
fn fill_up(host: &mut Client) {
    const MANY: usize = 4_000;
    let mut is_refused = |number: usize| {
        let content = format!("{number} {}", "filler ".repeat(1_000));
        host.call("add_drawer", &json!({"wing": "own", "room": "filler", "content": content}))["success"]
            != true
    };
    assert!((0..MANY).any(&mut is_refused), "the store never had to grow");
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_in_the_middle_of_an_import_costs_nothing() {
    let sandbox = sandbox();
    let source = unpack(&sandbox, "mined");
    let before = state(&source);
    let mut host = sandbox.host("writer");
    host.initialize();
    let kept = host.add("own", "room", "a text that was here before");
    daemon::stop(&sandbox.palace());

    let size = |path: PathBuf| std::fs::metadata(path).unwrap().len();
    let store = size(sandbox.palace().join("palace.redb"));
    let copy = size(source.join("memory/palace/chroma.sqlite3"));
    // No room for the copy that is read; then room for that, and none for what the store has to grow by.
    for (limit, said) in [(copy / 2, "no room"), (copy.max(store) + 4096, "disk full")] {
        let mut limited = sandbox.palaced();
        palace_tests::limits::files(&mut limited, limit);
        let mut child =
            limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        daemon::ready(&sandbox.palace());
        if limit > copy {
            fill_up(&mut host);
        }
        let (code, refused) = import(&sandbox, &source, &[]);
        assert_eq!(code, 1, "{refused}");
        assert!(refused["error"].as_str().is_some_and(|error| error.contains(said)), "{refused}");
        assert_eq!(
            host.call("get_drawer", &json!({"drawer_id": kept}))["content"],
            "a text that was here before"
        );
        daemon::terminate(child.id());
        child.wait().unwrap();
    }

    let (code, report) = import(&sandbox, &source, &[]);
    assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{report}");
    has_everything(&sandbox, &expected("mined"));
    assert_eq!(
        host.call("get_drawer", &json!({"drawer_id": kept}))["content"],
        "a text that was here before"
    );
    assert_eq!(ctl(&sandbox, &["verify"]).1["problems"], json!([]));
    assert_eq!(state(&source), before);
}

#[test]
fn a_palace_of_mempalace_at_the_palaces_place_is_imported_by_the_first_start() {
    let sandbox = sandbox();
    let source = unpack(&sandbox, "updated");
    std::fs::rename(source.join("memory/palace"), sandbox.palace()).unwrap();
    let original = std::fs::read(sandbox.palace().join("chroma.sqlite3")).unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("w", "r", "filed while the old palace moves in");
    let expected = expected("updated");
    wait_until("the import's end", LONG, || {
        let (_, status) = ctl(&sandbox, &["status"]);
        status["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["state"] == "done"))
    });
    has_everything(&sandbox, &expected);
    assert_eq!(std::fs::read(sandbox.palace().join("chroma.sqlite3")).unwrap(), original);
    // Once is enough.
    daemon::stop(&sandbox.palace());
    let (_, status) = ctl(&sandbox, &["start"]);
    assert!(status["pid"].is_number(), "{status}");
    let (_, status) = ctl(&sandbox, &["status"]);
    assert_eq!(status["jobs"], json!([]));
    assert_eq!(status["counts"]["drawers"], drawers(&expected).len() + 1);
}

/// An empty palace that looks healthy would be taken for the memory that was there.
#[test]
fn a_palace_of_mempalace_that_cannot_be_read_is_said_to_be_missing() {
    let sandbox = sandbox();
    let source = unpack(&sandbox, "updated");
    std::fs::rename(source.join("memory/palace"), sandbox.palace()).unwrap();
    let database = sandbox.palace().join("chroma.sqlite3");
    let original = std::fs::read(&database).unwrap();
    std::fs::write(&database, "no database at all").unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("w", "r", "filed beside what cannot be read");
    let degraded = |sandbox: &Sandbox| {
        let (_, status) = ctl(sandbox, &["status"]);
        let told = status["last_error"].as_str().unwrap_or_default().to_owned();
        (status["state"] == "degraded" && told.contains("MemPalace")).then_some(told)
    };
    let told = wait_for("status to say what is missing", LONG, || degraded(&sandbox));
    assert!(told.contains("not imported") && told.contains("chroma.sqlite3"), "{told}");
    let (_, doctor) = ctl(&sandbox, &["doctor"]);
    assert!(doctor.to_string().contains("not imported"), "{doctor}");
    // An assistant sees none of these; it asks for the status.
    let asked = host.call("status", &json!({}));
    assert!(asked["problem"].as_str().unwrap_or_default().contains("not imported"), "{asked}");
    std::fs::write(&database, original).unwrap();
    daemon::stop(&sandbox.palace());
    ctl(&sandbox, &["start"]);
    let ready = |sandbox: &Sandbox| {
        let (_, status) = ctl(sandbox, &["status"]);
        let done = |jobs: &Vec<Value>| jobs.iter().any(|job| job["state"] == "done");
        status["state"] == "ready" && status["jobs"].as_array().is_some_and(done)
    };
    wait_until("the import of the mended palace", LONG, || ready(&sandbox));
    has_everything(&sandbox, &expected("updated"));
    assert_eq!(host.call("status", &json!({})).get("problem"), None);
}

#[test]
fn nobody_gets_an_empty_palace_in_place_of_one_that_must_not_be_imported() {
    let sandbox = sandbox();
    let source = unpack(&sandbox, "updated");
    std::fs::rename(source.join("memory/palace"), sandbox.palace()).unwrap();
    let output = sandbox.palaced().arg("--no-import").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("MemPalace") && text.contains("import"), "{text}");
    assert!(!sandbox.palace().join("palace.redb").exists());
}

#[test]
fn what_is_no_palace_is_refused_by_name() {
    let sandbox = sandbox();
    let nothing = sandbox.home().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let (code, answer) = ctl(&sandbox, &["import", nothing.to_str().unwrap()]);
    assert_eq!(code, 1);
    let text = answer["error"].as_str().unwrap();
    assert!(text.contains("nothing") && text.contains("chroma.sqlite3"), "{text}");
    let missing = sandbox.home().join("missing");
    let (code, answer) = ctl(&sandbox, &["import", missing.to_str().unwrap()]);
    assert_eq!(code, 1, "{answer}");
}

#[test]
fn a_removed_drawer_comes_back_and_a_purged_one_does_not() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let id = host.add("w", "r", "a text that is removed by mistake");
    host.call("delete_drawer", &json!({"drawer_id": id}));
    let (_, removed) = ctl(&sandbox, &["removed"]);
    assert_eq!((&removed["total"], &removed["removed"][0]["drawer_id"]), (&json!(1), &json!(id)));
    // A crash in between changes nothing.
    daemon::kill(daemon::ready(&sandbox.palace()).pid);
    let (code, back) = ctl(&sandbox, &["undelete", &id]);
    assert_eq!((code, &back["drawers"][0]["rows"]), (0, &json!(1)), "{back}");
    assert_eq!(host.found("removed by mistake"), ["a text that is removed by mistake"]);
    host.call("delete_drawer", &json!({"drawer_id": id}));
    let (_, kept) = ctl(&sandbox, &["purge"]);
    assert_eq!(kept["kept"], 1);
    let (_, purged) = ctl(&sandbox, &["purge", "--yes"]);
    assert_eq!(purged["purged"], 1);
    let (code, back) = ctl(&sandbox, &["undelete", &id]);
    assert_eq!((code, &back["drawers"][0]["rows"]), (1, &json!(0)), "{back}");
    let (code, compacted) = ctl(&sandbox, &["compact"]);
    assert_eq!(code, 0, "{compacted}");
    let listed = wait_for("the list of jobs", LONG, || {
        let (code, jobs) = ctl(&sandbox, &["jobs"]);
        (code == 0).then_some(jobs)
    });
    assert_eq!(listed[0]["kind"], "compact");
}

/// Every way in which palaces of MemPalace are known to break. What each damage takes is told by the script that does it.
#[test]
fn damaged_palaces_move_in_as_far_as_they_can_be_read() {
    let Some(python) = client("PALACE_TEST_PYTHON", "a Python that damages palaces") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("upstream/damage.py");
    let expected = expected("hnsw");
    let damages = [
        "header-insane",
        "vectors-truncated",
        "pickle-corrupt",
        "pickle-foreign",
        "segment-quarantined",
        "segment-drift",
        "hnsw-missing",
        "fts-broken",
        "max-seq-poisoned",
        "queue-purged",
        "sqlite-page-zeroed",
        "sqlite-truncated",
        "wal-left",
    ];
    for damage in damages {
        let sandbox = sandbox();
        let source = unpack(&sandbox, "hnsw");
        let palace = source.join("memory/palace");
        let damaged = Command::new(&python).arg(&script).arg(damage).arg(&palace).output().unwrap();
        assert!(damaged.status.success(), "{damage}: {}", String::from_utf8_lossy(&damaged.stderr));
        let taken: Value = serde_json::from_slice(&damaged.stdout).unwrap();
        let before = state(&source);
        let (code, report) = import(&sandbox, &source, &[]);
        assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{damage}: {report}");
        assert_eq!(state(&source), before, "{damage}: the source was touched");
        let lost: Vec<&Value> = report["losses"].as_array().unwrap().iter().map(|loss| &loss["id"]).collect();
        let mut host = sandbox.host("reader");
        host.initialize();
        let mut kept = 0;
        for drawer in drawers(&expected) {
            let id = &drawer["id"];
            let may_be_lost = taken["rows"].as_array().is_none_or(|rows| rows.contains(id));
            let found = host.call("get_drawer", &json!({"drawer_id": id}));
            if found["content"] != drawer["document"] {
                assert!(may_be_lost, "{damage}: {id} is not what it was: {found}");
                assert!(found["content"].is_null(), "{damage}: {id} has another text");
            } else if found["content"].is_string() {
                kept += 1;
            }
            assert!(may_be_lost || !lost.contains(&id), "{damage}: {id} is called lost and is not");
        }
        // The texts stand before the cut, if only behind the full-text index.
        assert!(kept > 25, "{damage}: {kept} texts, {report}");
        // Vectors of a folder that was put aside are taken from there.
        let put_aside = damage.starts_with("segment-");
        if let Some(vectors) = taken["vectors"].as_array().filter(|_| !put_aside) {
            let embedded = report["rows"]["embedded_again"].as_u64().unwrap();
            assert!(embedded >= vectors.len() as u64, "{damage}: {embedded} of {} embedded", vectors.len());
        }
        let (code, verified) = ctl(&sandbox, &["verify"]);
        assert_eq!((code, &verified["problems"]), (0, &json!([])), "{damage}");
    }
}
