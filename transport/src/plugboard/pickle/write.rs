//! What is written: protocol 4, in one frame, without a memo.

use super::PickleError;
use crate::limits;
use crate::plugboard::Plain;

/// Writes a value as a pickle that Python 3.4 and later read.
///
/// # Errors
///
/// The value is too deep or too large.
pub fn write(value: &Plain) -> Result<Vec<u8>, PickleError> {
    // PROTO 4, and FRAME with its length.
    let mut pickle = vec![0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0];
    let head = pickle.len();
    put(&mut pickle, value, limits::PICKLE_DEPTH)?;
    pickle.push(b'.');
    let length = u64::try_from(pickle.len() - head).unwrap_or(u64::MAX);
    pickle[head - 8..head].copy_from_slice(&length.to_le_bytes());
    if pickle.len() > limits::PICKLE_BYTES {
        Err(PickleError::Size { limit: limits::PICKLE_BYTES })
    } else {
        Ok(pickle)
    }
}

fn put(pickle: &mut Vec<u8>, value: &Plain, depth: usize) -> Result<(), PickleError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(PickleError::Depth { limit: limits::PICKLE_DEPTH }) };
    if pickle.len() > limits::PICKLE_BYTES {
        return Err(PickleError::Size { limit: limits::PICKLE_BYTES });
    }
    match value {
        Plain::None => pickle.push(b'N'),
        Plain::Bool(true) => pickle.push(0x88),
        Plain::Bool(false) => pickle.push(0x89),
        Plain::Int(int) => integer(pickle, (*int).into()),
        Plain::Large(large) => integer(pickle, (*large).into()),
        Plain::Float(float) => {
            pickle.push(b'G');
            pickle.extend(float.to_be_bytes());
        }
        Plain::Text(text) => counted(pickle, [0x8c, b'X', 0x8d], text.as_bytes()),
        Plain::Bytes(bytes) => counted(pickle, [b'C', b'B', 0x8e], bytes),
        Plain::List(items) => {
            pickle.push(b']');
            if !items.is_empty() {
                pickle.push(b'(');
                items.iter().try_for_each(|item| put(pickle, item, depth))?;
                pickle.push(b'e');
            }
        }
        Plain::Tuple(items) => {
            if items.is_empty() {
                pickle.push(b')');
            } else {
                pickle.push(b'(');
                items.iter().try_for_each(|item| put(pickle, item, depth))?;
                pickle.push(b't');
            }
        }
        Plain::Dict(pairs) => {
            pickle.push(b'}');
            if !pairs.is_empty() {
                pickle.push(b'(');
                for (key, value) in pairs {
                    if !key.is_key() {
                        return Err(PickleError::Key);
                    }
                    put(pickle, key, depth)?;
                    put(pickle, value, depth)?;
                }
                pickle.push(b'u');
            }
        }
    }
    Ok(())
}

/// As short as Python writes it.
fn integer(pickle: &mut Vec<u8>, int: i128) {
    if let Ok(byte) = u8::try_from(int) {
        pickle.extend([b'K', byte]);
    } else if let Ok(short) = u16::try_from(int) {
        pickle.push(b'M');
        pickle.extend(short.to_le_bytes());
    } else if let Ok(int) = i32::try_from(int) {
        pickle.push(b'J');
        pickle.extend(int.to_le_bytes());
    } else {
        // The fewest bytes that keep the sign.
        let bytes = int.to_le_bytes();
        let sign = if int < 0 { 0xff } else { 0 };
        let mut length = bytes.len();
        while length > 1 && bytes[length - 1] == sign && (bytes[length - 2] & 0x80 == sign & 0x80) {
            length -= 1;
        }
        pickle.push(0x8a);
        pickle.push(u8::try_from(length).unwrap_or(u8::MAX));
        pickle.extend(&bytes[..length]);
    }
}

/// Bytes after their number, in the shortest of three forms.
fn counted(pickle: &mut Vec<u8>, [short, middle, long]: [u8; 3], bytes: &[u8]) {
    if let Ok(length) = u8::try_from(bytes.len()) {
        pickle.extend([short, length]);
    } else if let Ok(length) = u32::try_from(bytes.len()) {
        pickle.push(middle);
        pickle.extend(length.to_le_bytes());
    } else {
        pickle.push(long);
        pickle.extend(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    }
    pickle.extend_from_slice(bytes);
}
