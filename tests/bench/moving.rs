//! Moving in and out, and coming back after a kill, at the size of a given palace of MemPalace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use palace_tests::daemon;
use serde_json::Value;

use crate::measure::{add, milliseconds, quantile, rollup};
use crate::sizes::restarts;
use crate::subject::{Ground, Subject};
use crate::table::{Table, say};

/// Drawers filed between a full backup and the partial one.
const CHANGES: usize = 200;

/// Measures import, export, backup, verify and restarts with one palace.
pub fn all(subject: &Subject, source: &Path, table: &mut Table) {
    let ground = Ground::new();
    let mut out = Moving { subject, ground: &ground, table, rows: 0.0 };
    let begun = Instant::now();
    let report = out.ctl(&["import", &source.display().to_string(), "--home", "/nonexistent"]);
    let seconds = begun.elapsed().as_secs_f64();
    out.rows = report["rows"]["new"].as_f64().unwrap_or_default();
    let holds = report["proof"]["holds"] == true;
    say(&format!("  {} rows, proof holds: {holds}", out.rows));
    out.rate("import, rows stored per s", report["seconds"].as_f64().unwrap_or(f64::NAN));
    out.rate("import from the copy of the source to the end of the proof, rows per s", seconds);
    if let Some(record) = daemon::record(&ground.palace()) {
        out.add("import with proof, peak RSS of the daemon, MB", peak_megabytes(record.pid));
        out.add("daemon RSS afterwards, MB", rollup(record.pid, "Rss:"));
    }
    let export = ground.palace().with_file_name("export.jsonl");
    out.timed("export to JSON lines with vectors, rows per s", &["export", &export.display().to_string()]);
    let backups = ground.palace().with_file_name("backups");
    let backups = backups.display().to_string();
    out.timed("full backup, written and read back, rows per s", &["backup", "--to", &backups]);
    let mut host = subject.start("writer", &ground);
    host.initialize();
    let filed = (0..CHANGES).filter(|number| add(&mut host, *number)).count();
    assert_eq!(filed, CHANGES, "every write is acknowledged");
    let begun = Instant::now();
    out.ctl(&["backup", "--to", &backups]);
    out.add(&format!("partial backup of {CHANGES} new drawers, ms"), milliseconds(begun));
    out.timed("verify, rows per s", &["verify"]);
    let (mut reads, mut searches) = restarts(&mut host, &ground, 3);
    out.add("SIGKILL → next read answered, ms p50", quantile(&mut reads, 0.5));
    out.add("SIGKILL → next search answered, ms p50", quantile(&mut searches, 0.5));
    let begun = Instant::now();
    out.ctl(&["compact"]);
    out.add("compact, ms", milliseconds(begun));
}

struct Moving<'m> {
    subject: &'m Subject,
    ground: &'m Ground,
    table: &'m mut Table,
    rows: f64,
}

impl Moving<'_> {
    fn add(&mut self, row: &str, value: f64) {
        self.table.add(self.subject.name, row, value);
    }

    fn rate(&mut self, row: &str, seconds: f64) {
        self.add(row, self.rows / seconds);
    }

    fn timed(&mut self, row: &str, arguments: &[&str]) {
        let begun = Instant::now();
        self.ctl(arguments);
        self.rate(row, begun.elapsed().as_secs_f64());
    }

    fn ctl(&self, arguments: &[&str]) -> Value {
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/palacectl");
        let mut command = Command::new(program);
        command.arg("--palace").arg(self.ground.palace()).args(arguments).arg("--json");
        let output = command.output().expect("palacectl is built");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn peak_megabytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
    kilobytes / 1_000.0
}
