//! What is not of the contract: other processes, clusters that are not there, actors that die, and what stays behind.

// A test fails by a panic, its helpers, too.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use procession_ray::{RayConfig, RayTransport};
use procession_transport::{
    Content, Envelope, Inlet, Kind, Mode, Outlet, Topic, Transport, TransportError, TransportErrorKind,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::common::{address, connect, namespace};

const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

fn topic() -> Topic {
    Topic::new("a.out..b.in_1", Mode::Pipeline).unwrap()
}

fn narrow(capacity: usize) -> Topic {
    topic().with_capacity(NonZeroUsize::new(capacity).unwrap()).unwrap()
}

fn item(number: u64) -> Envelope {
    Envelope { number, ..Envelope::new(Kind::Data, "one".into(), Content::Bytes, Bytes::from(number.to_string())) }
}

async fn send_all(outlet: &mut Box<dyn Outlet>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        soon("room", outlet.send(item(number))).await.unwrap();
    }
    soon("a flush", outlet.flush()).await.unwrap();
}

/// The numbers of all up to the end, acknowledged.
async fn rest(inlet: &mut Box<dyn Inlet>) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(delivery) = soon("an item or the end", inlet.recv()).await.unwrap() {
        delivery.receipt.ack();
        all.push(delivery.envelope.number);
    }
    all
}

/// The names of the actors in a namespace.
fn actors(namespace: &str) -> Vec<String> {
    Python::attach(|py| {
        let all: Vec<std::collections::HashMap<String, String>> =
            py.import("ray")?.getattr("util")?.call_method1("list_named_actors", (true,))?.extract()?;
        let ours = all.into_iter().filter(|actor| actor["namespace"] == namespace);
        PyResult::Ok(ours.map(|actor| actor["name"].clone()).collect())
    })
    .unwrap()
}

/// Polls until there are so many actors in a namespace.
async fn has_actors(namespace: &str, count: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = {
            let namespace = namespace.to_owned();
            tokio::task::spawn_blocking(move || actors(&namespace)).await.unwrap()
        };
        if there.len() == count {
            return;
        }
        assert!(Instant::now() < until, "{there:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the actor of the topic, as someone else would.
async fn kill_actor(namespace: &str) {
    let namespace = namespace.to_owned();
    let kill = move || {
        Python::attach(|py| {
            let ray = py.import("ray")?;
            let actor = ray.call_method1("get_actor", ("procession/a.out..b.in_1", namespace))?;
            ray.call_method1("kill", (actor,)).map(drop)
        })
    };
    tokio::task::spawn_blocking(kill).await.unwrap().unwrap();
}

/// The example `stage`, as another OS process; killed with the test.
struct Stage(Child);

impl Stage {
    fn start(role: &str, namespace: &str) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/stage");
        let mut command = Command::new(program);
        command.args([role, &address(), namespace]).stdout(Stdio::piped());
        Self(command.spawn().expect("the example `stage` is built with the tests"))
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As upstream's test of two processes: what one sends, the other has, in order, and then the end.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_channel() {
    let namespace = namespace();
    let (mut receiver, mut sender) = (Stage::start("receive", &namespace), Stage::start("send", &namespace));
    let lines = receiver.lines();
    let came: Vec<String> = soon("all", tokio::task::spawn_blocking(move || lines.collect())).await.unwrap();
    let expected = [
        "Nothing",
        "Number(-1)",
        "Share(0.1)",
        "Text(\"ü\")",
        "Bytes([0, 255])",
        "List([Number(1), Nothing])",
        "Pair(true, 'x')",
        "the end",
    ];
    assert_eq!(came, expected);
    for stage in [&mut sender, &mut receiver] {
        let status = stage.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
    // Not before: this process has not joined it yet.
    connect(&namespace).await;
    has_actors(&namespace, 0).await;
}

/// The actor outlives who made it, and gives what a killed process had to another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_comes_again() {
    let namespace = namespace();
    let mut holder = Stage::start("hold", &namespace);
    let mut lines = holder.lines();
    let transport = connect(&namespace).await;
    let mut outlet = transport.outlet(&topic()).await.unwrap();
    send_all(&mut outlet, 1..=5).await;
    let held = soon("an item there", tokio::task::spawn_blocking(move || lines.next())).await.unwrap();
    assert_eq!(held.as_deref(), Some("holds 1"));
    drop(holder);
    soon("a close", outlet.close()).await.unwrap();
    let mut inlet = transport.inlet(&topic()).await.unwrap();
    let mut came = Vec::new();
    while let Some(delivery) = soon("what it had", inlet.recv()).await.unwrap() {
        came.push((delivery.envelope.number, delivery.again));
        delivery.receipt.ack();
    }
    came.sort_unstable();
    assert_eq!(came.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(came[0].1, "the actor says so");
}

/// A typed error, and soon: Ray itself tries for minutes.
#[tokio::test]
async fn a_cluster_that_is_not_there_is_an_error() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let error = RayTransport::connect(RayConfig::new(unused.to_string(), "nobody")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
    assert!(began.elapsed() < PATIENCE / 2);
    let error = RayTransport::connect(RayConfig::new("no address", "nobody")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_process_joins_one_cluster() {
    drop(connect("one").await);
    drop(RayTransport::connect(RayConfig::new("auto", "the same")).await.unwrap());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = RayConfig::new(other.local_addr().unwrap().to_string(), "another");
    let error = RayTransport::connect(config).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
}

/// Who waits for an item, who waits for room, and who does nothing are told; then it begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_dies_is_an_error() {
    let namespace = namespace();
    let transport = connect(&namespace).await;
    let mut waits = transport.inlet(&narrow(2)).await.unwrap();
    let mut idle = transport.outlet(&narrow(2)).await.unwrap();
    let mut full = transport.outlet(&narrow(2)).await.unwrap();
    let mut held = Vec::new();
    // All is held, and nothing acknowledged.
    send_all(&mut full, 1..=2).await;
    for _ in 0..2 {
        held.push(soon("an item", waits.recv()).await.unwrap().unwrap());
    }
    let receiving = tokio::spawn(async move { waits.recv().await.map(drop) });
    kill_actor(&namespace).await;
    let sending = tokio::spawn(async move {
        loop {
            if let Err(error) = full.send(item(3)).await {
                return error;
            }
        }
    });
    let received = soon("the receiver's error", receiving).await.unwrap().unwrap_err();
    let sent = soon("the sender's error", sending).await.unwrap();
    let flushed = soon("the idle one's error", async {
        loop {
            if let Err(error) = idle.send(item(4)).await {
                return error;
            }
        }
    })
    .await;
    for error in [received, sent, flushed] {
        assert!(matches!(error, TransportError::Disconnected(Some(_))), "{error:?}");
    }
    let closed = soon("a refusal", idle.close()).await.unwrap_err();
    assert_eq!(closed.kind(), TransportErrorKind::Unavailable, "{closed}");
    // Receipts of what is gone do nothing.
    for delivery in held {
        delivery.receipt.ack();
    }
    let (mut outlet, mut inlet) =
        (transport.outlet(&narrow(2)).await.unwrap(), transport.inlet(&narrow(2)).await.unwrap());
    send_all(&mut outlet, [1]).await;
    soon("a close", outlet.close()).await.unwrap();
    assert_eq!(rest(&mut inlet).await, [1]);
    soon("the close", transport.close()).await.unwrap();
}

/// What has the name of a topic's actor and is none is told, and left alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_actor_of_someone_else_is_an_error() {
    let namespace = namespace();
    let transport = connect(&namespace).await;
    let there = namespace.clone();
    let make = move || {
        Python::attach(|py| {
            let class = py.import("collections")?.getattr("Counter")?;
            let class = py.import("ray")?.call_method1("remote", (class,))?;
            let options = PyDict::new(py);
            options.set_item("name", "procession/a.out..b.in_1")?;
            options.set_item("namespace", there)?;
            options.set_item("num_cpus", 0)?;
            PyResult::Ok(class.call_method("options", (), Some(&options))?.call_method0("remote")?.unbind())
        })
    };
    let _actor = tokio::task::spawn_blocking(make).await.unwrap().unwrap();
    let error = soon("a refusal", transport.outlet(&topic())).await.unwrap_err();
    assert!(matches!(error, TransportError::Failed { .. }), "{error:?}");
    assert_eq!(actors(&namespace).len(), 1);
}

/// Neither on its sender's nor on its receiver's side; one that has something, or is to stay, does.
#[tokio::test(flavor = "multi_thread")]
async fn no_actor_stays_without_reason() {
    let namespace = namespace();
    let transport = connect(&namespace).await;
    let (mut outlet, mut inlet) = (transport.outlet(&topic()).await.unwrap(), transport.inlet(&topic()).await.unwrap());
    send_all(&mut outlet, 1..=3).await;
    soon("a close", outlet.close()).await.unwrap();
    assert_eq!(actors(&namespace).len(), 1);
    assert_eq!(rest(&mut inlet).await, [1, 2, 3]);
    drop((outlet, inlet));
    has_actors(&namespace, 0).await;
    // Where nothing was sent, and nobody closed.
    drop((transport.outlet(&topic()).await.unwrap(), transport.inlet(&topic()).await.unwrap()));
    has_actors(&namespace, 0).await;
    let mut left = transport.outlet(&topic()).await.unwrap();
    send_all(&mut left, [7]).await;
    let stays = Topic::new("stays", Mode::Pipeline).unwrap().lasting();
    drop((transport.outlet(&stays).await.unwrap(), left));
    soon("the close", transport.close()).await.unwrap();
    assert_eq!(actors(&namespace).len(), 2);
    let later = connect(&namespace).await;
    let (mut outlet, mut inlet) = (later.outlet(&topic()).await.unwrap(), later.inlet(&topic()).await.unwrap());
    soon("a close", outlet.close()).await.unwrap();
    assert_eq!(rest(&mut inlet).await, [7]);
    drop(inlet);
    has_actors(&namespace, 1).await;
}

/// The capacity is a number that counts, and whether it has ended is known (C49).
#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_is_is_known() {
    let transport = connect(&namespace()).await;
    let (mut outlet, mut inlet) =
        (transport.outlet(&narrow(4)).await.unwrap(), transport.inlet(&narrow(4)).await.unwrap());
    for otherwise in [narrow(5), narrow(4).lasting()] {
        let refused = transport.inlet(&otherwise).await.unwrap_err();
        assert!(matches!(refused, TransportError::Mismatch { .. }), "{refused}");
    }
    let mut sent = 0;
    while let Ok(outcome) = tokio::time::timeout(Duration::from_millis(500), outlet.send(item(sent + 1))).await {
        outcome.unwrap();
        sent += 1;
    }
    assert_eq!(sent, 8, "as many in the actor as on their way");
    let closing = tokio::spawn(async move { outlet.close().await });
    assert_eq!(rest(&mut inlet).await, (1..=sent).collect::<Vec<_>>());
    soon("a close", closing).await.unwrap().unwrap();
    let refused = transport.outlet(&narrow(4)).await.unwrap_err();
    assert!(matches!(refused, TransportError::Ended { .. }), "{refused}");
}

/// Items that were taken ahead go back behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_comes_before_what_was_taken_ahead() {
    let transport = connect(&namespace()).await;
    let (mut outlet, mut inlet) = (transport.outlet(&topic()).await.unwrap(), transport.inlet(&topic()).await.unwrap());
    send_all(&mut outlet, 1..=50).await;
    soon("a close", outlet.close()).await.unwrap();
    let mut expected = Vec::new();
    let mut came = Vec::new();
    for number in 1..=50 {
        if number % 10 == 0 {
            let delivery = soon("an item", inlet.recv()).await.unwrap().unwrap();
            came.push((delivery.envelope.number, delivery.again));
            expected.push((number, false));
            drop(delivery);
        }
        let delivery = soon("an item", inlet.recv()).await.unwrap().unwrap();
        came.push((delivery.envelope.number, delivery.again));
        expected.push((number, number % 10 == 0));
        delivery.receipt.ack();
    }
    assert_eq!(came, expected);
    assert!(soon("the end", inlet.recv()).await.unwrap().is_none());
}

/// Asked to close, a transport tells what it could not send.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_tells_what_was_not_sent() {
    let transport = connect(&namespace()).await;
    let mut outlet = transport.outlet(&narrow(1)).await.unwrap();
    for number in 1..=2 {
        soon("room", outlet.send(item(number))).await.unwrap();
    }
    let error = soon("the close", transport.close()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
    assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().starts_with("1 envelopes")));
}
