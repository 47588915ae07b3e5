//! Backups, restores and repairs: what was acknowledged is in them, and whatever interrupts them leaves a whole palace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use palace_tests::wait::{SOON, wait_for, wait_until};
use palace_tests::{Client, Sandbox, daemon, limits};

use crate::sandbox;

/// Runs `palacectl --json` and returns its exit code and its value.
fn ctl_at(sandbox: &Sandbox, palace: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut command = sandbox.command(&sandbox.programs().palacectl);
    command.arg("--json").arg("--palace").arg(palace).args(arguments);
    finished(&mut command)
}

fn finished(command: &mut Command) -> (i32, Value) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap_or(-1), value)
}

/// The same on the sandbox's palace; it must succeed.
fn ctl(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    done(arguments, ctl_at(sandbox, &sandbox.palace(), arguments))
}

fn done(arguments: &[&str], (code, value): (i32, Value)) -> Value {
    assert_eq!(code, 0, "{arguments:?}: {value}");
    value
}

fn file_of(report: &Value) -> String {
    report["file"].as_str().unwrap_or_else(|| panic!("a file in {report}")).to_owned()
}

fn listed(sandbox: &Sandbox) -> Vec<Value> {
    ctl(sandbox, &["backup", "list"])["backups"].as_array().unwrap().clone()
}

fn drawers(host: &mut Client) -> u64 {
    host.call("status", &json!({}))["total_drawers"].as_u64().unwrap()
}

/// Returns the names in a palace that begin with `prefix`.
fn names(palace: &Path, prefix: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir(palace).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    let names = entries.into_iter().map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn host(sandbox: &Sandbox) -> Client {
    let mut host = sandbox.host("host");
    host.initialize();
    host
}

fn identity(sandbox: &Sandbox, palace: &Path) -> Value {
    ctl_at(sandbox, palace, &["status"]).1["palace"]["id"].clone()
}

#[test]
fn a_backup_while_ten_clients_write_holds_what_was_acknowledged_before() {
    let sandbox = sandbox();
    let stop = Arc::new(AtomicBool::new(false));
    let (send, acknowledged) = std::sync::mpsc::channel();
    let writers: Vec<_> = (0..10)
        .map(|number| {
            let mut host = sandbox.host(&format!("host{number}"));
            let (stop, send) = (Arc::clone(&stop), send.clone());
            std::thread::spawn(move || {
                host.initialize();
                for text in 0.. {
                    let id =
                        host.add("wing", &format!("room{number}"), &format!("host {number} text {text}"));
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    send.send(id).unwrap();
                }
            })
        })
        .collect();
    let mut before: Vec<String> = (0..60).map(|_| acknowledged.recv_timeout(SOON).unwrap()).collect();
    before.extend(acknowledged.try_iter());
    let report = ctl(&sandbox, &["backup"]);
    // They went on meanwhile.
    acknowledged.recv_timeout(SOON).unwrap();
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(report["kind"], "full");
    let elsewhere = sandbox.home().join("elsewhere");
    let restored = done(&["restore"], ctl_at(&sandbox, &elsewhere, &["restore", &file_of(&report)]));
    assert_eq!((&restored["rows"], &restored["kept"]), (&report["rows"], &Value::Null));
    let mut other = sandbox.host_at("other", &elsewhere);
    other.initialize();
    for ids in before.chunks(100) {
        let read = other.call("get_drawers", &json!({ "drawer_ids": ids }));
        assert_eq!(read["errors"], 0, "{read}");
    }
    assert_eq!(drawers(&mut other), report["rows"].as_u64().unwrap());
    let verified = done(&["verify"], ctl_at(&sandbox, &elsewhere, &["verify"]));
    assert_eq!(verified["ok"], true, "{verified}");
    assert_ne!(identity(&sandbox, &elsewhere), identity(&sandbox, &sandbox.palace()));
    daemon::stop(&elsewhere);
}

#[test]
fn each_point_of_a_chain_can_be_restored() {
    let sandbox = sandbox();
    let mut host = host(&sandbox);
    let first = host.add("wing", "room", "the first text");
    let mut points = vec![(ctl(&sandbox, &["backup"]), vec!["the first text"])];
    host.add("wing", "room", "the second text");
    points.push((ctl(&sandbox, &["backup"]), vec!["the first text", "the second text"]));
    host.call("delete_drawer", &json!({ "drawer_id": first }));
    points.push((ctl(&sandbox, &["backup"]), vec!["the second text"]));
    let again = ctl(&sandbox, &["backup"]);
    assert_eq!((&again["unchanged"], &again["file"]), (&json!(true), &points[2].0["file"]));
    let kinds: Vec<&Value> = points.iter().map(|(report, _)| &report["kind"]).collect();
    assert_eq!(kinds, ["full", "part", "part"]);
    // The daemon that continues a chain need not be the one that began it.
    daemon::stop(&sandbox.palace());
    host.add("wing", "room", "the third text");
    let fourth = ctl(&sandbox, &["backup"]);
    assert_eq!((&fourth["kind"], &fourth["since"]), (&json!("part"), &points[2].0["seq"]));
    points.push((fourth, vec!["the second text", "the third text"]));
    let seqs: Vec<Value> = listed(&sandbox).iter().map(|one| one["seq"].clone()).collect();
    let expected: Vec<Value> = points.iter().rev().map(|(report, _)| report["seq"].clone()).collect();
    assert_eq!(seqs, expected);
    let folder = sandbox.palace().join("backups");
    for (report, texts) in points {
        let seq = report["seq"].to_string();
        let palace = sandbox.home().join(format!("at-{seq}"));
        let arguments = ["restore", folder.to_str().unwrap(), "--at", &seq];
        done(&arguments, ctl_at(&sandbox, &palace, &arguments));
        let mut restored = sandbox.host_at("restored", &palace);
        restored.initialize();
        let mut found = restored.found("text");
        found.sort();
        assert_eq!(found, texts, "at {seq}");
        daemon::stop(&palace);
    }
    assert_eq!(ctl(&sandbox, &["backup", "--full"])["kind"], "full");
}

#[test]
fn a_kill_at_any_step_of_a_backup_leaves_no_half_one() {
    for (point, count) in [("backup.written", 1), ("backup.verified", 1), ("backup.named", 2)] {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", &format!("{point}=kill"));
        host.initialize();
        host.add("wing", "room", "a text before the kill");
        let (code, _) = ctl_at(&sandbox, &sandbox.palace(), &["backup"]);
        assert!(sandbox.reached(point) && code != 0, "{point}");
        assert_eq!(host.found("before the kill"), ["a text before the kill"]);
        ctl(&sandbox, &["backup"]);
        let backups = listed(&sandbox);
        assert!(backups.iter().all(|one| one["restorable"] == true), "{point}: {backups:?}");
        assert_eq!(backups.len(), count, "{point}");
        let left = names(&sandbox.palace().join("backups"), "");
        assert!(left.iter().all(|name| name.ends_with(".palace")), "{point}: {left:?}");
    }
}

#[test]
fn a_kill_at_any_step_of_a_restore_leaves_a_whole_palace() {
    for (point, is_restored) in [
        ("restore.made", false),
        ("restore.checked", false),
        ("restore.kept", false),
        ("restore.named", true),
    ] {
        let sandbox = sandbox();
        let palace = sandbox.palace();
        let mut host = host(&sandbox);
        host.add("wing", "room", "in the backup");
        let file = file_of(&ctl(&sandbox, &["backup"]));
        host.add("wing", "room", "after the backup");
        let mut command = sandbox.breaking(&sandbox.programs().palacectl, &format!("{point}=kill"));
        command.args(["--json", "--palace"]).arg(&palace).args(["restore", &file, "--yes"]);
        let (code, value) = finished(&mut command);
        assert!(sandbox.reached(point) && code == 1, "{point}: {value}");
        assert_eq!(drawers(&mut host), if is_restored { 1 } else { 2 }, "{point}");
        assert_eq!(names(&palace, "palace.redb.restored"), [""; 0], "{point}");
        assert_eq!(names(&palace, "palace.redb.before-").len(), usize::from(is_restored), "{point}");
        assert_eq!(ctl(&sandbox, &["verify"])["ok"], true, "{point}");
        // It can be done again.
        ctl(&sandbox, &["restore", &file, "--yes"]);
        assert_eq!(host.found("backup"), ["in the backup"], "{point}");
    }
}

#[test]
fn a_kill_while_the_store_is_compacted_costs_nothing() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "compact=kill");
    host.initialize();
    host.add("wing", "room", "a text that stays");
    let (code, _) = ctl_at(&sandbox, &sandbox.palace(), &["compact"]);
    assert!(sandbox.reached("compact") && code != 0);
    assert_eq!(host.found("stays"), ["a text that stays"]);
    assert_eq!(ctl(&sandbox, &["verify"])["ok"], true);
    ctl(&sandbox, &["compact"]);
    assert_eq!(host.found("stays"), ["a text that stays"]);
}

/// Texts of [`fill`].
const FILL_COUNT: u64 = 150;

/// Files texts that no limit of 128 KiB has room for.
fn fill(host: &mut Client) {
    for number in 0..FILL_COUNT {
        let content = format!("number {number} ") + &"filler ".repeat(100);
        host.add("wing", "fill", &content);
    }
}

#[test]
fn a_full_disk_refuses_a_backup_and_a_restore_and_the_palace_is_whole() {
    const LIMIT: u64 = 128 << 10;
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut host = host(&sandbox);
    fill(&mut host);
    let folder = sandbox.home().join("full");
    let file = file_of(&ctl(&sandbox, &["backup", "--to", folder.to_str().unwrap()]));
    assert!(std::fs::metadata(&file).unwrap().len() > LIMIT);
    daemon::stop(&palace);
    let before = std::fs::read(palace.join("palace.redb")).unwrap();

    let mut task = sandbox.palaced();
    limits::files(task.args(["--task", "restore", "--from", &file]), LIMIT);
    let output = task.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(last.starts_with(r#"{"failed""#) && last.contains("disk is full"), "{last}");
    assert_eq!(names(&palace, "palace.redb"), ["palace.redb"]);
    assert!(std::fs::read(palace.join("palace.redb")).unwrap() == before);

    let mut limited = sandbox.palaced();
    limits::files(&mut limited, LIMIT);
    let mut child = limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    daemon::ready(&palace);
    let (code, refused) = ctl_at(&sandbox, &palace, &["backup", "--full"]);
    assert!(code == 1 && refused["error"].as_str().unwrap().contains("disk full"), "{refused}");
    assert_eq!(names(&palace.join("backups"), ""), [""; 0]);
    let status = ctl_at(&sandbox, &palace, &["status"]).1;
    assert!(status["last_backup"]["error"].as_str().unwrap().contains("disk full"), "{status}");
    daemon::terminate(child.id());
    child.wait().unwrap();
    assert_eq!(drawers(&mut host), FILL_COUNT);
    assert_eq!(ctl(&sandbox, &["verify"])["ok"], true);
}

#[test]
fn a_damaged_backup_is_refused_before_anything_is_replaced() {
    let sandbox = sandbox();
    let mut host = host(&sandbox);
    host.add("wing", "room", "before the backup");
    let file = file_of(&ctl(&sandbox, &["backup"]));
    host.add("wing", "room", "after the backup");
    let sound = std::fs::read(&file).unwrap();
    let daemons = sandbox.daemons();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 4;
    for damaged in [&flipped[..], &sound[..sound.len() - 3], b"no backup"] {
        std::fs::write(&file, damaged).unwrap();
        let (code, refused) = ctl_at(&sandbox, &sandbox.palace(), &["restore", &file, "--yes"]);
        let text = refused["error"].as_str().unwrap();
        assert!(code == 1 && text.contains("damaged") && text.contains("as it was"), "{text}");
        assert_eq!(sandbox.daemons(), daemons, "whoever asks for a damaged one keeps a daemon that serves");
    }
    assert!(listed(&sandbox)[0]["problem"].as_str().unwrap().contains("damaged"));
    assert_eq!(drawers(&mut host), 2);
    assert_eq!(names(&sandbox.palace(), "palace.redb"), ["palace.redb"]);
}

#[test]
fn a_restore_goes_on_under_a_connected_host() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut host = host(&sandbox);
    host.add("wing", "room", "in the backup");
    let file = file_of(&ctl(&sandbox, &["backup"]));
    host.add("wing", "room", "after the backup");
    let old = identity(&sandbox, &palace);
    let asked = ctl(&sandbox, &["restore", &file]);
    assert_eq!((drawers(&mut host), &asked["rows"]), (2, &json!(1)), "without --yes it is only said");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut busy = sandbox.host("busy");
    let asking = std::thread::spawn(move || {
        busy.initialize();
        while !stopped.load(Ordering::Relaxed) {
            busy.call("status", &json!({}))["total_drawers"].as_u64().unwrap();
        }
        busy
    });
    let restored = ctl(&sandbox, &["restore", &file, "--yes"]);
    assert_eq!(restored["restarted"], true, "{restored}");
    stop.store(true, Ordering::Relaxed);
    let mut busy = asking.join().unwrap();
    assert_eq!((drawers(&mut host), drawers(&mut busy)), (1, 1));
    host.add("wing", "room", "after the restore");
    assert_ne!(identity(&sandbox, &palace), old, "two histories, two identities");
    let kept = PathBuf::from(restored["kept"].as_str().unwrap());
    assert!(kept.is_file() && kept.file_name().unwrap().to_str().unwrap().contains("before-restore"));
    // The chain of the old store is not continued.
    assert_eq!(ctl(&sandbox, &["backup"])["kind"], "full");
}

#[test]
fn a_store_that_was_taken_away_is_not_replaced_by_an_empty_one() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut first = host(&sandbox);
    first.add("wing", "room", "not to be lost");
    drop(first);
    daemon::stop(&palace);
    for left in ["palace.redb.before-restore-20260131T090507", "palace.redb.restored"] {
        std::fs::rename(palace.join("palace.redb"), palace.join(left)).unwrap();
        let mut asking = host(&sandbox);
        let id = asking.send_call("status", &json!({}));
        let answer = asking.answer(&json!(id)).to_string();
        assert!(answer.contains(left) && answer.contains("palacectl restore"), "{answer}");
        assert!(!palace.join("palace.redb").exists());
        drop(asking);
        daemon::stop(&palace);
        std::fs::rename(palace.join(left), palace.join("palace.redb")).unwrap();
    }
    // A restore that ended early left a reason to put starts off; a person insists.
    ctl(&sandbox, &["start"]);
    assert_eq!(host(&sandbox).found("lost"), ["not to be lost"]);
}

#[test]
fn whoever_comes_during_maintenance_is_told_so() {
    let sandbox = sandbox();
    let mut first = host(&sandbox);
    first.add("wing", "room", "a text");
    let file = file_of(&ctl(&sandbox, &["backup"]));
    drop(first);
    daemon::stop(&sandbox.palace());
    let mut task = sandbox.breaking(&sandbox.programs().palaced, "restore.checked=pause");
    task.arg("--palace").arg(sandbox.palace()).args(["--task", "restore", "--from", &file]);
    let mut child = task.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the restore", SOON, || sandbox.reached("restore.checked"));
    let second = sandbox.palaced().stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.code() == Some(3) && text.contains("maintenance (restore"), "{text}");
    let (code, refused) = ctl_at(&sandbox, &sandbox.palace(), &["repair", "--yes"]);
    assert!(code == 3 && refused["error"].as_str().unwrap().contains("maintenance"), "{refused}");
    sandbox.release("restore.checked");
    assert!(child.wait().unwrap().success());
    assert_eq!(host(&sandbox).found("text"), ["a text"]);
}

#[test]
fn a_repair_makes_indexes_anew_and_brings_back_what_can_be_read() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut first = host(&sandbox);
    fill(&mut first);
    let said = ctl(&sandbox, &["repair"]);
    assert!(said["message"].as_str().unwrap().contains("every record can be read"), "{said}");
    let repaired = ctl(&sandbox, &["repair", "--yes"]);
    assert_eq!((&repaired["damaged"], &repaired["ok"]), (&json!(false), &json!(true)), "{repaired}");
    assert_eq!(drawers(&mut first), FILL_COUNT, "the session went on");
    drop(first);
    daemon::stop(&palace);
    let store = palace.join("palace.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 3 * 4096].fill(0xA5);
    std::fs::write(&store, &bytes).unwrap();
    let repaired = ctl(&sandbox, &["repair", "--yes"]);
    assert_eq!(repaired["damaged"], true, "{repaired}");
    assert_eq!(names(&palace, "palace.redb.damaged-").len(), 1);
    assert_eq!(names(&palace.join("repairs"), "repair-").len(), 1);
    let mut after = host(&sandbox);
    assert!(drawers(&mut after) > FILL_COUNT / 2, "{repaired}");
    assert_eq!(ctl(&sandbox, &["verify"])["ok"], true);
}

/// Damages a store that nobody serves: three pages are zeros.
fn damage(palace: &Path) {
    let store = palace.join("palace.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 3 * 4096].fill(0);
    std::fs::write(&store, &bytes).unwrap();
}

/// A daemon that could not start stays for a moment to say why; meanwhile everything that would have helped was refused,
/// and what it said led nowhere.
#[test]
fn a_failed_start_leads_to_the_repair_and_is_not_in_its_way() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut asking = host(&sandbox);
    fill(&mut asking);
    ctl(&sandbox, &["stop"]);
    damage(&palace);
    let fail = || {
        let (code, failed) = ctl_at(&sandbox, &palace, &["start"]);
        let told = failed["error"].as_str().unwrap().to_owned();
        assert!(code == 1 && told.contains("`palacectl repair`") && told.contains("backup list"), "{told}");
    };
    fail();
    let (code, status) = ctl_at(&sandbox, &palace, &["status"]);
    assert!(code == 1 && status["last_error"].as_str().unwrap().contains("`palacectl repair`"), "{status}");
    let (_, examined) = ctl_at(&sandbox, &palace, &["doctor"]);
    let examined = examined.to_string();
    assert!(examined.contains("`palacectl repair`") && !examined.contains("without a word"), "{examined}");
    fail();
    ctl(&sandbox, &["stop"]);
    fail();
    let checked = sandbox.palaced().args(["--task", "check"]).stdin(Stdio::null()).output().unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains("`palacectl repair` makes"), "{checked}");
    fail();
    let rehearsed = ctl(&sandbox, &["repair"]);
    assert!(rehearsed["message"].as_str().unwrap().contains("would bring this back"), "{rehearsed}");
    // A host's call starts the daemon once more, or is told why that is put off.
    let id = asking.send_call("status", &json!({}));
    let refused = asking.answer(&json!(id)).to_string();
    assert!(refused.contains("`palacectl repair`"), "{refused}");
    fail();
    let repaired = ctl(&sandbox, &["repair", "--yes"]);
    assert_eq!(repaired["damaged"], true, "{repaired}");
    assert!(drawers(&mut asking) > FILL_COUNT / 2, "hosts do not wait out the failures of before");
}

/// A repair ended an import half way, where a second import was refused.
#[test]
fn a_running_job_is_not_ended_by_a_repair_or_a_restore() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "backup.written=pause");
    host.initialize();
    host.add("wing", "room", "a text");
    let daemons = sandbox.daemons();
    let mut backup =
        sandbox.palacectl(&["backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the backup", SOON, || sandbox.reached("backup.written"));
    for command in [&["repair", "--yes"][..], &["repair"], &["restore", "/any/backup", "--yes"]] {
        let (code, refused) = ctl_at(&sandbox, &sandbox.palace(), command);
        let told = refused["error"].as_str().unwrap();
        for part in ["job 1 (backup) is running", "`palacectl jobs cancel 1`", "jobs watch 1"] {
            assert!(code == 1 && told.contains(part), "{command:?}: {part} in {told}");
        }
    }
    sandbox.release("backup.written");
    assert!(backup.wait().unwrap().success());
    assert_eq!(sandbox.daemons(), daemons);
    ctl(&sandbox, &["repair", "--yes"]);
    assert_eq!(host.found("text"), ["a text"]);
}

#[test]
fn a_palace_backs_itself_up_and_keeps_as_many_points_as_asked() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    std::fs::create_dir(&palace).unwrap();
    let settings = r#"{"backup_every_hours": 1, "backup_keep": 2}"#;
    std::fs::write(palace.join("palaced.json"), settings).unwrap();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_BACKUP_LOOK_SECS", "1").arg("--palace").arg(&palace);
    let mut host = Client::start("host", command);
    host.initialize();
    host.add("wing", "room", "backed up by itself");
    let backup = wait_for("a backup that nobody asked for", SOON, || listed(&sandbox).into_iter().next());
    assert_eq!((&backup["rows"], &backup["restorable"]), (&json!(1), &json!(true)));
    let status = wait_for("its place in status", SOON, || {
        Some(ctl_at(&sandbox, &palace, &["status"]).1).filter(|status| status["last_backup"].is_object())
    });
    assert_eq!(status["last_backup"]["file"], backup["file"]);
    wait_until("the end of the job", SOON, || {
        ctl_at(&sandbox, &palace, &["status"]).1["jobs"][0]["state"] == "done"
    });
    for _ in 0..3 {
        ctl(&sandbox, &["backup", "--full"]);
    }
    let kept = listed(&sandbox);
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|one| one["file"] != backup["file"]));
}
