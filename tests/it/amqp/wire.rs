//! What a peer sees: topology, properties, bodies.

use super::peer::Peer;
use super::{connect, echoes, hears, options, soon, task_queue_of};
use crate::broker::Broker;
use crate::support::eventually;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use procession::communicator::{
    AmqpCommunicator, AmqpOptions, Answer, BroadcastFilter, Communicator, CommunicatorError, Incoming, IncomingRpc,
    Rpc, Task,
};
use procession::message::{Broadcast, Node, ReplyBody};
use std::sync::Arc;

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
