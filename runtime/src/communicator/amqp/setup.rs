//! What is set up over a connection: that which is desired when it begins, and all that changes from then on.

use lapin::Channel;
use lapin::types::ShortString;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use uuid::Uuid;

use super::consume::{self, TaskReader};
use super::session::Channels;
use super::shared::{AmqpConnection, Shared};
use super::{topology, wire};
use crate::communicator::CommunicatorResult;
use crate::limits;

pub(super) struct Setup {
    shared: Arc<Shared>,
    channels: Arc<Channels>,
    /// The queue of calls.
    calls: ShortString,
    /// Whether it is consumed: from the first subscriber on.
    calls_consumed: bool,
    tasks_consumed: Option<Consumed>,
    broadcasts_consumed: Option<Consumed>,
    consumers: JoinSet<()>,
    failing: mpsc::Sender<String>,
}

/// A consumer that may be cancelled.
struct Consumed {
    /// Which is deleted with it; none if it is not our own.
    private: Option<ShortString>,
    tag: ShortString,
    /// Ends when nothing comes any more.
    ended: JoinHandle<()>,
    /// It was cancelled here: its end is no failure.
    cancelled: Arc<AtomicBool>,
}

impl Drop for Consumed {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.ended.abort();
    }
}

impl Setup {
    pub(super) fn new(
        shared: &Arc<Shared>,
        channels: &Arc<Channels>,
        failing: mpsc::Sender<String>,
    ) -> CommunicatorResult<Self> {
        Ok(Self {
            shared: Arc::clone(shared),
            channels: Arc::clone(channels),
            calls: wire::short(format!("amq_{}", Uuid::new_v4().simple()))?,
            calls_consumed: false,
            tasks_consumed: None,
            broadcasts_consumed: None,
            consumers: JoinSet::new(),
            failing,
        })
    }

    pub(super) async fn consume_replies(&mut self) -> lapin::Result<()> {
        let Channels { messages, outlet, .. } = &*self.channels;
        let names = &self.shared.names;
        let of_tasks = topology::replies(messages, &names.task_exchange, &outlet.task_replies).await?;
        let of_calls = topology::replies(messages, &names.message_exchange, &outlet.call_replies).await?;
        for consumer in [of_tasks, of_calls] {
            let (shared, failing) = (Arc::clone(&self.shared), self.failing.clone());
            self.consumers.spawn(consume::replies(shared, consumer, failing));
        }
        self.consumers.spawn(consume::acknowledgements(Arc::clone(&self.shared), Arc::clone(&self.channels.acks)));
        Ok(())
    }

    pub(super) fn stop_consuming(&mut self) {
        self.consumers.abort_all();
        (self.tasks_consumed, self.broadcasts_consumed) = (None, None);
    }

    /// Takes no further tasks; those that had come and were not begun go back.
    pub(super) async fn stop_taking_tasks(&mut self) {
        let Some(consumed) = self.tasks_consumed.take() else { return };
        if let Err(error) = cancel(&self.channels.tasks, consumed).await {
            tracing::warn!(%error, "the consumer of tasks cannot be cancelled");
        }
    }

    /// Sets up what is desired, says that the connection is there, and goes on with what changes. Ends where that fails, and gives why.
    pub(super) async fn keep_in_step(&mut self) -> String {
        let shared = Arc::clone(&self.shared);
        shared.subscribers.accept();
        if let Err(why) = self.catch_up().await {
            return why;
        }
        shared.publisher.connect(self.channels.outlet.clone());
        *shared.channels.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&self.channels));
        let blocked = self.channels.is_blocked();
        shared.connection.send_replace(if blocked { AmqpConnection::Blocked } else { AmqpConnection::Connected });
        loop {
            tokio::select! {
                () = shared.publisher.failed() => return "the channel for publishing failed".to_owned(),
                () = shared.subscribers.changed() => {}
            }
            if let Err(why) = self.catch_up().await {
                return why;
            }
        }
    }

    /// Sets up what has changed, in parts, each with a deadline of its own: many subscribers take longer than few.
    async fn catch_up(&mut self) -> Result<(), String> {
        while let Some(changes) = self.shared.subscribers.changes() {
            self.bind(&changes.bind).await?;
            self.unbind(&changes.unbind).await?;
            if changes.consumers {
                self.consume().await?;
            }
            self.shared.subscribers.applied(&changes);
        }
        Ok(())
    }

    async fn bind(&mut self, identifiers: &[String]) -> Result<(), String> {
        let Some(last) = identifiers.len().checked_sub(1) else { return Ok(()) };
        let Self { shared, channels, calls, .. } = self;
        let messages = &channels.messages;
        if !self.calls_consumed {
            // A channel of its own: what has come on it is acknowledged together.
            let consumer = answer(shared, topology::calls(&channels.calls, calls)).await?;
            let calls = consume::calls(Arc::clone(shared), channels.calls.clone(), consumer, self.failing.clone());
            self.consumers.spawn(calls);
            self.calls_consumed = true;
        }
        let exchange = &shared.names.message_exchange;
        let binding = async {
            for (place, identifier) in identifiers.iter().enumerate() {
                topology::bind(messages, calls, exchange, &key_of(identifier), place < last).await?;
            }
            Ok(())
        };
        answer(shared, binding).await
    }

    async fn unbind(&mut self, identifiers: &[String]) -> Result<(), String> {
        let (messages, queue) = (&self.channels.messages, &self.calls);
        let exchange = &self.shared.names.message_exchange;
        let mut unbinding: Vec<Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>> = Vec::new();
        for identifier in identifiers {
            let key = key_of(identifier);
            unbinding.push(Box::pin(async move { topology::unbind(messages, queue, exchange, &key).await }));
        }
        answer(&self.shared, together(unbinding)).await
    }

    /// Consumes tasks and broadcasts while someone wants them.
    async fn consume(&mut self) -> Result<(), String> {
        let (tasks, broadcasts) = self.shared.subscribers.wanted();
        let (shared, channels) = (&self.shared, &self.channels);
        match (broadcasts, self.broadcasts_consumed.take()) {
            (true, None) => {
                // Another name each time: nothing depends on whether the one before is gone.
                let queue = wire::short(format!("broadcast-{}", Uuid::new_v4().simple())).unwrap_or_default();
                let exchange = &shared.names.message_exchange;
                let consumer = answer(shared, topology::broadcasts(&channels.messages, exchange, &queue)).await?;
                let tag = consumer.tag();
                let (messages, failing) = (channels.messages.clone(), self.failing.clone());
                let cancelled = Arc::default();
                let hearing =
                    consume::broadcasts(Arc::clone(shared), messages, consumer, Arc::clone(&cancelled), failing);
                self.broadcasts_consumed =
                    Some(Consumed { private: Some(queue), tag, ended: tokio::spawn(hearing), cancelled });
            }
            (false, Some(consumed)) => answer(shared, cancel(&channels.messages, consumed)).await?,
            (_, same) => self.broadcasts_consumed = same,
        }
        match (tasks, self.tasks_consumed.take()) {
            (true, None) => {
                let consumer = answer(shared, topology::consume(&channels.tasks, &shared.names.task_queue)).await?;
                let tag = consumer.tag();
                let acks = Arc::clone(&channels.acks);
                let (cancelled, failing) = (Arc::<AtomicBool>::default(), self.failing.clone());
                let reader = TaskReader { shared: Arc::clone(shared), cancelled: Arc::clone(&cancelled), failing };
                let taking = consume::tasks(reader, acks, consumer);
                let runtime = shared.subscribers.task_runtime().filter(|_| !shared.deserted.load(Ordering::Relaxed));
                let ended = match runtime {
                    Some(runtime) => runtime.spawn(taking),
                    None => tokio::spawn(taking),
                };
                self.tasks_consumed = Some(Consumed { private: None, tag, ended, cancelled });
            }
            (false, Some(consumed)) => answer(shared, cancel(&channels.tasks, consumed)).await?,
            (_, same) => self.tasks_consumed = same,
        }
        Ok(())
    }
}

/// What the broker answers. One that takes nothing for now, since it lacks memory or disk, may take as long as that lasts.
async fn answer<T>(shared: &Shared, asking: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    let mut asking = pin!(asking);
    let mut connection = shared.connection.subscribe();
    loop {
        match timeout(limits::CONNECT, asking.as_mut()).await {
            Ok(answer) => return answer.map_err(|error| error.to_string()),
            // It may have been so until a moment ago. Others see to it that the connection is not lost meanwhile.
            Err(_) if connection.has_changed().unwrap_or_default() => connection.mark_unchanged(),
            Err(_) if *connection.borrow() == AmqpConnection::Blocked => {}
            Err(_) => return Err("the broker does not answer".to_owned()),
        }
    }
}

/// Cancels a consumer, waits until what had come is dealt with, and deletes its queue if nobody else has it.
async fn cancel(channel: &Channel, mut consumed: Consumed) -> lapin::Result<()> {
    consumed.cancelled.store(true, Ordering::Relaxed);
    topology::cancel(channel, consumed.tag.clone()).await?;
    // It ends, or was aborted.
    let _ = (&mut consumed.ended).await;
    match &consumed.private {
        Some(queue) => topology::delete(channel, queue).await,
        None => Ok(()),
    }
}

fn key_of(identifier: &str) -> ShortString {
    // Identifiers are checked when they are added: they are short enough.
    wire::short(format!("{}{identifier}", wire::RPC)).unwrap_or_default()
}

/// Starts all, in order; then awaits them.
async fn together(mut all: Vec<Pin<Box<dyn Future<Output = lapin::Result<()>> + Send + '_>>>) -> lapin::Result<()> {
    let mut result = Ok(());
    std::future::poll_fn(|context| {
        // What is there already is not awaited.
        all.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(done) => {
                if result.is_ok() {
                    result = done;
                }
                false
            }
        });
        Poll::Ready(())
    })
    .await;
    for one in all {
        let done = one.await;
        if result.is_ok() {
            result = done;
        }
    }
    result
}
