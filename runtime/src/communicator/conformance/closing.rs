//! Sentence 9: the end of a communicator.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::calls::held;
use super::tasks::holds;
use super::{
    Broadcast, BroadcastFilter, Communicator, CommunicatorError, CommunicatorResult, Gate, Incoming, Rpc, Subject,
    Task, answers, call, hears, inbox, last, send, soon, task, value, works,
};
use crate::communicator::{IncomingRpc, ReplyAddress};
use crate::message::Node;

#[track_caller]
fn closed<T: Debug>(result: CommunicatorResult<T>) {
    assert!(matches!(result, Err(CommunicatorError::Closed)), "{result:?}");
}

/// After a close every call is refused as such, and a second close is no error.
pub async fn after_a_close_everything_is_refused(subject: Subject) {
    let communicator = subject.connect().await;
    answers(&communicator, "known", |_: IncomingRpc| async { value("done") }).await;
    let (mut identifier, mut pulled) = ("unknown".to_owned(), None);
    if subject.tasks {
        identifier = works(&communicator, |_: Incoming| async { value("done") }).await;
        pulled = Some(communicator.task_queue("own").await.unwrap());
    }
    assert!(!communicator.is_closed());
    soon("the close", communicator.close()).await.unwrap();
    assert!(communicator.is_closed());
    soon("that it is closed", communicator.closed()).await;
    soon("the close", communicator.close()).await.unwrap();

    let does = Arc::new(|_: Incoming| async { value("done") });
    let replies = Arc::new(|_: IncomingRpc| async { value("done") });
    let ignores = Arc::new(|_: Arc<Broadcast>| async {});
    closed(communicator.task_send(Task::new(Node::Null)).await);
    closed(communicator.task_send(Task::new(Node::Null).no_reply()).await);
    closed(communicator.rpc_send(Rpc::new("known", Node::Null)).await);
    closed(communicator.broadcast_send(Broadcast::default()).await);
    closed(communicator.add_task_subscriber(does, None).await);
    closed(communicator.add_rpc_subscriber(replies, None).await);
    closed(communicator.add_broadcast_subscriber(ignores, BroadcastFilter::all(), None).await);
    closed(communicator.remove_task_subscriber(&identifier).await);
    closed(communicator.remove_rpc_subscriber("known").await);
    closed(communicator.remove_broadcast_subscriber("unknown").await);
    closed(communicator.task_queue("own").await);
    if let Some(queue) = pulled {
        closed(queue.next_task(Duration::ZERO).await);
    }
    let nobody = ["exchange", "queue", "id"].map(str::to_owned);
    let [exchange, queue, correlation_id] = nobody;
    closed(communicator.reply(&ReplyAddress { exchange, queue, correlation_id }, Ok(Node::Null)).await);
}

/// Replies that are outstanding end with the close, at whatever level.
pub async fn a_close_ends_the_replies_that_are_waited_for(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let gate = Gate::new();
    let (outbox, mut of_calls) = inbox();
    answers(&worker, "held", held(&outbox, &gate)).await;
    let (mut replies, mut awaited) = (vec![call(&sender, "held", "held").await], call(&sender, "held", "held").await);
    if subject.tasks {
        let mut of_tasks = holds(&worker, &gate).await;
        awaited = send(&sender, task("held")).await;
        replies.push(sender.task_send(Task::new(Node::Null).queue("nobody takes")).await.unwrap().unwrap());
        of_tasks.next().await;
    }
    let awaited = tokio::spawn(awaited.last());
    of_calls.next().await;
    soon("the close", sender.close()).await.unwrap();
    closed(soon("the end of the reply", awaited).await.unwrap());
    for reply in replies {
        closed(last(reply).await);
    }
    gate.open(2);
}

/// Who waits for the end of a communicator, or for a task, is told of the close.
pub async fn who_waits_is_told_of_a_close(subject: Subject) {
    let (communicator, other) = subject.pair().await;
    let waiting = Arc::clone(&communicator);
    let told = tokio::spawn(async move { waiting.closed().await });
    let mut pull = None;
    if subject.tasks {
        let queue = communicator.task_queue("empty").await.unwrap();
        let pulled = async move { queue.next_task(super::PATIENCE * 10).await.map(|task| task.is_some()) };
        pull = Some(tokio::spawn(pulled));
    }
    soon("the close", communicator.close()).await.unwrap();
    soon("the end", told).await.unwrap();
    if let Some(pull) = pull {
        closed(soon("the end of the pull", pull).await.unwrap());
        let sent = other.task_send(Task::new(Node::Null).no_reply()).await;
        assert!(sent.is_ok(), "{sent:?}");
    }
    assert!(!other.is_closed(), "another communicator is not concerned");
    other.broadcast_send(Broadcast::default()).await.unwrap();
}

/// Tasks that were pulled and not answered go back with the close.
pub async fn a_close_gives_back_what_was_pulled(subject: Subject) {
    let (sender, closing) = subject.pair().await;
    let reply = sender.task_send(Task::new(Node::text("pulled")).queue("own")).await.unwrap().unwrap();
    let queue = closing.task_queue("own").await.unwrap();
    let first = soon("a task", queue.next_task(super::PATIENCE)).await.unwrap().unwrap();
    soon("the close", closing.close()).await.unwrap();
    let other = subject.connect().await;
    let queue = other.task_queue("own").await.unwrap();
    let second = soon("a task", queue.next_task(super::PATIENCE)).await.unwrap().unwrap();
    assert!(second.incoming().redelivered && !first.incoming().redelivered);
    let (_, outcome) = first.process();
    let late = soon("the refusal", outcome.finish(Ok(Node::text("late")))).await;
    assert!(late.is_err(), "it is another's now");
    let (_, outcome) = second.process();
    soon("the answer", outcome.finish(Ok(Node::text("in time")))).await.unwrap();
    assert_eq!(last(reply).await.unwrap(), Node::text("in time"));
}

/// What goes on at every side of a communicator when it is closed ends; nothing hangs, and others go on.
pub async fn a_close_in_the_middle_of_everything_hangs_nothing(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    for (communicator, other) in [(&worker, &sender), (&sender, &worker)] {
        if subject.tasks {
            works(communicator, |task: Incoming| async move { value(task.body) }).await;
        }
        hears(communicator, BroadcastFilter::all(), |_: Arc<Broadcast>| async {}).await;
        let identifier = if Arc::ptr_eq(communicator, &worker) { "worker" } else { "sender" };
        let other = Arc::downgrade(other);
        answers(communicator, identifier, move |_: IncomingRpc| {
            let other = other.upgrade();
            async move {
                let Some(other) = other else { return value("alone") };
                let sent = other.task_send(Task::new(Node::text("from a call")).no_reply()).await;
                value(sent.is_ok())
            }
        })
        .await;
    }
    let (outbox, mut begun) = inbox();
    let mut running = tokio::task::JoinSet::new();
    for index in 0..60_u32 {
        let (communicator, peer) = if index % 2 == 0 { (&sender, "worker") } else { (&worker, "sender") };
        let (communicator, outbox) = (Arc::clone(communicator), outbox.clone());
        // The three in the middle are not about tasks.
        let what = if subject.tasks { index / 2 % 6 } else { 1 + index / 2 % 3 };
        running.spawn(async move {
            loop {
                if let Err(CommunicatorError::Closed) = one(&*communicator, what, peer).await {
                    return;
                }
                outbox.put(());
                if communicator.is_closed() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..100 {
        begun.next().await;
    }
    soon("the close", worker.close()).await.unwrap();
    for _ in 0..100 {
        begun.next().await;
    }
    soon("the close", sender.close()).await.unwrap();
    let all = async { while running.join_next().await.transpose().unwrap().is_some() {} };
    soon("the end of all", all).await;
}

/// Something, by the number, that may fail in any way but must end.
async fn one(communicator: &dyn Communicator, what: u32, peer: &str) -> CommunicatorResult<()> {
    let deadlines = super::deadline(Duration::from_secs(2));
    match what {
        0 => {
            let reply = communicator.task_send(Task::new(Node::from("task")).deadlines(deadlines)).await?;
            reply.unwrap().last().await.map(drop)
        }
        1 => communicator.rpc_send(Rpc::new(peer, Node::Null).deadlines(deadlines)).await?.last().await.map(drop),
        2 => communicator.broadcast_send(Broadcast::default()).await,
        3 => {
            let subscriber = Arc::new(|_: IncomingRpc| async { value("done") });
            let identifier = communicator.add_rpc_subscriber(subscriber, None).await?;
            communicator.rpc_send(Rpc::new(&*identifier, Node::Null).deadlines(deadlines)).await.map(drop)?;
            communicator.remove_rpc_subscriber(&identifier).await
        }
        4 => {
            let subscriber = Arc::new(|task: Incoming| async move { value(task.body) });
            let identifier = communicator.add_task_subscriber(subscriber, None).await?;
            communicator.remove_task_subscriber(&identifier).await
        }
        _ => communicator.task_queue("own").await?.next_task(Duration::from_millis(1)).await.map(drop),
    }
}
