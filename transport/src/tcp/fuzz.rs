//! Bytes of a connection at random.

use bytes::{Bytes, BytesMut};

use super::connection::Unread;
use super::frame::{HEAD, Message, head};
use crate::Envelope;

/// Reads bytes as those of a connection: however they are cut, the same is read, and what was read is written as it was. Whether there was
/// a message; for fuzzing alone.
///
/// # Panics
///
/// Where that is not so.
pub fn fuzz(bytes: &[u8]) -> bool {
    let read = read(bytes, bytes.len().max(1));
    assert_eq!(read, self::read(bytes, 7), "it depends on how it is cut");
    let mut written = BytesMut::new();
    for message in &read {
        let mut body = BytesMut::new();
        message.write(&mut body);
        written.extend_from_slice(&head(body.len()));
        written.extend_from_slice(&body);
        if let Message::Envelope(_, bytes) = message
            && let Ok(envelope) = Envelope::decode(bytes)
        {
            let again = envelope.encode().and_then(|bytes| Envelope::decode(&bytes));
            assert_eq!(again.ok(), Some(envelope), "what was read is read again");
        }
    }
    assert!(bytes.starts_with(&written), "what was read is written as it was");
    assert!(written.len() >= read.len() * HEAD);
    !read.is_empty()
}

fn read(bytes: &[u8], at_once: usize) -> Vec<Message> {
    let (mut unread, mut read) = (Unread::default(), Vec::new());
    for piece in Bytes::copy_from_slice(bytes).chunks(at_once) {
        unread.buffer.extend_from_slice(piece);
        loop {
            match unread.next(None) {
                Ok(Some(message)) => read.push(message),
                Ok(None) => break,
                Err(_) => return read,
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use crate::{Content, Kind};

    use super::*;

    #[test]
    fn changed_frames_are_read_or_refused() {
        let mut envelope =
            Envelope::new(Kind::Call, "127.0.0.1:4000/x".into(), Content::Json, Bytes::from_static(b"[1]"));
        envelope.headers.push(("type".to_owned(), "store".to_owned()));
        let messages = [
            Message::Ready,
            Message::Envelope("worker:0:0".to_owned(), envelope.encode().unwrap_or_default()),
            Message::Ask("monitor".to_owned()),
            Message::Has("monitor".to_owned()),
            Message::HasNot("ä".to_owned()),
            Message::Bounce { of: "monitor".to_owned(), from: "worker:0:0".to_owned() },
        ];
        let framed = |messages: &[Message]| {
            let mut bytes = Vec::new();
            for message in messages {
                let mut body = BytesMut::new();
                message.write(&mut body);
                bytes.extend_from_slice(&head(body.len()));
                bytes.extend_from_slice(&body);
            }
            bytes
        };
        let mut corpus: Vec<_> = messages.iter().map(|message| framed(std::slice::from_ref(message))).collect();
        corpus.push(framed(&messages));
        crate::fuzzing::run("frame", &corpus, fuzz);
    }
}
