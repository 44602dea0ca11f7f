use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn envelopes() -> impl Strategy<Value = Envelope> {
    let names = || ".{0,40}";
    let headers = vec((names(), names()), 0..limits::HEADERS);
    let kinds = (1..=7_u8).prop_map(|code| Kind::of(code).unwrap());
    let contents = (0..=2_u8).prop_map(|code| Content::of(code).unwrap());
    let deadlines = proptest::option::of((1..=u32::MAX).prop_map(|ms| Duration::from_millis(ms.into())));
    (kinds, names(), any::<u64>(), names(), any::<u64>(), deadlines, contents, headers, vec(any::<u8>(), 0..300))
        .prop_map(|(kind, sender, number, subject, correlation, deadline, content, headers, body)| Envelope {
            kind,
            sender: sender.into(),
            number,
            subject: subject.into(),
            correlation,
            deadline,
            content,
            headers,
            body: body.into(),
        })
}

proptest! {
    #[test]
    fn what_was_written_is_read(envelope in envelopes()) {
        prop_assert_eq!(Envelope::decode(&envelope.encode().unwrap()).unwrap(), envelope);
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_no_panic(envelope in envelopes(), at in any::<prop::sample::Index>(), byte: u8) {
        let whole = envelope.encode().unwrap();
        let head = whole.len() - envelope.body.len();
        let cut = at.index(head);
        prop_assert!(Envelope::decode(&whole.slice(..cut)).is_err());
        let mut damaged = whole.to_vec();
        damaged[cut] = byte;
        let _ = Envelope::decode(&damaged.into());
    }
}

#[test]
fn its_form_is_this() {
    let envelope = Envelope {
        number: 258,
        subject: "s".into(),
        correlation: 3,
        deadline: Some(Duration::from_micros(1)),
        headers: vec![("a".to_owned(), "ä".to_owned())],
        ..Envelope::new(Kind::Call, "me".into(), Content::Json, Bytes::from_static(b"{}"))
    };
    let form =
        b"\xe7\x01\x03\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01\0\0\0\x02\0\x01\0\x01mes\x01\0a\x02\0\xc3\xa4{}";
    assert_eq!(&envelope.encode().unwrap()[..], form);
    let read = Envelope::decode(&Bytes::from_static(form)).unwrap();
    assert_eq!(read, Envelope { deadline: Some(Duration::from_millis(1)), ..envelope });
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told = |bytes: &'static [u8]| Envelope::decode(&Bytes::from_static(bytes)).unwrap_err().to_string();
    assert_eq!(told(b""), "what came is no envelope: at byte 0: 4 bytes are announced, and 0 are there");
    assert_eq!(told(b"\x80\x04K\x01."), "what came is no envelope: at byte 0: it begins with 0x80, not with 0xe7");
    assert_eq!(
        told(b"\xe7\x02\x01\x01"),
        "what came is no envelope: at byte 1: its form has the version 2, and 1 is understood"
    );
    assert_eq!(told(b"\xe7\x01\x09\x01"), "what came is no envelope: at byte 2: there is no kind 9");
    assert_eq!(told(b"\xe7\x01\x01\x09"), "what came is no envelope: at byte 3: there is no content 9");
}

#[test]
fn what_is_too_large_is_not_written() {
    let plain = Envelope::new(Kind::Data, "me".into(), Content::Bytes, Bytes::new());
    let refused = |envelope: Envelope| matches!(envelope.encode(), Err(TransportError::TooLarge { .. }));
    assert!(!refused(plain.clone()));
    assert!(refused(Envelope { sender: "x".repeat(limits::NAME_BYTES + 1).into(), ..plain.clone() }));
    assert!(refused(Envelope { subject: "x".repeat(limits::NAME_BYTES + 1).into(), ..plain.clone() }));
    assert!(refused(Envelope { body: vec![0; limits::ENVELOPE_BYTES + 1].into(), ..plain.clone() }));
    let header = ("x".to_owned(), "x".repeat(limits::HEADER_BYTES + 1));
    assert!(refused(Envelope { headers: vec![header], ..plain.clone() }));
    assert!(refused(Envelope { headers: vec![<(String, String)>::default(); limits::HEADERS + 1], ..plain }));
}
