//! What happens to the daemon meanwhile: kills, stops, restarts, a suspended process, removed files.

use std::time::{Duration, Instant};

use palace_protocol::endpoint::{DAEMON_DIR, RECORD_FILE};
use palace_tests::{Sandbox, daemon};
use rustix::process::Signal;

use crate::Dice;

/// Longest pause between two blows, in milliseconds.
const PAUSE_MS_MAX: u64 = 1_500;

/// What was done how often.
#[derive(Debug, Default)]
pub struct Tally {
    kills: u64,
    terminations: u64,
    restarts: u64,
    stops: u64,
    suspensions: u64,
    removals: u64,
    most_daemons: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "chaos: {} kills, {} SIGTERMs, {} restarts, {} stops, {} suspensions, {} removed records; at most {} daemons seen at once, starters and rivals included",
            self.kills,
            self.terminations,
            self.restarts,
            self.stops,
            self.suspensions,
            self.removals,
            self.most_daemons
        )
    }
}

/// Strikes at random while `goes_on` says so.
pub fn run(sandbox: &Sandbox, seed: u64, goes_on: impl Fn() -> bool) -> Tally {
    let mut dice = Dice(!seed);
    let mut tally = Tally::default();
    while goes_on() {
        pause(Duration::from_millis(dice.below(PAUSE_MS_MAX)));
        let daemons = sandbox.daemons();
        tally.most_daemons = tally.most_daemons.max(daemons.len());
        let Some(&victim) = daemons.first() else { continue };
        match dice.below(12) {
            0..6 => {
                daemon::kill(victim);
                tally.kills += 1;
            }
            6 => {
                daemon::terminate(victim);
                tally.terminations += 1;
            }
            7 | 8 => {
                control(sandbox, &["restart"]);
                tally.restarts += 1;
            }
            9 => {
                control(sandbox, &["stop"]);
                tally.stops += 1;
            }
            10 => {
                daemon::signal(victim, Signal::STOP);
                pause(Duration::from_millis(dice.below(700)));
                daemon::signal(victim, Signal::CONT);
                tally.suspensions += 1;
            }
            _ => {
                // It may be gone, or be replaced in this moment.
                let _ = std::fs::remove_file(sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE));
                daemon::kill(victim);
                tally.removals += 1;
            }
        }
    }
    tally
}

fn control(sandbox: &Sandbox, arguments: &[&str]) {
    // Under this treatment it may find nothing to stop; what counts is the books.
    let _ = sandbox.palacectl(arguments).output();
}

/// Lets the others work for a while.
fn pause(length: Duration) {
    let begun = Instant::now();
    while let Some(left) = length.checked_sub(begun.elapsed()) {
        std::thread::park_timeout(left);
    }
}
