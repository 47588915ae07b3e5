//! What `palacectl doctor` tells of daemons that ended without a word.

use std::path::Path;

use palace_protocol::endpoint::{CRASH_FILE, Crash, DAEMON_DIR};
use palace_system::files;

use super::doctor::{Finding, note};
use super::render::{span, unix_seconds};

/// Names the last daemon that crashed or was killed. What it had acknowledged is stored, so it is no fault of the palace.
pub fn last(palace: &Path) -> Option<Finding> {
    let bytes = files::read(&palace.join(DAEMON_DIR).join(CRASH_FILE)).ok()?;
    let crash: Crash = serde_json::from_slice(&bytes).ok()?;
    Some(told(&crash, unix_seconds()))
}

fn told(crash: &Crash, now: i64) -> Finding {
    let ago = span(u64::try_from(now - crash.noticed_at).unwrap_or_default());
    let how = if crash.rebooted { "went down with the machine" } else { "ended without a word" };
    let row = match crash.in_a_row {
        0 | 1 => "the one before it ended in order".to_owned(),
        count => format!("{count} in a row did"),
    };
    let found = format!("pid {}, version {}, {how}, noticed {ago} ago; {row}", crash.pid, crash.build);
    note(
        "crash",
        found,
        "`palacectl logs` and .daemon/log/daemon.stderr may tell why; what was acknowledged is stored",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_told_from_an_accident() {
        let crash = Crash {
            noticed_at: 100,
            pid: 7,
            started_at: 90,
            build: "1.2.3".into(),
            rebooted: false,
            in_a_row: 1,
        };
        let found = told(&crash, 160).found;
        assert!(found.contains("pid 7, version 1.2.3, ended without a word, noticed 1 min ago"), "{found}");
        let series = told(&Crash { in_a_row: 4, rebooted: true, ..crash }, 160).found;
        assert!(series.contains("went down with the machine") && series.contains("4 in a row"), "{series}");
    }
}
