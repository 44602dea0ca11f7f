//! Calls that reach a worker that does not have the process any more.

use procession::communicator::{
    BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorResult, LocalCommunicator, Replied, Reply,
    ReplyAddress, Rpc, RpcSubscriber, Task, TaskQueue, TaskSubscriber,
};
use procession::message::{Broadcast, Node};
use procession::prelude::*;
use procession::process::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::requests::{while_it_works, within};
use super::{Counted, Team, on_each_store};
use crate::faulty::Faulty;
use crate::support::eventually;

on_each_store! {
    a_call_to_a_process_that_went_elsewhere_is_answered_as_there,
}

/// Whose subscriptions to calls stay for ever.
#[derive(Debug)]
struct Sticky(LocalCommunicator);

impl Communicator for Sticky {
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

    fn remove_rpc_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        Box::pin(std::future::ready(Ok(())))
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
        answer: Result<Node, procession::communicator::Refusal>,
    ) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.0.reply(to, answer)
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

async fn call(sender: &LocalCommunicator, pid: &ProcessId, intent: &str) -> Reply {
    let body = Node::mapping([("intent", intent.into()), ("message", Node::Null)]);
    sender.rpc_send(Rpc::new(pid.to_string(), body)).await.unwrap()
}

async fn state(sender: &LocalCommunicator, pid: &ProcessId) -> (Option<Node>, Option<Node>) {
    let status = within(call(sender, pid, "status").await.last()).await.unwrap();
    (status.get("state").cloned(), status.get("paused").cloned())
}

fn is(state: &str, paused: bool) -> (Option<Node>, Option<Node>) {
    (Some(format!("ProcessState.{state}").into()), Some(paused.into()))
}

/// Its subscription is removed a moment later than the process goes, and a call may come in between.
async fn a_call_to_a_process_that_went_elsewhere_is_answered_as_there(team: Team) {
    let sender = LocalCommunicator::new();
    let deaf = Faulty::over(team.store().await, u64::MAX);
    let one = team.worker_on(deaf.clone()).communicator(Arc::new(Sticky(sender.another()))).build().await.unwrap();
    let run = one.launch(Counted::inputs().rounds(100_000).gated(true)).await.unwrap();
    let pid = run.pid();
    team.world.gate.reached().await;
    deaf.full.store(true, Ordering::SeqCst);
    let _other = team.worker().await.build().await.unwrap();
    team.world.gate.reached().await;
    deaf.full.store(false, Ordering::SeqCst);
    eventually(|| async { one.health().await.processes == 0 }).await;
    assert_eq!(state(&sender, pid).await, is("RUNNING", false));
    let pausing = call(&sender, pid, "pause").await;
    let Replied::Pending(pausing) = within(pausing).await.unwrap() else { panic!("it takes its time") };
    assert_eq!(while_it_works(&team, pausing.last()).await.unwrap(), true.into());
    assert_eq!(state(&sender, pid).await, is("RUNNING", true));
    assert_eq!(within(call(&sender, pid, "kill").await.last()).await.unwrap(), true.into());
    assert_eq!(state(&sender, pid).await, is("KILLED", false));
}
