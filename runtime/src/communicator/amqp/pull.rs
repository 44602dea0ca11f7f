//! Tasks that are taken one by one from a queue.
//!
//! The broker is asked on the communicator's own thread, and each answer is awaited there to its end: a caller may give up at any time,
//! on a runtime that stops with that, and a task that was for him goes back.
//!
//! While a queue is empty it is asked again and again, as [`limits::PULL`] says, instead of being consumed for that time. A consumer
//! would be given a task whenever one comes, also in the moment in which its caller gives up, and has to be cancelled and searched for
//! such a one after each pull; a question has one answer.

use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::ShortString;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::acks::send;
use super::session::Channels;
use super::shared::{Shared, until};
use super::wire;
use crate::communicator::pull::Hold;
use crate::communicator::{
    CommunicatorError, CommunicatorResult, Incoming, PulledTask, Refusal, ReplyAddress, TaskQueue, check_queue_name,
};
use crate::limits;
use crate::message::{Node, ReplyBody, TaskEnvelope};
use crate::process::BoxFuture;

pub(super) struct PullQueue {
    line: Arc<Line>,
}

type Pulled = CommunicatorResult<Option<PulledTask>>;

impl PullQueue {
    pub(super) async fn open(shared: &Arc<Shared>, name: &str) -> CommunicatorResult<Self> {
        check_queue_name(name)?;
        let line = Arc::new(Line {
            shared: Arc::clone(shared),
            name: name.to_owned(),
            queue: wire::short(name)?,
            channel: Arc::default(),
        });
        let opening = Arc::clone(&line);
        shared.on_own_thread(async move { opening.open().await }).await??;
        Ok(Self { line })
    }

    async fn next(&self, wait: Duration) -> Pulled {
        let (shared, line) = (&self.line.shared, Arc::clone(&self.line));
        shared.check_open()?;
        let (mut asked, answer) = oneshot::channel();
        let asking = async move {
            let mut stop = line.shared.stop.subscribe();
            let pulled = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Err(CommunicatorError::Closed),
                () = asked.closed() => return,
                pulled = line.next(wait) => pulled,
            };
            // A task that nobody is there to take goes back.
            drop(asked.send(pulled));
        };
        // It ends by itself as soon as nobody waits for the answer.
        drop(shared.on_own_thread(asking));
        answer.await.unwrap_or(Err(CommunicatorError::Closed))
    }
}

/// The way to a queue.
struct Line {
    shared: Arc<Shared>,
    name: String,
    queue: ShortString,
    /// The channel, and the connection that it belongs to. Held until the broker has answered: however many callers give up while it
    /// does not, there is one question.
    channel: Arc<Mutex<Kept>>,
}

type Kept = Option<(Arc<Channels>, Channel)>;

/// What the broker is asked for.
#[derive(Clone, Copy)]
enum Asked {
    /// That the queue is there.
    Queue,
    Task,
}

impl Line {
    async fn open(self: Arc<Self>) -> CommunicatorResult<()> {
        let deadline = until(limits::SEND);
        loop {
            let channels = self.shared.channels(deadline, limits::SEND).await?;
            match self.ask(Asked::Queue, &channels, limits::CONNECT).await {
                // The connection was lost; there is another soon.
                Err(_) if channels.is_lost() && Instant::now() < deadline => sleep(limits::RECONNECT_LEAST).await,
                asked => return asked.map(drop),
            }
        }
    }

    async fn next(self: Arc<Self>, wait: Duration) -> Pulled {
        let deadline = until(wait);
        loop {
            let channels = match self.shared.channels(deadline, wait).await {
                Err(CommunicatorError::Timeout { .. }) => return Ok(None),
                channels => channels?,
            };
            // A broker that is there is given the time to answer.
            let left = deadline.saturating_duration_since(Instant::now()).max(limits::CONNECT);
            match self.ask(Asked::Task, &channels, left).await {
                // What is lost comes back, as does a queue that someone has deleted.
                Ok(None) | Err(CommunicatorError::Disconnected(_)) => {}
                asked => return asked,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            sleep(left.min(limits::PULL)).await;
        }
    }

    /// Asks the broker, which goes on where this is dropped.
    async fn ask(self: &Arc<Self>, asked: Asked, channels: &Arc<Channels>, within: Duration) -> Pulled {
        let (line, current, kept) = (Arc::clone(self), Arc::clone(channels), Arc::clone(&self.channel));
        let asking = async {
            let mut kept = kept.lock_owned().await;
            tokio::spawn(async move { line.answered(asked, current, &mut kept).await }).await
        };
        match timeout_at(until(within), asking).await {
            // The thread ends.
            Ok(answer) => answer.unwrap_or(Err(CommunicatorError::Closed)),
            Err(_) => Err(CommunicatorError::Timeout { what: "asking for a task", within }),
        }
    }

    async fn answered(&self, asked: Asked, current: Arc<Channels>, kept: &mut Kept) -> Pulled {
        let channel = match kept {
            Some((of, channel)) if Arc::ptr_eq(of, &current) && channel.status().connected() => channel.clone(),
            _ => {
                let opening = current.open_task_queue(&self.shared.names.task_exchange, &self.queue).await;
                let channel = opening.map_err(|error| {
                    if current.is_lost() { lost(error) } else { wire::broker("opening a task queue")(error) }
                })?;
                kept.insert((current, channel)).1.clone()
            }
        };
        if matches!(asked, Asked::Queue) {
            return Ok(None);
        }
        loop {
            let message = channel.basic_get(self.queue.clone(), BasicGetOptions::default()).await.map_err(lost)?;
            let Some(message) = message else { return Ok(None) };
            match self.pulled(channel.clone(), &message.delivery).await {
                Came::Task(task) => return Ok(Some(task)),
                Came::Aside => {}
                // It would be given again and again.
                Came::Back => return Ok(None),
            }
        }
    }

    async fn pulled(&self, channel: Channel, delivery: &Delivery) -> Came {
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
                Came::Task(PulledTask::new(incoming, Box::new(hold)))
            }
            Err(reason) => {
                self.shared.statistics.dead_lettered();
                tracing::error!(reason, body = wire::excerpt(&delivery.data), "a task cannot be read");
                hold.unreadable(delivery, &reason).await
            }
        }
    }
}

impl TaskQueue for PullQueue {
    fn name(&self) -> &str {
        &self.line.name
    }

    fn next_task(&self, wait: Duration) -> BoxFuture<'_, CommunicatorResult<Option<PulledTask>>> {
        Box::pin(self.next(wait))
    }
}

impl fmt::Debug for PullQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskQueue").field("name", &self.line.name).finish_non_exhaustive()
    }
}

/// What came of a message.
enum Came {
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
    /// Hands the acknowledgement over, without waiting: the broker does not answer it, and a caller who gives up cannot come between it
    /// and the reply.
    fn acknowledge(&mut self) -> CommunicatorResult<()> {
        self.open = false;
        handed_over(self.channel.basic_ack(self.tag, BasicAckOptions::default()))
            .map_err(|error| if self.shared.is_closed() { CommunicatorError::Closed } else { lost(error) })
    }

    /// It is none that can ever be done: it goes aside, and stays where it is until the broker has it there.
    async fn unreadable(mut self, delivery: &Delivery, reason: &str) -> Came {
        if let Some(aside) = self.shared.parking(delivery) {
            if let Err(error) = self.shared.request(aside, false, limits::SEND).await {
                tracing::error!(%error, "a task that cannot be read cannot be put aside; it goes back to its queue");
                self.shared.pause(limits::REJECTED).await;
                return Came::Back;
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
        Came::Aside
    }
}

impl Hold for Held {
    fn finish(mut self: Box<Self>, answer: Result<Node, Refusal>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            self.acknowledge()?;
            if let Some(sender) = &self.sender {
                self.shared.task_reply(sender, answer.into(), None);
            }
            Ok(())
        })
    }

    fn take(mut self: Box<Self>) -> BoxFuture<'static, CommunicatorResult<()>> {
        Box::pin(async move {
            self.acknowledge()?;
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
            handed_over(self.channel.basic_nack(self.tag, options)).map_err(lost)
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

/// Hands a frame over, which is sent unless the connection is lost.
fn handed_over(frame: impl Future<Output = lapin::Result<()>>) -> lapin::Result<()> {
    match pin!(frame).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(handed_over) => handed_over,
        Poll::Pending => Ok(()),
    }
}

fn lost(error: lapin::Error) -> CommunicatorError {
    CommunicatorError::Disconnected(Some(Arc::new(error)))
}
