//! Writes messages: JSON as far as Python reads it, YAML where it does not.

use std::fmt::Write;

use super::node::{STANDARD, Tagged};
use super::read::is_hashable;
use super::{MessageError, Node};
use crate::limits;

/// Bytes of a key that is not announced by `?`: PyYAML looks for its `:` within 1024 characters.
const SIMPLE_KEY: usize = 1_000;

/// Writes a value as a message.
///
/// # Errors
/// The value is beyond a limit ([`BODY_BYTES`](limits::BODY_BYTES), [`BODY_NODES`](limits::BODY_NODES),
/// [`BODY_DEPTH`](limits::BODY_DEPTH)), or Python has none like it: a list or a mapping as a key, a tag without a name.
pub fn encode(node: &Node) -> Result<Vec<u8>, MessageError> {
    let mut writer = Writer { text: String::new(), nodes: 0 };
    writer.node(node, 0)?;
    Ok(writer.text.into_bytes())
}

struct Writer {
    text: String,
    nodes: usize,
}

impl Writer {
    fn node(&mut self, node: &Node, depth: usize) -> Result<(), MessageError> {
        self.nodes += 1;
        if self.nodes > limits::BODY_NODES {
            return Err(unwritable("the value has more values than a message may have"));
        }
        match node {
            Node::Null => self.text.push_str("null"),
            Node::Bool(truth) => self.text.push_str(if *truth { "true" } else { "false" }),
            // Writing to a text cannot fail.
            Node::Integer(integer) => drop(write!(self.text, "{integer}")),
            Node::Huge(digits) => self.huge(digits)?,
            Node::Float(float) => self.float(*float),
            Node::Text(text) => self.quoted(text)?,
            Node::Sequence(nodes) => self.sequence(nodes, deeper(depth)?)?,
            Node::Mapping(entries) => self.mapping(entries, deeper(depth)?)?,
            Node::Tagged(tagged) => self.tagged(tagged, depth)?,
        }
        self.room(0)
    }

    fn room(&self, bytes: usize) -> Result<(), MessageError> {
        if self.text.len() + bytes > limits::BODY_BYTES {
            return Err(unwritable("the value is larger than a message may be"));
        }
        Ok(())
    }

    fn huge(&mut self, digits: &str) -> Result<(), MessageError> {
        let unsigned = digits.strip_prefix('-').unwrap_or(digits);
        let valid =
            unsigned.bytes().all(|byte| byte.is_ascii_digit()) && matches!(unsigned.as_bytes(), [b'1'..=b'9', ..]);
        if !valid || unsigned.len() > super::read::DIGITS {
            return Err(unwritable("an integer is no decimal digits, or more than 4300"));
        }
        self.text.push_str(digits);
        Ok(())
    }

    /// With a point, and a sign in the exponent: else it would be read as a text.
    fn float(&mut self, float: f64) {
        if !float.is_finite() {
            self.text.push_str(if float.is_nan() {
                ".nan"
            } else if float > 0.0 {
                ".inf"
            } else {
                "-.inf"
            });
            return;
        }
        let from = self.text.len();
        let _ = write!(self.text, "{float:?}");
        if let Some(exponent) = self.text[from..].find('e').map(|at| from + at) {
            if !self.text[exponent..].starts_with("e-") {
                self.text.insert(exponent + 1, '+');
            }
            if !self.text[from..exponent].contains('.') {
                self.text.insert_str(exponent, ".0");
            }
        }
    }

    fn quoted(&mut self, text: &str) -> Result<(), MessageError> {
        self.room(text.len())?;
        self.text.push('"');
        let mut plain = 0;
        for (at, character) in text.char_indices() {
            if !must_be_escaped(character) {
                continue;
            }
            self.text.push_str(&text[plain..at]);
            plain = at + character.len_utf8();
            let _ = match (character, u32::from(character)) {
                ('"' | '\\', _) => write!(self.text, "\\{character}"),
                ('\n', _) => write!(self.text, "\\n"),
                ('\r', _) => write!(self.text, "\\r"),
                ('\t', _) => write!(self.text, "\\t"),
                (_, code @ ..=0xff) => write!(self.text, "\\x{code:02x}"),
                (_, code) => write!(self.text, "\\u{code:04x}"),
            };
        }
        self.text.push_str(&text[plain..]);
        self.text.push('"');
        Ok(())
    }

    fn sequence(&mut self, nodes: &[Node], depth: usize) -> Result<(), MessageError> {
        self.text.push('[');
        for (place, node) in nodes.iter().enumerate() {
            self.text.push_str(if place == 0 { "" } else { ", " });
            self.node(node, depth)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn mapping(&mut self, entries: &[(Node, Node)], depth: usize) -> Result<(), MessageError> {
        self.text.push('{');
        for (place, (key, node)) in entries.iter().enumerate() {
            self.text.push_str(if place == 0 { "" } else { ", " });
            self.key(key, depth)?;
            self.node(node, depth)?;
        }
        self.text.push('}');
        Ok(())
    }

    fn key(&mut self, key: &Node, depth: usize) -> Result<(), MessageError> {
        if !is_hashable(key) {
            return Err(MessageError::Unwritable(format!(
                "`{key}` cannot be a key: Python has no lists or mappings as keys"
            )));
        }
        let from = self.text.len();
        self.node(key, depth)?;
        let scalar = match key {
            Node::Tagged(tagged) => matches!(tagged.node, Node::Text(_)),
            _ => true,
        };
        if scalar && self.text.len() - from <= SIMPLE_KEY {
            self.text.push_str(": ");
        } else {
            self.text.insert_str(from, "? ");
            self.text.push_str(" : ");
        }
        Ok(())
    }

    fn tagged(&mut self, tagged: &Tagged, depth: usize) -> Result<(), MessageError> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte))
        };
        if matches!(tagged.tag.as_str(), "" | "!") {
            return Err(unwritable("a tag must have a name"));
        }
        if !matches!(tagged.node, Node::Text(_) | Node::Sequence(_) | Node::Mapping(_)) {
            let tag = &tagged.tag;
            return Err(MessageError::Unwritable(format!(
                "under the tag `{tag}` must be a text, a sequence or a mapping"
            )));
        }
        match (tagged.tag.strip_prefix(STANDARD), tagged.tag.strip_prefix('!')) {
            (Some(standard), _) if plain(standard) => self.text.extend(["!!", standard]),
            (_, Some(local)) if plain(local) => self.text.extend(["!", local]),
            _ => {
                self.text.push_str("!<");
                for byte in tagged.tag.bytes() {
                    match char::from(byte) {
                        safe if safe.is_ascii_alphanumeric() || "-_./:!,".contains(safe) => self.text.push(safe),
                        _ => drop(write!(self.text, "%{byte:02X}")),
                    }
                }
                self.text.push('>');
            }
        }
        self.text.push(' ');
        self.node(&tagged.node, depth)
    }
}

fn deeper(depth: usize) -> Result<usize, MessageError> {
    if depth < limits::BODY_DEPTH {
        Ok(depth + 1)
    } else {
        Err(unwritable("the value is nested deeper than a message may be"))
    }
}

/// Whether a character in double quotes is something else to YAML, or nothing that it takes.
fn must_be_escaped(character: char) -> bool {
    matches!(character, '"' | '\\' | ..'\u{20}' | '\u{7f}'..='\u{9f}')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn unwritable(reason: &str) -> MessageError {
    MessageError::Unwritable(reason.to_owned())
}
