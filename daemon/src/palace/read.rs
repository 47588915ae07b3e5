//! Questions about what is stored: one drawer, a page of drawers, one source.

use crate::engine::{DamagedRow, Page, ReadError, Row, Snapshot, View};

use super::bookkeeping;
use super::decide::rows_of;

/// Most characters of a drawer's text in a listing.
pub const PREVIEW_CHARS: usize = 200;

/// A drawer as a reader sees it: its chunks put together again.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawer {
    /// Its id.
    pub id: String,
    /// The whole text, verbatim.
    pub content: String,
    /// Its first row: wing, room, metadata.
    pub head: Row,
    /// Ids of its rows when they are chunks.
    pub chunk_ids: Vec<String>,
}

/// One page of drawers.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawerPage {
    /// Drawers in the order of their ids; `content` is cut one character after [`PREVIEW_CHARS`]: who shows it sees that
    /// there is more.
    pub drawers: Vec<Drawer>,
    /// Drawers on all pages.
    pub total: u64,
    /// Drawers of this page that cannot be read; the others are shown all the same.
    pub unreadable: Vec<DamagedRow>,
}

/// Returns the drawer of that id, or the single chunk of that id; `None` when there is neither.
///
/// # Errors
/// When a record cannot be read; never a text that is not the stored one.
pub fn drawer(snapshot: &Snapshot, id: &str) -> Result<Option<Drawer>, ReadError> {
    Ok(assemble(id, rows_of(snapshot, id)?))
}

/// Returns the drawers of a page of rows, put together again.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn shown(snapshot: &Snapshot, page: Page) -> Result<DrawerPage, ReadError> {
    let mut unreadable = page.unreadable;
    let mut drawers = Vec::with_capacity(page.rows.len());
    for row in page.rows.into_iter().filter(|row| !bookkeeping::is_bookkeeping(row)) {
        let id = row.drawer_id().to_owned();
        let rows = if row.parent_id.is_some() { snapshot.chunks_of(&id) } else { Ok(vec![row]) };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                unreadable.push(error.into_damaged_row()?);
                continue;
            }
        };
        if let Some(mut drawer) = assemble(&id, rows) {
            drawer.content = drawer.content.chars().take(PREVIEW_CHARS + 1).collect();
            drawers.push(drawer);
        }
    }
    Ok(DrawerPage { drawers, total: page.total, unreadable })
}

/// What one source left in the palace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceContent {
    /// Rows.
    pub rows: usize,
    /// Index cards.
    pub closets: usize,
    /// Wings and rooms of its rows, at most [`SOURCE_PLACES_MAX`].
    pub places: Vec<(String, String)>,
}

/// Most places shown of one source.
pub const SOURCE_PLACES_MAX: usize = 5;

/// Returns what one source left in the palace.
///
/// # Errors
/// When a record cannot be read.
pub fn source(snapshot: &Snapshot, source_file: &str) -> Result<SourceContent, ReadError> {
    let ids = snapshot.ids_by_source(source_file)?;
    let mut found = SourceContent {
        rows: ids.len(),
        closets: super::closets::count(snapshot, source_file)?,
        places: Vec::new(),
    };
    for id in ids {
        if found.places.len() == SOURCE_PLACES_MAX {
            break;
        }
        if let Some(row) = snapshot.row(&id)? {
            let place = (row.wing, row.room);
            if !found.places.contains(&place) {
                found.places.push(place);
            }
        }
    }
    Ok(found)
}

/// Returns the drawer that rows are, in their order; `None` when there are none.
pub(super) fn assemble(id: &str, rows: Vec<Row>) -> Option<Drawer> {
    let grouped = rows.first().is_some_and(|row| row.id != id);
    let content = rows.iter().map(|row| row.document.as_str()).collect();
    let chunk_ids = rows.iter().filter(|_| grouped).map(|row| row.id.clone()).collect();
    let head = rows.into_iter().next()?;
    Some(Drawer { id: id.to_owned(), content, head, chunk_ids })
}
