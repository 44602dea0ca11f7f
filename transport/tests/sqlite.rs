//! The transport through a SQLite file keeps the contract, also between OS processes, and when something goes wrong.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used)]

#[path = "sqlite/failures.rs"]
mod failures;
#[path = "sqlite/measure.rs"]
mod measure;
#[path = "sqlite/os_processes.rs"]
mod os_processes;
#[path = "sqlite/stress.rs"]
mod stress;

use std::future::Future;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use procession_transport::conformance::{Subject, conformance};
use procession_transport::{
    Content, Delivery, Envelope, Inlet, Kind, Mode, Outlet, SqliteTransport, SqliteTransportOptions, Topic, Transport,
    TransportError, TransportErrorKind,
};
use rusqlite::Connection;

async fn medium() -> Subject {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    Subject::new(move || {
        let transport = SqliteTransport::open(directory.path().join("channels")).unwrap();
        Box::pin(async move { Arc::new(transport) as _ })
    })
}

conformance!(sqlite, medium);

const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} did not come in {PATIENCE:?}"))
}

/// Waits until it is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    soon(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A file of channels, in a folder of its own.
struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("channels");
        Self { _directory: directory, path }
    }

    fn open(&self) -> SqliteTransport {
        SqliteTransport::open(&self.path).unwrap()
    }

    fn open_with(&self, options: SqliteTransportOptions) -> SqliteTransport {
        SqliteTransport::open_with(&self.path, options).unwrap()
    }

    fn count(&self, table: &str) -> i64 {
        count(&self.path, table)
    }
}

/// So many rows a table has, as someone else sees it.
fn count(path: &Path, table: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn quick() -> SqliteTransportOptions {
    SqliteTransportOptions::new().with_lease(Duration::from_secs(1))
}

fn pipeline(name: &str, capacity: usize) -> Topic {
    Topic::new(name, Mode::Pipeline).unwrap().with_capacity(NonZeroUsize::new(capacity).unwrap()).unwrap()
}

fn item(sender: &str, number: u64) -> Envelope {
    sized(sender, number, 20)
}

/// An item whose body is of so many bytes, all its own.
fn sized(sender: &str, number: u64, size: usize) -> Envelope {
    let body: Bytes = format!("{number:0size$}").into();
    Envelope { number, ..Envelope::new(Kind::Data, sender.into(), Content::Bytes, body) }
}

async fn outlet(transport: &SqliteTransport, topic: &Topic) -> Box<dyn Outlet> {
    soon("an outlet", transport.outlet(topic)).await.unwrap()
}

async fn inlet(transport: &SqliteTransport, topic: &Topic) -> Box<dyn Inlet> {
    soon("an inlet", transport.inlet(topic)).await.unwrap()
}

async fn send_all(outlet: &mut Box<dyn Outlet>, sender: &str, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        soon("room", outlet.send(item(sender, number))).await.unwrap();
    }
    soon("a flush", outlet.flush()).await.unwrap();
}

async fn next(inlet: &mut Box<dyn Inlet>) -> Option<Delivery> {
    soon("an item or the end", inlet.recv()).await.unwrap()
}

async fn number(inlet: &mut Box<dyn Inlet>) -> Option<u64> {
    let Delivery { envelope, receipt, .. } = next(inlet).await?;
    receipt.ack();
    Some(envelope.number)
}

async fn rest(inlet: &mut Box<dyn Inlet>) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(number) = number(inlet).await {
        all.push(number);
    }
    all
}

/// All that an error says.
fn said(error: &TransportError) -> String {
    let (mut text, mut source) = (error.to_string(), std::error::Error::source(error));
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn nothing_is_left_of_what_nobody_has_open() {
    let place = Place::new();
    let transport = place.open();
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let topic = Topic::new("topic", mode).unwrap();
        let (mut receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
        send_all(&mut sender, "one", 1..=100).await;
        drop(next(&mut receiver).await);
        soon("a close", sender.close()).await.unwrap();
        assert_eq!(rest(&mut receiver).await.len(), 100);
        soon("a close", receiver.close()).await.unwrap();
    }
    let mailbox = soon("a mailbox", transport.mailbox("me")).await.unwrap();
    soon("a post", transport.post("me", item("one", 1))).await.unwrap();
    drop(mailbox);
    for table in ["item", "back", "hold", "line", "end", "sender", "topic"] {
        until(table, || place.count(table) == 0).await;
    }
    soon("the close", transport.close()).await.unwrap();
    assert_eq!(place.count("member"), 0);
    let files: Vec<_> = std::fs::read_dir(place.path.parent().unwrap()).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.iter().all(|file| !file.file_name().to_string_lossy().contains("member")), "{files:?}");
}

#[tokio::test]
async fn what_was_asked_for_and_is_not_wanted_any_more_leaves() {
    let place = Place::new();
    let transport = place.open();
    let topic = pipeline("topic", 8);
    for _ in 0..20 {
        // The writer answers some of them, and finds nobody for others.
        let _ = tokio::time::timeout(Duration::from_micros(100), transport.inlet(&topic)).await;
        let _ = tokio::time::timeout(Duration::from_micros(100), transport.mailbox("me")).await;
    }
    until("the last end leaves", || place.count("end") == 0).await;
    assert_eq!(place.count("topic"), 0);
}

#[tokio::test]
async fn what_is_sent_again_is_in_the_file_once() {
    let place = Place::new();
    let transport = place.open();
    let topic = pipeline("topic", 100);
    let mut sender = outlet(&transport, &topic).await;
    send_all(&mut sender, "one", 1..=10).await;
    drop(sender);
    let mut sender = outlet(&transport, &topic).await;
    send_all(&mut sender, "one", 6..=15).await;
    // Others have numbers of their own, and those without a number are never known.
    send_all(&mut sender, "other", 1..=2).await;
    send_all(&mut sender, "one", [0, 0]).await;
    assert_eq!(place.count("item"), 19);
    soon("a close", sender.close()).await.unwrap();
    let mut receiver = inlet(&transport, &topic).await;
    let expected: Vec<u64> = (1..=15).chain([1, 2, 0, 0]).collect();
    assert_eq!(rest(&mut receiver).await, expected);
}

#[tokio::test]
async fn senders_that_are_not_heard_from_are_forgotten() {
    let place = Place::new();
    let transport = place.open();
    let topic = Topic::new("topic", Mode::PubSub).unwrap().lasting();
    let mut sender = outlet(&transport, &topic).await;
    for index in 0..5_000 {
        soon("room", sender.send(item(&format!("sender {index}"), 1))).await.unwrap();
    }
    soon("a flush", sender.flush()).await.unwrap();
    assert_eq!(place.count("sender"), 4_096);
}

#[tokio::test]
async fn a_full_mailbox_is_waited_for_unless_it_goes() {
    let place = Place::new();
    let transport = place.open();
    let mut mailbox = soon("a mailbox", transport.mailbox("me")).await.unwrap();
    let mut posted = 0;
    while tokio::time::timeout(Duration::from_millis(300), transport.post("me", item("one", posted + 1))).await.is_ok()
    {
        posted += 1;
    }
    assert_eq!(posted, 1_024);
    let waiting = {
        let transport = transport.clone();
        tokio::spawn(async move { transport.post("me", item("one", 2_000)).await })
    };
    for expected in 1..=posted {
        assert_eq!(number(&mut mailbox).await, Some(expected));
    }
    // The one that was cancelled is not among them.
    assert_eq!(number(&mut mailbox).await, Some(2_000));
    soon("the post", waiting).await.unwrap().unwrap();
    for number in 1..=1_024 {
        soon("a post", transport.post("me", item("one", number))).await.unwrap();
    }
    let waiting = {
        let transport = transport.clone();
        tokio::spawn(async move { transport.post("me", item("one", 2_000)).await })
    };
    tokio::task::yield_now().await;
    drop(mailbox);
    let error = soon("the refusal", waiting).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_given_back_before_the_end_was_told_comes_again() {
    let place = Place::new();
    let transport = place.open();
    let topic = pipeline("topic", 100);
    let (mut receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
    send_all(&mut sender, "one", [1]).await;
    soon("a close", sender.close()).await.unwrap();
    let held = next(&mut receiver).await.unwrap();
    // It would be told the end now, and does not wait for it.
    assert!(tokio::time::timeout(Duration::ZERO, receiver.recv()).await.is_err());
    until("the end is there", || place.count("topic WHERE is_told = 1") == 1).await;
    drop(held);
    let again = next(&mut receiver).await.unwrap();
    assert!(again.again);
    again.receipt.ack();
    assert!(next(&mut receiver).await.is_none());
}

#[tokio::test]
async fn what_could_not_be_sent_before_the_close_is_told() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    let topic = pipeline("topic", 4);
    // Each has room as far as it knows.
    let (mut first, mut second) = (outlet(&one, &topic).await, outlet(&other, &topic).await);
    send_all(&mut first, "one", 1..=4).await;
    for number in 1..=3 {
        soon("room", second.send(item("other", number))).await.unwrap();
    }
    let flushed = tokio::time::timeout(Duration::from_millis(300), second.flush()).await;
    assert!(flushed.is_err(), "the queue is full");
    assert_eq!(place.count("item"), 4);
    let error = soon("the close", other.close()).await.unwrap_err();
    assert!(error.to_string().contains("no room for 3 envelopes"), "{error}");
    assert_eq!(soon("the end", second.flush()).await.unwrap_err().kind(), TransportErrorKind::Closed);
    soon("a close", first.close()).await.unwrap();
    let mut receiver = inlet(&one, &topic).await;
    assert_eq!(rest(&mut receiver).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_line_has_no_more_than_its_capacity_in_the_file() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    let topic = pipeline("topic", 16);
    let mut receiver = inlet(&one, &topic).await;
    let mut sending = Vec::new();
    for (index, transport) in [&one, &other, &one, &other].into_iter().enumerate() {
        let mut sender = outlet(transport, &topic).await;
        sending.push(tokio::spawn(async move {
            send_all(&mut sender, &format!("sender {index}"), 1..=200).await;
            soon("a close", sender.close()).await.unwrap();
        }));
    }
    let mut came = 0;
    while let Some(delivery) = next(&mut receiver).await {
        assert!(place.count("item") <= 17, "those that wait, and the one that was given out");
        delivery.receipt.ack();
        // It is acknowledged when it is out of the file.
        came += 1;
        if came % 50 == 0 {
            until("room is used", || place.count("item") <= 16).await;
        }
    }
    assert_eq!(came, 800);
    for sending in sending {
        sending.await.unwrap();
    }
}
