//! A palace that programs inside and outside of a container share: they have other numbers for the same processes, and one
//! daemon all the same.

use std::process::{Child, Command, Stdio};

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Sandbox, daemon};
use rustix::process::Signal;
use serde_json::json;

use crate::sandbox;

/// Tells, and says why not, whether processes may get numbers of their own here.
fn has_containers() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null());
    let allowed = probe.status().is_ok_and(|status| status.success());
    if !allowed {
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no process numbers of its own\n");
    }
    allowed
}

/// Starts a program of the sandbox in a container.
fn contained(sandbox: &Sandbox, program: &std::path::Path) -> Command {
    let mut command = sandbox.command(std::path::Path::new("unshare"));
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(program);
    command.arg("--palace").arg(sandbox.palace());
    command
}

/// Starts a daemon in a container; returns it, and its number outside.
fn serving(sandbox: &Sandbox) -> (Child, u32) {
    let mut command = contained(sandbox, &sandbox.programs().palaced);
    let serving = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let record = daemon::ready(&sandbox.palace());
    let [outside] = sandbox.daemons()[..] else { panic!("one daemon: {:?}", sandbox.daemons()) };
    assert_ne!(record.pid, outside, "it has another number inside");
    (serving, outside)
}

#[test]
fn a_daemon_in_a_container_serves_hosts_outside_and_the_other_way_round() {
    if !has_containers() {
        return;
    }
    let sandbox = sandbox();
    let (mut container, pid) = serving(&sandbox);
    let mut outside = sandbox.host("outside");
    outside.initialize();
    outside.add("wing", "room", "from outside");
    let mut inside =
        palace_tests::Client::start("inside", contained(&sandbox, &sandbox.programs().palace_mcp));
    inside.initialize();
    assert_eq!(inside.found("from outside"), ["from outside"]);
    assert_eq!(sandbox.daemons(), [pid]);
    // Another daemon respects the lock of the one whose number means nothing to it.
    let second = sandbox.palaced().output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    daemon::terminate(pid);
    container.wait().unwrap();
    // Now one outside, for hosts on both sides.
    outside.add("wing", "room", "from outside again");
    inside.add("wing", "room", "from inside");
    assert_eq!(outside.call("status", &json!({}))["total_drawers"], 3);
    let [pid] = sandbox.daemons()[..] else { panic!("one daemon: {:?}", sandbox.daemons()) };
    let mut second = contained(&sandbox, &sandbox.programs().palaced);
    let second = second.stdin(Stdio::null()).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    assert_eq!(sandbox.daemons(), [pid]);
}

/// The number on record is somebody else's here.
#[test]
fn a_silent_daemon_in_a_container_costs_no_stranger_its_life() {
    if !has_containers() {
        return;
    }
    let sandbox = sandbox();
    let (mut container, pid) = serving(&sandbox);
    daemon::signal(pid, Signal::STOP);
    let mut forced = sandbox.palacectl(&["stop", "--force"]);
    let forced = forced.env("PALACE_TEST_RECOVERY_MS", "500").output().unwrap();
    assert!(!forced.status.success(), "{forced:?}");
    let told = String::from_utf8_lossy(&forced.stderr);
    assert!(told.contains("nothing was killed"), "{told}");
    assert_eq!(sandbox.daemons(), [pid]);
    let mut host = sandbox.host("host");
    host.initialize();
    let call = host.send_call("status", &json!({}));
    daemon::signal(pid, Signal::CONT);
    assert_eq!(host.answer(&json!(call))["result"]["isError"], serde_json::Value::Null);
    daemon::terminate(pid);
    wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&pid));
    container.wait().unwrap();
}
