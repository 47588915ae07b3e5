//! Moving in from an export: read once to see that it is whole, a second time to store it, a third time for the proof.

mod proof;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::ingest::job::{Finished, JobError, Progress};
use crate::ingest::transfer::lines::{End, Header, Line, LinesError, Reader};
use crate::palace::portable::PortableRow;
use crate::palace::{Palace, Row, StoredVector};

use super::Wanted;
use super::pipeline::{Pipeline, Sums};
use super::report::Report;

/// What an export is found to hold.
struct Found {
    header: Header,
    end: End,
    rooms: BTreeMap<String, u64>,
    /// Records of each type.
    records: BTreeMap<&'static str, u64>,
    /// Lines of each type that this program does not know.
    unknown: BTreeMap<String, u64>,
    /// Rows without a vector.
    bare: u64,
}

/// Imports an export and proves it.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    let source = &wanted.source;
    let found = check(source, progress)?;
    let vectors = usable(&found.header, palace)?;
    let told = found.told(&vectors);
    if wanted.dry_run {
        let embedded = if vectors.is_ok() { found.bare } else { found.end.rows };
        let message = format!(
            "{} rows and {} records would be imported, {embedded} embedded again; nothing was",
            found.end.rows, found.end.records
        );
        return Ok(Finished { message, report: json!({"source": source, "dry_run": true, "found": told}) });
    }
    let begun = Instant::now();
    let sums = store(palace, wanted, &found, &vectors, progress)?;
    let seconds = begun.elapsed().as_secs_f64();
    let proof = proof::prove(palace, source, &found, vectors.is_ok(), &sums.kept(), progress)?;
    let mut notes = found.notes();
    notes.extend(vectors.err());
    let report = Report {
        source,
        seconds,
        found: told,
        sums,
        losses: Vec::new(),
        loss_count: 0,
        skipped: Vec::new(),
        notes,
        proof,
    };
    report.finish(&wanted.reports)
}

impl Found {
    fn told(&self, vectors: &Result<(), String>) -> Value {
        json!({
            "export": self.header, "rows": self.end.rows, "rows_by_room": self.rooms, "records": self.records,
            "unknown": self.unknown, "sha256": self.end.sha256, "vectors_usable": vectors.is_ok(),
            "rows_without_vector": self.bare,
        })
    }

    fn notes(&self) -> Vec<String> {
        let skipped = |(kind, count): (&String, &u64)| {
            format!("{count} lines of type {kind:?} were skipped: a newer program wrote them")
        };
        self.unknown.iter().map(skipped).collect()
    }
}

/// Reads all of an export: when this returns, it is whole and every line of it can be stored.
fn check(source: &Path, progress: &Progress) -> Result<Found, JobError> {
    let len = std::fs::metadata(source).map(|metadata| metadata.len()).ok();
    progress.phase("checking the export", len);
    let nothing = |error: LinesError| JobError::Failed(format!("{error}; nothing was imported"));
    let mut reader = Reader::open(source).map_err(nothing)?;
    let mut found = Found {
        header: reader.header().clone(),
        end: End::default(),
        rooms: BTreeMap::new(),
        records: BTreeMap::new(),
        unknown: BTreeMap::new(),
        bare: 0,
    };
    loop {
        match reader.next_line().map_err(nothing)? {
            Line::Row(row) => found.row(*row).map_err(|why| nothing(reader.bad(why)))?,
            Line::Record(record) => {
                record.check().map_err(|why| nothing(reader.bad(why)))?;
                *found.records.entry(record.kind()).or_default() += 1;
            }
            Line::Unknown(kind) => *found.unknown.entry(kind).or_default() += 1,
            Line::End(end) => {
                found.end = end;
                return Ok(found);
            }
        }
        progress.done(reader.bytes())?;
    }
}

impl Found {
    fn row(&mut self, row: PortableRow) -> Result<(), String> {
        let (row, vector) = row.into_row().map_err(|error| error.to_string())?;
        for (name, value) in [("id", &row.id), ("wing", &row.wing), ("room", &row.room)] {
            if value.is_empty() {
                return Err(format!("row {:?}: {name} is empty", row.id));
            }
        }
        if row.id.contains('\0') {
            return Err(format!("row {:?}: no id holds a zero byte; nothing could name it", row.id));
        }
        self.bare += u64::from(vector.is_none());
        *self.rooms.entry(place(&row)).or_default() += 1;
        Ok(())
    }
}

fn place(row: &Row) -> String {
    format!("{}/{}", row.wing, row.room)
}

/// Tells whether the vectors of an export are of this palace's model, or why they are not used.
fn usable(header: &Header, palace: &Palace) -> Result<Result<(), String>, JobError> {
    let (embedder, dimension) = (palace.embedder_identity(), palace.dimension().map_err(JobError::of)?);
    Ok(match (&header.embedder, header.dimension) {
        _ if !header.vectors => Err("the export has no vectors".to_owned()),
        (Some(theirs), Some(length)) if *theirs == embedder && length == dimension => Ok(()),
        (theirs, length) => Err(format!(
            "the export's vectors are of {} ({}), this palace's of {embedder} ({dimension})",
            theirs.as_deref().unwrap_or("an unnamed model"),
            length.map_or_else(|| "?".to_owned(), |length| length.to_string()),
        )),
    })
}

/// Stores the export.
fn store(
    palace: &Palace,
    wanted: &Wanted,
    found: &Found,
    vectors: &Result<(), String>,
    progress: &Progress,
) -> Result<Sums, JobError> {
    progress.phase("importing rows and records", Some(found.end.rows + found.end.records));
    let mut pipeline = Pipeline::new(palace)?;
    let mut reader = Reader::open(&wanted.source).map_err(JobError::of)?;
    let mut done = 0;
    loop {
        let line = reader.next_line().map_err(changed)?;
        match line {
            Line::Row(row) => {
                let (row, vector) = row.into_row().map_err(JobError::of)?;
                pipeline.row(row, own_vector(vector, vectors))?;
            }
            Line::Unknown(_) => {}
            Line::Record(record) if record.is_bookkeeping() => {}
            Line::Record(record) => pipeline.record(*record)?,
            Line::End(end) if end == found.end => return pipeline.finish(),
            Line::End(_) => return Err(changed("its last line is another one")),
        }
        done += 1;
        if let Err(stopped) = progress.done(done) {
            pipeline.flush()?;
            return Err(stopped);
        }
    }
}

fn own_vector(vector: Option<StoredVector>, usable: &Result<(), String>) -> Result<StoredVector, String> {
    usable.clone()?;
    vector.ok_or_else(|| "it has no vector".to_owned())
}

fn changed(error: impl std::fmt::Display) -> JobError {
    JobError::Failed(format!(
        "the export changed while it was imported: {error}; what was stored before stays; import it again"
    ))
}
