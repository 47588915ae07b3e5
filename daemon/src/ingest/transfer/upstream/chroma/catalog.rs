//! Collections and their segments.

use rusqlite::{OptionalExtension as _, Row};
use serde_json::Value;

use super::super::database::Database;
use super::super::error::UpstreamError;
use super::super::vector::Scale;

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

/// Returns the collections of a database in the order they were made.
pub(super) fn collections(db: &Database, notes: &mut Vec<String>) -> Result<Vec<Collection>, UpstreamError> {
    let columns = db.columns("collections")?;
    if columns.is_empty() {
        return Err(UpstreamError::NoTable { path: db.path.clone(), table: "collections" });
    }
    // Columns came and went with the versions.
    let column = |name: &'static str| if columns.iter().any(|column| column == name) { name } else { "NULL" };
    let sql = format!(
        "SELECT id, name, {}, {}, {} FROM collections ORDER BY rowid",
        column("dimension"),
        column("topic"),
        column("config_json_str")
    );
    let listed =
        || -> rusqlite::Result<Vec<Listed>> { db.conn.prepare(&sql)?.query_map([], Listed::of)?.collect() };
    let mut collections: Vec<Collection> = Vec::new();
    for listed in listed().map_err(|error| db.failed(error))? {
        if collections.iter().any(|known| known.name == listed.name) {
            notes.push(format!("a second collection {:?} is left out", listed.name));
            continue;
        }
        let Some(metadata_segment) = segment(db, &listed.id, "METADATA")? else {
            notes.push(format!("collection {:?} has no table of rows and is left out", listed.name));
            continue;
        };
        collections.push(Collection {
            number: i64::try_from(collections.len()).expect("few collections"),
            dimension: listed.dimension.and_then(|dimension| u64::try_from(dimension).ok()),
            scale: scale(db, &listed)?,
            metadata_segment,
            vector_segment: segment(db, &listed.id, "VECTOR")?,
            topic: listed.topic,
            id: listed.id,
            name: listed.name,
        });
    }
    Ok(collections)
}

struct Listed {
    id: String,
    name: String,
    dimension: Option<i64>,
    topic: Option<String>,
    config: Option<String>,
}

impl Listed {
    fn of(row: &Row<'_>) -> rusqlite::Result<Listed> {
        Ok(Listed {
            id: row.get(0)?,
            name: row.get(1)?,
            dimension: row.get(2)?,
            topic: row.get(3)?,
            config: row.get(4)?,
        })
    }
}

fn segment(db: &Database, collection: &str, scope: &str) -> Result<Option<String>, UpstreamError> {
    let sql = "SELECT id FROM segments WHERE collection = ?1 AND scope = ?2 ORDER BY rowid LIMIT 1";
    let found = db.conn.query_row(sql, [collection, scope], |row| row.get(0)).optional();
    found.map_err(|error| db.failed(error))
}

/// Returns what the index of a collection promises: only one of cosine distances normalises what it keeps.
fn scale(db: &Database, listed: &Listed) -> Result<Scale, UpstreamError> {
    let config = listed.config.as_deref().and_then(|config| serde_json::from_str::<Value>(config).ok());
    let configured = config.as_ref().and_then(|config| {
        let index = config.get("hnsw").or_else(|| config.get("hnsw_configuration"))?;
        index.get("space")?.as_str().map(str::to_owned)
    });
    let space = match configured {
        Some(space) => Some(space),
        None => {
            let sql =
                "SELECT str_value FROM collection_metadata WHERE collection_id = ?1 AND key = 'hnsw:space'";
            let space = db.conn.query_row(sql, [&listed.id], |row| row.get(0)).optional();
            space.map_err(|error| db.failed(error))?.flatten()
        }
    };
    Ok(if space.as_deref() == Some("cosine") { Scale::Unit } else { Scale::Any })
}
