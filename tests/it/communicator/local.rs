//! What the communicator in this process promises beside the contract: clones, and runtimes that come and go.

use procession::communicator::{
    Answer, Answered, BroadcastFilter, Communicator, CommunicatorError, Incoming, IncomingRpc, LocalCommunicator, Rpc,
    Task,
};
use procession::message::{Broadcast, Node};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

use crate::support::{Gate, eventually};

async fn done(task: Incoming) -> Answered {
    Ok(Answer::Value(task.body))
}

async fn called(call: IncomingRpc) -> Answered {
    Ok(Answer::Value(call.body))
}

fn small() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// What a future gives without anything to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn clones_are_the_same_communicator() {
    let first = LocalCommunicator::new();
    let second = first.clone();
    first.add_rpc_subscriber(Arc::new(called), Some("mine".to_owned())).await.unwrap();
    let taken = second.add_rpc_subscriber(Arc::new(called), Some("mine".to_owned())).await;
    assert!(matches!(taken, Err(CommunicatorError::Duplicate(_))), "{taken:?}");
    drop(first);
    assert!(!second.is_closed(), "a clone that is dropped closes nothing");
    let reply = second.rpc_send(Rpc::new("mine", Node::Null)).await.unwrap();
    reply.last().await.unwrap();
    let third = second.clone();
    let other = second.another();
    third.close().await.unwrap();
    assert!(second.is_closed() && !other.is_closed());
}

#[tokio::test]
async fn communicators_made_apart_do_not_hear_of_one_another() {
    let (first, second) = (LocalCommunicator::new(), LocalCommunicator::default());
    first.add_rpc_subscriber(Arc::new(called), Some("mine".to_owned())).await.unwrap();
    let sent = second.rpc_send(Rpc::new("mine", Node::Null)).await;
    assert!(matches!(sent, Err(CommunicatorError::Unroutable { .. })), "{sent:?}");
}

#[test]
fn users_may_be_on_several_runtimes() {
    let (of_worker, of_sender, elsewhere) = (small(), single(), single());
    let worker = LocalCommunicator::on(of_worker.handle().clone());
    let sender = of_sender.block_on(async { worker.another() });
    // Subscribed on a runtime that is gone when the messages come.
    single().block_on(async {
        worker.add_task_subscriber(Arc::new(done), None).await.unwrap();
        worker.add_rpc_subscriber(Arc::new(called), Some("mine".to_owned())).await.unwrap();
    });
    let (of_task, of_call) = of_sender.block_on(async {
        let task = sender.task_send(Task::new(Node::from("a task"))).await.unwrap().unwrap();
        (task, sender.rpc_send(Rpc::new("mine", Node::from("a call"))).await.unwrap())
    });
    // Awaited on another one than it was sent on, which is gone by then.
    drop(of_sender);
    assert_eq!(elsewhere.block_on(of_task.last()).unwrap(), Node::from("a task"));
    assert_eq!(elsewhere.block_on(of_call.last()).unwrap(), Node::from("a call"));
    let queue = elsewhere.block_on(sender.task_queue("own")).unwrap();
    let none = elsewhere.block_on(queue.next_task(Duration::from_millis(1))).unwrap();
    assert!(none.is_none());
}

#[test]
fn sending_and_subscribing_need_no_runtime() {
    let of_worker = small();
    let communicator = LocalCommunicator::on(of_worker.handle().clone());
    at_once(communicator.add_task_subscriber(Arc::new(done), None)).unwrap();
    at_once(communicator.add_broadcast_subscriber(
        Arc::new(|_: Arc<Broadcast>| async {}),
        BroadcastFilter::all(),
        None,
    ))
    .unwrap();
    let reply = at_once(communicator.task_send(Task::new(Node::from("a task")))).unwrap().unwrap();
    at_once(communicator.broadcast_send(Broadcast::default())).unwrap();
    assert_eq!(of_worker.block_on(reply.last()).unwrap(), Node::from("a task"));
    at_once(communicator.close()).unwrap();
    at_once(communicator.closed());
}

/// A worker on a runtime of its own, which holds a task and is asked something.
fn held() -> (Runtime, LocalCommunicator, Gate) {
    let of_worker = small();
    let worker = LocalCommunicator::on(of_worker.handle().clone());
    let gate = Gate::new();
    let at = gate.clone();
    let holds = move |task: Incoming| {
        let at = at.clone();
        async move {
            at.pass().await;
            done(task).await
        }
    };
    at_once(worker.add_task_subscriber(Arc::new(holds), None)).unwrap();
    let at = gate.clone();
    let asked = move |call: IncomingRpc| {
        let at = at.clone();
        async move {
            at.pass().await;
            called(call).await
        }
    };
    at_once(worker.add_rpc_subscriber(Arc::new(asked), Some("mine".to_owned()))).unwrap();
    (of_worker, worker, gate)
}

#[test]
fn a_communicator_whose_runtime_ends_is_lost() {
    let (of_worker, worker, gate) = held();
    let here = single();
    here.block_on(async {
        let sender = worker.another();
        let of_task = sender.task_send(Task::new(Node::from("held"))).await.unwrap().unwrap();
        let of_call = sender.rpc_send(Rpc::new("mine", Node::Null)).await.unwrap();
        gate.reached().await;
        gate.reached().await;
        of_worker.shutdown_background();
        let lost = of_call.last().await.unwrap_err();
        assert!(matches!(lost, CommunicatorError::Disconnected(_)), "{lost:?}");
        assert!(lost.is_retryable());
        eventually(|| async { worker.is_closed() }).await;
        let again = sender.rpc_send(Rpc::new("mine", Node::Null)).await;
        assert!(matches!(again, Err(CommunicatorError::Unroutable { .. })), "{again:?}");
        sender.add_task_subscriber(Arc::new(done), None).await.unwrap();
        assert_eq!(of_task.last().await.unwrap(), Node::from("held"));
    });
}

#[test]
fn what_is_sent_to_a_runtime_that_has_ended_is_not_lost() {
    let (of_worker, worker, _gate) = held();
    drop(of_worker);
    single().block_on(async {
        let sender = worker.another();
        let of_task = sender.task_send(Task::new(Node::from("a task"))).await.unwrap().unwrap();
        assert!(worker.is_closed(), "its subscriber cannot run");
        sender.add_task_subscriber(Arc::new(done), None).await.unwrap();
        assert_eq!(of_task.last().await.unwrap(), Node::from("a task"));
    });
    let (of_worker, worker, _gate) = held();
    drop(of_worker);
    single().block_on(async {
        let sender = worker.another();
        let lost = sender.rpc_send(Rpc::new("mine", Node::Null)).await.unwrap().last().await.unwrap_err();
        assert!(matches!(lost, CommunicatorError::Disconnected(_)), "{lost:?}");
        assert!(worker.is_closed(), "its subscriber cannot run");
    });
}

#[tokio::test]
async fn a_close_cuts_off_what_subscribers_were_doing() {
    struct Cut(Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Cut {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let communicator = LocalCommunicator::new();
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (gate, flag) = (Gate::new(), Arc::clone(&cut));
    let at = gate.clone();
    let holds = move |_: Incoming| {
        let (at, cut) = (at.clone(), Cut(Arc::clone(&flag)));
        async move {
            at.pass().await;
            drop(cut);
            Ok(Answer::Value(Node::Null))
        }
    };
    communicator.add_task_subscriber(Arc::new(holds), None).await.unwrap();
    let reply = communicator.task_send(Task::new(Node::Null)).await.unwrap();
    gate.reached().await;
    communicator.close().await.unwrap();
    eventually(|| async { cut.load(std::sync::atomic::Ordering::SeqCst) }).await;
    drop(reply);
}
