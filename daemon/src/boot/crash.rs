//! Notices that the daemon before this one did not end in order, and keeps that for status and doctor.
//!
//! An orderly end removes the endpoint record. Once the writer lock is held nobody else serves the palace, so a record that
//! is still there was left by a daemon that crashed or was killed, or that went down with its machine.

use std::path::Path;

use palace_protocol::endpoint::{CRASH_FILE, Crash};
use palace_system::{files, process, record};

use super::place::replace;

/// Looks for what a predecessor left. Call it with the lock held, before anything is published.
pub fn notice(palace: &Path, folder: &Path, now: i64) {
    let Some(record) = record::read(folder) else { return };
    // One that was copied along with its palace says nothing of this one.
    if Path::new(&record.palace) != palace {
        return;
    }
    // The one that crashed had noticed a crash itself when it started.
    let before = last(folder).filter(|before| before.noticed_at == record.started_at);
    let crash = Crash {
        noticed_at: now,
        pid: record.pid,
        started_at: record.started_at,
        build: record.build,
        rebooted: record.boot_id != process::boot_id(),
        in_a_row: before.map_or(0, |before| before.in_a_row).saturating_add(1),
    };
    let bytes = serde_json::to_vec_pretty(&crash).expect("a crash has only string keys");
    // Without room for it there is nothing to tell.
    let _ = replace(&folder.join(CRASH_FILE), &bytes);
}

/// Returns the last end that was not in order.
pub fn last(folder: &Path) -> Option<Crash> {
    serde_json::from_slice(&files::read(&folder.join(CRASH_FILE)).ok()?).ok()
}
