//! What is committed in batches, and what must not stand in one batch.

use std::collections::{HashMap, HashSet};

use tokio::sync::oneshot;

use crate::process::ProcessId;
use crate::store::{Commit, Committed, Creation, Epoch, NewProcess, StoreResult};

#[derive(Debug)]
pub(super) enum Work {
    Commit(Box<Commit>),
    Create { epoch: Epoch, process: Box<NewProcess> },
}

/// What it leads to.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Committed(Committed),
    Created(Creation),
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<StoreResult<Done>>,
    /// The revision that the process has if an attempt of which nobody knows was successful.
    pub(super) lost: Option<i64>,
}

impl Work {
    pub(super) fn pid(&self) -> &ProcessId {
        match self {
            Self::Commit(commit) => &commit.pid,
            Self::Create { process, .. } => &process.pid,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Commit(commit) => commit.epoch,
            Self::Create { epoch, .. } => *epoch,
        }
    }

    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Create { .. } => "create",
        }
    }

    /// Bytes of its texts, and of the largest of its rows.
    pub(super) fn bytes(&self) -> (usize, usize) {
        match self {
            Self::Create { process, .. } => (size_of(process), size_of(process)),
            Self::Commit(commit) => {
                let texts = [&commit.position, &commit.context, &commit.outputs, &commit.listeners, &commit.ended];
                let own = texts.into_iter().flatten().map(String::len).sum::<usize>();
                let report = commit.report.iter().map(String::len);
                let children = commit.children.iter().map(size_of);
                let all = own + report.clone().sum::<usize>() + children.clone().sum::<usize>();
                let all = all + commit.messages.iter().map(|message| message.body.len()).sum::<usize>();
                (all, children.chain(report).chain([own]).max().unwrap_or(0))
            }
        }
    }

    /// Whether it needs no look at other processes: a creation without a parent, or a boundary that changes nothing but the
    /// process's own row and its history, messages apart. An end is one where it has no parent, which is not known here.
    pub(super) fn is_plain(&self) -> bool {
        let commit = match self {
            Self::Create { process, .. } => return process.parent.is_none(),
            Self::Commit(commit) => commit,
        };
        let Commit { awaiting, listeners, envelope, children, report, applied, forget_memos, .. } = &**commit;
        // Where a wait ends that is not the last, a child may be opened at the same time.
        let waits = awaiting.as_ref().is_some_and(|awaiting| !self.is_end() || !awaiting.is_empty());
        let columns = !waits && listeners.is_none() && envelope.is_none();
        columns && !forget_memos && children.is_empty() && report.is_empty() && applied.is_empty()
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Commit(commit) if commit.to.is_terminal())
    }

    /// Every process and key that it looks at or changes, and whether it changes it.
    fn claims(&self) -> Vec<(Claim, bool)> {
        let mut claims = Vec::with_capacity(1);
        match self {
            Self::Create { process, .. } => claim(&mut claims, process),
            Self::Commit(commit) => {
                claims.push((Claim::Process(commit.pid.clone()), true));
                commit.children.iter().for_each(|child| claim(&mut claims, child));
                let awaited = commit.awaiting.iter().flat_map(|awaiting| &awaiting.children);
                claims.extend(awaited.map(|child| (Claim::Process(child.pid.clone()), false)));
            }
        }
        claims
    }
}

fn claim(claims: &mut Vec<(Claim, bool)>, process: &NewProcess) {
    claims.push((Claim::Process(process.pid.clone()), true));
    claims.extend(process.key.clone().map(|key| (Claim::Key(key), true)));
    claims.extend(process.parent.as_ref().map(|parent| (Claim::Process(parent.pid.clone()), false)));
}

fn size_of(process: &NewProcess) -> usize {
    let optional = [&process.defaulted, &process.listeners, &process.key].into_iter().flatten();
    let optional = optional.map(String::len).sum::<usize>();
    let messages = process.messages.iter().map(|message| message.body.len()).sum::<usize>();
    process.position.len() + process.context.len() + process.inputs.len() + optional + messages
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Claim {
    Process(ProcessId),
    Key(String),
}

/// What the jobs claim that are in a batch, or that wait before others: a statement sees nothing of what it writes, so
/// jobs that would see each other are written one after the other, in their order.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<Claim, Held>);

#[derive(Debug)]
enum Held {
    Alone,
    Shared(usize),
}

/// The claims of one batch.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<(Claim, bool)>);

impl Claims {
    /// Takes what a job claims, if all of it is free in both.
    pub(super) fn take(&mut self, before: &mut Self, work: &Work, taken: &mut Taken) -> bool {
        let mut claims = work.claims();
        // One job may name a process more than once.
        if claims.len() > 1 {
            claims.sort_by_key(|(_, alone)| !alone);
            let mut seen = HashSet::new();
            claims.retain(|(claim, _)| seen.insert(claim.clone()));
        }
        let free = claims.iter().all(|(claim, alone)| self.is_free(claim, *alone) && before.is_free(claim, *alone));
        let into = if free { &mut *self } else { before };
        for (claim, alone) in &claims {
            into.hold(claim.clone(), *alone);
        }
        if free {
            taken.0.append(&mut claims);
        }
        free
    }

    fn is_free(&self, claim: &Claim, alone: bool) -> bool {
        match self.0.get(claim) {
            None => true,
            Some(Held::Alone) => false,
            Some(Held::Shared(_)) => !alone,
        }
    }

    fn hold(&mut self, claim: Claim, alone: bool) {
        match self.0.entry(claim).or_insert(Held::Shared(0)) {
            held if alone => *held = Held::Alone,
            Held::Shared(holders) => *holders += 1,
            Held::Alone => {}
        }
    }

    pub(super) fn give_back(&mut self, taken: Taken) {
        for (claim, _) in taken.0 {
            match self.0.get_mut(&claim) {
                Some(Held::Shared(holders)) if *holders > 1 => *holders -= 1,
                _ => drop(self.0.remove(&claim)),
            }
        }
    }
}
