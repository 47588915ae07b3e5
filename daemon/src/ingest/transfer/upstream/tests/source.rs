//! The source: never changed, never half read.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use super::super::UpstreamError;
use super::maker::{INDEX, Layout, Maker, ROWS, Schema, database, index, unit};
use super::*;

/// What a file or directory holds and when it was modified.
type State = BTreeMap<PathBuf, (Vec<u8>, SystemTime)>;

/// Returns the state of every file and directory below a path.
pub fn everything(dir: &Path) -> State {
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let mut state = State::from([(dir.to_owned(), (Vec::new(), modified(dir)))]);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            state.append(&mut everything(&path));
        } else {
            state.insert(path.clone(), (fs::read(&path).unwrap(), modified(&path)));
        }
    }
    state
}

fn snapshot(home: &Home) -> State {
    everything(home.path())
}

/// Reads everything there is.
fn read_all(home: &Home) -> Vec<String> {
    let palace = home.open();
    palace.inventory().unwrap();
    palace.each_fact(&mut |_| ControlFlow::Continue(())).unwrap();
    palace.each_event(&mut |_| ControlFlow::Continue(())).unwrap();
    texts(&drawers(&palace))
}

/// Copies a database with its companions to where a program that died left it.
fn leave_behind(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-journal"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if with(from).exists() {
            fs::copy(with(from), with(to)).unwrap();
        }
    }
}

#[test]
fn nothing_of_the_source_changes() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    maker.mark(ROWS, 1);
    drop(maker);
    index(&home.palace().join(INDEX), &Layout::of(1), &[("a", &unit(1))]);
    home.write("config.json", "{}");
    home.write("tunnels.json", "[]");
    let elsewhere = TempDir::new().unwrap();
    let graph = elsewhere.path().join("g");
    let conn = rusqlite::Connection::open(&graph).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE entities(id TEXT PRIMARY KEY); INSERT INTO entities VALUES ('x')").unwrap();
    leave_behind(&graph, &home.palace().join("knowledge_graph.sqlite3"));
    drop(conn);
    let before = snapshot(&home);
    assert_eq!(read_all(&home), ["a=one"]);
    assert_eq!(home.open().inventory().unwrap().entity_count, 1);
    assert!(snapshot(&home) == before);
}

#[test]
fn what_sqlite_has_to_finish_is_finished_in_the_copy() {
    // A program died in the middle of a transaction: some of it is in the file, the journal says how it was before.
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.conn.execute_batch("PRAGMA synchronous = FULL").unwrap();
    maker.row(1, "a", "one", 1);
    maker.mark(ROWS, 1);
    let elsewhere = Home::new();
    maker.conn.execute_batch("PRAGMA cache_size = 2; PRAGMA cache_spill = 2; BEGIN").unwrap();
    for number in 2..200 {
        maker.row(number, &format!("d{number}"), "never committed", number);
    }
    leave_behind(&database(&home), &database(&elsewhere));
    assert!(PathBuf::from(format!("{}-journal", database(&elsewhere).display())).exists());
    drop(maker);
    let before = snapshot(&elsewhere);
    assert_eq!(read_all(&elsewhere), ["a=one"]);
    assert!(snapshot(&elsewhere) == before);
}

#[test]
fn an_index_that_changes_after_it_was_opened_is_told() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    drop(maker);
    index(&home.palace().join(INDEX), &Layout::of(1), &[("a", &unit(1))]);
    let palace = home.open();
    fs::write(home.palace().join(INDEX).join("data_level0.bin"), b"other").unwrap();
    let outcome = palace.each_row("mempalace_drawers", None, &mut |_| ControlFlow::Continue(()));
    let message = outcome.unwrap_err().to_string();
    assert!(message.ends_with("data_level0.bin is being written; stop MemPalace first"), "{message}");
}

#[test]
fn what_is_no_palace_is_said_to_be_none() {
    let home = Home::new();
    let error = home.try_open().err().unwrap();
    assert!(error.to_string().ends_with("it has neither chroma.sqlite3 nor sqlite_exact.sqlite3"), "{error}");
    fs::write(database(&home), "no database ".repeat(100)).unwrap();
    assert!(matches!(home.try_open(), Err(UpstreamError::NotSqlite { .. })));
    fs::remove_file(database(&home)).unwrap();
    rusqlite::Connection::open(database(&home)).unwrap().execute_batch("CREATE TABLE x(y)").unwrap();
    assert!(matches!(home.try_open(), Err(UpstreamError::NoTable { .. })));
    fs::remove_file(database(&home)).unwrap();
    fs::create_dir(database(&home)).unwrap();
    assert!(matches!(home.try_open(), Err(UpstreamError::NotAFile { .. })));
}

#[test]
fn the_scratch_directory_is_not_part_of_the_source() {
    let home = Home::new();
    drop(Maker::new(&home, Schema::Current));
    let places = Places::of(&home.palace(), Some(home.path()));
    fs::create_dir(home.palace().join("inside")).unwrap();
    for scratch in [home.palace(), home.palace().join("inside"), home.path().join(".mempalace")] {
        assert!(matches!(open(&places, &scratch), Err(UpstreamError::ScratchInSource { .. })), "{scratch:?}");
    }
}

#[test]
fn places_follow_from_a_palace_and_a_home() {
    let home = Path::new("/home/max");
    let fresh = Places::of(Path::new("/home/max/.config/mempalace/palace"), Some(home));
    assert_eq!(
        fresh.config_dirs,
        [Path::new("/home/max/.mempalace"), Path::new("/home/max/.config/mempalace")]
    );
    assert!(Places::of(Path::new("/srv/p"), None).config_dirs.is_empty());
    assert_eq!(Places::of(Path::new("/srv/palace"), None).config_dirs, [Path::new("/srv")]);
    assert_eq!(Places::candidates(home)[0].palace, Path::new("/home/max/.mempalace/palace"));
}
