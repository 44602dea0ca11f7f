//! Sentence 11: tasks that are pulled from queues by their names (S124).

use std::sync::Arc;
use std::time::Duration;

use super::{
    BRIEF, Communicator, PATIENCE, Reply, Subject, Task, echo, inbox, last, nothing_else_waits, send, soon, works,
};
use crate::communicator::{CommunicatorError, ProcessingError, PulledTask, Refusal, TaskQueue};
use crate::message::Node;

async fn queue(communicator: &Arc<dyn Communicator>, name: &str) -> Arc<dyn TaskQueue> {
    soon("a queue", communicator.task_queue(name)).await.unwrap()
}

async fn pull(queue: &Arc<dyn TaskQueue>) -> PulledTask {
    soon("a task", queue.next_task(PATIENCE)).await.unwrap().expect("there is one")
}

#[track_caller]
fn none(pulled: super::CommunicatorResult<Option<PulledTask>>) {
    assert!(matches!(pulled, Ok(None)), "{pulled:?}");
}

async fn send_to(sender: &Arc<dyn Communicator>, name: &str, body: impl Into<Node>) -> Reply {
    send(sender, Task::new(body.into()).queue(name)).await
}

/// A pulled task is answered by what is done with it, and is gone then.
pub async fn a_pulled_task_is_answered(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    assert_eq!(own.name(), "own");
    let reply = send_to(&sender, "own", "to do").await;
    let task = pull(&own).await;
    assert_eq!(task.body(), &Node::text("to do"));
    assert!(!task.incoming().redelivered && task.incoming().reply_to.is_some());
    task.processing(|task| async move { Ok(task.body) }).await.unwrap();
    assert_eq!(last(reply).await.unwrap(), Node::text("to do"));

    let reply = send_to(&sender, "own", "by hand").await;
    let (task, outcome) = pull(&own).await.process();
    soon("the answer", outcome.finish(Ok(task.body))).await.unwrap();
    assert_eq!(last(reply).await.unwrap(), Node::text("by hand"));
    none(own.next_task(BRIEF).await);
}

/// A pulled task that fails is gone too: who pulled it and who sent it are told.
pub async fn a_pulled_task_that_fails_is_removed_and_both_are_told(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    for panics in [false, true] {
        let reply = send_to(&sender, "own", "to do").await;
        let failed = pull(&own).await.processing(|_| async move {
            assert!(!panics, "it went wrong");
            Err(Refusal::failed("it went wrong"))
        });
        let failed = soon("the answer", failed).await.unwrap_err();
        let ProcessingError::Refused(Refusal::Failed(text)) = &failed else { panic!("{failed:?}") };
        assert!(text.contains("it went wrong"), "{text}");
        let told = last(reply).await.unwrap_err();
        assert!(matches!(&told, CommunicatorError::Remote(told) if told == text), "{told:?}");
    }
    none(own.next_task(BRIEF).await);
}

/// A pulled task that is dropped or put back comes again, at once and marked; its sender hears nothing of that.
pub async fn a_pulled_task_that_is_dropped_goes_back(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    let reply = send(&sender, Task::new(Node::text("to do")).queue("own").id("the same")).await;
    drop(pull(&own).await);
    for way in ["outcome", "processing", "requeue", "begun"] {
        let task = pull(&own).await;
        assert!(task.incoming().redelivered && task.incoming().id == "the same", "{way}: {task:?}");
        match way {
            "outcome" => drop(task.process()),
            "processing" => drop(task.processing(|_| std::future::pending())),
            "requeue" => soon("that it is put back", task.requeue()).await.unwrap(),
            _ => {
                let never = task.processing(|_| std::future::pending());
                assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
            }
        }
    }
    let task = pull(&own).await;
    task.processing(|_| async { Ok(Node::text("at last")) }).await.unwrap();
    assert_eq!(last(reply).await.unwrap(), Node::text("at last"));
    none(own.next_task(BRIEF).await);
}

/// An empty queue gives nothing, at once or after a while.
pub async fn an_empty_queue_gives_nothing(subject: Subject) {
    let communicator = subject.connect().await;
    let own = queue(&communicator, "own").await;
    none(soon("nothing", own.next_task(Duration::ZERO)).await);
    let begin = tokio::time::Instant::now();
    none(soon("nothing", own.next_task(BRIEF)).await);
    assert!(begin.elapsed() >= BRIEF, "{:?}", begin.elapsed());
}

/// A pull waits for a task that comes, and several pulls are given one each.
pub async fn a_pull_waits_for_a_task(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let own = Arc::clone(&own);
        pulls.spawn(async move {
            let task = pull(&own).await;
            task.processing(|task| async move { Ok(task.body) }).await.unwrap();
        });
    }
    tokio::task::yield_now().await;
    let mut replies = Vec::new();
    for index in 0..5_i64 {
        replies.push(send_to(&sender, "own", index).await);
    }
    for (index, reply) in (0..5_i64).zip(replies) {
        assert_eq!(last(reply).await.unwrap(), Node::from(index));
    }
    let all = async { while pulls.join_next().await.transpose().unwrap().is_some() {} };
    soon("the end of the pulls", all).await;
}

/// Queues are told apart by their names; subscribers are not given what is in them. A queue is gone through in order.
pub async fn queues_are_told_apart_by_their_names(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let (outbox, mut done) = inbox();
    works(&worker, echo(&outbox)).await;
    for index in 0..10_i64 {
        for name in ["even", "odd"] {
            drop(send_to(&sender, name, format!("{name} {index}")).await);
        }
    }
    for name in ["even", "odd"] {
        let own = queue(&worker, name).await;
        let mut found = Vec::new();
        while let Some(task) =
            soon("a task", own.next_task(if found.len() < 10 { PATIENCE } else { BRIEF })).await.unwrap()
        {
            found.push(super::text_of(task.body()));
            task.processing(|_| async { Ok(Node::Null) }).await.unwrap();
        }
        let expected: Vec<_> = (0..10).map(|index| format!("{name} {index}")).collect();
        assert_eq!(found, expected);
    }
    nothing_else_waits(&sender, &mut done).await;
}

/// Tasks of a queue that were looked at and not done are there for the next who looks.
pub async fn tasks_that_were_only_looked_at_stay(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    for index in 0..10_i64 {
        drop(send_to(&sender, "own", index).await);
    }
    let mut looked_at = Vec::new();
    for _ in 0..10 {
        looked_at.push(pull(&own).await);
    }
    none(own.next_task(BRIEF).await);
    drop(looked_at);
    let mut bodies = Vec::new();
    for _ in 0..10 {
        let task = pull(&own).await;
        bodies.push(task.body().to_string());
        task.processing(|_| async { Ok(Node::Null) }).await.unwrap();
    }
    bodies.sort_unstable();
    assert_eq!(bodies, (0..10).map(|index| index.to_string()).collect::<Vec<_>>());
}

/// A pulled task can be taken over: it is gone, and its reply follows from anyone.
pub async fn a_pulled_task_can_be_taken_over(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    let own = queue(&worker, "own").await;
    let reply = send_to(&sender, "own", "taken").await;
    let (task, outcome) = pull(&own).await.process();
    soon("the acknowledgement", outcome.take()).await.unwrap();
    let below = soon("that it follows", reply).await.unwrap();
    let super::super::Replied::Pending(below) = below else { panic!("{below:?}") };
    worker.close().await.unwrap();
    let other = subject.connect().await;
    none(queue(&other, "own").await.next_task(BRIEF).await);
    soon("the reply", other.reply(&task.reply_to.unwrap(), Ok(Node::text("late")))).await.unwrap();
    assert_eq!(last(below).await.unwrap(), Node::text("late"));
}
