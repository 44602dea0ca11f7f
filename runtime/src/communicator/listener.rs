//! Subscribers of broadcasts, as communicators have them that tell each beside the others.

use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::subscription::Subscription;
use super::{BroadcastFilter, BroadcastSubscriber};
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
    /// A subscriber, and what tells it one broadcast after the other, until it is removed or the communicator is closed.
    pub(super) fn new(
        identifier: &str,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        closed: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (inbox, broadcasts) = mpsc::channel(limits::BROADCASTS_WAITING);
        let subscription = Arc::new(Subscription::new(subscriber));
        let hears = listen(identifier.to_owned(), Arc::clone(&subscription), broadcasts, closed);
        (Self { filter, subscription, inbox }, hears)
    }

    pub(super) fn subscription(&self) -> &Arc<Subscription<dyn BroadcastSubscriber>> {
        &self.subscription
    }

    /// Gives it a broadcast if its filter lets it pass.
    pub(super) fn tell(&self, identifier: &str, broadcast: &Arc<Broadcast>) {
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
