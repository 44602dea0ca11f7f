//! Tasks for workers: launch, continue, and create with continue.

use serde_json::{Map, Value};
use std::fmt;
use std::future::IntoFuture;

use super::{ControlError, RemoteProcessController, reply};
use crate::communicator::{Deadlines, Task};
use crate::message::{Create, Node, TaskBody};
use crate::process::{BoxFuture, Process, ProcessId};
use crate::spec::{Direction, InputMap, Spec, SpecError};

/// How a reply is read; none came where none was wanted.
type Read<R> = fn(Option<Node>) -> Result<R, ControlError>;

/// How a task goes to a worker.
#[derive(Clone)]
struct Sending {
    controller: RemoteProcessController,
    id: Option<String>,
    queue: Option<String>,
    deadlines: Deadlines,
    no_reply: bool,
}

impl Sending {
    fn new(controller: &RemoteProcessController) -> Self {
        let deadlines = controller.tasks;
        Self { controller: controller.clone(), id: None, queue: None, deadlines, no_reply: false }
    }

    async fn send(self, body: &TaskBody) -> Result<Option<Node>, ControlError> {
        let Self { controller, id, queue, deadlines, no_reply } = self;
        let mut task = Task::new(body.into()).deadlines(deadlines);
        task.id = id;
        task.queue = queue;
        task.no_reply = no_reply;
        controller.task_send(task).await
    }
}

/// What the tasks have in common.
macro_rules! sending {
    () => {
        /// Makes it idempotent: the same id again is the same task, for a worker that keeps account of them as Rust ones
        /// with a store do.
        pub fn id(mut self, id: impl Into<String>) -> Self {
            self.sending.id = Some(id.into());
            self
        }

        /// Sends it to the task queue of this name.
        pub fn queue(mut self, name: impl Into<String>) -> Self {
            self.sending.queue = Some(name.into());
            self
        }

        /// Allows it this long.
        pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
            self.sending.deadlines = deadlines;
            self
        }
    };
}

/// What the tasks that create a process have in common.
macro_rules! creating {
    () => {
        /// Gives the process this id.
        pub fn pid(self, pid: impl Into<ProcessId>) -> Self {
            self.init_kwarg("pid", Node::from(&pid.into()))
        }

        /// Another argument for the constructor of a Python process.
        pub fn init_kwarg(mut self, name: &str, value: impl Into<Node>) -> Self {
            if let Ok(create) = &mut self.create {
                create.init_kwargs.retain(|(known, _)| known.as_text() != Some(name));
                create.init_kwargs.push((Node::text(name), value.into()));
            }
            self
        }

        /// The name under which the workers know the process, where it is not that of its type.
        pub fn process(mut self, name: impl Into<String>) -> Self {
            if let Ok(create) = &mut self.create {
                create.process = name.into();
            }
            self
        }
    };
}

fn create(process: String, inputs: Node) -> Create {
    let init_kwargs = match inputs {
        Node::Null => Vec::new(),
        inputs => vec![(Node::text("inputs"), inputs)],
    };
    Create { init_kwargs, ..Create::new(process) }
}

fn create_of<P: Process>(inputs: InputMap) -> Result<Create, ControlError> {
    let (values, faults) = inputs.into_parts();
    SpecError::check(P::NAME, Direction::Inputs, faults).map_err(ControlError::Inputs)?;
    Ok(create(P::NAME.to_owned(), Value::Object(values).into()))
}

/// A process that a worker is to run: `.await` it for its outputs, or with [`nowait`](Self::nowait) for its id.
#[must_use = "a task is not sent until it is awaited"]
#[derive(Clone)]
pub struct RemoteLaunch<R> {
    sending: Sending,
    create: Result<Create, ControlError>,
    nowait: bool,
    read: Read<R>,
}

impl<R> RemoteLaunch<R> {
    sending!();
    creating!();

    /// Has the worker store the process before it runs, so that it survives the worker. One that stores none refuses
    /// the task, and it goes to another.
    pub fn persist(mut self) -> Self {
        if let Ok(create) = &mut self.create {
            create.persist = true;
        }
        self
    }

    /// Gives the process's id as soon as it is started, instead of its outputs at the end.
    pub fn nowait(self) -> RemoteLaunch<ProcessId> {
        RemoteLaunch { sending: self.sending, create: self.create, nowait: true, read: reply::pid }
    }

    /// Wants no reply: gives nothing, as soon as the task is in its queue.
    pub fn no_reply(mut self) -> RemoteLaunch<()> {
        self.sending.no_reply = true;
        RemoteLaunch { sending: self.sending, create: self.create, nowait: self.nowait, read: reply::nothing }
    }
}

impl<O> RemoteLaunch<O> {
    pub(super) fn typed<P: Process + Spec<Outputs = O>>(
        controller: &RemoteProcessController,
        inputs: InputMap,
    ) -> Self {
        let read = reply::outputs_of::<P>;
        Self { sending: Sending::new(controller), create: create_of::<P>(inputs), nowait: false, read }
    }
}

impl RemoteLaunch<Map<String, Value>> {
    pub(super) fn named(controller: &RemoteProcessController, process: String, inputs: Node) -> Self {
        let create = Ok(create(process, inputs));
        Self { sending: Sending::new(controller), create, nowait: false, read: reply::outputs }
    }
}

impl<R: Send + 'static> IntoFuture for RemoteLaunch<R> {
    type Output = Result<R, ControlError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (create, nowait) = (self.create?, self.nowait);
            (self.read)(self.sending.send(&TaskBody::Launch { create, nowait }).await?)
        })
    }
}

/// A stored process that a worker is to go on with: `.await` it for its outputs, or with [`nowait`](Self::nowait) for its
/// id.
#[must_use = "a task is not sent until it is awaited"]
#[derive(Clone)]
pub struct RemoteContinue<R> {
    sending: Sending,
    pid: ProcessId,
    tag: Option<String>,
    nowait: bool,
    read: Read<R>,
}

impl RemoteContinue<Map<String, Value>> {
    pub(super) fn new(controller: &RemoteProcessController, pid: ProcessId) -> Self {
        Self { sending: Sending::new(controller), pid, tag: None, nowait: false, read: reply::outputs }
    }

    /// Reads the outputs as those of this process.
    pub fn outputs_of<P: Process>(self) -> RemoteContinue<<P as Spec>::Outputs> {
        self.reading(reply::outputs_of::<P>)
    }
}

impl<R> RemoteContinue<R> {
    sending!();

    /// Goes on from the snapshot under this tag, instead of where the process stands.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Gives the process's id as soon as it goes on, instead of its outputs at the end.
    pub fn nowait(mut self) -> RemoteContinue<ProcessId> {
        self.nowait = true;
        self.reading(reply::pid)
    }

    /// Wants no reply: gives nothing, as soon as the task is in its queue.
    pub fn no_reply(mut self) -> RemoteContinue<()> {
        self.sending.no_reply = true;
        self.reading(reply::nothing)
    }

    fn reading<Q>(self, read: Read<Q>) -> RemoteContinue<Q> {
        RemoteContinue { sending: self.sending, pid: self.pid, tag: self.tag, nowait: self.nowait, read }
    }
}

impl<R: Send + 'static> IntoFuture for RemoteContinue<R> {
    type Output = Result<R, ControlError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { sending, pid, tag, nowait, read } = self;
            read(sending.send(&TaskBody::Continue { pid, nowait, tag }).await?)
        })
    }
}

/// A process that a worker is to create and store, and then one is to run: `.await` it for its outputs, or with
/// [`nowait`](Self::nowait) or [`no_reply`](Self::no_reply) for its id.
#[must_use = "a task is not sent until it is awaited"]
#[derive(Clone)]
pub struct RemoteExecute<R> {
    sending: Sending,
    create: Result<Create, ControlError>,
    nowait: bool,
    no_reply: bool,
    read: Read<R>,
}

impl<R> RemoteExecute<R> {
    sending!();
    creating!();

    /// Gives the process's id as soon as it runs, instead of its outputs at the end.
    pub fn nowait(mut self) -> RemoteExecute<ProcessId> {
        self.nowait = true;
        self.giving_pid()
    }

    /// Gives the process's id as soon as it is created and the task to run it is in its queue.
    pub fn no_reply(mut self) -> RemoteExecute<ProcessId> {
        self.no_reply = true;
        self.giving_pid()
    }

    fn giving_pid(self) -> RemoteExecute<ProcessId> {
        let Self { sending, create, nowait, no_reply, .. } = self;
        RemoteExecute { sending, create, nowait, no_reply, read: reply::pid }
    }
}

impl<O> RemoteExecute<O> {
    pub(super) fn typed<P: Process + Spec<Outputs = O>>(
        controller: &RemoteProcessController,
        inputs: InputMap,
    ) -> Self {
        let (sending, create) = (Sending::new(controller), create_of::<P>(inputs));
        Self { sending, create, nowait: false, no_reply: false, read: reply::outputs_of::<P> }
    }
}

impl RemoteExecute<Map<String, Value>> {
    pub(super) fn named(controller: &RemoteProcessController, process: String, inputs: Node) -> Self {
        let (sending, create) = (Sending::new(controller), Ok(create(process, inputs)));
        Self { sending, create, nowait: false, no_reply: false, read: reply::outputs }
    }
}

impl<R: Send + 'static> IntoFuture for RemoteExecute<R> {
    type Output = Result<R, ControlError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { sending, create, nowait, no_reply, read } = self;
            let create = TaskBody::Create(Create { persist: true, ..create? });
            let pid = reply::pid(sending.clone().send(&create).await?)?;
            // A repetition of the whole repeats both tasks, so each has its own id.
            let id = sending.id.as_ref().map(|id| format!("{id}:continue"));
            let sending = Sending { id, no_reply, ..sending };
            let not_continued = |source| ControlError::NotContinued { pid: pid.clone(), source: Box::new(source) };
            let go_on = TaskBody::Continue { pid: pid.clone(), nowait, tag: None };
            match sending.send(&go_on).await {
                Ok(None) if no_reply => read(Some(Node::from(&pid))),
                Ok(reply) => read(reply),
                // The process has run, and failed: that is its end, and all that there is to tell.
                Err(ControlError::Remote(text)) => Err(ControlError::Remote(text)),
                Err(error) => Err(not_continued(error)),
            }
        })
    }
}

impl<R> fmt::Debug for RemoteLaunch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLaunch").field("create", &self.create).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for RemoteContinue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteContinue").field("pid", &self.pid).field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for RemoteExecute<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteExecute").field("create", &self.create).finish_non_exhaustive()
    }
}
