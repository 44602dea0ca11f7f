//! Who was promised what, and what came of it.

use procession::ProcessId;
use procession::communicator::{BroadcastFilter, BroadcastSubscriber, Communicator};
use procession::message::{Broadcast, Node};
use procession::process::{BoxFuture, Ended};
use procession::store::{HistoryEntry, Record, Store};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a process ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Outputs(Map<String, Value>),
    /// By an exception or a kill: from elsewhere they look the same.
    Failed(String),
}

/// Every process that was asked for, and every end that was told of.
#[derive(Debug, Default)]
pub(crate) struct Account(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    jobs: Vec<Entry>,
    /// The ends that were broadcast.
    heard: HashMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    what: String,
    expected: End,
    /// Steps that it takes.
    steps: RangeInclusive<u64>,
    pid: Option<ProcessId>,
    answer: Option<Result<End, String>>,
}

/// Names a job in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobId(usize);

impl Account {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process is asked for.
    pub(crate) fn open(&self, what: String, expected: End, steps: RangeInclusive<u64>) -> JobId {
        let mut entries = self.lock();
        entries.jobs.push(Entry { what, expected, steps, pid: None, answer: None });
        JobId(entries.jobs.len() - 1)
    }

    /// It is this one.
    pub(crate) fn is(&self, job: JobId, pid: &ProcessId) {
        self.lock().jobs[job.0].pid = Some(pid.clone());
    }

    /// Who asked has his answer; or none, and why.
    pub(crate) fn close(&self, job: JobId, answer: Result<End, String>) {
        self.lock().jobs[job.0].answer = Some(answer);
    }

    /// How many were asked for, and wait for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().jobs.iter().filter(|entry| entry.answer.is_none()).count()
    }

    /// Whether the end of a process was heard of.
    pub(crate) fn has_heard(&self, pid: &ProcessId) -> bool {
        self.lock().heard.contains_key(&pid.to_string())
    }

    /// Hears of ends.
    pub(crate) async fn listen(self: &Arc<Self>, communicator: &dyn Communicator) {
        let filter = BroadcastFilter::all().subject("state_changed.*");
        let ear = Arc::new(Ear(Arc::clone(self)));
        communicator.add_broadcast_subscriber(ear, filter, None).await.expect("broadcasts can be heard");
    }

    /// Holds what was promised against what the store has.
    pub(crate) async fn balance(&self, store: &dyn Store) -> Balance {
        let mut records = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.list(Vec::new(), after, 1_000).await.expect("the store can be read");
            assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
            for record in page.records {
                let history = store.history(&record.pid).await.expect("the store can be read");
                records.insert(record.pid.to_string(), (record, history));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.lock().balance(&records)
    }
}

impl Entries {
    fn balance(&self, records: &BTreeMap<String, (Record, Vec<HistoryEntry>)>) -> Balance {
        let mut balance = Balance { jobs: self.jobs.len(), processes: records.len(), ..Balance::default() };
        let mut owned = HashSet::new();
        for entry in &self.jobs {
            let pid = entry.pid.as_ref().map(ToString::to_string).unwrap_or_default();
            match records.get(&pid) {
                None => balance.lost.push(format!("{} `{pid}`: the store has no such process", entry.what)),
                Some((record, history)) => entry.compare(record, history, &mut balance),
            }
            if !pid.is_empty() && !owned.insert(pid.clone()) {
                balance.wrong.push(format!("{} `{pid}`: another job has the same process", entry.what));
            }
            match &entry.answer {
                Some(Ok(answer)) if *answer == entry.expected => {}
                Some(Ok(answer)) => balance.wrong.push(format!("{} `{pid}`: the answer was {answer:?}", entry.what)),
                Some(Err(why)) => balance.unanswered.push(format!("{} `{pid}`: {why}", entry.what)),
                None => balance.unanswered.push(format!("{} `{pid}`: no answer", entry.what)),
            }
        }
        for (pid, (record, _)) in records.iter().filter(|(pid, _)| !owned.contains(*pid)) {
            balance.doubled.push(format!("{} `{pid}`: nobody asked for it", record.envelope.process));
        }
        for (pid, ends) in self.heard.iter().filter(|(_, ends)| ends.len() > 1) {
            balance.doubled.push(format!("`{pid}`: it was told to have ended as {}", ends.join(", ")));
        }
        balance
    }
}

impl Entry {
    fn compare(&self, record: &Record, history: &[HistoryEntry], balance: &mut Balance) {
        let Self { what, expected, steps, .. } = self;
        let pid = &record.pid;
        let Some(end) = end_of(record) else {
            balance.lost.push(format!("{what} `{pid}`: it never ended, and is {:?}", record.state));
            return;
        };
        if end != *expected {
            balance.wrong.push(format!("{what} `{pid}`: its end was {end:?}"));
        }
        let ends = history.iter().filter(|entry| entry.to.is_terminal()).count();
        if ends != 1 {
            balance.doubled.push(format!("{what} `{pid}`: it ended {ends} times"));
        }
        if !steps.contains(&record.steps) {
            let list = if record.steps > *steps.end() { &mut balance.doubled } else { &mut balance.lost };
            list.push(format!("{what} `{pid}`: {} steps in place of {steps:?}", record.steps));
        }
    }
}

/// How a process ended, as its caller sees it.
fn end_of(record: &Record) -> Option<End> {
    let termination = record.termination().expect("an end can be read")?;
    Some(match termination.ended {
        Ended::Excepted { error } => End::Failed(error.message),
        Ended::Killed { text } => End::Failed(text),
        _ => End::Outputs(termination.outputs),
    })
}

struct Ear(Arc<Account>);

impl BroadcastSubscriber for Ear {
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()> {
        let subject = broadcast.subject.clone().unwrap_or_default();
        if ["finished", "excepted", "killed"].iter().any(|end| subject.ends_with(&format!(".{end}"))) {
            let sender = match &broadcast.sender {
                Node::Tagged(tagged) => tagged.node.clone(),
                other => other.clone(),
            };
            let sender = sender.as_text().unwrap_or_default().to_owned();
            self.0.lock().heard.entry(sender).or_default().push(subject);
        }
        Box::pin(std::future::ready(()))
    }
}

/// What an account comes to.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    pub(crate) jobs: usize,
    pub(crate) processes: usize,
    /// Processes that were asked for and did not come to their end.
    pub(crate) lost: Vec<String>,
    /// Processes or ends that are there more than once.
    pub(crate) doubled: Vec<String>,
    /// Ends and answers that are others than they should be.
    pub(crate) wrong: Vec<String>,
    /// Callers without an answer.
    pub(crate) unanswered: Vec<String>,
}

impl Balance {
    /// Whether everyone has what he was promised, once.
    pub(crate) fn is_even(&self) -> bool {
        [&self.lost, &self.doubled, &self.wrong, &self.unanswered].iter().all(|list| list.is_empty())
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, processes, lost, doubled, wrong, unanswered } = self;
        write!(f, "{jobs} processes asked for, {processes} in the store")?;
        let lists = [("lost", lost), ("doubled", doubled), ("wrong", wrong), ("unanswered", unanswered)];
        for (name, list) in lists {
            write!(f, ", {} {name}", list.len())?;
        }
        for (name, list) in lists {
            for line in list.iter().take(10) {
                write!(f, "\n  {name}: {line}")?;
            }
        }
        Ok(())
    }
}
