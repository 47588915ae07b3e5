//! What a damaged file still holds: its trees walked page by page, and what they no longer lead to looked for in every
//! page of the file.
//!
//! What counts is the newest commit that can be found. A record is *certain* when every page from that commit's root down
//! to it is what its parent says. Where the walk meets a page that is not, the keys that belong there are a *gap*, and
//! only for keys in a gap is anything taken from elsewhere: the tree shows that all others are gone.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::pages::{Content, PAGE, Page, PageRef, Pages, Place, Root, definition};
use crate::engine::store::codec::unseal;
use crate::engine::store::records::{self, State};
use crate::engine::store::tables::{self, Table};

/// Deepest tree that is walked. Real ones have a tenth of it.
const DEPTH_MAX: usize = 64;

/// Pages between two questions whether to go on.
const PAGES_PER_LOOK: u64 = 1024;

/// A record that was found intact.
pub struct Found {
    place: Place,
    /// It is what the newest commit holds. Otherwise it may be an older version, or one that was removed.
    pub certain: bool,
}

/// Keys above `.0` up to `.1` that the tree no longer leads to; `None` for no limit.
type Gap = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A table as far as it could be read.
#[derive(Default)]
pub struct Extent {
    pub found: BTreeMap<Vec<u8>, Found>,
    /// Records the newest commit should have, by its own account; `None` when that is lost as well.
    pub expected: Option<u64>,
    gaps: Vec<Gap>,
    /// Records that are there and fail their own checks.
    pub damaged: BTreeMap<Vec<u8>, String>,
}

impl Extent {
    /// Tells whether the tree leaves open if there is a record of this key.
    pub fn leaves_open(&self, key: &[u8]) -> bool {
        let within = |(after, until): &Gap| {
            after.as_deref().is_none_or(|after| key > after)
                && until.as_deref().is_none_or(|until| key <= until)
        };
        self.damaged.contains_key(key) || self.gaps.iter().any(within)
    }

    /// Returns the gaps, each in words.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter()
    }

    fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.damaged.is_empty()
    }
}

/// Everything that was found.
pub struct Survey {
    pub pages: Pages,
    extents: BTreeMap<u8, Extent>,
    /// Highest row key seen anywhere, rows that are gone included.
    pub highest_key: u64,
    /// Highest position in history seen in the log.
    pub highest_seq: u64,
    /// The header leads to no commit; the newest one found otherwise was taken.
    pub without_header: bool,
    /// Not even that was found: records come from anywhere.
    pub without_tree: bool,
    visited: HashSet<u64>,
    steps: u64,
}

/// Somebody said to stop.
#[derive(Debug)]
pub struct Stopped;

/// The tables that cannot be computed from others, and the log for what it says of the time.
fn wanted() -> impl Iterator<Item = &'static Table> {
    let rows = [&tables::META, &tables::ROWS, &tables::IDS, &tables::VECTORS, &tables::LOG];
    rows.into_iter().chain(tables::COLLECTIONS.into_iter().map(tables::collection))
}

/// The table trees of one commit, by table tag.
type Roots = BTreeMap<u8, Option<Root>>;

/// Reads the whole of a file, as far as it is needed.
pub fn survey(pages: Pages, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Survey, Stopped> {
    let mut survey = Survey {
        pages,
        extents: wanted().map(|table| (table.tag, Extent::default())).collect(),
        highest_key: 0,
        highest_seq: 0,
        without_header: false,
        without_tree: false,
        visited: HashSet::new(),
        steps: 0,
    };
    let slots: Vec<Root> = survey.pages.slots().into_iter().filter_map(|slot| slot.tables).collect();
    let newest = slots.first().and_then(|root| survey.roots_under(root.page, 0));
    let mut older = Vec::new();
    let newest = match newest {
        Some(newest) => newest,
        None => {
            survey.without_header = true;
            older = survey.roots_anywhere(go_on)?;
            older.pop().unwrap_or_default()
        }
    };
    survey.without_tree = newest.is_empty();
    survey.walk_newest(&newest, go_on)?;
    let whole = survey.extents.iter().all(|(tag, extent)| *tag == tables::LOG.tag || extent.is_whole());
    if whole && !survey.without_header {
        return Ok(survey);
    }
    if !survey.without_header {
        older = survey.roots_anywhere(go_on)?;
        older.extend(slots.get(1).and_then(|root| survey.roots_under(root.page, 0)));
    }
    for roots in older.into_iter().rev() {
        survey.walk_older(&roots, go_on)?;
    }
    survey.carve(go_on)?;
    Ok(survey)
}

impl Survey {
    pub fn extent(&self, table: &'static Table) -> &Extent {
        &self.extents[&table.tag]
    }

    /// Returns the payload of a record that was found.
    pub fn payload(&self, table: &'static Table, key: &[u8], found: &Found) -> Vec<u8> {
        // It was intact when it was found; a disk that gives other bytes now gives an empty payload.
        let value = self.pages.value(found.place);
        unseal(table.tag, key, &value).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Returns a record and whether it is certain.
    pub fn record(&self, table: &'static Table, key: &[u8]) -> Option<(Vec<u8>, bool)> {
        let found = self.extent(table).found.get(key)?;
        Some((self.payload(table, key, found), found.certain))
    }

    fn step(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Stopped> {
        self.steps += 1;
        if self.steps.is_multiple_of(PAGES_PER_LOOK) && !go_on(self.steps) {
            return Err(Stopped);
        }
        Ok(())
    }

    /// Reads the tree of tables under a page; `None` when it cannot be read or holds none of ours.
    fn roots_under(&self, page: PageRef, depth: usize) -> Option<Roots> {
        let page = self.pages.page(page, depth == 0);
        page.sound.then(|| self.roots_in(&page, depth)).flatten()
    }

    fn roots_in(&self, page: &Page, depth: usize) -> Option<Roots> {
        let mut roots = Roots::new();
        match page.content() {
            Content::Leaf(pairs) => {
                for pair in pairs {
                    let name = &page.bytes[pair.key];
                    let table = wanted().find(|table| table.name.as_bytes() == name);
                    if let (Some(table), Some(root)) = (table, definition(&page.bytes[pair.value])) {
                        roots.insert(table.tag, root);
                    }
                }
            }
            Content::Branch { children, .. } if depth < 2 => {
                for child in children {
                    roots.extend(self.roots_under(child, depth + 1).unwrap_or_default());
                }
            }
            Content::Branch { .. } | Content::Neither => {}
        }
        (!roots.is_empty()).then_some(roots)
    }

    /// Looks through the file for trees of tables of any commit; the newest comes last.
    fn roots_anywhere(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Vec<Roots>, Stopped> {
        let mut found: Vec<(u64, Roots)> = Vec::new();
        for offset in (0..self.pages.len()).step_by(PAGE).skip(1) {
            self.step(go_on)?;
            let page = self.pages.guess(offset);
            let Some(roots) = self.roots_in(&page, 0) else { continue };
            if let Some(state) = self.state_of(&roots) {
                found.push((state.seq.0, roots));
            }
        }
        found.sort_by_key(|(seq, _)| *seq);
        Ok(found.into_iter().map(|(_, roots)| roots).collect())
    }

    /// Reads where the store stood at a commit. Only a sound page tells.
    fn state_of(&self, roots: &Roots) -> Option<State> {
        let root = (*roots.get(&tables::META.tag)?)?;
        let page = self.pages.page(root.page, false);
        let (true, Content::Leaf(pairs)) = (page.sound, page.content()) else { return None };
        let pair = pairs.iter().find(|pair| page.bytes[pair.key.clone()] == *tables::META_STATE)?;
        let payload = unseal(tables::META.tag, tables::META_STATE, &page.bytes[pair.value.clone()]).ok()?;
        records::decode_state(payload).ok()
    }

    fn walk_newest(&mut self, roots: &Roots, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Stopped> {
        for table in wanted() {
            match roots.get(&table.tag) {
                Some(Some(root)) => {
                    self.extent_mut(table.tag).expected = Some(root.len);
                    let walk = Walk { table, newest: true };
                    self.walk(&walk, root.page, (None, None), true, 0, go_on)?;
                }
                Some(None) => self.extent_mut(table.tag).expected = Some(0),
                // A commit whose other tables are known and which lacks this one is of an older format.
                None if !roots.is_empty() && roots.contains_key(&tables::ROWS.tag) => {
                    self.extent_mut(table.tag).expected = Some(0);
                }
                None => self.extent_mut(table.tag).gaps.push((None, None)),
            }
        }
        Ok(())
    }

    fn walk_older(&mut self, roots: &Roots, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Stopped> {
        for table in wanted() {
            if let Some(Some(root)) = roots.get(&table.tag) {
                let walk = Walk { table, newest: false };
                self.walk(&walk, root.page, (None, None), false, 0, go_on)?;
            }
        }
        Ok(())
    }

    fn extent_mut(&mut self, tag: u8) -> &mut Extent {
        self.extents.get_mut(&tag).expect("made for every wanted table")
    }

    fn walk(
        &mut self,
        walk: &Walk,
        page: PageRef,
        bounds: Gap,
        certain: bool,
        depth: usize,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Stopped> {
        self.step(go_on)?;
        if depth > DEPTH_MAX || self.visited.contains(&page.offset) {
            return Ok(());
        }
        let page = self.pages.page(page, walk.newest);
        if page.sound {
            self.visited.insert(page.offset);
        }
        let content = page.content();
        if walk.newest && certain && (!page.sound || matches!(content, Content::Neither)) {
            self.extent_mut(walk.table.tag).gaps.push(bounds.clone());
        }
        let certain = certain && page.sound;
        match content {
            Content::Leaf(pairs) => {
                for pair in pairs {
                    let key = &page.bytes[pair.key.clone()];
                    let Some(place) = page.place(&pair.value) else { continue };
                    self.take(walk, key, &page.bytes[pair.value], place, certain);
                }
            }
            Content::Branch { children, separators } => {
                for (at, child) in children.into_iter().enumerate() {
                    // A branch that is not sound leads only to what proves itself, and tells nothing of its keys.
                    if !page.sound && !self.pages.page(child, walk.newest).sound {
                        continue;
                    }
                    let separator = |at: Option<usize>| -> Option<Vec<u8>> {
                        let range = separators.get(at?)?.clone()?;
                        Some(page.bytes[range].to_vec())
                    };
                    let bounds = if page.sound {
                        let after = separator(at.checked_sub(1)).or_else(|| bounds.0.clone());
                        (after, separator(Some(at)).or_else(|| bounds.1.clone()))
                    } else {
                        bounds.clone()
                    };
                    self.walk(walk, child, bounds, certain, depth + 1, go_on)?;
                }
            }
            Content::Neither => {}
        }
        Ok(())
    }

    /// Takes a record from a page of a tree.
    fn take(&mut self, walk: &Walk, key: &[u8], value: &[u8], place: Place, certain: bool) {
        match unseal(walk.table.tag, key, value) {
            Ok(_) => self.admit(walk.table, key, place, certain),
            // The page is what it should be, so the key is right and the record is not.
            Err(why) if walk.newest && certain => {
                self.extent_mut(walk.table.tag).damaged.insert(key.to_vec(), why.to_string());
            }
            Err(_) => {}
        }
    }

    fn admit(&mut self, table: &'static Table, key: &[u8], place: Place, certain: bool) {
        if let (Some(number), 8) = (key.first_chunk::<8>().map(|key| u64::from_be_bytes(*key)), key.len()) {
            if table.tag == tables::ROWS.tag || table.tag == tables::VECTORS.tag {
                self.highest_key = self.highest_key.max(number);
            } else if table.tag == tables::LOG.tag {
                self.highest_seq = self.highest_seq.max(number);
            }
        }
        let extent = self.extent_mut(table.tag);
        if certain {
            extent.found.insert(key.to_vec(), Found { place, certain });
        } else if extent.leaves_open(key) {
            // The first is from the newest commit of those that have it.
            extent.found.entry(key.to_vec()).or_insert(Found { place, certain });
        }
    }

    /// Takes what no tree leads to from every page that looks like a leaf.
    fn carve(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Stopped> {
        let all: Vec<&'static Table> = wanted().collect();
        for offset in (0..self.pages.len()).step_by(PAGE).skip(1) {
            self.step(go_on)?;
            if self.visited.contains(&offset) {
                continue;
            }
            let page = self.pages.guess(offset);
            let Content::Leaf(pairs) = page.content() else { continue };
            let mut last = all[0];
            for pair in pairs {
                let (key, value) = (&page.bytes[pair.key.clone()], &page.bytes[pair.value.clone()]);
                let Some(place) = page.place(&pair.value) else { continue };
                // All pairs of a leaf are of one table, which the page does not name.
                let tried = std::iter::once(&last).chain(&all).try_for_each(|table| {
                    if unseal(table.tag, key, value).is_ok() {
                        ControlFlow::Break(*table)
                    } else {
                        ControlFlow::Continue(())
                    }
                });
                if let ControlFlow::Break(table) = tried {
                    last = table;
                    self.admit(table, key, place, false);
                }
            }
        }
        Ok(())
    }
}

/// What a walk is about.
struct Walk {
    table: &'static Table,
    newest: bool,
}
