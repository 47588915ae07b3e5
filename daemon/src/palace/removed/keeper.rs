//! Keeping what a command takes away.

use serde_json::Value;

use crate::engine::{Collection, Op, ReadError, Row, View};
use crate::palace::decide::rows_of;
use crate::palace::moment::Moment;
use crate::palace::portable::PortableRow;
use crate::palace::records;

use super::{KeptRecord, Removal, Why, keys, newest};

/// Collects what one command takes away, drawer by drawer.
#[derive(Default)]
pub struct Keeper(Vec<Removal>);

impl Keeper {
    /// Keeps a row that is about to go, and was named by `id`: that of its drawer, or its own.
    ///
    /// # Errors
    /// When its vector cannot be read.
    pub fn row(
        &mut self,
        view: &dyn View,
        row: &Row,
        id: &str,
        why: Why,
        at: &Moment,
    ) -> Result<(), ReadError> {
        let vector = view.stored_vector(&row.id)?;
        let kept = PortableRow::new(row.clone(), vector.as_ref());
        let removal = self.of(row.drawer_id(), why, at);
        removal.rows.push(kept);
        // A chunk that is named by its own id goes by itself, even if it is the last one.
        removal.whole &= id == row.drawer_id();
        Ok(())
    }

    /// Keeps an index card that goes with a drawer.
    pub fn closet(&mut self, drawer_id: &str, key: &[u8], value: &[u8], why: Why, at: &Moment) {
        let value = serde_json::from_slice(value).unwrap_or(Value::Null);
        let key = String::from_utf8_lossy(key).into_owned();
        self.of(drawer_id, why, at).closets.push(KeptRecord { key, value });
    }

    fn of(&mut self, drawer_id: &str, why: Why, at: &Moment) -> &mut Removal {
        // Rows of one drawer come one after the other.
        let position = match self.0.last() {
            Some(last) if last.drawer_id == drawer_id => self.0.len() - 1,
            _ => match self.0.iter().position(|removal| removal.drawer_id == drawer_id) {
                Some(position) => position,
                None => {
                    self.0.push(Removal {
                        drawer_id: drawer_id.to_owned(),
                        at_ms: at.utc.0,
                        at: at.local.clone(),
                        why,
                        whole: true,
                        rows: Vec::new(),
                        closets: Vec::new(),
                    });
                    self.0.len() - 1
                }
            },
        };
        &mut self.0[position]
    }

    /// Adds the operations that keep everything collected.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn keep(self, view: &dyn View, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        for mut removal in self.0 {
            removal.whole &= rows_of(view, &removal.drawer_id)?.len() <= removal.rows.len();
            // Two removals of one drawer in one millisecond are two.
            if let Some(newest) = newest(view, &removal.drawer_id)? {
                removal.at_ms = removal.at_ms.max(newest.at_ms + 1);
            }
            let (by_id, by_time) = keys(&removal.drawer_id, removal.at_ms);
            ops.push(records::put(Collection::RemovedByTime, by_time, &Value::Null));
            ops.push(records::put(Collection::Removed, by_id, &removal));
        }
        Ok(())
    }
}
