//! Broadcasts: each of the others is told them in order, by a task of its own.

use procession_transport::mesh::Uid;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::core::Core;
use super::wire::{self, Told};
use crate::communicator::body::check_body;
use crate::communicator::listener::Listener;
use crate::communicator::subscription::{Subscription, identifier_or_new};
use crate::communicator::{BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult, Confirmed};
use crate::limits;
use crate::message::Broadcast;

/// A broadcast for one communicator.
pub(super) struct Job {
    told: Arc<Told>,
    /// It has it; dropped: it is not there any more.
    done: oneshot::Sender<CommunicatorResult<()>>,
}

const LATE: CommunicatorError = CommunicatorError::Timeout { what: "sending", within: limits::SEND };

/// Tells one of the others what is queued for it: all that has gathered at once, and the next when it has that.
pub(super) async fn carry(core: Arc<Core>, uid: Uid, id: Uuid, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let mut bytes = job.told.body.len();
        let mut batch = vec![job];
        while bytes < limits::MESH_BATCH_BYTES && batch.len() < limits::MESH_BATCH {
            let Ok(job) = jobs.try_recv() else { break };
            bytes = bytes.saturating_add(job.told.body.len());
            batch.push(job);
        }
        let told: Vec<_> = batch.iter().map(|job| &*job.told).collect();
        let sent: Result<(), _> = core.ask(&uid, wire::BROADCASTS, &told, limits::SEND).await;
        let sent = match sent {
            Err(error) if wire::is_away(&error) => return core.gone(&uid, id),
            sent => sent.map_err(|error| wire::failed(error, limits::SEND)),
        };
        for job in batch {
            // Nobody need wait for it.
            let _ = job.done.send(sent.clone());
        }
    }
}

impl Core {
    /// Tells all, and waits until those who are there have it.
    pub(super) async fn send_broadcast(self: &Arc<Self>, broadcast: Broadcast) -> CommunicatorResult<()> {
        let sent = async { self.hand_over(broadcast).await?.await };
        timeout(limits::SEND, sent).await.unwrap_or(Err(LATE))
    }

    /// Queues a broadcast for each of the others, in the order in which this is called.
    pub(super) async fn hand_over(self: &Arc<Self>, broadcast: Broadcast) -> CommunicatorResult<Confirmed> {
        self.check_open()?;
        check_body(&broadcast.body)?;
        let told = Arc::new(Told::write(&broadcast)?);
        let queued = timeout(limits::SEND, self.queue(&told)).await.unwrap_or(Err(LATE))?;
        self.hear(&Arc::new(broadcast));
        let closed = self.closed.subscribe();
        Ok(Box::pin(async move {
            for done in queued {
                match done.await {
                    Ok(sent) => sent?,
                    Err(_) if *closed.borrow() => return Err(CommunicatorError::Closed),
                    // It went, as one that never was.
                    Err(_) => {}
                }
            }
            Ok(())
        }))
    }

    /// Queues it for all at once, as soon as there is room for it with each.
    async fn queue(&self, told: &Arc<Told>) -> CommunicatorResult<Vec<oneshot::Receiver<CommunicatorResult<()>>>> {
        loop {
            let (uid, id, full) = {
                let mut state = self.lock();
                let state = state.open()?;
                let full = state.members.iter().find(|(_, member)| member.queue.capacity() == 0);
                let Some((uid, member)) = full else {
                    let queued = state.members.values().filter_map(|member| {
                        let (done, ended) = oneshot::channel();
                        member.queue.try_send(Job { told: Arc::clone(told), done }).ok()?;
                        Some(ended)
                    });
                    return Ok(queued.collect());
                };
                (uid.clone(), member.id, member.queue.clone())
            };
            if full.reserve().await.is_err() {
                self.gone(&uid, id);
            }
        }
    }

    /// What another communicator tells.
    pub(super) fn told(&self, told: Vec<Told>) {
        for told in told {
            match told.read() {
                Ok(broadcast) => self.hear(&Arc::new(broadcast)),
                Err(error) => tracing::warn!(%error, "a broadcast is dropped"),
            }
        }
    }

    /// Tells its own subscribers.
    fn hear(&self, broadcast: &Arc<Broadcast>) {
        let mut state = self.lock();
        if state.listeners.is_empty() || !state.heard.first(broadcast.id.as_deref()) {
            return;
        }
        let listeners: Vec<_> = state.listeners.iter().map(|(name, of)| (name.clone(), Arc::clone(of))).collect();
        drop(state);
        for (identifier, listener) in listeners {
            listener.tell(&identifier, broadcast);
        }
    }

    pub(super) fn add_broadcast_subscriber(
        &self,
        subscriber: Arc<dyn BroadcastSubscriber>,
        filter: BroadcastFilter,
        identifier: Option<String>,
    ) -> CommunicatorResult<String> {
        let mut state = self.lock();
        state.open()?;
        let identifier = identifier_or_new(identifier)?;
        if state.listeners.contains_key(&identifier) {
            return Err(CommunicatorError::Duplicate(identifier));
        }
        state.check_subscribers()?;
        let (listener, hears) = Listener::new(&identifier, subscriber, filter, self.closed.subscribe());
        state.listeners.insert(identifier.clone(), Arc::new(listener));
        drop(state);
        self.runtime.spawn(hears);
        Ok(identifier)
    }

    pub(super) fn remove_broadcast_subscriber(
        &self,
        identifier: &str,
    ) -> CommunicatorResult<Arc<Subscription<dyn BroadcastSubscriber>>> {
        let removed = self.lock().open()?.listeners.remove(identifier);
        let listener = removed.ok_or_else(|| CommunicatorError::Unknown(identifier.to_owned()))?;
        Ok(Arc::clone(listener.subscription()))
    }
}
