//! The text of a systemd unit and of a launchd agent, rendered from the files in `packaging/`. Pure.
//!
//! A path may hold anything but a line break; each format quotes it in its own way. The name of a service depends on
//! the palace alone, so installing twice replaces and two palaces never share one.

use std::path::Path;

use sha2::{Digest, Sha256};

const UNIT: &str = include_str!("../../../packaging/systemd/mempalaced.service");
const AGENT: &str = include_str!("../../../packaging/launchd/mempalaced.plist");

/// Who keeps a daemon running here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// systemd, for this user.
    Systemd,
    /// launchd, for this user.
    Launchd,
}

/// A service that keeps one palace served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Name of the unit with `.service`, or label of the agent.
    pub name: String,
    /// Where the file belongs, below the home folder.
    pub file: String,
    /// The file.
    pub text: String,
}

/// Returns the service for a palace, or `None` when a path cannot be written into such a file.
pub fn unit(manager: Manager, daemon: &Path, palace: &Path) -> Option<Unit> {
    let (daemon, palace) = (daemon.to_str()?, palace.to_str()?);
    if daemon.contains(['\n', '\r']) || palace.contains(['\n', '\r']) {
        return None;
    }
    let digest = Sha256::digest(palace.as_bytes());
    let key: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Some(match manager {
        Manager::Systemd => {
            let name = format!("mempalaced-{key}.service");
            let text = UNIT
                .replace("@DAEMON_QUOTED@", &systemd_quoted(daemon))
                .replace("@PALACE_QUOTED@", &systemd_quoted(palace))
                .replace("@PALACE@", &palace.replace('%', "%%"));
            Unit { file: format!(".config/systemd/user/{name}"), name, text }
        }
        Manager::Launchd => {
            let name = format!("org.mempalaced.{key}");
            let text = AGENT
                .replace("@LABEL@", &name)
                .replace("@DAEMON@", &xml_escaped(daemon))
                .replace("@PALACE@", &xml_escaped(palace));
            Unit { file: format!("Library/LaunchAgents/{name}.plist"), name, text }
        }
    })
}

/// Quotes a word of `ExecStart`: C-style escapes, and `%` and `$` doubled because systemd expands them in quotes too.
fn systemd_quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(manager: Manager, palace: &str) -> Unit {
        unit(manager, Path::new("/opt/my bin/palaced"), Path::new(palace)).unwrap()
    }

    #[test]
    fn a_unit_starts_the_daemon_in_the_foreground_for_one_palace() {
        let unit = rendered(Manager::Systemd, "/home/u/50% $x \"q\"");
        let exec = unit.text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let expect =
            r#"ExecStart="/opt/my bin/palaced" --palace "/home/u/50%% $$x \"q\"" --managed-by systemd"#;
        assert_eq!(exec, expect);
        for line in ["Type=exec", "Restart=on-failure", "StartLimitBurst=5", "WantedBy=default.target"] {
            assert!(unit.text.lines().any(|found| found == line), "{line}");
        }
        assert!(!unit.text.contains('@'), "{}", unit.text);
        assert_eq!(unit.file, format!(".config/systemd/user/{}", unit.name));
    }

    #[test]
    fn an_agent_is_well_formed_for_any_path() {
        let agent = rendered(Manager::Launchd, "/Users/u/a & <b>");
        assert!(agent.text.contains("<string>/Users/u/a &amp; &lt;b&gt;</string>"), "{}", agent.text);
        assert!(agent.text.contains(&format!("<string>{}</string>", agent.name)));
        assert!(!agent.text.contains('@'), "{}", agent.text);
        assert_eq!(agent.file, format!("Library/LaunchAgents/{}.plist", agent.name));
    }

    #[test]
    fn a_service_belongs_to_its_palace() {
        let name = |palace| rendered(Manager::Systemd, palace).name;
        assert_eq!(name("/a"), name("/a"));
        assert_ne!(name("/a"), name("/b"));
        assert_eq!(unit(Manager::Systemd, Path::new("/palaced"), Path::new("/a\nExecStart=/evil")), None);
    }
}
