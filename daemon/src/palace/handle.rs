//! The palace as its callers hold it: ask, tell, stop.
//!
//! Embedding happens here, on the caller's thread, before a command is queued: the writer never waits for a model.

use crate::engine;
use crate::engine::embed::{Embedder, EmbedderState, Readiness};
use crate::engine::{
    Counts, Engine, EngineStats, Filter, ReadError, Reader, Snapshot, StoreInfo, VectorIndexKind, View,
};

use super::bookkeeping::{self, Bookkeeping};
use super::command::{Checkpoint, CheckpointItem, Match, NewDrawer, NewEntry};
use super::diary::{Diaries, Pages};
use super::draft::{Piece, slices};
use super::error::{InputError, QueryError, WriteError};
use super::events::Event;
use super::events::index::EventIndex;
use super::events::query::EventFilter;
use super::listing::Listings;
use super::moment::Moment;
use super::read::{self, Drawer, DrawerPage, SourceContent};
use super::rooms::Rooms;
use super::search::{self, Found, Question};
use super::upkeep::Upkeep;
use super::writer::{Receipt, Submission, Trouble, Writer, WriterStats};
use super::{ids, integrity, names};

/// Neighbours a duplicate check looks at.
const NEIGHBOUR_COUNT: usize = 5;

/// One open palace: its reader, its writer and its model. Shared by all sessions.
pub struct Palace {
    reader: Reader,
    writer: Writer,
    embedder: Embedder,
    upkeep: Upkeep,
    diaries: Diaries,
    events: EventIndex,
    bookkeeping: Bookkeeping,
    listings: Listings,
}

/// Numbers for status.
#[derive(Clone, Debug)]
pub struct PalaceStats {
    /// The store's description.
    pub store: StoreInfo,
    /// Rows per wing and room.
    pub counts: Counts,
    /// Facts of the knowledge graph.
    pub facts: u64,
    /// The derived indexes.
    pub engine: EngineStats,
    /// The writer.
    pub writer: WriterStats,
    /// The model.
    pub embedder: EmbedderState,
    /// Why the last snapshot of the derived indexes was not saved, if it was not.
    pub upkeep_error: Option<String>,
}

/// What a check of store and indexes found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// What was checked.
    pub checked: Vec<String>,
    /// What was not checked, and why.
    pub not_checked: Vec<String>,
    /// What is wrong, naming the record.
    pub problems: Vec<String>,
}

impl PalaceStats {
    /// Returns the identity stored in the palace, as 32 hex digits.
    pub fn store_id(&self) -> String {
        self.store.database_uuid.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns which index answers searches by meaning.
    pub fn index_kind(&self) -> &'static str {
        match self.engine.vector_index {
            VectorIndexKind::Exact => "exact",
            VectorIndexKind::Graph => "hnsw",
        }
    }

    /// Returns the state of the model in a word, with the reason when it failed.
    pub fn embedder_state(&self) -> String {
        match &self.embedder.state {
            Readiness::Loading => "loading".to_owned(),
            Readiness::Ready => "ready".to_owned(),
            Readiness::Unloaded => "unloaded".to_owned(),
            Readiness::Failed(reason) => format!("failed: {reason}"),
        }
    }

    /// Tells whether a model is in memory; there is never more than one.
    pub fn embedder_loaded(&self) -> bool {
        self.embedder.state == Readiness::Ready
    }

    /// Returns what keeps the palace from being healthy, if anything does.
    pub fn problem(&self) -> Option<String> {
        match &self.embedder.state {
            Readiness::Failed(reason) => Some(format!("the embedding model failed: {reason}")),
            Readiness::Loading | Readiness::Ready | Readiness::Unloaded => self.upkeep_error.clone(),
        }
    }
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

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(super) fn embedder(&self) -> &Embedder {
        &self.embedder
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

    /// Returns stored rows at least as similar to the text as `threshold`, most similar first.
    ///
    /// # Errors
    /// When the text cannot be embedded or the store cannot be read.
    pub fn similar(&self, text: &str, threshold: f32) -> Result<Vec<Match>, QueryError> {
        let vector = self.embedder.documents(&[text])?;
        let vector = vector.first().ok_or_else(|| InputError("content is empty".into()))?;
        self.neighbours(vector, threshold)
    }

    fn neighbours(&self, vector: &[f32], threshold: f32) -> Result<Vec<Match>, QueryError> {
        // A row that cannot be read is nobody's duplicate; listing and searching name it.
        let (near, _) = self.reader.nearest_readable(vector, NEIGHBOUR_COUNT, None)?;
        let snapshot = self.reader.snapshot()?;
        let mut matches = Vec::new();
        for hit in near {
            let similarity = 1.0 - hit.distance;
            if similarity < threshold {
                continue;
            }
            match self.reader.resolve(&snapshot, hit.row_key) {
                Ok(Some(row)) if bookkeeping::is_bookkeeping(&row) => {}
                Ok(Some(row)) => matches.push(Match {
                    id: row.id,
                    wing: row.wing,
                    room: row.room,
                    similarity,
                    content: row.document,
                }),
                Ok(None) | Err(ReadError::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(matches)
    }

    /// Returns a text in slices with their embeddings. Blocks while they are embedded.
    ///
    /// # Errors
    /// When the text breaks a rule or cannot be embedded.
    pub fn pieces(&self, text: &str) -> Result<Vec<Piece>, WriteError> {
        let slices = slices(text);
        let vectors = self.embedder.documents(&slices)?;
        Ok(slices
            .into_iter()
            .zip(vectors)
            .map(|(text, vector)| Piece { text: text.to_owned(), vector })
            .collect())
    }

    /// Checks and embeds a drawer. Blocks while it is embedded.
    ///
    /// # Errors
    /// When a name or the text breaks a rule, or the text cannot be embedded.
    pub fn new_drawer(
        &self,
        wing: &str,
        room: &str,
        content: &str,
        source_file: &str,
        added_by: &str,
        at: &Moment,
    ) -> Result<NewDrawer, WriteError> {
        let wing = names::name(wing, "wing")?;
        let room = names::name(room, "room")?;
        let content = names::content(content, "content")?;
        let source_file = names::source_file(source_file)?;
        Ok(NewDrawer {
            id: ids::drawer(&wing, &room, content),
            wing,
            room,
            source_file,
            added_by: added_by.to_owned(),
            pieces: self.pieces(content)?,
            at: at.clone(),
        })
    }

    /// Checks and embeds a diary entry. Blocks while it is embedded.
    ///
    /// # Errors
    /// When a name or the text breaks a rule, or the text cannot be embedded.
    pub fn new_entry(
        &self,
        agent: &str,
        entry: &str,
        topic: &str,
        wing: Option<&str>,
        at: &Moment,
    ) -> Result<NewEntry, WriteError> {
        let agent = names::name(agent, "agent_name")?.to_lowercase();
        let entry = names::content(entry, "entry")?;
        let topic = names::name(topic, "topic")?;
        let wing = match wing {
            Some(wing) => names::name(wing, "wing")?,
            None => format!("wing_{}", agent.replace(' ', "_")),
        };
        let id = ids::diary(&wing, &at.stamp(), entry);
        Ok(NewEntry { id, wing, agent, topic, pieces: self.pieces(entry)?, at: at.clone() })
    }

    /// Makes a checkpoint's item of a drawer: a duplicate when something stored is too close to its text.
    ///
    /// # Errors
    /// When the text cannot be embedded or the store cannot be read.
    pub fn checkpoint_item(&self, drawer: NewDrawer, threshold: f32) -> Result<CheckpointItem, WriteError> {
        // Asked before the neighbours are looked for: what is filed meanwhile is compared again when it is decided.
        let known = self.reader.searchable_until()?;
        let vector = match drawer.pieces.as_slice() {
            [only] => only.vector.clone(),
            pieces => {
                let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
                self.embedder.documents(&[&whole])?.swap_remove(0)
            }
        };
        let matches = match self.neighbours(&vector, threshold) {
            Ok(matches) => matches,
            Err(QueryError::Input(error)) => return Err(error.into()),
            Err(QueryError::Read(error)) => return Err(error.into()),
            Err(QueryError::Embed(error)) => return Err(error.into()),
        };
        if matches.is_empty() {
            Ok(CheckpointItem::New { drawer, vector, known })
        } else {
            Ok(CheckpointItem::Duplicate { room: drawer.room, matches })
        }
    }

    /// Returns a checkpoint ready to be submitted.
    pub fn checkpoint(
        items: Vec<CheckpointItem>,
        diary: Option<NewEntry>,
        dedup_threshold: f32,
    ) -> Checkpoint {
        Checkpoint { items, diary, dedup_threshold }
    }

    /// Queues a command. Blocks only while the queue is full; the receipt waits for the commit.
    ///
    /// # Errors
    /// [`WriteError::Stopping`] once the palace is being closed.
    pub fn submit(&self, submission: Submission) -> Result<Receipt, WriteError> {
        self.writer.submit(submission)
    }

    /// Checks store and indexes without changing them. Blocks; takes seconds per gigabyte.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn verify(&self) -> Result<Verification, QueryError> {
        let report = crate::engine::verify(&self.reader)?;
        let mut checked: Vec<String> = engine::CHECKED.iter().map(|what| (*what).to_owned()).collect();
        checked.push(format!(
            "{} rows read, {} vectors searched for by themselves",
            report.rows, report.self_searches
        ));
        checked.extend(report.notices.iter().map(|notice| {
            let drawer = notice.drawer.as_deref().unwrap_or_default();
            format!("unusual, but no damage: {}: {drawer}: {}", notice.table, notice.detail)
        }));
        let mut not_checked: Vec<String> =
            engine::NOT_CHECKED.iter().map(|what| (*what).to_owned()).collect();
        if report.indexes_skipped {
            not_checked.push(
                "derived indexes: the palace changed meanwhile; run it again when it is quiet".to_owned(),
            );
        }
        let problems = report.problems.iter().map(|problem| match &problem.drawer {
            Some(drawer) => format!("{}: drawer {drawer}: {}", problem.table, problem.detail),
            None => format!("{}: {}", problem.table, problem.detail),
        });
        let mut problems: Vec<String> = problems.collect();
        checked.extend(integrity::CHECKED.map(str::to_owned));
        match integrity::check(&self.snapshot()?) {
            Ok(found) => {
                problems.extend(found.problems);
                checked.extend(found.notices.into_iter().map(|notice| format!("notice: {notice}")));
            }
            // The engine's check has named the record; what depends on it cannot be compared.
            Err(engine::ReadError::Damaged { .. }) => {
                not_checked
                    .push("records beside the rows against each other: one of them is damaged".to_owned());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Verification { checked, not_checked, problems })
    }

    /// Returns numbers for status.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<PalaceStats, QueryError> {
        let (snapshot, hidden) = self.bookkeeping.refresh(&self.reader)?;
        Ok(PalaceStats {
            store: snapshot.meta()?,
            counts: bookkeeping::counts(&snapshot, &hidden)?,
            facts: snapshot.record_count(engine::Collection::Facts)?,
            engine: self.reader.stats(),
            writer: self.writer.stats(),
            embedder: self.embedder.state(),
            upkeep_error: self.upkeep.last_error(),
        })
    }

    /// Asks for the model to be loaded, without waiting.
    pub fn warm(&self) {
        self.embedder.warm();
    }

    /// Lets queued commands finish, saves the derived indexes and closes the store. Blocks.
    ///
    /// # Errors
    /// When the derived indexes could not be saved; the store is closed all the same.
    pub fn close(&self) -> Result<(), crate::engine::SnapshotError> {
        self.upkeep.stop();
        let closed = self.writer.stop();
        self.embedder.stop();
        closed
    }
}
