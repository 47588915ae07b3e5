//! Collections and their segments.

use rusqlite::OptionalExtension as _;
use serde_json::Value;

use super::super::database::Database;
use super::super::error::{UpstreamError, is_damage};
use super::super::vector::Scale;
use super::guess;
use super::listing::{self, Listing};

/// A collection as the database lists it.
#[derive(Clone, Debug)]
pub(in super::super) struct Collection {
    /// Its number in the scratch database.
    pub number: i64,
    pub name: String,
    /// Dimension of its vectors; unknown while it never had one.
    pub dimension: Option<u64>,
    /// What its index promises about lengths.
    pub scale: Scale,
    /// Segment of its rows.
    pub metadata_segment: String,
    /// Segment of its vectors, which is also the name of a directory.
    pub vector_segment: Option<String>,
    /// Topic of its changes in the queue, in versions that wrote one.
    pub topic: Option<String>,
    /// Its id, with which every other topic ends.
    pub id: String,
}

/// What the database lists.
pub(super) struct Catalog {
    /// In the order they were made.
    pub collections: Vec<Collection>,
    /// Segments whose rows are left out, and a note says so.
    pub left_out: Vec<String>,
    /// Whether all collections and segments are known.
    pub is_whole: bool,
}

/// What is known of a collection while the tables are put together.
#[derive(Default)]
pub(super) struct Draft {
    pub id: Option<String>,
    pub name: Option<String>,
    pub dimension: Option<String>,
    pub topic: Option<String>,
    pub config: Option<String>,
    /// Segment of its rows.
    pub rows: Option<String>,
    /// Segment of its vectors.
    pub index: Option<String>,
}

/// What is known of a segment.
pub(super) struct Segment {
    pub number: i64,
    pub id: String,
    pub scope: Option<String>,
    pub collection: Option<String>,
}

/// Reads what the database lists; what the tables no longer say is told from the rows.
pub(super) fn read(db: &Database, notes: &mut Vec<String>) -> Result<Catalog, UpstreamError> {
    let columns = ["id", "name", "dimension", "topic", "config_json_str"];
    let named = Listing::read(db, "collections", &columns, listing::is_collection)?;
    let listed = Listing::read(db, "segments", &["id", "scope", "collection"], listing::is_segment)?;
    let mut is_whole = named.is_whole && listed.is_whole;
    let mut segments: Vec<Segment> = Vec::new();
    for (number, mut row) in listed.rows {
        let (collection, scope) = (row.remove(2), row.remove(1));
        if let Some(id) = row.remove(0) {
            segments.push(Segment { number, id, scope, collection });
        }
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for mut row in named.rows.into_values() {
        let mut take = |at: usize| row[at].take();
        let mut draft = Draft {
            id: take(0),
            name: take(1),
            dimension: take(2),
            topic: take(3),
            config: take(4),
            ..Draft::default()
        };
        let of = |scope: &str| {
            let is_it = |segment: &&Segment| {
                segment.collection.is_some()
                    && segment.collection == draft.id
                    && segment.scope.as_deref() == Some(scope)
            };
            segments.iter().find(is_it).map(|segment| segment.id.clone())
        };
        (draft.rows, draft.index) = (of("METADATA"), of("VECTOR"));
        is_whole &= draft.rows.is_some() && draft.name.is_some();
        drafts.push(draft);
    }
    if !is_whole {
        guess::complete(db, &mut drafts, &mut segments, &listed.other_ids, notes)?;
    }
    let mut catalog = Catalog { collections: Vec::new(), left_out: Vec::new(), is_whole };
    for draft in drafts {
        catalog.take(db, draft, notes)?;
    }
    Ok(catalog)
}

impl Catalog {
    fn take(&mut self, db: &Database, draft: Draft, notes: &mut Vec<String>) -> Result<(), UpstreamError> {
        let Some(name) = draft.name else {
            notes.push("a collection of which the name is lost is left out".to_owned());
            return Ok(());
        };
        if self.collections.iter().any(|known| known.name == name) {
            notes.push(format!("a second collection {name:?} is left out"));
            self.left_out.extend(draft.rows);
            return Ok(());
        }
        let Some(metadata_segment) = draft.rows else {
            notes.push(format!("collection {name:?} has no table of rows and is left out"));
            return Ok(());
        };
        let id = draft.id.unwrap_or_default();
        self.collections.push(Collection {
            number: i64::try_from(self.collections.len()).expect("few collections"),
            dimension: draft.dimension.and_then(|dimension| dimension.parse().ok()),
            scale: scale(db, &id, draft.config.as_deref())?,
            metadata_segment,
            vector_segment: draft.index,
            topic: draft.topic,
            id,
            name,
        });
        Ok(())
    }
}

/// Returns what the index of a collection promises: only one of cosine distances normalises what it keeps.
fn scale(db: &Database, id: &str, config: Option<&str>) -> Result<Scale, UpstreamError> {
    let config = config.and_then(|config| serde_json::from_str::<Value>(config).ok());
    let configured = config.as_ref().and_then(|config| {
        let index = config.get("hnsw").or_else(|| config.get("hnsw_configuration"))?;
        index.get("space")?.as_str().map(str::to_owned)
    });
    let space = match configured {
        Some(space) => Some(space),
        None => {
            let sql = "SELECT CAST(str_value AS BLOB) FROM collection_metadata WHERE collection_id = ?1 AND key = 'hnsw:space'";
            let space = db.conn.query_row(sql, [id], |row| row.get::<_, Option<Vec<u8>>>(0)).optional();
            match space {
                Ok(space) => space.flatten().and_then(|space| String::from_utf8(space).ok()),
                Err(error) if is_damage(&error) => None,
                Err(error) => return Err(db.failed(error)),
            }
        }
    };
    Ok(if space.as_deref() == Some("cosine") { Scale::Unit } else { Scale::Any })
}
