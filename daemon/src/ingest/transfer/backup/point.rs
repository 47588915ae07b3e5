//! Points in time that can be restored: the list for people, and the choice of one.

use std::path::{Path, PathBuf};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::clock;
use crate::palace::{Seq, Timestamp};

use super::chain::{self, Entry, chain_of};
use super::folder::{Folder, look, scan};
use super::store_name;

/// Which point is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// The newest.
    Newest,
    /// The one at this position in history.
    Seq(Seq),
    /// The newest that was taken no later.
    Time(Timestamp),
}

impl At {
    /// Reads a point as people name it: a position (`1234`), a time (`2026-01-31T09:05:07Z`, `20260131T090507Z`) or a day
    /// (`2026-01-31`, UTC), which means its end.
    ///
    /// # Errors
    /// Says what can be named.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(Seq(seq)));
        }
        // Names of backups and the list have whole seconds; a backup that was taken within the second is meant.
        let second = |time: jiff::Timestamp| time.as_second() * 1_000 + 999;
        let utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
        let stamp = || DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok().and_then(utc);
        let day = || Date::strptime("%Y-%m-%d", text).ok().and_then(|day| utc(day.at(23, 59, 59, 0)));
        let time = text.parse::<jiff::Timestamp>().ok().or_else(stamp).or_else(day).map(second);
        time.map(|time| Self::Time(Timestamp(time))).ok_or_else(|| {
            format!("{text} is no point in time: name one as `palacectl backup list` shows it, a day, or a position")
        })
    }
}

/// Returns the chain that ends at the wanted point of a file or folder, the full backup first. With several stores in a
/// folder the point has to be unmistakable, unless the folder is the palace's `own`; there the points of its own `store` come first, if that is known.
///
/// # Errors
/// Says what is not there, and what is.
pub fn choose(from: &Path, at: &At, own: &Path, store: Option<[u8; 16]>) -> Result<Vec<Entry>, String> {
    let is_folder = std::fs::metadata(from).map_err(|error| format!("{}: {error}", from.display()))?.is_dir();
    if !is_folder {
        return of_file(from, at);
    }
    let folder = scan(from).map_err(|error| format!("{}: {error}", from.display()))?;
    if folder.entries.is_empty() {
        return Err(format!("there is no backup in {}", from.display()));
    }
    let is_own =
        std::fs::canonicalize(from).ok().is_some_and(|from| std::fs::canonicalize(own).ok() == Some(from));
    let chosen = pick(&folder.entries, at, if is_own { Whose::Own(store) } else { Whose::Other })?;
    Ok(chosen.into_iter().cloned().collect())
}

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The palace's own, with the identity of its store as far as that is known.
    Own(Option<[u8; 16]>),
    /// Anybody's.
    Other,
}

/// Returns the chain of the wanted point. Pure.
pub fn pick<'e>(entries: &'e [Entry], at: &At, whose: Whose) -> Result<Vec<&'e Entry>, String> {
    let mut admitted: Vec<&Entry> = entries
        .iter()
        .filter(|entry| match at {
            At::Newest => true,
            At::Seq(seq) => entry.seq == *seq,
            At::Time(time) => entry.taken_at <= *time,
        })
        .collect();
    let store = match whose {
        Whose::Own(store) => store,
        Whose::Other => None,
    };
    chain::sort(&mut admitted, store);
    let Some(newest) = admitted.last() else {
        let oldest = entries.iter().min_by_key(|entry| entry.taken_at);
        let oldest =
            oldest.map(|entry| clock::rfc3339(entry.taken_at.0.div_euclid(1_000))).unwrap_or_default();
        return Err(format!(
            "no backup is of that point; the oldest is of {oldest}; see `palacectl backup list`"
        ));
    };
    if whose == Whose::Other && admitted.iter().any(|entry| entry.store != newest.store) {
        return Err("the folder holds backups of several palaces; name the file of the wanted one".to_owned());
    }
    chain_of(entries, newest).ok_or_else(|| {
        format!(
            "{} {}; name an older point with --at, or its file",
            newest.path.display(),
            problem(entries, newest).unwrap_or_default()
        )
    })
}

fn of_file(path: &Path, at: &At) -> Result<Vec<Entry>, String> {
    if *at != At::Newest {
        return Err("--at chooses among the backups of a folder; a file is one of them already".to_owned());
    }
    let entry = look(path).map_err(|error| error.to_string())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut entries = if entry.since.is_none() {
        Vec::new()
    } else {
        scan(folder).map_err(|error| format!("{}: {error}", folder.display()))?.entries
    };
    // Under the name that was given: its folder may be reached by several.
    entries.retain(|known| known.path.file_name() != path.file_name());
    entries.push(entry.clone());
    let chain = chain_of(&entries, &entry);
    chain
        .map(|chain| chain.into_iter().cloned().collect())
        .ok_or_else(|| format!("{} {}", path.display(), problem(&entries, &entry).unwrap_or_default()))
}

/// Says why a backup cannot be restored.
fn problem(entries: &[Entry], entry: &Entry) -> Option<String> {
    if entry.cut_off {
        return Some("is damaged: it ends too early".to_owned());
    }
    if chain_of(entries, entry).is_some() {
        return None;
    }
    Some(format!(
        "holds only what changed since {}, and the backups before it are not all there",
        entry.since.unwrap_or_default()
    ))
}

/// Returns all points of a folder for people and programs, newest first; what cannot be read comes last.
pub fn list(folder: &Folder) -> Vec<Value> {
    let entries = &folder.entries;
    let readable = entries.iter().rev().map(|entry| {
        let chain: Option<Vec<&PathBuf>> =
            chain_of(entries, entry).map(|chain| chain.into_iter().map(|entry| &entry.path).collect());
        json!({
            "file": entry.path,
            "taken_at": clock::rfc3339(entry.taken_at.0.div_euclid(1_000)),
            "kind": if entry.since.is_none() { "full" } else { "part" },
            "store": store_name(&entry.store),
            "seq": entry.seq.0,
            "since": entry.since.map(|since| since.0),
            "rows": entry.rows,
            "bytes": entry.bytes,
            "restorable": chain.is_some(),
            "needs": chain.map(|chain| chain.len() - 1),
            "problem": problem(entries, entry),
        })
    });
    let unreadable = folder
        .unreadable
        .iter()
        .map(|file| json!({ "file": file.path, "restorable": false, "problem": file.reason }));
    readable.chain(unreadable).collect()
}
