//! Tasks: each is done once however often it comes, acknowledged when the broker need not keep it any more, and answered.

use lapin::message::Delivery;
use std::collections::{HashMap, HashSet, VecDeque};
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

/// The tasks that are being done here, by id, and those that were done lately.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    running: HashMap<String, Arc<Work>>,
    finished: HashSet<String>,
    order: VecDeque<String>,
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
    /// How often they were told that it follows.
    pendings: u32,
    /// It is acknowledged however often it comes.
    taken: bool,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self, id: &str) {
        let mut known = self.lock();
        known.running.remove(id);
        if known.finished.insert(id.to_owned()) {
            known.order.push_back(id.to_owned());
        }
        if known.order.len() > limits::FINISHED_TASKS
            && let Some(oldest) = known.order.pop_front()
        {
            known.finished.remove(&oldest);
        }
    }

    fn forgotten(&self, id: &str) {
        self.lock().running.remove(id);
    }
}

impl Work {
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
    let Some(work) = begin(shared, acks, &delivery, &id, sender.as_ref()) else { return };
    let subscribers = shared.subscribers.tasks();
    let incoming = Incoming { body, id, redelivered: delivery.redelivered, reply_to: sender };
    let mut doing = Box::pin(perform(Arc::clone(shared), work, incoming, subscribers));
    let done = std::future::poll_fn(|context| Poll::Ready(doing.as_mut().poll(context).is_ready())).await;
    if !done {
        tokio::spawn(doing);
    }
}

/// The task, if it is to be done; none if it is being done, or was.
fn begin(
    shared: &Shared,
    acks: &Arc<Acks>,
    delivery: &Delivery,
    id: &str,
    sender: Option<&ReplyAddress>,
) -> Option<Arc<Work>> {
    let tag = delivery.delivery_tag;
    let mut known = shared.tasks.lock();
    if let Some(work) = known.running.get(id).cloned() {
        drop(known);
        shared.statistics.joined();
        tracing::info!(task = id, "a task came again while it is being done");
        join(shared, &work, acks, tag, sender);
        return None;
    }
    if delivery.redelivered && known.finished.contains(id) {
        drop(known);
        shared.statistics.joined();
        tracing::info!(task = id, "a task came again after it was done");
        acks.settle(tag);
        return None;
    }
    let state = WorkState {
        deliveries: vec![(Arc::clone(acks), tag)],
        acks: Arc::clone(acks),
        senders: sender.cloned().into_iter().collect(),
        pendings: 0,
        taken: false,
    };
    let work = Arc::new(Work { id: id.to_owned(), state: Mutex::new(state) });
    known.running.insert(id.to_owned(), Arc::clone(&work));
    Some(work)
}

fn join(shared: &Shared, work: &Work, acks: &Arc<Acks>, tag: u64, sender: Option<&ReplyAddress>) {
    let mut state = work.lock();
    state.acks = Arc::clone(acks);
    if state.taken {
        acks.settle(tag);
    } else {
        state.deliveries.push((Arc::clone(acks), tag));
    }
    let Some(sender) = sender else { return };
    if !state.senders.contains(sender) {
        for _ in 0..state.pendings {
            shared.task_reply(sender, ReplyBody::Pending, None);
        }
        state.senders.push(sender.clone());
    }
}

/// A task that cannot be read is none that can ever be done: it must not come back.
fn unreadable(shared: &Shared, acks: &Acks, delivery: &Delivery, sender: Option<&ReplyAddress>, reason: &str) {
    shared.statistics.dead_lettered();
    let body = wire::excerpt(&delivery.data);
    tracing::error!(reason, body, "a task cannot be read");
    if shared.park(delivery) {
        acks.settle(delivery.delivery_tag);
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
    shared.tasks.forgotten(&work.id);
    for (acks, tag) in std::mem::take(&mut work.lock().deliveries) {
        acks.requeue(tag);
    }
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
}

/// Acknowledged first, answered second: what is lost between is the reply, not the task.
fn finish(shared: &Shared, work: &Work, answer: Option<Result<Node, Refusal>>) {
    shared.tasks.finished(&work.id);
    let mut state = work.lock();
    for (acks, tag) in std::mem::take(&mut state.deliveries) {
        acks.settle(tag);
    }
    // Without an answer, the subscriber sends it himself.
    let Some(body) = answer.map(ReplyBody::from) else { return };
    if let [sender] = state.senders.as_slice() {
        return shared.task_reply(sender, body, Some(&state.acks));
    }
    for sender in &state.senders {
        shared.task_reply(sender, body.clone(), Some(&state.acks));
    }
}
