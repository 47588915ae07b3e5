//! A session without threads, where the system starts none: no daemon can be reached, and the host hears why from every
//! call instead of from a server that ends.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use palace_protocol::frame::LineSplitter;
use palace_protocol::limits::REQUEST_LEN_BYTES_MAX;

use crate::os;
use crate::session_state::{Action, SessionState};

/// Bytes read from the host at once; more than the buffer of `std::io::Stdin`, which therefore keeps nothing back.
const READ_LEN_BYTES: usize = 16 * 1024;
/// How long the host's input is waited for at once: signals get their turn in between.
const INPUT_PATIENCE: Duration = Duration::from_millis(100);

/// Serves until stdin ends or stdout is closed.
pub async fn serve(mut state: SessionState, why: &str) {
    let mut splitter = LineSplitter::new(REQUEST_LEN_BYTES_MAX);
    let mut buffer = vec![0; READ_LEN_BYTES];
    loop {
        if !os::stdin_has_input(INPUT_PATIENCE) {
            tokio::task::yield_now().await;
            continue;
        }
        match std::io::stdin().read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => splitter.push(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        while let Some(frame) = splitter.next_frame() {
            let actions = state.host_frame(frame, Instant::now());
            if !carry_out(&mut state, actions, why) {
                return;
            }
        }
    }
    if let Some(frame) = splitter.finish() {
        let actions = state.host_frame(frame, Instant::now());
        carry_out(&mut state, actions, why);
    }
}

/// Carries out actions, and those that follow from them; tells whether the host still reads.
fn carry_out(state: &mut SessionState, actions: Vec<Action>, why: &str) -> bool {
    let mut waiting = VecDeque::from(actions);
    while let Some(action) = waiting.pop_front() {
        match action {
            Action::ToHost(line) => {
                let mut stdout = std::io::stdout().lock();
                if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
                    return false;
                }
            }
            Action::Connect | Action::Reconnect => waiting.extend(state.unavailable(why)),
            // There is none, and so nothing for it.
            Action::ToDaemon(_) => {}
        }
    }
    true
}
