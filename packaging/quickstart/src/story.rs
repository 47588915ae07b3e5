//! The demonstration, step by step.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::build::Programs;
use crate::host::Host;
use crate::{say, texts};

/// Doc comments that the second host files.
const COMMENT_COUNT: usize = 300;
/// Ids asked for in one call.
const READ_COUNT: usize = 200;

/// Shows it all on a scratch palace.
///
/// # Errors
/// When a step fails or a claim does not hold.
pub fn tell(programs: &Programs, keep: bool) -> Result<()> {
    let scratch = tempfile::tempdir().context("a scratch folder")?;
    let palace = scratch.path().join("palace");
    say(&format!("\nTwo hosts, one palace: {}\n", palace.display()));
    let told = steps(programs, &palace);
    // Whatever happened, the scratch palace's daemon ends with the demonstration.
    let stopped = control(programs, &palace, &["stop"]);
    told?;
    stopped?;
    if keep {
        say(&format!("\nkept: {}", scratch.keep().display()));
    }
    Ok(())
}

fn steps(programs: &Programs, palace: &Path) -> Result<()> {
    let begun = Instant::now();
    let [mut left, mut right] = spawn_two(programs, palace)?;
    for host in [&mut left, &mut right] {
        // A search needs the store and the model: after its answer everything is there.
        host.call("search", &json!({"query": "is anybody there"}))?;
    }
    let millis = begun.elapsed().as_millis();
    done(1, &format!("two servers spawned at the same instant; both have searched after {millis} ms"));

    let first = status(programs, palace)?;
    one_of_everything(&first, 2)?;
    let runtime = first["embedder"]["runtime"].as_str().unwrap_or_default().to_owned();
    done(
        2,
        &format!(
            "one daemon (pid {}), one writer, one loaded model ({runtime}), two clients",
            first["daemon"]["pid"]
        ),
    );

    let begun = Instant::now();
    let documents = texts::documents()?;
    let comments = texts::comments(COMMENT_COUNT)?;
    let (half_documents, rest_documents) = documents.split_at(documents.len() / 2);
    let (half_comments, rest_comments) = comments.split_at(comments.len() / 2);
    let filed = both_file(left, right, half_documents, half_comments, None)?;
    let (mut left, mut right, mut acknowledged) = (filed.left, filed.right, filed.acknowledged);
    done(
        3,
        &format!(
            "{} texts filed by both hosts at once in {:.1} s",
            acknowledged.len(),
            begun.elapsed().as_secs_f64()
        ),
    );

    found_by(&mut left, &half_comments[half_comments.len() / 3].1)?;
    found_by(&mut right, &half_documents[half_documents.len() / 3].1)?;
    done(4, "each host finds at once what the other one wrote");

    let pid = first["daemon"]["pid"].as_i64().context("a daemon pid")?;
    let filed = both_file(left, right, rest_documents, rest_comments, Some(pid))?;
    (left, right) = (filed.left, filed.right);
    acknowledged.extend(filed.acknowledged);
    done(
        5,
        &format!(
            "daemon {pid} killed with SIGKILL in the middle of writes; both sessions went on, no call failed"
        ),
    );

    let second = status(programs, palace)?;
    one_of_everything(&second, 2)?;
    ensure!(second["daemon"]["pid"] != first["daemon"]["pid"], "the daemon was not killed");
    let stored = count_exactly_once(&mut right, &acknowledged)?;
    found_by(&mut left, &rest_comments[rest_comments.len() / 2].1)?;
    done(6, &format!("{} acknowledged texts, {stored} drawers: each there exactly once", acknowledged.len()));

    say("\n$ palacectl status");
    say(control(programs, palace, &["status"])?.trim_end());
    Ok(())
}

fn done(number: u32, what: &str) {
    say(&format!("✓ {number}. {what}"));
}

fn spawn_two(programs: &Programs, palace: &Path) -> Result<[Host; 2]> {
    let barrier = Arc::new(Barrier::new(2));
    std::thread::scope(|scope| {
        let starters = ["first host", "second host"].map(|name| {
            let barrier = Arc::clone(&barrier);
            scope.spawn(move || -> Result<Host> {
                barrier.wait();
                let mut host = Host::spawn(programs, palace)?;
                host.initialize(name)?;
                Ok(host)
            })
        });
        let [first, second] = starters.map(|starter| starter.join().expect("a starter's thread ends"));
        Ok([first?, second?])
    })
}

/// Both hosts after they filed their texts.
struct Filed {
    left: Host,
    right: Host,
    acknowledged: BTreeSet<String>,
}

/// Both hosts file at once; a daemon is killed once a third of all texts is acknowledged.
fn both_file(
    mut left: Host,
    mut right: Host,
    documents: &[(String, String)],
    comments: &[(String, String)],
    kill: Option<i64>,
) -> Result<Filed> {
    let count = AtomicUsize::new(0);
    let kill_at = (documents.len() + comments.len()) / 3;
    let file = |host: &mut Host, wing: &str, texts: &[(String, String)]| -> Result<Vec<String>> {
        texts
            .iter()
            .map(|(room, text)| {
                let id = host.file(wing, room, text)?;
                if count.fetch_add(1, Ordering::SeqCst) + 1 == kill_at
                    && let Some(pid) = kill
                {
                    kill_now(pid)?;
                }
                Ok(id)
            })
            .collect()
    };
    let (from_left, from_right) = std::thread::scope(|scope| {
        let other = scope.spawn(|| file(&mut right, "sources", comments));
        (file(&mut left, "documents", documents), other.join().expect("a host's thread ends"))
    });
    let acknowledged = from_left?.into_iter().chain(from_right?).collect();
    Ok(Filed { left, right, acknowledged })
}

#[cfg(unix)]
fn kill_now(pid: i64) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        .context("the daemon could not be killed")
}

#[cfg(windows)]
fn kill_now(pid: i64) -> Result<()> {
    let killed = Command::new("taskkill").args(["/F", "/PID", &pid.to_string()]).output()?;
    ensure!(killed.status.success(), "the daemon could not be killed");
    Ok(())
}

fn found_by(host: &mut Host, text: &str) -> Result<()> {
    let query: String = text.chars().take(120).collect();
    let found = host.call("search", &json!({"query": query, "limit": 5}))?;
    let start: String = text.chars().take(60).collect();
    let hits = found["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_there = hits.iter().any(|hit| hit["text"].as_str().is_some_and(|hit| hit.starts_with(&start)));
    ensure!(is_there, "not found: {start:?}");
    Ok(())
}

/// Reads every acknowledged drawer and walks the whole listing; returns the number of drawers.
fn count_exactly_once(host: &mut Host, acknowledged: &BTreeSet<String>) -> Result<usize> {
    let ids: Vec<&String> = acknowledged.iter().collect();
    for ids in ids.chunks(READ_COUNT) {
        let read = host.call("get_drawers", &json!({"drawer_ids": ids}))?;
        ensure!(read["errors"] == 0, "acknowledged but not there: {read}");
    }
    let mut listed = BTreeSet::new();
    loop {
        let page = host.call("list_drawers", &json!({"limit": 100, "offset": listed.len()}))?;
        let drawers = page["drawers"].as_array().context("a page of drawers")?;
        for drawer in drawers {
            let id = drawer["drawer_id"].as_str().context("a drawer id")?;
            ensure!(listed.insert(id.to_owned()), "listed twice: {id}");
        }
        if drawers.is_empty() {
            break;
        }
    }
    ensure!(listed == *acknowledged, "{} drawers stored, {} acknowledged", listed.len(), acknowledged.len());
    Ok(listed.len())
}

fn status(programs: &Programs, palace: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&control(programs, palace, &["status", "--json"])?)?)
}

fn one_of_everything(status: &Value, hosts: usize) -> Result<()> {
    let sessions = status["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let connected =
        sessions.iter().filter(|session| session["host"].as_str().is_some_and(|host| host.ends_with("host")));
    ensure!(connected.count() == hosts, "not {hosts} hosts: {}", status["sessions"]);
    ensure!(status["embedder"]["loaded"] == 1, "not one loaded model: {}", status["embedder"]);
    ensure!(status["state"] == "ready", "not ready: {status}");
    Ok(())
}

/// Runs palacectl on the scratch palace and returns what it prints.
fn control(programs: &Programs, palace: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(&programs.palacectl).arg("--palace").arg(palace).args(arguments).output()?;
    if !output.status.success() {
        bail!("palacectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
