//! Replies that are owed to those who sent a task, until its process has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

use super::{refusal, result_of};
use crate::communicator::{Communicator, CommunicatorError, Incoming, Refusal, ReplyAddress};
use crate::limits;
use crate::message::Node;
use crate::process::ProcessId;
use crate::runner::{AnyHandle, RunError, Runtime};
use crate::store::{OwedReply, StoreErrorKind};

/// Who waits for which process, in memory; the store has the same.
#[derive(Clone)]
pub(super) struct Owed {
    runtime: Runtime,
    communicator: Arc<dyn Communicator>,
    /// By process and id.
    dues: Arc<Mutex<HashMap<ProcessId, HashMap<String, Due>>>>,
    /// How many of them are being waited for or sent.
    open: watch::Sender<usize>,
    paid: Arc<Mutex<Paid>>,
}

/// Replies that were sent, and are to be forgotten in the store.
#[derive(Default)]
struct Paid {
    replies: Vec<(ProcessId, String)>,
    /// Someone settles them.
    settling: bool,
}

/// A reply that is due at the end of a process.
struct Due {
    /// Where it goes, as it is stored.
    address: String,
    /// The process that is waited for; none if it is known what is to be said.
    handle: Option<AnyHandle>,
    /// Counts the handles: a process that was suspended comes back with another.
    turn: u64,
    /// Someone waits. Not while the process is suspended.
    waiting: bool,
}

impl Due {
    /// Waits for this from now on; whether nobody does yet.
    fn renew(&mut self, handle: &AnyHandle) -> bool {
        self.handle = Some(handle.clone());
        self.turn += 1;
        !std::mem::replace(&mut self.waiting, true)
    }
}

/// The address of an owed reply, as it is stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct Address {
    /// None where nothing is sent: the row is there for what follows.
    #[serde(flatten)]
    to: Option<ReplyAddress>,
    /// The task goes back to a snapshot. It is not acknowledged when this is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    goes_back: Option<GoesBack>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct GoesBack {
    /// The id of the task.
    task: String,
    /// The steps of the process before: it has more when it went back.
    steps: u64,
}

impl Address {
    /// One that says nothing is none.
    fn read(text: &str) -> Option<Self> {
        let address: Self = serde_json::from_str(text).ok()?;
        (address.to.is_some() || address.goes_back.is_some()).then_some(address)
    }
}

/// What is stored of a task before it goes back to a snapshot.
pub(super) struct Promise {
    pub(super) reply: OwedReply,
    answers: bool,
}

impl Promise {
    /// Of a task to a process that has this many steps.
    pub(super) fn after(task: &Incoming, nowait: bool, steps: u64) -> Self {
        let to = task.reply_to.as_ref().filter(|_| !nowait);
        let (id, answers) = (id_of(task, to), to.is_some());
        let goes_back = Some(GoesBack { task: task.id.clone(), steps });
        let address = Address { to: to.cloned(), goes_back };
        let address = serde_json::to_string(&address).unwrap_or_default();
        Self { reply: OwedReply { id, address }, answers }
    }

    /// Whether the end of the process is the answer to the task.
    pub(super) fn answers(&self) -> bool {
        self.answers
    }
}

/// A task that was sent twice is waited for twice; one that only came twice has one address.
fn id_of(task: &Incoming, to: Option<&ReplyAddress>) -> String {
    match to {
        Some(address) => format!("{} {} {}", task.id, address.queue, address.correlation_id),
        None => task.id.clone(),
    }
}

/// What an earlier worker has left.
#[derive(Default)]
pub(super) struct Resumed {
    /// How many replies are owed.
    pub(super) replies: usize,
    /// Tasks that went back to a snapshot, and may come again.
    pub(super) went_back: Vec<String>,
}

impl Owed {
    pub(super) fn new(runtime: &Runtime, communicator: Arc<dyn Communicator>) -> Self {
        Self {
            runtime: runtime.clone(),
            communicator,
            dues: Arc::default(),
            open: watch::Sender::new(0),
            paid: Arc::default(),
        }
    }

    fn dues(&self) -> MutexGuard<'_, HashMap<ProcessId, HashMap<String, Due>>> {
        self.dues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a task as it is stored; none if nobody waits, or if there is no store.
    pub(super) fn reply_to(&self, task: &Incoming) -> Result<Option<OwedReply>, Refusal> {
        if self.runtime.store().is_none() {
            return Ok(None);
        }
        let Some(address) = &task.reply_to else { return Ok(None) };
        let id = id_of(task, Some(address));
        let address = serde_json::to_string(address).map_err(Refusal::failed)?;
        Ok(Some(OwedReply { id, address }))
    }

    /// Whether a process went back to a snapshot for this task, by what is stored.
    pub(super) async fn went_back(&self, pid: &ProcessId, task: &Incoming, nowait: bool) -> Result<bool, RunError> {
        let Some(store) = self.runtime.store() else { return Ok(false) };
        let id = id_of(task, task.reply_to.as_ref().filter(|_| !nowait));
        // Those after the empty id: there is none.
        let rows = store.owed(Some((pid.clone(), String::new())), limits::OWED).await?;
        let row = rows.into_iter().find(|(of, reply)| of == pid && reply.id == id);
        match row.and_then(|(_, reply)| Address::read(&reply.address)?.goes_back) {
            Some(goes_back) => self.is_beyond(pid, &goes_back).await,
            None => Ok(false),
        }
    }

    async fn is_beyond(&self, pid: &ProcessId, goes_back: &GoesBack) -> Result<bool, RunError> {
        let Some(store) = self.runtime.store() else { return Ok(false) };
        Ok(store.load(pid).await?.is_some_and(|record| record.steps > goes_back.steps))
    }

    /// Replies when the process has ended; a second call for the same reply does nothing more.
    pub(super) fn repay(&self, handle: &AnyHandle, reply: OwedReply) {
        let (pid, OwedReply { id, address }) = (handle.pid(), reply);
        {
            let mut dues = self.dues();
            let due = dues.entry(pid.clone()).or_default().entry(id.clone());
            let due = due.or_insert_with(|| Due { address: String::new(), handle: None, turn: 0, waiting: false });
            due.address = address;
            if !due.renew(handle) {
                return;
            }
        }
        self.begin(pid.clone(), id, None);
    }

    /// Lets those wait again who waited for a process when it was suspended.
    pub(super) fn brought(&self, handle: &AnyHandle) {
        let pid = handle.pid();
        let again: Vec<_> = {
            let mut dues = self.dues();
            let Some(dues) = dues.get_mut(pid) else { return };
            dues.iter_mut().filter_map(|(id, due)| due.renew(handle).then(|| id.clone())).collect()
        };
        for id in again {
            self.begin(pid.clone(), id, None);
        }
    }

    /// Waits for a process, unless the answer is known, and replies.
    fn begin(&self, pid: ProcessId, id: String, known: Option<Result<Node, Refusal>>) {
        let (owed, open) = (self.clone(), self.open());
        self.runtime.spawn(async move {
            let _open = open;
            let answer = match known {
                Some(answer) => Some(answer),
                None => owed.end(&pid, &id).await,
            };
            let Some(answer) = answer else { return };
            let sent = owed.reply(&pid, &id, answer).await;
            owed.remove(&pid, &id);
            if sent {
                owed.settle(pid, id);
            }
        });
    }

    /// What is said at the end of a process; nothing if it was suspended, or if the next worker has to say it.
    async fn end(&self, pid: &ProcessId, id: &str) -> Option<Result<Node, Refusal>> {
        loop {
            let (handle, turn) = {
                let dues = self.dues();
                let due = dues.get(pid)?.get(id)?;
                (due.handle.clone()?, due.turn)
            };
            let error = match handle.termination().await {
                Ok(termination) => return Some(result_of(&termination)),
                Err(error) => error,
            };
            let lost = self.lost(pid, &error);
            let mut dues = self.dues();
            let due = dues.get_mut(pid)?.get_mut(id)?;
            if due.turn == turn {
                due.waiting = lost.is_some();
                return lost;
            }
        }
    }

    fn remove(&self, pid: &ProcessId, id: &str) {
        let mut dues = self.dues();
        if let Some(of) = dues.get_mut(pid) {
            of.remove(id);
            if of.is_empty() {
                dues.remove(pid);
            }
        }
    }

    /// Counts as a reply that is waited for, while it lives.
    pub(super) fn open(&self) -> Open {
        Open::new(&self.open)
    }

    /// Waits until nothing is being waited for or sent.
    pub(super) async fn idle(&self) {
        // The sender is here: it cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// What is said of a process that cannot go on; nothing if it can with the next worker, which replies then. Where it
    /// waits for another process that cannot go on, it goes on when that one does.
    fn lost(&self, pid: &ProcessId, error: &RunError) -> Option<Result<Node, Refusal>> {
        let own = match error {
            RunError::Parked { pid: of, .. } | RunError::NotFound(of) => of == pid,
            // Where workers share the store, no other is told of the reply while this one lives; and who waits is told of no
            // row but that of the process itself.
            RunError::Store(error) => self.runtime.is_shared() && error.kind() == StoreErrorKind::Corrupt,
            _ => false,
        };
        (own && !self.runtime.is_closing()).then(|| Err(refusal(error)))
    }

    /// Sends a reply, as often as it takes; whether it was sent.
    async fn reply(&self, pid: &ProcessId, id: &str, mut answer: Result<Node, Refusal>) -> bool {
        // What the end led to is heard of before it.
        self.runtime.told().await;
        let mut delay = Duration::ZERO;
        loop {
            let address = self.dues().get(pid).and_then(|dues| Address::read(&dues.get(id)?.address));
            let Some(address) = address else {
                tracing::error!(%pid, "the address of a reply cannot be read: it is not sent");
                return true;
            };
            let Some(address) = address.to else { return true };
            let Err(error) = self.communicator.reply(&address, answer.clone()).await else { return true };
            tracing::debug!(%pid, error = &error as &dyn std::error::Error, "a reply was not sent");
            match error {
                // The next worker sends it.
                CommunicatorError::Closed => return false,
                error if error.is_retryable() => {
                    delay = (delay * 2).clamp(limits::REPLY_AGAIN, limits::REPLY_AGAIN_MOST);
                    tokio::select! {
                        () = self.runtime.closed() => return false,
                        () = tokio::time::sleep(delay) => {}
                    }
                }
                // It cannot be sent as it is: whoever waits hears at least that.
                error if answer.is_ok() => answer = Err(Refusal::failed(error)),
                error => {
                    tracing::error!(%pid, error = &error as &dyn std::error::Error, "a reply cannot be sent");
                    return true;
                }
            }
        }
    }

    /// Has a reply that was sent forgotten, with all that are sent until the store gets there: nobody waits for that.
    fn settle(&self, pid: ProcessId, id: String) {
        let mut sent = self.paid();
        sent.replies.push((pid, id));
        if std::mem::replace(&mut sent.settling, true) {
            return;
        }
        let (owed, open) = (self.clone(), self.open());
        self.runtime.spawn(async move {
            let _open = open;
            while let Some(replies) = owed.take_paid() {
                if let Err(error) = owed.runtime.settle(replies).await {
                    // They are sent once more after the next start, and whoever had waited takes no notice.
                    tracing::warn!(error = &error as &dyn std::error::Error, "replies that were sent stay owed");
                }
            }
        });
    }

    fn paid(&self) -> MutexGuard<'_, Paid> {
        self.paid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_paid(&self) -> Option<Vec<(ProcessId, String)>> {
        let mut paid = self.paid();
        let replies = std::mem::take(&mut paid.replies);
        paid.settling = !replies.is_empty();
        paid.settling.then_some(replies)
    }

    /// Waits for all processes that owe a reply by the store.
    pub(super) async fn resume(&self) -> Result<Resumed, RunError> {
        let mut resumed = Resumed::default();
        let Some(store) = self.runtime.store() else { return Ok(resumed) };
        let mut after = None;
        loop {
            let page = store.owed(after.take(), limits::SCAN_PAGE).await?;
            after = page.last().map(|(pid, reply)| (pid.clone(), reply.id.clone()));
            let full = page.len() == limits::SCAN_PAGE;
            for (pid, reply) in page {
                match self.resume_one(&pid, reply, &mut resumed).await {
                    // A row that cannot be read is the trouble of its own process: the others go on.
                    Err(RunError::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {
                        tracing::error!(%pid, error = &error as &dyn std::error::Error, "a process owes a reply, and cannot be read");
                    }
                    done => done?,
                }
            }
            if !full {
                return Ok(resumed);
            }
        }
    }

    /// Sends replies that another had to send, at the ends of their processes. A process that cannot be read now is tried again, and
    /// keeps the others from nothing. Tasks that went back to a snapshot are told before it is tried again: by then, replies to them
    /// may be sent and forgotten.
    pub(super) async fn go_on_with(&self, mut replies: Vec<(ProcessId, OwedReply)>, went_back: impl Fn(Vec<String>)) {
        let mut delay = limits::REPLY_AGAIN;
        loop {
            let mut left = Vec::new();
            for (pid, reply) in replies {
                let mut resumed = Resumed::default();
                let done = self.resume_one(&pid, reply.clone(), &mut resumed).await;
                went_back(resumed.went_back);
                let Err(error) = done else { continue };
                tracing::error!(%pid, error = &error as &dyn std::error::Error, "a process owes a reply, and cannot be read");
                if matches!(&error, RunError::Store(error) if error.kind() != StoreErrorKind::Corrupt) {
                    left.push((pid, reply));
                }
            }
            if left.is_empty() || self.runtime.is_closing() {
                return;
            }
            replies = left;
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(limits::REPLY_AGAIN_MOST);
        }
    }

    async fn resume_one(&self, pid: &ProcessId, reply: OwedReply, resumed: &mut Resumed) -> Result<(), RunError> {
        let address = Address::read(&reply.address);
        if address.as_ref().is_none_or(|address| address.to.is_some()) {
            resumed.replies += 1;
        }
        if let Some(goes_back) = address.and_then(|address| address.goes_back) {
            if !self.is_beyond(pid, &goes_back).await? {
                // It did not go back: it will when the task comes again, and has its answer then.
                return Ok(());
            }
            resumed.went_back.push(goes_back.task);
        }
        match self.runtime.attach(pid).await {
            Ok(handle) => self.repay(&handle, reply),
            Err(error) => {
                let Some(answer) = self.lost(pid, &error) else {
                    if let RunError::Store(_) = error {
                        return Err(error);
                    }
                    tracing::error!(%pid, error = &error as &dyn std::error::Error, "a process owes a reply, and cannot go on");
                    return Ok(());
                };
                let OwedReply { id, address } = reply;
                let due = Due { address, handle: None, turn: 0, waiting: true };
                self.dues().entry(pid.clone()).or_default().insert(id.clone(), due);
                self.begin(pid.clone(), id, Some(answer));
            }
        }
        Ok(())
    }
}

/// Counts a reply that is being waited for or sent, while it lives.
pub(super) struct Open(watch::Sender<usize>);

impl Open {
    fn new(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
