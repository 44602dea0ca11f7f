//! Tasks that are taken one by one from a queue.

use lapin::Channel;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::ShortString;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::acks::send;
use super::session::Channels;
use super::shared::{Shared, until};
use super::wire;
use crate::communicator::pull::Hold;
use crate::communicator::{
    CommunicatorError, CommunicatorResult, Incoming, PulledTask, Refusal, ReplyAddress, TaskQueue, check_identifier,
};
use crate::limits;
use crate::message::{Node, ReplyBody, TaskEnvelope};
use crate::process::BoxFuture;

pub(super) struct PullQueue {
    shared: Arc<Shared>,
    name: String,
    queue: ShortString,
    /// The channel, and the connection that it belongs to.
    channel: Mutex<Option<(Arc<Channels>, Channel)>>,
}

impl PullQueue {
    pub(super) async fn open(shared: &Arc<Shared>, name: &str) -> CommunicatorResult<Self> {
        check_identifier(name)?;
        let queue = Self {
            shared: Arc::clone(shared),
            name: name.to_owned(),
            queue: wire::short(name)?,
            channel: Mutex::default(),
        };
        queue.channel(until(limits::SEND), limits::SEND).await?;
        Ok(queue)
    }

    /// A channel of the connection that there is now; the queue is declared on it first.
    async fn channel(&self, deadline: Instant, within: Duration) -> CommunicatorResult<Channel> {
        let current = self.shared.channels(deadline, within).await?;
        let mut kept = self.channel.lock().await;
        if let Some((of, channel)) = &*kept
            && Arc::ptr_eq(of, &current)
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let channel = current.open(&self.shared.names.task_exchange, &self.queue).await?;
        *kept = Some((current, channel.clone()));
        Ok(channel)
    }

    async fn next(&self, wait: Duration) -> CommunicatorResult<Option<PulledTask>> {
        let deadline = until(wait);
        loop {
            self.shared.check_open()?;
            let got = match self.channel(deadline, wait).await {
                Ok(channel) => {
                    get(channel.clone(), self.queue.clone()).await.map(|got| got.map(|delivery| (channel, delivery)))
                }
                Err(CommunicatorError::Timeout { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            match got {
                Ok(Some((channel, delivery))) => {
                    match self.pulled(channel, &delivery).await {
                        Pulled::Task(task) => return Ok(Some(task)),
                        // It would be given again and again.
                        Pulled::Back if Instant::now() >= deadline => return Ok(None),
                        Pulled::Back | Pulled::Aside => {}
                    }
                }
                // An error is a lost connection, which comes back.
                Ok(None) | Err(_) if Instant::now() >= deadline => return Ok(None),
                Ok(None) | Err(_) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    sleep(left.min(limits::PULL)).await;
                }
            }
        }
    }

    async fn pulled(&self, channel: Channel, delivery: &Delivery) -> Pulled {
        let sender = wire::reply_address(delivery);
        let hold = Held { shared: Arc::clone(&self.shared), channel, tag: delivery.delivery_tag, sender, open: true };
        if delivery.redelivered {
            self.shared.statistics.redelivered();
        }
        match wire::read_task(&delivery.data) {
            Ok(TaskEnvelope { payload: body, no_reply }) => {
                let mut hold = hold;
                hold.sender = hold.sender.take().filter(|_| !no_reply);
                let (id, reply_to) = (wire::task_id(delivery), hold.sender.clone());
                let incoming = Incoming { body, id, redelivered: delivery.redelivered, reply_to };
                Pulled::Task(PulledTask::new(incoming, Box::new(hold)))
            }
            Err(reason) => {
                self.shared.statistics.dead_lettered();
                tracing::error!(reason, body = wire::excerpt(&delivery.data), "a task cannot be read");
                hold.unreadable(delivery, &reason).await
            }
        }
    }
}

/// Asks for a task. Who asked may go meanwhile: what comes then is put back.
async fn get(channel: Channel, queue: ShortString) -> lapin::Result<Option<Delivery>> {
    let mut asked = Asked { channel: channel.clone(), asking: None };
    let asking = Box::pin(async move { channel.basic_get(queue, BasicGetOptions::default()).await });
    let got = asked.asking.insert(asking).await;
    asked.asking = None;
    got.map(|message| message.map(|message| message.delivery))
}

type Asking = Pin<Box<dyn Future<Output = lapin::Result<Option<BasicGetMessage>>> + Send>>;

struct Asked {
    channel: Channel,
    asking: Option<Asking>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(asking) = self.asking.take() else { return };
        let channel = self.channel.clone();
        let put_back = async move {
            if let Ok(Some(message)) = asking.await {
                send(channel.basic_nack(message.delivery_tag, BasicNackOptions { multiple: false, requeue: true }));
            }
        };
        // Without a runtime nobody could have asked.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(put_back);
        }
    }
}

impl Channels {
    /// Opens a channel for a task queue.
    async fn open(&self, exchange: &ShortString, queue: &ShortString) -> CommunicatorResult<Channel> {
        self.open_task_queue(exchange, queue).await.map_err(wire::broker("opening a task queue"))
    }
}

impl TaskQueue for PullQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_task(&self, wait: Duration) -> BoxFuture<'_, CommunicatorResult<Option<PulledTask>>> {
        Box::pin(self.next(wait))
    }
}

impl fmt::Debug for PullQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What came of a message.
enum Pulled {
    Task(PulledTask),
    /// It could not be read, and does not come again.
    Aside,
    /// It could not be read, and is in its queue.
    Back,
}

/// A task that was pulled.
struct Held {
    shared: Arc<Shared>,
    channel: Channel,
    tag: u64,
    sender: Option<ReplyAddress>,
    /// Nothing was done with it yet.
    open: bool,
}

impl Held {
    async fn acknowledge(&mut self) -> CommunicatorResult<()> {
        self.open = false;
        let acknowledged = self.channel.basic_ack(self.tag, BasicAckOptions::default()).await;
        acknowledged.map_err(|error| {
            if self.shared.is_closed() {
                CommunicatorError::Closed
            } else {
                CommunicatorError::Disconnected(Some(Arc::new(error)))
            }
        })
    }

    /// It is none that can ever be done: it goes aside, and stays where it is until the broker has it there.
    async fn unreadable(mut self, delivery: &Delivery, reason: &str) -> Pulled {
        if let Some(aside) = self.shared.parking(delivery) {
            if let Err(error) = self.shared.request(aside, false, limits::SEND).await {
                tracing::error!(%error, "a task that cannot be read cannot be put aside; it goes back to its queue");
                self.shared.pause(limits::REJECTED).await;
                return Pulled::Back;
            }
            self.open = false;
            send(self.channel.basic_ack(self.tag, BasicAckOptions::default()));
        } else {
            self.open = false;
            send(self.channel.basic_nack(self.tag, BasicNackOptions::default()));
        }
        if let Some(sender) = &self.sender {
            let text = format!("the task cannot be read: {reason}");
            self.shared.task_reply(sender, ReplyBody::Exception(text), None);
        }
        Pulled::Aside
    }
}

impl Hold for Held {
    fn finish(mut self: Box<Self>, answer: Result<Node, Refusal>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            self.acknowledge().await?;
            if let Some(sender) = &self.sender {
                self.shared.task_reply(sender, answer.into(), None);
            }
            Ok(())
        })
    }

    fn take(mut self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            self.acknowledge().await?;
            if let Some(sender) = &self.sender {
                self.shared.task_reply(sender, ReplyBody::Pending, None);
            }
            Ok(())
        })
    }

    fn requeue(mut self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            self.open = false;
            let options = BasicNackOptions { multiple: false, requeue: true };
            let put_back = self.channel.basic_nack(self.tag, options).await;
            put_back.map_err(|error| CommunicatorError::Disconnected(Some(Arc::new(error))))
        })
    }
}

impl Drop for Held {
    /// It goes back to its queue; if the connection is lost, the broker puts it back.
    fn drop(&mut self) {
        if self.open {
            send(self.channel.basic_nack(self.tag, BasicNackOptions { multiple: false, requeue: true }));
        }
    }
}
