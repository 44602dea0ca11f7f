//! What others see at the broker, and what they do there.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use procession_transport::{
    AmqpOptions, AmqpTransport, Content, Delivery, Envelope, Inlet, Kind, Mode, Outlet, Topic, Transport,
    TransportError, TransportErrorKind,
};
use tokio::time::{sleep, timeout};

use super::{Broker, connect, host, place};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(300);

pub(crate) fn topic(name: &str, mode: Mode, capacity: usize) -> Topic {
    Topic::new(name, mode).unwrap().with_capacity(NonZeroUsize::new(capacity).unwrap()).unwrap()
}

pub(crate) fn item(number: u64) -> Envelope {
    Envelope { number, ..Envelope::new(Kind::Data, "one".into(), Content::Json, number.to_string().into()) }
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !holds().await {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

pub(crate) async fn next(inlet: &mut Box<dyn Inlet>) -> Option<Delivery> {
    soon("an item or the end", inlet.recv()).await.unwrap()
}

pub(crate) async fn number(inlet: &mut Box<dyn Inlet>) -> Option<u64> {
    let delivery = next(inlet).await?;
    delivery.receipt.ack();
    Some(delivery.envelope.number)
}

pub(crate) async fn rest(inlet: &mut Box<dyn Inlet>) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(number) = number(inlet).await {
        all.push(number);
    }
    all
}

pub(crate) async fn send(outlet: &mut Box<dyn Outlet>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        soon("room", outlet.send(item(number))).await.unwrap();
    }
    soon("a flush", outlet.flush()).await.unwrap();
}

/// A client that knows nothing of this library.
async fn raw(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// A listing of a virtual host by its first column.
async fn listed(broker: &Broker, host: &str, command: &str, columns: &[&str]) -> BTreeMap<String, Vec<String>> {
    let arguments = [&["--vhost", host][..], columns].concat();
    let rows = broker.list(command, &arguments).await;
    rows.into_iter().map(|mut row| (row.remove(0), row)).collect()
}

const QUEUE: [&str; 4] = ["name", "durable", "auto_delete", "exclusive"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn exchanges_and_queues_have_the_names_that_are_known() {
    let (broker, host) = place().await;
    let transport = connect(&format!("{}{host}", broker.url().strip_suffix("%2f").unwrap())).await;
    let line = topic("Job_0123456789abcdef.a.out..b.in_1", Mode::Pipeline, 8);
    let news = topic("Job_0123456789abcdef.press.news", Mode::PubSub, 8);
    let kept = topic("kept.out..b.in_1", Mode::Pipeline, 8).lasting();
    let mut ends = Vec::new();
    for topic in [&line, &news, &kept] {
        ends.push((transport.inlet(topic).await.unwrap(), transport.outlet(topic).await.unwrap()));
    }
    let exchanges = listed(&broker, &host, "list_exchanges", &["name", "type", "durable", "auto_delete"]).await;
    assert_eq!(exchanges[line.name()], ["direct", "true", "true"]);
    assert_eq!(exchanges[news.name()], ["fanout", "true", "true"]);
    assert_eq!(exchanges[kept.name()], ["direct", "true", "false"]);
    let queues = listed(&broker, &host, "list_queues", &QUEUE).await;
    // Not auto-delete: what a lost receiver had waits for another. It expires instead.
    assert_eq!(queues[line.name()], ["true", "false", "false"]);
    assert_eq!(queues[kept.name()], ["true", "false", "false"]);
    let arguments = listed(&broker, &host, "list_queues", &["name", "arguments"]).await;
    assert!(arguments[line.name()][0].contains("reject-publish"), "{arguments:?}");
    assert!(arguments[line.name()][0].contains("x-expires"), "{arguments:?}");
    assert!(!arguments[kept.name()][0].contains("x-expires"), "{arguments:?}");
    let own: Vec<_> = queues.iter().filter(|(_, columns)| columns[2] == "true").collect();
    let [(name, columns)] = own[..] else { panic!("one queue of a subscriber: {own:?}") };
    assert_eq!(columns[..], ["false", "true", "true"]);
    let random = name.strip_prefix(&format!("{}.", news.name())).unwrap();
    assert!(random.len() == 16 && random.chars().all(|letter| letter.is_ascii_alphanumeric()), "{random}");
    let columns = ["--vhost", &host, "source_name", "destination_name", "routing_key"];
    let bindings = broker.list("list_bindings", &columns).await;
    let bound = |from: &str, to: &str, key: &str| bindings.contains(&vec![from.into(), to.into(), key.into()]);
    assert!(bound(line.name(), line.name(), line.name()) && bound(news.name(), name, ""), "{bindings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn nothing_is_left_when_both_ends_have_closed() {
    let (broker, host) = place().await;
    let url = format!("{}{host}", broker.url().strip_suffix("%2f").unwrap());
    let (from, to) = (connect(&url).await, connect(&url).await);
    for mode in [Mode::Pipeline, Mode::PubSub] {
        let topic = topic(&format!("left.{mode:?}"), mode, 8);
        let (mut inlet, mut outlet) = (to.inlet(&topic).await.unwrap(), from.outlet(&topic).await.unwrap());
        send(&mut outlet, 1..=5).await;
        soon("a close", outlet.close()).await.unwrap();
        assert_eq!(rest(&mut inlet).await, [1, 2, 3, 4, 5]);
        soon("a close", inlet.close()).await.unwrap();
    }
    // A publisher whom nobody heard.
    let mut alone = from.outlet(&topic("alone.out", Mode::PubSub, 8)).await.unwrap();
    send(&mut alone, 1..=3).await;
    soon("a close", alone.close()).await.unwrap();
    until("an empty broker", async || {
        let exchanges = listed(&broker, &host, "list_exchanges", &["name"]).await;
        let queues = listed(&broker, &host, "list_queues", &["name"]).await;
        let left: Vec<_> = exchanges.keys().filter(|name| !name.is_empty() && !name.starts_with("amq.")).collect();
        left.is_empty() && queues.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_full_queue_makes_senders_wait_in_their_order() {
    let (broker, host) = place().await;
    let url = format!("{}{host}", broker.url().strip_suffix("%2f").unwrap());
    let (from, to) = (connect(&url).await, connect(&url).await);
    let topic = topic("full.out..b.in_1", Mode::Pipeline, 6);
    let mut senders = Vec::new();
    for name in ["one", "two", "three"] {
        let mut outlet = from.outlet(&topic).await.unwrap();
        senders.push(tokio::spawn(async move {
            for number in 1..=200 {
                let envelope = Envelope { sender: name.into(), ..item(number) };
                soon("room", outlet.send(envelope)).await.unwrap();
            }
            soon("a close", outlet.close()).await.unwrap();
        }));
    }
    let ready = async || -> usize {
        let queues = listed(&broker, &host, "list_queues", &["name", "messages_ready"]).await;
        queues.get(topic.name()).map_or(0, |columns| columns[0].parse().unwrap())
    };
    until("a full queue", async || ready().await >= 6).await;
    sleep(BRIEF).await;
    // Three that ask at the same moment may each find the same place free.
    assert!(ready().await <= 6 + 3, "{}", ready().await);
    assert!(senders.iter().all(|sender| !sender.is_finished()), "they wait");
    let mut inlet = to.inlet(&topic).await.unwrap();
    let mut came: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Some(Delivery { envelope, receipt, .. }) = next(&mut inlet).await {
        receipt.ack();
        came.entry(envelope.sender.to_string()).or_default().push(envelope.number);
    }
    for name in ["one", "two", "three"] {
        assert_eq!(came[name], (1..=200).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn as_much_is_held_as_one_likes() {
    let url = host().await;
    let transport = connect(&url).await;
    let topic = topic("held.out..b.in_1", Mode::Pipeline, 4);
    let (mut inlet, mut outlet) = (transport.inlet(&topic).await.unwrap(), transport.outlet(&topic).await.unwrap());
    let sending = tokio::spawn(async move {
        send(&mut outlet, 1..=200).await;
        soon("a close", outlet.close()).await.unwrap();
    });
    let mut held = Vec::new();
    for expected in 1..=200 {
        let delivery = next(&mut inlet).await.unwrap();
        assert_eq!(delivery.envelope.number, expected);
        held.push(delivery);
    }
    soon("the sender", sending).await.unwrap();
    held.into_iter().rev().for_each(|delivery| delivery.receipt.ack());
    assert!(next(&mut inlet).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn the_end_waits_for_what_another_has() {
    let url = host().await;
    let (from, to) = (connect(&url).await, connect(&url).await);
    let topic = topic("waits.out..b.in_1", Mode::Pipeline, 8);
    let mut outlet = from.outlet(&topic).await.unwrap();
    let mut holds = to.inlet(&topic).await.unwrap();
    send(&mut outlet, [1, 2]).await;
    let (one, two) = (next(&mut holds).await.unwrap(), next(&mut holds).await.unwrap());
    let mut waits = from.inlet(&topic).await.unwrap();
    soon("a close", outlet.close()).await.unwrap();
    assert!(timeout(BRIEF, waits.recv()).await.is_err(), "another has something");
    one.receipt.ack();
    assert!(timeout(BRIEF, waits.recv()).await.is_err(), "another has something still");
    // Its own is no reason to wait.
    assert!(next(&mut holds).await.is_none());
    two.receipt.ack();
    assert!(next(&mut waits).await.is_none());
    assert!(matches!(from.outlet(&topic).await, Err(TransportError::Ended { .. })), "they are there still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_is_no_envelope_is_told_and_passed() {
    let url = host().await;
    let transport = connect(&url).await;
    let topic = topic("foreign.out..b.in_1", Mode::Pipeline, 8);
    let (mut inlet, mut outlet) = (transport.inlet(&topic).await.unwrap(), transport.outlet(&topic).await.unwrap());
    let (connection, channel) = raw(&url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let publish = channel.basic_publish(
        topic.name().into(),
        topic.name().into(),
        BasicPublishOptions::default(),
        b"\x80\x04K\x01.",
        BasicProperties::default(),
    );
    publish.await.unwrap().await.unwrap();
    send(&mut outlet, [1]).await;
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(match soon("an item", inlet.recv()).await {
            Ok(delivery) => Ok(delivery.unwrap().envelope.number),
            Err(error) => Err(error.kind()),
        });
    }
    assert!(outcomes.contains(&Ok(1)) && outcomes.contains(&Err(TransportErrorKind::Invalid)), "{outcomes:?}");
    connection.close(200, "OK".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_queue_that_was_deleted_is_declared_again() {
    let url = host().await;
    let transport = connect(&url).await;
    let topic = topic("deleted.out..b.in_1", Mode::Pipeline, 64).lasting();
    let mut outlet = transport.outlet(&topic).await.unwrap();
    send(&mut outlet, 1..=3).await;
    let (connection, channel) = raw(&url).await;
    channel.queue_delete(topic.name().into(), QueueDeleteOptions::default()).await.unwrap();
    connection.close(200, "OK".into()).await.unwrap();
    // What was in it is lost with it, what comes after is not.
    send(&mut outlet, 4..=20).await;
    let mut inlet = transport.inlet(&topic).await.unwrap();
    soon("a close", outlet.close()).await.unwrap();
    assert_eq!(rest(&mut inlet).await, (4..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_the_broker_never_takes_is_an_error() {
    let url = host().await;
    let transport = connect(&url).await;
    let topic = topic("large.out..b.in_1", Mode::Pipeline, 8);
    let mut outlet = transport.outlet(&topic).await.unwrap();
    send(&mut outlet, [1]).await;
    let large = Envelope { body: vec![b'x'; 3_000_000].into(), ..item(2) };
    soon("room", outlet.send(large)).await.unwrap();
    let refused = soon("a refusal", outlet.flush()).await.unwrap_err();
    assert_eq!(refused.kind(), TransportErrorKind::Refused, "{refused:?}");
    assert_eq!(soon("a refusal", outlet.send(item(3))).await.unwrap_err().kind(), TransportErrorKind::Refused);
    drop(outlet);
    // Others go on.
    let (mut inlet, mut outlet) = (transport.inlet(&topic).await.unwrap(), transport.outlet(&topic).await.unwrap());
    send(&mut outlet, [4]).await;
    soon("a close", outlet.close()).await.unwrap();
    assert_eq!(rest(&mut inlet).await, [1, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_a_close_leaves_unsent_is_said() {
    let url = host().await;
    let transport = connect(&url).await;
    let mut outlet = transport.outlet(&topic("unsent.out..b.in_1", Mode::Pipeline, 4)).await.unwrap();
    while let Ok(sent) = timeout(BRIEF, outlet.send(item(1))).await {
        sent.unwrap();
    }
    let error = soon("the close", transport.close()).await.unwrap_err();
    assert!(error.to_string().contains("4 envelopes"), "{error}");
    assert_eq!(outlet.flush().await.unwrap_err().kind(), TransportErrorKind::Closed);
    soon("a second close", transport.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_post_waits_while_the_mailbox_is_full() {
    let url = host().await;
    let (one, other) = (connect(&url).await, connect(&url).await);
    let mut owner = one.mailbox("node:0").await.unwrap();
    let posting = tokio::spawn(async move {
        for number in 1..=2_500 {
            soon("a post", other.post("node:0", item(number))).await.unwrap();
        }
    });
    sleep(BRIEF).await;
    assert!(!posting.is_finished());
    for expected in 1..=2_500 {
        assert_eq!(number(&mut owner).await, Some(expected));
    }
    soon("the last post", posting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn who_is_not_wanted_is_told_so_without_the_password() {
    let url = host().await.replace("guest:guest", "guest:geheim");
    let error = AmqpTransport::connect(AmqpOptions::new(&url)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused, "{error}");
    assert!(!format!("{error} {error:?}").contains("geheim"), "{error:?}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_without_the_password() {
    let port = crate::private::free_port();
    let options = AmqpOptions::new(format!("amqp://user:geheim@127.0.0.1:{port}/%2f"));
    let error = AmqpTransport::connect(options).await.unwrap_err();
    assert!(matches!(error, TransportError::Failed { .. }) && error.is_retryable(), "{error:?}");
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        shown += &error.to_string();
        source = error.source();
    }
    assert!(shown.contains(&format!("127.0.0.1:{port}")), "{shown}");
    assert!(!shown.contains("geheim"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn names_of_the_brokers_own_are_refused() {
    let transport = connect(&host().await).await;
    let topic = topic("amq.direct", Mode::Pipeline, 8);
    assert_eq!(transport.outlet(&topic).await.unwrap_err().kind(), TransportErrorKind::Invalid);
    assert_eq!(transport.inlet(&topic).await.unwrap_err().kind(), TransportErrorKind::Invalid);
    let other = Topic::new("other.out", Mode::Pipeline).unwrap();
    let _outlet = transport.outlet(&other).await.unwrap();
    let narrow = other.with_capacity(NonZeroUsize::MIN).unwrap();
    assert_eq!(transport.inlet(&narrow).await.unwrap_err().kind(), TransportErrorKind::Conflict);
}
