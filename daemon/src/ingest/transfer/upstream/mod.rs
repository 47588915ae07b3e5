//! Reads palaces written by MemPalace, the Python program, without MemPalace, Python or Chroma.
//!
//! The source is never written, not even its times: databases are copied and opened in the scratch directory, every
//! other file is opened to be read. It must stand still meanwhile; where it does not, reading ends with an error.
//! Damage does not end it: what can be read is handed on, what cannot is told by [`UpstreamPalace::losses`]. Memory does
//! not grow with the palace; what has to be joined is joined in the scratch directory.

mod beside;
mod carve;
mod chroma;
mod content;
mod database;
mod error;
mod exact;
mod files;
mod hnsw;
mod inventory;
mod model;
mod pickle;
mod places;
mod row;
mod salvage;
mod scratch;
mod vector;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Map, Value};

pub use beside::side_files::SideFile;
pub use error::{Loss, Lost, UpstreamError};
pub use inventory::{Backend, CollectionInventory, Inventory, VectorCounts};
pub use model::Model;
pub use places::Places;
pub use row::SourceRow;

use beside::graph::{self, Kind};
use beside::links::Links;
use beside::log::Log;
use beside::side_files;
use chroma::Chroma;
use exact::Exact;
use scratch::Scratch;

/// Name of the collection of drawers unless the settings name another.
const DRAWERS: &str = "mempalace_drawers";
/// Name of the collection of closets.
const CLOSETS: &str = "mempalace_closets";

/// A palace of MemPalace, opened to be read.
pub struct UpstreamPalace {
    store: Store,
    scratch: Scratch,
    log: Log,
    links: Links,
    files: Vec<SideFile>,
    notes: Vec<String>,
}

enum Store {
    Chroma(Chroma),
    Exact(Exact),
}

/// Opens a palace. Blocks for as long as it takes to copy its databases and go through its index.
///
/// `scratch` is a directory of the caller's, best one that only they can read, with room for the databases and a third
/// more; what is left in it from another time is overwritten, and it may be removed once the palace is closed.
///
/// # Errors
/// When there is no palace, when it is being written, or when its main database cannot be read at all.
pub fn open(places: &Places, scratch: &Path) -> Result<UpstreamPalace, UpstreamError> {
    let has = |name: &str| files::stamp(&places.palace.join(name)).map(|stamp| stamp.is_some());
    let (has_chroma, has_exact) = (has(chroma::FILE)?, has(exact::FILE)?);
    if !has_chroma && !has_exact {
        return Err(UpstreamError::NotAPalace { path: places.palace.clone() });
    }
    refuse_scratch_in_source(places, scratch)?;
    let dir = scratch;
    let scratch = Scratch::create(dir)?;
    let mut notes = Vec::new();
    let files = side_files::read(places, &scratch, &mut notes)?;
    let models = model::Record::read(&places.palace, &mut notes);
    let is_exact =
        has_exact && (!has_chroma || setting(&files, "backend").is_some_and(|name| name.ends_with("_exact")));
    if has_chroma && has_exact {
        let left_out = if is_exact { chroma::FILE } else { exact::FILE };
        notes.push(format!("the palace has two stores; {left_out} is left out"));
    }
    let store = if is_exact {
        Store::Exact(Exact::open(&places.palace, dir, &models, &mut notes)?)
    } else {
        Store::Chroma(Chroma::open(&places.palace, dir, &scratch, &models, &mut notes)?)
    };
    graph::merge(places, dir, &scratch, &mut notes)?;
    let log = Log::open(&places.palace, dir, &scratch, &mut notes)?;
    let links = Links::read(&places.palace, &scratch)?;
    Ok(UpstreamPalace { store, scratch, log, links, files, notes })
}

/// Tells whether a directory looks like a palace of MemPalace.
pub fn is_palace(dir: &Path) -> bool {
    [chroma::FILE, exact::FILE].iter().any(|name| dir.join(name).is_file())
}

impl UpstreamPalace {
    /// Returns what the palace has.
    ///
    /// # Errors
    /// When a database fails.
    pub fn inventory(&self) -> Result<Inventory, UpstreamError> {
        let mut notes = self.notes.clone();
        let (backend, collections) = match &self.store {
            Store::Chroma(chroma) => {
                notes.extend(chroma.notes());
                (Backend::Chroma, chroma.inventory(&self.scratch)?)
            }
            Store::Exact(exact) => (Backend::SqliteExact, exact.inventory()?),
        };
        let named = |name: &str| collections.iter().any(|known| known.name == name).then(|| name.to_owned());
        let (event_count, artifact_count) = self.log.counts()?;
        let configured = setting(&self.files, "collection_name");
        Ok(Inventory {
            backend,
            drawers: configured.and_then(|name| named(&name)).or_else(|| named(DRAWERS)),
            closets: named(CLOSETS),
            fact_count: graph::count(&self.scratch, Kind::Fact)?,
            entity_count: graph::count(&self.scratch, Kind::Entity)?,
            tunnel_count: self.links.tunnels.len() as u64,
            hallway_count: self.links.hallways.len() as u64,
            event_count,
            artifact_count,
            files: self.files.iter().map(|file| file.name.clone()).collect(),
            notes,
            collections,
        })
    }

    /// Hands on the rows of a collection in the order of their cursors, those after `after`, until it breaks.
    ///
    /// # Errors
    /// When there is no such collection, a file has changed or a database fails; damage is no error.
    pub fn each_row(
        &self,
        collection: &str,
        after: Option<i64>,
        visit: &mut dyn FnMut(SourceRow) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        match &self.store {
            Store::Chroma(chroma) => chroma.each_row(&self.scratch, collection, after, visit),
            Store::Exact(exact) => exact.each_row(&self.scratch, collection, after, visit),
        }
    }

    /// Hands on about `count` rows of a collection, evenly spread over it.
    ///
    /// # Errors
    /// As [`UpstreamPalace::each_row`].
    pub fn each_of_sample(
        &self,
        collection: &str,
        count: u64,
        visit: &mut dyn FnMut(SourceRow),
    ) -> Result<(), UpstreamError> {
        let places = match &self.store {
            Store::Chroma(chroma) => chroma.spread(&self.scratch, collection, count)?,
            Store::Exact(exact) => exact.spread(collection, count)?,
        };
        for place in places {
            self.each_row(collection, Some(place), &mut |row| {
                visit(row);
                ControlFlow::Break(())
            })?;
        }
        Ok(())
    }

    /// Hands on the entities of the knowledge graph, oldest first, as their columns.
    ///
    /// # Errors
    /// When the scratch database fails.
    pub fn each_entity(
        &self,
        visit: &mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        graph::each(&self.scratch, Kind::Entity, visit)
    }

    /// Hands on the facts of the knowledge graph, oldest first, as their columns.
    ///
    /// # Errors
    /// When the scratch database fails.
    pub fn each_fact(
        &self,
        visit: &mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        graph::each(&self.scratch, Kind::Fact, visit)
    }

    /// Hands on the events in the order they arrived, as their columns and `artifact_ids`.
    ///
    /// # Errors
    /// When a database fails; damage is no error.
    pub fn each_event(
        &self,
        visit: &mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        self.log.each_event(&self.scratch, visit)
    }

    /// Hands on the artifacts in the order they were stored, as their columns.
    ///
    /// # Errors
    /// When a database fails; damage is no error.
    pub fn each_artifact(
        &self,
        visit: &mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        self.log.each_artifact(&self.scratch, visit)
    }

    /// Returns the tunnels, as stored.
    pub fn tunnels(&self) -> &[Value] {
        &self.links.tunnels
    }

    /// Returns the hallways, as stored.
    pub fn hallways(&self) -> &[Value] {
        &self.links.hallways
    }

    /// Returns the small files, verbatim.
    pub fn files(&self) -> &[SideFile] {
        &self.files
    }

    /// Returns what was lost so far: rows when the palace was opened, texts and metadata as their rows were read.
    ///
    /// # Errors
    /// When the scratch database fails.
    pub fn losses(&self) -> Result<Vec<Loss>, UpstreamError> {
        self.scratch.losses()
    }
}

/// Returns a text of the settings.
fn setting(files: &[SideFile], name: &str) -> Option<String> {
    let config = files.iter().find(|file| file.name == "config.json")?;
    let config: Value = serde_json::from_slice(&config.bytes).ok()?;
    Some(config.get(name)?.as_str()?.to_owned())
}

/// Refuses a scratch directory whose use would change the source or its times.
fn refuse_scratch_in_source(places: &Places, scratch: &Path) -> Result<(), UpstreamError> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let scratch = scratch.canonicalize().map_err(UpstreamError::io(scratch))?;
    let is_in_palace = scratch.starts_with(real(&places.palace));
    let mut dirs = places.config_dirs.iter().map(|dir| dir.as_path()).chain(places.palace.parent());
    if is_in_palace || dirs.any(|dir| real(dir) == scratch) {
        return Err(UpstreamError::ScratchInSource { path: scratch });
    }
    Ok(())
}
