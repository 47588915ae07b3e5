//! The whole check of a palace: store, indexes, and the records beside the rows against each other.

use crate::engine::{self, ReadError};

use super::error::QueryError;
use super::handle::Palace;
use super::integrity;

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

impl Palace {
    /// Checks store and indexes without changing them. Blocks; takes seconds per gigabyte.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn verify(&self) -> Result<Verification, QueryError> {
        let report = engine::verify(&self.reader)?;
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
            Err(ReadError::Damaged { .. }) => {
                not_checked
                    .push("records beside the rows against each other: one of them is damaged".to_owned());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Verification { checked, not_checked, problems })
    }
}
