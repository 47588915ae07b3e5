//! From arguments to a serving daemon, and back in the reverse order.
//!
//! Opening: palace directory, private folder, writer lock, socket, endpoint record, readiness, then the store. The
//! lock comes before anything is removed or created beside it, so a second daemon of the same palace touches nothing.
//! Closing undoes it from the top; the lock goes last, with the process.

mod activation;
mod crash;
mod directory;
mod failure;
mod filesystem;
mod notify;
mod place;
mod settings;
mod stderr;
mod task;
mod writer_lock;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use palace_protocol::endpoint::{Readiness, StartFailure, StartFailureCode};

use crate::Models;
use crate::config::{self, Config, Wanted};
use crate::engine::embed::{Embedder, EmbedderSource, provision};
use crate::engine::{Engine, EngineOptions, OpenError, Reader};
use crate::failpoint;
use crate::ingest::transfer::{backup, upstream};
use crate::journal::Journal;
use crate::palace::Palace;
use crate::session::{self, Service};

use settings::Settings;

pub use activation::ActivatedSocket;
pub use directory::{NetworkFs, write_for_owner_only};
pub use notify::Notifier;
pub use place::Place;
pub use stderr::bound as bound_stderr;

/// What the service manager gave us: a way to tell it something, and perhaps a socket.
#[derive(Debug, Default)]
pub struct Manager {
    /// The way to tell it how far the daemon is.
    pub notifier: Notifier,
    /// The socket it listens on for us.
    pub activated: Option<ActivatedSocket>,
}

/// How long a daemon that lost its place may keep the store: its self-check, and an orderly end.
const STORE_LOCK_WAIT: std::time::Duration = std::time::Duration::from_secs(20);
/// How often the store is tried meanwhile.
const STORE_LOCK_LOOK: std::time::Duration = std::time::Duration::from_millis(50);
/// How long an unused model stays in memory.
const MODEL_IDLE: std::time::Duration = std::time::Duration::from_secs(600);

/// Runs the daemon with this process's arguments and environment.
pub fn run(models: Models) -> ExitCode {
    let wanted = match config::read(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(wanted) => wanted,
        Err(message) => {
            say(&mut std::io::stderr(), &format!("palaced: {message}\nTry 'palaced --help'."));
            return ExitCode::from(2);
        }
    };
    match wanted {
        Wanted::Help => say(&mut std::io::stdout(), config::HELP.trim_end()),
        Wanted::Version => say(&mut std::io::stdout(), concat!("palaced ", env!("CARGO_PKG_VERSION"))),
        Wanted::Serve(config) => return serve(models, &config),
        Wanted::Task(config, task) => return task::run(models, &config, &task),
    }
    ExitCode::SUCCESS
}

/// Prints a line for a person. Nobody may be there to read it, which is no reason to fail.
fn say(out: &mut impl Write, text: &str) {
    let _ = writeln!(out, "{text}");
}

fn serve(models: Models, config: &Config) -> ExitCode {
    write_for_owner_only();
    failpoint::reach("daemon.start");
    let activated = match activation::take(config) {
        Ok(activated) => activated,
        Err(failure) => return cannot_begin(config, &failure),
    };
    let place = match Place::take(&config.palace, config.managed_by, config.network_fs) {
        Ok(place) => Arc::new(place.dying_with_host(config.dies_with_host)),
        Err(failure) => {
            if let Some(activated) = activated {
                activation::turn_away(activated, &failure);
            }
            return cannot_begin(config, &failure);
        }
    };
    failpoint::reach("daemon.locked");
    let journal = Arc::new(Journal::open(&place.log_dir()));
    journal.info(&format!(
        "palaced {} starts, pid {}, generation {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        place.generation()
    ));
    let mut config = config.clone();
    let settings = Settings::read(&config.palace).unwrap_or_else(|message| {
        journal.warn(&message);
        Settings::unreadable(&mut config, message);
        Settings::default()
    });
    settings.apply(&mut config);
    let named_library = settings.runtime_library;
    let config = &config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(session::BLOCKING_THREAD_COUNT_MAX)
        .build()
        .expect("the system can make an event queue");
    let manager = Manager { notifier: notifier(config, &journal), activated };
    let service = Arc::new(Service::new(Arc::clone(&place), Arc::clone(&journal), config, manager));
    let opening = Arc::clone(&service);
    let options = config.clone();
    let listening = Arc::clone(&service);
    let ended = runtime.block_on(session::serve(
        service,
        |generation| {
            announce(config, &Readiness::Ready { generation });
            listening.tell_manager_ready(config.service.watchdog);
        },
        move || open(models, &options, named_library, &opening),
    ));
    // Blocking calls that were abandoned must not delay the end; the store is closed by now.
    runtime.shutdown_background();
    match ended {
        Ok(()) => {
            journal.info("stopped in order");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            journal.warn(&format!("cannot serve: {failure}"));
            place.record_failure(&failure);
            announce(config, &Readiness::Err(failure.clone()));
            say(&mut std::io::stderr(), &format!("palaced: {failure}"));
            exit_code(failure.code)
        }
    }
}

/// Reports a failure from before there was a palace to log it in.
fn cannot_begin(config: &Config, failure: &StartFailure) -> ExitCode {
    // Before the word: a starter may look at once, and on Windows no pipe leads to it.
    place::leave_failure(&config.palace, failure);
    announce(config, &Readiness::Err(failure.clone()));
    say(&mut std::io::stderr(), &format!("palaced: {failure}"));
    exit_code(failure.code)
}

fn notifier(config: &Config, journal: &Journal) -> Notifier {
    let Some(address) = &config.service.notify_socket else { return Notifier::default() };
    Notifier::open(address).unwrap_or_else(|error| {
        journal.warn(&format!("the service manager cannot be told anything: {}: {error}", address.display()));
        Notifier::default()
    })
}

fn exit_code(code: StartFailureCode) -> ExitCode {
    match code {
        StartFailureCode::Locked | StartFailureCode::Owner => ExitCode::from(3),
        StartFailureCode::Palace
        | StartFailureCode::NewerFormat
        | StartFailureCode::Damaged
        | StartFailureCode::EmbedderMismatch
        | StartFailureCode::Socket
        | StartFailureCode::Other => ExitCode::FAILURE,
    }
}

/// Writes the readiness line, then lets go of stdout so that no starter waits for its end.
fn announce(config: &Config, readiness: &Readiness) {
    if !config.readiness {
        return;
    }
    let line = serde_json::to_string(readiness).expect("readiness has only string keys");
    // The starter may have given up waiting, or this is a second failure after READY and stdout is gone.
    let _ = writeln!(std::io::stdout(), "{line}").and_then(|()| std::io::stdout().flush());
    place::release_stdout();
}

/// Starts the embedding model's thread; the model itself is loaded when it is needed.
fn start_embedder(
    models: Models,
    config: &Config,
    named_library: Option<PathBuf>,
) -> Result<Embedder, StartFailure> {
    let source = match models {
        Models::HashForTests => EmbedderSource::Hash,
        Models::Builtin => EmbedderSource::Builtin {
            runtime_search: provision::candidates(&provision::Places {
                configured: named_library,
                ort_dylib_path: config.runtime_library.clone().map(std::path::PathBuf::into_os_string),
                program_dir: std::env::current_exe()
                    .ok()
                    .and_then(|path| path.parent().map(std::path::Path::to_path_buf)),
                home: directories::BaseDirs::new().map(|base| base.home_dir().to_path_buf()),
            }),
            threads: config.threads,
            idle_unload: MODEL_IDLE,
        },
    };
    Embedder::start(source).map_err(|error| StartFailure {
        code: StartFailureCode::Other,
        message: format!("the embedding model cannot be started: {error}"),
    })
}

/// Returns what the store is opened with.
fn engine_options(config: &Config, embedder: &Embedder) -> EngineOptions {
    EngineOptions {
        exact_scan_max: config.exact_scan_max,
        embedder_identity: embedder.identity(),
        dimension: embedder.state().dimension,
        search_threads: session::BLOCKING_THREAD_COUNT_MAX,
        host: machine(),
        now: crate::clock::now().utc,
        ..EngineOptions::default()
    }
}

/// Opens store, indexes and model. Blocks; runs while the first clients wait behind their hello.
fn open(
    models: Models,
    config: &Config,
    named_library: Option<PathBuf>,
    service: &Arc<Service>,
) -> Result<Palace, StartFailure> {
    refuse_unimported(service.palace_dir(), config)?;
    let embedder = start_embedder(models, config, named_library)?;
    let options = engine_options(config, &embedder);
    failpoint::reach("daemon.opening");
    let (engine, reader) =
        open_store(service.palace_dir(), &options, service).map_err(|error| failure::of_opening(&error))?;
    failpoint::reach("daemon.opened");
    let ending = Arc::clone(service);
    let palace = Palace::new(engine, reader, embedder, config.keep_removed_ms, move |trouble| {
        ending.writer_in_trouble(trouble);
    });
    if let Err(error) = backup::keep_log(&palace) {
        service.journal().warn(&format!("the next backup will be a full one: {error}"));
    }
    Ok(palace)
}

/// Refuses to make an empty store beside a palace of MemPalace that must not be imported: its owner would find nothing
/// of what he remembers.
fn refuse_unimported(dir: &std::path::Path, config: &Config) -> Result<(), StartFailure> {
    if config.moves_in || !upstream::is_palace(dir) || Engine::exists(dir) {
        return Ok(());
    }
    let message = format!(
        "{} holds a palace of MemPalace, and importing it is switched off; `palacectl --palace NEW import {}` moves it \
         into a directory of its own; nothing was changed",
        dir.display(),
        dir.display()
    );
    Err(StartFailure { code: StartFailureCode::Palace, message })
}

/// Returns a name of this machine that another one does not have, empty where there is none.
fn machine() -> String {
    let id = palace_system::process::machine_id();
    #[cfg(unix)]
    if id.is_empty() {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    id
}

/// Opens the store. A daemon whose private folder was removed under it still has the store open until its next
/// self-check; that is waited for while clients wait behind their hello.
fn open_store(
    palace: &std::path::Path,
    options: &EngineOptions,
    service: &Service,
) -> Result<(Engine, Reader), OpenError> {
    let begun = std::time::Instant::now();
    loop {
        match Engine::open(palace, options.clone()) {
            Err(OpenError::Locked { .. }) if begun.elapsed() < STORE_LOCK_WAIT => {
                if begun.elapsed() < STORE_LOCK_LOOK {
                    service.journal().warn("another process has the store open; waiting for it to notice");
                }
                std::thread::park_timeout(STORE_LOCK_LOOK);
            }
            opened => return opened,
        }
    }
}
