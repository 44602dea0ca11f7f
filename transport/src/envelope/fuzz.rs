//! Envelopes that were changed at random.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;

use crate::{Content, Envelope, Kind, fuzzing};

#[test]
fn changed_envelopes_are_read_or_refused() {
    let mut corpus = Vec::new();
    for kind in [Kind::Data, Kind::End, Kind::Call, Kind::Notice, Kind::Reply, Kind::Fault, Kind::Lost] {
        for content in [Content::Bytes, Content::Json, Content::Pickle] {
            let bare = Envelope::new(kind, "a sender".into(), content, Bytes::from_static(b"a body"));
            let full = Envelope {
                number: 7,
                subject: "über.alles".into(),
                correlation: u64::MAX,
                deadline: Some(Duration::from_millis(1_500)),
                headers: vec![("traceparent".to_owned(), "00-ä".to_owned()), (String::new(), String::new())],
                ..bare.clone()
            };
            corpus.extend([bare, full].map(|envelope| envelope.encode().unwrap().to_vec()));
        }
    }
    fuzzing::run("envelopes", &corpus, |input| {
        let Ok(envelope) = Envelope::decode(&Bytes::copy_from_slice(input)) else { return false };
        let written = envelope.encode().unwrap();
        assert_eq!(Envelope::decode(&written).unwrap(), envelope);
        true
    });
}
