//! What the communicators of one medium share: who they are, and the replies that they wait for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::task::{Message, Queue};
use crate::communicator::heard::Heard;
use crate::communicator::listener::Listener;
use crate::communicator::subscription::{Room, Subscription};
use crate::communicator::{
    CommunicatorError, CommunicatorResult, Replier, Reply, ReplyAddress, RpcSubscriber, TaskSubscriber,
};
use crate::limits;
use crate::message::ReplyBody;

/// The exchange of addresses in this process.
const EXCHANGE: &str = "local";

/// What carries the messages.
///
/// No code of users runs under its lock, and nothing is spawned or dropped there that would come back to it.
#[derive(Default)]
pub(super) struct Medium(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    pub(super) room: Room,
    /// What messages and replies are known by.
    last_number: u64,
    pub(super) members: BTreeMap<Uuid, Member>,
    pub(super) queues: HashMap<String, Queue>,
    /// Tasks in all queues.
    pub(super) waiting: usize,
    /// Who was given a task last.
    pub(super) served: Uuid,
    /// Who answers calls to an identifier; the first does.
    pub(super) callees: HashMap<String, Vec<Callee>>,
}

/// A subscriber of calls.
#[derive(Clone)]
pub(super) struct Callee {
    pub(super) member: Uuid,
    pub(super) subscription: Arc<Subscription<dyn RpcSubscriber>>,
}

/// An open communicator.
pub(super) struct Member {
    pub(super) runtime: Handle,
    pub(super) closed: watch::Sender<bool>,
    /// In the order in which they were added.
    pub(super) tasks: Vec<(String, Arc<Subscription<dyn TaskSubscriber>>)>,
    pub(super) calls: HashSet<String>,
    pub(super) broadcasts: HashMap<String, Arc<Listener>>,
    /// Which broadcasts have come lately.
    pub(super) heard: Heard,
    /// Tasks that it has and has not answered.
    pub(super) held: HashMap<u64, Message>,
    /// Calls that it may begin to answer.
    pub(super) answering: Arc<Semaphore>,
    replies: HashMap<u64, Arc<Replier>>,
}

impl Member {
    fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            closed: watch::Sender::new(false),
            tasks: Vec::new(),
            calls: HashSet::new(),
            broadcasts: HashMap::new(),
            heard: Heard::default(),
            held: HashMap::new(),
            answering: Arc::new(Semaphore::new(limits::CALLS_AT_ONCE)),
            replies: HashMap::new(),
        }
    }

    /// How many replies it waits for.
    #[cfg(test)]
    pub(super) fn awaited(&self) -> usize {
        self.replies.len()
    }

    /// Refuses one subscriber more than there may be.
    pub(super) fn check_subscribers(&self, room: Room) -> CommunicatorResult<()> {
        room.for_subscriber(self.tasks.len() + self.calls.len() + self.broadcasts.len())
    }
}

impl State {
    /// An open communicator.
    pub(super) fn member(&mut self, id: Uuid) -> CommunicatorResult<&mut Member> {
        self.members.get_mut(&id).ok_or(CommunicatorError::Closed)
    }

    /// A number that was not given before.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Medium {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One communicator more: its name, and whether it was closed.
    pub(super) fn join(&self, runtime: Handle) -> (Uuid, watch::Receiver<bool>) {
        let (id, member) = (Uuid::now_v7(), Member::new(runtime));
        let closed = member.closed.subscribe();
        self.lock().members.insert(id, member);
        (id, closed)
    }

    pub(super) fn check_open(&self, id: Uuid) -> CommunicatorResult<()> {
        self.lock().member(id).map(|_| ())
    }

    /// One communicator less: its tasks go back, its calls are answered no more, its replies do not come.
    pub(super) fn close(self: &Arc<Self>, id: Uuid) {
        let mut state = self.lock();
        let Some(mut member) = state.members.remove(&id) else { return };
        for identifier in &member.calls {
            if let Some(callees) = state.callees.get_mut(identifier) {
                callees.retain(|callee| callee.member != id);
                if callees.is_empty() {
                    state.callees.remove(identifier);
                }
            }
        }
        for message in std::mem::take(&mut member.held).into_values() {
            state.put_back(message);
        }
        drop(state);
        member.closed.send_replace(true);
        for replier in member.replies.values() {
            replier.end(Err(CommunicatorError::Closed));
        }
        self.dispatch();
    }

    /// Takes a reply into the table of who waits for it.
    pub(super) fn await_reply(
        self: &Arc<Self>,
        state: &mut State,
        id: Uuid,
        within: Duration,
    ) -> CommunicatorResult<(ReplyAddress, Reply)> {
        let number = state.number();
        let room = state.room;
        let member = state.member(id)?;
        room.for_reply(member.replies.len())?;
        let (replier, reply) = Reply::new(within);
        let medium = Arc::downgrade(self);
        replier.on_forgotten(move || {
            let Some(medium) = medium.upgrade() else { return };
            // What was removed is dropped after the lock.
            let _forgotten = medium.lock().members.get_mut(&id).map(|member| member.replies.remove(&number));
        });
        member.replies.insert(number, Arc::new(replier));
        let address =
            ReplyAddress { exchange: EXCHANGE.to_owned(), queue: id.to_string(), correlation_id: number.to_string() };
        Ok((address, reply))
    }

    /// Gives a reply to who waits for it, if somebody does.
    pub(super) fn reply(&self, to: &ReplyAddress, body: ReplyBody) {
        let last = !matches!(body, ReplyBody::Pending);
        if let Some(replier) = self.replier(to, last) {
            replier.receive(body);
        }
    }

    /// Ends a reply for which no answer comes.
    pub(super) fn fail(&self, to: &ReplyAddress, error: CommunicatorError) {
        if let Some(replier) = self.replier(to, true) {
            replier.end(Err(error));
        }
    }

    fn replier(&self, to: &ReplyAddress, last: bool) -> Option<Arc<Replier>> {
        let (id, number) = (to.queue.parse::<Uuid>().ok()?, to.correlation_id.parse::<u64>().ok()?);
        let mut state = self.lock();
        let replies = &mut state.members.get_mut(&id)?.replies;
        if last { replies.remove(&number) } else { replies.get(&number).cloned() }
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Medium").finish_non_exhaustive()
    }
}
