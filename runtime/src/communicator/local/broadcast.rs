//! Broadcasts.

use std::sync::Arc;
use uuid::Uuid;

use super::medium::Medium;
use crate::communicator::listener::Listener;
use crate::communicator::subscription::{Subscription, identifier_or_new};
use crate::communicator::{BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult};
use crate::message::Broadcast;

impl Medium {
    pub(super) fn send_broadcast(&self, id: Uuid, broadcast: Broadcast) -> CommunicatorResult<()> {
        let mut state = self.lock();
        state.member(id)?;
        let mut listeners = Vec::new();
        for member in state.members.values_mut().filter(|member| !member.broadcasts.is_empty()) {
            if member.heard.first(broadcast.id.as_deref()) {
                listeners.extend(member.broadcasts.iter().map(|(name, listener)| (name.clone(), Arc::clone(listener))));
            }
        }
        drop(state);
        let broadcast = Arc::new(broadcast);
        for (identifier, listener) in listeners {
            listener.tell(&identifier, &broadcast);
        }
        Ok(())
    }

    pub(super) fn add_broadcast_subscriber(
        &self,
        id: Uuid,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> CommunicatorResult<String> {
        let mut state = self.lock();
        let room = state.room;
        let member = state.member(id)?;
        let identifier = identifier_or_new(identifier)?;
        if member.broadcasts.contains_key(&identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        member.check_subscribers(room)?;
        let (listener, hears) = Listener::new(&identifier, subscriber, filter, member.closed.subscribe());
        member.broadcasts.insert(identifier.clone(), Arc::new(listener));
        let runtime = member.runtime.clone();
        drop(state);
        runtime.spawn(hears);
        Ok(identifier)
    }

    pub(super) fn remove_broadcast_subscriber(
        &self,
        id: Uuid,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn BroadcastSubscriber>>> {
        let removed = self.lock().member(id)?.broadcasts.remove(identifier);
        let listener = removed.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))?;
        Ok(Arc::clone(listener.subscription()))
    }
}
