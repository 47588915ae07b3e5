//! A command on its way to the writer, and the claim on its answer.

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::engine::{IdempotencyKey, Timestamp, View};
use crate::palace::command::{Command, Decided};
use crate::palace::error::WriteError;

/// A command that decides with its answer's text for an outcome: to the writer all commands are alike.
type Work = Box<dyn Fn(&dyn View) -> Decided<String> + Send>;

/// One command on its way to the writer.
pub struct Submission {
    /// What to do, and what to answer.
    pub(super) work: Work,
    /// Names this request, so that a repetition is answered and not repeated.
    pub(super) key: Option<IdempotencyKey>,
    /// When it was accepted.
    pub(super) at: Timestamp,
}

impl Submission {
    /// Returns a command that is to be answered with what `render` makes of its outcome. The text is stored beside the
    /// key, so that a repeat gets the same one.
    pub fn new<C: Command>(
        command: C,
        key: Option<IdempotencyKey>,
        at: Timestamp,
        render: impl Fn(&C::Outcome) -> String + Send + 'static,
    ) -> Self {
        let work = move |view: &dyn View| {
            let (ops, outcome) = command.decide(view)?;
            Ok((ops, render(&outcome)))
        };
        Self { work: Box::new(work), key, at }
    }
}

/// What a submitter is told.
pub(super) enum Told {
    /// So many of so many changes are made. The answer comes after all of these.
    Steps { done: usize, total: usize },
    /// What became of the command.
    Answer(Result<String, WriteError>),
}

/// Messages a submitter may not have heard yet: one step, and the answer.
const TOLD_COUNT_MAX: usize = 2;

/// A claim on an answer.
pub struct Receipt(Receiver<Told>);

impl Receipt {
    /// Returns where the writer tells, and the claim on it.
    pub(super) fn new() -> (Sender<Told>, Self) {
        let (teller, told) = bounded(TOLD_COUNT_MAX);
        (teller, Self(told))
    }

    /// Waits until the command is committed or refused. Blocks.
    ///
    /// # Errors
    /// When nothing was stored; the error says why.
    pub fn wait(self) -> Result<String, WriteError> {
        self.wait_hearing(&mut |_, _| {})
    }

    /// The same; `hear` is given how many of how many changes are made. A command that is decided again, because another
    /// one of its batch failed, begins again.
    ///
    /// # Errors
    /// As [`Receipt::wait`].
    pub fn wait_hearing(self, hear: &mut dyn FnMut(usize, usize)) -> Result<String, WriteError> {
        loop {
            match self.0.recv() {
                Ok(Told::Steps { done, total }) => hear(done, total),
                Ok(Told::Answer(answer)) => return answer,
                Err(_) => return Err(WriteError::Stopping),
            }
        }
    }

    /// Returns the answer if it is there, once. Does not block.
    pub fn poll(&self) -> Option<Result<String, WriteError>> {
        loop {
            match self.0.try_recv() {
                Ok(Told::Steps { .. }) => {}
                Ok(Told::Answer(answer)) => return Some(answer),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(Err(WriteError::Stopping)),
            }
        }
    }
}
