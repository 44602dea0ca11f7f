//! A worker's side of tasks: [`ProcessLauncher`] launches, creates and continues processes (wire.md 8, S130 to S133),
//! [`Worker`] puts it together with a runtime and its communicator.

mod arguments;
mod owed;
mod worker;

pub use worker::{ServingWorker, Worker, WorkerError};

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

use self::arguments::{Arguments, arguments};
use self::owed::{Owed, Promise};
use crate::communicator::{Answer, Answered, Communicator, Incoming, Refusal, TaskSubscriber};
use crate::limits;
use crate::message::{Create, Node, TaskBody};
use crate::process::{BoxFuture, Ended, ProcessId, Termination};
use crate::runner::{AnyHandle, LaunchingByName, RunError, Runtime, caught_async};
use crate::store::{OwedReply, StoreErrorKind};
use crate::text::chain;

/// Does the tasks `launch`, `create` and `continue` with the processes of a runtime: the counterpart of plumpy's
/// `ProcessLauncher`. It is a [`TaskSubscriber`] of any communicator; [`Worker`] subscribes it.
///
/// With a store, a task is acknowledged as soon as the store has the process and whom its result is owed to; the reply
/// follows when the process ends, also in another worker after a crash. The process is created under a key that
/// comes from the id of the task, so that a task that comes twice is one process, and has one result.
///
/// Without a store nothing may be persisted. A task that waits for its process stays unacknowledged until then, and one
/// that comes again meanwhile joins the process that it began.
///
/// What is answered is as in plumpy:
///
/// | task | answer |
/// |---|---|
/// | `create`, and all with `nowait` | the id of the process |
/// | the others | the outputs at the end, also of a process that ended with an exit code or lacks an output |
/// | a process that excepted or was killed | the exception's or the kill's text as a failure |
/// | unknown process, bad arguments, bad inputs, unknown id | a failure that says so |
/// | another `task`; `persist` or an unknown id without a store | the task is rejected |
///
/// A `continue` of a process that runs joins it, and of one that has ended gives its result. With a `tag` it goes back
/// to that snapshot first, which a process that runs here refuses; a repetition of the same task only joins, as far as
/// this launcher remembers it, and so does one that comes again because its worker was lost.
///
/// A store that is busy, full or away, or a runtime that closes, rejects the task: another worker can do it. What no
/// repetition mends, as a damaged record, is a failure with its text.
///
/// # One store per queue
/// A task may come to any worker of its queue, also when it comes again. Give each store a queue of its own, and the
/// workers on a queue one store: a worker with another store does not know the process, and would run it a second time,
/// or refuse the `continue` that belongs to another worker's `create`. A store that has one owner at a time has one worker
/// at its queue, with others that stand by; one that [workers share](crate::RuntimeBuilder::worker) has as many as join it.
///
/// There, a task for a process that another worker has waits for its end wherever it runs; a `continue` with a `tag` of one
/// is left to others, as is any task that the store refuses for the moment.
#[derive(Clone)]
pub struct ProcessLauncher {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    owed: Owed,
    restored: Mutex<Recent>,
}

/// A process that a task goes on with, and what is stored of the task if it went back to a snapshot.
struct Brought {
    handle: AnyHandle,
    promise: Option<Promise>,
}

impl From<AnyHandle> for Brought {
    fn from(handle: AnyHandle) -> Self {
        Self { handle, promise: None }
    }
}

impl ProcessLauncher {
    /// A launcher of processes of this runtime, which replies over this communicator.
    pub fn new(runtime: &Runtime, communicator: Arc<dyn Communicator>) -> Self {
        let owed = Owed::new(runtime, communicator);
        Self { inner: Arc::new(Inner { runtime: runtime.clone(), owed, restored: Mutex::default() }) }
    }

    /// Goes on with what an earlier worker on the same store owes: waits for those processes, and replies. Gives how many
    /// replies are owed. [`Worker`] does it at its start.
    ///
    /// Where several workers share the store, each sends the replies that it had owed, and this one goes on with those of
    /// workers that are lost, as they are found; none is known at the start.
    ///
    /// # Errors
    /// The store failed.
    pub async fn resume_owed(&self) -> Result<usize, RunError> {
        if self.inner.runtime.is_shared() {
            let inner = Arc::downgrade(&self.inner);
            self.inner.runtime.spawn(self.inner.runtime.each_left_reply(move |replies| {
                let inner = inner.upgrade();
                async move {
                    let Some(inner) = inner else { return replies };
                    let runtime = inner.runtime.clone();
                    // Those that come next do not wait for one that cannot be read now.
                    drop(runtime.spawn(async move { inner.go_on_with(replies).await }));
                    Vec::new()
                }
            }));
            return Ok(0);
        }
        let resumed = self.inner.owed.resume().await?;
        self.inner.went_back(&resumed.went_back);
        Ok(resumed.replies)
    }

    /// Waits until replies of processes that have ended, or are closed, are sent and settled.
    async fn replied(&self) {
        self.inner.owed.idle().await;
    }
}

/// Sends replies that a lost worker had to send, where there is no launcher.
pub(crate) async fn send_left(
    runtime: Runtime,
    communicator: Arc<dyn Communicator>,
    replies: Vec<(ProcessId, OwedReply)>,
) {
    Owed::new(&runtime, communicator).go_on_with(replies, drop).await;
}

impl Inner {
    /// Replies that a lost worker had to send.
    async fn go_on_with(&self, replies: Vec<(ProcessId, OwedReply)>) {
        self.owed.go_on_with(replies, |tasks| self.went_back(&tasks)).await;
    }

    fn went_back(&self, tasks: &[String]) {
        self.recent(|recent| {
            for task in tasks {
                recent.add(task);
            }
        });
    }
}

impl TaskSubscriber for ProcessLauncher {
    fn receive(&self, task: Incoming) -> BoxFuture<'static, Answered> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let body = match TaskBody::try_from(&task.body) {
                Err(rejected @ Refusal::Rejected(_)) => return Err(rejected),
                Err(refusal) => return Ok(at_once(Err(refusal))),
                Ok(body) => body,
            };
            let tokio = inner.runtime.tokio();
            if Handle::try_current().is_ok_and(|here| here.id() == tokio.id()) {
                return match caught_async(inner.perform(task, body)).await {
                    Ok(performed) => answered(performed),
                    Err(_) => Ok(at_once(Err(Refusal::failed(PANICKED)))),
                };
            }
            let work = Arc::clone(&inner);
            // Constructors and hooks are the user's: they run where steps do.
            let work = tokio.spawn(async move { work.perform(task, body).await });
            match work.await {
                Ok(performed) => answered(performed),
                Err(failed) if failed.is_panic() => Ok(at_once(Err(Refusal::failed(PANICKED)))),
                Err(_) => Err(closes()),
            }
        })
    }

    fn runtime(&self) -> Option<Handle> {
        Some(self.inner.runtime.tokio().clone())
    }
}

const PANICKED: &str = "the launcher panicked";

/// A failure follows, as from plumpy; a rejection does not.
fn answered(performed: Answered) -> Answered {
    match performed {
        Err(Refusal::Rejected(why)) => Err(Refusal::Rejected(why)),
        Err(refusal) => Ok(at_once(Err(refusal))),
        Ok(answer) => Ok(answer),
    }
}

impl Inner {
    async fn perform(&self, task: Incoming, body: TaskBody) -> Answered {
        if self.runtime.is_closing() {
            return Err(closes());
        }
        match body {
            TaskBody::Launch { create, nowait: false } => self.launch(task, create).await,
            TaskBody::Launch { create, nowait: true } => self.create(&task, create, false).await,
            TaskBody::Create(create) => self.create(&task, create, true).await,
            TaskBody::Continue { pid, nowait, tag } => {
                let Brought { handle, promise } = self.bring(&task, &pid, tag, nowait).await?;
                match promise {
                    Some(promise) if promise.answers() => return Ok(self.owed(handle, promise.reply)),
                    // Nobody waits for the end; until then it is known that this task went back.
                    Some(promise) => self.owed.repay(&handle, promise.reply),
                    None => {}
                }
                if nowait { Ok(at_once(Ok(Node::from(&pid)))) } else { self.wait(task, handle).await }
            }
        }
    }

    fn launching(&self, task: &Incoming, create: Create) -> Result<LaunchingByName, Refusal> {
        if create.persist && self.runtime.store().is_none() {
            return Err(Refusal::Rejected("a worker without a store cannot persist a process".to_owned()));
        }
        let process = create.process.clone();
        let Arguments { inputs, pid } = arguments(create)?;
        let launching = self.runtime.launch_by_name(&process, inputs).key(format!("task/{}", task.id));
        let launching = launching.undisturbed();
        Ok(match pid {
            Some(pid) => launching.id(pid),
            None => launching,
        })
    }

    /// The id is the answer.
    async fn create(&self, task: &Incoming, create: Create, unstarted: bool) -> Answered {
        let launching = self.launching(task, create)?;
        let launching = if unstarted { launching.unstarted() } else { launching };
        let handle = launching.await.map_err(|error| refusal(&error))?;
        if !unstarted {
            self.started(&handle).await.map_err(|error| refusal(&error))?;
        }
        Ok(at_once(Ok(Node::from(handle.pid()))))
    }

    async fn launch(&self, task: Incoming, create: Create) -> Answered {
        let launching = self.launching(&task, create)?;
        let Some(reply) = self.owed.reply_to(&task)? else {
            let handle = launching.await.map_err(|error| refusal(&error))?;
            self.started(&handle).await.map_err(|error| refusal(&error))?;
            return Ok(self.unowed(handle));
        };
        let handle = launching.owes(reply.clone()).await.map_err(|error| refusal(&error))?;
        self.started(&handle).await.map_err(|error| refusal(&error))?;
        Ok(self.owed(handle, reply))
    }

    /// Starts a process that a task found unstarted: one that another task had created. One that was suspended may have
    /// come back: those who waited for it wait again.
    async fn started(&self, handle: &AnyHandle) -> Result<(), RunError> {
        self.owed.brought(handle);
        if handle.may_be_unstarted() {
            handle.start().await?;
            return Ok(());
        }
        self.runtime.start_elsewhere(handle.pid()).await
    }

    /// A process that is here or in the store, started.
    async fn bring(
        &self,
        task: &Incoming,
        pid: &ProcessId,
        tag: Option<String>,
        nowait: bool,
    ) -> Result<Brought, Refusal> {
        let stored = self.runtime.store().is_some();
        let brought = match tag {
            None => self.runtime.attach(pid).await.map(Brought::from),
            Some(_) if !stored => {
                return Err(Refusal::Rejected("a worker without a store has no snapshots".to_owned()));
            }
            Some(tag) => self.restore(task, pid, &tag, nowait).await,
        };
        let brought = match brought {
            Err(RunError::NotFound(pid)) if !stored => {
                return Err(Refusal::Rejected(format!("a worker without a store cannot continue process {pid}")));
            }
            brought => brought.map_err(|error| refusal(&error))?,
        };
        self.started(&brought.handle).await.map_err(|error| refusal(&error))?;
        Ok(brought)
    }

    /// Goes back to a snapshot, once per task. What is promised is stored before, so that another worker, to which the
    /// task comes again, can tell that it was done.
    async fn restore(&self, task: &Incoming, pid: &ProcessId, tag: &str, nowait: bool) -> Result<Brought, RunError> {
        let store = self.runtime.store().ok_or(RunError::Volatile { request: "restore" })?;
        let known = !self.recent(|recent| recent.add(&task.id));
        if known || (task.redelivered && self.owed.went_back(pid, task, nowait).await?) {
            return Ok(self.runtime.attach(pid).await?.into());
        }
        let restored = async {
            let record = store.load(pid).await?.ok_or_else(|| RunError::NotFound(pid.clone()))?;
            let promise = Promise::after(task, nowait, record.steps);
            self.runtime.owe(pid, promise.reply.clone()).await?;
            match self.runtime.restore(pid, tag).await {
                Ok(handle) => Ok(Brought { handle, promise: Some(promise) }),
                Err(error) => {
                    self.runtime.settle(vec![(pid.clone(), promise.reply.id)]).await?;
                    Err(error)
                }
            }
        };
        match restored.await {
            // It went back before its worker was lost, and runs since.
            Err(RunError::InvalidState { .. }) if task.redelivered => Ok(self.runtime.attach(pid).await?.into()),
            Err(error) => {
                self.recent(|recent| recent.remove(&task.id));
                Err(error)
            }
            restored => restored,
        }
    }

    fn recent<T>(&self, what: impl FnOnce(&mut Recent) -> T) -> T {
        what(&mut self.restored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The result is the answer, of a process that the store has already.
    async fn wait(&self, task: Incoming, handle: AnyHandle) -> Answered {
        let Some(reply) = self.owed.reply_to(&task)? else { return Ok(self.unowed(handle)) };
        self.runtime.owe(handle.pid(), reply.clone()).await.map_err(|error| refusal(&error))?;
        Ok(self.owed(handle, reply))
    }

    /// The reply follows, also if this worker is lost: the store has it.
    fn owed(&self, handle: AnyHandle, reply: OwedReply) -> Answer {
        let (owed, open) = (self.owed.clone(), self.owed.open());
        Answer::Owed(Box::pin(async move {
            owed.repay(&handle, reply);
            drop(open);
        }))
    }

    /// The answer where none is stored: because nobody waits for it, or because there is no store.
    fn unowed(&self, handle: AnyHandle) -> Answer {
        if self.runtime.store().is_some() {
            return Answer::Value(Node::Null);
        }
        let runtime = self.runtime.clone();
        Answer::Later(Box::pin(async move {
            let end = handle.termination().await;
            if let Err(RunError::Closed) = end {
                // The task goes back when the communicator closes, as it does when a worker is lost.
                return std::future::pending().await;
            }
            runtime.told().await;
            result_of(&end.map_err(|error| refusal(&error))?).map(Answer::Value)
        }))
    }
}

/// What the other side gets after one level of pending, as from plumpy, whose launcher is a coroutine.
fn at_once(answer: Result<Node, Refusal>) -> Answer {
    Answer::Later(Box::pin(std::future::ready(answer.map(Answer::Value))))
}

fn closes() -> Refusal {
    Refusal::Rejected("the worker closes".to_owned())
}

/// What a task gets that could not be begun. Where it is the worker's trouble, another may do it.
fn refusal(error: &RunError) -> Refusal {
    match error {
        RunError::Closed => closes(),
        RunError::Busy(_) => Refusal::Rejected(chain(error)),
        RunError::Store(failed) if may_pass(failed.kind()) => Refusal::Rejected(chain(error)),
        _ => Refusal::Failed(chain(error)),
    }
}

/// Whether it is a trouble of the worker or of the moment. With any other the task would go round for ever.
fn may_pass(kind: StoreErrorKind) -> bool {
    use StoreErrorKind as Kind;
    matches!(kind, Kind::Busy | Kind::Full | Kind::ReadOnly | Kind::Io | Kind::Closed | Kind::Stale | Kind::InUse)
}

/// What a task gets at the end of its process (wire.md 8).
fn result_of(termination: &Termination) -> Result<Node, Refusal> {
    match &termination.ended {
        Ended::Finished { .. } | Ended::Exited { .. } => {
            Ok(Node::from(serde_json::Value::Object(termination.outputs.clone())))
        }
        Ended::Excepted { error } => {
            // Without the step that failed: plumpy sends the text of the exception and no more.
            let texts: Vec<_> = std::iter::once(&error.message).chain(&error.causes).map(String::as_str).collect();
            Err(Refusal::Failed(texts.join(": ")))
        }
        Ended::Killed { text } => Err(Refusal::Failed(text.clone())),
    }
}

/// The latest of the tasks that went back to a snapshot.
#[derive(Default)]
struct Recent {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    /// Whether it is new.
    fn add(&mut self, task: &str) -> bool {
        if !self.known.insert(task.to_owned()) {
            return false;
        }
        self.order.push_back(task.to_owned());
        if self.order.len() > limits::RESTORED_TASKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, task: &str) {
        self.known.remove(task);
        self.order.retain(|known| known != task);
    }
}

impl fmt::Debug for ProcessLauncher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLauncher").field("runtime", &self.inner.runtime).finish_non_exhaustive()
    }
}
