//! What a command ends with: an exit code, a text for people and a value for programs.
//!
//! Commands return an [`Outcome`] or a [`Failure`]; only this file and the few commands that show progress write to
//! stdout and stderr. The numbers of [`Exit`] are an interface: scripts branch on them.

use std::io::Write;
use std::process::ExitCode;

use palace_protocol::endpoint::StartFailureCode;
use palace_protocol::handshake::{Refusal, RefusalReason};
use serde_json::{Value, json};

use crate::connect::ConnectError;
use crate::os::Unusable;
use crate::palace::PalaceError;
use crate::spawn::{Obstacle, StartError};

use super::client::ClientError;

/// An exit code. `palacectl status` gives some numbers a meaning of its own, see [`super::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it says.
    Done,
    /// It did not.
    Failed,
    /// The command line is not understood.
    Usage,
    /// Another process holds the palace.
    Locked,
    /// Another user owns the palace, or the system forbids the connection.
    Forbidden,
}

impl Exit {
    fn of_connecting(error: &ConnectError) -> Self {
        match error {
            ConnectError::Forbidden(_) | ConnectError::Foreign(_) => Self::Forbidden,
            ConnectError::NotNow(refusal) | ConnectError::Refused(refusal) => Self::of_refusal(refusal),
            ConnectError::NotThere | ConnectError::Draining { .. } | ConnectError::Lost(_) => Self::Failed,
        }
    }

    fn of_starting(error: &StartError) -> Self {
        match error {
            StartError::Connect(error) => Self::of_connecting(error),
            StartError::NotOurs(Unusable::Owner(_)) => Self::Forbidden,
            StartError::Deadline { obstacle, .. } => match obstacle {
                Obstacle::TurnedAway(refusal) => Self::of_refusal(refusal),
                Obstacle::Held(_) => Self::Locked,
                Obstacle::Nobody => Self::Failed,
            },
            StartError::Failed(failure) => match failure.code {
                StartFailureCode::Locked => Self::Locked,
                StartFailureCode::Owner => Self::Forbidden,
                StartFailureCode::Palace
                | StartFailureCode::NewerFormat
                | StartFailureCode::Damaged
                | StartFailureCode::EmbedderMismatch
                | StartFailureCode::Socket
                | StartFailureCode::Other => Self::Failed,
            },
            StartError::NotOurs(Unusable::Kind(_))
            | StartError::NoProgram { .. }
            | StartError::Spawn { .. }
            | StartError::Silent(_)
            | StartError::Folder { .. }
            | StartError::OtherPalace(_)
            | StartError::Kept(_)
            | StartError::Tripped(_) => Self::Failed,
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        match refusal.reason {
            RefusalReason::Full | RefusalReason::Draining | RefusalReason::StoreLocked => Self::Locked,
            RefusalReason::Peer => Self::Forbidden,
            RefusalReason::NotAHello
            | RefusalReason::Protocol
            | RefusalReason::Token
            | RefusalReason::Store => Self::Failed,
        }
    }

    /// Returns the number a shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Locked => 3,
            Self::Forbidden => 4,
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The number a shell sees.
    pub code: u8,
    /// Lines for people, without a line end behind the last.
    pub text: String,
    /// The same for programs.
    pub json: Value,
}

impl Outcome {
    /// Returns the outcome of a command that did what it says.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        Self { code: Exit::Done.code(), text: text.into(), json }
    }

    /// Returns the outcome of a command that has nothing but a sentence to tell.
    pub fn said(text: impl Into<String>) -> Self {
        let text = text.into();
        let json = json!({ "message": text });
        Self::done(text, json)
    }
}

/// Why a command did not do what it says.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What scripts branch on.
    pub exit: Exit,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl Failure {
    /// Returns a failure with that exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Returns an ordinary failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
}

impl From<PalaceError> for Failure {
    fn from(error: PalaceError) -> Self {
        let exit = if error.is_forbidden() { Exit::Forbidden } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Connect(error) => Exit::of_connecting(error),
            ClientError::Start(error) => Exit::of_starting(error),
            ClientError::Runtime(_)
            | ClientError::Silent(_)
            | ClientError::Lost(_)
            | ClientError::Stopping(_)
            | ClientError::Failed(_)
            | ClientError::NoPalace(_)
            | ClientError::Unexpected => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

/// Prints how a command ended, as one JSON value if asked, and returns its exit code.
pub fn report(ended: Result<Outcome, Failure>, json: bool) -> ExitCode {
    match ended {
        Ok(outcome) => {
            print(&if json { outcome.json.to_string() } else { outcome.text });
            ExitCode::from(outcome.code)
        }
        Err(failure) => {
            if json {
                print(&json!({ "error": failure.message }).to_string());
            } else {
                note(&format!("palacectl: {failure}"));
            }
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Writes a line to stdout. A closed pipe at the other end is that end's decision.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to stderr, under the same rule.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use palace_protocol::endpoint::StartFailure;

    /// A held palace and another user's were ordinary failures, and every refusal of a daemon meant a held palace.
    #[test]
    fn a_palace_that_is_held_is_code_three_and_that_of_another_user_four() {
        let deadline = |obstacle| StartError::Deadline { seconds: 30, obstacle };
        let failed = |code| StartError::Failed(StartFailure { code, message: String::new() });
        let refused = |reason| {
            StartError::Connect(ConnectError::Refused(Refusal {
                reason,
                message: String::new(),
                retry_ms: None,
            }))
        };
        let cases = [
            (StartError::NotOurs(Unusable::Owner(String::new())), Exit::Forbidden),
            (StartError::NotOurs(Unusable::Kind(String::new())), Exit::Failed),
            (deadline(Obstacle::Held(String::new())), Exit::Locked),
            (deadline(Obstacle::Nobody), Exit::Failed),
            (failed(StartFailureCode::Owner), Exit::Forbidden),
            (failed(StartFailureCode::Damaged), Exit::Failed),
            (StartError::Connect(ConnectError::Foreign(String::new())), Exit::Forbidden),
            (refused(RefusalReason::Peer), Exit::Forbidden),
            (refused(RefusalReason::StoreLocked), Exit::Locked),
            (refused(RefusalReason::Store), Exit::Failed),
        ];
        for (error, expect) in cases {
            assert_eq!(Exit::of_starting(&error), expect, "{error:?}");
        }
    }
}
