//! From bytes to characters.

use std::borrow::Cow;

use super::{MessageError, malformed};
use crate::limits;

/// The characters of a message: UTF-8, or UTF-16 with a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, MessageError> {
    if bytes.len() > limits::BODY_BYTES {
        return Err(MessageError::Limit("the message is larger than a message may be"));
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        _ => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            malformed(&String::from_utf8_lossy(valid), error.valid_up_to(), "this is not UTF-8".to_owned())
        })?),
    };
    match unprintable(&text) {
        None => Ok(text),
        Some((at, character)) => {
            Err(malformed(&text, at, format!("the character U+{:04X} must be escaped", u32::from(character))))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, MessageError> {
    let fault = |read: &str| malformed(read, read.len(), "this is not UTF-16".to_owned());
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let mut read = String::with_capacity(bytes.len() / 2);
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) => read.push(character),
            Err(_) => return Err(fault(&read)),
        }
    }
    if bytes.len().is_multiple_of(2) { Ok(read) } else { Err(fault(&read)) }
}

/// The first character that YAML has only in its escaped form.
fn unprintable(text: &str) -> Option<(usize, char)> {
    // Bytes first: hardly a message has any other than these.
    let plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    let from = text.bytes().position(|byte| !plain(&byte))?;
    let printable = |character: &char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    text[from..].char_indices().find(|(_, character)| !printable(character)).map(|(at, found)| (from + at, found))
}
