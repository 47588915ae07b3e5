//! `palacectl removed`, `undelete` and `purge`: what was removed, and what becomes of it.

use std::path::Path;

use clap::Args;
use palace_protocol::control::{ControlReply, ControlRequest, RemovedDrawer};
use serde_json::json;

use super::client::{Client, ClientError};
use super::outcome::{Exit, Failure, Outcome};
use super::render::{count, grouped};

/// Which removals to list.
#[derive(Debug, Args)]
pub struct RemovedArgs {
    /// How many, newest first
    #[arg(short = 'n', long, default_value_t = 20)]
    pub limit: usize,
}

/// Which drawers to bring back.
#[derive(Debug, Args)]
pub struct UndeleteArgs {
    /// Ids of drawers, as `palacectl removed` lists them
    #[arg(required = true)]
    pub ids: Vec<String>,
}

/// Which removals to forget for good.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// Only these drawers; otherwise all
    pub ids: Vec<String>,
    /// Only what was removed longer ago than this many days
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u64>,
    /// Do it; without this it is only said what would go
    #[arg(long)]
    pub yes: bool,
}

/// Lists what can be brought back.
///
/// # Errors
/// When no daemon answers.
pub fn removed(palace: &Path, args: &RemovedArgs) -> Result<Outcome, Failure> {
    let (drawers, total) = ask(palace, args.limit)?;
    let lines: Vec<String> = drawers.iter().map(line).collect();
    let text = match (total, lines.len() as u64) {
        (0, _) => "nothing was removed that could be brought back".to_owned(),
        (total, shown) if shown < total => {
            format!("{}\n{} more", lines.join("\n"), grouped(total - shown))
        }
        _ => lines.join("\n"),
    };
    Ok(Outcome::done(text, json!({ "removed": drawers, "total": total })))
}

fn ask(palace: &Path, limit: usize) -> Result<(Vec<RemovedDrawer>, u64), Failure> {
    let reply = Client::of_palace(palace)?.ask(&ControlRequest::Removed { limit })?;
    let ControlReply::Removed { drawers, total } = reply else { return Err(ClientError::Unexpected.into()) };
    Ok((drawers, total))
}

fn line(drawer: &RemovedDrawer) -> String {
    let at: String = drawer.at.chars().take(16).collect();
    let preview = drawer.preview.replace('\n', " ");
    format!("{at}  {:<8} {}  {}/{}  {preview}", drawer.why, drawer.drawer_id, drawer.wing, drawer.room)
}

/// Brings drawers back.
///
/// # Errors
/// When no daemon answers or nothing was changed; a drawer that is not kept is told and ends with exit code 1.
pub fn undelete(palace: &Path, args: &UndeleteArgs) -> Result<Outcome, Failure> {
    let request = ControlRequest::Undelete { ids: args.ids.clone() };
    let ControlReply::Undeleted(drawers) = Client::of_palace(palace)?.ask(&request)? else {
        return Err(ClientError::Unexpected.into());
    };
    let lines: Vec<String> = drawers
        .iter()
        .map(|drawer| match (drawer.rows, drawer.was_there) {
            (0, true) => format!("{}: is there, and replaced nothing", drawer.drawer_id),
            (0, false) => format!("{}: nothing of it is kept", drawer.drawer_id),
            (rows, true) => {
                format!("{}: has its earlier text again, {}", drawer.drawer_id, count(rows as u64, "row"))
            }
            (rows, false) => format!("{}: is back, {}", drawer.drawer_id, count(rows as u64, "row")),
        })
        .collect();
    let all_back = drawers.iter().all(|drawer| drawer.rows > 0);
    Ok(Outcome {
        code: if all_back { Exit::Done.code() } else { Exit::Failed.code() },
        text: lines.join("\n"),
        json: json!({ "drawers": drawers }),
    })
}

/// Forgets removals for good.
///
/// # Errors
/// When no daemon answers or nothing was changed.
pub fn purge(palace: &Path, args: &PurgeArgs) -> Result<Outcome, Failure> {
    if !args.yes {
        let (_, total) = ask(palace, 1)?;
        let text = format!(
            "{} of removed or replaced drawers are kept; `palacectl purge --yes` forgets what matches for good",
            count(total, "version")
        );
        return Ok(Outcome::done(text, json!({ "kept": total, "purged": null })));
    }
    let request = ControlRequest::Purge { ids: args.ids.clone(), older_than_days: args.older_than };
    let ControlReply::Purged { removals, rows } = Client::of_palace(palace)?.ask(&request)? else {
        return Err(ClientError::Unexpected.into());
    };
    let text = format!(
        "{} forgotten, {}; `palacectl compact` gives the room back",
        count(removals as u64, "version"),
        count(rows as u64, "row")
    );
    Ok(Outcome::done(text, json!({ "purged": removals, "rows": rows })))
}
