//! Settings of the hooks, and the note they leave when they have filed something.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, ReadError, View};

use super::command::{Command, Decided};
use super::records;

const HOOKS_KEY: &[u8] = b"hooks";
const NOTE_KEY: &[u8] = b"hook_checkpoint";

/// How hooks behave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSettings {
    /// Hooks save by themselves instead of asking the model to.
    pub silent_save: bool,
    /// Hooks tell of a save on the desktop.
    pub desktop_toast: bool,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self { silent_save: true, desktop_toast: false }
    }
}

/// What a hook filed last and nobody has been told of yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointNote {
    /// Messages filed.
    pub messages: u64,
    /// When, local ISO text.
    pub at: String,
}

/// Changes how hooks behave, in what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetHooks {
    /// New value.
    pub silent_save: Option<bool>,
    /// New value.
    pub desktop_toast: Option<bool>,
}

/// Returns the last note and forgets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeNote;

/// Returns the settings of the hooks.
///
/// # Errors
/// When the state cannot be read.
pub fn hooks(view: &dyn View) -> Result<HookSettings, ReadError> {
    Ok(records::get(view, Collection::Settings, HOOKS_KEY)?.unwrap_or_default())
}

impl Command for SetHooks {
    /// The settings as they are now.
    type Outcome = HookSettings;

    fn decide(&self, view: &dyn View) -> Decided<HookSettings> {
        let old = hooks(view)?;
        let new = HookSettings {
            silent_save: self.silent_save.unwrap_or(old.silent_save),
            desktop_toast: self.desktop_toast.unwrap_or(old.desktop_toast),
        };
        let ops = (new != old).then(|| records::put(Collection::Settings, HOOKS_KEY, &new));
        Ok((ops.into_iter().collect(), new))
    }
}

impl Command for TakeNote {
    /// The note, if there was one.
    type Outcome = Option<CheckpointNote>;

    fn decide(&self, view: &dyn View) -> Decided<Option<CheckpointNote>> {
        let note = records::get(view, Collection::Settings, NOTE_KEY)?;
        let ops = note.is_some().then(|| records::delete(Collection::Settings, NOTE_KEY));
        Ok((ops.into_iter().collect(), note))
    }
}
