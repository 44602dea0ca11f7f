//! Tasks: each is done once however often it comes, acknowledged when the broker need not keep it any more, and answered.

use lapin::message::Delivery;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use super::acks::Acks;
use super::at_work::{AtWork, Place};
use super::finished::{Done, Finished};
use super::shared::Shared;
use super::subscribers::TaskSubscribers;
use super::wire;
use crate::communicator::subscription::follow;
use crate::communicator::{Incoming, Refusal, ReplyAddress};
use crate::limits;
use crate::message::{Node, ReplyBody, TaskEnvelope};
use crate::process::BoxFuture;

/// The tasks that are being done here, by id, and those that were done lately.
pub(super) struct Tasks {
    known: Mutex<Known>,
    at_work: AtWork,
}

struct Known {
    running: HashMap<String, Arc<Work>>,
    finished: Finished,
}

/// A task that is being done.
struct Work {
    id: String,
    state: Mutex<WorkState>,
    /// It is waited for when the communicator is closed.
    _place: Option<Place>,
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
    pub(super) fn new(prefetch: u16) -> Self {
        let known = Known { running: HashMap::new(), finished: Finished::new(prefetch) };
        Self { known: Mutex::new(known), at_work: AtWork::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when no subscriber is at work.
    pub(super) async fn ended(&self) {
        self.at_work.ended().await;
    }

    fn work(&self, incoming: &Incoming, acks: &Arc<Acks>, deliveries: Vec<(Arc<Acks>, u64)>) -> Arc<Work> {
        let state = WorkState {
            deliveries,
            acks: Arc::clone(acks),
            senders: incoming.reply_to.clone().into_iter().collect(),
            others: Vec::new(),
            pendings: 0,
            taken: false,
        };
        // Their number is bounded by what the broker gives ahead of acknowledgements.
        let place = self.at_work.begin(usize::MAX);
        Arc::new(Work { id: incoming.id.clone(), state: Mutex::new(state), _place: place })
    }

    fn finished(&self, id: &str, done: Done) {
        let mut known = self.lock();
        known.running.remove(id);
        known.finished.add(id, done);
    }

    fn forgotten(&self, work: &Arc<Work>) {
        let mut known = self.lock();
        if known.running.get(&work.id).is_some_and(|running| Arc::ptr_eq(running, work)) {
            known.running.remove(&work.id);
        }
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
    if shared.is_closed() {
        return acks.requeue(tag);
    }
    if delivery.redelivered {
        shared.statistics.redelivered();
    }
    let sender = wire::reply_address(&delivery);
    let TaskEnvelope { payload: body, no_reply } = match wire::read_task(&delivery.data) {
        Ok(read) => read,
        Err(reason) => return unreadable(shared, acks, &delivery, sender, &reason),
    };
    let sender = sender.filter(|_| !no_reply);
    let id = wire::task_id(&delivery);
    let incoming = Incoming { body, id, redelivered: delivery.redelivered, reply_to: sender };
    // Who gives his tasks no ids may give several the same correlation id, one after the other.
    let may_be_known = delivery.redelivered || delivery.properties.message_id().is_some();
    let Some((work, incoming)) = begin(shared, acks, tag, incoming, may_be_known) else { return };
    let subscribers = shared.subscribers.tasks();
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
    tag: u64,
    incoming: Incoming,
    may_be_known: bool,
) -> Option<(Arc<Work>, Incoming)> {
    let mut known = shared.tasks.lock();
    let Incoming { id, reply_to: sender, redelivered, .. } = &incoming;
    if let Some(work) = known.running.get(id).cloned() {
        drop(known);
        shared.statistics.joined();
        tracing::info!(task = id, "a task came again while it is being done");
        join(shared, &work, acks, tag, incoming);
        return None;
    }
    if let Some(done) = known.finished.get(id).filter(|_| may_be_known) {
        // What the broker gives again was answered; who sends it again has not heard that.
        let answered = |sender| *redelivered && done.senders.contains(sender);
        let waits = sender.as_ref().filter(|sender| !answered(sender));
        if waits.is_none() || !done.owed {
            let answer = done.answer.clone();
            drop(known);
            shared.statistics.joined();
            tracing::info!(task = id, "a task came again after it was done");
            acks.settle(tag);
            if let Some(sender) = waits {
                answer_again(shared, acks, sender, answer);
            }
            shared.acknowledge(acks);
            return None;
        }
    }
    let work = shared.tasks.work(&incoming, acks, vec![(Arc::clone(acks), tag)]);
    known.running.insert(id.clone(), Arc::clone(&work));
    Some((work, incoming))
}

fn answer_again(shared: &Shared, acks: &Arc<Acks>, sender: &ReplyAddress, answer: Option<Arc<[u8]>>) {
    if let Some(answer) = answer {
        return shared.send_task_answer(sender, answer, Some(acks));
    }
    let text = "the task was done when it came first, and its answer went there".to_owned();
    shared.task_reply(sender, ReplyBody::Exception(text), Some(acks));
}

fn join(shared: &Shared, work: &Work, acks: &Arc<Acks>, tag: u64, incoming: Incoming) {
    let mut state = work.lock();
    state.acks = Arc::clone(acks);
    if state.taken {
        acks.settle(tag);
        shared.acknowledge(acks);
    } else {
        // Those of a lost connection are the broker's again.
        state.deliveries.retain(|(acks, _)| !acks.is_dead());
        state.deliveries.push((Arc::clone(acks), tag));
    }
    let Some(sender) = &incoming.reply_to else { return };
    if state.senders.contains(sender) {
        return;
    }
    if state.senders.len() >= limits::TASK_SENDERS {
        let text = "too many wait for the answer to this task".to_owned();
        return shared.task_reply(sender, ReplyBody::Exception(text), None);
    }
    for _ in 0..state.pendings {
        shared.task_reply(sender, ReplyBody::Pending, None);
    }
    state.senders.push(sender.clone());
    state.others.push(incoming);
}

/// A task that cannot be read is none that can ever be done: it must not come back. It goes aside where there is a queue for
/// that, and stays where it is until the broker has it there.
fn unreadable(shared: &Arc<Shared>, acks: &Arc<Acks>, delivery: &Delivery, sender: Option<ReplyAddress>, reason: &str) {
    shared.statistics.dead_lettered();
    let body = wire::excerpt(&delivery.data);
    tracing::error!(reason, body, "a task cannot be read");
    let (shared, acks, tag) = (Arc::clone(shared), Arc::clone(acks), delivery.delivery_tag);
    let answer = ReplyBody::Exception(format!("the task cannot be read: {reason}"));
    let answer = move |shared: &Shared| {
        if let Some(sender) = &sender {
            shared.task_reply(sender, answer, None);
        }
    };
    let Some(aside) = shared.parking(delivery) else {
        acks.reject(tag);
        return answer(&shared);
    };
    tokio::spawn(async move {
        match shared.request(aside, false, limits::SEND).await {
            Ok(()) => {
                acks.settle(tag);
                shared.acknowledge(&acks);
                answer(&shared);
            }
            Err(error) => {
                tracing::error!(%error, "a task that cannot be read cannot be put aside; it goes back to its queue");
                shared.pause(limits::REJECTED).await;
                acks.requeue(tag);
            }
        }
    });
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
        shared.pause(limits::REJECTED).await;
    }
    shared.tasks.forgotten(&work);
    put_back(&shared, &work);
}

/// Nobody here does it, so another may. One that is done again for another sender was acknowledged when it was done first: only
/// its sender can have it done.
fn put_back(shared: &Shared, work: &Work) {
    let mut state = work.lock();
    if state.deliveries.is_empty() {
        for sender in &state.senders {
            let text = "the task was done for who sent it first, and could not be done again".to_owned();
            shared.task_reply(sender, ReplyBody::Exception(text), Some(&state.acks));
        }
    }
    for (acks, tag) in std::mem::take(&mut state.deliveries) {
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
    let (senders, owed) = (work.lock().senders.clone(), answer.is_none());
    let answer = answer.filter(|_| !senders.is_empty()).and_then(|answer| shared.task_answer(answer.into()));
    // Nobody joins it from now on.
    shared.tasks.finished(&work.id, Done { senders, owed, answer: answer.clone() });
    let mut state = work.lock();
    for (acks, tag) in std::mem::take(&mut state.deliveries) {
        acks.settle(tag);
    }
    if owed {
        // The subscriber answers the first sender himself, and is asked to do so for each of the others.
        let (others, acks) = (std::mem::take(&mut state.others), Arc::clone(&state.acks));
        drop(state);
        shared.acknowledge(&acks);
        for other in others {
            let work = shared.tasks.work(&other, &acks, Vec::new());
            tokio::spawn(again(Arc::clone(shared), work, other, shared.subscribers.tasks()));
        }
        return;
    }
    if let Some(answer) = answer {
        for sender in &state.senders {
            shared.send_task_answer(sender, Arc::clone(&answer), Some(&state.acks));
        }
    }
    shared.acknowledge(&state.acks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::communicator::AmqpOptions;

    /// Each time over another connection; those that are lost are forgotten.
    #[test]
    fn deliveries_of_lost_connections_are_not_kept() {
        let shared = Shared::new(AmqpOptions::new()).expect("options are good");
        let task = || Incoming::new("one", Node::Null);
        let lost = || Arc::new(Acks::default());
        let (work, _) = begin(&shared, &lost(), 1, task(), true).expect("it comes for the first time");
        for tag in 2..100 {
            assert!(begin(&shared, &lost(), tag, task(), true).is_none(), "it is joined");
        }
        assert_eq!(work.lock().deliveries.len(), 1);
    }

    #[test]
    fn senders_of_one_task_are_bounded() {
        let shared = Shared::new(AmqpOptions::new()).expect("options are good");
        let acks = Arc::new(Acks::default());
        let task = |number: usize| {
            let names = ["tasks".to_owned(), "replies".to_owned(), number.to_string()];
            let [exchange, queue, correlation_id] = names;
            Incoming {
                reply_to: Some(ReplyAddress { exchange, queue, correlation_id }),
                ..Incoming::new("one", Node::Null)
            }
        };
        let (work, _) = begin(&shared, &acks, 0, task(0), true).expect("it comes for the first time");
        for number in 1..limits::TASK_SENDERS + 10 {
            assert!(begin(&shared, &acks, 0, task(number), true).is_none(), "it is joined");
        }
        let state = work.lock();
        assert_eq!((state.senders.len(), state.others.len()), (limits::TASK_SENDERS, limits::TASK_SENDERS - 1));
    }
}
