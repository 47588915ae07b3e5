//! Tests with real processes, in reading order. Each runs in its own home and palace.

#[cfg(unix)]
mod answers;
mod attachments;
#[cfg(unix)]
mod backups;
mod bad_input;
mod bad_palace;
mod cancelling;
mod clients;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod containers;
mod control;
mod crash;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(unix)]
mod door;
mod double_spawn;
mod endings;
mod fault_proxy;
mod fault_start;
mod fault_stop;
mod fault_write;
#[cfg(target_os = "linux")]
mod greedy;
mod hand_over;
mod handshakes;
mod identity;
mod layers;
mod leaving;
mod light;
#[cfg(target_os = "linux")]
mod logs;
mod messages;
#[cfg(target_os = "linux")]
mod mounts;
mod moving_in;
mod moving_out;
#[cfg(unix)]
mod odd_files;
mod parity;
mod place;
mod probe;
mod races;
mod rough_hosts;
mod runtimes;
mod scrub;
#[cfg(unix)]
mod services;
mod snapshots;
mod strangers;
#[cfg(unix)]
mod suspended;
#[cfg(unix)]
mod systemd;
mod throttled;
#[cfg(target_os = "linux")]
mod users;
mod visibility;
mod waiting;

use std::path::PathBuf;

use palace_tests::Sandbox;
use palace_tests::sandbox::Programs;

/// Returns a sandbox around the programs that cargo has just built.
fn sandbox() -> Sandbox {
    Sandbox::new(Programs {
        palaced: PathBuf::from(env!("CARGO_BIN_EXE_palaced-test")),
        palace_mcp: PathBuf::from(env!("CARGO_BIN_EXE_palace-mcp-test")),
        palacectl: PathBuf::from(env!("CARGO_BIN_EXE_palacectl-test")),
    })
}
