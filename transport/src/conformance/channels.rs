//! Typed channels over the transport.

use serde::{Deserialize, Serialize};

use super::*;
use crate::channel::{ChannelError, Connector, ConnectorBuilder, ConnectorSpec, Merged};

/// Items of different kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Thing {
    Nothing,
    Number(i64),
    Share(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Thing>),
    Pair { left: bool, right: Option<char> },
}

fn things() -> Vec<Thing> {
    vec![
        Thing::Nothing,
        Thing::Number(i64::MIN),
        Thing::Share(0.1),
        Thing::Text("__PLUGBOARD_CHAN_CLOSE_MSG__ ü".to_owned()),
        Thing::Bytes(vec![0, 255]),
        Thing::List(vec![Thing::Nothing, Thing::List(Vec::new())]),
        Thing::Pair { left: true, right: Some('\u{1f600}') },
    ]
}

fn builder(transport: &Arc<dyn Transport>) -> ConnectorBuilder {
    ConnectorBuilder::new(Arc::clone(transport)).with_job("Job_0123456789abcdef")
}

fn spec(text: &str) -> ConnectorSpec {
    text.parse().unwrap()
}

/// As upstream's test of its channels: seven items of different types, in order; then both ends are closed.
pub async fn typed_items_arrive_and_then_the_end(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let connector = |transport: &_| -> Connector<Thing> { builder(transport).build(&spec("a.out..b.in_1")).unwrap() };
    let mut sender = connector(&from).connect_send().await.unwrap();
    let mut receiver = connector(&to).connect_recv().await.unwrap();
    let sending = tokio::spawn(async move {
        for thing in things() {
            sender.send(thing).await.unwrap();
        }
        assert!(!sender.is_closed());
        sender.close().await.unwrap();
        assert!(sender.is_closed());
        let refused = sender.send(Thing::Nothing).await;
        assert!(matches!(refused, Err(ChannelError::Closed { .. })), "{refused:?}");
    });
    for thing in things() {
        assert!(!receiver.is_closed());
        assert_eq!(soon("an item", receiver.recv()).await.unwrap(), thing);
    }
    for _ in 0..2 {
        let ended = soon("the end", receiver.recv()).await;
        assert!(matches!(ended, Err(ChannelError::Closed { .. })), "{ended:?}");
        assert!(receiver.is_closed());
    }
    soon("the sender", sending).await.unwrap();
}

/// A sender that goes on after it was cut off sends again what it cannot know to have arrived.
pub async fn what_is_sent_twice_is_received_once(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let connector = |transport: &_| -> Connector<u32> {
        builder(transport).written().build(&spec("twice.out..once.in_1")).unwrap()
    };
    let mut receiver = connector(&to).connect_recv().await.unwrap();
    for (first, items) in [(1, 10..20), (5, 14..25), (16, 25..30)] {
        let mut sender = connector(&from).connect_send_as("process.out", first).await.unwrap();
        for item in items {
            soon("room", sender.send(item)).await.unwrap();
        }
        soon("a flush", sender.flush()).await.unwrap();
        if first == 16 {
            soon("a close", sender.close()).await.unwrap();
        }
    }
    let mut came = Vec::new();
    while let Ok(item) = soon("an item or the end", receiver.recv()).await {
        came.push(item);
    }
    assert_eq!(came, (10..30).collect::<Vec<_>>());
}

/// Several channels into one, each in its order (C15).
pub async fn channels_are_merged(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let mut receivers = Vec::new();
    for index in 0..3_u32 {
        let connector = |transport: &_| -> Connector<u32> {
            builder(transport).build(&spec(&format!("a{index}.out..b.in_1"))).unwrap()
        };
        receivers.push(connector(&to).connect_recv().await.unwrap());
        let mut sender = connector(&from).connect_send().await.unwrap();
        tokio::spawn(async move {
            for item in 0..50 {
                soon("room", sender.send(index * 100 + item)).await.unwrap();
            }
            soon("a close", sender.close()).await.unwrap();
        });
    }
    let mut merged = Merged::new(receivers);
    let mut came: [Vec<u32>; 3] = Default::default();
    let ended = loop {
        match soon("an item or the end", merged.recv()).await {
            Ok(item) => came[usize::try_from(item / 100).unwrap()].push(item % 100),
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, ChannelError::Closed { .. }), "{ended}");
    assert!(came.iter().all(|items| items.iter().copied().eq(0..50)), "{came:?}");
}

/// An item of another kind is told, with what came, and does not come again; those after it do.
pub async fn what_is_no_item_is_told_and_passed(subject: Subject) {
    let Some((from, to)) = subject.pair(Mode::Pipeline).await else { return };
    let receives: Connector<u32> = builder(&to).written().build(&spec("a.out..b.in_1")).unwrap();
    let mut receiver = receives.connect_recv().await.unwrap();
    let mut sender = outlet(&from, receives.topic()).await;
    let foreign = |number, content, body: &'static [u8]| Envelope { content, body: body.into(), ..item("one", number) };
    send(&mut sender, foreign(1, Content::Json, b"\"seven\"")).await;
    send(&mut sender, foreign(2, Content::Pickle, b"\x80\x04K\x01.")).await;
    send(&mut sender, foreign(3, Content::Json, b"[")).await;
    send(&mut sender, foreign(4, Content::Json, b"4")).await;
    close(&mut sender).await;
    for expected in [&b"\"seven\""[..], b"\x80\x04K\x01.", b"["] {
        match soon("an error", receiver.recv()).await {
            Err(ChannelError::Malformed { body, item, .. }) => assert_eq!((&body[..], item), (expected, "u32")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(soon("an item", receiver.recv()).await.unwrap(), 4);
    assert!(matches!(soon("the end", receiver.recv()).await, Err(ChannelError::Closed { .. })));
}
