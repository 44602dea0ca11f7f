//! Tasks: each is done once and answered.

use super::peer::Peer;
use super::{connect, options, soon, task_queue_of};
use crate::broker::{Broker, Queue};
use crate::support::{Gate, eventually};
use lapin::types::{FieldTable, ShortString};
use procession::communicator::{Answer, Answered, Communicator, Incoming, Refusal};
use procession::message::{Node, ReplyBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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
        peer.send_as(&tasks, &queue, b"[7, false]", "one task").await;
    }
    eventually(|| async { worker.statistics().joined == 1 }).await;
    go_on.add_permits(2);
    for peer in &peers {
        assert_eq!(peer.last_reply().await, ReplyBody::Value(Node::from(7)));
    }
    worker.remove_task_subscriber(&identifier).await.unwrap();
}

/// Senders that number their tasks begin with the same number.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn tasks_without_ids_of_two_senders_are_two() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let ids = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, go_on) = (Arc::clone(&ids), Arc::new(tokio::sync::Semaphore::new(0)));
    let released = Arc::clone(&go_on);
    let subscriber = move |task: Incoming| {
        seen.lock().unwrap().push(task.id);
        let released = Arc::clone(&released);
        async move {
            // Neither is done before the other has come.
            released.acquire().await.unwrap().forget();
            Ok(Answer::Value(task.body))
        }
    };
    let identifier = worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let peers = [Peer::new(&broker).await, Peer::new(&broker).await];
    let queue = task_queue_of(&options);
    let tasks = queue.replace(".queue", ".tasks");
    for (number, peer) in peers.iter().enumerate() {
        peer.bind(&tasks, peer.queue.as_str()).await;
        peer.send(&tasks, &queue, format!("[{number}, false]").as_bytes()).await;
    }
    eventually(|| async { ids.lock().unwrap().len() == 2 }).await;
    go_on.add_permits(2);
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(peer.last_reply().await, ReplyBody::Value(Node::from(i64::try_from(number).unwrap())));
    }
    let ids = ids.lock().unwrap().clone();
    assert_ne!(ids[0], ids[1], "a launcher knows a process by the id of its task");
    worker.remove_task_subscriber(&identifier).await.unwrap();
}

/// How a task is answered.
type Answering = fn(Incoming) -> Answered;

/// A subscriber that counts what it does.
fn counting(
    runs: &Arc<AtomicU32>,
    answer: Answering,
) -> Arc<impl Fn(Incoming) -> std::future::Ready<Answered> + use<>> {
    let runs = Arc::clone(runs);
    Arc::new(move |task: Incoming| {
        runs.fetch_add(1, Ordering::SeqCst);
        std::future::ready(answer(task))
    })
}

/// A sender that lost its connection repeats what was not confirmed, and the broker cannot know that it is the same.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_is_sent_again_is_answered_as_it_was_and_not_done_again() {
    let broker = Broker::shared();
    let options = options();
    let worker = connect(&broker, &options).await;
    let peers = [Peer::new(&broker).await, Peer::new(&broker).await];
    let queue = task_queue_of(&options);
    let tasks = queue.replace(".queue", ".tasks");
    let answers: [(&str, Answering); 3] = [
        ("value", |task| Ok(Answer::Value(task.body))),
        ("later", |task| Ok(Answer::Later(Box::pin(async { Ok(Answer::Value(task.body)) })))),
        ("error", |_| Err(Refusal::failed("as it should"))),
    ];
    for (id, answer) in answers {
        let runs = Arc::new(AtomicU32::new(0));
        let identifier = worker.add_task_subscriber(counting(&runs, answer), None).await.unwrap();
        let expected =
            if id == "error" { ReplyBody::Exception("as it should".to_owned()) } else { ReplyBody::Value(7.into()) };
        for peer in [&peers[0], &peers[1], &peers[0]] {
            peer.bind(&tasks, peer.queue.as_str()).await;
            peer.send_as(&tasks, &queue, b"[7, false]", id).await;
            assert_eq!(peer.last_reply().await, expected, "{id}");
        }
        // Nobody waits any more, and it is not done for that either.
        peers[0].send_as(&tasks, &queue, b"[7, true]", id).await;
        eventually(|| async { broker.queues().await[&queue] == Queue { ready: 0, unacknowledged: 0, consumers: 1 } })
            .await;
        assert_eq!(runs.load(Ordering::SeqCst), 1, "{id}");
        worker.remove_task_subscriber(&identifier).await.unwrap();
    }
    assert_eq!(worker.statistics().joined, 9);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_sender_for_whom_a_task_cannot_be_done_again_is_told() {
    let broker = Broker::shared();
    let options = options();
    let worker = Arc::new(connect(&broker, &options).await);
    let (gate, runs) = (Gate::new(), AtomicU32::new(0));
    let (owing, held) = (Arc::downgrade(&worker), gate.clone());
    let subscriber = move |task: Incoming| {
        let (owing, gate, first) = (owing.clone(), held.clone(), runs.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            if !first {
                return Err(Refusal::Rejected("not twice".to_owned()));
            }
            gate.pass().await;
            let (owing, address) = (owing.upgrade().unwrap(), task.reply_to.unwrap());
            Ok(Answer::Owed(Box::pin(async move { owing.reply(&address, Ok(task.body)).await.unwrap() })))
        }
    };
    worker.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
    let peers = [Peer::new(&broker).await, Peer::new(&broker).await];
    let queue = task_queue_of(&options);
    let tasks = queue.replace(".queue", ".tasks");
    for peer in &peers {
        peer.bind(&tasks, peer.queue.as_str()).await;
        peer.send_as(&tasks, &queue, b"[7, false]", "one task").await;
    }
    gate.reached().await;
    eventually(|| async { worker.statistics().joined == 1 }).await;
    gate.open(1);
    assert_eq!(peers[0].last_reply().await, ReplyBody::Value(7.into()));
    let ReplyBody::Exception(text) = peers[1].last_reply().await else { panic!("it was not done") };
    assert!(text.contains("could not be done again"), "{text}");
}

/// What cannot be read is acknowledged when the broker has its copy, and not before.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_that_cannot_be_parked_is_not_lost() {
    let broker = Broker::shared();
    let parking = format!("away-{}", std::process::id());
    let options = options().parking_queue(&parking);
    let worker = connect(&broker, &options).await;
    worker.add_task_subscriber(counting(&Arc::default(), |task| Ok(Answer::Value(task.body))), None).await.unwrap();
    let (peer, queue) = (Peer::new(&broker).await, task_queue_of(&options));
    let tasks = queue.replace(".queue", ".tasks");
    peer.bind(&tasks, peer.queue.as_str()).await;
    let pulled = worker.task_queue(&format!("{queue}.own")).await.unwrap();
    broker.ctl(&["delete_queue", &parking]).await;
    peer.send(&tasks, &queue, b"{of the subscriber").await;
    peer.send(&tasks, pulled.name(), b"{of who pulls").await;
    assert!(pulled.next_task(Duration::ZERO).await.unwrap().is_none());
    // It goes round, slowly, until there is a place for it.
    eventually(|| async { worker.statistics().redelivered >= 1 }).await;
    peer.declare(&parking).await;
    assert!(pulled.next_task(Duration::from_millis(1)).await.unwrap().is_none());
    let mut parked = [peer.next(&parking.as_str().into()).await.data, peer.next(&parking.as_str().into()).await.data];
    parked.sort();
    assert_eq!(parked, [&b"{of the subscriber"[..], b"{of who pulls"]);
    for _ in 0..2 {
        assert!(
            matches!(peer.reply().await, ReplyBody::Exception(text) if text.starts_with("the task cannot be read"))
        );
    }
    for queue in [&*queue, pulled.name()] {
        eventually(|| async {
            let queue = &broker.queues().await[queue];
            (queue.ready, queue.unacknowledged) == (0, 0)
        })
        .await;
    }
}
