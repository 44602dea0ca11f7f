use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::communicator::{
    Communicator, CommunicatorResult, Refusal, Reply, ReplyAddress, Rpc, Task, TaskQueue, TaskSubscriber,
};
use crate::process::BoxFuture;

type Subscribed = BoxFuture<'static, CommunicatorResult<String>>;

/// A communicator that only has subscribers, as a test says.
struct Stub {
    rpc: Box<dyn Fn(String) -> Subscribed + Send + Sync>,
    broadcasts: Box<dyn Fn() -> Subscribed + Send + Sync>,
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stub")
    }
}

impl Stub {
    fn rpc(add: impl Fn(String) -> Subscribed + Send + Sync + 'static) -> Arc<Remote> {
        Remote::new(Arc::new(Self { rpc: Box::new(add), broadcasts: Box::new(|| closed()) }))
    }

    fn broadcasts(add: impl Fn() -> Subscribed + Send + Sync + 'static) -> Arc<Remote> {
        Remote::new(Arc::new(Self { rpc: Box::new(|_| closed()), broadcasts: Box::new(add) }))
    }
}

fn closed<T: Send + 'static>() -> BoxFuture<'static, CommunicatorResult<T>> {
    Box::pin(std::future::ready(Err(CommunicatorError::Closed)))
}

impl Communicator for Stub {
    fn task_send(&self, _: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        closed()
    }

    fn rpc_send(&self, _: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        closed()
    }

    fn broadcast_send(&self, _: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        closed()
    }

    fn add_task_subscriber(&self, _: Arc<dyn TaskSubscriber>, _: Option<String>) -> Subscribed {
        closed()
    }

    fn remove_task_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        closed()
    }

    fn add_rpc_subscriber(&self, _: Arc<dyn RpcSubscriber>, identifier: Option<String>) -> Subscribed {
        (self.rpc)(identifier.unwrap())
    }

    fn remove_rpc_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        closed()
    }

    fn add_broadcast_subscriber(
        &self,
        _: Arc<dyn BroadcastSubscriber>,
        _: BroadcastFilter,
        _: Option<String>,
    ) -> Subscribed {
        (self.broadcasts)()
    }

    fn remove_broadcast_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        closed()
    }

    fn task_queue<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        closed()
    }

    fn reply<'a>(&'a self, _: &'a ReplyAddress, _: Result<Node, Refusal>) -> BoxFuture<'a, CommunicatorResult<()>> {
        closed()
    }

    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Makes subscriptions until a test has seen what it waits for.
async fn until(remote: &Arc<Remote>, seen: &Notify) {
    let answers = Arc::new(Answers(Weak::new()));
    let (_closing, closed) = watch::channel(false);
    let mut subscriptions =
        Subscriptions { remote, answers, reached: HashSet::new(), again: HashSet::new(), retries: VecDeque::new() };
    tokio::select! {
        () = subscriptions.run(closed) => panic!("nothing was closed"),
        seen = timeout(Duration::from_secs(20), seen.notified()) => seen.expect("it is seen"),
    }
}

/// The identifier may be that of an earlier runtime, which is dropped and has yet to remove it.
#[tokio::test]
async fn a_subscription_that_failed_is_tried_again_however_many_processes_come() {
    for error in [CommunicatorError::Disconnected(None), CommunicatorError::Duplicate("first".to_owned())] {
        let seen = Arc::new(Notify::new());
        let link: Arc<OnceLock<Weak<Remote>>> = Arc::default();
        let (teller, linked) = (Arc::clone(&seen), Arc::clone(&link));
        let errors = Mutex::new(vec![error]);
        let remote = Stub::rpc(move |identifier| {
            if identifier == "first" {
                let error = errors.lock().unwrap().pop();
                if error.is_none() {
                    teller.notify_one();
                }
                return Box::pin(std::future::ready(error.map_or(Ok(identifier), Err)));
            }
            let linked = Arc::clone(&linked);
            Box::pin(async move {
                // There is always one more.
                if let Some(remote) = linked.get().and_then(Weak::upgrade) {
                    remote.join(&ProcessId::new(), None);
                }
                tokio::task::yield_now().await;
                Ok(identifier)
            })
        });
        link.set(Arc::downgrade(&remote)).unwrap();
        remote.join(&"first".into(), None);
        remote.join(&"second".into(), None);
        until(&remote, &seen).await;
    }
}

#[tokio::test]
async fn many_subscriptions_that_failed_are_tried_again_a_few_at_a_time() {
    let count = 3 * limits::SUBSCRIBING;
    let (seen, most) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (teller, highest) = (Arc::clone(&seen), Arc::clone(&most));
    let (calls, running) = (Mutex::new(HashMap::<String, usize>::new()), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicUsize::new(0));
    let remote = Stub::rpc(move |identifier| {
        let first = {
            let mut calls = calls.lock().unwrap();
            let calls = calls.entry(identifier.clone()).or_default();
            *calls += 1;
            *calls == 1
        };
        let (teller, highest) = (Arc::clone(&teller), Arc::clone(&highest));
        let (running, done) = (Arc::clone(&running), Arc::clone(&done));
        Box::pin(async move {
            if first {
                return Err(CommunicatorError::Disconnected(None));
            }
            highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // All that are under way at the same time are.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            if done.fetch_add(1, Ordering::SeqCst) + 1 == count {
                teller.notify_one();
            }
            Ok(identifier)
        })
    });
    for _ in 0..count {
        remote.join(&ProcessId::new(), None);
    }
    until(&remote, &seen).await;
    let most = most.load(Ordering::SeqCst);
    assert!((1..=limits::SUBSCRIBING).contains(&most), "{most} at a time");
}

#[tokio::test]
async fn the_subscription_to_broadcasts_is_tried_again_until_the_runtime_closes() {
    let answers = Mutex::new(vec![Ok("here".to_owned()), Err(CommunicatorError::Disconnected(None))]);
    let remote = Stub::broadcasts(move || Box::pin(std::future::ready(answers.lock().unwrap().pop().unwrap())));
    let (closing, closed) = watch::channel(false);
    let orders = Arc::new(Orders(Weak::new()));
    let listening = timeout(Duration::from_secs(20), listen(&remote, Arc::clone(&orders), closed.clone()));
    assert_eq!(listening.await.unwrap().as_deref(), Some("here"));

    let remote = Stub::broadcasts(|| Box::pin(std::future::ready(Err(CommunicatorError::Disconnected(None)))));
    closing.send_replace(true);
    let listening = timeout(Duration::from_secs(20), listen(&remote, Arc::clone(&orders), closed));
    assert_eq!(listening.await.unwrap(), None);

    let (_closing, closed) = watch::channel(false);
    let remote = Stub::broadcasts(|| self::closed());
    assert_eq!(listen(&remote, orders, closed).await, None, "it will never succeed");
}
