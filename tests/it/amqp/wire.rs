//! What a peer sees: topology, properties, bodies. It is a bare client of AMQP.

use super::{connect, echoes, hears, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::eventually;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use procession::communicator::{
    AmqpCommunicator, AmqpOptions, Answer, BroadcastFilter, Communicator, CommunicatorError, Incoming, IncomingRpc,
    Rpc, Task,
};
use procession::message::{self, Broadcast, Node, ReplyBody};
use std::sync::Arc;
use std::time::Duration;

/// A peer that speaks AMQP only.
struct Peer {
    channel: Channel,
    queue: ShortString,
    _connection: Connection,
}

impl Peer {
    async fn new(broker: &Broker) -> Self {
        let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        Self { channel, queue: queue.name().clone(), _connection: connection }
    }

    async fn bind(&self, exchange: &str, key: &str) {
        let options = QueueBindOptions::default();
        let bound =
            self.channel.queue_bind(self.queue.clone(), exchange.into(), key.into(), options, FieldTable::default());
        bound.await.unwrap();
    }

    /// Sends a body, with a reply to its own queue.
    async fn send(&self, exchange: &str, key: &str, body: &[u8]) {
        let properties =
            BasicProperties::default().with_reply_to(self.queue.clone()).with_correlation_id("mine".into());
        self.send_with(exchange, key, body, properties).await;
    }

    async fn send_with(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
    }

    /// The next message in its queue, or in another.
    async fn next(&self, queue: &ShortString) -> Delivery {
        let get = || self.channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true });
        let mut got = None;
        soon("a message", async {
            while got.is_none() {
                got = get().await.unwrap();
            }
        })
        .await;
        got.unwrap().delivery
    }

    async fn reply(&self) -> ReplyBody {
        let delivery = self.next(&self.queue).await;
        assert_eq!(delivery.properties.correlation_id().as_ref().unwrap().as_str(), "mine");
        ReplyBody::try_from(message::decode(&delivery.data).unwrap()).unwrap()
    }
}

#[track_caller]
fn has_properties(delivery: &Delivery, delivery_mode: u8, request: Option<&str>) {
    let properties = &delivery.properties;
    assert_eq!(properties.delivery_mode(), &Some(delivery_mode));
    assert_eq!(properties.priority(), &Some(0));
    assert_eq!(properties.headers(), &Some(FieldTable::default()));
    let id = properties.message_id().as_ref().unwrap().as_str();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let absent = [properties.content_type(), properties.content_encoding(), properties.expiration()];
    assert!(absent.iter().all(|property| property.is_none()));
    let absent = [properties.kind(), properties.user_id(), properties.app_id(), properties.cluster_id()];
    assert!(absent.iter().all(|property| property.is_none()) && properties.timestamp().is_none());
    match request {
        Some(reply_to) => {
            assert!(properties.reply_to().as_ref().unwrap().as_str().starts_with(reply_to), "{properties:?}");
            assert_eq!(properties.correlation_id().as_ref().unwrap().as_str().len(), 36);
        }
        None => assert!(properties.reply_to().is_none()),
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn exchanges_queues_and_bindings_are_those_of_kiwipy() {
    let broker = Broker::start(&[]);
    let communicator = connect(&broker, &AmqpOptions::new()).await;
    let hearing = |_: Arc<Broadcast>| async {};
    let all = BroadcastFilter::all();
    let hearer = communicator.add_broadcast_subscriber(Arc::new(hearing), all, None).await.unwrap();
    echoes(&communicator, "one").await;
    echoes(&communicator, "two").await;
    communicator.task_queue("extra").await.unwrap();
    let mut exchanges =
        broker.list("list_exchanges", &["name", "type", "durable", "auto_delete", "internal", "arguments"]).await;
    exchanges.retain(|row| row[0].starts_with("kiwipy"));
    exchanges.sort();
    let exchange = |name: &str| [name, "topic", "false", "false", "false", "[]"].map(str::to_owned).to_vec();
    assert_eq!(exchanges, [exchange("kiwipy.messages"), exchange("kiwipy.tasks")]);

    let queues = broker.list("list_queues", &["name", "durable", "exclusive", "auto_delete", "arguments"]).await;
    let row = |prefix: &str| {
        let mut found = queues.iter().filter(|row| row[0].starts_with(prefix));
        let row = found.next().unwrap_or_else(|| panic!("no `{prefix}` in {queues:?}"));
        assert!(found.next().is_none(), "{queues:?}");
        [&row[1], &row[2], &row[3], &row[4]].map(String::as_str)
    };
    let shared = ["true", "false", "false", "[{\"x-message-ttl\",604800000}]"];
    let replies = ["false", "true", "false", "[{\"x-expires\",60000}]"];
    assert_eq!(row("extra"), shared);
    assert_eq!(row("kiwipy.tasks-reply-"), replies);
    assert_eq!(row("kiwipy.messages-reply-"), replies);
    assert_eq!(row("amq_"), ["false", "true", "false", "[{\"x-expires\",60000},{\"x-message-ttl\",66000}]"]);
    assert_eq!(row("broadcast-"), ["false", "true", "false", "[{\"x-message-ttl\",66000}]"]);
    let tasks = queues.iter().find(|row| row[0] == "kiwipy.tasks").unwrap();
    assert_eq!(tasks[1..], shared);
    assert_eq!(queues.len(), 6, "{queues:?}");

    let columns = ["source_name", "destination_name", "routing_key"];
    let mut bindings = broker.list("list_bindings", &columns).await;
    bindings.retain(|row| row[0].starts_with("kiwipy"));
    let keys = |exchange: &str| {
        let mut keys: Vec<_> = bindings.iter().filter(|row| row[0] == exchange).map(|row| row[2].as_str()).collect();
        keys.sort_unstable();
        keys
    };
    let of_messages = keys("kiwipy.messages");
    assert_eq!(of_messages[..3], ["[broadcast]", "[rpc].one", "[rpc].two"]);
    assert!(of_messages[3].starts_with("kiwipy.messages-reply-") && of_messages.len() == 4);
    let of_tasks = keys("kiwipy.tasks");
    assert_eq!(of_tasks[..2], ["extra", "kiwipy.tasks"]);
    assert!(of_tasks[2].starts_with("kiwipy.tasks-reply-") && of_tasks.len() == 3);

    communicator.remove_rpc_subscriber("one").await.unwrap();
    let bindings = broker.list("list_bindings", &columns).await;
    assert!(!bindings.iter().any(|row| row[2] == "[rpc].one"), "no route remains");
    communicator.remove_broadcast_subscriber(&hearer).await.unwrap();
    assert!(!broker.queues().await.keys().any(|name| name.starts_with("broadcast-")), "nobody hears them any more");
    communicator.close().await.unwrap();
    let left = broker.queues().await;
    let left: Vec<_> = left.keys().map(String::as_str).collect();
    assert_eq!(left, ["extra", "kiwipy.tasks"], "what is private ends with the connection");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn messages_have_the_properties_of_kiwipy() {
    let broker = Broker::shared();
    let options = options();
    let communicator = connect(&broker, &options).await;
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let messages = queue.replace(".queue", ".messages");
    let tasks = queue.replace(".queue", ".tasks");
    communicator.task_send(Task::new(Node::from("hello"))).await.unwrap();
    let task = peer.next(&queue.as_str().into()).await;
    has_properties(&task, 2, Some(&format!("{tasks}-reply-")));
    assert_eq!(task.data, b"[\"hello\", false]");
    peer.bind(&messages, "[rpc].peer").await;
    let call = communicator.rpc_send(Rpc::new("peer", Node::from("hello"))).await.unwrap();
    let delivery = peer.next(&peer.queue).await;
    has_properties(&delivery, 1, Some(&format!("{messages}-reply-")));
    assert_eq!(delivery.data, b"\"hello\"");
    // Bodies as Python writes them; the exchange is that of the request.
    let properties =
        BasicProperties::default().with_correlation_id(delivery.properties.correlation_id().clone().unwrap());
    let to = delivery.properties.reply_to().as_ref().unwrap().as_str();
    peer.send_with(&messages, to, b"pending: null\n", properties.clone()).await;
    peer.send_with(&messages, to, b"result: true\n", properties).await;
    assert_eq!(soon("a reply", call.last()).await.unwrap(), Node::from(true));
    peer.bind(&messages, "[broadcast]").await;
    communicator.broadcast_send(Broadcast::new(Node::Null).subject("told")).await.unwrap();
    let broadcast = peer.next(&peer.queue).await;
    has_properties(&broadcast, 1, None);
    assert!(broadcast.properties.correlation_id().is_none());
    assert_eq!(broadcast.data, br#"{"body": null, "correlation_id": null, "sender": null, "subject": "told"}"#);

    let later =
        |task: Incoming| async move { Ok(Answer::Later(Box::pin(async move { Ok(Answer::Value(task.body)) }))) };
    communicator.add_task_subscriber(Arc::new(later), None).await.unwrap();
    peer.bind(&tasks, peer.queue.as_str()).await;
    peer.send(&tasks, &queue, b"!!python/tuple\n- 5\n- false\n").await;
    let pending = peer.next(&peer.queue).await;
    has_properties(&pending, 1, None);
    assert_eq!((pending.exchange.as_str(), pending.routing_key.as_str()), (tasks.as_str(), peer.queue.as_str()));
    let text = String::from_utf8(pending.data).unwrap();
    assert!(text.starts_with("{\"host\": {\"hostname\": ") && text.ends_with("}, \"pending\": null}"), "{text}");
    assert_eq!(peer.reply().await, ReplyBody::Value(Node::from(5)));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_cannot_be_read_is_answered_and_does_not_come_back() {
    let broker = Broker::shared();
    let parking = format!("parked-{}", std::process::id());
    let options = options().parking_queue(&parking);
    let worker = connect(&broker, &options).await;
    let echo = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
    worker.add_task_subscriber(Arc::new(echo), None).await.unwrap();
    echoes(&worker, "echo").await;
    let mut heard = hears(&worker).await;
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let (messages, tasks) = (queue.replace(".queue", ".messages"), queue.replace(".queue", ".tasks"));
    peer.bind(&tasks, peer.queue.as_str()).await;
    peer.bind(&messages, peer.queue.as_str()).await;
    let unreadable: [&[u8]; 4] = [b"\xff\xfe\xfd", b"[1, 2, 3]", b"{not: closed", b"just a text"];
    for body in unreadable {
        peer.send(&tasks, &queue, body).await;
        let reply = peer.reply().await;
        let ReplyBody::Exception(text) = &reply else { panic!("{body:?}: {reply:?}") };
        assert!(text.starts_with("the task cannot be read: "), "{text}");
        assert_eq!(peer.next(&parking.as_str().into()).await.data, body);
    }
    for body in [&b"\xff\xfe\xfd"[..], b"{not: closed"] {
        peer.send(&messages, "[rpc].echo", body).await;
        assert!(
            matches!(peer.reply().await, ReplyBody::Exception(text) if text.starts_with("the call cannot be read"))
        );
    }
    peer.send(&messages, "[broadcast]", b"{not: closed").await;
    peer.send(&messages, "[broadcast]", b"subject: told\n").await;
    assert_eq!(soon("a broadcast", heard.recv()).await.unwrap().as_deref(), Some("told"));
    // Those without anybody who waits, and one that can be read.
    for body in unreadable {
        peer.send_with(&tasks, &queue, body, BasicProperties::default()).await;
    }
    peer.send(&tasks, &queue, b"[1, false]").await;
    assert_eq!(peer.reply().await, ReplyBody::Value(Node::from(1)));
    assert_eq!(worker.statistics().dead_lettered, 8);
    eventually(|| async { broker.queues().await[&queue].unacknowledged == 0 }).await;
    assert_eq!(broker.queues().await[&queue].ready, 0);
}

/// One that was not confirmed is sent again over the next connection, also if it had arrived.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broadcast_that_comes_twice_is_heard_once() {
    let broker = Broker::shared();
    let options = options();
    let listener = connect(&broker, &options).await;
    let mut heard = hears(&listener).await;
    let peer = Peer::new(&broker).await;
    let messages = task_queue_of(&options).replace(".queue", ".messages");
    for (subject, id) in [("one", "1"), ("one", "1"), ("two", "2"), ("one", "1"), ("three", ""), ("three", "")] {
        let properties = BasicProperties::default();
        let properties = if id.is_empty() { properties } else { properties.with_message_id(id.into()) };
        peer.send_with(&messages, "[broadcast]", format!("subject: {subject}\n").as_bytes(), properties).await;
    }
    for subject in ["one", "two", "three", "three"] {
        assert_eq!(soon("a broadcast", heard.recv()).await.unwrap().as_deref(), Some(subject));
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_request_without_an_address_is_done_and_not_answered() {
    let broker = Broker::shared();
    let options = options();
    let worker = connect(&broker, &options).await;
    let (done, mut does) = tokio::sync::mpsc::channel(10);
    let told = done.clone();
    let task = move |task: Incoming| {
        let done = done.clone();
        async move {
            assert!(task.reply_to.is_none());
            done.send("task").await.unwrap();
            Ok(Answer::Value(Node::Null))
        }
    };
    let call = move |_: IncomingRpc| {
        let done = told.clone();
        async move {
            done.send("call").await.unwrap();
            Ok(Answer::Value(Node::Null))
        }
    };
    worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
    worker.add_rpc_subscriber(Arc::new(call), Some("called".to_owned())).await.unwrap();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    peer.send_with(&queue.replace(".queue", ".tasks"), &queue, b"[1, false]", BasicProperties::default()).await;
    assert_eq!(soon("the task", does.recv()).await.unwrap(), "task");
    let messages = queue.replace(".queue", ".messages");
    peer.send_with(&messages, "[rpc].called", b"1", BasicProperties::default()).await;
    assert_eq!(soon("the call", does.recv()).await.unwrap(), "call");
    assert!(worker.is_connected());
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn calls_to_nobody_are_told_apart_from_those_that_arrive() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (Arc::new(connect(&broker, &options).await), connect(&broker, &options).await);
    echoes(&worker, "somebody").await;
    // Beside one another, so that the broker acknowledges many at once.
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..2_000_i64 {
        let sender = Arc::clone(&sender);
        calls.spawn(async move {
            let somebody = number % 3 != 0;
            let recipient = if somebody { "somebody" } else { "nobody" };
            let sent = sender.rpc_send(Rpc::new(recipient, Node::from(number))).await;
            match sent {
                Ok(reply) => somebody && reply.last().await.unwrap() == Node::from(number),
                Err(CommunicatorError::Unroutable { recipient }) => !somebody && recipient == "nobody",
                Err(error) => panic!("{error}"),
            }
        });
    }
    let right = soon("all calls", calls.join_all()).await;
    assert!(right.into_iter().all(|right| right));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broadcast_arrives_before_the_reply_that_follows_from_it() {
    let broker = Broker::shared();
    let options = options();
    let (peer, worker) = (Peer::new(&broker).await, Arc::new(connect(&broker, &options).await));
    let tells = Arc::downgrade(&worker);
    let answer = move |call: IncomingRpc| {
        let tells = tells.upgrade();
        async move {
            let told = Broadcast::new(call.body.clone()).subject("done");
            tells.unwrap().broadcast_send(told).await.unwrap();
            Ok(Answer::Value(call.body))
        }
    };
    worker.add_rpc_subscriber(Arc::new(answer), Some("called".to_owned())).await.unwrap();
    let messages = task_queue_of(&options).replace(".queue", ".messages");
    peer.bind(&messages, peer.queue.as_str()).await;
    peer.bind(&messages, "[broadcast]").await;
    for number in 0..200 {
        peer.send(&messages, "[rpc].called", number.to_string().as_bytes()).await;
    }
    let mut told = 0;
    for _ in 0..400 {
        let delivery = peer.next(&peer.queue).await;
        let node = message::decode(&delivery.data).unwrap();
        if delivery.routing_key.as_str() == "[broadcast]" {
            told += 1;
        } else {
            let number = node.get("result").cloned().unwrap();
            assert!(matches!(number, Node::Integer(number) if number < told), "{number} of {told}");
        }
    }
    assert_eq!(told, 200);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn an_idle_worker_answers_ten_thousand_calls() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (Arc::new(connect(&broker, &options).await), connect(&broker, &options).await);
    echoes(&worker, "idle").await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..50_i64 {
        let sender = Arc::clone(&sender);
        callers.spawn(async move {
            for number in 0..200 {
                let body = Node::from(caller * 200 + number);
                let reply = sender.rpc_send(Rpc::new("idle", body.clone())).await.unwrap();
                assert_eq!(reply.last().await.unwrap(), body);
            }
        });
    }
    soon("all replies", callers.join_all()).await;
}

#[test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn a_thread_that_is_blocked_stops_neither_calls_nor_tasks_nor_heartbeats() {
    let broker = Broker::shared();
    let options = options().heartbeat(Duration::from_secs(1));
    let blocked = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = blocked.block_on(async {
        let worker = connect(&broker, &options).await;
        echoes(&worker, "echo").await;
        let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
        worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
        worker
    });
    // Nobody drives the runtime on which it was made.
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        let sender = connect(&broker, &options).await;
        for round in 0..40 {
            let reply = sender.rpc_send(Rpc::new("echo", Node::from(round))).await.unwrap();
            assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from(round));
            let reply = sender.task_send(Task::new(Node::from(round))).await.unwrap().unwrap();
            assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from(round));
            // Heartbeats that are missed for two seconds would end the connection.
            tokio::time::sleep(Duration::from_millis(75)).await;
        }
        assert_eq!((sender.statistics().reconnects, worker.statistics().reconnects), (0, 0));
    });
}

/// Threads that only this test has: it runs itself once more, alone.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn nothing_is_left_of_communicators_that_are_closed_or_dropped() {
    const ALONE: &str = "PROCESSION_TEST_ALONE";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Ok(url) = std::env::var(ALONE) else {
        let broker = Broker::start(&[]);
        let thread = std::thread::current();
        let this = thread.name().expect("a test's thread has its name");
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--include-ignored", "--exact", this]).env(ALONE, broker.url());
        let output = alone.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let none = || async { broker.list("list_connections", &["pid"]).await.iter().all(|row| row[0].is_empty()) };
        return runtime.block_on(eventually(none));
    };
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut names: Vec<_> =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect();
        names.sort();
        names
    };
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    runtime.block_on(async {
        // lapin's way to tokio has a thread for all that stays.
        AmqpCommunicator::connect(&url, options()).await.unwrap().close().await.unwrap();
        let ending = ["procession", "lapin", "tokio-rt-worker"];
        eventually(|| async { !threads().iter().any(|name| ending.iter().any(|thread| name.starts_with(thread))) })
            .await;
        let before = (threads(), files());
        for round in 0..8 {
            let communicator = AmqpCommunicator::connect(&url, options()).await.unwrap();
            echoes(&communicator, "echo").await;
            let refused = AmqpCommunicator::connect(&url.replace("guest:guest", "guest:wrong"), options()).await;
            assert!(refused.is_err());
            if round % 2 == 0 {
                communicator.close().await.unwrap();
            }
        }
        eventually(|| async {
            let now = (threads(), files());
            if now != before {
                println!("{before:?} was, {now:?} is");
            }
            now == before
        })
        .await;
    });
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broker_with_other_properties_is_told_at_once() {
    let broker = Broker::shared();
    let options = options();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    peer.channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let refused = soon("the refusal", AmqpCommunicator::connect(&broker.url(), options)).await;
    let Err(CommunicatorError::Broker { action, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(action, "declaring a queue");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn the_broker_tells_what_it_is() {
    let communicator = connect(&Broker::shared(), &options()).await;
    let properties = communicator.server_properties().await.unwrap();
    assert_eq!(properties.get("product").and_then(Node::as_text), Some("RabbitMQ"));
    assert!(properties.get("version").and_then(Node::as_text).is_some_and(|version| version.contains('.')));
    let capabilities = properties.get("capabilities").unwrap();
    assert_eq!(capabilities.get("publisher_confirms").and_then(Node::as_bool), Some(true));
}

/// The sender's queue for replies is bound again, as kiwipy does after its own connection was lost.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_reply_waits_for_a_sender_that_is_away_for_a_moment() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let (begun, mut begins) = tokio::sync::mpsc::channel(2);
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let (owing, released) = (Arc::clone(&worker), Arc::clone(&go_on));
    let subscriber = move |task: Incoming| {
        let (owing, released, begun) = (Arc::clone(&owing), Arc::clone(&released), begun.clone());
        async move {
            let work = async move {
                begun.send(()).await.unwrap();
                released.acquire().await.unwrap().forget();
            };
            if task.body == Node::from("later") {
                return Ok(Answer::Later(Box::pin(async move {
                    work.await;
                    Ok(Answer::from("late"))
                })));
            }
            let address = task.reply_to.unwrap();
            Ok(Answer::Owed(Box::pin(async move {
                work.await;
                owing.reply(&address, Ok(Node::from("owed"))).await.unwrap();
            })))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let tasks = queue.replace(".queue", ".tasks");
    for (body, answer) in [("later", "late"), ("owe", "owed")] {
        peer.bind(&tasks, peer.queue.as_str()).await;
        peer.send(&tasks, &queue, format!("[{body}, false]").as_bytes()).await;
        assert_eq!(peer.reply().await, ReplyBody::Pending);
        soon("the work", begins.recv()).await.unwrap();
        let (exchange, key) = (ShortString::from(tasks.as_str()), peer.queue.clone());
        peer.channel.queue_unbind(peer.queue.clone(), exchange, key, FieldTable::default()).await.unwrap();
        go_on.add_permits(1);
        // It is sent at least twice: nobody can have it before.
        tokio::time::sleep(procession::limits::SENDER_AGAIN * 3 / 2).await;
        peer.bind(&tasks, peer.queue.as_str()).await;
        assert_eq!(peer.reply().await, ReplyBody::Value(Node::from(answer)));
    }
    worker.remove_task_subscriber(&identifier).await.unwrap();
}

/// A task that was not confirmed is sent again, with the queue of the next connection for its reply.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_two_sent_is_answered_to_both() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let (owing, released) = (Arc::clone(&worker), Arc::clone(&go_on));
    let subscriber = move |task: Incoming| {
        let (owing, released) = (Arc::clone(&owing), Arc::clone(&released));
        async move {
            // What takes time before the task is taken over: a store.
            released.acquire().await.unwrap().forget();
            let address = task.reply_to.unwrap();
            Ok(Answer::Owed(Box::pin(async move { owing.reply(&address, Ok(task.body)).await.unwrap() })))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let peers = [Peer::new(&broker).await, Peer::new(&broker).await];
    let queue = task_queue_of(&options);
    let tasks = queue.replace(".queue", ".tasks");
    for peer in &peers {
        peer.bind(&tasks, peer.queue.as_str()).await;
        let properties = BasicProperties::default().with_reply_to(peer.queue.clone());
        let properties = properties.with_correlation_id("mine".into()).with_message_id("one task".into());
        peer.send_with(&tasks, &queue, b"[7, false]", properties).await;
    }
    eventually(|| async { worker.statistics().joined == 1 }).await;
    go_on.add_permits(2);
    for peer in &peers {
        let mut reply = peer.reply().await;
        while reply == ReplyBody::Pending {
            reply = peer.reply().await;
        }
        assert_eq!(reply, ReplyBody::Value(Node::from(7)));
    }
    worker.remove_task_subscriber(&identifier).await.unwrap();
}

/// Calls and broadcasts share a channel; an acknowledgement of one that was acknowledged is an error of that channel.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn many_calls_and_broadcasts_at_once_cost_no_connection() {
    let (broker, options) = (Broker::shared(), options());
    let (worker, sender) = (connect(&broker, &options).await, connect(&broker, &options).await);
    echoes(&worker, "echo").await;
    let mut heard = hears(&worker).await;
    for round in 0..20 {
        let calls = (0..100).map(|_| sender.rpc_send(Rpc::new("echo", Node::from(round))));
        let told = (0..100).map(|_| sender.broadcast_send(Broadcast::new(Node::Null).subject("told")));
        let (calls, told): (Vec<_>, Vec<_>) = calls.zip(told).unzip();
        let all = async {
            let mut replies = Vec::new();
            for (call, told) in calls.into_iter().zip(told) {
                let (reply, told) = tokio::join!(call, told);
                told.unwrap();
                replies.push(reply.unwrap());
            }
            for reply in replies {
                assert_eq!(reply.last().await.unwrap(), Node::from(round));
            }
        };
        soon("the calls", all).await;
    }
    for _ in 0..2_000 {
        soon("a broadcast", heard.recv()).await.unwrap();
    }
    assert_eq!(worker.statistics().reconnects, 0);
}

/// Whoever waits for the end of a process listens, and stops listening: the last one as another begins.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn subscribers_that_come_and_go_cost_no_connection() {
    let (broker, options) = (Broker::shared(), options());
    let worker = connect(&broker, &options).await;
    let come_and_go = async || {
        for _ in 0..100 {
            let deaf = |_: Arc<Broadcast>| async {};
            let filter = procession::communicator::BroadcastFilter::all();
            let identifier = worker.add_broadcast_subscriber(Arc::new(deaf), filter, None).await.unwrap();
            worker.remove_broadcast_subscriber(&identifier).await.unwrap();
        }
    };
    soon("all of them", async { tokio::join!(come_and_go(), come_and_go(), come_and_go()) }).await;
    assert_eq!(worker.statistics().reconnects, 0);
}
