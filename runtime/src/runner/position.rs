//! Where a process stands, as it is stored.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

use crate::process::Ended;
use crate::stream::Saved;

/// A place as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Position<'a> {
    Unstarted,
    Start,
    At {
        step: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        with: Map<String, Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed: Option<Value>,
    },
    After {
        step: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        with: Map<String, Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed: Option<Value>,
    },
    Resume {
        step: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        with: Map<String, Value>,
    },
    End {
        ended: Ended,
        #[serde(default, skip_serializing_if = "str::is_empty")]
        step: Cow<'a, str>,
    },
}

/// A place as it is stored of a process that has used streams: with what it has of them.
#[derive(Serialize, Deserialize)]
struct Placed<P, S> {
    streams: S,
    #[serde(flatten)]
    place: P,
}

/// Writes a place as it is stored.
pub(super) fn write_position(place: Position<'_>, streams: Option<Saved>) -> serde_json::Result<String> {
    match streams {
        None => serde_json::to_string(&place),
        Some(streams) => serde_json::to_string(&Placed { streams, place }),
    }
}

/// Reads a stored place, and what stands with it of streams.
pub(super) fn read_position(text: &str) -> Result<(Position<'_>, Option<Saved>), serde_json::Error> {
    // Most have no streams, and no value in a place begins an object with this name.
    match serde_json::from_str(text) {
        Ok(position) => Ok((position, None)),
        Err(plain) => {
            let placed: Result<Placed<Position<'_>, Box<RawValue>>, _> = serde_json::from_str(text);
            // Of a place without streams, what is wrong with it is told.
            let Placed { streams, place } = placed.map_err(|_| plain)?;
            Ok((place, Some(serde_json::from_str(streams.get())?)))
        }
    }
}

/// The step in a stored place: the one that runs, ran last or runs next.
pub(crate) fn step_in(position: &str) -> Option<String> {
    match read_position(position).ok()?.0 {
        Position::Unstarted | Position::Start => None,
        Position::At { step, .. }
        | Position::After { step, .. }
        | Position::Resume { step, .. }
        | Position::End { step, .. } => Some(step.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Option<Saved> {
        Some(serde_json::from_str(r#"{"out":{"lines":{"first":3,"items":[{"a":[1]},null]}}}"#).unwrap())
    }

    #[test]
    fn a_place_is_read_as_it_was_written_with_streams_and_without() {
        let at = || Position::At { step: "run".into(), with: Map::new(), resumed: None };
        for (place, streams, text) in [
            (at(), None, r#"{"at":{"step":"run"}}"#),
            (Position::Start, None, r#""start""#),
            (
                at(),
                saved(),
                r#"{"streams":{"out":{"lines":{"first":3,"items":[{"a":[1]},null]}}},"at":{"step":"run"}}"#,
            ),
            (
                Position::Start,
                saved(),
                r#"{"streams":{"out":{"lines":{"first":3,"items":[{"a":[1]},null]}}},"start":null}"#,
            ),
        ] {
            let written = write_position(place, streams).unwrap();
            assert_eq!(written, text);
            let (place, streams) = read_position(&written).unwrap();
            assert_eq!(write_position(place, streams).unwrap(), text);
        }
        assert_eq!(step_in(r#"{"streams":{},"at":{"step":"run"}}"#).as_deref(), Some("run"));
    }

    #[test]
    fn what_is_wrong_with_a_place_is_told() {
        for (text, reason) in [
            (r#"{"ad":{"step":"run"}}"#, "unknown variant `ad`"),
            (r#"{"streams":{"in":{"x":{"sen":1}}},"at":{"step":"run"}}"#, "unknown field `sen`"),
            ("", "EOF"),
        ] {
            let error = read_position(text).err().unwrap().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
