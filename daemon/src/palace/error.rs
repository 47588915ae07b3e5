//! What can go wrong in the palace, by what its caller can do about it.

use crate::engine::embed::EmbedError;
use crate::engine::{CommitError, OpenError, ReadError};

/// A value that breaks a rule; the text names the parameter and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question breaks a rule.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store could not be read.
    #[error("the palace's store cannot be read: {0}; run `palacectl verify`")]
    Read(#[from] ReadError),
    /// The text could not be embedded.
    #[error("the text cannot be embedded: {0}; `palacectl doctor` names the model and runtime in use")]
    Embed(#[from] EmbedError),
}

/// Why a command was not carried out; nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The command breaks a rule.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The text could not be embedded.
    #[error(
        "the text cannot be embedded: {0}; nothing was stored; `palacectl doctor` names the model and runtime in use"
    )]
    Embed(#[from] EmbedError),
    /// What the command depends on could not be read.
    #[error("the palace's store cannot be read: {0}; nothing was stored; run `palacectl verify`")]
    Read(#[from] ReadError),
    /// The disk is full, or a quota or file size limit was reached.
    #[error("disk full: the palace's store cannot grow ({0}); nothing was stored; free space and try again")]
    DiskFull(String),
    /// The store's file is not in its place any more.
    #[error(
        "the palace's store was removed or replaced while its daemon had it open; nothing was stored where it would be \
         found; the daemon ends, and the next call starts one for what is there now"
    )]
    Displaced,
    /// The commit failed otherwise.
    #[error("the palace's store cannot be written: {0}; nothing was stored")]
    Commit(String),
    /// The store had to be reopened after a failed write and could not be.
    #[error(
        "the palace's store is closed after a failed write: {0}; nothing was stored; see `palacectl doctor`"
    )]
    Closed(String),
    /// The writer has ended: the daemon is stopping.
    #[error("the daemon is stopping; nothing was stored; send the request again")]
    Stopping,
}

impl WriteError {
    /// Sorts a commit's failure by what the caller can do.
    pub(super) fn from_commit(error: &CommitError) -> Self {
        if matches!(error, CommitError::Displaced) {
            Self::Displaced
        } else if error.is_disk_full() {
            Self::DiskFull(error.to_string())
        } else {
            Self::Commit(error.to_string())
        }
    }

    pub(super) fn from_open(error: &OpenError) -> Self {
        Self::Closed(error.to_string())
    }
}
