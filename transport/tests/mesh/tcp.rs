//! The TCP transport.

use std::error::Error;

use bytes::Bytes;
use procession_transport::{Content, Envelope, Kind, Mode, Topic, TransportError, TransportErrorKind, limits};

use super::*;

fn data(number: u64) -> Envelope {
    Envelope { number, ..Envelope::new(Kind::Data, "someone".into(), Content::Bytes, Bytes::new()) }
}

async fn take(inbox: &mut Box<dyn procession_transport::Inlet>) -> Envelope {
    let delivery = soon("an envelope", inbox.recv()).await.unwrap().unwrap();
    delivery.receipt.ack();
    delivery.envelope
}

#[tokio::test]
async fn it_has_mailboxes_and_tells_loss_and_nothing_else() {
    let transport = tcp().await;
    let capabilities = transport.capabilities();
    assert!(capabilities.mailboxes && capabilities.tells_loss && !capabilities.pipelines && !capabilities.pubsub);
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let error = transport.outlet(&Topic::new("x", mode).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Unsupported);
    }
    assert!(transport.host().starts_with("127.0.0.1:"), "nobody else reaches it by default");
}

#[tokio::test]
async fn without_a_key_it_keeps_to_the_loopback_interface() {
    for bind in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = TcpTransport::bind(TcpOptions::new().with_bind(bind)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Refused, "{bind}");
        assert!(error.to_string().contains("beyond this machine, and there is no key"), "{error}");
    }
    let transport = tcp().await;
    let error = transport.post("192.0.2.1:4000/me", data(1)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn where_it_is_reached_can_be_told() {
    let bind = || TcpOptions::new().with_bind("0.0.0.0:0").with_key(key(2));
    let error = TcpTransport::bind(bind()).await.unwrap_err();
    assert!(error.to_string().contains("an address to advertise is needed"), "{error}");
    let transport = TcpTransport::bind(bind().with_advertised("localhost:0")).await.unwrap();
    assert!(transport.host().starts_with("localhost:") && !transport.host().ends_with(":0"));
    let mut inbox = transport.mailbox("me").await.unwrap();
    let other = TcpTransport::bind(TcpOptions::new().with_key(key(2))).await.unwrap();
    soon("a post", other.post(&transport.address("me"), data(1))).await.unwrap();
    assert_eq!(take(&mut inbox).await.number, 1);
    for bad in ["nowhere", "a/b:1", ":1", "host:99999", "host:x"] {
        let error = TcpTransport::bind(bind().with_advertised(bad)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Invalid, "{bad}: {error}");
    }
}

#[test]
fn a_key_is_64_digits_and_is_not_shown() {
    let text = "00ff".repeat(16);
    let key = Key::from_hex(&format!("{text}\n")).unwrap();
    let expected: [u8; 32] = std::array::from_fn(|index| if index % 2 == 0 { 0 } else { 255 });
    assert_eq!(key, Key::new(expected));
    assert_eq!(format!("{key:?} {:?}", TcpOptions::new().with_key(key.clone())).matches("255").count(), 0);
    for bad in ["", "00ff", &"0".repeat(63), &"g".repeat(64), &"ä".repeat(32), &"0".repeat(65)] {
        let error = Key::from_hex(bad).unwrap_err();
        assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
    }
}

#[tokio::test]
async fn other_keys_and_none_are_refused() {
    let sealed = TcpTransport::bind(options().with_key(key(1))).await.unwrap();
    let open = tcp().await;
    let _boxes = (sealed.mailbox("me").await.unwrap(), open.mailbox("me").await.unwrap());
    let wrong = TcpTransport::bind(options().with_key(key(2))).await.unwrap();
    for (from, to) in [(&wrong, &sealed), (&*open, &sealed), (&wrong, &*open)] {
        let error = soon("a refusal", from.post(&to.address("me"), data(1))).await.unwrap_err();
        let is_told = matches!(error, TransportError::Refused { .. } | TransportError::Disconnected(_));
        assert!(is_told, "{error}: {:?}", error.source());
    }
    let right = TcpTransport::bind(options().with_key(key(1))).await.unwrap();
    soon("a post", right.post(&sealed.address("me"), data(1))).await.unwrap();
}

#[tokio::test]
async fn who_is_not_there_is_an_error() {
    let (one, other) = (tcp().await, tcp().await);
    let no_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [format!("{no_port}/me"), other.address("me"), one.address("me"), "me".to_owned()] {
        let error = soon("an error", one.post(&address, data(1))).await.unwrap_err();
        assert!(matches!(error, TransportError::NoSuchAddress { .. }), "{address}: {error}");
    }
    // It is asked again each time.
    let mut inbox = other.mailbox("me").await.unwrap();
    soon("a post", one.post(&other.address("me"), data(7))).await.unwrap();
    assert_eq!(take(&mut inbox).await.number, 7);
    drop(inbox);
    soon("its going", async {
        while one.post(&other.address("me"), data(8)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_loss_is_told_to_all_who_had_to_do_with_it() {
    let (one, other) = (tcp().await, tcp().await);
    let mut asked = one.mailbox("asked").await.unwrap();
    let mut asks = one.mailbox("asks").await.unwrap();
    let mut idle = one.mailbox("idle").await.unwrap();
    let far_inbox = other.mailbox("far").await.unwrap();
    let from = |sender: &str, number| Envelope { sender: sender.into(), ..data(number) };
    soon("a post", other.post(&one.address("asked"), from(&other.address("far"), 1))).await.unwrap();
    soon("a post", one.post(&other.address("far"), from(&one.address("asks"), 2))).await.unwrap();
    assert_eq!(take(&mut asked).await.number, 1);
    assert_eq!((one.connections(), other.connections()), (1, 1), "an answer goes over the same connection");
    let far = other.address("far");
    drop((far_inbox, other));
    for inbox in [&mut asked, &mut asks] {
        let lost = take(inbox).await;
        assert_eq!((lost.kind, &*lost.sender), (Kind::Lost, &*far));
    }
    soon("a post", one.post("idle", data(3))).await.unwrap();
    assert_eq!(take(&mut idle).await.number, 3, "it had nothing to do with it");
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_by_who_posts_next() {
    let one = tcp().await;
    let other = tcp().await;
    let address = other.host().to_owned();
    let first = other.mailbox("me").await.unwrap();
    soon("a post", one.post(&other.address("me"), data(1))).await.unwrap();
    drop((first, other));
    until("the loss", || one.connections() == 0).await;
    let again = soon("the port", async {
        loop {
            match TcpTransport::bind(options().with_bind(&*address)).await {
                Ok(again) => return again,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    let mut inbox = again.mailbox("me").await.unwrap();
    soon("a post", one.post(&again.address("me"), data(2))).await.unwrap();
    assert_eq!(take(&mut inbox).await.number, 2);
}

#[tokio::test]
async fn who_starts_within_the_attempts_is_reached() {
    let reconnect = Reconnect { attempts: 1000, first: Duration::from_millis(5), longest: Duration::from_millis(50) };
    let one = TcpTransport::bind(options().with_reconnect(reconnect)).await.unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let posting = tokio::spawn(async move { one.post(&format!("{address}/me"), data(1)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!posting.is_finished());
    let other = TcpTransport::bind(options().with_bind(address.to_string())).await.unwrap();
    // As soon as it is there, it is asked; the mailbox may not be yet.
    let inbox = other.mailbox("me").await.unwrap();
    let posted = soon("the post", posting).await.unwrap();
    assert!(posted.is_ok() || matches!(posted, Err(TransportError::NoSuchAddress { .. })), "{posted:?}");
    drop(inbox);
}

#[tokio::test]
async fn who_does_not_read_holds_up_who_posts_and_nothing_grows() {
    for sealed in [false, true] {
        let options = options().with_queue_bytes(64 << 10);
        let options = if sealed { options.with_key(key(4)) } else { options };
        let one = TcpTransport::bind(options.clone()).await.unwrap();
        let other = Arc::new(TcpTransport::bind(options).await.unwrap());
        let mut inbox = other.mailbox("me").await.unwrap();
        let address = other.address("me");
        let body = Bytes::from(vec![7; 32 << 10]);
        let big = |number| Envelope { body: body.clone(), ..data(number) };
        let mut sent = 0;
        // Until nothing goes for a while: the mailbox, the buffers of both systems, and the queue are full.
        while let Ok(posted) = tokio::time::timeout(Duration::from_millis(300), one.post(&address, big(sent + 1))).await
        {
            posted.unwrap();
            sent += 1;
            assert!(sent < 100_000, "it never waits");
        }
        assert!(sent >= limits::MAILBOX as u64, "{sent}");
        // What was cancelled was not sent; what was sent comes, in order.
        for expected in 1..=sent {
            let came = take(&mut inbox).await;
            assert!(came.number == expected && came.body == body);
        }
        soon("a post", one.post(&address, big(sent + 1))).await.unwrap();
        assert_eq!(take(&mut inbox).await.number, sent + 1);
    }
}

#[tokio::test]
async fn many_who_post_share_a_connection_and_each_keeps_its_order() {
    let (one, other) = (tcp().await, tcp().await);
    let mut inbox = other.mailbox("me").await.unwrap();
    let posting: Vec<_> = (0..20_u64)
        .map(|sender| {
            let (one, address) = (Arc::clone(&one), other.address("me"));
            tokio::spawn(async move {
                for number in 1..=500 {
                    let envelope = Envelope { correlation: sender, ..data(number) };
                    one.post(&address, envelope).await.unwrap();
                }
            })
        })
        .collect();
    let mut last = [0; 20];
    for _ in 0..20 * 500 {
        let came = take(&mut inbox).await;
        let last = &mut last[usize::try_from(came.correlation).unwrap()];
        assert_eq!(came.number, *last + 1);
        *last = came.number;
    }
    for posting in posting {
        posting.await.unwrap();
    }
    assert_eq!((one.connections(), other.connections()), (1, 1));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_stays() {
    let (one, other) = (tcp().await, tcp().await);
    let mut inbox = other.mailbox("me").await.unwrap();
    let large = Bytes::from(vec![0; limits::ENVELOPE_BYTES + 1]);
    let error = one.post(&other.address("me"), Envelope { body: large.clone(), ..data(1) }).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { .. }), "{error}");
    let largest = Envelope { body: large.slice(1..), ..data(2) };
    soon("a post", one.post(&other.address("me"), largest)).await.unwrap();
    let came = take(&mut inbox).await;
    assert_eq!((came.number, came.body.len()), (2, limits::ENVELOPE_BYTES));
}

#[tokio::test]
async fn there_are_no_more_connections_than_may_be() {
    let full = TcpTransport::bind(options().with_connections(1)).await.unwrap();
    let _inbox = full.mailbox("me").await.unwrap();
    let (one, other) = (tcp().await, tcp().await);
    soon("a post", one.post(&full.address("me"), data(1))).await.unwrap();
    let error = soon("a refusal", other.post(&full.address("me"), data(1))).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { .. } | TransportError::Disconnected(_)), "{error}");
    let error = soon("a refusal", full.post(&other.address("me"), data(1))).await.unwrap_err();
    assert_eq!(error.to_string(), "a transport in connections has 2, and may have 1");
    soon("a post", one.post(&full.address("me"), data(2))).await.unwrap();
    drop(one);
    until("room", || full.connections() == 0).await;
    soon("a place", async {
        while other.post(&full.address("me"), data(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_close_writes_what_was_posted_and_ends_what_waits() {
    let (one, other) = (tcp().await, tcp().await);
    let mut inbox = other.mailbox("me").await.unwrap();
    let mut own = one.mailbox("own").await.unwrap();
    for number in 1..=500 {
        soon("a post", one.post(&other.address("me"), data(number))).await.unwrap();
    }
    soon("the close", one.close()).await.unwrap();
    for number in 1..=500 {
        assert_eq!(take(&mut inbox).await.number, number);
    }
    assert_eq!(take(&mut inbox).await.kind, Kind::Lost);
    assert!(matches!(soon("the end", own.recv()).await, Err(TransportError::Closed)));
    assert!(matches!(one.post(&other.address("me"), data(1)).await, Err(TransportError::Closed)));
    assert!(matches!(one.mailbox("x").await, Err(TransportError::Closed)));
    // Nobody listens any more.
    let error = soon("an error", other.post(&one.address("own"), data(1))).await.unwrap_err();
    assert!(matches!(error, TransportError::NoSuchAddress { .. }), "{error}");
}

#[tokio::test]
async fn with_its_last_clone_it_is_closed() {
    let one = TcpTransport::bind(options()).await.unwrap();
    let (clone, address) = (one.clone(), one.address("me"));
    let mut inbox = one.mailbox("me").await.unwrap();
    drop(one);
    let other = tcp().await;
    soon("a post", other.post(&address, data(1))).await.unwrap();
    assert_eq!(take(&mut inbox).await.number, 1);
    drop(clone);
    soon("the end", async { while inbox.recv().await.is_ok() {} }).await;
    until("the loss", || other.connections() == 0).await;
    soon("an error", other.post(&address, data(1))).await.unwrap_err();
}
