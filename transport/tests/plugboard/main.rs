//! Channels of plugboard: both ends here, and one of them in Python.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use procession_transport::plugboard::{
    CLOSE, PickleError, Plain, PlugboardError, PlugboardReceiver, PlugboardRendezvous, PlugboardSender,
};
use procession_transport::{TransportError, plugboard};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The deadline of what must not come.
const BRIEF: Duration = Duration::from_millis(300);
const MAXSIZE: usize = 2_000;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not come")
}

async fn sender<T: serde::Serialize>(address: &str) -> PlugboardSender<T> {
    soon(PlugboardSender::connect(address, MAXSIZE)).await.unwrap()
}

async fn receiver<T: serde::de::DeserializeOwned>(address: &str) -> PlugboardReceiver<T> {
    soon(PlugboardReceiver::connect(address, MAXSIZE)).await.unwrap()
}

/// What `peer.py` sends, and has to receive.
fn values() -> Vec<Plain> {
    let text = |text: &str| Plain::Text(text.to_owned());
    let (list, tuple) = (Plain::List, Plain::Tuple);
    vec![
        Plain::None,
        Plain::Bool(true),
        Plain::Int(-1),
        Plain::Int(i64::MAX),
        Plain::Large(u64::MAX),
        Plain::Int(i64::MIN),
        Plain::Float(0.1),
        text("ä\u{1f600}"),
        text(&"x".repeat(300)),
        Plain::Bytes(vec![0, 255]),
        list(vec![Plain::Int(1), list(vec![Plain::Int(2), list(Vec::new())])]),
        tuple(Vec::new()),
        tuple(vec![Plain::Int(1), text("a")]),
        Plain::Dict(vec![
            (text("a"), Plain::Dict(vec![(text("b"), tuple(vec![Plain::Float(1.5), Plain::None]))])),
            (Plain::Int(3), list(vec![Plain::Bool(false)])),
        ]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn items_arrive_in_order_and_then_the_end() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    assert!(rendezvous.sender_address().starts_with("tcp://127.0.0.1:"), "{rendezvous:?}");
    assert!(rendezvous.receiver_address().starts_with("tcp://127.0.0.1:"), "{rendezvous:?}");
    // Who comes before there is a sender waits for it.
    let asking = rendezvous.receiver_address().to_owned();
    let early = tokio::spawn(async move { receiver::<(u64, String)>(&asking).await });
    let mut sender = sender::<(u64, String)>(rendezvous.sender_address()).await;
    let mut receiver = soon(early).await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..5_000 {
            sender.send(&(number, "x".repeat(100))).await.unwrap();
        }
        soon(sender.close()).await.unwrap();
        soon(sender.close()).await.unwrap();
        let refused = sender.send(&(0, String::new())).await;
        assert!(matches!(refused, Err(PlugboardError::Closed)), "{refused:?}");
    });
    for number in 0..5_000 {
        assert_eq!(soon(receiver.recv()).await.unwrap(), (number, "x".repeat(100)));
    }
    for _ in 0..2 {
        let ended = soon(receiver.recv()).await;
        assert!(matches!(ended, Err(PlugboardError::Closed)), "{ended:?}");
        assert!(receiver.is_closed());
    }
    soon(sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_receiver_loses_nothing() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let mut sender = sender::<u64>(rendezvous.sender_address()).await;
    let mut receiver = receiver::<u64>(rendezvous.receiver_address()).await;
    let sending = tokio::spawn(async move {
        for number in 0..200 {
            sender.send(&number).await.unwrap();
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        soon(sender.close()).await.unwrap();
    });
    let (mut came, mut cancelled) = (Vec::new(), 0);
    loop {
        match tokio::time::timeout(Duration::from_micros(200), receiver.recv()).await {
            Err(_) => cancelled += 1,
            Ok(Ok(number)) => came.push(number),
            Ok(Err(error)) => {
                assert!(matches!(error, PlugboardError::Closed), "{error}");
                break;
            }
        }
    }
    assert!(cancelled > 0);
    assert_eq!(came, (0..200).collect::<Vec<_>>());
    soon(sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sender_and_what_makes_no_sense_are_refused_once_each() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let address = rendezvous.sender_address().to_owned();
    let answers = tokio::task::spawn_blocking(move || {
        let socket = zmq::Context::new().socket(zmq::REQ).unwrap();
        socket.set_rcvtimeo(60_000).unwrap();
        socket.connect(&address).unwrap();
        let requests = [&b""[..], b"{}", b"{\"sender_address\": 7}", b"[[[", b"\xff\0"];
        // A second answer to one request would be taken for the answer to the next, or be an error of REP's state.
        requests.map(|request| {
            socket.send(request, 0).unwrap();
            socket.recv_bytes(0).unwrap()
        })
    });
    for answer in soon(answers).await.unwrap() {
        assert_eq!(answer, br#"{"success": false}"#);
    }
    let _first = sender::<u8>(rendezvous.sender_address()).await;
    let second = soon(PlugboardSender::<u8>::connect(rendezvous.sender_address(), MAXSIZE)).await;
    assert!(matches!(second, Err(PlugboardError::Refused)), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_item_is_told_and_passed() {
    let socket = zmq::Context::new().socket(zmq::PUSH).unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    let at = socket.get_last_endpoint().unwrap().unwrap();
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let address = rendezvous.sender_address().to_owned();
    let registered = tokio::task::spawn_blocking(move || {
        let request = zmq::Context::new().socket(zmq::REQ).unwrap();
        request.connect(&address).unwrap();
        request.send(&*format!("{{\"sender_address\": \"{at}\"}}"), 0).unwrap();
        request.recv_bytes(0).unwrap()
    });
    assert_eq!(soon(registered).await.unwrap(), br#"{"success": true}"#);
    let mut receiver = receiver::<u8>(rendezvous.receiver_address()).await;
    let pickled = |plain: Plain| plugboard::pickle::write(&plain).unwrap();
    let messages: [Vec<Vec<u8>>; 6] = [
        vec![vec![], b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.".to_vec()],
        vec![pickled(Plain::Int(1))],
        vec![vec![], pickled(Plain::Int(1)), vec![], vec![], vec![]],
        vec![vec![], pickled(Plain::Text("seven".to_owned()))],
        vec![vec![], pickled(Plain::Int(256))],
        vec![b"a topic".to_vec(), pickled(Plain::Int(7))],
    ];
    tokio::task::spawn_blocking(move || {
        for message in messages {
            socket.send_multipart(message, 0).unwrap();
        }
        drop(socket);
    });
    let refused = soon(receiver.recv()).await;
    let opcode = PickleError::Refused { opcode: "GLOBAL", offset: 2 };
    assert!(matches!(&refused, Err(PlugboardError::Pickle(error)) if *error == opcode), "{refused:?}");
    for _ in 0..2 {
        let refused = soon(receiver.recv()).await;
        assert!(matches!(refused, Err(PlugboardError::Frames { frames }) if frames != 2), "{refused:?}");
    }
    for _ in 0..2 {
        let refused = soon(receiver.recv()).await;
        assert!(matches!(refused, Err(PlugboardError::Item(_))), "{refused:?}");
    }
    assert_eq!(soon(receiver.recv()).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_and_sends_nothing() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let mut sender = sender::<Plain>(rendezvous.sender_address()).await;
    let mut receiver = receiver::<Plain>(rendezvous.receiver_address()).await;
    let refused = soon(sender.send(&Plain::Text(CLOSE.to_owned()))).await;
    assert!(matches!(refused, Err(PlugboardError::Sentinel)), "{refused:?}");
    let refused = soon(sender.send(&Plain::Dict(vec![(Plain::List(Vec::new()), Plain::None)]))).await;
    assert!(matches!(refused, Err(PlugboardError::Item(_))), "{refused:?}");
    let inner = Plain::List(vec![Plain::Text(CLOSE.to_owned())]);
    soon(sender.send(&inner)).await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), inner);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_while_nobody_receives() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let mut sender = sender::<u8>(rendezvous.sender_address()).await;
    assert!(tokio::time::timeout(BRIEF, sender.send(&1)).await.is_err(), "it is sent to nobody");
    let sending = tokio::spawn(async move {
        sender.send(&2).await.unwrap();
        soon(sender.close()).await.unwrap();
    });
    let mut receiver = receiver::<u8>(rendezvous.receiver_address()).await;
    assert_eq!(soon(receiver.recv()).await.unwrap(), 2, "what was cancelled is not sent");
    soon(sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused() {
    let nowhere = soon(PlugboardReceiver::<u8>::connect("nowhere", MAXSIZE)).await;
    assert!(matches!(nowhere, Err(PlugboardError::Transport(TransportError::Failed { .. }))), "{nowhere:?}");
}

/// `peer.py`, ended when it is dropped.
struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(arguments: &[&str]) -> Self {
        let python = std::env::var_os("PROCESSION_PYTHON")
            .expect("PROCESSION_PYTHON is not set: `cargo xtask test` makes a Python with pyzmq and sets it");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugboard/peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line, without its end; empty at the end.
    async fn line(&mut self) -> String {
        soon(async {
            tokio::task::block_in_place(|| {
                let mut line = String::new();
                self.output.read_line(&mut line).unwrap();
                line.trim_end().to_owned()
            })
        })
        .await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Python has sent, in three protocols.
async fn receive_all(receiver: &mut PlugboardReceiver<Plain>) {
    for protocol in 3..=5 {
        for value in values() {
            assert_eq!(soon(receiver.recv()).await.unwrap(), value, "protocol {protocol}");
        }
    }
    let refused = soon(receiver.recv()).await;
    let is_refused = |error: &PickleError| matches!(error, PickleError::Refused { opcode: "STACK_GLOBAL", .. });
    assert!(matches!(&refused, Err(PlugboardError::Pickle(error)) if is_refused(error)), "{refused:?}");
    assert_eq!(soon(receiver.recv()).await.unwrap(), Plain::Text("after it".to_owned()));
    assert!(matches!(soon(receiver.recv()).await, Err(PlugboardError::Closed)));
}

/// What Python has received.
async fn received(peer: &mut Peer) {
    let expected = [
        "None",
        "True",
        "-1",
        "9223372036854775807",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        r"'\xe4\U0001f600'",
        &format!("'{}'", "x".repeat(300)),
        r"b'\x00\xff'",
        "[1, [2, []]]",
        "()",
        "(1, 'a')",
        "{'a': {'b': (1.5, None)}, 3: [False]}",
    ];
    for expected in expected {
        assert_eq!(peer.line().await, format!("b'' {expected}"));
    }
    assert_eq!(peer.line().await, "closed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python with pyzmq: cargo xtask test"]
async fn python_sends_and_we_receive() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let mut peer = Peer::start(&["send", rendezvous.sender_address()]);
    let mut receiver = receiver(rendezvous.receiver_address()).await;
    assert_eq!(peer.line().await, r#"{"success": true}"#);
    receive_all(&mut receiver).await;
    let mut second = Peer::start(&["send", rendezvous.sender_address()]);
    assert_eq!(second.line().await, r#"{"success": false}"#);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python with pyzmq: cargo xtask test"]
async fn we_send_and_python_receives() {
    let rendezvous = PlugboardRendezvous::bind().unwrap();
    let mut peer = Peer::start(&["receive", rendezvous.receiver_address()]);
    let mut sender = sender(rendezvous.sender_address()).await;
    for value in values() {
        soon(sender.send(&value)).await.unwrap();
    }
    soon(sender.close()).await.unwrap();
    received(&mut peer).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python with pyzmq: cargo xtask test"]
async fn python_makes_the_rendezvous() {
    let addresses = |line: String| {
        let (senders, receivers) = line.split_once(' ').unwrap();
        (senders.to_owned(), receivers.to_owned())
    };
    let mut maker = Peer::start(&["make"]);
    let (senders, receivers) = addresses(maker.line().await);
    let mut sending = sender(&senders).await;
    let refused = soon(PlugboardSender::<Plain>::connect(&senders, MAXSIZE)).await;
    assert!(matches!(refused, Err(PlugboardError::Refused)), "{refused:?}");
    let mut peer = Peer::start(&["receive", &receivers]);
    for value in values() {
        soon(sending.send(&value)).await.unwrap();
    }
    soon(sending.close()).await.unwrap();
    received(&mut peer).await;

    let mut maker = Peer::start(&["make"]);
    let (senders, receivers) = addresses(maker.line().await);
    let _peer = Peer::start(&["send", &senders]);
    receive_all(&mut receiver(&receivers).await).await;
}
