//! What is carried, and its form in bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{TransportError, TransportResult, limits};

/// The first byte of an envelope; no text and no pickle begins with it.
const MAGIC: u8 = 0xE7;
/// The version of the form.
const VERSION: u8 = 1;
/// Bytes before the names: magic, version, kind, content, number, correlation, deadline, two lengths, headers.
const HEAD: usize = 4 + 8 + 8 + 4 + 2 + 2 + 1;

/// What an envelope is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An item of a topic.
    Data,
    /// No items come any more. It is a kind of envelope, so no item can be taken for it (C13, C14).
    End,
    /// Asks for an answer.
    Call,
    /// Tells something, and asks for no answer.
    Notice,
    /// Answers a call.
    Reply,
    /// Says that a call failed, and why.
    Fault,
    /// The transport itself says that the sender is lost.
    Lost,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::End => 2,
            Self::Call => 3,
            Self::Notice => 4,
            Self::Reply => 5,
            Self::Fault => 6,
            Self::Lost => 7,
        }
    }

    fn of(code: u8) -> Option<Self> {
        let kinds = [Self::Data, Self::End, Self::Call, Self::Notice, Self::Reply, Self::Fault, Self::Lost];
        kinds.into_iter().find(|kind| kind.code() == code)
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Content {
    /// Bytes that only its sender and receiver understand.
    #[default]
    Bytes,
    /// JSON.
    Json,
    /// Plain data as Python's pickle writes it.
    Pickle,
}

impl Content {
    fn code(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Json => 1,
            Self::Pickle => 2,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Bytes, Self::Json, Self::Pickle].into_iter().find(|content| content.code() == code)
    }
}

/// One message, whatever carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is for.
    pub kind: Kind,
    /// Who sends it: the same name for as long as its numbers go on.
    pub sender: Arc<str>,
    /// The sender's number of it, from 1; with the sender it identifies the envelope, so one that comes twice is known.
    /// 0: it has none.
    pub number: u64,
    /// What it is about: the method of a call, say. Often empty.
    pub subject: Arc<str>,
    /// Which call it belongs to; 0: to none.
    pub correlation: u64,
    /// How long an answer is waited for.
    pub deadline: Option<Duration>,
    /// How the body is written.
    pub content: Content,
    /// Names and values beside the body, for traces.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: Bytes,
}

impl Envelope {
    /// An envelope of a kind with a body; all else is empty.
    pub fn new(kind: Kind, sender: Arc<str>, content: Content, body: Bytes) -> Self {
        Self {
            kind,
            sender,
            number: 0,
            subject: Arc::default(),
            correlation: 0,
            deadline: None,
            content,
            headers: Vec::new(),
            body,
        }
    }

    /// Its form in bytes, as [`decode`](Self::decode) reads it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](TransportError::TooLarge) where a bound of [`limits`] is passed.
    pub fn encode(&self) -> TransportResult<Bytes> {
        let mut bytes = BytesMut::with_capacity(HEAD + self.sender.len() + self.subject.len() + self.body.len());
        self.encode_head(&mut bytes)?;
        bytes.extend_from_slice(&self.body);
        Ok(bytes.freeze())
    }

    /// Its form without the body, which follows as it is: for transports that write both without putting them together.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](TransportError::TooLarge) where a bound of [`limits`] is passed.
    pub fn encode_head(&self, bytes: &mut BytesMut) -> TransportResult<()> {
        bounded("the name of a sender in bytes", self.sender.len(), limits::NAME_BYTES)?;
        bounded("a subject in bytes", self.subject.len(), limits::NAME_BYTES)?;
        bounded("an envelope in headers", self.headers.len(), limits::HEADERS)?;
        bounded("an envelope's body in bytes", self.body.len(), limits::ENVELOPE_BYTES)?;
        bytes.put_slice(&[MAGIC, VERSION, self.kind.code(), self.content.code()]);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.correlation);
        bytes.put_u32_le(milliseconds(self.deadline));
        bytes.put_u16_le(length(self.sender.len()));
        bytes.put_u16_le(length(self.subject.len()));
        bytes.put_u8(u8::try_from(self.headers.len()).unwrap_or(u8::MAX));
        bytes.put_slice(self.sender.as_bytes());
        bytes.put_slice(self.subject.as_bytes());
        for text in self.headers.iter().flat_map(|(name, value)| [name, value]) {
            bounded("a header in bytes", text.len(), limits::HEADER_BYTES)?;
            bytes.put_u16_le(length(text.len()));
            bytes.put_slice(text.as_bytes());
        }
        Ok(())
    }

    /// Reads what [`encode`](Self::encode) wrote; the body shares the bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](TransportError::Malformed) says what is wrong and where; [`TooLarge`](TransportError::TooLarge)
    /// where a
    /// bound of [`limits`] is passed.
    pub fn decode(bytes: &Bytes) -> TransportResult<Self> {
        let (envelope, body) = Self::decode_head(bytes, None)?;
        Ok(Self { body: bytes.slice(body..), ..envelope })
    }

    /// Reads all but the body, which begins at the place that is given. `last`: the sender before, who often is this
    /// one, too.
    pub(crate) fn decode_head(bytes: &[u8], last: Option<&Arc<str>>) -> TransportResult<(Self, usize)> {
        // A body may be as large as the bound, and its head is beside it.
        bounded("an envelope in bytes", bytes.len(), limits::ENVELOPE_BYTES + (1 << 20))?;
        let mut reader = Reader { bytes, at: 0 };
        let [magic, version, kind, content] = reader.array()?;
        if magic != MAGIC {
            return Err(malformed(0, format!("it begins with {magic:#04x}, not with {MAGIC:#04x}")));
        }
        if version != VERSION {
            return Err(malformed(1, format!("its form has the version {version}, and {VERSION} is understood")));
        }
        let kind = Kind::of(kind).ok_or_else(|| malformed(2, format!("there is no kind {kind}")))?;
        let content = Content::of(content).ok_or_else(|| malformed(3, format!("there is no content {content}")))?;
        let number = u64::from_le_bytes(reader.array()?);
        let correlation = u64::from_le_bytes(reader.array()?);
        let deadline = match u32::from_le_bytes(reader.array()?) {
            0 => None,
            milliseconds => Some(Duration::from_millis(milliseconds.into())),
        };
        let sender_length = reader.length(limits::NAME_BYTES)?;
        let subject_length = reader.length(limits::NAME_BYTES)?;
        let [headers] = reader.array()?;
        bounded("an envelope in headers", headers.into(), limits::HEADERS)?;
        let sender = reader.text(sender_length)?;
        let sender = last.filter(|last| ***last == *sender).map_or_else(|| Arc::from(sender), Arc::clone);
        let subject = reader.text(subject_length)?;
        // The empty one needs no memory.
        let subject = if subject.is_empty() { Arc::default() } else { Arc::from(subject) };
        let mut read = Vec::with_capacity(headers.into());
        for _ in 0..headers {
            let name = reader.length(limits::HEADER_BYTES)?;
            let name = reader.text(name)?.to_owned();
            let value = reader.length(limits::HEADER_BYTES)?;
            read.push((name, reader.text(value)?.to_owned()));
        }
        let body = Bytes::new();
        Ok((Self { kind, sender, number, subject, correlation, deadline, content, headers: read, body }, reader.at))
    }
}

/// A deadline in whole milliseconds, 1 at least: 0 says that there is none.
fn milliseconds(deadline: Option<Duration>) -> u32 {
    deadline.map_or(0, |deadline| u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1))
}

/// A length that was held against its bound, which is below 2¹⁶.
fn length(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn bounded(what: &'static str, size: usize, limit: usize) -> TransportResult<()> {
    if size > limit { Err(TransportError::TooLarge { what, size, limit }) } else { Ok(()) }
}

fn malformed(at: usize, reason: impl std::fmt::Display) -> TransportError {
    TransportError::Malformed { reason: format!("at byte {at}: {reason}") }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> TransportResult<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..length) else {
            return Err(malformed(self.at, format!("{length} bytes are announced, and {} are there", rest.len())));
        };
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> TransportResult<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length(&mut self, limit: usize) -> TransportResult<usize> {
        let at = self.at;
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > limit {
            return Err(malformed(at, format!("a text of {length} bytes is announced, and may have {limit}")));
        }
        Ok(length)
    }

    fn text(&mut self, length: usize) -> TransportResult<&'a str> {
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|_| malformed(at, "a text is not UTF-8"))
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
