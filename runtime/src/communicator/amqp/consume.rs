//! What comes: read from its consumer in batches, as many as are there.

use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Channel, Consumer};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio::sync::mpsc;

use super::acks::{Acks, send};
use super::at_work::Place;
use super::shared::Shared;
use super::{tasks, wire};
use crate::communicator::subscription::{Subscription, follow_call};
use crate::communicator::{IncomingRpc, Refusal, ReplyAddress, RpcSubscriber};
use crate::limits;
use crate::message::ReplyBody;

/// Messages that are dealt with in one go; acknowledgements wait for the end of it.
const BATCH: usize = 32;

/// What has come, at least one message; none if nothing comes any more.
async fn batch(consumer: &mut Consumer) -> Result<Vec<Delivery>, Option<lapin::Error>> {
    // A consumer that always has more must not keep the others of this thread waiting.
    tokio::task::yield_now().await;
    let mut batch = Vec::new();
    std::future::poll_fn(|context| {
        while batch.len() < BATCH {
            match futures_core::Stream::poll_next(Pin::new(&mut *consumer), context) {
                Poll::Ready(Some(Ok(delivery))) => batch.push(delivery),
                Poll::Ready(ended) if batch.is_empty() => return Poll::Ready(Err(ended.and_then(Result::err))),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                _ => break,
            }
        }
        Poll::Ready(Ok(std::mem::take(&mut batch)))
    })
    .await
}

/// Says that a consumer has ended that should not have.
fn ended(failing: &mpsc::Sender<String>, what: &str, error: Option<lapin::Error>) {
    let why = match error {
        Some(error) => format!("the consumer of {what} failed: {error}"),
        None => format!("the broker cancelled the consumer of {what}"),
    };
    // One failure is enough.
    let _ = failing.try_send(why);
}

pub(super) async fn replies(shared: Arc<Shared>, mut consumer: Consumer, failing: mpsc::Sender<String>) {
    loop {
        match batch(&mut consumer).await {
            Ok(batch) => {
                for delivery in batch {
                    let correlation_id = delivery.properties.correlation_id().as_ref();
                    let correlation_id = correlation_id.map_or("", lapin::types::ShortString::as_str);
                    shared.replies.arrived(correlation_id, &delivery.data);
                }
            }
            Err(error) => return ended(&failing, "replies", error),
        }
    }
}

/// Whoever reads tasks. Where he goes away with the runtime on which he does, the session learns of it, and others take over.
pub(super) struct TaskReader {
    pub(super) shared: Arc<Shared>,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) failing: mpsc::Sender<String>,
}

impl Drop for TaskReader {
    fn drop(&mut self) {
        if !self.cancelled.swap(true, Ordering::Relaxed) {
            self.shared.deserted.store(true, Ordering::Relaxed);
            let _ = self.failing.try_send("the runtime of the subscribers to tasks has ended".to_owned());
        }
    }
}

/// Reads tasks until there is no consumer any more, on whichever runtime this is polled.
pub(super) async fn tasks(reader: TaskReader, acks: Arc<Acks>, mut consumer: Consumer) {
    let shared = &reader.shared;
    let error = loop {
        match batch(&mut consumer).await {
            Ok(batch) => {
                for delivery in batch {
                    tasks::arrived(shared, &acks, delivery).await;
                }
                shared.flush(&acks);
            }
            Err(error) => break error,
        }
    };
    // Nobody wants tasks any more, or the broker cancelled the consumer.
    if !reader.cancelled.swap(true, Ordering::Relaxed) || error.is_some() {
        ended(&reader.failing, "tasks", error);
    }
}

/// Acknowledges tasks that are done later, and answers them.
pub(super) async fn acknowledgements(shared: Arc<Shared>, acks: Arc<Acks>) {
    loop {
        acks.some().await;
        shared.flush(&acks);
    }
}

pub(super) async fn broadcasts(
    shared: Arc<Shared>,
    channel: Channel,
    mut consumer: Consumer,
    cancelled: Arc<AtomicBool>,
    failing: mpsc::Sender<String>,
) {
    loop {
        match batch(&mut consumer).await {
            Ok(batch) => {
                acknowledge(&channel, &batch);
                for delivery in batch {
                    if !shared.is_new(&delivery) {
                        continue;
                    }
                    match wire::read_broadcast(&delivery.data) {
                        Ok(mut broadcast) => {
                            broadcast.id = delivery.properties.message_id().as_ref().map(ToString::to_string);
                            let broadcast = Arc::new(broadcast);
                            for hearer in shared.subscribers.hearers() {
                                hearer.tell(&broadcast, &shared.statistics);
                            }
                        }
                        Err(reason) => {
                            let body = wire::excerpt(&delivery.data);
                            tracing::error!(reason, body, "a broadcast cannot be read");
                        }
                    }
                }
            }
            Err(error) => {
                if error.is_some() || !cancelled.load(Ordering::Relaxed) {
                    ended(&failing, "broadcasts", error);
                }
                return;
            }
        }
    }
}

pub(super) async fn calls(
    shared: Arc<Shared>,
    channel: Channel,
    mut consumer: Consumer,
    failing: mpsc::Sender<String>,
) {
    loop {
        match batch(&mut consumer).await {
            Ok(batch) => {
                acknowledge(&channel, &batch);
                for delivery in batch {
                    called(&shared, delivery).await;
                }
            }
            Err(error) => return ended(&failing, "calls", error),
        }
    }
}

/// Calls and broadcasts have arrived when they are here. One for all: nothing else is acknowledged on the channel.
fn acknowledge(channel: &Channel, batch: &[Delivery]) {
    if let Some(last) = batch.last() {
        send(channel.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true }));
    }
}

async fn called(shared: &Arc<Shared>, delivery: Delivery) {
    let to = wire::reply_address(&delivery);
    let refuse = |text: String| {
        if let Some(to) = &to {
            shared.call_reply(to, ReplyBody::Exception(text));
        }
    };
    let key = delivery.routing_key.as_str();
    let recipient = key.strip_prefix(wire::RPC).unwrap_or(key);
    let Some(subscriber) = shared.subscribers.rpc(recipient) else {
        return refuse(gone(recipient));
    };
    if shared.is_closed() {
        return refuse(gone(recipient));
    }
    let Some(place) = shared.calls.begin(limits::CALLS_AT_ONCE) else {
        tracing::warn!(recipient, "a call is refused: too many are being answered");
        return refuse("too many calls are being answered".to_owned());
    };
    let body = match wire::decode(&delivery.data) {
        Ok(body) => body,
        Err(reason) => {
            let body = wire::excerpt(&delivery.data);
            tracing::error!(reason, body, recipient, "a call cannot be read");
            return refuse(format!("the call cannot be read: {reason}"));
        }
    };
    let call = IncomingRpc { recipient: recipient.to_owned(), body };
    let mut answering = Box::pin(answer(Arc::clone(shared), subscriber, call, to, place));
    let done = std::future::poll_fn(|context| Poll::Ready(answering.as_mut().poll(context).is_ready())).await;
    if !done {
        tokio::spawn(answering);
    }
}

/// Answers a call: a pending for each level, then the value.
async fn answer(
    shared: Arc<Shared>,
    subscription: Arc<Subscription<dyn RpcSubscriber>>,
    call: IncomingRpc,
    to: Option<ReplyAddress>,
    _place: Place,
) {
    let reply = |body| {
        if let Some(to) = &to {
            shared.call_reply(to, body);
        }
    };
    let recipient = call.recipient.clone();
    let answered = match subscription.enter(|subscriber| subscriber.receive(call)).await {
        Some(Ok(answered)) => answered,
        Some(Err(panic)) => Err(Refusal::Failed(panic)),
        None => Err(Refusal::Failed(gone(&recipient))),
    };
    reply(follow_call(answered, || reply(ReplyBody::Pending)).await.into());
}

fn gone(recipient: &str) -> String {
    format!("nobody is reached under `{recipient}` any more")
}
