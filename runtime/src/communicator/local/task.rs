//! Tasks: their queues, who gets one, and what becomes of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::medium::{Medium, Member, State};
use crate::communicator::body::answer_body;
use crate::communicator::subscription::{Subscription, follow, identifier_or_new};
use crate::communicator::{
    CommunicatorError, CommunicatorResult, Incoming, Refusal, Reply, ReplyAddress, Task, TaskSubscriber,
};
use crate::limits;
use crate::message::{Node, ReplyBody};

/// The queue that subscribers take tasks from.
const TASKS: &str = "tasks";

/// A queue. It exists while it has tasks, or somebody who pulls waits for one.
#[derive(Default)]
pub(super) struct Queue {
    /// In the order in which they were sent.
    ready: BTreeMap<u64, Message>,
    pub(super) arrived: Arc<Notify>,
}

/// A task in its queue, or at who has been given it.
#[derive(Clone)]
pub(super) struct Message {
    /// Its place in the queue.
    number: u64,
    queue: String,
    pub(super) incoming: Incoming,
}

impl State {
    /// Puts a task back that somebody has been given.
    pub(super) fn put_back(&mut self, mut message: Message) {
        message.incoming.redelivered = true;
        self.put(message);
    }

    fn put(&mut self, message: Message) {
        self.waiting += 1;
        let queue = self.queues.entry(message.queue.clone()).or_default();
        queue.ready.insert(message.number, message);
        queue.arrived.notify_waiters();
    }

    /// The next task of a queue.
    pub(super) fn take(&mut self, name: &str) -> Option<Message> {
        let message = self.queues.get_mut(name)?.ready.pop_first().map(|(_, message)| message)?;
        self.waiting -= 1;
        self.forget_queue(name);
        Some(message)
    }

    /// Gives a task to a communicator: the number under which it has it.
    pub(super) fn hold(&mut self, id: Uuid, message: Message) -> CommunicatorResult<u64> {
        let number = self.number();
        self.member(id)?.held.insert(number, message);
        Ok(number)
    }

    /// Forgets a queue that has nothing, and nobody who waits.
    pub(super) fn forget_queue(&mut self, name: &str) {
        if self.queues.get(name).is_some_and(|queue| queue.ready.is_empty() && Arc::strong_count(&queue.arrived) == 1) {
            self.queues.remove(name);
        }
    }

    /// Who is the next to be given a task: in turn, those who have a subscriber and not too much to do.
    fn next_worker(&self) -> Option<Uuid> {
        let after = self.members.range((Bound::Excluded(self.served), Bound::Unbounded));
        let mut members = after.chain(self.members.range(..=self.served));
        let free = |member: &Member| !member.tasks.is_empty() && member.held.len() < limits::TASKS_AT_ONCE;
        members.find(|(_, member)| free(member)).map(|(id, _)| *id)
    }

    fn is_waiting(&self, name: &str) -> bool {
        self.queues.get(name).is_some_and(|queue| !queue.ready.is_empty())
    }
}

/// A task on its way to the subscribers of a communicator.
struct Assigned {
    runtime: Handle,
    closed: watch::Receiver<bool>,
    delivery: Delivery,
    incoming: Incoming,
    subscriptions: Vec<Arc<Subscription<dyn TaskSubscriber>>>,
}

impl Medium {
    pub(super) fn send_task(self: &Arc<Self>, id: Uuid, task: Task) -> CommunicatorResult<Option<Reply>> {
        let mut state = self.lock();
        state.member(id)?;
        if state.waiting >= limits::TASKS_WAITING {
            return Err(CommunicatorError::Limit("too many tasks are waiting"));
        }
        let mut incoming = Incoming::new(task.id.unwrap_or_else(|| Uuid::now_v7().to_string()), task.body);
        let mut reply = None;
        if !task.no_reply {
            let (address, awaited) = self.await_reply(&mut state, id, task.deadlines.reply)?;
            incoming.reply_to = Some(address);
            reply = Some(awaited);
        }
        let number = state.number();
        state.put(Message { number, queue: task.queue.unwrap_or_else(|| TASKS.to_owned()), incoming });
        drop(state);
        self.dispatch();
        Ok(reply)
    }

    pub(super) fn add_task_subscriber(
        self: &Arc<Self>,
        id: Uuid,
        subscriber: Arc<dyn TaskSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<String> {
        let mut state = self.lock();
        let room = state.room;
        let member = state.member(id)?;
        let identifier = identifier_or_new(identifier)?;
        if member.tasks.iter().any(|(taken, _)| *taken == identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        member.check_subscribers(room)?;
        member.tasks.push((identifier.clone(), Arc::new(Subscription::new(subscriber))));
        drop(state);
        self.dispatch();
        Ok(identifier)
    }

    pub(super) fn remove_task_subscriber(
        &self,
        id: Uuid,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn TaskSubscriber>>> {
        let mut state = self.lock();
        let tasks = &mut state.member(id)?.tasks;
        let place = tasks.iter().position(|(taken, _)| taken == identifier);
        place.map(|place| tasks.remove(place).1).ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))
    }

    /// Gives waiting tasks to those who can take some.
    pub(super) fn dispatch(self: &Arc<Self>) {
        let mut assigned = Vec::new();
        let mut state = self.lock();
        while state.is_waiting(TASKS) {
            let Some(id) = state.next_worker() else { break };
            let Some(message) = state.take(TASKS) else { break };
            state.served = id;
            let incoming = message.incoming.clone();
            let reply_to = incoming.reply_to.clone();
            let Ok(number) = state.hold(id, message) else { break };
            let Ok(member) = state.member(id) else { break };
            assigned.push(Assigned {
                runtime: member.runtime.clone(),
                closed: member.closed.subscribe(),
                delivery: Delivery { medium: Arc::clone(self), member: id, number, reply_to, done: false },
                incoming,
                subscriptions: member.tasks.iter().map(|(_, subscription)| Arc::clone(subscription)).collect(),
            });
        }
        drop(state);
        // A runtime that has ended drops what it is given, and that comes back here.
        for Assigned { runtime, mut closed, delivery, incoming, subscriptions } in assigned {
            runtime.spawn(async move {
                tokio::select! {
                    biased;
                    _ = closed.wait_for(|closed| *closed) => {}
                    () = deliver(delivery, incoming, subscriptions) => {}
                }
            });
        }
    }

    /// Takes a task from who has it; false if it was given back meanwhile.
    pub(super) fn acknowledge(self: &Arc<Self>, id: Uuid, number: u64) -> bool {
        let held = self.lock().members.get_mut(&id).and_then(|member| member.held.remove(&number));
        self.dispatch();
        held.is_some()
    }

    /// Puts a task back that was not done; false if that was so.
    pub(super) fn requeue(self: &Arc<Self>, id: Uuid, number: u64) -> bool {
        let mut state = self.lock();
        let held = state.members.get_mut(&id).and_then(|member| member.held.remove(&number));
        let was_held = held.is_some();
        if let Some(message) = held {
            state.put_back(message);
        }
        drop(state);
        self.dispatch();
        was_held
    }
}

/// A task that subscribers have been given.
struct Delivery {
    medium: Arc<Medium>,
    member: Uuid,
    number: u64,
    reply_to: Option<ReplyAddress>,
    /// Whether it was acknowledged or put back.
    done: bool,
}

impl Delivery {
    /// False if the task is another's by now.
    fn acknowledge(&mut self) -> bool {
        if self.done {
            return true;
        }
        self.done = true;
        self.medium.acknowledge(self.member, self.number)
    }

    fn requeue(mut self) {
        self.done = true;
        self.medium.requeue(self.member, self.number);
    }

    fn send(&self, body: ReplyBody) {
        if let Some(to) = &self.reply_to {
            self.medium.reply(to, body);
        }
    }

    fn end(mut self, answer: Result<Node, Refusal>) {
        if self.acknowledge() {
            self.send(answer_body(answer));
        }
    }
}

impl Drop for Delivery {
    /// The runtime of the communicator has ended, or it was closed: it is lost.
    fn drop(&mut self) {
        if !self.done {
            self.medium.close(self.member);
        }
    }
}

/// Gives a task to the first subscriber that does not reject it.
async fn deliver(
    mut delivery: Delivery,
    incoming: Incoming,
    subscriptions: Vec<Arc<Subscription<dyn TaskSubscriber>>>,
) {
    let mut rejected = false;
    for subscription in subscriptions {
        let given = incoming.clone();
        let answered = match subscription.enter(|subscriber| subscriber.receive(given)).await {
            None => continue,
            Some(Err(panic)) => Err(Refusal::Failed(panic)),
            Some(Ok(answered)) => answered,
        };
        if let Err(Refusal::Rejected(reason)) = &answered {
            tracing::debug!(task = incoming.id, reason, "a subscriber rejects a task");
            rejected = true;
            continue;
        }
        let answer = follow(answered, |taken| {
            if taken {
                delivery.acknowledge();
            }
            delivery.send(ReplyBody::Pending);
        });
        if let Some(answer) = answer.await {
            delivery.end(answer);
        }
        return;
    }
    if rejected {
        tokio::time::sleep(limits::REJECTED).await;
    }
    delivery.requeue();
}
