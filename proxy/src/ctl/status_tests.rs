//! What a person reads for a status, and what a program reads when there is none.

use palace_protocol::control::{Counts, DaemonStatus, EmbedderStatus, PalaceStatus};

use serde_json::Value;

use super::*;

fn sample() -> Status {
    Status {
        state: ServiceState::Ready,
        palace: PalaceStatus {
            path: "/p".into(),
            id: "id".into(),
            format: 1,
            store_bytes: 12_345_678,
            filesystem: "ext4".into(),
        },
        daemon: DaemonStatus {
            pid: 7,
            started_at: "1970-01-01T00:00:00Z".into(),
            uptime_secs: 7_500,
            version: "0.1.0".into(),
            generation: "0a1b2c3d".into(),
            rss_bytes: Some(212_000_000),
            managed_by: ManagedBy::Auto,
            idle_timeout_secs: 3_600,
            dies_with_host: false,
        },
        sessions: vec![session("claude-code", "2.1", 11, 31), session("", "", 12_345, 1)],
        counts: Counts {
            drawers: 1_204,
            vectors: 1_204,
            text_documents: 1_204,
            wings: 1,
            rooms: 3,
            triples: 0,
        },
        writer: WriterStatus {
            queue_len: 0,
            commits: 9,
            commands: 12,
            last_commit_at: Some("1970-01-01T02:04:56Z".into()),
        },
        index: IndexStatus { kind: "exact".into(), seq: 12, applied_seq: 12, snapshot_seq: 3 },
        embedder: EmbedderStatus {
            model: "minilm".into(),
            dimension: 384,
            runtime: "rten 0.27".into(),
            runtime_note: Some("no onnxruntime library found".into()),
            state: "ready".into(),
            loaded: 1,
        },
        jobs: Vec::new(),
        scrub: None,
        last_error: None,
        last_crash: None,
        last_backup: None,
    }
}

fn session(host: &str, version: &str, pid: u32, calls: u64) -> SessionStatus {
    SessionStatus {
        id: 1,
        host: host.into(),
        host_version: version.into(),
        proxy_pid: pid,
        connected_at: "1970-01-01T02:03:00Z".into(),
        protocol_version: if host.is_empty() { String::new() } else { "2025-11-25".into() },
        calls,
    }
}

#[test]
fn a_ready_palace_fits_a_glance() {
    let expect = "\
ready     /p
daemon    pid 7, up 2 h 5 min, 212 MB, 0.1.0, ends after 1 h without a client
stored    1,204 drawers in 1 wing and 3 rooms, 0 facts, 12 MB on ext4
writer    idle, 12 writes in 9 commits, last 4 s ago
index     exact, up to date
model     minilm, 384 numbers, ready, on rten 0.27
sessions  2
  claude-code 2.1   pid 11     31 calls  2 min  MCP 2025-11-25
  (not introduced)  pid 12345  1 call    2 min";
    assert_eq!(describe(&sample(), 7_500, None), expect);
}

#[test]
fn what_is_wrong_is_shown() {
    let mut status = sample();
    status.state = ServiceState::Degraded;
    status.last_error = Some("the disk is full".into());
    status.index.applied_seq = 11;
    status.counts.vectors = 1_200;
    status.sessions.clear();
    status.daemon.managed_by = ManagedBy::Systemd;
    status.last_crash = Some(CrashStatus {
        noticed_at: "1970-01-01T02:04:00Z".into(),
        pid: 6,
        started_at: "1970-01-01T00:00:00Z".into(),
        version: "0.1.0".into(),
        rebooted: false,
    });
    let text = describe(&status, 7_500, None);
    for part in [
        "degraded  /p",
        "problem   the disk is full",
        "1 change behind",
        "1,200 vectors so far",
        "kept by systemd",
        "crash     pid 6 ended without a word, noticed 1 min ago",
        "sessions  none",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_stopped_palace_has_every_key_of_a_served_one() {
    let palace = tempfile::tempdir().unwrap();
    let outcome = status(palace.path());
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.json["state"], "stopped");
    assert_eq!(outcome.json["palace"]["path"], palace.path().display().to_string());
    assert_eq!(outcome.json["last_error"], Value::Null);
    let served = with_ground(serde_json::to_value(sample()).unwrap(), None, None);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&outcome.json), keys(&served));
}

#[test]
fn a_held_palace_without_an_answer_is_no_stopped_one() {
    let palace = tempfile::tempdir().unwrap();
    std::fs::create_dir(palace.path().join(palace_protocol::endpoint::DAEMON_DIR)).unwrap();
    let held = std::fs::File::create(lock::path(palace.path())).unwrap();
    held.lock().unwrap();
    let outcome = status(palace.path());
    assert_eq!((outcome.code, outcome.json["state"].as_str()), (3, Some("unreachable")));
    assert!(outcome.json["lock"].is_object(), "{}", outcome.json);
}

/// A palace that cannot be was said to be stopped, by exit code 1.
#[test]
fn a_palace_that_cannot_be_is_no_stopped_one() {
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let cases = [
        (PalaceError::NotADirectory { path: "/p".into() }, 2, "unusable"),
        (PalaceError::Io { path: "/p".into(), source: denied }, 4, "forbidden"),
    ];
    for (error, code, state) in cases {
        let outcome = unusable(&error);
        assert_eq!((outcome.code, outcome.json["state"].as_str()), (code, Some(state)));
        assert_eq!(outcome.json["last_error"], error.to_string());
        assert!(outcome.text.contains("/p"), "{}", outcome.text);
    }
}
