//! The transport over ZeroMQ keeps the contract, and its rendezvous is no place to do harm.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use procession_transport::conformance::{Subject, conformance};
use procession_transport::{
    Content, Envelope, Kind, Mode, Topic, Transport, TransportError, TransportErrorKind, ZmqOptions, ZmqTransport,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(300);
const ANYWHERE: &str = "tcp://127.0.0.1:*";

async fn medium() -> Subject {
    let host = Arc::new(ZmqTransport::host(ANYWHERE).await.unwrap());
    Subject::new(move || {
        let host = Arc::clone(&host);
        Box::pin(async move { Arc::new(ZmqTransport::join(host.endpoint()).await.unwrap()) as _ })
    })
}

conformance!(keeps, medium);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not come")
}

fn topic(name: &str) -> Topic {
    Topic::new(name, Mode::Pipeline).unwrap()
}

fn item(number: u64) -> Envelope {
    let body = Bytes::from(number.to_string());
    Envelope { number, ..Envelope::new(Kind::Data, "one".into(), Content::Json, body) }
}

/// What a client that is no member is answered.
async fn answers(endpoint: &str, requests: Vec<Vec<u8>>) -> Vec<String> {
    let endpoint = endpoint.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let socket = zmq::Context::new().socket(zmq::REQ).unwrap();
        socket.set_rcvtimeo(60_000).unwrap();
        socket.connect(&endpoint).unwrap();
        let ask = |request: Vec<u8>| {
            socket.send(request, 0).unwrap();
            String::from_utf8(socket.recv_bytes(0).unwrap()).unwrap()
        };
        requests.into_iter().map(ask).collect()
    });
    soon(asked).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_answered_once_and_harms_nobody() {
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    let requests = [
        &b""[..],
        b"{}",
        b"\xff\0",
        b"{\"n\": 1, \"ask\": {}}",
        b"{\"n\": 1, \"ask\": {\"teleport\": {}}}",
        b"{\"n\": -1, \"ask\": {\"beat\": {}}}",
        b"{\"n\": 9, \"ask\": {\"hello\": {\"version\": 99}}}",
        b"{\"n\": 9, \"ask\": {\"find\": {\"address\": \"x\"}}}",
        b"{\"n\": 9, \"ask\": {\"finish\": {\"outlet\": 1, \"ends\": true, \"holds\": true}}}",
        &b"[".repeat(60_000),
    ];
    let requests: Vec<_> = requests.iter().map(|request| request.to_vec()).collect();
    let count = requests.len();
    let refused = answers(host.endpoint(), requests).await;
    // One answer too many would be taken for that of the next request, so they are told apart where they can be.
    for (index, answer) in refused.iter().enumerate() {
        assert!(answer.contains("refused"), "{index}: {answer}");
        let number = if index < 6 || index == count - 1 { "\"n\":0" } else { "\"n\":9" };
        assert!(answer.contains(number), "{index}: {answer}");
    }
    assert!(refused[6].contains("version"), "{}", refused[6]);
    assert!(refused[7].contains("stranger") && refused[8].contains("stranger"), "{refused:?}");
    // A member cannot speak for another's ends.
    let (mut outlet, member) =
        (host.outlet(&topic("a")).await.unwrap(), ZmqTransport::join(host.endpoint()).await.unwrap());
    let hello = b"{\"n\": 1, \"ask\": {\"hello\": {\"version\": 1}}}".to_vec();
    let foreign =
        |id| format!("{{\"n\": 2, \"ask\": {{\"finish\": {{\"outlet\": {id}, \"ends\": true, \"holds\": false}}}}}}");
    let requests = [hello].into_iter().chain((0..20).map(|id| foreign(id).into_bytes())).collect();
    let refused = answers(host.endpoint(), requests).await;
    assert!(refused[0].contains("welcome"), "{}", refused[0]);
    assert!(refused[1..].iter().all(|answer| answer.contains("it has no end")), "{refused:?}");
    // And all goes on.
    let mut inlet = soon(member.inlet(&topic("a"))).await.unwrap();
    soon(outlet.send(item(1))).await.unwrap();
    assert_eq!(soon(inlet.recv()).await.unwrap().unwrap().envelope.number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_there_is_an_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = ZmqOptions::new(format!("tcp://127.0.0.1:{port}")).with_patience(BRIEF);
    let error = soon(nobody.join()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
    let taken = ZmqTransport::host(ANYWHERE).await.unwrap();
    let error = ZmqTransport::host(taken.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
}

/// What had come is received first.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_is_an_error_to_all() {
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    let (one, other) =
        (ZmqTransport::join(host.endpoint()).await.unwrap(), ZmqTransport::join(host.endpoint()).await.unwrap());
    let (mut outlet, mut inlet) = (one.outlet(&topic("a")).await.unwrap(), other.inlet(&topic("a")).await.unwrap());
    soon(outlet.send(item(1))).await.unwrap();
    let waiting = soon(inlet.recv()).await.unwrap();
    assert_eq!(waiting.unwrap().envelope.number, 1);
    let waiting = tokio::spawn(async move { inlet.recv().await.map(drop) });
    soon(host.close()).await.unwrap();
    let lost = soon(waiting).await.unwrap();
    assert!(matches!(lost, Err(TransportError::Disconnected(_))), "{lost:?}");
    let lost = soon(one.inlet(&topic("b"))).await.map(drop);
    assert!(matches!(lost, Err(TransportError::Disconnected(_))), "{lost:?}");
    let lost = soon(async {
        loop {
            if let Err(error) = outlet.send(item(2)).await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(lost, TransportError::Disconnected(_)), "{lost:?}");
    soon(one.close()).await.unwrap();
    let closed = soon(one.inlet(&topic("b"))).await.map(drop);
    assert!(matches!(closed, Err(TransportError::Closed)), "{closed:?}");
}

/// Where this OS process listens, with ports, as Linux tells it: addresses as they are in memory.
#[cfg(target_os = "linux")]
fn listening() -> Vec<(String, u16)> {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let own: Vec<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let sockets =
        ["tcp", "tcp6"].map(|kind| std::fs::read_to_string(format!("/proc/self/net/{kind}")).unwrap_or_default());
    let listens = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = columns.get(1)?.split_once(':')?;
        // `0A`: it listens.
        let is_own = *columns.get(3)? == "0A" && own.iter().any(|inode| columns.get(9) == Some(&inode.as_str()));
        is_own.then(|| (address.to_owned(), u16::from_str_radix(port, 16).unwrap()))
    };
    sockets.iter().flat_map(|sockets| sockets.lines()).filter_map(listens).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_bound_is_on_the_loopback_interface() {
    for everywhere in ["tcp://*:*", "tcp://0.0.0.0:*"] {
        let error = ZmqTransport::host(everywhere).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Invalid, "{error}");
    }
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    let _inlet = host.inlet(&topic("a")).await.unwrap();
    let _mailbox = host.mailbox("a").await.unwrap();
    let port: u16 = host.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    // Those of the other tests, too.
    let listening = listening();
    assert!(listening.len() >= 3 && listening.iter().any(|(_, other)| *other == port), "{listening:?}");
    assert!(listening.iter().all(|(address, _)| address == "0100007F"), "{listening:?}");
}

/// Its high-water marks are those of the topic, and nothing is dropped while they are reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_makes_its_publisher_wait() {
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    let member = ZmqTransport::join(host.endpoint()).await.unwrap();
    let news = Topic::new("news", Mode::PubSub).unwrap().with_capacity(NonZeroUsize::new(4).unwrap()).unwrap();
    let (mut fast, mut slow) = (member.inlet(&news).await.unwrap(), member.inlet(&news).await.unwrap());
    let mut publisher = host.outlet(&news).await.unwrap();
    let receiving = tokio::spawn(async move {
        let mut count = 0;
        while let Some(delivery) = fast.recv().await.unwrap() {
            delivery.receipt.ack();
            count += 1;
        }
        count
    });
    let mut sent = 0;
    while let Ok(outcome) = tokio::time::timeout(BRIEF, publisher.send(item(sent + 1))).await {
        outcome.unwrap();
        sent += 1;
        assert!(sent < 100_000, "it waits for nobody");
    }
    let publishing = tokio::spawn(async move { publisher.close().await });
    for expected in 1..=sent {
        assert_eq!(soon(slow.recv()).await.unwrap().unwrap().envelope.number, expected);
    }
    assert!(soon(slow.recv()).await.unwrap().is_none());
    assert_eq!(soon(receiving).await.unwrap(), sent);
    soon(publishing).await.unwrap().unwrap();
}

/// A sender that is lost without a word has ended nothing, and holds up nobody once its silence is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_does_not_wait_for_who_is_lost() {
    let host = ZmqOptions::new(ANYWHERE).with_silence(Duration::from_secs(2)).host().await.unwrap();
    let mut inlet = host.inlet(&topic("a")).await.unwrap();
    let mut child = child("sends_and_hangs", host.endpoint());
    assert_eq!(soon(inlet.recv()).await.unwrap().unwrap().envelope.number, 1);
    let mut outlet = soon(host.outlet(&topic("a"))).await.unwrap();
    soon(outlet.send(item(2))).await.unwrap();
    soon(outlet.close()).await.unwrap();
    assert_eq!(soon(inlet.recv()).await.unwrap().unwrap().envelope.number, 2);
    assert!(tokio::time::timeout(BRIEF, inlet.recv()).await.is_err(), "the other may go on");
    child.kill().unwrap();
    child.wait().unwrap();
    // Until the host has noticed, no close is that of the last sender.
    soon(async {
        loop {
            match host.outlet(&topic("a")).await {
                Ok(mut outlet) => outlet.close().await.unwrap(),
                Err(error) => assert!(matches!(error, TransportError::Ended { .. }), "{error}"),
            }
            if let Ok(ended) = tokio::time::timeout(BRIEF, inlet.recv()).await {
                break assert!(ended.unwrap().is_none());
            }
        }
    })
    .await;
}

/// Who was dropped before another closes has left by then, however little the tasks run that see to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_was_dropped_does_not_keep_the_end() {
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    for round in 0..200 {
        let topic = topic(&format!("round {round}"));
        let mut inlet = host.inlet(&topic).await.unwrap();
        let (gone, mut last) = (host.outlet(&topic).await.unwrap(), host.outlet(&topic).await.unwrap());
        drop(gone);
        soon(last.close()).await.unwrap();
        assert!(soon(inlet.recv()).await.unwrap().is_none(), "round {round}");
    }
}

/// This test's program again, as another OS process that does only one thing.
fn child(what: &str, endpoint: &str) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_other_side", "--nocapture", "--include-ignored"]);
    command.env("PROCESSION_ZMQ_DOES", what).env("PROCESSION_ZMQ_AT", endpoint);
    command.stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap()
}

/// What other OS processes do; without one that asks for it, nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_side() {
    let (Ok(what), Ok(at)) = (std::env::var("PROCESSION_ZMQ_DOES"), std::env::var("PROCESSION_ZMQ_AT")) else { return };
    let transport = ZmqTransport::join(at).await.unwrap();
    match &*what {
        "sends_and_hangs" => {
            let mut outlet = transport.outlet(&topic("a")).await.unwrap();
            outlet.send(item(1)).await.unwrap();
            std::future::pending::<()>().await;
        }
        "doubles" => {
            let (mut inlet, mut outlet) =
                (transport.inlet(&topic("there")).await.unwrap(), transport.outlet(&topic("back")).await.unwrap());
            while let Some(delivery) = inlet.recv().await.unwrap() {
                let number = delivery.envelope.number * 2;
                outlet.send(Envelope { number, ..delivery.envelope }).await.unwrap();
                delivery.receipt.ack();
            }
            outlet.close().await.unwrap();
            transport.close().await.unwrap();
        }
        other => panic!("{other}"),
    }
}

/// There and back, and no more is sent than was received when the other ends.
#[tokio::test(flavor = "multi_thread")]
async fn two_os_processes_exchange() {
    const COUNT: u64 = 20_000;
    let host = ZmqTransport::host(ANYWHERE).await.unwrap();
    let mut inlet = host.inlet(&topic("back")).await.unwrap();
    let mut outlet = host.outlet(&topic("there")).await.unwrap();
    let mut child = child("doubles", host.endpoint());
    let sending = tokio::spawn(async move {
        for number in 1..=COUNT {
            outlet.send(item(number)).await.unwrap();
        }
        outlet.close().await.unwrap();
    });
    for number in 1..=COUNT {
        let delivery = soon(inlet.recv()).await.unwrap().unwrap();
        assert_eq!((delivery.envelope.number, &*delivery.envelope.body), (2 * number, number.to_string().as_bytes()));
        delivery.receipt.ack();
    }
    assert!(soon(inlet.recv()).await.unwrap().is_none());
    soon(sending).await.unwrap();
    let ended = soon(tokio::task::spawn_blocking(move || child.wait())).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

/// The mesh stands on its mailboxes as on those over TCP.
#[cfg(feature = "mesh")]
#[tokio::test]
async fn a_mesh_stands_on_it() {
    use procession_transport::mesh::{Caller, MeshBuilder, MeshErrorKind};

    let host = Arc::new(ZmqTransport::host("tcp://127.0.0.1:*").await.unwrap());
    let member = Arc::new(ZmqTransport::join(host.endpoint()).await.unwrap());
    let monitor = MeshBuilder::new(host, "monitor".parse().unwrap()).registry().start().await.unwrap();
    let doubles = |_: Caller, number: u64| async move { number.checked_mul(2).ok_or("too large") };
    let worker = MeshBuilder::new(member, "worker:0:0".parse().unwrap()).with_method("double", doubles);
    let worker = worker.join(monitor.address()).await.unwrap();
    monitor.wait_for("worker:0:0", PATIENCE).await.unwrap();
    assert_eq!(monitor.call::<_, u64>("worker:0:0", "double", &21).await.unwrap(), 42);
    let failed = monitor.call::<_, u64>("worker:0:0", "double", &u64::MAX).await.unwrap_err();
    assert_eq!((failed.kind(), failed.to_string().contains("too large")), (MeshErrorKind::Failed, true), "{failed}");
    let unknown = monitor.call::<_, u64>("worker:0:0", "duoble", &21).await.unwrap_err();
    assert_eq!(unknown.kind(), MeshErrorKind::NotFound);
    worker.stop().await;
    assert!(monitor.call::<_, u64>("worker:0:0", "double", &21).await.is_err());
}

/// What was posted to one who is gone by then arrives nowhere, and nobody waits for it: neither a program that ends nor its threads.
#[test]
fn a_program_that_posted_to_one_who_is_gone_ends() {
    let program = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let host = ZmqTransport::host(ANYWHERE).await.unwrap();
            let join = async || ZmqTransport::join(host.endpoint()).await.unwrap();
            let (from, to) = (join().await, join().await);
            let mailbox = to.mailbox("there").await.unwrap();
            soon(from.post("there", item(1))).await.unwrap();
            // All at once, as where a program ends: it is on its way still, and nobody is told of the others any more.
            drop((mailbox, to, host, from));
        });
    };
    let (ends, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        (0..100).for_each(|_| program());
        let _ = ends.send(());
    });
    ended.recv_timeout(PATIENCE).expect("it ends");
}
