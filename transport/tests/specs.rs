//! Sockets, specs and builders keep the rules C1 to C7, C12, C18 and C28.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;

use procession_transport::channel::{
    BuildError, ChannelError, ChannelErrorKind, ConnectorBuilder, ConnectorSpec, Socket, SpecError, job_id,
};
use procession_transport::{LocalTransport, Mode, TransportErrorKind, limits};
use serde_json::json;

fn builder() -> ConnectorBuilder {
    ConnectorBuilder::new(Arc::new(LocalTransport::new()))
}

fn spec(text: &str) -> ConnectorSpec {
    text.parse().unwrap()
}

#[test]
fn c1_a_socket_is_an_entity_and_a_descriptor() {
    for (text, entity, descriptor) in [("a.out", "a", "out"), ("_A-1.in_1", "_A-1", "in_1"), ("z9._", "z9", "_")] {
        let socket: Socket = text.parse().unwrap();
        assert_eq!((socket.entity(), socket.descriptor(), socket.id().as_str()), (entity, descriptor, text));
        assert_eq!(socket, Socket::new(entity, descriptor).unwrap());
        assert_eq!(serde_json::to_value(&socket).unwrap(), json!(text));
        assert_eq!(serde_json::from_value::<Socket>(json!(text)).unwrap(), socket);
    }
    for none in
        ["", "a", "a.", ".out", "a.b.c", "1a.out", "-a.out", "a.1", "a.in-1", "a b.out", "a.out ", "ä.out", "a.out\n"]
    {
        assert!(none.parse::<Socket>().is_err(), "{none:?}");
        assert!(serde_json::from_value::<Socket>(json!(none)).is_err(), "{none:?}");
    }
    let error = "reader.in-1".parse::<Socket>().unwrap_err();
    assert_eq!(error.to_string(), "`in-1` cannot be a descriptor: `-` cannot be in it");
    assert!(matches!("reader".parse::<Socket>(), Err(SpecError::Socket { .. })));
}

#[test]
fn c2_a_spec_is_its_source_its_target_and_its_mode() {
    let parsed = spec("a.out..b.in_1");
    assert_eq!(parsed, ConnectorSpec::new("a.out".parse().unwrap(), "b.in_1".parse().unwrap()));
    assert_eq!(parsed.mode, Mode::Pipeline);
    let read = |value| serde_json::from_value::<ConnectorSpec>(value);
    assert_eq!(read(json!({"source": "a.out", "target": "b.in_1"})).unwrap(), parsed);
    let pubsub = json!({"source": "a.out", "target": "b.in_1", "mode": "pubsub"});
    assert_eq!(read(pubsub.clone()).unwrap(), ConnectorSpec::pubsub(parsed.source.clone(), parsed.target.clone()));
    assert_eq!(serde_json::to_value(read(pubsub.clone()).unwrap()).unwrap(), pubsub);
    assert_eq!(serde_json::to_value(Mode::Pipeline).unwrap(), json!("pipeline"));
    for none in [
        json!({"source": "a.out"}),
        json!({"source": "a", "target": "b.in_1"}),
        json!({"source": "a.out", "target": "b.in_1", "mode": "direct"}),
        json!({"source": "a.out", "target": "b.in_1", "topic": "x"}),
    ] {
        assert!(read(none.clone()).is_err(), "{none}");
    }
    for none in ["", "a.out", "a.out.b.in_1", "a.out..b", "..b.in_1", "a.out...in_1", "a.out..b.in_1..c.in_1"] {
        assert!(none.parse::<ConnectorSpec>().is_err(), "{none:?}");
    }
}

#[test]
fn c3_c4_an_id_joins_both_sockets_and_a_topic_follows_the_mode() {
    let (one, other) = (spec("a.out..b.in_1"), spec("a.out..c.in_1"));
    assert_eq!((one.id().as_str(), one.topic().as_str()), ("a.out..b.in_1", "a.out..b.in_1"));
    assert_ne!(one.topic(), other.topic());
    let news = |spec: &ConnectorSpec| ConnectorSpec::pubsub(spec.source.clone(), spec.target.clone());
    assert_eq!(news(&one).id(), "a.out..b.in_1");
    assert_eq!((news(&one).topic(), news(&other).topic()), ("a.out".to_owned(), "a.out".to_owned()));
    let built = builder().build::<u8>(&news(&one)).unwrap();
    assert_eq!((built.spec(), built.topic().name(), built.topic().mode()), (&news(&one), "a.out", Mode::PubSub));
}

#[test]
fn c5_events_of_a_type_have_one_topic() {
    let event = ConnectorSpec::event("my.event/stop").unwrap();
    assert_eq!(
        (event.id().as_str(), event.mode),
        ("my_event_stop.publishers..my_event_stop.subscribers", Mode::PubSub)
    );
    assert_eq!(event.topic(), "my_event_stop.publishers");
    assert_eq!(ConnectorSpec::event("7-up").unwrap().source.entity(), "_7-up");
    assert!(ConnectorSpec::event("").is_err());
    let built = builder().build_event_connectors::<u8>(["b", "a", "b"]).unwrap();
    let built: Vec<_> = built.iter().map(|(of, connector)| (*of, connector.topic().name())).collect();
    assert_eq!(built, [("a", "a.publishers"), ("b", "b.publishers")], "one for each distinct type");
    assert!(matches!(builder().build_event_connectors::<u8>(["a", ""]), Err(BuildError::Spec(_))));
}

#[test]
fn c6_c7_a_builder_gives_its_options_to_every_connector() {
    let capacity = NonZeroUsize::new(3).unwrap();
    let builder = builder().with_job("Job_x").with_capacity(capacity).lasting();
    for text in ["a.out..b.in_1", "c.out..d.in_1"] {
        let connector = builder.build::<u8>(&spec(text)).unwrap();
        let topic = connector.topic();
        assert_eq!((topic.name(), topic.capacity(), topic.is_lasting()), (&*format!("Job_x.{text}"), 3, true));
    }
    let by_default = self::builder().build::<u8>(&spec("a.out..b.in_1")).unwrap();
    assert_eq!((by_default.topic().capacity(), by_default.topic().is_lasting()), (limits::CAPACITY, false));
    let too_large = NonZeroUsize::new(limits::CAPACITY_MAX + 1).unwrap();
    let refused = self::builder().with_capacity(too_large).build::<u8>(&spec("a.out..b.in_1")).unwrap_err();
    assert_eq!(refused.kind(), TransportErrorKind::Invalid, "nothing is without a bound");
}

#[tokio::test]
async fn c18_both_ends_tell_the_capacity_that_was_asked_for() {
    for written in [false, true] {
        for mode in [Mode::Pipeline, Mode::PubSub] {
            let builder = builder().with_capacity(NonZeroUsize::new(7).unwrap());
            let builder = if written { builder.written() } else { builder };
            let connector = builder.build::<u8>(&ConnectorSpec { mode, ..spec("a.out..b.in_1") }).unwrap();
            let (receiver, sender) = (connector.connect_recv().await.unwrap(), connector.connect_send().await.unwrap());
            assert_eq!((sender.capacity(), receiver.capacity()), (7, 7), "{mode:?}");
        }
    }
}

#[tokio::test]
async fn c12_an_error_says_whether_the_channel_is_closed_or_the_transport_failed() {
    let connector = builder().with_capacity(NonZeroUsize::MIN).build::<u8>(&spec("a.out..b.in_1")).unwrap();
    let mut sender = connector.connect_send().await.unwrap();
    sender.close().await.unwrap();
    let closed = sender.send(1).await.unwrap_err();
    assert_eq!((closed.kind(), closed.is_retryable()), (ChannelErrorKind::Closed, false));
    assert_eq!(closed.to_string(), "the channel `a.out..b.in_1` is closed");

    let transport = Arc::new(LocalTransport::new());
    let builder = ConnectorBuilder::new(transport);
    let open = builder.build::<u8>(&spec("a.out..b.in_1")).unwrap().connect_send().await.unwrap();
    let otherwise = builder.clone().with_capacity(NonZeroUsize::MIN).build::<u8>(&spec("a.out..b.in_1")).unwrap();
    let refused = otherwise.connect_recv().await.unwrap_err();
    assert_eq!(refused.kind(), ChannelErrorKind::Transport(TransportErrorKind::Conflict), "{refused}");
    assert!(matches!(refused, ChannelError::Transport { .. }) && refused.source().is_some());
    drop(open);
}

#[tokio::test]
async fn c28_a_job_keeps_its_channels_apart() {
    let ids: BTreeSet<_> = (0..1_000).map(|_| job_id()).collect();
    assert_eq!(ids.len(), 1_000);
    for id in &ids {
        let random = id.strip_prefix("Job_").unwrap();
        assert!(random.len() == 16 && random.chars().all(|letter| letter.is_ascii_alphanumeric()), "{id}");
    }
    let builder = builder();
    let connector = |job: &str| builder.clone().with_job(job).build::<u8>(&spec("a.out..b.in_1")).unwrap();
    assert_eq!(connector("Job_1").topic().name(), "Job_1.a.out..b.in_1");
    for (job, item) in [("Job_1", 1), ("Job_2", 2)] {
        let mut sender = connector(job).connect_send().await.unwrap();
        sender.send(item).await.unwrap();
        sender.close().await.unwrap();
    }
    for (job, item) in [("Job_2", 2), ("Job_1", 1)] {
        let mut receiver = connector(job).connect_recv().await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), item);
        assert!(matches!(receiver.recv().await, Err(ChannelError::Closed { .. })));
    }
}
