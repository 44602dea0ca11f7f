//! Tasks: each is done once however often it comes, acknowledged when the broker need not keep it any more, and answered.

use lapin::message::Delivery;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use super::acks::Acks;
use super::shared::Shared;
use super::subscribers::TaskSubscribers;
use super::wire;
use crate::communicator::subscription::follow;
use crate::communicator::{Incoming, Refusal, ReplyAddress};
use crate::limits;
use crate::message::{Node, ReplyBody, TaskEnvelope};
use crate::process::BoxFuture;

/// The tasks that are being done here, by id, and those that were done lately.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    running: HashMap<String, Arc<Work>>,
    finished: HashMap<String, Done>,
    order: VecDeque<String>,
}

/// A task that was done.
struct Done {
    /// Who was answered.
    senders: Vec<ReplyAddress>,
    /// Its subscriber answers himself, and does so whenever the task comes again.
    owed: bool,
}

/// A task that is being done.
struct Work {
    id: String,
    state: Mutex<WorkState>,
}

struct WorkState {
    /// The times it was delivered, none of which is acknowledged.
    deliveries: Vec<(Arc<Acks>, u64)>,
    /// Those of the connection over which it came last: replies leave after them, in order.
    acks: Arc<Acks>,
    /// Who waits for the answer.
    senders: Vec<ReplyAddress>,
    /// The task as others sent it: where the subscriber sends the answer himself, he knows of the first sender alone.
    others: Vec<Incoming>,
    /// How often they were told that it follows.
    pendings: u32,
    /// It is acknowledged however often it comes.
    taken: bool,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self, id: &str, done: Done) {
        let mut known = self.lock();
        known.running.remove(id);
        if let Some(before) = known.finished.get_mut(id) {
            let new = done.senders.into_iter().filter(|sender| !before.senders.contains(sender)).collect::<Vec<_>>();
            before.senders.extend(new);
        } else {
            known.finished.insert(id.to_owned(), done);
            known.order.push_back(id.to_owned());
        }
        if known.order.len() > limits::FINISHED_TASKS
            && let Some(oldest) = known.order.pop_front()
        {
            known.finished.remove(&oldest);
        }
    }

    fn forgotten(&self, work: &Arc<Work>) {
        let mut known = self.lock();
        if known.running.get(&work.id).is_some_and(|running| Arc::ptr_eq(running, work)) {
            known.running.remove(&work.id);
        }
    }
}

impl Work {
    fn new(incoming: &Incoming, acks: &Arc<Acks>, deliveries: Vec<(Arc<Acks>, u64)>) -> Arc<Self> {
        let state = WorkState {
            deliveries,
            acks: Arc::clone(acks),
            senders: incoming.reply_to.clone().into_iter().collect(),
            others: Vec::new(),
            pendings: 0,
            taken: false,
        };
        Arc::new(Self { id: incoming.id.clone(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, WorkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task has come. Its subscriber is asked at once; what takes longer goes on beside.
pub(super) async fn arrived(shared: &Arc<Shared>, acks: &Arc<Acks>, delivery: Delivery) {
    let tag = delivery.delivery_tag;
    acks.delivered(tag);
    if delivery.redelivered {
        shared.statistics.redelivered();
    }
    let sender = wire::reply_address(&delivery);
    let TaskEnvelope { payload: body, no_reply } = match wire::read_task(&delivery.data) {
        Ok(read) => read,
        Err(reason) => return unreadable(shared, acks, &delivery, sender.as_ref(), &reason),
    };
    let sender = sender.filter(|_| !no_reply);
    let id = wire::task_id(&delivery);
    let incoming = Incoming { body, id, redelivered: delivery.redelivered, reply_to: sender };
    let Some((work, incoming)) = begin(shared, acks, tag, incoming) else { return };
    let subscribers = shared.subscribers.tasks();
    let mut doing = Box::pin(perform(Arc::clone(shared), work, incoming, subscribers));
    let done = std::future::poll_fn(|context| Poll::Ready(doing.as_mut().poll(context).is_ready())).await;
    if !done {
        tokio::spawn(doing);
    }
}

/// The task, if it is to be done; none if it is being done, or was.
fn begin(shared: &Shared, acks: &Arc<Acks>, tag: u64, incoming: Incoming) -> Option<(Arc<Work>, Incoming)> {
    let mut known = shared.tasks.lock();
    let Incoming { id, reply_to: sender, .. } = &incoming;
    if let Some(work) = known.running.get(id).cloned() {
        drop(known);
        shared.statistics.joined();
        tracing::info!(task = id, "a task came again while it is being done");
        join(shared, &work, acks, tag, incoming);
        return None;
    }
    if let Some(done) = known.finished.get(id).filter(|_| incoming.redelivered) {
        let answered = sender.as_ref().is_none_or(|sender| done.senders.contains(sender));
        if answered || !done.owed {
            drop(known);
            shared.statistics.joined();
            tracing::info!(task = id, "a task came again after it was done");
            acks.settle(tag);
            if let Some(sender) = sender.as_ref().filter(|_| !answered) {
                let text = "the task was done when it came first, and its answer went there".to_owned();
                shared.task_reply(sender, ReplyBody::Exception(text), Some(acks));
            }
            shared.acknowledge(acks);
            return None;
        }
    }
    let work = Work::new(&incoming, acks, vec![(Arc::clone(acks), tag)]);
    known.running.insert(id.clone(), Arc::clone(&work));
    Some((work, incoming))
}

fn join(shared: &Shared, work: &Work, acks: &Arc<Acks>, tag: u64, incoming: Incoming) {
    let mut state = work.lock();
    state.acks = Arc::clone(acks);
    if state.taken {
        acks.settle(tag);
        shared.acknowledge(acks);
    } else {
        state.deliveries.push((Arc::clone(acks), tag));
    }
    let Some(sender) = &incoming.reply_to else { return };
    if !state.senders.contains(sender) {
        for _ in 0..state.pendings {
            shared.task_reply(sender, ReplyBody::Pending, None);
        }
        state.senders.push(sender.clone());
        state.others.push(incoming);
    }
}

/// A task that cannot be read is none that can ever be done: it must not come back.
fn unreadable(shared: &Shared, acks: &Acks, delivery: &Delivery, sender: Option<&ReplyAddress>, reason: &str) {
    shared.statistics.dead_lettered();
    let body = wire::excerpt(&delivery.data);
    tracing::error!(reason, body, "a task cannot be read");
    if shared.park(delivery) {
        acks.settle(delivery.delivery_tag);
        shared.acknowledge(acks);
    } else {
        acks.reject(delivery.delivery_tag);
    }
    if let Some(sender) = sender {
        let text = format!("the task cannot be read: {reason}");
        shared.task_reply(sender, ReplyBody::Exception(text), None);
    }
}

/// Does a task, from its first subscriber to its last reply.
async fn perform(shared: Arc<Shared>, work: Arc<Work>, incoming: Incoming, subscribers: TaskSubscribers) {
    let mut incoming = Some(incoming);
    let mut why = None;
    let last = subscribers.len().saturating_sub(1);
    for (place, (_, subscriber)) in subscribers.iter().enumerate() {
        let given = if place == last { incoming.take() } else { incoming.clone() };
        let Some(given) = given else { break };
        match subscriber.enter(|subscriber| subscriber.receive(given)).await {
            // It was removed meanwhile.
            None => {}
            Some(Ok(Err(Refusal::Rejected(text)))) => why = Some(text),
            Some(Ok(answered)) => {
                let follows = |taken| pending(&shared, &work, taken);
                let answer = follow(answered, follows).await;
                return finish(&shared, &work, answer);
            }
            Some(Err(panic)) => return finish(&shared, &work, Some(Err(Refusal::Failed(panic)))),
        }
    }
    if let Some(why) = why {
        shared.statistics.rejected();
        tracing::warn!(task = work.id, why, "every subscriber rejected a task; it goes back to its queue");
        tokio::time::sleep(limits::REJECTED).await;
    }
    shared.tasks.forgotten(&work);
    for (acks, tag) in std::mem::take(&mut work.lock().deliveries) {
        acks.requeue(tag);
    }
}

/// Does a task again for another sender of it. A future with a type, since it is begun by the end of one of its kind.
fn again(
    shared: Arc<Shared>,
    work: Arc<Work>,
    incoming: Incoming,
    subscribers: TaskSubscribers,
) -> BoxFuture<'static, ()> {
    Box::pin(perform(shared, work, incoming, subscribers))
}

/// The answer follows. If the task is taken over, whoever does it has made sure that it is not lost.
///
/// That it follows waits for no acknowledgement, other than the answer itself: one that the subscriber sends himself would
/// overtake it.
fn pending(shared: &Shared, work: &Work, taken: bool) {
    let mut state = work.lock();
    if taken {
        state.taken = true;
        for (acks, tag) in std::mem::take(&mut state.deliveries) {
            acks.settle(tag);
        }
    }
    state.pendings += 1;
    for sender in &state.senders {
        shared.task_reply(sender, ReplyBody::Pending, None);
    }
    if taken {
        shared.acknowledge(&state.acks);
    }
}

/// Acknowledged first, answered second: what is lost between is the reply, not the task.
fn finish(shared: &Arc<Shared>, work: &Work, answer: Option<Result<Node, Refusal>>) {
    let done = Done { senders: work.lock().senders.clone(), owed: answer.is_none() };
    // Nobody joins it from now on.
    shared.tasks.finished(&work.id, done);
    let mut state = work.lock();
    for (acks, tag) in std::mem::take(&mut state.deliveries) {
        acks.settle(tag);
    }
    let Some(body) = answer.map(ReplyBody::from) else {
        // The subscriber answers the first sender himself, and is asked to do so for each of the others.
        let (others, acks) = (std::mem::take(&mut state.others), Arc::clone(&state.acks));
        drop(state);
        shared.acknowledge(&acks);
        for other in others {
            let subscribers = shared.subscribers.tasks();
            tokio::spawn(again(Arc::clone(shared), Work::new(&other, &acks, Vec::new()), other, subscribers));
        }
        return;
    };
    for sender in &state.senders {
        shared.task_reply(sender, body.clone(), Some(&state.acks));
    }
    shared.acknowledge(&state.acks);
}
