//! Tunnels and hallways: two JSON files in the directory that holds the palace.

use std::path::Path;

use serde_json::Value;

use super::super::error::{Lost, UpstreamError};
use super::super::files;
use super::super::scratch::Scratch;

/// Links of a palace, as stored.
#[derive(Default)]
pub(in super::super) struct Links {
    pub tunnels: Vec<Value>,
    pub hallways: Vec<Value>,
}

impl Links {
    /// Reads both files; what is not there is empty, what cannot be read is told.
    pub fn read(palace: &Path, scratch: &Scratch) -> Result<Links, UpstreamError> {
        let Some(dir) = palace.parent() else { return Ok(Links::default()) };
        Ok(Links {
            tunnels: list(&dir.join("tunnels.json"), "tunnels", scratch)?,
            hallways: list(&dir.join("hallways.json"), "hallways", scratch)?,
        })
    }
}

/// Reads a list, which stands alone or, in later versions, under a name beside the version of its form.
fn list(path: &Path, name: &str, scratch: &Scratch) -> Result<Vec<Value>, UpstreamError> {
    let parsed = match files::whole(path) {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let listed = parsed.and_then(|value| match value {
        Value::Array(list) => Ok(list),
        Value::Object(mut object) => match object.remove(name) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(format!("it has no list of {name}")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err("it is no list".to_owned()),
    });
    match listed {
        Ok(list) => Ok(list),
        Err(reason) => {
            scratch.lose(Lost::File, &path.display().to_string(), &reason)?;
            Ok(Vec::new())
        }
    }
}
