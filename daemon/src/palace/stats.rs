//! Numbers of a palace, for status.

use crate::engine::embed::{EmbedderState, Readiness};
use crate::engine::{Collection, Counts, EngineStats, StoreInfo, VectorIndexKind, View};

use super::bookkeeping;
use super::error::QueryError;
use super::handle::Palace;
use super::writer::WriterStats;

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

impl PalaceStats {
    /// Returns the identity stored in the palace, as 32 hex digits.
    pub fn store_id(&self) -> String {
        hex(&self.store.database_uuid)
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

fn hex(identity: &[u8]) -> String {
    identity.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Palace {
    /// Returns the identity stored in the palace, as 32 hex digits.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn store_id(&self) -> Result<String, QueryError> {
        Ok(hex(&self.reader.snapshot()?.meta()?.database_uuid))
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
            facts: snapshot.record_count(Collection::Facts)?,
            engine: self.reader.stats(),
            writer: self.writer.stats(),
            embedder: self.embedder.state(),
            upkeep_error: self.upkeep.last_error(),
        })
    }
}
