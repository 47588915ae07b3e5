//! The text of systemd units and of a launchd agent, rendered from the files in `packaging/`. Pure.
//!
//! A path may hold anything but a line break; each format quotes it in its own way. The name of a service depends on
//! the palace alone, so installing twice replaces and two palaces never share one.

use std::path::Path;

use palace_protocol::endpoint::DAEMON_DIR;
use palace_protocol::service::SERVICE_SOCKET;
use sha2::{Digest, Sha256};

const SERVICE: &str = include_str!("../../../packaging/systemd/mempalaced.service");
const SOCKET: &str = include_str!("../../../packaging/systemd/mempalaced.socket");
const AGENT: &str = include_str!("../../../packaging/launchd/mempalaced.plist");
const AGENT_AT_LOGIN: &str = include_str!("../../../packaging/launchd/at-login.plist-part");
const AGENT_SOCKETS: &str = include_str!("../../../packaging/launchd/sockets.plist-part");

/// Who keeps a daemon running here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// systemd, for this user.
    Systemd,
    /// launchd, for this user.
    Launchd,
}

/// When the daemon is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// At login.
    Login,
    /// When the first client connects to the socket the manager listens on.
    Socket,
}

/// A file of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Where it belongs, below the home folder.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// A service that keeps one palace served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of the unit with `.service`, or label of the agent.
    pub name: String,
    /// Name of the socket's unit, whether or not this service has one; launchd has no such thing.
    pub socket_name: Option<String>,
    /// Its files, the main one first.
    pub files: Vec<UnitFile>,
}

/// Returns the service for a palace, or `None` when a path cannot be written into such a file.
pub fn service(manager: Manager, activation: Activation, daemon: &Path, palace: &Path) -> Option<Service> {
    let folder = palace.join(DAEMON_DIR);
    let socket = folder.join(SERVICE_SOCKET);
    let words = Words {
        daemon: daemon.to_str()?,
        palace: palace.to_str()?,
        folder: folder.to_str()?,
        socket: socket.to_str()?,
    };
    if [words.daemon, words.palace].iter().any(|path| path.contains(['\n', '\r', '\0'])) {
        return None;
    }
    let digest = Sha256::digest(words.palace.as_bytes());
    let key: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Some(match manager {
        Manager::Systemd => systemd(&key, activation, &words),
        Manager::Launchd => launchd(&key, activation, &words),
    })
}

struct Words<'a> {
    daemon: &'a str,
    palace: &'a str,
    folder: &'a str,
    socket: &'a str,
}

fn systemd(key: &str, activation: Activation, words: &Words<'_>) -> Service {
    let (name, socket_name) = (format!("mempalaced-{key}.service"), format!("mempalaced-{key}.socket"));
    let at = |name: &str| format!(".config/systemd/user/{name}");
    let (order, install) = match activation {
        Activation::Login => (String::new(), "WantedBy=default.target".to_owned()),
        Activation::Socket => {
            (format!("Requires={socket_name}\nAfter={socket_name}\n"), format!("Also={socket_name}"))
        }
    };
    let text = SERVICE
        .replace("@SOCKET_ORDER@\n", &format!("{order}\n"))
        .replace("@INSTALL@", &install)
        .replace("@DAEMON_QUOTED@", &program_quoted(words.daemon))
        .replace("@PALACE_QUOTED@", &argument_quoted(words.palace))
        .replace("@FOLDER@", &unexpanded(words.folder))
        .replace("@PALACE@", &unexpanded(words.palace));
    let mut files = vec![UnitFile { file: at(&name), text }];
    if activation == Activation::Socket {
        let text = SOCKET
            .replace("@SOCKET@", &unexpanded(words.socket))
            .replace("@FOLDER@", &unexpanded(words.folder))
            .replace("@PALACE@", &unexpanded(words.palace));
        files.push(UnitFile { file: at(&socket_name), text });
    }
    Service { name, socket_name: Some(socket_name), files }
}

fn launchd(key: &str, activation: Activation, words: &Words<'_>) -> Service {
    let name = format!("org.mempalaced.{key}");
    let start = match activation {
        Activation::Login => AGENT_AT_LOGIN.to_owned(),
        Activation::Socket => AGENT_SOCKETS.replace("@SOCKET@", &xml_escaped(words.socket)),
    };
    let text = AGENT
        .replace("@START@\n", &start)
        .replace("@LABEL@", &name)
        .replace("@DAEMON@", &xml_escaped(words.daemon))
        .replace("@PALACE@", &xml_escaped(words.palace));
    let files = vec![UnitFile { file: format!("Library/LaunchAgents/{name}.plist"), text }];
    Service { name, socket_name: None, files }
}

/// Writes a value that is one whole line: nothing is unquoted there, but `%` stands for something.
fn unexpanded(value: &str) -> String {
    value.replace('%', "%%")
}

/// Quotes the first word of `ExecStart`: C-style escapes, and `%`. A `$` means itself there.
fn program_quoted(word: &str) -> String {
    format!("\"{}\"", unexpanded(&word.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Quotes any other word of `ExecStart`: there `$` is expanded even in quotes.
fn argument_quoted(word: &str) -> String {
    program_quoted(word).replace('$', "$$")
}

fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
