//! The palace as its callers hold it: ask, tell, stop.

use crate::engine::embed::Embedder;
use crate::engine::{Counts, Engine, Filter, Reader, Snapshot, SnapshotError, View};

use super::bookkeeping::{self, Bookkeeping};
use super::diary::{Diaries, Pages};
use super::error::{QueryError, WriteError};
use super::events::Event;
use super::events::index::EventIndex;
use super::events::query::EventFilter;
use super::listing::Listings;
use super::read::{self, Drawer, DrawerPage, SourceContent};
use super::rooms::Rooms;
use super::search::{self, Found, Question};
use super::upkeep::Upkeep;
use super::writer::{Receipt, Submission, Trouble, Writer};

/// One open palace: its reader, its writer and its model. Shared by all sessions.
pub struct Palace {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) embedder: Embedder,
    pub(super) upkeep: Upkeep,
    diaries: Diaries,
    events: EventIndex,
    pub(super) bookkeeping: Bookkeeping,
    listings: Listings,
}

impl Palace {
    /// Takes over an open engine. What is removed is kept for `keep_removed_ms`, without one until it is purged.
    /// `on_trouble` is called when the palace must not go on.
    pub fn new(
        engine: Engine,
        reader: Reader,
        embedder: Embedder,
        keep_removed_ms: Option<i64>,
        on_trouble: impl Fn(Trouble) + Send + 'static,
    ) -> Self {
        let writer = Writer::start(engine, keep_removed_ms, on_trouble);
        let upkeep = Upkeep::start(reader.clone());
        Self {
            reader,
            writer,
            embedder,
            upkeep,
            diaries: Diaries::default(),
            events: EventIndex::default(),
            bookkeeping: Bookkeeping::default(),
            listings: Listings::default(),
        }
    }

    /// Returns a consistent view of the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, QueryError> {
        Ok(self.reader.snapshot()?)
    }

    /// Returns the number of rows per wing and room, bookkeeping left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn counts(&self) -> Result<Counts, QueryError> {
        let (snapshot, hidden) = self.bookkeeping.refresh(&self.reader)?;
        Ok(bookkeeping::counts(&snapshot, &hidden)?)
    }

    /// Returns how many rows of a room are no memories.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn bookkeeping_in(&self, wing: &str, room: &str) -> Result<u64, QueryError> {
        let (snapshot, hidden) = self.bookkeeping.refresh(&self.reader)?;
        let rows = |counts: &Counts| bookkeeping::rows_in(counts, wing, room);
        Ok(rows(&snapshot.counts()?).saturating_sub(rows(&bookkeeping::counts(&snapshot, &hidden)?)))
    }

    /// Returns the graph of rooms, bookkeeping left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn rooms(&self) -> Result<Rooms, QueryError> {
        let (snapshot, hidden) = self.bookkeeping.refresh(&self.reader)?;
        Ok(Rooms::of(&snapshot, &hidden)?)
    }

    /// Returns the drawer, or the single chunk, of that id.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn drawer(&self, id: &str) -> Result<Option<Drawer>, QueryError> {
        Ok(read::drawer(&self.snapshot()?, id)?)
    }

    /// Returns the id under which this palace writes events: `rep_` and 32 hex digits.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn replica(&self) -> Result<String, QueryError> {
        let id = self.snapshot()?.meta()?.database_uuid;
        Ok(format!("rep_{}", id.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// Returns the name of the model that makes the vectors.
    pub fn embedder_identity(&self) -> String {
        self.embedder.identity()
    }

    /// Returns how many rows and index cards a source has, and up to five places of its rows.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn source(&self, source_file: &str) -> Result<SourceContent, QueryError> {
        Ok(read::source(&self.snapshot()?, source_file)?)
    }

    /// Returns a page of drawers.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn page(&self, filter: &Filter, offset: usize, limit: usize) -> Result<DrawerPage, QueryError> {
        let (snapshot, hidden) = self.bookkeeping.refresh(&self.reader)?;
        Ok(self.listings.page(&snapshot, &hidden, filter, offset, limit)?)
    }

    /// Returns an agent's newest diary entries and how many there are.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn diary(&self, agent: &str, wing: Option<&str>, last: usize) -> Result<Pages, QueryError> {
        Ok(self.diaries.last(&self.reader, agent, wing, last)?)
    }

    /// Returns the agents that have diary entries, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn agents(&self) -> Result<Vec<String>, QueryError> {
        Ok(self.diaries.agents(&self.reader)?)
    }

    /// Returns events in the order of arrival, or against it.
    ///
    /// # Errors
    /// When the filter names an event that does not exist, or the store cannot be read.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, QueryError> {
        self.events.list(&self.reader, filter)
    }

    /// Searches by meaning and by words, by words alone when the query cannot be embedded. Blocks while it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn search(&self, question: &Question<'_>) -> Result<Found, QueryError> {
        let (vector, words_alone) = match self.embedder.query(question.text) {
            Ok(vector) => (Some(vector), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let found = search::search(&self.reader, question, vector.as_deref())?;
        Ok(Found { words_alone, ..found })
    }

    /// Queues a command. Blocks only while the queue is full; the receipt waits for the commit.
    ///
    /// # Errors
    /// [`WriteError::Stopping`] once the palace is being closed.
    pub fn submit(&self, submission: Submission) -> Result<Receipt, WriteError> {
        self.writer.submit(submission)
    }

    /// Asks for the model to be loaded, without waiting.
    pub fn warm(&self) {
        self.embedder.warm();
    }

    /// Lets queued commands finish, saves the derived indexes and closes the store. Blocks.
    ///
    /// # Errors
    /// When the derived indexes could not be saved; the store is closed all the same.
    pub fn close(&self) -> Result<(), SnapshotError> {
        self.upkeep.stop();
        let closed = self.writer.stop();
        self.embedder.stop();
        closed
    }
}
