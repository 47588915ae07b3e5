//! Tunnels: links between two rooms that an agent drew.
//!
//! A tunnel has no direction: its id comes from both ends in a fixed order, so drawing it again from the other side
//! changes its label and keeps its history. Each crossing makes it stronger, and more lasting when it was not crossed
//! within the hour; how strong it is now fades with time and is computed when it is asked for. Constants are MemPalace's.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, ReadError, Timestamp, View};

use super::bookkeeping;
use super::command::{Command, Decided};
use super::decide::rows_of;
use super::ids::sha256_hex;
use super::records;
use super::rooms::same_wing;

const STRENGTH_MAX: f64 = 5.0;
const STRENGTH_STEP: f64 = 0.05;
const STABILITY_STEP: f64 = 0.1;
const SPACING_MS: i64 = 60 * 60 * 1_000;
/// Characters shown of the drawer at the other end.
const PREVIEW_CHARS: usize = 300;

/// A stored tunnel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Id by [`id`].
    pub id: String,
    /// The end named first when it was drawn last.
    pub source: End,
    /// The other end.
    pub target: End,
    /// What joins them.
    #[serde(default)]
    pub label: String,
    /// `explicit` when an agent drew it.
    pub kind: String,
    /// When it was first drawn, UTC.
    pub created_at: String,
    /// When it was drawn again, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Its use.
    #[serde(flatten)]
    pub dynamics: Dynamics,
}

/// One end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// A drawer in it that the tunnel is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawer_id: Option<String>,
}

/// How much a link is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dynamics {
    /// Grows with each crossing, from 1 to 5.
    pub strength: f64,
    /// Grows with crossings an hour or more apart.
    pub stability: f64,
    /// Last crossing, UTC.
    pub last_activated: String,
    /// Crossings.
    pub access_count: u64,
}

impl Dynamics {
    /// Returns the dynamics of a new link.
    pub fn new(now: String) -> Self {
        Self { strength: 1.0, stability: 1.0, last_activated: now, access_count: 0 }
    }

    fn cross(&mut self, now: Timestamp) {
        self.strength = (self.strength + STRENGTH_STEP).min(STRENGTH_MAX);
        let last = self.last_activated.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        if last.is_ok_and(|last| now.0 - last >= SPACING_MS) {
            self.stability += STABILITY_STEP;
        }
        self.last_activated = super::moment::utc_text(now);
        self.access_count += 1;
    }
}

/// Draws a tunnel, or draws it again. Names are checked before it exists.
#[derive(Clone, Debug)]
pub struct Draw {
    /// One end.
    pub source: End,
    /// The other end.
    pub target: End,
    /// Rows of the source's room and the target's that are no memories: a room that holds nothing else is none.
    pub hidden: [u64; 2],
    /// What joins them; a tunnel drawn again without one keeps its own.
    pub label: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An end of a tunnel that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// The end.
    pub end: End,
    /// `Source` or `Target`.
    pub side: &'static str,
}

/// Removes a tunnel.
#[derive(Clone, Debug)]
pub struct DeleteTunnel {
    /// Its id.
    pub id: String,
}

/// Follows all tunnels of a room.
#[derive(Clone, Debug)]
pub struct Cross {
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// When.
    pub at: Timestamp,
}

/// Where one tunnel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whether the room is the tunnel's source.
    pub outgoing: bool,
    /// The other end.
    pub end: End,
    /// What joins them.
    pub label: String,
    /// The tunnel.
    pub tunnel_id: String,
    /// First characters of the drawer at the other end, if one is named and there.
    pub preview: Option<String>,
}

/// Returns the id of the tunnel between two rooms, whichever comes first.
pub fn id(left: &End, right: &End) -> String {
    let (left, right) = (format!("{}/{}", left.wing, left.room), format!("{}/{}", right.wing, right.room));
    sha256_hex(format!("{}↔{}", left.as_str().min(&right), left.as_str().max(&right)).as_bytes(), 16)
}

/// Returns all tunnels, or those with an end in a wing.
///
/// # Errors
/// When the state cannot be read.
pub fn list(view: &dyn View, wing: Option<&str>) -> Result<Vec<Tunnel>, ReadError> {
    let mut tunnels: Vec<Tunnel> = records::all(view, Collection::Tunnels)?;
    if let Some(wing) = wing {
        tunnels.retain(|tunnel| same_wing(&tunnel.source.wing, wing) || same_wing(&tunnel.target.wing, wing));
    }
    tunnels.sort_by(|left, right| (&left.created_at, &left.id).cmp(&(&right.created_at, &right.id)));
    Ok(tunnels)
}

/// Returns where the tunnels of a room lead.
///
/// # Errors
/// When the state cannot be read.
pub fn connections(view: &dyn View, wing: &str, room: &str) -> Result<Vec<Connection>, ReadError> {
    let is_here = |end: &End| same_wing(&end.wing, wing) && end.room == room;
    let mut found = Vec::new();
    for tunnel in list(view, None)? {
        let outgoing = is_here(&tunnel.source);
        if !outgoing && !is_here(&tunnel.target) {
            continue;
        }
        let end = if outgoing { tunnel.target } else { tunnel.source };
        let preview = match &end.drawer_id {
            Some(id) => preview(view, id)?,
            None => None,
        };
        found.push(Connection { outgoing, end, label: tunnel.label, tunnel_id: tunnel.id, preview });
    }
    Ok(found)
}

fn preview(view: &dyn View, id: &str) -> Result<Option<String>, ReadError> {
    let rows = rows_of(view, id)?;
    let text = rows.iter().flat_map(|row| row.document.chars()).take(PREVIEW_CHARS).collect();
    Ok((!rows.is_empty()).then_some(text))
}

impl Command for Draw {
    /// The tunnel as it is stored.
    type Outcome = Result<Tunnel, NoRoom>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        let counts = view.counts()?;
        let ends = [(&self.source, "Source"), (&self.target, "Target")];
        for ((end, side), hidden) in ends.into_iter().zip(self.hidden) {
            if bookkeeping::rows_in(&counts, &end.wing, &end.room) <= hidden {
                return Ok((Vec::new(), Err(NoRoom { end: end.clone(), side })));
            }
        }
        let now = super::moment::utc_text(self.at);
        let id = id(&self.source, &self.target);
        let existing: Option<Tunnel> = records::get(view, Collection::Tunnels, id.as_bytes())?;
        let kept = existing.as_ref().map(|tunnel| tunnel.label.as_str());
        let tunnel = Tunnel {
            source: self.source.clone(),
            target: self.target.clone(),
            label: self.label.as_deref().or(kept).unwrap_or_default().to_owned(),
            kind: "explicit".to_owned(),
            created_at: existing.as_ref().map_or_else(|| now.clone(), |tunnel| tunnel.created_at.clone()),
            updated_at: existing.is_some().then(|| now.clone()),
            dynamics: existing.map_or_else(|| Dynamics::new(now), |tunnel| tunnel.dynamics),
            id,
        };
        let op = records::put(Collection::Tunnels, tunnel.id.as_bytes(), &tunnel);
        Ok((vec![op], Ok(tunnel)))
    }
}

impl Command for DeleteTunnel {
    /// Whether there was one.
    type Outcome = bool;

    fn decide(&self, view: &dyn View) -> Decided<bool> {
        records::remove(view, Collection::Tunnels, self.id.as_bytes())
    }
}

impl Command for Cross {
    /// Where the tunnels of the room lead.
    type Outcome = Vec<Connection>;

    fn decide(&self, view: &dyn View) -> Decided<Vec<Connection>> {
        let connections = connections(view, &self.wing, &self.room)?;
        let mut ops = Vec::new();
        for connection in &connections {
            let key = connection.tunnel_id.as_bytes();
            if let Some(mut tunnel) = records::get::<Tunnel>(view, Collection::Tunnels, key)? {
                tunnel.dynamics.cross(self.at);
                ops.push(records::put(Collection::Tunnels, key, &tunnel));
            }
        }
        Ok((ops, connections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value was computed from the recipe's definition with an independent program (Python's hashlib).
    #[test]
    fn ids_are_the_peers_from_either_end() {
        let end = |wing: &str, room: &str| End { wing: wing.into(), room: room.into(), drawer_id: None };
        let (left, right) = (end("a", "x"), end("b", "y"));
        assert_eq!(id(&left, &right), "233c3a1c8719a294");
        assert_eq!(id(&right, &left), id(&left, &right));
    }
}
