//! Frames: what is cut out of the bytes of a connection, and what is in them.
//!
//! A frame is a magic byte, the version, two zeros, the length of what follows in 4 bytes (little endian), and so many bytes: a
//! handshake, or a [`Message`], sealed where the connection has a key.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{TransportError, TransportResult, limits};

/// The first byte of a frame; no envelope and no text begins with it.
const MAGIC: u8 = 0xF5;
/// The version of frames and of messages.
pub(crate) const VERSION: u8 = 1;
/// Bytes before what a frame contains.
pub(crate) const HEAD: usize = 8;

/// The head of a frame of so many bytes.
pub(crate) fn head(length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [MAGIC, VERSION, 0, 0, a, b, c, d]
}

/// Takes the next frame out of `bytes`, if it is there whole.
///
/// # Errors
///
/// [`Malformed`](TransportError::Malformed) and [`TooLarge`](TransportError::TooLarge), as soon as what is there shows it.
pub(crate) fn next(bytes: &mut BytesMut, limit: usize) -> TransportResult<Option<BytesMut>> {
    let start = &bytes[..bytes.len().min(4)];
    if let Some(at) = start.iter().zip([MAGIC, VERSION, 0, 0]).position(|(&is, should)| is != should) {
        let reason = match at {
            0 => format!("a frame begins with {:#04x}, not with {MAGIC:#04x}", start[0]),
            1 => format!("a frame has the version {}, and {VERSION} is understood", start[1]),
            _ => format!("a frame has {:#04x} in the place {at}, where there is nothing", start[at]),
        };
        return Err(TransportError::Malformed { reason });
    }
    let Some(length) = bytes.get(4..HEAD) else { return Ok(None) };
    let size = length.iter().rev().fold(0_usize, |size, &byte| (size << 8) | usize::from(byte));
    if size > limit {
        return Err(TransportError::TooLarge { what: "a frame in bytes", size, limit });
    }
    if bytes.len() < HEAD + size {
        return Ok(None);
    }
    bytes.advance(HEAD);
    Ok(Some(bytes.split_to(size)))
}

/// What two transports tell one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// Who dialled has what it needs: before this it may be someone who repeats what another once sent.
    Ready,
    /// An envelope, which is still written, for a mailbox of this name.
    Envelope(String, Bytes),
    /// Is there a mailbox of this name?
    Ask(String),
    /// There is.
    Has(String),
    /// There is none, or none any more.
    HasNot(String),
    /// What was posted to the mailbox `of` could not be put there; `from` had posted it.
    Bounce { of: String, from: String },
}

impl Message {
    fn code(&self) -> u8 {
        match self {
            Self::Ready => 1,
            Self::Envelope(..) => 2,
            Self::Ask(_) => 3,
            Self::Has(_) => 4,
            Self::HasNot(_) => 5,
            Self::Bounce { .. } => 6,
        }
    }

    /// Writes it, at the end of `bytes`.
    pub(crate) fn write(&self, bytes: &mut BytesMut) {
        bytes.put_u8(self.code());
        match self {
            Self::Ready => {}
            Self::Envelope(name, envelope) => {
                put_name(bytes, name);
                bytes.put_slice(envelope);
            }
            Self::Ask(name) | Self::Has(name) | Self::HasNot(name) => put_name(bytes, name),
            Self::Bounce { of, from } => {
                put_name(bytes, of);
                put_name(bytes, from);
            }
        }
    }

    /// Reads it; an envelope shares the bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](TransportError::Malformed).
    pub(crate) fn read(mut bytes: Bytes) -> TransportResult<Self> {
        if bytes.is_empty() {
            return Err(malformed("a message is empty"));
        }
        let message = match bytes.get_u8() {
            1 => Self::Ready,
            2 => {
                let name = take_name(&mut bytes)?;
                return Ok(Self::Envelope(name, bytes));
            }
            3 => Self::Ask(take_name(&mut bytes)?),
            4 => Self::Has(take_name(&mut bytes)?),
            5 => Self::HasNot(take_name(&mut bytes)?),
            6 => Self::Bounce { of: take_name(&mut bytes)?, from: take_name(&mut bytes)? },
            other => return Err(malformed(format!("there is no message {other}"))),
        };
        if bytes.is_empty() { Ok(message) } else { Err(malformed(format!("{} bytes are left over", bytes.len()))) }
    }
}

/// What stands before an envelope for a mailbox of this name.
pub(crate) fn put_envelope_to(bytes: &mut BytesMut, name: &str) {
    bytes.put_u8(2);
    put_name(bytes, name);
}

fn put_name(bytes: &mut BytesMut, name: &str) {
    // Names are held against their bound where they come in.
    bytes.put_u16_le(u16::try_from(name.len()).unwrap_or(u16::MAX));
    bytes.put_slice(name.as_bytes());
}

fn take_name(bytes: &mut Bytes) -> TransportResult<String> {
    if bytes.len() < 2 {
        return Err(malformed("a name is cut off"));
    }
    let length = usize::from(bytes.get_u16_le());
    if length > limits::NAME_BYTES {
        return Err(malformed(format!("a name of {length} bytes is announced, and may have {}", limits::NAME_BYTES)));
    }
    if length > bytes.len() {
        return Err(malformed(format!("a name of {length} bytes is announced, and {} are there", bytes.len())));
    }
    let name = bytes.split_to(length);
    std::str::from_utf8(&name).map(str::to_owned).map_err(|_| malformed("a name is not UTF-8"))
}

fn malformed(reason: impl Into<String>) -> TransportError {
    TransportError::Malformed { reason: reason.into() }
}

#[cfg(test)]
mod tests;
