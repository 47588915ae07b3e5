//! `palace-mcp`: the MCP server of any host, as a thin client of the palace's daemon.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use palace_protocol::catalogue::Profile;

use crate::palace::{self, Missing};
use crate::relay::{self, Session};

const HELP: &str = "\
palace-mcp: the MemPalace memory as an MCP server over stdio

Usage: palace-mcp [--palace DIR] [--tools full|light] [--read-only]

Every start is a thin client of the one daemon of the palace, which it starts when needed.
Run it from an MCP host (Claude Desktop, Claude Code, Codex, Cursor, ...); it speaks JSON-RPC on stdin and stdout.

Options:
  --palace DIR    the palace; otherwise PALACE_PATH, MEMPALACE_PALACE_PATH, MEMPALACE_PALACE, MEMPAL_PALACE_PATH,
                  palace_path in ~/.mempalace/config.json, or ~/.mempalace/palace
  --tools PROFILE full: MemPalace's tools by their names (default); light: three tools that take a query language and
                  cost a quarter of the tokens
  --read-only     offer and accept only tools that change nothing [PALACE_READ_ONLY=1]
  --version, --help

PALACE_DAEMON names the palaced program when it stands neither beside palace-mcp nor on PATH.
Exit codes, once stdin has ended: 0; 1 when the palace directory cannot be used. At once: 2 usage.
";

/// Runs the proxy with this process's arguments and environment until stdin ends.
pub fn run() -> ExitCode {
    let options = match read_arguments() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            complain(&format!("{message}\nTry 'palace-mcp --help'."));
            return ExitCode::from(2);
        }
    };
    let (palace, hopeless) = match palace::resolve(options.palace.as_deref(), Missing::Make) {
        Ok(palace) => (palace, None),
        Err(error) => {
            complain(&error.to_string());
            (PathBuf::new(), Some(error.to_string()))
        }
    };
    let exit_code = i32::from(hopeless.is_some());
    let session = Session { palace, hopeless, profile: options.profile, read_only: options.read_only };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system can make an event queue");
    runtime.block_on(async {
        // Before the first line is read: a host may answer the first answer with a signal.
        let signalled = signals();
        tokio::select! {
            () = relay::run(session) => {}
            () = signalled => {}
        }
    });
    // A blocked read of stdin cannot be cancelled; the process ends over it.
    std::process::exit(exit_code)
}

struct Options {
    palace: Option<PathBuf>,
    profile: Profile,
    read_only: bool,
}

fn read_arguments() -> Result<Option<Options>, String> {
    use lexopt::prelude::*;
    let is_set = |name| {
        std::env::var_os(name).is_some_and(|value| !matches!(value.to_str(), Some("" | "0" | "false")))
    };
    let mut options = Options {
        palace: None,
        profile: Profile::Full,
        read_only: is_set("PALACE_READ_ONLY") || is_set("MEMPALACE_MCP_READ_ONLY"),
    };
    let mut parser = lexopt::Parser::from_env();
    let plain = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Long("palace") => options.palace = Some(PathBuf::from(parser.value().map_err(plain)?)),
            Long("read-only") => options.read_only = true,
            Long("tools") => match parser.value().map_err(plain)?.to_str() {
                Some("full") => options.profile = Profile::Full,
                Some("light") => options.profile = Profile::Light,
                _ => return Err("--tools takes 'full' or 'light'".into()),
            },
            Long("transport") => match parser.value().map_err(plain)?.to_str() {
                Some("stdio") => {}
                _ => return Err("--transport takes 'stdio'".into()),
            },
            Long(name @ ("backend" | "collection")) => {
                let note = format!("--{name} is an option of MemPalace without meaning here; it is ignored");
                parser.value().map_err(plain)?;
                complain(&note);
            }
            Short('h') | Long("help") => return tell(HELP.trim_end()),
            Short('V') | Long("version") => return tell(concat!("palace-mcp ", env!("CARGO_PKG_VERSION"))),
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().to_string()),
        }
    }
    Ok(Some(options))
}

fn tell(text: &str) -> Result<Option<Options>, String> {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(None)
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "palace-mcp: {text}");
}

/// Listens for the signals that end a server, from the call on; the future ends with the first of them.
#[cfg(unix)]
fn signals() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listening: Vec<_> = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect();
    async move {
        let mut listening = listening;
        std::future::poll_fn(|context| {
            let received = listening.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if received { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

/// Without a handler the system ends the process on Ctrl+C, which is what is wanted.
#[cfg(windows)]
fn signals() -> impl Future<Output = ()> {
    std::future::pending()
}
