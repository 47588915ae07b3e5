//! Listings of drawers: a page costs what is on it, wherever it is.
//!
//! The store orders drawers by id and cannot skip to the ten thousandth, so ids whose places are known from earlier pages
//! are kept in memory as landmarks, for the few listings that were asked for last. Drawers that are filed move them; a
//! commit that changed or removed a row takes them away, and the next pages find them anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::{Filter, Landmark, Listing, Page, ReadError, RowKey, Seq, Snapshot, View};

use super::bookkeeping::{self, Hidden};
use super::read::{self, DrawerPage};

/// Listings whose landmarks are kept.
const LISTING_COUNT_MAX: usize = 8;
/// New rows that move landmarks; after more of them, walking is as good.
const MOVE_COUNT_MAX: usize = 512;
/// Landmarks are at least so many drawers apart.
const LANDMARK_DISTANCE_MIN: usize = 256;

/// What is known of the listings that were asked for.
#[derive(Default)]
pub struct Listings {
    /// The one that was asked for last comes last. Guards lookups; the store is never read under it.
    known: Mutex<Vec<Known>>,
}

/// What is known of one listing.
#[derive(Clone)]
struct Known {
    filter: Filter,
    seq: Seq,
    /// Greatest key of a row that the landmarks count.
    last_key: RowKey,
    /// In the order of their places.
    landmarks: Arc<Vec<Landmark>>,
}

impl Listings {
    /// Returns a page of drawers, and how many there are.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn page(
        &self,
        snapshot: &Snapshot,
        hidden: &Hidden,
        filter: &Filter,
        offset: usize,
        limit: usize,
    ) -> Result<DrawerPage, ReadError> {
        let landmarks =
            if filter.is_by_place() { self.landmarks(snapshot, hidden, filter)? } else { Arc::default() };
        let from = landmarks.iter().rfind(|mark| mark.position <= offset).cloned().unwrap_or_default();
        let omit = bookkeeping::OMIT;
        let listing = Listing { filter, omit, hidden: &hidden.rows, from: &from, offset, limit };
        let mut page = snapshot.listed(&listing)?;
        if filter.is_by_place() {
            page.total = page.total.saturating_sub(hidden.drawers(filter));
            self.keep(snapshot, filter, landmarks, &mut page)?;
        }
        read::shown(snapshot, page)
    }

    /// Returns the landmarks of a listing as they are in a snapshot; none where they are not known.
    fn landmarks(
        &self,
        snapshot: &Snapshot,
        hidden: &Hidden,
        filter: &Filter,
    ) -> Result<Arc<Vec<Landmark>>, ReadError> {
        let known = self.known.lock().iter().find(|known| known.filter == *filter).cloned();
        match known {
            Some(known) if known.seq == snapshot.seq() => Ok(known.landmarks),
            // Another thread looked at a later state.
            Some(known) if known.seq > snapshot.seq() => Ok(Arc::default()),
            Some(known) => Ok(known.moved(snapshot, hidden)?.map(Arc::new).unwrap_or_default()),
            None => Ok(Arc::default()),
        }
    }

    fn keep(
        &self,
        snapshot: &Snapshot,
        filter: &Filter,
        landmarks: Arc<Vec<Landmark>>,
        page: &mut Page,
    ) -> Result<(), ReadError> {
        let passed = std::mem::take(&mut page.landmarks);
        let landmarks = if passed.is_empty() { landmarks } else { Arc::new(merged(&landmarks, passed)) };
        let (filter, seq) = (filter.clone(), snapshot.seq());
        let anew = Known { filter, seq, last_key: snapshot.last_row_key()?, landmarks };
        let mut known = self.known.lock();
        match known.iter().position(|known| known.filter == anew.filter) {
            Some(at) if known[at].seq > anew.seq => return Ok(()),
            Some(at) => drop(known.remove(at)),
            None if known.len() == LISTING_COUNT_MAX => drop(known.remove(0)),
            None => {}
        }
        known.push(anew);
        Ok(())
    }
}

impl Known {
    /// Returns the landmarks as they are in a later snapshot; `None` when its commits did more than file drawers.
    fn moved(&self, snapshot: &Snapshot, hidden: &Hidden) -> Result<Option<Vec<Landmark>>, ReadError> {
        let Some(touched) = snapshot.touched_since(self.seq)? else { return Ok(None) };
        if touched.len() > MOVE_COUNT_MAX || touched.iter().any(|key| *key <= self.last_key) {
            return Ok(None);
        }
        let mut filed = BTreeSet::new();
        for key in touched {
            let row = match snapshot.row_at(key) {
                Ok(Some(row)) => row,
                // Filed and removed again.
                Ok(None) => continue,
                Err(error) => return error.into_damaged_row().map(|_| None),
            };
            if self.filter.admits(&row) && !bookkeeping::is_omitted(&row) && !hidden.rows.contains(key) {
                let drawer = row.drawer_id().to_owned();
                filed.insert((row.wing, row.room, drawer));
            }
        }
        let mut landmarks = (*self.landmarks).clone();
        for (wing, room, drawer) in filed {
            // A drawer that had rows in this room before is on its page already.
            let is_new =
                snapshot.rows_on_shelf(&wing, &room, &drawer)?.iter().all(|key| *key > self.last_key);
            if is_new {
                for mark in landmarks.iter_mut().rev().take_while(|mark| mark.drawer > drawer) {
                    mark.position += 1;
                }
            }
        }
        Ok(Some(landmarks))
    }
}

/// Joins landmarks in the order of their places and drops those too close to the one before.
fn merged(known: &[Landmark], passed: Vec<Landmark>) -> Vec<Landmark> {
    let mut all = [known, &passed].concat();
    all.sort_by_key(|mark| mark.position);
    let mut last = 0;
    all.retain(|mark| {
        let is_apart = mark.position - last >= LANDMARK_DISTANCE_MIN;
        if is_apart {
            last = mark.position;
        }
        is_apart
    });
    all
}

#[cfg(test)]
mod tests;
