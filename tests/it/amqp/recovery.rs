//! What goes wrong between a communicator and its broker, and that it is as before afterwards.

use super::{Hears, connect, echoes, hears, options, soon};
use crate::broker::Broker;
use crate::support::{Gate, eventually};
use procession::communicator::{
    AmqpCommunicator, AmqpConnection, AmqpOptions, Answer, Communicator, CommunicatorError, Deadlines, Incoming,
    IncomingRpc, Rpc, Task,
};
use procession::message::{Broadcast, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Two communicators, one of which answers calls and tasks and hears broadcasts.
struct Pair {
    broker: Broker,
    options: AmqpOptions,
    sender: AmqpCommunicator,
    worker: AmqpCommunicator,
    heard: Hears,
}

impl Pair {
    async fn over(broker: Broker) -> Self {
        let options = options();
        let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
        let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
        worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
        echoes(&worker, "echo").await;
        let heard = hears(&worker).await;
        Self { broker, options, sender, worker, heard }
    }

    /// Waits until both have connected anew this often.
    async fn reconnected(&self, times: u64) {
        eventually(|| async {
            let again = |communicator: &AmqpCommunicator| {
                communicator.is_connected() && communicator.statistics().reconnects >= times
            };
            again(&self.sender) && again(&self.worker)
        })
        .await;
    }

    /// Everything works.
    async fn works(&mut self, text: &str) {
        let reply = self.sender.task_send(Task::new(Node::from(text))).await.unwrap().unwrap();
        assert_eq!(soon("the reply to a task", reply.last()).await.unwrap(), Node::from(text));
        let reply = self.sender.rpc_send(Rpc::new("echo", Node::from(text))).await.unwrap();
        assert_eq!(soon("the reply to a call", reply.last()).await.unwrap(), Node::from(text));
        self.sender.broadcast_send(Broadcast::new(Node::Null).subject(text)).await.unwrap();
        while soon("a broadcast", self.heard.recv()).await.unwrap().as_deref() != Some(text) {}
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn it_recovers_from_connections_closed_by_an_operator_and_from_a_broker_that_stops() {
    let mut pair = Pair::over(Broker::start(&[])).await;
    pair.works("before").await;
    pair.broker.close_all_connections().await;
    pair.reconnected(1).await;
    pair.works("after a close").await;
    pair.broker.stop_app().await;
    eventually(|| async { !pair.sender.is_connected() && !pair.worker.is_connected() }).await;
    // What is sent, and who subscribes, waits for the broker.
    echoes(&pair.worker, "added meanwhile").await;
    pair.worker.remove_rpc_subscriber("echo").await.unwrap();
    echoes(&pair.worker, "echo").await;
    pair.sender.broadcast_send(Broadcast::new(Node::Null).subject("told meanwhile")).await.unwrap();
    let patient = Deadlines { send: Duration::from_secs(60), ..Deadlines::TASK };
    let sent = pair.sender.task_send(Task::new(Node::from("sent meanwhile")).deadlines(patient));
    let (sent, ()) = tokio::join!(sent, pair.broker.start_app());
    assert_eq!(soon("a reply", sent.unwrap().unwrap().last()).await.unwrap(), Node::from("sent meanwhile"));
    pair.reconnected(2).await;
    pair.works("after a stop").await;
    let reply = pair.sender.rpc_send(Rpc::new("added meanwhile", Node::from("hello"))).await.unwrap();
    assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from("hello"));
    pair.broker.kill().await;
    pair.broker.restart().await;
    pair.reconnected(3).await;
    pair.works("after a kill").await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn it_recovers_where_the_broker_takes_a_queue_away() {
    let broker = Broker::shared();
    let mut pair = Pair::over(broker.clone()).await;
    pair.works("before").await;
    // Its consumers are cancelled by the broker.
    let queue = pair.options.clone();
    let name = super::task_queue_of(&queue);
    broker.ctl(&["delete_queue", &name]).await;
    eventually(|| async { pair.worker.statistics().reconnects >= 1 && pair.worker.is_connected() }).await;
    pair.works("after").await;
}

/// Nobody else is there to declare it: whoever sends a task does.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_whose_queue_was_deleted_waits_in_a_new_one() {
    let broker = Broker::shared();
    let options = options();
    let sender = connect(&broker, &options).await;
    broker.ctl(&["delete_queue", &super::task_queue_of(&options)]).await;
    let reply = sender.task_send(Task::new(Node::from("waits"))).await.unwrap().unwrap();
    let worker = connect(&broker, &options).await;
    let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
    worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
    assert_eq!(soon("the reply to a task", reply.last()).await.unwrap(), Node::from("waits"));
    broker.ctl(&["delete_queue", &super::task_queue_of(&options)]).await;
    let reply = sender.task_send(Task::new(Node::from("again"))).await.unwrap().unwrap();
    assert_eq!(soon("the reply to a task", reply.last()).await.unwrap(), Node::from("again"));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn replies_that_are_outstanding_fail_when_the_connection_is_lost() {
    let broker = Broker::start(&[]);
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let gate = Gate::new();
    let held = gate.clone();
    let waits = move |_: IncomingRpc| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            Ok(Answer::Value(Node::Null))
        }
    };
    worker.add_rpc_subscriber(Arc::new(waits), Some("held".to_owned())).await.unwrap();
    let call = sender.rpc_send(Rpc::new("held", Node::Null)).await.unwrap();
    gate.reached().await;
    let task = sender.task_send(Task::new(Node::Null)).await.unwrap().unwrap();
    broker.close_all_connections().await;
    for reply in [call, task] {
        let ended = soon("the end of the reply", reply.last()).await;
        assert!(matches!(ended, Err(CommunicatorError::Disconnected(_))), "{ended:?}");
    }
    gate.open(1);
    eventually(|| async { worker.is_connected() && sender.is_connected() }).await;
    let refused = sender.rpc_send(Rpc::new("nobody", Node::Null)).await;
    assert!(matches!(refused, Err(CommunicatorError::Unroutable { .. })), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_comes_again_while_it_is_done_is_joined() {
    let broker = Broker::start(&[]);
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let (gate, runs) = (Gate::new(), Arc::new(AtomicU32::new(0)));
    let (held, counted) = (gate.clone(), Arc::clone(&runs));
    let waits = move |task: Incoming| {
        counted.fetch_add(1, Ordering::SeqCst);
        let gate = held.clone();
        async move {
            Ok(Answer::Later(Box::pin(async move {
                gate.pass().await;
                Ok(Answer::Value(task.body))
            })))
        }
    };
    worker.add_task_subscriber(Arc::new(waits), None).await.unwrap();
    sender.task_send(Task::new(Node::from("once")).no_reply()).await.unwrap();
    gate.reached().await;
    broker.close_all_connections().await;
    eventually(|| async { worker.statistics().joined == 1 }).await;
    assert_eq!(worker.statistics().redelivered, 1);
    gate.open(1);
    let name = super::task_queue_of(&options);
    eventually(|| async { broker.queues().await[&name].unacknowledged == 0 }).await;
    assert_eq!((runs.load(Ordering::SeqCst), broker.queues().await[&name].ready), (1, 0));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_was_done_while_the_connection_was_lost_is_not_done_again() {
    let broker = Broker::start(&[]);
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let (gate, runs) = (Gate::new(), Arc::new(AtomicU32::new(0)));
    let (held, counted) = (gate.clone(), Arc::clone(&runs));
    let waits = move |task: Incoming| {
        counted.fetch_add(1, Ordering::SeqCst);
        let gate = held.clone();
        async move {
            Ok(Answer::Later(Box::pin(async move {
                gate.pass().await;
                Ok(Answer::Value(task.body))
            })))
        }
    };
    worker.add_task_subscriber(Arc::new(waits), None).await.unwrap();
    sender.task_send(Task::new(Node::from("once")).no_reply()).await.unwrap();
    gate.reached().await;
    broker.stop_app().await;
    eventually(|| async { !worker.is_connected() }).await;
    gate.open(1);
    broker.start_app().await;
    eventually(|| async { worker.statistics().joined == 1 }).await;
    let name = super::task_queue_of(&options);
    eventually(|| async { broker.queues().await[&name].unacknowledged == 0 }).await;
    assert_eq!((runs.load(Ordering::SeqCst), broker.queues().await[&name].ready), (1, 0));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_memory_alarm_holds_what_is_sent_until_its_deadline() {
    let broker = Broker::start(&[]);
    let mut pair = Pair::over(broker.clone()).await;
    pair.works("before").await;
    broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await;
    let brief = Deadlines { send: Duration::from_millis(300), ..Deadlines::TASK };
    let late = pair.sender.task_send(Task::new(Node::from("late")).no_reply().deadlines(brief)).await;
    assert!(matches!(late, Err(CommunicatorError::Timeout { .. })), "{late:?}");
    eventually(|| async { pair.sender.connection() == AmqpConnection::Blocked }).await;
    let patient = Deadlines { send: Duration::from_secs(60), ..Deadlines::TASK };
    let sent = pair.sender.task_send(Task::new(Node::from("sent meanwhile")).deadlines(patient));
    let relieve = broker.ctl(&["set_vm_memory_high_watermark", "0.9"]);
    let (sent, _) = tokio::join!(sent, relieve);
    assert_eq!(soon("a reply", sent.unwrap().unwrap().last()).await.unwrap(), Node::from("sent meanwhile"));
    eventually(|| async { pair.sender.connection() == AmqpConnection::Connected }).await;
    pair.works("after").await;
    assert_eq!(pair.sender.statistics().reconnects, 0);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_beyond_the_consumer_timeout_is_joined_and_one_that_is_taken_over_is_not_concerned() {
    let broker = Broker::start(&["consumer_timeout = 1000", "{channel_tick_interval, 200}"]);
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, Arc::new(connect(&broker, &options).await));
    let (gate, runs) = (Gate::new(), Arc::new(AtomicU32::new(0)));
    let (held, counted, owing) = (gate.clone(), Arc::clone(&runs), Arc::downgrade(&worker));
    let waits = move |task: Incoming| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (gate, owing) = (held.clone(), owing.clone());
        async move {
            if task.body.as_text() == Some("taken") {
                let address = task.reply_to.unwrap();
                return Ok(Answer::Owed(Box::pin(async move {
                    gate.pass().await;
                    owing.upgrade().unwrap().reply(&address, Ok(task.body)).await.unwrap();
                })));
            }
            Ok(Answer::Later(Box::pin(async move {
                gate.pass().await;
                Ok(Answer::Value(task.body))
            })))
        }
    };
    worker.add_task_subscriber(Arc::new(waits), None).await.unwrap();
    let taken = sender.task_send(Task::new(Node::from("taken"))).await.unwrap().unwrap();
    gate.reached().await;
    let later = sender.task_send(Task::new(Node::from("later"))).await.unwrap().unwrap();
    gate.reached().await;
    eventually(|| async { worker.statistics().joined >= 1 }).await;
    gate.open(2);
    assert_eq!(soon("a reply", taken.last()).await.unwrap(), Node::from("taken"));
    assert_eq!(soon("a reply", later.last()).await.unwrap(), Node::from("later"));
    assert_eq!(runs.load(Ordering::SeqCst), 2, "each was done once");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_in_time() {
    let options = AmqpOptions::new().connect_within(Duration::from_millis(200));
    let refused = AmqpCommunicator::connect("amqp://127.0.0.1:1/%2f", options.clone()).await;
    assert!(matches!(refused, Err(CommunicatorError::Broker { .. })), "{refused:?}");
    let unknown = AmqpCommunicator::connect("amqp://no.such.host.invalid/%2f", options.clone()).await;
    assert!(matches!(unknown, Err(CommunicatorError::Broker { .. })), "{unknown:?}");
    let goes_on = AmqpCommunicator::connect("amqp://127.0.0.1:1/%2f", options.go_on_trying()).await.unwrap();
    assert!(!goes_on.is_connected());
    let brief = Deadlines { send: Duration::from_millis(50), reply: Duration::from_secs(1) };
    let late = goes_on.rpc_send(Rpc::new("nobody", Node::Null).deadlines(brief)).await;
    assert!(matches!(late, Err(CommunicatorError::Timeout { .. })), "{late:?}");
    goes_on.broadcast_send(Broadcast::new(Node::Null)).await.unwrap();
    soon("the close", goes_on.close()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broker_that_refuses_the_user_is_told_at_once() {
    let url = Broker::shared().url().replace("guest:guest", "guest:wrong");
    let refused = soon("the refusal", AmqpCommunicator::connect(&url, AmqpOptions::new())).await;
    assert!(matches!(refused, Err(CommunicatorError::Broker { .. })), "{refused:?}");
}
