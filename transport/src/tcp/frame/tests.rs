use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn messages() -> impl Strategy<Value = Message> {
    let name = || ".{0,40}";
    prop_oneof![
        Just(Message::Ready),
        (name(), vec(any::<u8>(), 0..300)).prop_map(|(name, body)| Message::Envelope(name, body.into())),
        name().prop_map(Message::Ask),
        name().prop_map(Message::Has),
        name().prop_map(Message::HasNot),
        (name(), name()).prop_map(|(of, from)| Message::Bounce { of, from }),
    ]
}

fn framed(messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for message in messages {
        let mut body = BytesMut::new();
        message.write(&mut body);
        bytes.extend_from_slice(&head(body.len()));
        bytes.extend_from_slice(&body);
    }
    bytes
}

fn read_all(bytes: &mut BytesMut) -> TransportResult<Vec<Message>> {
    let mut read = Vec::new();
    while let Some(frame) = next(bytes, limits::FRAME_BYTES)? {
        read.push(Message::read(frame.freeze())?);
    }
    Ok(read)
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_cut(sent in vec(messages(), 0..6), cuts in vec(1..40_usize, 1..20)) {
        let whole = framed(&sent);
        let (mut at, mut buffer, mut read) = (0, BytesMut::new(), Vec::new());
        for cut in cuts.iter().cycle() {
            if at == whole.len() {
                break;
            }
            let to = whole.len().min(at + cut);
            buffer.extend_from_slice(&whole[at..to]);
            at = to;
            read.extend(read_all(&mut buffer).unwrap());
        }
        prop_assert_eq!(read, sent);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_damaged_is_no_panic(sent in vec(messages(), 1..4), at in any::<prop::sample::Index>(), byte: u8) {
        let mut damaged = framed(&sent);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let _ = read_all(&mut damaged);
    }

    #[test]
    fn what_is_no_message_is_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Message::read(bytes.clone().into());
        let _ = read_all(&mut BytesMut::from(&bytes[..]));
    }
}

#[test]
fn its_form_is_this() {
    let frame = framed(&[Message::Envelope("a".to_owned(), Bytes::from_static(b"xyz"))]);
    assert_eq!(&frame[..], b"\xf5\x01\0\0\x07\0\0\0\x02\x01\0axyz");
    let frame = framed(&[Message::Bounce { of: "b".to_owned(), from: "c".to_owned() }]);
    assert_eq!(&frame[..], b"\xf5\x01\0\0\x07\0\0\0\x06\x01\0b\x01\0c");
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = next(&mut BytesMut::from(bytes), 100).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn what_is_wrong_is_told_before_the_frame_is_whole() {
    refused(b"G", "begins with 0x47, not with 0xf5");
    refused(b"\xf5\x02", "has the version 2, and 1 is understood");
    refused(b"\xf5\x01\0\x01", "has 0x01 in the place 3");
    refused(&head(101), "a frame in bytes has 101, and may have 100");
    refused(&head(u32::MAX as usize), "may have 100");
    assert!(next(&mut BytesMut::from(&head(100)[..]), 100).unwrap().is_none());
}

#[test]
fn what_is_left_over_or_missing_is_no_message() {
    for bytes in [&b""[..], b"\x09", b"\x03", b"\x03\x02\0a", b"\x03\x01\0ab", b"\x03\x01\0\xff", b"\x03\xff\xff"] {
        assert!(Message::read(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
    }
}
