//! Broadcasts.

use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::medium::Medium;
use crate::communicator::subscription::{Subscription, identifier_or_new};
use crate::communicator::{BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult};
use crate::limits;
use crate::message::Broadcast;
use crate::runner::caught;

/// A subscriber of broadcasts.
pub(super) struct Listener {
    filter: BroadcastFilter,
    subscription: Arc<Subscription<dyn BroadcastSubscriber>>,
    inbox: mpsc::Sender<Arc<Broadcast>>,
}

impl Listener {
    /// Gives it a broadcast if its filter lets it pass.
    fn tell(&self, identifier: &str, broadcast: &Arc<Broadcast>) {
        match caught(|| self.filter.passes(broadcast)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(panic) => {
                tracing::error!(identifier, %panic, "a filter of broadcasts panicked");
                return;
            }
        }
        if let Err(TrySendError::Full(_)) = self.inbox.try_send(Arc::clone(broadcast)) {
            tracing::warn!(
                identifier,
                subject = broadcast.subject,
                "a subscriber is too far behind to hear a broadcast"
            );
        }
    }
}

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
        let (inbox, broadcasts) = mpsc::channel(limits::BROADCASTS_WAITING);
        let subscription = Arc::new(Subscription::new(subscriber));
        let listener = Listener { filter, subscription: Arc::clone(&subscription), inbox };
        member.broadcasts.insert(identifier.clone(), Arc::new(listener));
        let (runtime, closed) = (member.runtime.clone(), member.closed.subscribe());
        drop(state);
        runtime.spawn(listen(identifier.clone(), subscription, broadcasts, closed));
        Ok(identifier)
    }

    pub(super) fn remove_broadcast_subscriber(
        &self,
        id: Uuid,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn BroadcastSubscriber>>> {
        let removed = self.lock().member(id)?.broadcasts.remove(identifier);
        let listener = removed.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))?;
        Ok(Arc::clone(&listener.subscription))
    }
}

/// Tells a subscriber one broadcast after the other.
async fn listen(
    identifier: String,
    subscription: Arc<Subscription<dyn BroadcastSubscriber>>,
    mut broadcasts: mpsc::Receiver<Arc<Broadcast>>,
    mut closed: watch::Receiver<bool>,
) {
    let hear = async {
        while let Some(broadcast) = broadcasts.recv().await {
            match subscription.enter(|subscriber| subscriber.receive(broadcast)).await {
                Some(Ok(())) => {}
                Some(Err(panic)) => tracing::error!(identifier, panic, "a subscriber of broadcasts failed"),
                None => return,
            }
        }
    };
    tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => {}
        () = hear => {}
    }
}
