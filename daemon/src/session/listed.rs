//! The lists of tools as sessions answer with them, made once each: to make one takes milliseconds of the only thread
//! that serves sessions.

use std::sync::OnceLock;

use palace_protocol::catalogue::{self, Profile};
use rmcp::model::Tool;

type List = OnceLock<Result<Vec<Tool>, String>>;

static FULL: [List; 2] = [const { OnceLock::new() }; 2];
static LIGHT: [List; 2] = [const { OnceLock::new() }; 2];

/// Returns the tools of a profile.
///
/// # Errors
/// When the catalogue is no list of tools.
pub fn tools(profile: Profile, read_only: bool) -> Result<Vec<Tool>, String> {
    let lists = match profile {
        Profile::Full => &FULL,
        Profile::Light => &LIGHT,
    };
    let make = || {
        serde_json::from_value(catalogue::listed(profile, read_only))
            .map_err(|error| format!("the tool catalogue is not valid: {error}"))
    };
    lists[usize::from(read_only)].get_or_init(make).clone()
}
