//! Moves lines between a host and a daemon, one task, one state.
//!
//! Invariants: the proxy lives as long as its stdin is open, whoever started it (launchers end before hosts do); it ends
//! soon after; a host that does not read slows its
//! own session down and grows nobody's memory; a half line of a broken connection reaches nobody.

mod alone;
mod host;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palace_protocol::catalogue::Profile;
use palace_protocol::endpoint::EndpointState;
use palace_protocol::frame::{Frame, LineSplitter};
use palace_protocol::handshake::Role;
use palace_protocol::limits::{PROXY_EXIT_MS_MAX, REQUEST_LEN_BYTES_MAX, RESPONSE_LEN_BYTES_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::connect::{Connection, connect, read_record};
use crate::failpoint;
use crate::known::KnownPalace;
use crate::os;
use crate::session_state::{Action, Loss, SessionState};
use crate::spawn::{Insistence, Patience, StartError, connect_or_start};
use crate::upgrade;

use host::{Host, HostInput};

/// Bytes read from the daemon at once.
const READ_LEN_BYTES: usize = 16 * 1024;
/// Lines of the daemon that may wait to be handled.
const EVENT_COUNT_MAX: usize = 64;
/// How long they may be together, in bytes; one more is at hand.
const EVENT_LEN_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// How much of the promised time is kept for the process's own end, in milliseconds.
const EXIT_MARGIN_MS: u64 = 300;
/// How often stdout's reader is looked for.
const READER_CHECK: Duration = Duration::from_secs(1);
/// Pause after a first failure to start a daemon; doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a daemon that somebody else may have started is looked for while a failure is fresh.
const GLANCE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a session is for.
#[derive(Clone, Debug)]
pub struct Session {
    /// Canonical palace directory.
    pub palace: PathBuf,
    /// Why the palace cannot be used, if it cannot: hosts hear it from every call, which most show, and not from the end
    /// of their server, which few explain.
    pub hopeless: Option<String>,
    /// Tools it sees.
    pub profile: Profile,
    /// Whether it may change nothing.
    pub read_only: bool,
}

/// What may happen around a session.
enum Event {
    /// A connection attempt ended.
    Connected(Box<Result<Connection, StartError>>),
    /// Nothing was found, and nothing was started because that failed a moment ago.
    StillFailed,
    /// A line of the daemon, by the number of its connection, and its share of what may wait.
    Line(u64, Vec<u8>, OwnedSemaphorePermit),
    /// The beginning of a line that is too long for any host.
    LineTooLong(u64, Vec<u8>),
    /// The connection of that number broke.
    Lost(u64),
}

/// The daemon's side of a session.
struct Uplink {
    number: u64,
    /// Of the daemon behind it.
    generation: String,
    /// Unbounded, because what is sent is bounded by the requests in flight.
    lines: mpsc::UnboundedSender<Vec<u8>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Uplink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Relay {
    session: Session,
    known: KnownPalace,
    state: SessionState,
    host: Host,
    events: mpsc::Sender<Event>,
    uplink: Option<Uplink>,
    uplink_count: u64,
    connecting: bool,
    asked_for_upgrade: bool,
    /// The last failure to get a daemon, and until when it stands for an answer.
    failure: Option<(Instant, Duration, String)>,
}

/// Serves one host until its stdin ends, and not much longer.
pub async fn run(session: Session) {
    let (host, input, stdin_ended) = match Host::open() {
        Ok(opened) => opened,
        Err(error) => {
            let why = format!(
                "this process could not start its threads ({error}): a limit of processes is reached (RLIMIT_NPROC, a \
                 container's); end some processes or raise it, then restart this server"
            );
            return alone::serve(new_state(&session), &why).await;
        }
    };
    // A host that neither reads nor lives may block the session in the middle of a line; the ends are watched beside it.
    tokio::select! {
        () = serve(session, host, input) => {}
        () = overdue(stdin_ended) => {}
        () = unread() => {}
    }
}

fn new_state(session: &Session) -> SessionState {
    SessionState::new(session.profile, session.read_only, mint_key)
}

/// Ends when a session has had its time after the end of stdin.
async fn overdue(mut stdin_ended: watch::Receiver<bool>) {
    // The thread that says so lives as long as the process.
    let _ = stdin_ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(Duration::from_millis(PROXY_EXIT_MS_MAX - EXIT_MARGIN_MS)).await;
}

/// Ends when nobody is left who could read an answer. A host that died is noticed so although something else of its
/// keeps our stdin open; its process id says nothing, for launchers end before their hosts do.
async fn unread() {
    let mut check = tokio::time::interval(READER_CHECK);
    while os::stdout_has_reader() {
        check.tick().await;
    }
}

/// Serves until stdin has ended and everything is answered, or stdout is closed.
async fn serve(session: Session, host: Host, mut input: mpsc::Receiver<HostInput>) {
    let (events, mut happened) = mpsc::channel(EVENT_COUNT_MAX);
    let state = new_state(&session);
    let mut relay = Relay {
        session,
        known: KnownPalace::default(),
        state,
        host,
        events,
        uplink: None,
        uplink_count: 0,
        connecting: false,
        asked_for_upgrade: false,
        failure: None,
    };
    relay.known.look(&relay.session.palace);
    let mut splitter = LineSplitter::new(REQUEST_LEN_BYTES_MAX);
    let mut is_ended = false;
    while !is_ended || relay.state.has_pending() {
        tokio::select! {
            input = input.recv(), if !is_ended => match input {
                Some(HostInput::Bytes(bytes)) => {
                    splitter.push(&bytes);
                    while let Some(frame) = splitter.next_frame() {
                        relay.host_frame(frame).await;
                    }
                }
                Some(HostInput::End) | None => {
                    if let Some(frame) = splitter.finish() {
                        relay.host_frame(frame).await;
                    }
                    is_ended = true;
                }
            },
            Some(event) = happened.recv() => relay.event(event).await,
            () = relay.host.broken() => break,
        }
    }
    let last = relay.state.ended();
    relay.carry_out(last).await;
    relay.host.close().await;
}

impl Relay {
    async fn host_frame(&mut self, frame: Frame) {
        let actions = self.state.host_frame(frame, Instant::now());
        self.carry_out(actions).await;
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Connected(outcome) => self.connected(*outcome).await,
            Event::StillFailed => {
                self.connecting = false;
                let why = self.failure.as_ref().map_or_else(String::new, |(_, _, why)| why.clone());
                let actions = self.state.unavailable(&why);
                self.carry_out(actions).await;
            }
            Event::Line(number, line, _waited) if self.is_current(number) => {
                let actions = match failpoint::fallible("proxy.answer") {
                    Ok(()) => self.state.daemon_line(&line),
                    // As if the connection had broken in front of it.
                    Err(_) => {
                        self.uplink = None;
                        self.state.lost(Loss::Crash)
                    }
                };
                self.carry_out(actions).await;
            }
            Event::Lost(number) if self.is_current(number) => {
                let loss = self.loss();
                self.uplink = None;
                let actions = self.state.lost(loss);
                self.carry_out(actions).await;
            }
            Event::LineTooLong(number, head) if self.is_current(number) => {
                let actions = self.state.daemon_line_too_long(&head);
                self.carry_out(actions).await;
            }
            // From a connection that was given up.
            Event::Line(..) | Event::LineTooLong(..) | Event::Lost(_) => {}
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.uplink.as_ref().is_some_and(|uplink| uplink.number == number)
    }

    async fn connected(&mut self, outcome: Result<Connection, StartError>) {
        self.connecting = false;
        let recognised = outcome.and_then(|connection| {
            let known = self.known.recognise(&self.session.palace, &connection.welcome);
            known.map(|()| connection).map_err(StartError::OtherPalace)
        });
        match recognised {
            Ok(connection) => {
                self.failure = None;
                self.ask_for_upgrade(&connection.welcome.build);
                let actions = self.state.connected(&connection.welcome);
                self.uplink_count += 1;
                self.uplink = Some(open_uplink(self.uplink_count, connection, &self.events));
                self.carry_out(actions).await;
            }
            Err(error) => {
                let last_pause = self.failure.take().map(|(_, pause, _)| pause);
                let why = error.to_string();
                let actions = self.state.unavailable(&why);
                if !error.is_over_at_a_look() {
                    let pause = last_pause.map_or(RETRY_PAUSE_MIN, |last| (last * 2).min(RETRY_PAUSE_MAX));
                    self.failure = Some((Instant::now() + pause, pause, why));
                }
                self.carry_out(actions).await;
            }
        }
    }

    /// Asks an older daemon, once per session, to make way for one of this build.
    fn ask_for_upgrade(&mut self, build: &str) {
        if !self.asked_for_upgrade && upgrade::is_outdated(build) {
            self.asked_for_upgrade = true;
            let palace = self.session.palace.clone();
            tokio::spawn(async move { upgrade::run(&palace).await });
        }
    }

    /// Tells how the present connection was lost. A daemon that ends says so in its record before it closes
    /// connections; one that crashed is still named as serving.
    fn loss(&self) -> Loss {
        let record = read_record(&self.session.palace);
        let names_it = |generation: &String| {
            record.is_some_and(|record| {
                record.generation == *generation && record.state != EndpointState::Draining
            })
        };
        match &self.uplink {
            Some(uplink) if names_it(&uplink.generation) => Loss::Crash,
            Some(_) | None => Loss::Orderly,
        }
    }

    /// Carries out actions, and those that follow from them.
    async fn carry_out(&mut self, actions: Vec<Action>) {
        let mut waiting = std::collections::VecDeque::from(actions);
        while let Some(action) = waiting.pop_front() {
            match action {
                Action::ToHost(line) => self.host.send(line).await,
                Action::ToDaemon(line) => {
                    if let Some(uplink) = &self.uplink {
                        // A broken uplink reports its loss, and everything unanswered is sent again.
                        let _ = uplink.lines.send(line);
                    }
                }
                Action::Connect => self.connect(),
                Action::Reconnect => {
                    self.uplink = None;
                    waiting.extend(self.state.lost(Loss::Orderly));
                    self.connect();
                }
            }
        }
    }

    /// Begins to get a connection. While the last failure is fresh no daemon is started, but one that somebody else has
    /// started is found; otherwise what waits is answered with that failure.
    fn connect(&mut self) {
        if self.uplink.is_some() || self.connecting {
            return;
        }
        self.connecting = true;
        if let Some(why) = &self.session.hopeless {
            self.failure = Some((Instant::now(), RETRY_PAUSE_MAX, why.clone()));
            let events = self.events.clone();
            tokio::spawn(async move { events.send(Event::StillFailed).await });
            return;
        }
        let failed_lately = self.failure.as_ref().is_some_and(|(until, _, _)| Instant::now() < *until);
        let role = Role::Mcp { profile: self.session.profile, read_only: self.session.read_only };
        let palace = self.session.palace.clone();
        let known = self.known.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let limit = failpoint::recovery_timeout();
            let event = if failed_lately {
                // The daemon that did not answer may be the one that is found, and a suspended one says nothing.
                match tokio::time::timeout(limit.min(GLANCE_TIMEOUT), connect(&palace, role)).await {
                    Ok(Ok(found)) => Event::Connected(Box::new(Ok(found))),
                    Ok(Err(_)) | Err(_) => Event::StillFailed,
                }
            } else {
                let patience = Patience::new(limit);
                let outcome = connect_or_start(&palace, &known, role, patience, Insistence::Patient).await;
                Event::Connected(Box::new(outcome))
            };
            // The session may have ended meanwhile.
            let _ = events.send(event).await;
        });
    }
}

/// Starts the two tasks of a connection.
fn open_uplink(number: u64, connection: Connection, events: &mpsc::Sender<Event>) -> Uplink {
    let Connection { mut reader, mut writer, welcome } = connection;
    let (lines, mut outgoing) = mpsc::unbounded_channel::<Vec<u8>>();
    let lost = events.clone();
    let write = tokio::spawn(async move {
        while let Some(mut line) = outgoing.recv().await {
            line.push(b'\n');
            let forwarded = async {
                failpoint::fallible("proxy.forward")?;
                writer.write_all(&line).await?;
                writer.flush().await
            };
            if forwarded.await.is_err() {
                let _ = lost.send(Event::Lost(number)).await;
                return;
            }
        }
    });
    let events = events.clone();
    let room = Arc::new(Semaphore::new(EVENT_LEN_BYTES_MAX as usize));
    let read = tokio::spawn(async move {
        let mut splitter = LineSplitter::new(RESPONSE_LEN_BYTES_MAX);
        let mut buffer = vec![0; READ_LEN_BYTES];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(len) => splitter.push(&buffer[..len]),
            }
            while let Some(frame) = splitter.next_frame() {
                let event = match frame {
                    Frame::Line(line) => {
                        let len = u32::try_from(line.len()).unwrap_or(u32::MAX).min(EVENT_LEN_BYTES_MAX);
                        let room = Arc::clone(&room).acquire_many_owned(len).await;
                        Event::Line(number, line, room.expect("the semaphore is never closed"))
                    }
                    Frame::TooLong { head } => Event::LineTooLong(number, head),
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
        let _ = events.send(Event::Lost(number)).await;
    });
    Uplink { number, generation: welcome.generation, lines, tasks: [write, read] }
}

fn mint_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
