//! What callers file, made ready on their own threads: checked, embedded, compared with what is stored.
//!
//! Embedding happens here, before a command is queued: the writer never waits for a model.

use crate::engine::ReadError;

use super::command::{CheckpointItem, Match, NewDrawer, NewEntry};
use super::draft::{Piece, slices};
use super::error::{InputError, QueryError, WriteError};
use super::handle::Palace;
use super::moment::Moment;
use super::{bookkeeping, ids, names};

/// Neighbours a duplicate check looks at.
const NEIGHBOUR_COUNT: usize = 5;

impl Palace {
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
}
