//! Remote procedure calls.

use std::sync::Arc;
use uuid::Uuid;

use super::medium::{Callee, Medium};
use crate::communicator::body::answer_body;
use crate::communicator::subscription::{Subscription, follow_call, identifier_or_new};
use crate::communicator::{
    CommunicatorError, CommunicatorResult, IncomingRpc, Refusal, Reply, ReplyAddress, Rpc, RpcSubscriber,
};
use crate::message::ReplyBody;

impl Medium {
    pub(super) fn send_call(self: &Arc<Self>, id: Uuid, call: Rpc) -> CommunicatorResult<Reply> {
        let Rpc { recipient, body, deadlines } = call;
        let mut state = self.lock();
        state.member(id)?;
        let callee = state.callees.get(&recipient).and_then(|callees| callees.first()).cloned();
        let Some(Callee { member, subscription }) = callee else {
            return Err(CommunicatorError::Unroutable { recipient });
        };
        let answering = state.member(member)?;
        let Ok(permit) = Arc::clone(&answering.answering).try_acquire_owned() else {
            return Err(CommunicatorError::Limit("the other side has too many calls to answer"));
        };
        let (runtime, mut closed) = (answering.runtime.clone(), answering.closed.subscribe());
        let (to, reply) = self.await_reply(&mut state, id, deadlines.reply)?;
        drop(state);
        let mut answering = Answering { medium: Arc::clone(self), member, to, done: false };
        runtime.spawn(async move {
            let _permit = permit;
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => {}
                () = answer(&mut answering, &subscription, IncomingRpc::new(recipient, body)) => {}
            }
        });
        Ok(reply)
    }

    pub(super) fn add_rpc_subscriber(
        &self,
        id: Uuid,
        subscriber: Arc<dyn RpcSubscriber>,
        identifier: Option<String>,
    ) -> CommunicatorResult<String> {
        let mut state = self.lock();
        let room = state.room;
        let member = state.member(id)?;
        let identifier = identifier_or_new(identifier)?;
        if member.calls.contains(&identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        member.check_subscribers(room)?;
        member.calls.insert(identifier.clone());
        let callee = Callee { member: id, subscription: Arc::new(Subscription::new(subscriber)) };
        state.callees.entry(identifier.clone()).or_default().push(callee);
        Ok(identifier)
    }

    pub(super) fn remove_rpc_subscriber(
        &self,
        id: Uuid,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn RpcSubscriber>>> {
        let mut state = self.lock();
        state.member(id)?.calls.remove(identifier);
        let callees = state.callees.get_mut(identifier);
        let removed = callees.and_then(|callees| {
            let place = callees.iter().position(|callee| callee.member == id)?;
            Some((callees.remove(place), callees.is_empty()))
        });
        let (callee, last) = removed.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))?;
        if last {
            state.callees.remove(identifier);
        }
        Ok(callee.subscription)
    }
}

/// A call that is being answered.
struct Answering {
    medium: Arc<Medium>,
    member: Uuid,
    to: ReplyAddress,
    done: bool,
}

impl Drop for Answering {
    /// The runtime of the communicator has ended, or it was closed: it is lost, and there will be no answer.
    fn drop(&mut self) {
        if !self.done {
            self.medium.fail(&self.to, CommunicatorError::Disconnected(None));
            self.medium.close(self.member);
        }
    }
}

async fn answer(answering: &mut Answering, subscription: &Subscription<dyn RpcSubscriber>, call: IncomingRpc) {
    let recipient = call.recipient.clone();
    let entered = subscription.enter(|subscriber| subscriber.receive(call)).await;
    let Answering { medium, to, done, .. } = answering;
    let answered = match entered {
        Some(Ok(answered)) => answered,
        Some(Err(panic)) => Err(Refusal::Failed(panic)),
        None => {
            *done = true;
            return medium.fail(to, CommunicatorError::Unroutable { recipient });
        }
    };
    let answer = follow_call(answered, || medium.reply(to, ReplyBody::Pending)).await;
    *done = true;
    medium.reply(to, answer_body(answer));
}
