//! Tasks that are pulled, by callers who give up, stop, or have no runtime.

use super::alarm::{deafen, relieve, within};
use super::{PATIENCE, connect, options, soon};
use crate::broker::Broker;
use crate::support::eventually;
use procession::communicator::{
    AmqpCommunicator, Answer, BroadcastFilter, Communicator, CommunicatorError, IncomingRpc, PulledTask, Task,
    TaskQueue,
};
use procession::message::{Broadcast, Node};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

async fn send(sender: &AmqpCommunicator, queue: &str, body: &str) {
    sender.task_send(Task::new(Node::from(body)).queue(queue).no_reply()).await.unwrap();
}

async fn pull(queue: &Arc<dyn TaskQueue>) -> PulledTask {
    soon("a task", queue.next_task(PATIENCE)).await.unwrap().expect("there is one")
}

/// Polls a future once, and drops it.
async fn begin<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// A runtime on which nothing runs unless someone waits for it.
fn idle_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Runs a future on this thread, without any runtime.
fn without_runtime<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(1)),
        }
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_pull_ends_during_a_memory_alarm_and_what_it_gets_too_late_goes_back() {
    let broker = Broker::start(&[]);
    let options = options();
    let (worker, other) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let queue = worker.task_queue("own").await.unwrap();
    send(&other, "own", "to do").await;
    deafen(&broker, &worker).await;
    let late = within("a pull", queue.next_task(Duration::ZERO)).await;
    assert!(matches!(late, Err(CommunicatorError::Timeout { .. })), "{late:?}");
    let late = within("a queue", worker.task_queue("another")).await;
    assert!(matches!(late, Err(CommunicatorError::Timeout { .. })), "{late:?}");
    relieve(&broker, &worker).await;
    let others = other.task_queue("own").await.unwrap();
    assert_eq!(pull(&others).await.body(), &Node::from("to do"));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_pull_that_is_dropped_on_a_runtime_that_stops_takes_nothing() {
    let broker = Broker::shared();
    let options = options();
    let (worker, other) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let name = super::task_queue_of(&options).replace(".queue", ".dropped");
    let queue = worker.task_queue(&name).await.unwrap();
    send(&other, &name, "to do").await;
    let pulling = Arc::clone(&queue);
    // It is kept, and nothing runs on it any more.
    let idle = blocking(move || {
        let idle = idle_runtime();
        for _ in 0..20 {
            assert!(idle.block_on(begin(pulling.next_task(PATIENCE))).is_pending());
        }
        idle
    })
    .await;
    let others = other.task_queue(&name).await.unwrap();
    assert_eq!(pull(&others).await.body(), &Node::from("to do"));
    blocking(move || drop(idle)).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_pulled_task_that_is_dropped_outside_of_its_runtime_goes_back() {
    let broker = Broker::shared();
    let options = options();
    let (worker, other) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let name = super::task_queue_of(&options).replace(".queue", ".dropped");
    let queue = worker.task_queue(&name).await.unwrap();
    send(&other, &name, "to do").await;
    let idle = blocking(move || {
        let idle = idle_runtime();
        let task = idle.block_on(queue.next_task(PATIENCE)).unwrap().expect("there is one");
        std::thread::spawn(move || drop(task)).join().unwrap();
        idle
    })
    .await;
    let others = other.task_queue(&name).await.unwrap();
    let task = pull(&others).await;
    assert!(task.incoming().redelivered, "{task:?}");
    blocking(move || drop(idle)).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn an_answer_that_was_begun_is_given_and_one_that_was_not_is_not() {
    let broker = Broker::shared();
    let options = options();
    let (worker, sender) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let name = super::task_queue_of(&options).replace(".queue", ".begun");
    let queue = worker.task_queue(&name).await.unwrap();
    let task = Task::new(Node::from("to do")).queue(&*name);
    let reply = sender.task_send(task.clone()).await.unwrap().unwrap();
    let (_, outcome) = pull(&queue).await.process();
    drop(outcome.finish(Ok(Node::from("never begun"))));
    let (_, outcome) = pull(&queue).await.process();
    drop(outcome.take());
    let (_, outcome) = pull(&queue).await.process();
    let _ = begin(outcome.finish(Ok(Node::from("done")))).await;
    assert_eq!(soon("the reply", reply.last()).await.unwrap(), Node::from("done"));

    let reply = sender.task_send(task).await.unwrap().unwrap();
    let (task, outcome) = pull(&queue).await.process();
    let _ = begin(outcome.take()).await;
    worker.reply(&task.reply_to.unwrap(), Ok(Node::from("owed"))).await.unwrap();
    assert_eq!(soon("the reply", reply.last()).await.unwrap(), Node::from("owed"));
    eventually(|| async { broker.queues().await[&name].unacknowledged == 0 }).await;
    assert_eq!(broker.queues().await[&name].ready, 0);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn who_subscribes_and_pulls_needs_no_runtime() {
    let broker = Broker::shared();
    let options = options();
    let sender = connect(&broker, &options).await;
    let name = super::task_queue_of(&options).replace(".queue", ".own");
    let task = sender.task_send(Task::new(Node::from("to do")).queue(&*name)).await.unwrap().unwrap();
    let working = std::thread::spawn(move || {
        without_runtime(async {
            let worker = AmqpCommunicator::connect(&broker.url(), options).await.unwrap();
            let call = |call: IncomingRpc| async move { Ok(Answer::Value(call.body)) };
            let rpc = worker.add_rpc_subscriber(Arc::new(call), None).await.unwrap();
            let hear = |_: Arc<Broadcast>| async {};
            let hearer = worker.add_broadcast_subscriber(Arc::new(hear), BroadcastFilter::all(), None).await.unwrap();
            let queue = worker.task_queue(&name).await.unwrap();
            let task = queue.next_task(PATIENCE).await.unwrap().expect("there is one");
            task.processing(|task| async move { Ok(task.body) }).await.unwrap();
            assert!(queue.next_task(Duration::from_millis(100)).await.unwrap().is_none());
            worker.remove_rpc_subscriber(&rpc).await.unwrap();
            worker.remove_broadcast_subscriber(&hearer).await.unwrap();
            assert!(worker.server_properties().await.is_ok());
            worker.close().await.unwrap();
        });
    });
    assert_eq!(soon("the reply", task.last()).await.unwrap(), Node::from("to do"));
    blocking(move || working.join().unwrap()).await;
}
