//! Reads messages: YAML 1.1 as PyYAML's `FullLoader` reads it.
//!
//! Bytes become characters ([`bytes`]), characters tokens ([`scan`]), tokens values ([`compose`]), where plain scalars get their type
//! from how they look ([`resolve`]). The scanner has the rules of PyYAML's, one to one: parsers of YAML 1.2, and
//! even libyaml, differ from it in what they take.

mod bytes;
mod compose;
mod directive;
mod key;
mod resolve;
mod scalar;
mod scan;

pub(super) use key::is_hashable;
pub(super) use resolve::DIGITS;

use super::{MessageError, Node};

/// Reads the value of a message.
///
/// # Errors
/// The bytes are no YAML, hold more than one document, or are beyond a limit: [`BODY_BYTES`](crate::limits::BODY_BYTES),
/// [`BODY_NODES`](crate::limits::BODY_NODES), [`BODY_DEPTH`](crate::limits::BODY_DEPTH).
pub fn decode(bytes: &[u8]) -> Result<Node, MessageError> {
    let text = bytes::text(bytes)?;
    compose::document(&text).map_err(|fault| fault.in_text(&text))
}

/// What is wrong, and where.
#[derive(Debug)]
struct Fault {
    at: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Malformed(String),
    Limit(&'static str),
}

impl Fault {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, what: What::Malformed(reason.into()) }
    }

    fn limit(at: usize, reason: &'static str) -> Self {
        Self { at, what: What::Limit(reason) }
    }

    fn in_text(self, text: &str) -> MessageError {
        match self.what {
            What::Malformed(reason) => malformed(text, self.at, reason),
            What::Limit(reason) => MessageError::Limit(reason),
        }
    }
}

fn malformed(text: &str, at: usize, reason: String) -> MessageError {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    MessageError::Malformed { line, column, reason }
}
