//! What a batch of commits and creations leads to: decided here, on rows that are locked, and written together.

use std::collections::{HashMap, HashSet};

use super::fence::NOBODY;
use super::job::{Done, Job, Work};
use super::known::Known;
use super::look::{Found, Seen, Wanted};
use super::write::{Boundaries, Writing, bytes, json};
use crate::process::{ProcessId, ProcessState};
use crate::store::record::some_listeners;
use crate::store::rules::Retention;
use crate::store::search::exit_code;
use crate::store::{Awaiting, Commit, Committed, Creation, Epoch, NewProcess, Placement, StoreErrorKind};

/// What becomes of a job.
#[derive(Debug)]
pub(super) enum Verdict {
    Refused(StoreErrorKind),
    Done(Done),
    /// A process that has ended, and has a parent: which it is told of is known when it is written.
    Left(i64),
}

/// What is decided of a batch.
#[derive(Debug, Default)]
pub(super) struct Decided<'a> {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) writing: Writing<'a>,
    /// What is to be remembered once it is written.
    pub(super) news: Vec<(&'a ProcessId, Option<Known>)>,
}

/// What a batch is about.
pub(super) fn wanted(jobs: &[Job]) -> Wanted {
    let mut wanted = Wanted::default();
    let created = |wanted: &mut Wanted, process: &NewProcess| {
        wanted.process(&process.pid);
        process.key.iter().for_each(|key| wanted.key(key));
        process.parent.iter().for_each(|parent| wanted.process(&parent.pid));
        wanted.free += 1;
    };
    for job in jobs {
        wanted.epoch(job.work.epoch());
        match &job.work {
            Work::Create { process, .. } => created(&mut wanted, process),
            Work::Commit(commit) => {
                wanted.process(&commit.pid);
                if commit.to.is_terminal() {
                    wanted.parent_of(&commit.pid);
                }
                commit.children.iter().for_each(|child| created(&mut wanted, child));
                let awaited = commit.awaiting.iter().flat_map(|awaiting| &awaiting.children);
                awaited.for_each(|child| wanted.process(&child.pid));
            }
        }
    }
    wanted
}

/// Decides on each job alone: no two of a batch are about the same process, but for the ends of children.
pub(super) fn decide<'a>(jobs: &'a [Job], seen: &mut Seen, retention: Retention) -> Decided<'a> {
    let free = seen.free();
    let mut batch = Batch { seen, free, retention, decided: Decided::default() };
    for job in jobs {
        let verdict = match &job.work {
            Work::Create { epoch, process } => batch.create(*epoch, process),
            Work::Commit(commit) => batch.commit(commit, job.lost),
        };
        batch.decided.verdicts.push(verdict.unwrap_or_else(Verdict::Refused));
    }
    batch.decided
}

struct Batch<'a, 's> {
    seen: &'s Seen,
    free: std::vec::IntoIter<i64>,
    retention: Retention,
    decided: Decided<'a>,
}

impl<'a, 's> Batch<'a, 's> {
    fn create(&mut self, epoch: Epoch, process: &'a NewProcess) -> Result<Verdict, StoreErrorKind> {
        self.seen.fence.holds(epoch)?;
        if let Some(exists) = self.existing(process) {
            return Ok(Verdict::Done(Done::Created(exists)));
        }
        let parent = self.parent(process)?;
        let id = self.add(epoch, process, parent)?;
        if let Some(parent) = parent.filter(|parent| !parent.row.ended && is_awaited(process)) {
            self.decided.writing.opened.push(parent.id, id);
        }
        if let Some(reply) = &process.owes {
            let owed = &mut self.decided.writing.owed;
            owed.process.push(id);
            owed.pid.push(process.pid.to_string().into_bytes());
            owed.id.push(reply.id.as_bytes());
            owed.address.push(reply.address.as_bytes());
            owed.sender.push(epoch.0.cast_signed());
        }
        Ok(Verdict::Done(Done::Created(Creation::Created)))
    }

    /// The process that has the key or the id.
    fn existing(&self, process: &NewProcess) -> Option<Creation> {
        if let Some((pid, name)) = process.key.as_ref().and_then(|key| self.seen.holder(key)) {
            return Some(Creation::Exists { pid: pid.clone(), process: name.clone() });
        }
        let found = self.seen.process(&process.pid)?;
        Some(Creation::Exists { pid: process.pid.clone(), process: found.row.process.clone() })
    }

    fn parent(&self, process: &NewProcess) -> Result<Option<Found<'s>>, StoreErrorKind> {
        let Some(parent) = &process.parent else { return Ok(None) };
        self.seen.process(&parent.pid).map(Some).ok_or(StoreErrorKind::NotFound)
    }

    fn add(&mut self, epoch: Epoch, process: &'a NewProcess, parent: Option<Found<'_>>) -> Result<i64, StoreErrorKind> {
        let id = self.free.next().ok_or(StoreErrorKind::Other)?;
        self.decided.writing.epochs.insert(epoch.0.cast_signed());
        let created = &mut self.decided.writing.created;
        created.id.push(id);
        created.pid.push(process.pid.to_string().into_bytes());
        created.key.push(bytes(process.key.as_ref()));
        created.parent.push(parent.map(|parent| parent.id));
        created.follows.push(process.parent.as_ref().is_some_and(|parent| parent.follows));
        created.at.push(process.at.as_millis());
        created.inputs.push(process.inputs.as_bytes());
        created.defaulted.push(bytes(process.defaulted.as_ref()));
        created.version.push(process.envelope.version.into());
        created.format.push(process.envelope.format.into());
        created.process.push(process.envelope.process.as_bytes());
        created.fingerprint.push(process.envelope.fingerprint.as_bytes());
        created.listeners.push(process.listeners.as_deref().and_then(some_listeners).unwrap_or_default().as_bytes());
        created.position.push(process.position.as_bytes());
        created.context.push(process.context.as_bytes());
        created.state.push(process.state().as_str());
        let Placement { queue, priority, unowned } = &process.placement;
        let above = parent.map(|parent| (parent.row.queue.clone(), parent.row.priority));
        let (queue, priority) = above.unwrap_or_else(|| (queue.clone().into_bytes(), *priority));
        created.queue.push(queue);
        created.priority.push(priority);
        created.owner.push(if *unowned { NOBODY } else { self.seen.fence.owner(epoch) });
        let begun = process.begun.filter(|_| self.retention.history > 0);
        created.transitions.push(i64::from(begun.is_some()));
        if let Some(point) = begun {
            let rows = &mut self.decided.writing.history;
            rows.process.push(id);
            rows.ordinal.push(1);
            rows.at.push(process.at.as_millis());
            rows.steps.push(0);
            rows.left.push(ProcessState::Created.as_str());
            rows.entered.push(process.state().as_str());
            rows.point.push(point.as_bytes());
        }
        self.decided.writing.posted.push(epoch, &process.pid, &process.messages);
        self.decided.news.push((&process.pid, Some(Known { id, revision: 0, child: process.parent.is_some() })));
        Ok(id)
    }

    fn commit(&mut self, commit: &'a Commit, lost: Option<i64>) -> Result<Verdict, StoreErrorKind> {
        self.seen.fence.holds(commit.epoch)?;
        let Some(own) = self.seen.process(&commit.pid) else {
            self.decided.news.push((&commit.pid, None));
            // It was ours until it ended, and only what has ended is deleted: its end was written.
            let written = lost.is_some() && commit.to.is_terminal();
            let done = Verdict::Done(Done::Committed(Committed::default()));
            return if written { Ok(done) } else { Err(StoreErrorKind::NotFound) };
        };
        if own.row.parked {
            self.seen.takes(commit.epoch, own.row)?;
        } else {
            self.seen.owns(commit.epoch, own.row)?;
        }
        let known = Known { id: own.id, revision: own.row.revision, child: own.parent.is_some() };
        if lost == Some(own.row.revision) {
            // Nobody else writes under this epoch: it was this one.
            self.decided.news.push((&commit.pid, (!own.row.ended).then_some(known)));
            return Ok(Verdict::Done(Done::Committed(Committed::default())));
        }
        if own.row.ended {
            return Err(StoreErrorKind::Ended);
        }
        let parents: Vec<_> = commit.children.iter().map(|child| self.parent(child)).collect::<Result<_, _>>()?;
        let (status, awaiting) = (commit.status.as_ref(), commit.awaiting.as_ref());
        let status = status.map(|status| json(status, &commit.pid)).transpose().map_err(|error| error.kind())?;
        // A wait for nothing is no text, as in most rows.
        let text = |awaiting: &Awaiting| if awaiting.is_empty() { Ok(Vec::new()) } else { json(awaiting, &commit.pid) };
        let awaiting = awaiting.map(text).transpose().map_err(|error| error.kind())?;
        // From here on nothing is refused.
        let has_open = self.children(commit, own, &parents)?;
        let (transitions, reports) = self.rows(commit, own);
        let owner = if commit.to.is_terminal() { NOBODY } else { self.seen.fence.owner(commit.epoch) };
        let row = Row { id: own.id, transitions, reports, status, awaiting, has_open, owner };
        row.push(commit, &mut self.decided.writing.boundaries);
        self.decided.writing.epochs.insert(commit.epoch.0.cast_signed());
        self.decided.writing.posted.push(commit.epoch, &commit.pid, &commit.messages);
        if !commit.to.is_terminal() {
            self.decided.news.push((&commit.pid, Some(Known { revision: known.revision + 1, ..known })));
            return Ok(Verdict::Done(Done::Committed(Committed::default())));
        }
        self.decided.news.push((&commit.pid, None));
        Ok(match own.parent {
            Some(parent) => {
                self.decided.writing.ended.push(parent, own.id);
                Verdict::Left(own.id)
            }
            None => Verdict::Done(Done::Committed(Committed::default())),
        })
    }

    /// Children that are created, and which are open from now on. Gives whether any of its own is, where the boundary says
    /// it.
    fn children(
        &mut self,
        commit: &'a Commit,
        own: Found<'_>,
        parents: &[Option<Found<'_>>],
    ) -> Result<Option<bool>, StoreErrorKind> {
        let ended = commit.to.is_terminal();
        let closes = ended || commit.awaiting.is_some();
        if closes {
            self.decided.writing.closed.push(own.id);
        }
        let mut created = HashMap::new();
        let mut keys = HashSet::new();
        let mut open = HashSet::new();
        for (child, parent) in commit.children.iter().zip(parents) {
            // Twice in one commit is once. One that is not created leaves its key to others.
            let key_is_taken = child.key.as_ref().is_some_and(|key| keys.contains(key));
            if self.existing(child).is_some() || created.contains_key(&child.pid) || key_is_taken {
                continue;
            }
            keys.extend(&child.key);
            let id = self.add(commit.epoch, child, *parent)?;
            let Some(parent) = parent else { continue };
            created.insert(&child.pid, (id, parent.id));
            if parent.id == own.id {
                open.extend(is_awaited(child).then_some(id));
            } else if is_awaited(child) && !parent.row.ended {
                self.decided.writing.opened.push(parent.id, id);
            }
        }
        for awaited in commit.awaiting.iter().flat_map(|awaiting| &awaiting.children) {
            let child = match (created.get(&awaited.pid), self.seen.process(&awaited.pid)) {
                (Some((id, parent)), _) => Some((*id, Some(*parent))),
                (None, Some(found)) if !found.row.ended => Some((found.id, found.parent)),
                _ => None,
            };
            open.extend(child.filter(|(_, parent)| *parent == Some(own.id)).map(|(id, _)| id));
        }
        if ended {
            open.clear();
        }
        let has_open = (closes || !open.is_empty()).then_some(!open.is_empty());
        for child in open {
            self.decided.writing.opened.push(own.id, child);
        }
        Ok(has_open)
    }

    /// Rows of history and report, what they replace, and what is removed with the boundary; gives how many of each there
    /// have been.
    fn rows(&mut self, commit: &'a Commit, own: Found<'_>) -> (i64, i64) {
        let writing = &mut self.decided.writing;
        let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
        let (mut transitions, mut reports) = (own.row.transitions, own.row.reports);
        let most = bound(self.retention.history);
        if let Some(point) = commit.transition.filter(|_| most > 0) {
            transitions += 1;
            let rows = &mut writing.history;
            rows.process.push(own.id);
            rows.ordinal.push(transitions);
            rows.at.push(commit.at.as_millis());
            rows.steps.push(commit.steps.cast_signed());
            rows.left.push(commit.from.as_str());
            rows.entered.push(commit.to.as_str());
            rows.point.push(point.as_bytes());
            if transitions % most == 0 {
                writing.cut.push(own.id, transitions - most);
            }
        }
        let most = bound(self.retention.reports);
        for text in commit.report.iter().filter(|_| most > 0) {
            reports += 1;
            let lines = &mut writing.reports;
            lines.process.push(own.id);
            lines.ordinal.push(reports);
            lines.at.push(commit.at.as_millis());
            lines.text.push(text.as_bytes());
        }
        if reports > most && reports > own.row.reports {
            writing.shortened.push(own.id, reports - most);
        }
        if commit.forget_memos {
            writing.forgotten.push(own.id);
        }
        writing.applied.extend(commit.applied.iter().map(|request| request.0));
        (transitions, reports)
    }
}

/// What a boundary writes beside what the commit says.
struct Row {
    id: i64,
    transitions: i64,
    reports: i64,
    status: Option<Vec<u8>>,
    awaiting: Option<Vec<u8>>,
    has_open: Option<bool>,
    owner: i64,
}

impl Row {
    fn push<'a>(self, commit: &'a Commit, boundaries: &mut Boundaries<'a>) {
        let envelope = commit.envelope.as_ref();
        boundaries.id.push(self.id);
        boundaries.state.push(commit.to.as_str());
        boundaries.paused.push(commit.paused);
        boundaries.steps.push(commit.steps.cast_signed());
        boundaries.at.push(commit.at.as_millis());
        boundaries.transitions.push(self.transitions);
        boundaries.reports.push(self.reports);
        boundaries.version.push(envelope.map(|envelope| envelope.version.into()));
        boundaries.format.push(envelope.map(|envelope| envelope.format.into()));
        boundaries.process.push(envelope.map(|envelope| envelope.process.as_bytes()));
        boundaries.fingerprint.push(envelope.map(|envelope| envelope.fingerprint.as_bytes()));
        boundaries.status.push(self.status);
        boundaries.awaiting.push(self.awaiting);
        boundaries.wakes.push(commit.awaiting.as_ref().map(wakes));
        boundaries.owner.push(self.owner);
        boundaries.has_open.push(self.has_open);
        boundaries.exit_code.push(exit_code(commit.to, commit.ended.as_deref()));
        boundaries
            .listeners
            .push(commit.listeners.as_deref().map(|text| some_listeners(text).unwrap_or_default().as_bytes()));
        boundaries.position.push(bytes(commit.position.as_ref()));
        boundaries.context.push(bytes(commit.context.as_ref()));
        boundaries.outputs.push(bytes(commit.outputs.as_ref()));
        boundaries.ended.push(bytes(commit.ended.as_ref()));
    }
}

/// When a wait is over, but for its children, as the tables have it.
pub(super) fn wakes(awaiting: &Awaiting) -> i64 {
    match awaiting {
        Awaiting { resume: Some(_), .. } => i64::MAX,
        Awaiting { wake_at: Some(at), .. } => at.as_millis().max(1),
        Awaiting { .. } => 0,
    }
}

fn is_awaited(process: &NewProcess) -> bool {
    process.parent.as_ref().is_some_and(|parent| parent.awaited)
}
