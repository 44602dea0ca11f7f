//! Replies that are owed where something goes wrong, and tasks that find a process in an odd state.

use procession::RunError;
use procession::communicator::{
    Answer, Answered, BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorResult, Incoming,
    LocalCommunicator, Refusal, Replied, Reply, ReplyAddress, Rpc, RpcSubscriber, Task, TaskQueue, TaskSubscriber,
};
use procession::launcher::{ProcessLauncher, Worker};
use procession::message::Broadcast;
use procession::message::Node;
use procession::prelude::*;
use procession::process::BoxFuture;
use procession::store::{OwedReply, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::children::Leaf;
use super::super::faulty::Faulty;
use super::super::support::{World, eventually};
use super::{Yard, builder, create, go_on, launch, levels, on_all, task, until, waiting, went};

/// A yard whose store fails on demand.
async fn faulty_yard() -> (Yard, Arc<Faulty>) {
    let mut yard = Yard::new(true).await;
    yard.stop().await;
    let faulty = Faulty::over(Arc::clone(&yard.world.store), u64::MAX);
    yard.world.store = faulty.clone();
    yard.start().await;
    (yard, faulty)
}

/// Sends a task whose reply follows.
async fn pending(yard: &Yard, body: Node) -> Reply {
    let Replied::Pending(reply) = yard.send(Task::new(body)).await.await.unwrap() else { panic!("it waits") };
    reply
}

fn address() -> ReplyAddress {
    ReplyAddress { exchange: "e".to_owned(), queue: "q".to_owned(), correlation_id: "c".to_owned() }
}

async fn owed(store: &dyn Store) -> usize {
    store.owed(None, 10).await.unwrap().len()
}

#[tokio::test]
async fn a_damaged_process_that_owes_a_reply_keeps_no_worker_from_starting() {
    let (mut yard, faulty) = faulty_yard().await;
    let leaf = yard.runtime().launch(Leaf::inputs().n(2)).await.unwrap();
    leaf.termination().await.unwrap();
    let bad = leaf.pid().clone();
    let reply = pending(&yard, launch("it::Rounds", waiting(), false, true)).await;
    yard.stop().await;
    let epoch = faulty.acquire().await.unwrap();
    let late = OwedReply { id: "late".to_owned(), address: serde_json::to_string(&address()).unwrap() };
    faulty.owe(epoch, &bad, late).await.unwrap();
    faulty.release(epoch).await.unwrap();
    *faulty.damaged.lock().unwrap() = Some(bad.clone());
    yard.start().await;
    assert_eq!(yard.worker.as_ref().unwrap().owed(), 2);
    let records = faulty.list(vec![ProcessState::Waiting], None, 10).await.unwrap().records;
    let run = yard.runtime().attach(&records[0].pid).await.unwrap();
    run.resume("go").await.unwrap();
    assert_eq!(levels(reply).await, (0, Ok(went())), "the others are replied to");
    eventually(async || owed(&*faulty).await == 1).await;
    assert_eq!(faulty.owed(None, 10).await.unwrap()[0].0, bad, "it is kept for when the record is mended");
}

#[tokio::test]
async fn who_waits_for_a_process_that_was_suspended_hears_of_its_end() {
    let (yard, faulty) = faulty_yard().await;
    let first = pending(&yard, launch("it::Rounds", vec![("rounds", 1.into())], false, true)).await;
    yard.world.gate.reached().await;
    let run = yard.only().await;
    faulty.full.store(true, Ordering::SeqCst);
    yard.world.gate.open(1);
    let suspended = run.termination().await.unwrap_err();
    assert!(matches!(suspended, RunError::Store(_)), "{suspended:?}");
    faulty.full.store(false, Ordering::SeqCst);
    let second = pending(&yard, go_on(run.pid(), false, None)).await;
    yard.world.gate.open(1);
    let run = yard.only().await;
    until(&run, ProcessState::Waiting).await;
    run.resume("go").await.unwrap();
    let (_, outputs) = levels(second).await;
    assert_eq!(outputs.as_ref().unwrap().get("resumed"), Some(&"go".into()));
    assert_eq!(levels(first).await, (0, outputs), "the first sender, too");
    eventually(async || owed(&*faulty).await == 0).await;
}

#[tokio::test]
async fn a_child_that_was_put_aside_is_no_end_of_its_parent() {
    let (mut yard, faulty) = faulty_yard().await;
    let inputs = vec![("leaf", Node::mapping([("gated", Node::from(true))]))];
    let reply = pending(&yard, launch("it::Tree", inputs, false, true)).await;
    yard.world.gate.reached().await;
    let [(parent, _)] = &faulty.owed(None, 10).await.unwrap()[..] else { panic!("one reply is owed") };
    let child = faulty.children(parent).await.unwrap().remove(0);
    yard.stop().await;
    *faulty.damaged.lock().unwrap() = Some(child.clone());
    yard.start().await;
    let run = yard.runtime().attach(parent).await;
    let error = match run {
        Ok(run) => run.termination().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, RunError::Parked { pid, .. } if *pid == child), "{error:?}");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let said = tokio::time::timeout(Duration::ZERO, reply).await;
    assert!(said.is_err(), "nothing is said of a process that goes on: {said:?}");
    assert_eq!(owed(&*faulty).await, 1);
}

/// A process that has ended, with a snapshot of its wait.
async fn with_snapshot(runtime: &Runtime) -> ProcessId {
    let run = runtime.launch_by_name("it::Rounds", serde_json::from_str(r#"{"rounds":0}"#).unwrap()).await.unwrap();
    until(&run, ProcessState::Waiting).await;
    run.snapshot("here").await.unwrap();
    run.resume("first").await.unwrap();
    run.termination().await.unwrap();
    run.pid().clone()
}

async fn restorations(world: &World, pid: &ProcessId) -> usize {
    let history = world.store.history(pid).await.unwrap();
    history.iter().filter(|entry| entry.point.starts_with("restored")).count()
}

async fn worker(world: &World) -> (Runtime, ProcessLauncher) {
    let runtime = builder(world, true).build().await.unwrap();
    let launcher = ProcessLauncher::new(&runtime, Arc::new(LocalCommunicator::new()));
    (runtime, launcher)
}

/// What a launcher does for a task, without the acknowledgement that would follow.
async fn unacknowledged(launcher: &ProcessLauncher, task: &Incoming) -> Answered {
    launcher.receive(task.clone()).await
}

#[tokio::test]
async fn a_continue_with_a_tag_goes_back_once_also_if_its_worker_is_lost() {
    for (nowait, replies) in [(false, true), (true, true), (false, false)] {
        let world = World::new();
        let (runtime, launcher) = worker(&world).await;
        let pid = with_snapshot(&runtime).await;
        let mut task = Incoming::new("once", go_on(&pid, nowait, Some("here")));
        task.reply_to = replies.then(address);
        unacknowledged(&launcher, &task).await.unwrap();
        runtime.shutdown().await.unwrap();

        let (runtime, launcher) = worker(&world).await;
        launcher.resume_owed().await.unwrap();
        let run = runtime.attach(&pid).await.unwrap();
        run.resume("second").await.unwrap();
        run.termination().await.unwrap();
        eventually(async || owed(&*world.store).await == 0).await;
        task.redelivered = true;
        unacknowledged(&launcher, &task).await.unwrap();
        let run = runtime.attach(&pid).await.unwrap();
        assert_eq!(run.status().await.unwrap().state, ProcessState::Finished, "{nowait} {replies}");
        assert_eq!(restorations(&world, &pid).await, 1);
    }
}

/// A third worker, which did not see the end, and a process that still waits.
#[tokio::test]
async fn a_continue_with_a_tag_that_comes_again_joins_the_process_that_it_brought_back() {
    let world = World::new();
    let (runtime, launcher) = worker(&world).await;
    let pid = with_snapshot(&runtime).await;
    let mut task = Incoming::new("once", go_on(&pid, false, Some("here")));
    task.reply_to = Some(address());
    unacknowledged(&launcher, &task).await.unwrap();
    runtime.attach(&pid).await.unwrap().kill("enough").await.unwrap();
    runtime.shutdown().await.unwrap();
    let (_runtime, launcher) = worker(&world).await;
    task.redelivered = true;
    let answered = unacknowledged(&launcher, &task).await;
    assert!(matches!(answered, Ok(Answer::Owed(_))), "{answered:?}");
    assert_eq!(restorations(&world, &pid).await, 1);
}

/// The worker was lost between what it promised and the restoration.
#[tokio::test]
async fn a_continue_with_a_tag_that_was_not_done_is_done_when_it_comes_again() {
    let world = World::new();
    let (runtime, launcher) = worker(&world).await;
    let pid = with_snapshot(&runtime).await;
    let mut task = Incoming::new("once", go_on(&pid, false, Some("here")));
    task.reply_to = Some(address());
    unacknowledged(&launcher, &task).await.unwrap();
    let mut promise = world.store.owed(None, 10).await.unwrap().remove(0).1;
    runtime.attach(&pid).await.unwrap().kill("enough").await.unwrap();
    runtime.shutdown().await.unwrap();
    // The same promise, of the process as it is now.
    let epoch = world.store.acquire().await.unwrap();
    let steps = world.store.load(&pid).await.unwrap().unwrap().steps;
    let mut text: serde_json::Value = serde_json::from_str(&promise.address).unwrap();
    text["goes_back"]["steps"] = steps.into();
    promise.address = text.to_string();
    world.store.owe(epoch, &pid, promise).await.unwrap();
    world.store.release(epoch).await.unwrap();

    let (runtime, launcher) = worker(&world).await;
    launcher.resume_owed().await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(owed(&*world.store).await, 1, "the end of before is no answer");
    task.redelivered = true;
    unacknowledged(&launcher, &task).await.unwrap();
    let run = runtime.attach(&pid).await.unwrap();
    assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting);
    assert_eq!(restorations(&world, &pid).await, 2);
}

#[tokio::test]
async fn a_restoration_that_is_refused_leaves_nothing_owed() {
    let world = World::new();
    let (runtime, launcher) = worker(&world).await;
    let pid = with_snapshot(&runtime).await;
    let mut task = Incoming::new("once", go_on(&pid, false, Some("hare")));
    task.reply_to = Some(address());
    unacknowledged(&launcher, &task).await.unwrap();
    assert_eq!(owed(&*world.store).await, 0);
}

#[tokio::test]
async fn what_no_repetition_mends_is_a_failure_and_goes_round_no_more() {
    let (yard, faulty) = faulty_yard().await;
    let leaf = yard.runtime().launch(Leaf::inputs().n(2)).await.unwrap();
    leaf.termination().await.unwrap();
    let launcher = ProcessLauncher::new(yard.runtime(), Arc::new(LocalCommunicator::new()));
    *faulty.damaged.lock().unwrap() = Some(leaf.pid().clone());
    let answered = unacknowledged(&launcher, &Incoming::new("1", go_on(leaf.pid(), true, None))).await;
    let Ok(Answer::Later(failure)) = answered else { panic!("{answered:?}") };
    let text = failure.await.unwrap_err().to_string();
    assert!(text.contains("damaged"), "{text}");
    faulty.full.store(true, Ordering::SeqCst);
    let answered = unacknowledged(&launcher, &Incoming::new("2", launch("it::Rounds", waiting(), true, true))).await;
    assert!(matches!(answered, Err(Refusal::Rejected(_))), "another worker has room: {answered:?}");
}

/// A communicator that takes its time to send a reply.
#[derive(Debug)]
struct Slow(LocalCommunicator);

impl Communicator for Slow {
    fn task_send(&self, task: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        self.0.task_send(task)
    }
    fn rpc_send(&self, call: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        self.0.rpc_send(call)
    }
    fn broadcast_send(&self, broadcast: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        self.0.broadcast_send(broadcast)
    }
    fn add_task_subscriber(
        &self,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.0.add_task_subscriber(subscriber, identifier)
    }
    fn remove_task_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.0.remove_task_subscriber(identifier)
    }
    fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.0.add_rpc_subscriber(subscriber, identifier)
    }
    fn remove_rpc_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.0.remove_rpc_subscriber(identifier)
    }
    fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.0.add_broadcast_subscriber(subscriber, filter, identifier)
    }
    fn remove_broadcast_subscriber<'a>(&'a self, identifier: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.0.remove_broadcast_subscriber(identifier)
    }
    fn task_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        self.0.task_queue(name)
    }
    fn reply<'a>(
        &'a self,
        to: &'a ReplyAddress,
        answer: Result<Node, Refusal>,
    ) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(async move {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
            self.0.reply(to, answer).await
        })
    }
    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        self.0.close()
    }
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
    fn closed(&self) -> BoxFuture<'_, ()> {
        self.0.closed()
    }
}

#[tokio::test]
async fn a_worker_that_stops_sends_the_replies_of_what_has_ended() {
    let (world, sender) = (World::new(), LocalCommunicator::new());
    let runtime = builder(&world, true).communicator(Arc::new(Slow(sender.another()))).build().await.unwrap();
    let worker = Worker::new(runtime).start().await.unwrap();
    let inputs = vec![("n", 2.into()), ("gated", true.into())];
    let reply = sender.task_send(Task::new(launch("it::Leaf", inputs, false, true))).await.unwrap().unwrap();
    let Replied::Pending(reply) = reply.await.unwrap() else { panic!("it waits") };
    world.gate.reached().await;
    let pid = world.store.owed(None, 1).await.unwrap().remove(0).0;
    let run = worker.runtime().attach(&pid).await.unwrap();
    world.gate.open(1);
    run.termination().await.unwrap();
    worker.stop().await.unwrap();
    assert_eq!(owed(&*world.store).await, 0, "nothing is left to the next worker");
    levels(reply).await.1.unwrap();
}

#[tokio::test]
async fn a_launch_starts_what_was_created_before() {
    on_all(async |yard| {
        for nowait in [false, true] {
            let pid = ProcessId::new();
            let of = |name: &str| {
                let mut args = create("it::Leaf", vec![], yard.stored);
                args.retain(|(name, _)| *name != "init_kwargs");
                let inputs = Node::mapping([("n", Node::Integer(3))]);
                args.push(("init_kwargs", Node::mapping([("inputs", inputs), ("pid", Node::from(&pid))])));
                if name == "launch" {
                    args.push(("nowait", nowait.into()));
                }
                Task::new(task(name, args))
            };
            assert_eq!(levels(yard.send(of("create")).await).await, (1, Ok(Node::from(&pid))));
            let run = yard.runtime().attach(&pid).await.unwrap();
            let (_, answer) = levels(yard.send(of("launch")).await).await;
            assert_eq!(answer.is_ok_and(|answer| answer.get("square").is_some()), !nowait);
            assert!(run.termination().await.unwrap().ended.is_successful());
        }
    })
    .await;
}
