//! Removing drawers, by their ids or by their source.

use std::collections::BTreeSet;

use crate::engine::{Op, View};
use crate::palace::closets;
use crate::palace::command::{Command, Decided, Delete, DeleteSource, Removed, SourceDeleted};
use crate::palace::removed::{Keeper, Why};

use super::rows_of;

impl Command for Delete {
    type Outcome = Vec<Removed>;

    fn decide(&self, view: &dyn View) -> Decided<Vec<Removed>> {
        let mut ops: Vec<Op> = Vec::new();
        let mut keeper = Keeper::default();
        let mut gone: BTreeSet<String> = BTreeSet::new();
        let mut purged: BTreeSet<String> = BTreeSet::new();
        let mut results = Vec::new();
        for id in &self.ids {
            // Asked for twice, it is gone twice.
            if let Some(earlier) = results.iter().find(|earlier: &&Removed| earlier.id == *id) {
                results.push(earlier.clone());
                continue;
            }
            let mut removed = Removed { id: id.clone(), rows: Vec::new(), closets: 0 };
            for row in rows_of(view, id)? {
                if !gone.insert(row.id.clone()) {
                    continue;
                }
                keeper.row(view, &row, id, Why::Deleted, &self.at)?;
                if purged.insert(row.source_file.clone()) {
                    removed.closets +=
                        closets::purge(view, &row.source_file, &mut ops, &mut |key, value| {
                            keeper.closet(row.drawer_id(), key, value, Why::Deleted, &self.at);
                        })?;
                }
                ops.push(Op::DeleteRow { id: row.id.clone() });
                removed.rows.push(row.id);
            }
            results.push(removed);
        }
        keeper.keep(view, &mut ops)?;
        Ok((ops, results))
    }
}

impl Command for DeleteSource {
    type Outcome = SourceDeleted;

    fn decide(&self, view: &dyn View) -> Decided<SourceDeleted> {
        let ids = view.ids_by_source(&self.source_file)?;
        let rows = ids.len();
        let mut ops: Vec<Op> = Vec::new();
        let mut keeper = Keeper::default();
        let mut first = None;
        for id in ids {
            if let Some(row) = view.row(&id)? {
                keeper.row(view, &row, row.drawer_id(), Why::Deleted, &self.at)?;
                first.get_or_insert_with(|| row.drawer_id().to_owned());
            }
            ops.push(Op::DeleteRow { id });
        }
        let closets = closets::purge(view, &self.source_file, &mut ops, &mut |key, value| {
            if let Some(drawer_id) = &first {
                keeper.closet(drawer_id, key, value, Why::Deleted, &self.at);
            }
        })?;
        keeper.keep(view, &mut ops)?;
        Ok((ops, SourceDeleted { rows, closets }))
    }
}
