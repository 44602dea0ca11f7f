//! What comes from elsewhere than a transport that keeps the rules: others are not disturbed.

use std::net::SocketAddr;

use bytes::Bytes;
use procession_transport::{Content, Envelope, Kind, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn at(transport: &TcpTransport) -> SocketAddr {
    transport.host().parse().unwrap()
}

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&[0xF5, 1, 0, 0][..], &length, body].concat()
}

/// The first part of a handshake without a key.
fn hello() -> Vec<u8> {
    frame(b"\x00127.0.0.1:65000")
}

/// The message that says that one is ready.
fn ready() -> Vec<u8> {
    frame(b"\x01")
}

fn envelope(name: &str, envelope: &Envelope) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    frame(&[&[2][..], &length, name.as_bytes(), &envelope.encode().unwrap()].concat())
}

fn data(kind: Kind, sender: &str) -> Envelope {
    Envelope::new(kind, sender.into(), Content::Bytes, Bytes::from_static(b"x"))
}

/// Whether the other side has closed, after all it had to say.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn what_is_no_frame_ends_its_connection_and_no_other() {
    for sealed in [false, true] {
        let options = if sealed { options().with_key(key(3)) } else { options() };
        let transport = Arc::new(TcpTransport::bind(options.clone()).await.unwrap());
        let monitor = MeshBuilder::new(Arc::<TcpTransport>::clone(&transport), "monitor".parse().unwrap());
        let monitor = methods(monitor).registry().start().await.unwrap();
        let other = TcpTransport::bind(options).await.unwrap();
        let worker = methods(MeshBuilder::new(Arc::new(other), "worker:0:0".parse().unwrap()));
        let worker = worker.join(monitor.address()).await.unwrap();
        let too_long = [&[0xF5, 1, 0, 0][..], &u32::MAX.to_le_bytes()].concat();
        let long_for_a_handshake = {
            let length = u32::try_from(limits::HANDSHAKE_BYTES + 1).unwrap().to_le_bytes();
            [&[0xF5, 1, 0, 0][..], &length].concat()
        };
        let garbage: Vec<u8> = (0..4096_u32).map(|n| u8::try_from(n * 7919 % 251).unwrap()).collect();
        let bad: [&[u8]; 11] = [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xf5\x02\0\0\x01\0\0\0\0",
            b"\xf5\x01\0\x07",
            &too_long,
            &long_for_a_handshake,
            &garbage,
            &frame(b""),
            &frame(b"\x09abc"),
            &frame(b"\x01abc"),
            &frame(b"\x00no address"),
            &frame(b"\x00\xff\xfe:1"),
        ];
        for bytes in bad {
            let mut stream = TcpStream::connect(at(&transport)).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            closed(&mut stream).await;
        }
        assert_eq!((call_add(&worker, "monitor").await, call_add(&monitor, "worker:0:0").await), (3, 3));
        assert_eq!(transport.connections(), 1);
    }
}

#[tokio::test]
async fn what_is_no_message_ends_its_connection_and_no_other() {
    let transport = tcp().await;
    let mut inbox = transport.mailbox("me").await.unwrap();
    let other = tcp().await;
    let address = transport.address("me");
    other.post(&address, data(Kind::Data, "other")).await.unwrap();
    let malformed = {
        let mut bytes = envelope("me", &data(Kind::Data, "x"));
        bytes[13] = 0;
        bytes
    };
    let bad: [Vec<u8>; 8] = [
        frame(b"\x01"),
        frame(b""),
        frame(b"\x63"),
        frame(b"\x03\xff\xff"),
        malformed,
        // Nobody speaks for the transport, or for others.
        envelope("me", &data(Kind::Lost, "127.0.0.1:65000/x")),
        envelope("me", &data(Kind::Data, &other.address("other"))),
        b"garbage".to_vec(),
    ];
    for (index, bytes) in bad.iter().enumerate() {
        let mut stream = TcpStream::connect(at(&transport)).await.unwrap();
        // The first is as it should be, and said twice; that does no harm.
        let whole = [hello(), ready(), bytes.clone(), if index == 0 { frame(b"") } else { Vec::new() }].concat();
        stream.write_all(&whole).await.unwrap();
        closed(&mut stream).await;
    }
    other.post(&address, data(Kind::End, "other")).await.unwrap();
    for kind in [Kind::Data, Kind::End] {
        let came = soon("it", inbox.recv()).await.unwrap().unwrap();
        came.receipt.ack();
        assert_eq!((came.envelope.kind, &*came.envelope.sender), (kind, "other"), "and nothing of theirs");
    }
    assert_eq!(transport.connections(), 1);
}

#[tokio::test]
async fn what_keeps_the_rules_by_hand_is_heard() {
    let transport = tcp().await;
    let mut inbox = transport.mailbox("me").await.unwrap();
    let mut stream = TcpStream::connect(at(&transport)).await.unwrap();
    // Byte by byte.
    for byte in [hello(), ready(), envelope("me", &data(Kind::Data, "127.0.0.1:65000/x"))].concat() {
        stream.write_all(&[byte]).await.unwrap();
    }
    let came = soon("it", inbox.recv()).await.unwrap().unwrap();
    assert_eq!(&*came.envelope.sender, "127.0.0.1:65000/x");
    came.receipt.ack();
    // Whom it is for is nobody's: it is told.
    stream.write_all(&envelope("you", &data(Kind::Data, "127.0.0.1:65000/x"))).await.unwrap();
    let bounce = frame(b"\x06\x03\0you\x01\0x");
    let mut answer = Vec::new();
    soon("the bounce", async {
        while !answer.ends_with(&bounce) {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
        }
    })
    .await;
    // Its loss is told to whom it wrote.
    drop(stream);
    let came = soon("the loss", inbox.recv()).await.unwrap().unwrap();
    assert_eq!((came.envelope.kind, &*came.envelope.sender), (Kind::Lost, "127.0.0.1:65000/x"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_given_up() {
    let brief = Duration::from_millis(100);
    let transport = TcpTransport::bind(options().with_handshake_deadline(brief).with_connections(1)).await.unwrap();
    let _inbox = transport.mailbox("me").await.unwrap();
    let hello = hello();
    for bytes in [&b""[..], &hello[..5], &hello[..]] {
        let mut stream = TcpStream::connect(at(&transport)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
    }
    // Its place is free again.
    let other = tcp().await;
    soon("a place", async {
        while other.post(&transport.address("me"), data(Kind::Data, "other")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_a_handshake_is_not_taken_for_who_sent_it() {
    // What goes over the wire is recorded between the two.
    let transport = TcpTransport::bind(options().with_key(key(9))).await.unwrap();
    let _inbox = transport.mailbox("me").await.unwrap();
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at_between = between.local_addr().unwrap();
    let (to, other) = (at(&transport), TcpTransport::bind(options().with_key(key(9))).await.unwrap());
    let posting = tokio::spawn(async move {
        let _ = other.post(&format!("{at_between}/me"), data(Kind::Data, "other")).await;
    });
    let (mut from, _) = between.accept().await.unwrap();
    let mut copied = Vec::with_capacity(2 * limits::HANDSHAKE_BYTES);
    soon("the first part", from.read_buf(&mut copied)).await.unwrap();
    posting.abort();
    drop(from);
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&copied).await.unwrap();
    let mut answer = [0; 8];
    soon("the second part", stream.read_exact(&mut answer)).await.unwrap();
    // Who copied it cannot say that it is ready.
    stream.write_all(&frame(&[1; 17])).await.unwrap();
    closed(&mut stream).await;
    assert_eq!(transport.connections(), 0);
}
