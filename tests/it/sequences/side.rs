//! A store that is called: what a call is to it, and what it gives, in words that do not depend on the store.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{
    AwaitedChild, Awaiting, Commit, Envelope, Epoch, FORMAT, NewProcess, OwedReply, Parent, Placement, RequestId,
    StatusText, Store, StoreErrorKind, StoreResult, Worker,
};
use procession::{ProcessId, ProcessState};

use super::call::{Call, Change, KEYS, Name, New, PROCESSES, QUEUES, REPLIES, TAGS, Wake};

/// What a call gives: the same, word for word, on all stores.
pub(super) type Outcome = Result<String, StoreErrorKind>;

/// A store, opened as often as there are handles: what is written under an epoch goes through one of them, what is read
/// through any.
pub(super) struct Side {
    pub(super) handles: Vec<Arc<dyn Store>>,
    /// In the order in which they were given.
    pub(super) epochs: Vec<Epoch>,
    pub(super) requests: Vec<RequestId>,
    pub(super) lease: Duration,
    /// How many calls there were.
    pub(super) number: u32,
}

pub(super) fn pid(process: Name) -> ProcessId {
    PROCESSES[process].parse::<i64>().map_or_else(|_| PROCESSES[process].into(), ProcessId::from)
}

fn reply(reply: usize, number: u32) -> OwedReply {
    OwedReply { id: REPLIES[reply].to_owned(), address: format!("address {number}") }
}

fn told<T: Debug>(result: StoreResult<T>) -> Outcome {
    match result {
        Ok(value) => Ok(format!("{value:?}")),
        Err(error) => Err(error.kind()),
    }
}

impl Side {
    pub(super) fn new(handles: Vec<Arc<dyn Store>>, lease: Duration) -> Self {
        Self { handles, epochs: Vec::new(), requests: Vec::new(), lease, number: 0 }
    }

    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millis(1_000 + i64::from(self.number))
    }

    fn written(&self, epoch: usize) -> (&dyn Store, Epoch) {
        (&*self.handles[epoch % self.handles.len()], self.epochs[epoch])
    }

    /// The handle that reads this time.
    pub(super) fn read(&self) -> &dyn Store {
        &*self.handles[self.number as usize % self.handles.len()]
    }

    pub(super) fn place_of(&self, epoch: Epoch) -> Option<usize> {
        self.epochs.iter().position(|given| *given == epoch)
    }

    /// Calls the store. Looking, and the lapse of a lease, are not calls.
    pub(super) async fn call(&mut self, call: &Call) -> Outcome {
        self.number += 1;
        match call {
            Call::Acquire | Call::Join { .. } => self.come(call).await,
            Call::Request { process, kill } => {
                let request =
                    if *kill { Request::Kill { text: "why".to_owned(), force: false } } else { Request::Play };
                let id = self.read().request(&pid(*process), request).await;
                told(id.map(|id| self.requests.push(id)))
            }
            Call::Release { .. } | Call::Renew { .. } | Call::Claim { .. } | Call::HandOver { .. } => {
                self.share(call).await
            }
            Call::Look { .. } | Call::Lapse { .. } => Ok(String::new()),
            _ => self.write(call).await,
        }
    }

    async fn come(&mut self, call: &Call) -> Outcome {
        let handle = &self.handles[self.epochs.len() % self.handles.len()];
        let epoch = match call {
            Call::Join { queues } => {
                let worker = Worker {
                    host: "node.example".to_owned(),
                    os_process: self.number,
                    version: "1.2.3".to_owned(),
                    queues: QUEUES[..*queues].iter().map(|queue| (*queue).to_owned()).collect(),
                    slots: 8,
                };
                handle.join(worker, self.lease).await
            }
            _ => handle.acquire().await,
        };
        told(epoch.map(|epoch| self.epochs.push(epoch)))
    }

    async fn share(&self, call: &Call) -> Outcome {
        match call {
            Call::Release { epoch } => {
                let (store, epoch) = self.written(*epoch);
                told(store.release(epoch).await)
            }
            Call::Renew { epoch, slots_used } => {
                let (store, epoch) = self.written(*epoch);
                told(store.renew(epoch, *slots_used).await)
            }
            Call::Claim { epoch, most, attempts } => {
                let (store, epoch) = self.written(*epoch);
                let mut claimed = store.claim(epoch, *most, *attempts).await;
                if let Ok(claimed) = &mut claimed {
                    // Nothing is said of their order.
                    claimed.parked.sort();
                }
                told(claimed)
            }
            Call::HandOver { epoch, processes } => {
                let (store, epoch) = self.written(*epoch);
                told(store.hand_over(epoch, processes.iter().copied().map(pid).collect()).await)
            }
            _ => unreachable!("{call:?}"),
        }
    }

    async fn write(&self, call: &Call) -> Outcome {
        let (store, under) = self.written(call.epoch().expect("it is written"));
        match call {
            Call::Create { process, with, .. } => told(store.create(under, self.new_process(*process, with)).await),
            Call::Commit { process, to, with, .. } => {
                told(store.commit(self.boundary(under, *process, *to, with)).await)
            }
            Call::Park { process, .. } => told(store.park(under, &pid(*process), format!("why {}", self.number)).await),
            Call::PutMemo { process, name, .. } => {
                let value = format!("\"{}\"", self.number);
                told(store.put_memo(&pid(*process), under, 1, &format!("memo {name}"), value).await)
            }
            Call::Discard { requests, .. } => {
                let requests = requests.iter().map(|request| self.requests[*request]).collect();
                told(store.discard_requests(under, requests).await)
            }
            Call::Owe { process, reply: id, .. } => {
                told(store.owe(under, &pid(*process), reply(*id, self.number)).await)
            }
            Call::Settle { process, reply, .. } => {
                told(store.settle(under, vec![(pid(*process), REPLIES[*reply].to_owned())]).await)
            }
            Call::Delete { process, .. } => told(store.delete(under, &pid(*process)).await),
            _ => self.snapshot(call).await,
        }
    }

    async fn snapshot(&self, call: &Call) -> Outcome {
        let (store, under) = self.written(call.epoch().expect("it is written"));
        let at = self.at();
        match call {
            Call::Save { process, tag, .. } => told(store.save_snapshot(under, &pid(*process), TAGS[*tag], at).await),
            Call::Restore { process, tag, .. } => told(store.restore(under, &pid(*process), TAGS[*tag], at).await),
            Call::DeleteSnapshot { process, tag, .. } => {
                told(store.delete_snapshot(under, &pid(*process), TAGS[*tag]).await)
            }
            Call::DeleteSnapshots { process, .. } => told(store.delete_snapshots(under, &pid(*process)).await),
            _ => unreachable!("{call:?}"),
        }
    }

    fn text(&self, of: &str) -> String {
        format!(r#"{{"{of}":{}}}"#, self.number)
    }

    fn new_process(&self, process: Name, with: &[New]) -> NewProcess {
        let mut new = NewProcess {
            pid: pid(process),
            key: None,
            parent: None,
            envelope: Envelope { format: FORMAT, process: "it::Relax".into(), version: 1, fingerprint: "f00d".into() },
            position: r#"{"at":"setup"}"#.into(),
            context: self.text("context"),
            inputs: self.text("input").into(),
            defaulted: None,
            listeners: None,
            owes: None,
            begun: None,
            placement: Placement::default(),
            messages: Vec::new(),
            at: self.at(),
        };
        for with in with {
            match *with {
                New::Key(key) => new.key = Some(KEYS[key].to_owned()),
                New::ChildOf { parent, awaited, follows } => {
                    new.parent = Some(Parent { pid: pid(parent), awaited, follows });
                }
                New::Begun => new.begun = Some("setup"),
                New::Owes(id) => new.owes = Some(reply(id, self.number)),
                New::Placed(placed) => {
                    let (priority, unowned) = (placed.priority, placed.unowned);
                    new.placement = Placement { queue: QUEUES[placed.queue].to_owned(), priority, unowned };
                }
                New::Listeners => new.listeners = Some(r#"[{"name":"l","state":1}]"#.to_owned()),
                New::Defaulted => new.defaulted = Some(r#"["steps"]"#.to_owned()),
            }
        }
        new
    }

    fn boundary(&self, epoch: Epoch, process: Name, to: ProcessState, with: &[Change]) -> Commit {
        let mut commit = Commit::new(pid(process), epoch, self.at(), ProcessState::Running, to);
        commit.steps = u64::from(self.number);
        commit.ended = to.is_terminal().then(|| format!(r#"{{"state":"{}"}}"#, "finished"));
        for change in with {
            match change {
                Change::Paused => commit.paused = true,
                Change::Transition => commit.transition = Some("step"),
                Change::Envelope => {
                    let envelope = self.new_process(process, &[]).envelope;
                    commit.envelope = Some(Envelope { version: self.number, ..envelope });
                }
                Change::Position => commit.position = Some(self.text("at")),
                Change::Context => commit.context = Some(self.text("context")),
                Change::Outputs => commit.outputs = Some(self.text("output")),
                Change::Status { covered } => {
                    let text = Some(format!("status {}", self.number));
                    commit.status = Some(StatusText { text, before_pause: covered.then_some(None), progress: None });
                }
                Change::Listeners { some } => {
                    let listeners = if *some { r#"[{"name":"l","state":2}]"# } else { "[]" };
                    commit.listeners = Some(listeners.to_owned());
                }
                Change::Await { children, wake, resume } => {
                    commit.awaiting = Some(awaiting(children, *wake, *resume));
                }
                Change::Child { process: child, awaited, follows, with } => {
                    let parent = Parent { pid: pid(process), awaited: *awaited, follows: *follows };
                    commit.children.push(NewProcess { parent: Some(parent), ..self.new_process(*child, with) });
                }
                Change::Report(lines) => {
                    commit.report.extend((0..*lines).map(|line| format!("line {}.{line}", self.number)));
                }
                Change::Apply(request) => commit.applied.push(self.requests[*request]),
                Change::ForgetMemos => commit.forget_memos = true,
                Change::WrongEnd => {
                    commit.ended = commit.ended.is_none().then(|| r#"{"state":"finished"}"#.to_owned());
                }
            }
        }
        commit
    }
}

fn awaiting(children: &[Name], wake: Option<Wake>, resume: bool) -> Awaiting {
    let children = children.iter().map(|child| AwaitedChild { pid: pid(*child), allow_failure: false });
    let wake_at = wake.map(|wake| match wake {
        Wake::LongAgo => Timestamp::from_millis(1),
        Wake::InAges => Timestamp::from_millis(10_000_000_000_000),
    });
    Awaiting {
        children: children.collect(),
        wake_at,
        resume: resume.then(|| "a word".to_owned()),
        ..Awaiting::default()
    }
}
