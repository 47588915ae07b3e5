//! The knowledge graph and the links as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::ingest::job::JobError;
use crate::palace::facts::{Entity, Fact};
use crate::palace::import::Imported;
use crate::palace::{Palace, Snapshot};

use super::section::{plain, title};

/// Returns the page, and how many records are on it.
pub fn text(snapshot: &Snapshot, damaged: &mut Vec<String>) -> Result<(String, u64), JobError> {
    let mut entities: BTreeMap<String, Entity> = BTreeMap::new();
    let mut facts: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
    let mut links = String::new();
    let mut count = 0;
    let mut take = |record: Imported| {
        count += 1;
        match record {
            Imported::Entity(entity) => {
                entities.insert(entity.id.clone(), entity);
            }
            Imported::Fact(fact) => facts.entry(fact.subject.clone()).or_default().push(fact),
            Imported::Tunnel(tunnel) => {
                let end = |wing: &str, room: &str| format!("{} / {}", plain(wing), plain(room));
                let source = end(&tunnel.source.wing, &tunnel.source.room);
                let target = end(&tunnel.target.wing, &tunnel.target.room);
                let _ = writeln!(links, "- {source} – {target}{}", label(&tunnel.label));
            }
            Imported::Hallway(hallway) => {
                let (left, right) = (plain(&hallway.entity_a), plain(&hallway.entity_b));
                let place = plain(&hallway.wing);
                let _ = writeln!(links, "- {left} – {right}, in {place}{}", label(&hallway.label));
            }
            Imported::Artifact(_)
            | Imported::Event(_)
            | Imported::Closet { .. }
            | Imported::Setting { .. } => {
                count -= 1;
            }
        }
        true
    };
    Palace::each_record(snapshot, damaged, &mut take).map_err(JobError::of)?;
    let name = |id: &str| entities.get(id).map_or_else(|| plain(id), |entity| plain(&entity.name));
    let mut text = title("Knowledge graph");
    for (subject, facts) in &mut facts {
        let kind = entities.get(subject).map(|entity| format!(" ({})", plain(&entity.kind)));
        let _ = write!(text, "\n## {}{}\n\n", name(subject), kind.unwrap_or_default());
        facts.sort_by(|left, right| (&left.valid_from, &left.id).cmp(&(&right.valid_from, &right.id)));
        for fact in facts {
            let predicate = plain(&fact.predicate.replace('_', " "));
            let _ = writeln!(text, "- {predicate} **{}**{}", name(&fact.object), validity(fact));
        }
    }
    if !links.is_empty() {
        let _ = write!(text, "\n## Links\n\n{links}");
    }
    Ok((text, count))
}

fn label(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!(": {}", plain(label)) }
}

fn validity(fact: &Fact) -> String {
    let mut text = String::new();
    for (word, time) in [("since", &fact.valid_from), ("until", &fact.valid_to)] {
        if let Some(time) = time {
            let _ = write!(text, ", {word} {}", plain(time));
        }
    }
    text
}
