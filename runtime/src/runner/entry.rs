//! What the runtime knows of a process that has not ended.

use procession_transport::Receipt;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::RunError;
use super::caught::caught;
use super::instance::Live;
use super::streams::Joint;
use crate::clock::Timestamp;
use crate::limits;
use crate::listener::Attached;
use crate::process::{Cleanup, Machine, ProcessId, ProcessState, Request, Slot};
use crate::registry::ProcessType;
use crate::store::{AwaitedChild, Awaiting, RequestId, StatusText};
use crate::stream::Streams;

/// Where the answer to a request goes.
pub(crate) type Reply = oneshot::Sender<Result<bool, RunError>>;

/// A request on its way to a process.
pub(crate) struct Mail {
    /// The row that keeps it; none without a store.
    pub(crate) id: Option<RequestId>,
    pub(crate) request: Request,
    pub(crate) reply: Option<Reply>,
}

impl Mail {
    pub(crate) fn answer(self, answer: Result<bool, RunError>) {
        if let Some(reply) = self.reply {
            // Whoever asked may have gone; the request was handled all the same.
            let _ = reply.send(answer);
        }
    }
}

/// A process in memory, at rest or in the hands of its driver.
pub(crate) struct Resident {
    pub(crate) live: Box<dyn Live>,
    pub(crate) machine: Machine,
    /// The state as of the last boundary.
    pub(crate) committed: ProcessState,
    /// Its checkpoint was written under an old name, or by an older form of its type: the next one says so no more.
    pub(crate) outdated: bool,
    pub(crate) waiting: Option<Box<Waiting>>,
    extra: Option<Box<Extra>>,
}

/// What few processes have: boxed, so that the others have no room for it.
#[derive(Default)]
pub(crate) struct Extra {
    /// The status that a pause has covered.
    pub(crate) before_pause: Option<Option<String>>,
    /// Children to kill with it, beside those it waits for. With a store, the store knows.
    pub(crate) followers: Vec<ProcessId>,
    /// Listeners that are stored with it.
    pub(crate) listeners: Vec<Attached>,
    /// What runs when it ends.
    pub(crate) cleanups: Vec<Cleanup>,
    /// What runs beside its steps; dropping it cuts that off.
    pub(crate) calls: JoinSet<()>,
    /// How many of them have not ended.
    pub(crate) running: Arc<AtomicUsize>,
    /// What joins its streams with the transport.
    pub(crate) joint: Option<Arc<Joint>>,
    /// Of items that its next boundary stores: they are acknowledged after it.
    pub(crate) receipts: Vec<Receipt>,
    /// A step of it has failed, and may have left it half changed: its end is written without its fields.
    pub(crate) is_spoiled: bool,
}

/// What a process waits for.
///
/// There may be very many of it: what only the store needs, as the text of a wait, is not here.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) resume: bool,
    /// The children, with whether their failure is allowed.
    pub(crate) children: Vec<(Arc<Slot>, bool)>,
    /// Of the children, so many from the first on were seen to have ended.
    pub(crate) ended: usize,
    /// For an item of a stream.
    pub(crate) streams: bool,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty() && self.wake_at.is_none() && !self.resume && !self.streams
    }

    pub(crate) fn children_ended(&mut self) -> bool {
        while self.children.get(self.ended).is_some_and(|(slot, _)| slot.get().is_some()) {
            self.ended += 1;
        }
        self.ended == self.children.len()
    }

    /// The same as it is stored.
    pub(crate) fn awaiting(&self, text: &str, streams: Option<&Streams>) -> Awaiting {
        let child = |(slot, allow): &(Arc<Slot>, bool)| AwaitedChild { pid: slot.pid.clone(), allow_failure: *allow };
        Awaiting {
            children: self.children.iter().map(child).collect(),
            wake_at: self.wake_at,
            resume: self.resume.then(|| text.to_owned()),
            streams: streams.filter(|_| self.streams).map(Streams::wanted).unwrap_or_default(),
        }
    }
}

impl Resident {
    #[allow(clippy::unnecessary_box_returns)] // It changes hands often, and lives in the box.
    pub(crate) fn new(live: Box<dyn Live>) -> Box<Self> {
        Box::new(Self {
            live,
            machine: Machine::new(ProcessState::Created, false),
            committed: ProcessState::Created,
            outdated: false,
            waiting: None,
            extra: None,
        })
    }

    /// It was created as running.
    pub(crate) fn begin(&mut self) {
        self.machine = Machine::new(ProcessState::Running, false);
        self.committed = ProcessState::Running;
    }

    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(crate) fn take_extra(&mut self) -> Option<Box<Extra>> {
        self.extra.take()
    }

    /// Whether it holds what is in memory alone, so that it must stay there.
    pub(crate) fn is_pinned(&self) -> bool {
        self.extra().is_some_and(|extra| !extra.cleanups.is_empty() || extra.running.load(Ordering::Acquire) > 0)
    }

    /// Whether a hook has changed its fields since its last boundary: they are saved with the next.
    pub(crate) fn hooks_changed_it(&mut self) -> bool {
        self.live.hooks().is_some() && !matches!(caught(|| self.live.save()), Ok(Ok(None)))
    }

    pub(crate) fn listeners(&self) -> &[Attached] {
        self.extra().map_or(&[], |extra| &extra.listeners)
    }

    /// Whether all that it waits for is there.
    pub(crate) fn is_ready(&mut self) -> bool {
        let now = self.live.core().env.clock.now();
        let is_ready = self.waiting.as_mut().is_none_or(|waiting| {
            waiting.children_ended() && !waiting.resume && waiting.wake_at.is_none_or(|wake_at| wake_at <= now)
        });
        let waits = self.waiting.as_ref().is_some_and(|waiting| waiting.streams);
        // Asked in any case: what is stored is to leave, also while it waits for something else.
        self.streams_ready(waits) && is_ready
    }

    /// Whether no stream holds it up. Lets leave what is to, and come what is waited for.
    fn streams_ready(&mut self, waits: bool) -> bool {
        if self.live.core().streams.is_none() {
            return true;
        }
        let ahead = if self.live.is_ending() { 0 } else { limits::STREAM_AHEAD };
        let Some(joint) = self.joint() else { return true };
        let Some(streams) = &self.live.core().streams else { return true };
        joint.attend(streams);
        joint.is_ready(streams, waits, ahead)
    }

    /// What joins its streams with the transport, if it has some.
    pub(crate) fn joint(&mut self) -> Option<Arc<Joint>> {
        let core = self.live.core();
        let streams = core.streams.as_ref()?;
        if let Some(joint) = self.extra.as_ref().and_then(|extra| extra.joint.as_ref()) {
            return Some(Arc::clone(joint));
        }
        let joint = core.env.hub.joint(&core.pid, streams);
        self.extra_mut().joint = Some(Arc::clone(&joint));
        Some(joint)
    }

    /// Whether it has nothing to do until something happens.
    pub(crate) fn waits(&mut self) -> bool {
        match self.committed {
            ProcessState::Created => self.live.is_unstarted(),
            ProcessState::Waiting => !self.is_ready(),
            ProcessState::Running => !self.streams_ready(false),
            _ => false,
        }
    }

    pub(crate) fn status(&self) -> StatusText {
        let before_pause = self.extra().and_then(|extra| extra.before_pause.clone());
        let core = self.live.core();
        StatusText { text: core.status.clone(), before_pause, progress: core.progress.as_deref().copied() }
    }
}

/// What is seen from outside while a driver has the process.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) state: ProcessState,
    pub(crate) paused: bool,
    /// A kill waits for the step to end.
    pub(crate) killing: bool,
    pub(crate) steps: u64,
    pub(crate) at: &'static str,
    pub(crate) status: Option<Box<str>>,
}

#[allow(clippy::struct_excessive_bools)] // Each is set by another, for a reason of its own.
pub(crate) struct Inner {
    /// At rest; none while a driver has it, or while it is in the store alone.
    pub(crate) resident: Option<Box<Resident>>,
    pub(crate) mail: VecDeque<Mail>,
    /// A driver has it.
    pub(crate) driven: bool,
    /// Something happened while a driver had it.
    pub(crate) woken: bool,
    /// It has ended, or cannot go on here: no mail is taken any more.
    pub(crate) gone: bool,
    /// It is another worker's, or will be: its driver lets go of it.
    pub(crate) evicted: bool,
    pub(crate) view: View,
}

pub(crate) struct Entry {
    pub(crate) slot: Arc<Slot>,
    pub(crate) process: Arc<dyn ProcessType>,
    pub(crate) parent: Option<ProcessId>,
    pub(crate) created_at: Timestamp,
    inner: Mutex<Inner>,
    /// There is mail: what a burst looks at between steps.
    pub(crate) signal: AtomicBool,
    pub(crate) bell: Notify,
}

impl Entry {
    pub(crate) fn new(
        slot: Arc<Slot>,
        process: Arc<dyn ProcessType>,
        parent: Option<ProcessId>,
        created_at: Timestamp,
        resident: Box<Resident>,
    ) -> Arc<Self> {
        let core = resident.live.core();
        let view = View {
            state: resident.machine.state(),
            paused: resident.machine.is_paused(),
            killing: false,
            steps: core.steps,
            at: resident.live.at(),
            status: core.status.as_deref().map(Into::into),
        };
        let inner = Inner {
            resident: Some(resident),
            mail: VecDeque::new(),
            driven: false,
            woken: false,
            gone: false,
            evicted: false,
            view,
        };
        Arc::new(Self {
            slot,
            process,
            parent,
            created_at,
            inner: Mutex::new(inner),
            signal: AtomicBool::new(false),
            bell: Notify::new(),
        })
    }

    pub(crate) fn pid(&self) -> &ProcessId {
        &self.slot.pid
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all who wait that this runtime will not go on with the process, and frees what it has in memory: what runs
    /// beside its steps is cut off.
    pub(crate) fn close(&self) {
        let resident = self.lock().resident.take();
        // Outside of the lock: its fields are the user's.
        drop(resident);
        self.take_mail().into_iter().for_each(|mail| mail.answer(Err(RunError::Closed)));
        self.slot.fill(Err(RunError::Closed));
    }

    pub(crate) fn take_mail(&self) -> VecDeque<Mail> {
        let mut inner = self.lock();
        self.signal.store(false, Ordering::Relaxed);
        std::mem::take(&mut inner.mail)
    }
}
