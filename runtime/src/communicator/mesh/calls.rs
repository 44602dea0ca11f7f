//! Remote procedure calls: finding who has an identifier, answering, and what answers do where they arrive.

use procession_transport::TransportErrorKind;
use procession_transport::mesh::{MeshErrorKind, Uid};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::core::Core;
use super::wire::{self, Call, End, Progress, Taken};
use crate::communicator::body::{answer_body, check_body};
use crate::communicator::subscription::{Subscription, follow_call, identifier_or_new};
use crate::communicator::{
    CommunicatorError, CommunicatorResult, IncomingRpc, Refusal, Replier, Reply, Rpc, RpcSubscriber, check_identifier,
};
use crate::limits;
use crate::message::{Node, ReplyBody};

/// How often someone is looked for who has an identifier, and has it no more when it is called.
const ROUNDS: u32 = 8;
const BUSY: CommunicatorError = CommunicatorError::Limit("the other side has too many calls to answer");

/// A call whose answer is waited for.
pub(super) struct Waiting {
    replier: Replier,
    /// How often it was heard that the answer follows. Locked while the reply is told, so that no level overtakes the end.
    levels: Mutex<u32>,
    /// Who answers.
    of: Mutex<Option<Uid>>,
}

impl Waiting {
    pub(super) fn is_of(&self, uid: &Uid) -> bool {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(uid)
    }

    pub(super) fn fail(&self, error: CommunicatorError) {
        self.replier.end(Err(error));
    }

    /// Gives on how far the answer is; whether that was the end.
    fn advance(&self, levels: u32, end: Option<CommunicatorResult<End<ReplyBody>>>) -> bool {
        let mut heard = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        while *heard < levels {
            *heard += 1;
            if self.replier.pending() {
                return true;
            }
        }
        match end {
            None => return false,
            Some(Ok(End::Answer(body))) => drop(self.replier.receive(body)),
            Some(Ok(End::Nobody(recipient))) => self.fail(CommunicatorError::Unroutable { recipient }),
            Some(Err(error)) => self.fail(error),
        }
        true
    }
}

/// Whose call is answered.
enum To {
    /// The communicator's own.
    Own(u64),
    Peer {
        uid: Uid,
        id: Uuid,
        number: u64,
    },
}

impl Core {
    pub(super) async fn send_call(self: &Arc<Self>, call: Rpc) -> CommunicatorResult<Reply> {
        let Rpc { recipient, body, deadlines } = call;
        self.check_open()?;
        check_identifier(&recipient)?;
        check_body(&body)?;
        let (number, reply) = self.await_reply(deadlines.reply)?;
        let is_own = self.lock().callees.contains_key(&recipient);
        if is_own {
            match self.take(To::Own(number), IncomingRpc::new(recipient.as_str(), body.clone())) {
                Taken::Arrived => return Ok(reply),
                Taken::Busy => return Err(BUSY),
                // It was removed just now, and another may have it.
                _ => {}
            }
        }
        let call = Call { from: self.id, number, recipient, body: wire::encode(&body)? };
        let late = CommunicatorError::Timeout { what: "sending", within: deadlines.send };
        let mut closed = self.closed.subscribe();
        let sent = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(CommunicatorError::Closed),
            sent = timeout(deadlines.send, self.route(&call, deadlines.send)) => sent.unwrap_or(Err(late)),
        };
        // From when it is on its way.
        sent.map(|()| reply.within(deadlines.reply))
    }

    /// Gives a call to who has its identifier.
    async fn route(self: &Arc<Self>, call: &Call, within: Duration) -> CommunicatorResult<()> {
        for _ in 0..ROUNDS {
            let known = self.lock().known.get(&call.recipient).cloned();
            let uid = match known {
                Some(uid) => uid,
                None => match self.find(&call.recipient, within).await? {
                    Some(uid) => uid,
                    None => break,
                },
            };
            self.expect_of(call.number, &uid)?;
            match self.ask(&uid, wire::CALL, call, within).await {
                Ok(Taken::Arrived) => {
                    self.know(&call.recipient, uid);
                    return Ok(());
                }
                Ok(Taken::Busy) => return Err(BUSY),
                Ok(Taken::Malformed(reason)) => return Err(CommunicatorError::Malformed { what: "read", reason }),
                Ok(Taken::Nobody) => {}
                Err(error) if wire::is_away(&error) => {}
                Err(error) => return Err(wire::failed(error, within)),
            }
            let mut state = self.lock();
            if state.known.get(&call.recipient) == Some(&uid) {
                state.known.remove(&call.recipient);
            }
        }
        Err(CommunicatorError::Unroutable { recipient: call.recipient.clone() })
    }

    /// Remembers who has an identifier.
    fn know(&self, recipient: &str, uid: Uid) {
        let mut state = self.lock();
        if !state.members.contains_key(&uid) {
            return;
        }
        if state.known.len() >= limits::MESH_KNOWN {
            state.known.clear();
        }
        state.known.insert(recipient.to_owned(), uid);
    }

    /// Asks all others who has an identifier; the first that says so.
    async fn find(self: &Arc<Self>, recipient: &str, within: Duration) -> CommunicatorResult<Option<Uid>> {
        let recipient: Arc<str> = recipient.into();
        let members: Vec<_> = self.lock().members.keys().cloned().collect();
        let mut members = members.into_iter();
        let mut asked = JoinSet::new();
        let mut unsure = None;
        loop {
            while asked.len() < limits::MESH_AT_ONCE
                && let Some(uid) = members.next()
            {
                let (core, recipient) = (Arc::clone(self), Arc::clone(&recipient));
                asked.spawn(async move {
                    let has = core.ask(&uid, wire::HAS, &*recipient, within).await;
                    (uid, has)
                });
            }
            match asked.join_next().await {
                Some(Ok((uid, Ok(true)))) => return Ok(Some(uid)),
                Some(Ok((_, Err(error)))) if !wire::is_away(&error) && !is_lost(&error) => unsure = Some(error),
                Some(_) => {}
                None => break,
            }
        }
        // Who did not say may have it.
        unsure.map_or(Ok(None), |error| Err(wire::failed(error, within)))
    }

    fn await_reply(self: &Arc<Self>, within: Duration) -> CommunicatorResult<(u64, Reply)> {
        let mut state = self.lock();
        state.open()?;
        state.room.for_reply(state.replies.len())?;
        state.last_number += 1;
        let number = state.last_number;
        let (replier, reply) = Reply::new(within);
        let core = Arc::downgrade(self);
        replier.on_forgotten(move || {
            let Some(core) = core.upgrade() else { return };
            // What was removed is dropped after the lock.
            let _forgotten = core.lock().replies.remove(&number);
        });
        let waiting = Waiting { replier, levels: Mutex::new(0), of: Mutex::default() };
        state.replies.insert(number, Arc::new(waiting));
        Ok((number, reply))
    }

    /// The answer is that of this runtime: without it there will be none.
    fn expect_of(&self, number: u64, uid: &Uid) -> CommunicatorResult<()> {
        let waiting = self.lock().open()?.replies.get(&number).cloned();
        if let Some(waiting) = waiting {
            *waiting.of.lock().unwrap_or_else(PoisonError::into_inner) = Some(uid.clone());
        }
        Ok(())
    }

    /// Another communicator calls.
    pub(super) fn called(self: &Arc<Self>, uid: &Uid, call: Call) -> Taken {
        match wire::decode(&call.body) {
            Ok(body) => {
                let to = To::Peer { uid: uid.clone(), id: call.from, number: call.number };
                self.take(to, IncomingRpc::new(call.recipient, body))
            }
            Err(error) => Taken::Malformed(error.to_string()),
        }
    }

    /// Begins to answer a call.
    fn take(self: &Arc<Self>, to: To, call: IncomingRpc) -> Taken {
        let subscription = self.lock().callees.get(&call.recipient).cloned();
        let Some(subscription) = subscription else { return Taken::Nobody };
        let Ok(permit) = Arc::clone(&self.answering).try_acquire_owned() else { return Taken::Busy };
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            let mut closed = core.closed.subscribe();
            let answer = tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => return,
                answer = core.answer(&to, &subscription, call) => answer,
            };
            let sending = core.sending.read().await;
            core.tell(&to, answer.0, Some(answer.1)).await;
            drop((sending, permit));
        });
        Taken::Arrived
    }

    /// Answers a call: how often it was said that the answer follows, and the end.
    async fn answer(
        &self,
        to: &To,
        subscription: &Subscription<dyn RpcSubscriber>,
        call: IncomingRpc,
    ) -> (u32, End<ReplyBody>) {
        let recipient = call.recipient.clone();
        let answered = match subscription.enter(|subscriber| subscriber.receive(call)).await {
            Some(Ok(answered)) => answered,
            Some(Err(panic)) => Err(Refusal::Failed(panic)),
            None => return (0, End::Nobody(recipient)),
        };
        let (count, mut levels) = watch::channel(0_u32);
        let telling = async {
            while levels.changed().await.is_ok() {
                let levels = *levels.borrow_and_update();
                self.tell(to, levels, None).await;
            }
            std::future::pending::<Infallible>().await
        };
        let answer: Result<Node, Refusal> = tokio::select! {
            biased;
            answer = follow_call(answered, || count.send_modify(|levels| *levels += 1)) => answer,
            // What was not told yet is told with the end.
            never = telling => match never {},
        };
        let levels = *count.borrow();
        (levels, End::Answer(answer_body(answer)))
    }

    /// Tells the caller how far the answer is.
    async fn tell(&self, to: &To, levels: u32, end: Option<End<ReplyBody>>) {
        let (uid, id, number) = match to {
            To::Own(number) => return self.advance(*number, None, levels, end.map(Ok)),
            To::Peer { uid, id, number } => (uid, *id, *number),
        };
        let Ok(end) = end.map(End::write).transpose() else { return };
        let progress = Progress { to: id, number, levels, end };
        let told: Result<(), _> = self.ask(uid, wire::ANSWER, &progress, limits::SEND).await;
        let Err(error) = told else { return };
        if error.kind() == MeshErrorKind::Transport(TransportErrorKind::Invalid) && progress.end.is_some() {
            let refused = ReplyBody::Exception(wire::failed(error, limits::SEND).to_string());
            if let Ok(end) = End::Answer(refused).write() {
                let progress = Progress { end: Some(end), ..progress };
                let _: Result<(), _> = self.ask(uid, wire::ANSWER, &progress, limits::SEND).await;
            }
        } else {
            tracing::debug!(%uid, %error, "an answer was not sent");
        }
    }

    /// Another communicator answers.
    pub(super) fn answered(&self, uid: &Uid, progress: Progress) {
        if progress.to == self.id {
            self.advance(progress.number, Some(uid), progress.levels, progress.end.map(End::read));
        }
    }

    fn advance(&self, number: u64, of: Option<&Uid>, levels: u32, end: Option<CommunicatorResult<End<ReplyBody>>>) {
        let waiting = self.lock().replies.get(&number).cloned();
        let Some(waiting) = waiting.filter(|waiting| of.is_none_or(|of| waiting.is_of(of))) else { return };
        if waiting.advance(levels, end) {
            // What was removed is dropped after the lock.
            let _removed = self.lock().replies.remove(&number);
        }
    }

    pub(super) fn add_rpc_subscriber(
        &self,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<String> {
        let mut state = self.lock();
        state.open()?;
        let identifier = identifier_or_new(identifier)?;
        if state.callees.contains_key(&identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        state.check_subscribers()?;
        state.callees.insert(identifier.clone(), Arc::new(Subscription::new(subscriber)));
        Ok(identifier)
    }

    pub(super) fn remove_rpc_subscriber(
        &self,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn RpcSubscriber>>> {
        let removed = self.lock().open()?.callees.remove(identifier);
        removed.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))
    }
}

fn is_lost(error: &procession_transport::mesh::MeshError) -> bool {
    error.kind() == MeshErrorKind::Disconnected
}
