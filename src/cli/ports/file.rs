//! Inputs from a file of JSON, or from the standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use procession_runtime::limits;
use serde_json::{Map, Value};

use super::super::fault::{Fault, Status};

/// The object in a file; `-` is the standard input. No file has nothing in it.
pub(in crate::cli) fn read(path: Option<&Path>) -> Result<Map<String, Value>, Fault> {
    let Some(path) = path else { return Ok(Map::new()) };
    let is_standard = path.as_os_str() == "-";
    let name = if is_standard { "the standard input".to_owned() } else { format!("`{}`", path.display()) };
    let unreadable = |error: io::Error| usage(format!("{name} cannot be read: {error}"));
    let text = if is_standard { bounded(io::stdin().lock()) } else { File::open(path).and_then(bounded) };
    let text = text.map_err(unreadable)?;
    if text.len() > limits::INPUTS_BYTES {
        return Err(usage(format!("{name} has more than {} bytes", limits::INPUTS_BYTES)));
    }
    serde_json::from_slice(&text).map_err(|error| usage(format!("{name} has no inputs as a JSON object: {error}")))
}

fn usage(what: String) -> Fault {
    Fault::new(Status::Usage, what).next("`spec PROCESS --example` prints what it can look like")
}

/// One byte more than may be, to know that there are more.
fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    reader.take(limits::INPUTS_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
