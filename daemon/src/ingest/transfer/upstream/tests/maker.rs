//! Writes databases and index files as the versions of Chroma wrote them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::Home;

/// Which version's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// 0.4: topics, numbers as bytes, no booleans in the first tables, no settings.
    Legacy,
    /// 1.x.
    Current,
}

const COMMON: &str = "
    CREATE TABLE collection_metadata(collection_id TEXT, key TEXT, str_value TEXT, int_value INTEGER,
        float_value REAL, PRIMARY KEY(collection_id, key));
    CREATE TABLE embeddings_queue(seq_id INTEGER PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        operation INTEGER NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT);
    CREATE TABLE embeddings(id INTEGER PRIMARY KEY, segment_id TEXT NOT NULL, embedding_id TEXT NOT NULL,
        seq_id BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, UNIQUE(segment_id, embedding_id));
    CREATE VIRTUAL TABLE embedding_fulltext_search USING fts5(string_value, tokenize='trigram');
";
const LEGACY: &str = "
    CREATE TABLE collections(id TEXT PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL, dimension INTEGER);
    CREATE TABLE segments(id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, topic TEXT, collection TEXT);
    CREATE TABLE embedding_metadata(id INTEGER REFERENCES embeddings(id), key TEXT NOT NULL, string_value TEXT,
        int_value INTEGER, float_value REAL, PRIMARY KEY(id, key));
    CREATE TABLE max_seq_id(segment_id TEXT PRIMARY KEY, seq_id BLOB NOT NULL);
";
const CURRENT: &str = "
    CREATE TABLE collections(id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER, database_id TEXT,
        config_json_str TEXT, schema_str TEXT);
    CREATE TABLE segments(id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, collection TEXT NOT NULL);
    CREATE TABLE embedding_metadata(id INTEGER REFERENCES embeddings(id), key TEXT NOT NULL, string_value TEXT,
        int_value INTEGER, float_value REAL, bool_value INTEGER, PRIMARY KEY(id, key));
    CREATE INDEX embedding_metadata_int_value ON embedding_metadata(key, int_value) WHERE int_value IS NOT NULL;
    CREATE INDEX embedding_metadata_float_value ON embedding_metadata(key, float_value)
        WHERE float_value IS NOT NULL;
    CREATE INDEX embedding_metadata_string_value ON embedding_metadata(key, string_value)
        WHERE string_value IS NOT NULL;
    CREATE TABLE max_seq_id(segment_id TEXT PRIMARY KEY, seq_id INTEGER);
";

/// The one collection's id, and the names of its segments.
pub const COLLECTION: &str = "c0c0c0c0-0000-4000-8000-000000000001";
pub const ROWS: &str = "5e6-rows";
pub const INDEX: &str = "5e6-index";
/// Dimension of all vectors here.
pub const DIMENSION: usize = 4;

/// The database of a palace while it is made.
pub struct Maker {
    pub conn: Connection,
    pub schema: Schema,
}

impl Maker {
    /// Makes a database with one collection of drawers.
    pub fn new(home: &Home, schema: Schema) -> Maker {
        let conn = Connection::open(database(home)).unwrap();
        conn.execute_batch("PRAGMA page_size = 1024; PRAGMA synchronous = OFF").unwrap();
        conn.execute_batch(COMMON).unwrap();
        conn.execute_batch(if schema == Schema::Legacy { LEGACY } else { CURRENT }).unwrap();
        let maker = Maker { conn, schema };
        let dimension = i64::try_from(DIMENSION).unwrap();
        let name = "mempalace_drawers";
        if schema == Schema::Legacy {
            let sql = "INSERT INTO collections(id, name, topic, dimension) VALUES (?1, ?2, ?3, ?4)";
            maker.conn.execute(sql, params![COLLECTION, name, topic(), dimension]).unwrap();
        } else {
            let sql = "INSERT INTO collections(id, name, dimension, config_json_str) VALUES (?1, ?2, ?3, ?4)";
            let config = r#"{"hnsw":{"space":"cosine"}}"#;
            maker.conn.execute(sql, params![COLLECTION, name, dimension, config]).unwrap();
        }
        for (id, scope) in [(ROWS, "METADATA"), (INDEX, "VECTOR")] {
            let sql = "INSERT INTO segments(id, type, scope, collection) VALUES (?1, 'x', ?2, ?3)";
            maker.conn.execute(sql, params![id, scope, COLLECTION]).unwrap();
        }
        maker
    }

    /// Adds a row to the tables, with a text and one key.
    pub fn row(&self, number: i64, id: &str, document: &str, seq: i64) {
        let sql = "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) VALUES (?1, ?2, ?3, ?4)";
        if self.schema == Schema::Legacy {
            self.conn.execute(sql, params![number, ROWS, id, seq.to_be_bytes()]).unwrap();
        } else {
            self.conn.execute(sql, params![number, ROWS, id, seq]).unwrap();
        }
        self.cell(number, "chroma:document", document);
        self.cell(number, "wing", "w");
    }

    /// Adds a text to a row's metadata.
    pub fn cell(&self, number: i64, key: &str, value: &str) {
        let sql = "INSERT INTO embedding_metadata(id, key, string_value) VALUES (?1, ?2, ?3)";
        self.conn.execute(sql, params![number, key, value]).unwrap();
    }

    /// Adds a change to the queue.
    pub fn queue(&self, seq: i64, operation: i64, id: &str, vector: Option<&[f32]>, metadata: &str) {
        let sql = "INSERT INTO embeddings_queue(seq_id, operation, topic, id, vector, encoding, metadata)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let encoding = vector.map(|_| "FLOAT32");
        let metadata = (!metadata.is_empty()).then_some(metadata);
        let vector = vector.map(bytes);
        self.conn.execute(sql, params![seq, operation, topic(), id, vector, encoding, metadata]).unwrap();
    }

    /// Says up to which change a segment is.
    pub fn mark(&self, segment: &str, seq: i64) {
        let sql = "INSERT OR REPLACE INTO max_seq_id(segment_id, seq_id) VALUES (?1, ?2)";
        if self.schema == Schema::Legacy {
            self.conn.execute(sql, params![segment, seq.to_be_bytes()]).unwrap();
        } else {
            self.conn.execute(sql, params![segment, seq]).unwrap();
        }
    }

    /// Overwrites pages of a tree: those its rows stand in, not its root. Returns how many.
    ///
    /// `choose` gets the index of a leaf and the number of leaves.
    pub fn spoil(self, home: &Home, tree: &str, choose: impl Fn(usize, usize) -> bool) -> usize {
        self.spoil_pages(home, tree, "leaf", choose)
    }

    /// Overwrites pages that lead to others; the first is the root.
    pub fn spoil_inner(self, home: &Home, tree: &str, choose: impl Fn(usize, usize) -> bool) -> usize {
        self.spoil_pages(home, tree, "internal", choose)
    }

    fn spoil_pages(
        self,
        home: &Home,
        tree: &str,
        kind: &str,
        choose: impl Fn(usize, usize) -> bool,
    ) -> usize {
        let pages: Vec<u64> = {
            let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY path";
            let mut statement = self.conn.prepare(sql).unwrap();
            statement
                .query_map([tree, kind], |row| row.get(0))
                .unwrap()
                .map(|page: Result<i64, _>| page.unwrap() as u64)
                .collect()
        };
        drop(self.conn);
        let mut bytes = std::fs::read(database(home)).unwrap();
        let spoiled: Vec<&u64> = pages
            .iter()
            .enumerate()
            .filter(|(index, _)| choose(*index, pages.len()))
            .map(|(_, page)| page)
            .collect();
        for page in &spoiled {
            let start = usize::try_from((**page - 1) * 1024).unwrap();
            bytes[start..start + 1024].fill(0xA5);
        }
        std::fs::write(database(home), bytes).unwrap();
        spoiled.len()
    }
}

/// Returns the path of the database.
pub fn database(home: &Home) -> PathBuf {
    home.palace().join("chroma.sqlite3")
}

fn topic() -> String {
    format!("persistent://default/default/{COLLECTION}")
}

pub fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// Returns a vector of unit length that differs from the others of other numbers.
pub fn unit(number: u8) -> [f32; DIMENSION] {
    let angle = f32::from(number) / 10.0;
    [angle.cos(), angle.sin(), 0.0, 0.0]
}

/// Header fields that tests get wrong.
pub struct Layout {
    pub version: i32,
    pub element_count_max: u64,
    pub element_count: u64,
    pub element_len: u64,
}

impl Layout {
    pub fn of(count: usize) -> Layout {
        let element_len = 4 + 4 * 4 + 4 * DIMENSION as u64 + 8;
        Layout { version: 1, element_count_max: 100, element_count: count as u64, element_len }
    }

    fn header(&self) -> Vec<u8> {
        let links = 4_u64;
        let vector_offset = 4 + 4 * links;
        let mut header = self.version.to_le_bytes().to_vec();
        let label_offset = vector_offset + 4 * DIMENSION as u64;
        for number in
            [0, self.element_count_max, self.element_count, self.element_len, label_offset, vector_offset]
        {
            header.extend(number.to_le_bytes());
        }
        header.extend(0_i32.to_le_bytes());
        header.extend(0_u32.to_le_bytes());
        for number in [links, links, 2] {
            header.extend(number.to_le_bytes());
        }
        header.extend(0.36_f64.to_le_bytes());
        header.extend(100_u64.to_le_bytes());
        header
    }
}

/// Writes an index; labels are those of the table, elements stand in the opposite order.
pub fn index(dir: &Path, layout: &Layout, vectors: &[(&str, &[f32])]) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("header.bin"), layout.header()).unwrap();
    let mut elements = Vec::new();
    for (label, (_, vector)) in vectors.iter().enumerate().rev() {
        elements.extend([0xEE; 4 + 4 * 4]);
        elements.extend(bytes(vector));
        elements.extend((label as u64 + 1).to_le_bytes());
    }
    std::fs::write(dir.join("data_level0.bin"), elements).unwrap();
    let ids: Vec<(&str, u8)> =
        vectors.iter().enumerate().map(|(label, (id, _))| (*id, u8::try_from(label + 1).unwrap())).collect();
    std::fs::write(dir.join("index_metadata.pickle"), table(&ids)).unwrap();
}

/// Returns the table of an index, as versions in Rust write it.
pub fn table(ids: &[(&str, u8)]) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![b'X'];
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut pickle = b"\x80\x03}(".to_vec();
    pickle.extend(text("dimensionality"));
    pickle.push(b'N');
    pickle.extend(text("id_to_label"));
    pickle.extend(b"}(");
    for (id, label) in ids {
        pickle.extend(text(id));
        pickle.extend([b'K', *label]);
    }
    pickle.push(b'u');
    pickle.extend(text("label_to_id"));
    pickle.extend(b"}(");
    for (id, label) in ids {
        pickle.extend([b'K', *label]);
        pickle.extend(text(id));
    }
    pickle.extend(b"uu.");
    pickle
}
