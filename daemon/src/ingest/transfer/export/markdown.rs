//! An export as Markdown: a directory for people, one file for each room. The import does not read it.
//!
//! ```text
//! index.md   knowledge-graph.md   <wing>/<room>.md   diary/<agent>.md
//! ```

mod graph;
mod names;
mod page;
mod section;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::ingest::job::JobError;
use crate::palace::{Filter, Palace, Row, View};

use super::target::sync_dir;
use super::{Export, Sums, Target};
use names::Names;
use page::Page;

/// Folder of the diaries.
const DIARY_DIR: &str = "diary";
/// Room in which diaries stand.
const DIARY_ROOM: &str = "diary";
const INDEX_FILE: &str = "index.md";
const GRAPH_FILE: &str = "knowledge-graph.md";

/// Writes the export and brings it to disk.
pub fn write(export: &Export<'_>, target: &Target) -> Result<Sums, JobError> {
    let total = Palace::count_rows(export.snapshot, &export.filter).map_err(JobError::of)?;
    export.progress.phase("exporting drawers", Some(total));
    let mut tree = Tree { export, target, sums: Sums::default(), dirs: BTreeSet::new() };
    let mut index = section::opening("Palace", &export.selection);
    tree.rooms(&mut index)?;
    tree.diaries(&mut index)?;
    if export.is_whole() {
        export.progress.phase("exporting the knowledge graph", None);
        let (text, count) = graph::text(export.snapshot, &mut tree.sums.damaged)?;
        tree.sums.records = count;
        tree.page(Path::new(GRAPH_FILE), &text)?;
        let _ = write!(index, "\n{}\n", section::link("Knowledge graph", &[GRAPH_FILE]));
    }
    tree.page(Path::new(INDEX_FILE), &index)?;
    for dir in &tree.dirs {
        sync_dir(dir).map_err(|error| target.failed(&error))?;
    }
    Ok(tree.sums)
}

struct Tree<'t> {
    export: &'t Export<'t>,
    target: &'t Target,
    sums: Sums,
    /// Directories that were made.
    dirs: BTreeSet<PathBuf>,
}

impl Tree<'_> {
    /// Writes a file of each room, and its line of the index.
    fn rooms(&mut self, index: &mut String) -> Result<(), JobError> {
        let export = self.export;
        let counts = export.snapshot.counts().map_err(JobError::of)?;
        let chosen = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|one| one == name);
        let mut folders = Names::without(&[DIARY_DIR, INDEX_FILE, GRAPH_FILE]);
        index.push_str("\n| wing | room | drawers |\n|---|---|--:|\n");
        for (wing, rooms) in counts.wings.iter().filter(|(wing, _)| chosen(&export.filter.wing, wing)) {
            let folder = folders.take(wing, "");
            let mut files = Names::without(&[]);
            for room in rooms.keys().filter(|room| chosen(&export.filter.room, room)) {
                let file = files.take(room, ".md");
                let filter =
                    Filter { wing: Some(wing.clone()), room: Some(room.clone()), ..export.filter.clone() };
                let title = section::title(&format!("{wing} / {room}"));
                let mut page = Page::new(self.target.tmp().join(&folder).join(&file), title);
                self.each_drawer(&filter, &mut |rows| match agent(rows) {
                    Some(_) => Ok(()),
                    None => page.add(&section::drawer(rows)),
                })?;
                let count = self.finish(page)?;
                self.sums.drawers += count;
                if count > 0 {
                    let link = section::link(room, &[&folder, &file]);
                    let _ = writeln!(index, "| {} | {link} | {count} |", section::plain(wing));
                }
            }
        }
        Ok(())
    }

    /// Writes a file of each agent's diary, and its line of the index.
    fn diaries(&mut self, index: &mut String) -> Result<(), JobError> {
        let export = self.export;
        if export.filter.room.as_deref().is_some_and(|room| room != DIARY_ROOM) {
            return Ok(());
        }
        let filter = Filter { room: Some(DIARY_ROOM.to_owned()), ..export.filter.clone() };
        let mut files = Names::without(&[]);
        let mut pages: BTreeMap<String, (String, Page)> = BTreeMap::new();
        let mut last = String::new();
        let dir = self.target.tmp().join(DIARY_DIR);
        self.each_drawer(&filter, &mut |rows| {
            let Some(agent) = agent(rows) else { return Ok(()) };
            // Entries of agents alternate, and files that are open are limited: one at a time is.
            if last != agent {
                if let Some((_, page)) = pages.get_mut(&last) {
                    page.rest()?;
                }
                agent.clone_into(&mut last);
            }
            let (_, page) = pages.entry(agent.to_owned()).or_insert_with(|| {
                let file = files.take(agent, ".md");
                let title = section::title(&format!("Diary of {agent}"));
                (file.clone(), Page::new(dir.join(file), title))
            });
            page.add(&section::drawer(rows))
        })?;
        if !pages.is_empty() {
            index.push_str("\n| diary | entries |\n|---|--:|\n");
        }
        for (agent, (file, page)) in pages {
            let count = self.finish(page)?;
            self.sums.drawers += count;
            let _ = writeln!(index, "| {} | {count} |", section::link(&agent, &[DIARY_DIR, &file]));
        }
        Ok(())
    }

    /// Calls `visit` with the rows of each drawer of a room, and counts them once they are written.
    fn each_drawer(
        &mut self,
        filter: &Filter,
        visit: &mut dyn FnMut(&[Row]) -> io::Result<()>,
    ) -> Result<(), JobError> {
        let (export, target, sums) = (self.export, self.target, &mut self.sums);
        let Sums { damaged, rows: done, .. } = sums;
        let mut named = Vec::new();
        let mut failed = None;
        let mut take = |rows: Vec<Row>| {
            *done += rows.len() as u64;
            let taken = visit(&rows).map_err(|error| target.failed(&error));
            taken.and_then(|()| export.progress.done(*done)).map_err(|error| failed = Some(error)).is_ok()
        };
        Palace::each_drawer(export.snapshot, filter, &mut named, &mut take).map_err(JobError::of)?;
        // Diaries are met with their rooms and again by themselves.
        named.retain(|one| !damaged.contains(one));
        damaged.extend(named);
        failed.map_or(Ok(()), Err)
    }

    /// Writes a whole file.
    fn page(&mut self, name: &Path, text: &str) -> Result<(), JobError> {
        let mut page = Page::new(self.target.tmp().join(name), String::new());
        page.add(text).map_err(|error| self.target.failed(&error))?;
        self.finish(page).map(drop)
    }

    /// Brings a file to disk; returns how many sections it has.
    fn finish(&mut self, page: Page) -> Result<u64, JobError> {
        let dirs = page.path().ancestors().skip(1).take_while(|dir| dir.starts_with(self.target.tmp()));
        let dirs: Vec<PathBuf> = dirs.map(Path::to_owned).collect();
        let (count, bytes) = page.finish().map_err(|error| self.target.failed(&error))?;
        if count > 0 {
            self.dirs.extend(dirs);
            self.sums.files += 1;
            self.sums.bytes += bytes;
        }
        Ok(count)
    }
}

/// Returns whose diary entry a drawer is, if it is one.
fn agent(rows: &[Row]) -> Option<&str> {
    let head = rows.first()?;
    Some(head.text("agent")).filter(|agent| head.room == DIARY_ROOM && !agent.is_empty())
}
