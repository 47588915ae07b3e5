//! Many hosts work on one palace while everything is killed, stopped and restarted at random; then the books are
//! checked: no acknowledged write is lost, none is there twice, every call got one answer, and neither the daemon nor a
//! proxy that lived through it has grown.
//!
//! `soak --minutes 60` is the long mode, `soak --seconds 40` what a change must pass. The seed is printed, so that a
//! run can be repeated as far as timing allows.

mod books;
mod chaos;
mod steady;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use palace_tests::Sandbox;
use palace_tests::sandbox::Programs;

const HELP: &str = "\
Usage: soak [--seconds COUNT | --minutes COUNT] [--hosts COUNT] [--seed NUMBER]

Runs the test programs beside this one (build them with `cargo build -p palace-tests`).
  --seconds, --minutes  how long; 60 s by default. Three quarters of it everything is killed at random, then the
                        survivors work undisturbed while memory and descriptors are watched
  --hosts COUNT         proxies at once, 16 by default
  --seed NUMBER         of the random choices; by the clock otherwise
";

/// Problems that are shown one by one.
const SHOWN_COUNT_MAX: usize = 20;

/// What the command line asks for.
pub struct Options {
    length: Duration,
    hosts: usize,
    seed: u64,
}

/// Random numbers good enough to choose victims (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Prints a line.
pub fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let options = match read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            say(&format!("{message}\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    say(&format!("soak: {} hosts, {} s, seed {}", options.hosts, options.length.as_secs(), options.seed));
    let sandbox = Sandbox::new(programs());
    let problems = run(&sandbox, &options);
    for problem in problems.iter().take(SHOWN_COUNT_MAX) {
        say(&format!("PROBLEM {problem}"));
    }
    if let Some(more) = problems.len().checked_sub(SHOWN_COUNT_MAX).filter(|more| *more > 0) {
        say(&format!("… and {more} more problems"));
    }
    say(if problems.is_empty() {
        "soak: nothing lost, nothing doubled, nothing leaked"
    } else {
        "soak: failed"
    });
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(sandbox: &Sandbox, options: &Options) -> Vec<String> {
    let over = AtomicBool::new(false);
    let stormy = options.length * 3 / 4;
    let (books, tally, hosts) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.hosts)
            .map(|number| {
                let over = &over;
                scope.spawn(move || worker::run(sandbox, number, options.seed, over))
            })
            .collect();
        let begun = Instant::now();
        let tally = chaos::run(sandbox, options.seed, || begun.elapsed() < stormy);
        over.store(true, Ordering::SeqCst);
        let mut books = books::Books::default();
        let mut hosts = Vec::new();
        for worker in workers {
            let (own, host) = worker.join().expect("a worker counts its failures and does not panic");
            books.merge(own);
            hosts.push(host);
        }
        (books, tally, hosts)
    });
    say(&tally.to_string());
    say(&books.to_string());
    let mut problems = books.check(sandbox);
    problems.extend(steady::run(sandbox, hosts, options.length - stormy));
    let verified = sandbox.palacectl(&["verify"]).output();
    if !verified.as_ref().is_ok_and(|verified| verified.status.success()) {
        problems.push(format!("palacectl verify: {verified:?}"));
    }
    problems
}

fn programs() -> Programs {
    let folder =
        std::env::current_exe().ok().and_then(|own| own.parent().map(PathBuf::from)).unwrap_or_default();
    Programs {
        palaced: folder.join("palaced-test"),
        palace_mcp: folder.join("palace-mcp-test"),
        palacectl: folder.join("palacectl-test"),
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut options = Options { length: Duration::from_secs(60), hosts: 16, seed: now.as_secs() };
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, String> {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            value.parse().map_err(|_| format!("{argument} takes a whole number, not {value}"))
        };
        match argument.as_str() {
            "--seconds" => options.length = Duration::from_secs(number()?),
            "--minutes" => options.length = Duration::from_secs(60 * number()?),
            "--hosts" => options.hosts = usize::try_from(number()?.clamp(1, 200)).unwrap_or(16),
            "--seed" => options.seed = number()?,
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    Ok(options)
}
