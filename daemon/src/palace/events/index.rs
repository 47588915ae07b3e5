//! What filters look at of every event, in memory: a question reads the events it answers with and no others.
//!
//! Events are appended and never changed, so the index only ever grows; it is made at the first question and takes in,
//! at each further one, what was appended since. About fifty bytes an event, texts kept once.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::engine::{Collection, ReadError, Reader, RecordRange, Snapshot, View};
use crate::palace::error::QueryError;
use crate::palace::records;

use super::Event;
use super::query::{EventFilter, anchor};

/// A text an event does not have.
const ABSENT: u32 = 0;
/// Addressee of events for everyone.
const ALL: &str = "*";

/// The index of one palace's events.
#[derive(Default)]
pub struct EventIndex {
    /// Guards lookups and the taking in of events already read; the store is never read under it.
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    names: HashMap<String, u32>,
    entries: Vec<Entry>,
}

/// What filters look at: numbers of texts in `names`.
struct Entry {
    seq: u64,
    /// Digits of the time it was written at; the greatest number when it is none that can be compared.
    written: u64,
    to_agent: u32,
    /// In the order of [`fields`].
    fields: [u32; 7],
}

impl EventIndex {
    /// Returns events in the order of arrival, or against it.
    ///
    /// # Errors
    /// When the filter names an event that does not exist, or the store cannot be read.
    pub fn list(&self, reader: &Reader, filter: &EventFilter) -> Result<Vec<Event>, QueryError> {
        let snapshot = self.refresh(reader)?;
        let since = anchor(&snapshot, filter.since_event_id.as_deref(), "since_event_id")?;
        let before = anchor(&snapshot, filter.before_event_id.as_deref(), "before_event_id")?;
        let seqs = self.known.read().matching(filter, since, before);
        let mut found: Vec<Event> = Vec::new();
        for seq in seqs {
            if found.len() == filter.limit {
                break;
            }
            // An event the snapshot does not have was appended after it.
            let event: Option<Event> = records::get(&snapshot, Collection::Events, &seq.to_be_bytes())?;
            found.extend(event.filter(|event| filter.admits(event)));
        }
        Ok(found)
    }

    /// Takes in what was appended, and returns a snapshot of whose events none is missing.
    fn refresh(&self, reader: &Reader) -> Result<Snapshot, ReadError> {
        let (last, count) = {
            let known = self.known.read();
            (known.entries.last().map(|entry| entry.seq), known.entries.len() as u64)
        };
        // Taken after the known state, so that it is never older.
        let snapshot = reader.snapshot()?;
        let total = snapshot.record_count(Collection::Events)?;
        if total == count {
            return Ok(snapshot);
        }
        if last.is_some() {
            let mut new = Vec::new();
            each_after(&snapshot, last, |event| new.push(event))?;
            if count + new.len() as u64 == total {
                let mut known = self.known.write();
                new.into_iter().for_each(|event| known.append(&event));
                return Ok(snapshot);
            }
        }
        // The first question, or a stream that was written by other means than appending to it.
        let mut anew = Known::default();
        each_after(&snapshot, None, |event| anew.append(&event))?;
        *self.known.write() = anew;
        Ok(snapshot)
    }
}

fn each_after(view: &dyn View, seq: Option<u64>, mut visit: impl FnMut(Event)) -> Result<(), ReadError> {
    let range = RecordRange { after: seq.map(|seq| seq.to_be_bytes().to_vec()), ..RecordRange::default() };
    records::each(view, Collection::Events, &range, |event| {
        visit(event);
        true
    })
}

/// Returns the texts of an event that filters ask for by equality.
fn fields(event: &Event) -> [Option<&str>; 7] {
    [
        Some(&event.stream),
        Some(&event.room),
        event.topic.as_deref(),
        Some(&event.kind),
        Some(&event.from_agent),
        event.correlation_id.as_deref(),
        event.status.as_deref(),
    ]
}

fn wanted(filter: &EventFilter) -> [Option<&str>; 7] {
    [
        filter.stream.as_deref(),
        filter.room.as_deref(),
        filter.topic.as_deref(),
        filter.kind.as_deref(),
        filter.writer.as_deref(),
        filter.correlation_id.as_deref(),
        filter.status.as_deref(),
    ]
}

impl Known {
    /// Takes in an event, unless another thread has taken it in already: they come in the order of their seq.
    fn append(&mut self, event: &Event) {
        if self.entries.last().is_some_and(|last| last.seq >= event.seq) {
            return;
        }
        let fields = fields(event).map(|text| self.number(text));
        let to_agent = self.number(event.to_agent.as_deref());
        let written = digits(&event.created_at).unwrap_or(u64::MAX);
        self.entries.push(Entry { seq: event.seq, written, to_agent, fields });
    }

    fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return ABSENT };
        if let Some(number) = self.names.get(text) {
            return *number;
        }
        let number = u32::try_from(self.names.len() + 1).expect("fewer texts than four thousand millions");
        self.names.insert(text.to_owned(), number);
        number
    }

    /// Returns the seqs of the events a filter lets through, in the order it asks for.
    fn matching(&self, filter: &EventFilter, since: Option<u64>, before: Option<u64>) -> Vec<u64> {
        let known = |text: &str| self.names.get(text).copied();
        let mut equal = [None; 7];
        for (slot, text) in equal.iter_mut().zip(wanted(filter)) {
            if let Some(text) = text {
                let Some(number) = known(text) else { return Vec::new() };
                *slot = Some(number);
            }
        }
        let all = known(ALL);
        let me = filter.to_agent.as_deref().map(known);
        let written = filter.since_created_at.as_deref().and_then(digits).unwrap_or(0);
        let admits = |entry: &&Entry| {
            let addressed = |me: Option<u32>| Some(entry.to_agent) == me || Some(entry.to_agent) == all;
            entry.written >= written
                && equal
                    .iter()
                    .zip(entry.fields)
                    .all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == found))
                && me.is_none_or(addressed)
        };
        let from = since.map_or(0, |since| self.entries.partition_point(|entry| entry.seq <= since));
        let until = before
            .map_or(self.entries.len(), |before| self.entries.partition_point(|entry| entry.seq < before));
        let between = self.entries.get(from..until).unwrap_or_default().iter();
        if filter.newest_first {
            between.rev().filter(admits).map(|entry| entry.seq).collect()
        } else {
            between.filter(admits).map(|entry| entry.seq).collect()
        }
    }
}

/// Returns the fourteen digits of a UTC time to the second, a date's midnight among them.
fn digits(time: &str) -> Option<u64> {
    let is_shaped = |shape: &[u8]| {
        time.len() == shape.len()
            && time.bytes().zip(shape).all(|(found, wanted)| match wanted {
                b'0' => found.is_ascii_digit(),
                _ => found == *wanted,
            })
    };
    let number =
        || time.bytes().filter(u8::is_ascii_digit).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if is_shaped(b"0000-00-00T00:00:00Z") {
        Some(number())
    } else if is_shaped(b"0000-00-00") {
        Some(number() * 1_000_000)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fixture::{commit, open};
    use crate::engine::{Engine, Op, Timestamp};
    use crate::palace::command::Command;
    use crate::palace::events::{NewEvent, Stamp, Stamped};
    use crate::palace::moment::Moment;

    fn append(engine: &mut Engine, second: i64, stream: &str, to: Option<&str>) {
        let now = Moment { utc: Timestamp(second * 1_000), local: "2026-01-31T09:00:00.000001".into() };
        let new = NewEvent {
            kind: "a.b".into(),
            stream: stream.into(),
            room: "r".into(),
            from_agent: "me".into(),
            to_agent: to.map(str::to_owned),
            ..NewEvent::default()
        };
        let stamp = Stamp { id: format!("evt_{second}"), replica: "rep".into(), now };
        let command = Stamped { act: new, stamp };
        let (ops, _) = command.decide(&engine.begin().unwrap()).unwrap();
        commit(engine, &ops);
    }

    fn seqs(index: &EventIndex, reader: &Reader, filter: &EventFilter) -> Vec<u64> {
        index.list(reader, filter).unwrap().iter().map(|event| event.seq).collect()
    }

    #[test]
    fn questions_find_what_was_appended_since_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let (mut engine, reader) = open(folder.path());
        let index = EventIndex::default();
        let any = EventFilter { limit: 10, ..EventFilter::default() };
        let in_x = EventFilter { stream: Some("x".into()), ..any.clone() };
        assert!(seqs(&index, &reader, &in_x).is_empty());
        for (second, stream, to) in
            [(1, "x", Some("bob")), (2, "y", Some("*")), (3, "x", None), (4, "x", Some("ann"))]
        {
            append(&mut engine, second, stream, to);
        }
        assert_eq!(seqs(&index, &reader, &in_x), [1, 3, 4]);
        append(&mut engine, 5, "x", Some("bob"));
        assert_eq!(
            seqs(&index, &reader, &EventFilter { newest_first: true, limit: 2, ..in_x.clone() }),
            [5, 4]
        );
        assert_eq!(
            seqs(&index, &reader, &EventFilter { to_agent: Some("bob".into()), ..any.clone() }),
            [1, 2, 5]
        );
        assert_eq!(seqs(&index, &reader, &EventFilter { to_agent: Some("eve".into()), ..any.clone() }), [2]);
        let since = EventFilter { since_created_at: Some("1970-01-01T00:00:04Z".into()), ..any.clone() };
        assert_eq!(seqs(&index, &reader, &since), [4, 5]);
        let between = EventFilter {
            since_event_id: Some("evt_1".into()),
            before_event_id: Some("evt_4".into()),
            ..any.clone()
        };
        assert_eq!(seqs(&index, &reader, &between), [2, 3]);
        assert!(
            index.list(&reader, &EventFilter { since_event_id: Some("none".into()), ..any.clone() }).is_err()
        );

        commit(
            &mut engine,
            &[Op::DeleteRecord { collection: Collection::Events, key: 2u64.to_be_bytes().into() }],
        );
        assert_eq!(seqs(&index, &reader, &any), [1, 3, 4, 5], "written by other means");
    }

    #[test]
    fn times_are_compared_by_their_digits() {
        assert_eq!(digits("2026-01-31T09:00:01Z"), Some(20_260_131_090_001));
        assert_eq!(digits("2026-01-31"), Some(20_260_131_000_000));
        assert_eq!(digits("2026-01-31 09:00"), None);
    }
}
