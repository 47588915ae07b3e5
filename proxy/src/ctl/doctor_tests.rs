//! What is wrong is found and has a next step; what is well is not called wrong.

use super::*;
use palace_protocol::control::BackupStatus;
use palace_protocol::endpoint::{ManagedBy, START_ERROR_FILE};

#[test]
fn a_palace_at_rest_is_well() {
    let palace = tempfile::tempdir().unwrap();
    let outcome = outcome(palace.path(), &examine(palace.path()));
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    assert!(outcome.text.ends_with("nothing is wrong"), "{}", outcome.text);
    assert_eq!(outcome.json["ok"], true);
}

#[test]
fn what_is_wrong_has_a_next_step() {
    let palace = tempfile::tempdir().unwrap();
    let folder = palace.path().join(DAEMON_DIR);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(START_ERROR_FILE), r#"{"code":"damaged","message":"page 7 is torn"}"#)
        .unwrap();
    let held = std::fs::File::create(lock::path(palace.path())).unwrap();
    held.lock().unwrap();
    let outcome = outcome(palace.path(), &examine(palace.path()));
    assert_eq!(outcome.code, 1);
    for part in ["page 7 is torn", "held by ", "→ `palacectl stop --force`"] {
        assert!(outcome.text.contains(part), "{part} in {}", outcome.text);
    }
    for finding in outcome.json["findings"].as_array().unwrap() {
        assert!(finding["verdict"] != "bad" || finding["next"].is_string(), "{finding}");
    }
}

/// People were told to mend it, with what they were not told, and that the daemon had ended without a word.
#[test]
fn a_damaged_store_leads_to_what_helps() {
    let palace = tempfile::tempdir().unwrap();
    let folder = palace.path().join(DAEMON_DIR);
    std::fs::create_dir(&folder).unwrap();
    let failure = serde_json::json!({
        "code": "damaged", "message": format!("page 7 is torn; {}", advice::DAMAGED_STORE),
    });
    std::fs::write(folder.join(START_ERROR_FILE), failure.to_string()).unwrap();
    Starts { attempts: 4, last_at: unix_seconds(), reason: String::new() }.write(&folder);
    let findings = examine(palace.path());
    let of = |what: &str| findings.iter().find(|finding| finding.what == what).unwrap();
    let start = of("last start");
    assert_eq!(
        (start.found.as_str(), start.next.as_deref()),
        ("page 7 is torn", Some(advice::DAMAGED_STORE))
    );
    let starts = of("starts");
    assert!(starts.found.starts_with("4 failed in a row") && !starts.found.contains("without a word"));
    let text = outcome(palace.path(), &findings).text;
    assert!(!text.contains("mend it") && !text.contains("--force"), "{text}");
}

#[test]
fn a_model_that_failed_says_what_still_works() {
    let text = r#"{"state":"degraded","palace":{"path":"/p","id":"i","format":2,"store_bytes":1},
        "daemon":{"pid":7,"started_at":"","uptime_secs":1,"version":"0.1.0","generation":"g","rss_bytes":null,
        "managed_by":"auto","idle_timeout_secs":0},"sessions":[],
        "counts":{"drawers":0,"vectors":0,"text_documents":0,"wings":0,"rooms":0,"triples":0},
        "writer":{"queue_len":0,"commits":0,"commands":0,"last_commit_at":null},
        "index":{"kind":"exact","seq":0,"applied_seq":0,"snapshot_seq":0},
        "embedder":{"model":"minilm","dimension":384,"runtime":"rten","state":"failed: no memory","loaded":0},
        "jobs":[],"last_error":null}"#;
    // Also what a daemon of an older build says.
    let mut status: Status = serde_json::from_str(text).unwrap();
    let finding = model(&status);
    assert_eq!(finding.verdict, Verdict::Bad);
    assert_eq!(finding.found, "minilm, failed: no memory");
    assert_eq!(finding.next.unwrap(), "`palacectl restart`; words are still searched without it");
    assert_eq!(hosts(&status), "for nobody at present");
    status.embedder.state = "ready".into();
    assert_eq!(model(&status).verdict, Verdict::Good);
    assert_eq!(backed_up(&status), None);
    status.counts.drawers = 9;
    let finding = backed_up(&status).unwrap();
    assert_eq!(
        (finding.verdict, finding.found.as_str()),
        (Verdict::Note, "none yet: 9 drawers are on this disk only")
    );
    status.last_backup =
        Some(BackupStatus { at: Some("2026-01-01T00:00:00Z".into()), ..BackupStatus::default() });
    assert_eq!(backed_up(&status).unwrap().verdict, Verdict::Good);
    status.last_backup.as_mut().unwrap().error = Some("disk full".into());
    assert!(backed_up(&status).unwrap().found.ends_with("disk full"));
    let served = Seen::Serving(Box::new(status));
    assert_eq!(on_network(Shared::Network("nfs"), &served).verdict, Verdict::Note);
    let refused = on_network(Shared::Network("nfs"), &Seen::Stopped);
    assert!(refused.verdict == Verdict::Bad && refused.found.contains("nfs"), "{refused:?}");
}

#[test]
fn a_service_that_does_not_serve_is_wrong() {
    let palace = tempfile::tempdir().unwrap();
    let keep = |listens| {
        service::write(palace.path(), ManagedBy::Systemd, "x.service", listens).unwrap();
        outcome(palace.path(), &examine(palace.path()))
    };
    for listens in [true, false] {
        let outcome = keep(listens);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        assert!(outcome.text.contains("systemctl --user status x.service"), "{}", outcome.text);
    }
    std::fs::write(service::socket(palace.path()), "").unwrap();
    assert_eq!(keep(true).code, 0);
}

/// A link that leads to itself was found twice, and odd settings were said to be made by the next start.
#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_file_is_one_finding_with_its_own_advice() {
    for (name, next) in [("palace.redb", advice::ODD_STORE), ("palaced.json", advice::ODD_SETTINGS)] {
        let palace = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(name, palace.path().join(name)).unwrap();
        let findings = examine(palace.path());
        let about: Vec<&Finding> = findings.iter().filter(|finding| finding.found.contains(name)).collect();
        let [finding] = &about[..] else { panic!("{name}: {about:?}") };
        assert!(finding.found.contains("a link that leads to nothing"), "{finding:?}");
        assert_eq!(finding.next.as_deref(), Some(next));
    }
}

/// An odd lock is wrong once, whatever else cannot be told for it.
#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_lock_is_one_thing_that_is_wrong() {
    use palace_protocol::endpoint::{LOG_DIR, START_LOCK_FILE, STDERR_FILE, WRITER_LOCK_FILE};
    for name in [START_LOCK_FILE, WRITER_LOCK_FILE, LOG_DIR, &format!("{LOG_DIR}/{STDERR_FILE}")] {
        let palace = tempfile::tempdir().unwrap();
        let path = palace.path().join(DAEMON_DIR).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let findings = examine(palace.path());
        let wrong: Vec<&Finding> =
            findings.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
        let [finding] = &wrong[..] else { panic!("{name}: {wrong:?}") };
        assert!(finding.found.contains(name) && finding.found.contains("a link stands"), "{finding:?}");
        assert_eq!(finding.next.as_deref(), Some(advice::ODD_FILE));
    }
}
