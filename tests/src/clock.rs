//! A clock that a test sets: for programs started with it, the time of day is off by what the test says, from now to now.
//! Clocks that only count, and the system's own, go on as they are.
//!
//! It is a library of a few lines that stands before the system's, made here by the C compiler that the daemon needs too.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Sandbox;

/// Reads the difference anew at each question, so that it can change under a program that runs.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return (int)failed;
    char text[32] = {0};
    int file = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
"#;

/// A clock and the programs that go by it.
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
    daemon: PathBuf,
}

impl Clock {
    /// Makes one that is right so far.
    ///
    /// # Errors
    /// With what is missing here.
    ///
    /// # Panics
    /// When the sandbox cannot be written.
    pub fn new(sandbox: &Sandbox) -> Result<Self, String> {
        let at = |name: &str| sandbox.home().join(name);
        let clock =
            Self { library: at("clock.so"), offset: at("clock-offset"), daemon: at("daemon-by-that-clock") };
        clock.set(0);
        std::fs::write(at("clock.c"), SOURCE).expect("a home can hold a file");
        let defined = format!("-DOFFSET_FILE=\"{}\"", clock.offset.display());
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&clock.library).arg(defined).arg(at("clock.c"));
        match compiler.output() {
            Ok(made) if made.status.success() => {}
            Ok(made) => return Err(String::from_utf8_lossy(&made.stderr).into_owned()),
            Err(error) => return Err(format!("cc: {error}")),
        }
        // Proxies hand nothing of the kind down, so the daemon's program brings it along.
        let (library, palaced) = (clock.library.display(), sandbox.programs().palaced.display());
        let text = format!("#!/bin/sh\nLD_PRELOAD='{library}' exec '{palaced}' \"$@\"\n");
        let mut file = std::fs::File::create(&clock.daemon).expect("a home can hold a file");
        file.write_all(text.as_bytes()).expect("a file can be written");
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).expect("a file can be a program");
        Ok(clock)
    }

    /// Sets how many seconds the clock is ahead.
    ///
    /// # Panics
    /// When the sandbox cannot be written.
    pub fn set(&self, seconds: i64) {
        let beside = self.offset.with_extension("new");
        std::fs::write(&beside, seconds.to_string()).expect("a home can hold a file");
        std::fs::rename(&beside, &self.offset).expect("a file can be named");
    }

    /// Returns a command whose program goes by the clock, as do the daemons it starts.
    pub fn command(&self, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = sandbox.command(program);
        command.env("LD_PRELOAD", &self.library).env("PALACE_DAEMON", &self.daemon);
        command.arg("--palace").arg(sandbox.palace());
        command
    }
}
