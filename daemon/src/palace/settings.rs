//! Settings of the hooks, and the note they leave when they have filed something.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op, ReadError, View};

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

/// A change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsCommand {
    /// Changes what is given and returns all.
    Hooks {
        /// New value.
        silent_save: Option<bool>,
        /// New value.
        desktop_toast: Option<bool>,
    },
    /// Returns the last note and forgets it.
    TakeNote,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsOutcome {
    /// The settings as they are now, and the names and values that were given.
    Hooks(HookSettings, Vec<(&'static str, bool)>),
    /// The note, if there was one.
    Note(Option<CheckpointNote>),
}

/// Returns the settings of the hooks.
///
/// # Errors
/// When the state cannot be read.
pub fn hooks(view: &dyn View) -> Result<HookSettings, ReadError> {
    Ok(records::get(view, Collection::Settings, HOOKS_KEY)?.unwrap_or_default())
}

/// Decides a change of settings.
///
/// # Errors
/// Only when the state cannot be read.
pub fn decide(view: &dyn View, command: &SettingsCommand) -> Result<(Vec<Op>, SettingsOutcome), ReadError> {
    match command {
        SettingsCommand::Hooks { silent_save, desktop_toast } => {
            let old = hooks(view)?;
            let new = HookSettings {
                silent_save: silent_save.unwrap_or(old.silent_save),
                desktop_toast: desktop_toast.unwrap_or(old.desktop_toast),
            };
            let given = [("silent_save", silent_save), ("desktop_toast", desktop_toast)];
            let given = given.iter().filter_map(|(name, value)| Some((*name, (**value)?))).collect();
            let ops = (new != old).then(|| records::put(Collection::Settings, HOOKS_KEY, &new));
            Ok((ops.into_iter().collect(), SettingsOutcome::Hooks(new, given)))
        }
        SettingsCommand::TakeNote => {
            let note = records::get(view, Collection::Settings, NOTE_KEY)?;
            let ops = note.is_some().then(|| records::delete(Collection::Settings, NOTE_KEY));
            Ok((ops.into_iter().collect(), SettingsOutcome::Note(note)))
        }
    }
}
