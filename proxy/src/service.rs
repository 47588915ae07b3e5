//! Whether a service manager keeps the palace served, and what that means for clients.
//!
//! Where one does, nobody else starts the daemon: a client connects, which is what starts it when the manager listens on
//! the socket, and otherwise waits for the manager to start it again. The record of the installed service is written and
//! removed by `palacectl service`; a running or crashed daemon's own record counts as well.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, ManagedBy, RECORD_FILE};
use palace_protocol::service::{SERVICE_FILE, SERVICE_FORMAT, SERVICE_SOCKET, ServiceRecord};
use palace_system::files::{self, Kept, Readers};
use palace_system::process;

use crate::connect::read_record;
use crate::{lock, os};

/// Who keeps a palace served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// systemd or launchd.
    pub managed_by: ManagedBy,
    /// Name of the service, where its record tells it.
    pub unit: Option<String>,
    /// Whether the manager listens for clients and starts the daemon for the first one.
    pub listens: bool,
}

impl Keeper {
    /// Returns the manager's name.
    pub fn manager(&self) -> &'static str {
        match self.managed_by {
            ManagedBy::Systemd => "systemd",
            ManagedBy::Launchd => "launchd",
            ManagedBy::Auto => "nobody",
        }
    }

    /// Returns how long the manager may take until somebody listens: systemd starts a failed daemon again after a
    /// second, launchd after ten.
    pub fn patience(&self) -> Duration {
        match self.managed_by {
            ManagedBy::Systemd | ManagedBy::Auto => Duration::from_secs(3),
            ManagedBy::Launchd => Duration::from_secs(12),
        }
    }

    /// Returns the command that shows what is wrong with the service.
    pub fn inspection(&self) -> String {
        let unit = self.unit.as_deref().unwrap_or("'mempalaced-*'");
        match self.managed_by {
            ManagedBy::Systemd => format!("systemctl --user status {unit}"),
            ManagedBy::Launchd => {
                let label = self.unit.as_deref().unwrap_or("org.mempalaced");
                format!("launchctl list | grep {label}")
            }
            ManagedBy::Auto => "palacectl status".to_owned(),
        }
    }
}

/// Nobody listens although a service manager keeps the palace served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} keeps {} served, but no daemon answers there; `{}` and `palacectl service status` tell why, `palacectl start` starts it, `palacectl service uninstall` lets clients start the daemon again",
    keeper.manager(), palace.display(), keeper.inspection()
)]
pub struct NobodyListens {
    /// Who should listen.
    pub keeper: Keeper,
    /// The palace.
    pub palace: PathBuf,
}

/// Returns who keeps the palace served; `None` when clients start its daemon.
pub fn keeper(palace: &Path) -> Option<Keeper> {
    if let Some(record) = read(palace) {
        return Some(Keeper {
            managed_by: record.managed_by,
            unit: Some(record.unit),
            listens: record.address.is_some(),
        });
    }
    let managed_by = read_record(palace)?.managed_by;
    match managed_by {
        ManagedBy::Systemd | ManagedBy::Launchd => Some(Keeper { managed_by, unit: None, listens: false }),
        ManagedBy::Auto => None,
    }
}

/// Reads the record of the palace's installed service.
pub fn read(palace: &Path) -> Option<ServiceRecord> {
    ServiceRecord::from_bytes(&files::read(&path(palace)).ok()?, palace.to_str()?, &process::machine_id())
}

/// Writes down that a service keeps the palace served. A service that is installed again keeps its token: clients may
/// be on their way with it.
///
/// # Errors
/// When the palace's private folder cannot be written.
pub fn write(palace: &Path, managed_by: ManagedBy, unit: &str, listens: bool) -> io::Result<()> {
    let token = read(palace).map_or_else(random_token, |record| record.token);
    let record = ServiceRecord {
        v: SERVICE_FORMAT,
        managed_by,
        unit: unit.to_owned(),
        address: listens.then(|| Address::Unix(socket(palace).display().to_string())),
        token,
        palace: palace.display().to_string(),
        machine: process::machine_id(),
    };
    make_folder(&palace.join(DAEMON_DIR))?;
    files::replace(&path(palace), &record.to_bytes(), Kept::Durably, Readers::Owner)
}

/// Removes the record, so that clients start the daemon by themselves again.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(palace: &Path) -> io::Result<()> {
    match std::fs::remove_file(path(palace)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes what a dead daemon of a former service left: its record would name a keeper that is gone, and launchd leaves
/// its socket behind. While a daemon lives nothing is removed.
pub fn forget_dead_daemon(palace: &Path) {
    lock::while_free(palace, || {
        if read_record(palace).is_some_and(|record| record.managed_by != ManagedBy::Auto) {
            // Gone already is as good.
            let _ = std::fs::remove_file(palace.join(DAEMON_DIR).join(RECORD_FILE));
        }
        let _ = std::fs::remove_file(socket(palace));
    });
}

/// Returns the path of the socket that a service manager listens on.
pub fn socket(palace: &Path) -> PathBuf {
    palace.join(DAEMON_DIR).join(SERVICE_SOCKET)
}

fn path(palace: &Path) -> PathBuf {
    palace.join(DAEMON_DIR).join(SERVICE_FILE)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match os::make_private_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn random_token() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_service_is_its_palaces_keeper_until_it_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let palace = home.path();
        assert_eq!(keeper(palace), None);
        write(palace, ManagedBy::Systemd, "x.service", true).unwrap();
        let first = read(palace).unwrap();
        assert_eq!(first.address, Some(Address::Unix(socket(palace).display().to_string())));
        let kept = keeper(palace).unwrap();
        assert_eq!(
            (kept.manager(), kept.listens, kept.unit.as_deref()),
            ("systemd", true, Some("x.service"))
        );
        write(palace, ManagedBy::Systemd, "x.service", false).unwrap();
        let again = read(palace).unwrap();
        assert_eq!((&again.token, &again.address), (&first.token, &None));
        remove(palace).unwrap();
        remove(palace).unwrap();
        assert_eq!(keeper(palace), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_record_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        write(home.path(), ManagedBy::Systemd, "x.service", true).unwrap();
        for (path, mode) in [(path(home.path()), 0o600), (home.path().join(DAEMON_DIR), 0o700)] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn the_error_says_where_to_look_and_what_to_do() {
        let keeper = Keeper { managed_by: ManagedBy::Systemd, unit: Some("x.service".into()), listens: true };
        let text = NobodyListens { keeper, palace: "/p".into() }.to_string();
        for part in ["systemctl --user status x.service", "palacectl service status", "/p"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
