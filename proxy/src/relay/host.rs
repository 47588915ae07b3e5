//! The host's side of a session: stdin and stdout, each on a thread of its own with a small stack.
//!
//! Standard streams may be files, pipes or terminals, and a blocked read of them cannot be cancelled; threads that end
//! with the process are the simplest thing that is right for all of them.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::{failpoint, os};

/// Stack of each thread, in bytes.
const STACK_LEN_BYTES: usize = 64 * 1024;
/// Bytes read from the host at once.
const READ_LEN_BYTES: usize = 16 * 1024;
/// Reads and lines that may wait.
const QUEUE_COUNT_MAX: usize = 16;
/// First pause between two looks at a host whose input is not taken; doubles.
const FULL_LOOK_MIN: Duration = Duration::from_millis(1);
/// Longest such pause.
const FULL_LOOK_MAX: Duration = Duration::from_millis(250);
/// How long the last lines may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);

/// What comes from the host.
pub enum HostInput {
    /// Bytes as they were read.
    Bytes(Vec<u8>),
    /// The end of stdin.
    End,
}

/// The way to the host.
pub struct Host {
    lines: Option<mpsc::Sender<String>>,
    /// Turns true when stdout is closed, or when everything was written after [`Host::close`].
    ended: watch::Receiver<bool>,
}

impl Host {
    /// Starts both threads. The watch turns true at the end of stdin, even while nobody takes the input.
    ///
    /// # Errors
    /// When the system starts no thread; nothing was read then.
    pub fn open() -> io::Result<(Self, mpsc::Receiver<HostInput>, watch::Receiver<bool>)> {
        // The writer first: without a reader it ends with its channel, while a reader could not be called back.
        let (lines, outgoing) = mpsc::channel(QUEUE_COUNT_MAX);
        let (end, ended) = watch::channel(false);
        start("stdout", move || {
            write(outgoing);
            end.send_replace(true);
        })?;
        let (bytes, input) = mpsc::channel(QUEUE_COUNT_MAX);
        let (end, stdin_ended) = watch::channel(false);
        start("stdin", move || read(&bytes, &end))?;
        Ok((Self { lines: Some(lines), ended }, input, stdin_ended))
    }

    /// Writes a line. Waits while the host does not read.
    pub async fn send(&self, line: String) {
        if let Some(lines) = &self.lines {
            // A closed stdout ends the session through `broken`.
            let _ = lines.send(line).await;
        }
    }

    /// Ends when stdout is closed.
    pub async fn broken(&mut self) {
        // The writer's thread sets it before it ends.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Waits a moment for the last lines to be written.
    pub async fn close(mut self) {
        self.lines = None;
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.broken()).await;
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    failpoint::fallible("host.thread")?;
    std::thread::Builder::new().name(name.into()).stack_size(STACK_LEN_BYTES).spawn(work).map(|_| ())
}

fn read(bytes: &mpsc::Sender<HostInput>, end: &watch::Sender<bool>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; READ_LEN_BYTES];
    loop {
        let input = match stdin.read(&mut buffer) {
            Ok(0) => HostInput::End,
            Ok(len) => HostInput::Bytes(buffer[..len].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => HostInput::End,
        };
        let is_end = matches!(input, HostInput::End);
        end.send_replace(is_end);
        if !pass_on(bytes, end, input) || is_end {
            return;
        }
    }
}

/// Hands input to the session; tells whether there still is one. While the session takes none, because its host does not
/// read, the host's end is looked for: it is behind bytes that nobody will read.
fn pass_on(bytes: &mpsc::Sender<HostInput>, end: &watch::Sender<bool>, input: HostInput) -> bool {
    let mut input = input;
    let mut pause = FULL_LOOK_MIN;
    loop {
        match bytes.try_send(input) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(back)) => input = back,
        }
        if os::stdin_hung_up(pause) {
            end.send_replace(true);
            return bytes.blocking_send(input).is_ok();
        }
        pause = (pause * 2).min(FULL_LOOK_MAX);
    }
}

fn write(mut lines: mpsc::Receiver<String>) {
    let mut stdout = std::io::stdout().lock();
    while let Some(mut line) = lines.blocking_recv() {
        line.push('\n');
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}
