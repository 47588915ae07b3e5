//! An export as JSON lines: complete, deterministic, and read by the import.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter};

use crate::ingest::job::JobError;
use crate::ingest::transfer::lines::{FORMAT, Header, VERSION, Writer};
use crate::palace::import::Imported;
use crate::palace::portable::PortableRow;
use crate::palace::{Palace, Row, StoredVector};

use super::{Export, Sums, Target};

/// Writes the export and brings it to disk.
pub fn write(export: &Export<'_>, target: &Target, vectors: bool) -> Result<Sums, JobError> {
    let meta = export.snapshot.meta().map_err(JobError::of)?;
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        embedder: vectors.then_some(meta.embedder_identity),
        dimension: vectors.then_some(meta.dimension),
        vectors,
        selection: export.selection.clone(),
    };
    let out = BufWriter::with_capacity(1 << 20, target.file()?);
    let failed = |error: io::Error| target.failed(&error);
    let mut lines = Lines {
        out: Writer::begin(out, &header).map_err(failed)?,
        sources: HashSet::new(),
        rows: 0,
        drawers: HashSet::new(),
    };
    let mut damaged = Vec::new();
    lines.rows(export, target, vectors, &mut damaged)?;
    lines.records(export, target, &mut damaged)?;
    let Lines { out, drawers, .. } = lines;
    let (out, end, bytes) = out.finish().map_err(failed)?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok(Sums {
        rows: end.rows,
        drawers: drawers.len() as u64,
        records: end.records,
        files: 1,
        bytes,
        sha256: Some(end.sha256),
        damaged,
    })
}

struct Lines {
    out: Writer<BufWriter<File>>,
    /// Sources of the rows: of a selection only their index cards are written.
    sources: HashSet<String>,
    rows: u64,
    /// Hashes of the ids of drawers, to count them.
    drawers: HashSet<u64>,
}

impl Lines {
    fn rows(
        &mut self,
        export: &Export<'_>,
        target: &Target,
        vectors: bool,
        damaged: &mut Vec<String>,
    ) -> Result<(), JobError> {
        let total = Palace::count_rows(export.snapshot, &export.filter).map_err(JobError::of)?;
        export.progress.phase("exporting rows", Some(total));
        let mut failed = None;
        let mut take = |row: Row, vector: Option<StoredVector>| {
            let taken = self.row(row, vector, export).map_err(|error| target.failed(&error));
            taken.and_then(|()| export.progress.done(self.rows)).map_err(|error| failed = Some(error)).is_ok()
        };
        Palace::each_row(export.snapshot, &export.filter, vectors, damaged, &mut take)
            .map_err(JobError::of)?;
        failed.map_or(Ok(()), Err)
    }

    fn row(&mut self, row: Row, vector: Option<StoredVector>, export: &Export<'_>) -> io::Result<()> {
        self.rows += 1;
        self.drawers.insert(xxhash_rust::xxh3::xxh3_64(row.drawer_id().as_bytes()));
        if !export.is_whole() && !row.source_file.is_empty() {
            self.sources.insert(row.source_file.clone());
        }
        self.out.row(&PortableRow::new(row, vector.as_ref()))
    }

    fn records(
        &mut self,
        export: &Export<'_>,
        target: &Target,
        damaged: &mut Vec<String>,
    ) -> Result<(), JobError> {
        export.progress.phase("exporting records", None);
        let (mut done, mut failed) = (0, None);
        let mut take = |record: Imported| {
            done += 1;
            let is_chosen = if export.is_whole() {
                !record.is_bookkeeping()
            } else {
                matches!(&record, Imported::Closet { source_file, .. } if self.sources.contains(source_file))
            };
            let taken = if is_chosen { self.out.record(record) } else { Ok(()) };
            let taken = taken.map_err(|error| target.failed(&error));
            taken.and_then(|()| export.progress.done(done)).map_err(|error| failed = Some(error)).is_ok()
        };
        Palace::each_record(export.snapshot, damaged, &mut take).map_err(JobError::of)?;
        failed.map_or(Ok(()), Err)
    }
}
