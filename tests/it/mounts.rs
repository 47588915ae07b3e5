//! A palace on a file system that is unmounted under its daemon, or may only be read, in a mount namespace of the test's own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::sandbox;

/// Keeps a mount namespace, and says when the palace is mounted in it.
const HOLD: &str = r#"mount --bind "$1" "$2" && echo mounted && exec sleep 300"#;

/// A mount namespace; it ends with the process that holds it.
struct Namespace(Child);

impl Namespace {
    /// Makes one in which `volume` is mounted on `palace`; `None`, with the reason printed, where that is not allowed.
    fn new(sandbox: &Sandbox, volume: &std::path::Path) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", HOLD, "sh"]);
        command.arg(volume).arg(sandbox.palace());
        let mut holder = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "mounted\n" {
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), b"skipped: nothing may be mounted here\n");
            let _ = (holder.kill(), holder.wait());
            return None;
        }
        Some(Self(holder))
    }

    /// Returns a command that runs a program inside.
    fn command(&self, sandbox: &Sandbox, program: &str) -> Command {
        let mut command = sandbox.command(std::path::Path::new("nsenter"));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.0.id())).arg("--").arg(program);
        command
    }

    fn run(&self, sandbox: &Sandbox, words: &[&std::ffi::OsStr]) {
        let (program, arguments) = words.split_first().unwrap();
        let status = self.command(sandbox, program.to_str().unwrap()).args(arguments).status().unwrap();
        assert!(status.success(), "{words:?}");
    }

    fn host(&self, sandbox: &Sandbox, name: &str) -> Client {
        let mut command = self.command(sandbox, sandbox.programs().palace_mcp.to_str().unwrap());
        command.env("PALACE_SELF_CHECK_SECS", "1").arg("--palace").arg(sandbox.palace());
        let mut host = Client::start(name, command);
        host.initialize();
        host
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn a_palace_that_is_unmounted_is_let_go_of_and_nothing_is_made_in_its_place() {
    let sandbox = sandbox();
    let volume: PathBuf = sandbox.home().join("volume");
    for folder in [&volume, &sandbox.palace()] {
        std::fs::create_dir(folder).unwrap();
    }
    let palace = sandbox.palace();
    let Some(namespace) = Namespace::new(&sandbox, &volume) else { return };
    let mut host = namespace.host(&sandbox, "host");
    host.add("wing", "room", "on the volume");
    let [first] = sandbox.daemons()[..] else { panic!("one daemon: {:?}", sandbox.daemons()) };
    // What is in use can only be taken out of sight, as a disk that is pulled is.
    namespace.run(&sandbox, &["umount".as_ref(), "--lazy".as_ref(), sandbox.palace().as_os_str()]);
    wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&first));
    assert_eq!(sandbox.daemons(), [0; 0], "nobody asked for anything since");
    let left: Vec<_> =
        std::fs::read_dir(sandbox.palace()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}: something was written where the volume was mounted");

    let mount = ["mount".as_ref(), "--bind".as_ref(), volume.as_os_str(), palace.as_os_str()];
    namespace.run(&sandbox, &mount);
    assert_eq!(host.found("on the volume"), ["on the volume"], "the session goes on");
    let mut late = namespace.host(&sandbox, "late");
    late.add("wing", "room", "back again");
    assert_eq!(sandbox.daemons().len(), 1);
    let verified = namespace.command(&sandbox, sandbox.programs().palacectl.to_str().unwrap());
    let mut verified = verified;
    let verified = verified.arg("--palace").arg(sandbox.palace()).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    daemon::stop(&sandbox.palace());
}

/// A call after the volume had gone started a daemon on the bare mount point, which made an empty palace there.
#[test]
fn a_call_while_the_palace_is_unmounted_makes_no_empty_one() {
    let sandbox = sandbox();
    let volume: PathBuf = sandbox.home().join("volume");
    let palace = sandbox.palace();
    for folder in [&volume, &palace] {
        std::fs::create_dir(folder).unwrap();
    }
    let Some(namespace) = Namespace::new(&sandbox, &volume) else { return };
    let mut worked = namespace.host(&sandbox, "worked");
    worked.add("wing", "room", "on the volume");
    // It has asked for nothing yet, and knows the palace all the same.
    let mut idle = namespace.host(&sandbox, "idle");
    for daemon_lives in [true, false] {
        if !daemon_lives {
            daemon::stop(&palace);
        }
        namespace.run(&sandbox, &["umount".as_ref(), "--lazy".as_ref(), palace.as_os_str()]);
        for host in [&mut worked, &mut idle] {
            // A daemon that has not noticed yet refuses the write itself.
            wait_until("the reason", SOON, || {
                let text = json!({"wing": "w", "room": "r", "content": "while it is gone"});
                let told = host.call("add_drawer", &text).to_string();
                assert!(!told.contains(r#""success":true"#), "{told}");
                told.contains("is its volume unmounted?")
            });
        }
        wait_until("the daemon's end", SOON, || sandbox.daemons().is_empty());
        let left: Vec<_> = std::fs::read_dir(&palace).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}: something was made where the volume was mounted");

        namespace
            .run(&sandbox, &["mount".as_ref(), "--bind".as_ref(), volume.as_os_str(), palace.as_os_str()]);
        for host in [&mut worked, &mut idle] {
            assert_eq!(host.call("status", &json!({}))["total_drawers"], 1, "at once, and nothing was added");
        }
        assert_eq!(sandbox.daemons().len(), 1);
    }
    daemon::stop(&palace);
}

/// Reads need a daemon, and a daemon a lock: a palace that may only be read is not served, and said to be so.
#[test]
fn a_palace_on_a_read_only_mount_is_told_and_served_when_it_may_be_written() {
    let sandbox = sandbox();
    let volume: PathBuf = sandbox.home().join("volume");
    let palace = sandbox.palace();
    for folder in [&volume, &palace] {
        std::fs::create_dir(folder).unwrap();
    }
    let Some(namespace) = Namespace::new(&sandbox, &volume) else { return };
    let mut host = namespace.host(&sandbox, "host");
    host.add("wing", "room", "while it could be written");
    daemon::stop(&palace);
    // A mount is busy as long as a file in it is open for writing, by a daemon that has just ended or a program that
    // another test is about to start with a copy of this one's descriptors.
    let remount = |options: &str| {
        wait_until("a mount that nobody writes to", SOON, || {
            let mut mount = namespace.command(&sandbox, "mount");
            mount.args(["-o", options]).arg(&palace).status().unwrap().success()
        });
    };
    remount("remount,bind,ro");
    for _ in 0..2 {
        let told = host.call("status", &json!({})).to_string();
        assert!(told.to_lowercase().contains("read-only"), "{told}");
    }
    assert_eq!(sandbox.daemons(), [0; 0]);
    remount("remount,bind,rw");
    wait_until("an answer", SOON, || host.call("list_wings", &json!({}))["wings"]["wing"] == 1);
    assert_eq!(host.found("while it could"), ["while it could be written"]);
    assert_eq!(sandbox.daemons().len(), 1);
    daemon::stop(&palace);
}
