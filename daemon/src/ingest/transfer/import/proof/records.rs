//! Records of a source held against the palace, and differences of any kind as a report names them.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::ingest::job::JobError;
use crate::palace::Snapshot;
use crate::palace::ids::sha256_hex;
use crate::palace::import::{Held, Imported, held};

/// Differences that are named; more are counted.
const NAMED_COUNT_MAX: usize = 1_000;

/// Where palace and source differ.
#[derive(Default)]
pub struct Differences {
    /// The first of them.
    pub named: Vec<String>,
    /// All of them.
    pub count: u64,
}

impl Differences {
    /// Notes one.
    pub fn add(&mut self, what: String) {
        self.count += 1;
        if self.named.len() < NAMED_COUNT_MAX {
            self.named.push(what);
        }
    }

    /// Holds the text that is stored for a row against the source's, by SHA-256; notes when it is another one.
    pub fn compare_texts(&mut self, id: &str, expected: &str, stored: &str) -> bool {
        let hash = |text: &str| sha256_hex(text.as_bytes(), 64);
        let same = hash(stored) == hash(expected);
        if !same {
            self.add(format!("{id}: another text"));
        }
        same
    }
}

/// How records of a source compare.
#[derive(Default)]
pub struct Records {
    compared: u64,
    equal: u64,
    /// Those that are others here and were kept so.
    kept: Vec<String>,
}

impl Records {
    /// Holds one record against the palace. What is named in `kept` may be another one here, and so may settings: a
    /// palace's are its owner's, and those of a source are only taken where there are none.
    ///
    /// # Errors
    /// When the palace cannot be read.
    pub fn compare(
        &mut self,
        snapshot: &Snapshot,
        record: &Imported,
        kept: &HashSet<&str>,
        differences: &mut Differences,
    ) -> Result<(), JobError> {
        self.compared += 1;
        let may_differ = matches!(record, Imported::Setting { .. }) || kept.contains(record.name().as_str());
        match held(snapshot, record).map_err(JobError::of)? {
            Held::Same => self.equal += 1,
            Held::Different if may_differ => self.kept.push(record.name()),
            Held::Different => differences.add(format!("{}: another one is stored", record.name())),
            Held::Missing => differences.add(format!("{}: not stored", record.name())),
        }
        Ok(())
    }

    /// Returns how many were compared.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Returns the numbers.
    pub fn report(&self) -> Value {
        json!({"compared": self.compared, "equal": self.equal, "kept_ours": self.kept})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::transfer::tests::{Ground, records};

    #[test]
    fn what_is_missing_or_different_is_named() {
        let (full, empty) = (Ground::furnished(), Ground::new());
        let mut changed = records();
        let Imported::Tunnel(tunnel) = &mut changed[8] else { panic!("the ninth is a tunnel") };
        tunnel.label = "another".to_owned();
        let compare = |ground: &Ground, kept: &[&str]| {
            let snapshot = ground.palace.snapshot().unwrap();
            let kept = kept.iter().copied().collect();
            let (mut records, mut differences) = (Records::default(), Differences::default());
            for record in &changed {
                records.compare(&snapshot, record, &kept, &mut differences).unwrap();
            }
            (records.equal, records.kept, differences.named)
        };
        let (equal, kept, named) = compare(&full, &[]);
        assert_eq!((equal, kept.len()), (12, 0));
        assert_eq!(named, ["tunnel t: another one is stored"]);
        assert_eq!(compare(&full, &["tunnel t"]), (12, vec!["tunnel t".to_owned()], Vec::new()));
        let (equal, _, named) = compare(&empty, &["tunnel t"]);
        assert_eq!((equal, named.len()), (0, 13), "what is kept as it is here must be here");
    }
}
