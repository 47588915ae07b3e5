//! Palaces made by hand, one trait or damage at a time, and what the reader makes of them.

mod beside;
mod damage;
mod exact;
mod fixtures;
mod full_text;
mod fuzz;
mod lists;
mod maker;
mod pickles;
mod rows;
mod source;
mod vectors;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Places, SourceRow, UpstreamError, UpstreamPalace, open};
use crate::palace::MetaValue;

/// A home with an empty palace, and a scratch directory elsewhere.
struct Home {
    dir: TempDir,
    scratch: TempDir,
}

impl Home {
    fn new() -> Home {
        let home = Home { dir: TempDir::new().unwrap(), scratch: TempDir::new().unwrap() };
        std::fs::create_dir_all(home.palace()).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn palace(&self) -> PathBuf {
        self.path().join(".mempalace/palace")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(".mempalace").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn open(&self) -> UpstreamPalace {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<UpstreamPalace, UpstreamError> {
        open(&Places::of(&self.palace(), Some(self.path())), self.scratch.path())
    }
}

/// Returns all drawers after a cursor.
fn drawers_after(palace: &UpstreamPalace, after: Option<i64>) -> Vec<SourceRow> {
    let mut rows = Vec::new();
    let mut take = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    palace.each_row("mempalace_drawers", after, &mut take).unwrap();
    rows
}

fn drawers(palace: &UpstreamPalace) -> Vec<SourceRow> {
    drawers_after(palace, None)
}

/// Returns ids and texts, as `id=text`.
fn texts(rows: &[SourceRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{}={}", row.id, row.document.as_deref().unwrap_or("-"))).collect()
}

/// Returns the losses, as `what id`.
fn losses(palace: &UpstreamPalace) -> Vec<String> {
    palace.losses().unwrap().iter().map(|loss| format!("{:?} {}", loss.what, loss.id)).collect()
}

fn text(value: &str) -> MetaValue {
    MetaValue::Text(value.to_owned())
}
