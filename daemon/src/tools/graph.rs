//! Rooms that join wings, tunnels that agents drew, hallways that mining found.

use serde_json::{Map, Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::hallways::{self, DeleteHallway};
use crate::palace::rooms::Room;
use crate::palace::tunnels::{self, Connection, Cross, DeleteTunnel, Draw, End, NoRoom};
use crate::palace::{Palace, names};

use super::{Answer, Arguments, Call, write};

/// Steps when the caller names no number.
const HOPS_DEFAULT: usize = 2;
/// Hallways of one page when the caller names no limit.
const PAGE_DEFAULT: usize = 100;

pub fn traverse(palace: &Palace, arguments: &Arguments) -> Answer {
    let walk = || -> Result<Value, QueryError> {
        let start = arguments.required("start_room");
        let rooms = palace.rooms()?;
        let Some(reached) = rooms.traverse(start, arguments.count("max_hops", HOPS_DEFAULT)) else {
            let error = format!("Room '{start}' not found");
            return Ok(json!({"error": error, "suggestions": rooms.suggestions(start)}));
        };
        let reached = reached.into_iter().map(|reached| {
            let mut json = room_json(reached.name, reached.room);
            json["hop"] = json!(reached.hop);
            if !reached.via.is_empty() {
                json["connected_via"] = json!(reached.via);
            }
            json
        });
        Ok(reached.collect())
    };
    Answer::of(walk())
}

fn room_json(name: &str, room: &Room) -> Value {
    json!({"room": name, "wings": room.wings, "halls": room.halls, "count": room.rows})
}

pub fn find_tunnels(palace: &Palace, arguments: &Arguments) -> Answer {
    let find = || -> Result<Value, QueryError> {
        let wings = [optional_name(arguments, "wing_a")?, optional_name(arguments, "wing_b")?];
        let rooms = palace.rooms()?;
        let bridges = rooms.bridges([wings[0].as_deref(), wings[1].as_deref()]);
        let bridges = bridges.into_iter().map(|(name, room)| {
            let mut json = room_json(name, room);
            json["recent"] = json!(room.recent);
            json
        });
        Ok(bridges.collect())
    };
    Answer::of(find())
}

pub fn graph_stats(palace: &Palace) -> Answer {
    let count = || -> Result<Value, QueryError> {
        let snapshot = palace.snapshot()?;
        let rooms = palace.rooms()?;
        let numbers = rooms.numbers();
        let tunnels = tunnels::list(&snapshot, None)?.len();
        let per_wing: Map<String, Value> =
            numbers.per_wing.iter().map(|(wing, rooms)| ((*wing).to_owned(), json!(rooms))).collect();
        let top: Vec<Value> = numbers
            .top
            .iter()
            .map(|(name, room)| json!({"room": name, "wings": room.wings, "count": room.rows}))
            .collect();
        Ok(json!({
            "total_rooms": numbers.rooms, "total_room_instances": numbers.instances,
            "tunnel_rooms": numbers.bridges, "passive_tunnel_rooms": numbers.bridges,
            "explicit_tunnels": tunnels, "total_edges": numbers.edges,
            "total_connections": numbers.edges + tunnels, "rooms_per_wing": per_wing, "top_tunnels": top,
        }))
    };
    Answer::of(count())
}

fn optional_name(arguments: &Arguments, field: &str) -> Result<Option<String>, InputError> {
    arguments.filter_text(field).map(|value| names::name(value, field)).transpose()
}

pub fn create_tunnel(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let end = |side: &str| -> Result<End, InputError> {
        let name = |what: &str| {
            let field = format!("{side}_{what}");
            names::name(arguments.required(&field), &field)
        };
        let drawer_id = arguments.filter_text(&format!("{side}_drawer_id")).map(str::to_owned);
        Ok(End { wing: name("wing")?, room: name("room")?, drawer_id })
    };
    let (source, target) = match (end("source"), end("target")) {
        (Ok(source), Ok(target)) => (source, target),
        (Err(error), _) | (_, Err(error)) => return Answer::ok(json!({"error": error.to_string()})),
    };
    let label = arguments.text("label").map(str::to_owned);
    let hidden = |end: &End| palace.bookkeeping_in(&end.wing, &end.room);
    let hidden = match (hidden(&source), hidden(&target)) {
        (Ok(source), Ok(target)) => [source, target],
        (Err(error), _) | (_, Err(error)) => return Answer::query_failed(&error),
    };
    let command = Draw { source, target, hidden, label, at: call.at.utc };
    write(palace, command, call, |drawn| match drawn {
        Ok(tunnel) => json!(tunnel),
        Err(NoRoom { end, side }) => {
            json!({"error": format!("{side} room '{}' does not exist in wing '{}'", end.room, end.wing)})
        }
    })
}

pub fn list_tunnels(palace: &Palace, arguments: &Arguments) -> Answer {
    let list = || -> Result<Value, QueryError> {
        let wing = optional_name(arguments, "wing")?;
        Ok(json!(tunnels::list(&palace.snapshot()?, wing.as_deref())?))
    };
    Answer::of(list())
}

pub fn delete_tunnel(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let id = arguments.required("tunnel_id").to_owned();
    if id.is_empty() {
        return Answer::ok(json!({"error": "tunnel_id is required"}));
    }
    let command = DeleteTunnel { id: id.clone() };
    write(palace, command, call, move |existed| json!({"deleted": id, "existed": existed}))
}

pub fn follow_tunnels(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let place = || -> Result<(String, String), InputError> {
        let name = |field| names::name(arguments.required(field), field);
        Ok((name("wing")?, name("room")?))
    };
    let (wing, room) = match place() {
        Ok(place) => place,
        Err(error) => return Answer::ok(json!({"error": error.to_string()})),
    };
    if call.read_only {
        let read = || -> Result<Value, QueryError> {
            let found = tunnels::connections(&palace.snapshot()?, &wing, &room)?;
            Ok(found.iter().map(connection_json).collect())
        };
        return Answer::of(read());
    }
    let command = Cross { wing, room, at: call.at.utc };
    write(palace, command, call, |found| found.iter().map(connection_json).collect())
}

fn connection_json(connection: &Connection) -> Value {
    let mut json = json!({
        "direction": if connection.outgoing { "outgoing" } else { "incoming" },
        "connected_wing": connection.end.wing, "connected_room": connection.end.room,
        "label": connection.label, "drawer_id": connection.end.drawer_id,
        "tunnel_id": connection.tunnel_id,
    });
    if let Some(preview) = &connection.preview {
        json["drawer_preview"] = json!(preview);
    }
    json
}

pub fn list_hallways(palace: &Palace, arguments: &Arguments) -> Answer {
    let list = || -> Result<Value, QueryError> {
        let wing = optional_name(arguments, "wing")?;
        let (limit, offset) = (arguments.count("limit", PAGE_DEFAULT), arguments.count("offset", 0));
        let (page, total) = hallways::page(&palace.snapshot()?, wing.as_deref(), limit, offset)?;
        Ok(json!({
            "hallways": page, "total": total, "count": page.len(), "offset": offset, "limit": limit,
        }))
    };
    Answer::of(list())
}

pub fn delete_hallway(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let id = arguments.required("hallway_id").to_owned();
    if id.is_empty() {
        return Answer::ok(json!({"error": "hallway_id is required"}));
    }
    write(palace, DeleteHallway { id }, call, |existed| json!({"deleted": existed}))
}
