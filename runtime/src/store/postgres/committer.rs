//! The task that commits: it takes all that is queued, at once, and writes it as one transaction, on two connections in
//! turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::batch::{self, Decided, Verdict};
use super::error::Fault;
use super::job::{Claims, Done, Job, Taken, Work};
use super::known::{Known, Memory};
use super::look::Seen;
use super::outcome::Token;
use super::plain::{Plain, Written};
use super::read::text;
use super::server::{COMMITTERS, Patience, Server, Session};
use crate::limits;
use crate::process::ProcessId;
use crate::store::rules::Retention;
use crate::store::{Committed, Creation, StoreErrorKind};

/// What batches are written with.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) server: Arc<Server>,
    pub(super) memory: Arc<Memory>,
    pub(super) history: u64,
    pub(super) reports: u64,
}

/// Commits until the store is dropped, and what is queued then.
pub(super) async fn run(committer: Committer, mut queue: mpsc::Receiver<Job>) {
    let committer = Arc::new(committer);
    let mut waiting = VecDeque::new();
    let mut claims = Claims::default();
    let mut running: JoinSet<Taken> = JoinSet::new();
    let mut open = true;
    loop {
        if running.len() < COMMITTERS && open {
            // Those that were answered a moment ago come back with their next step: they share the batch.
            tokio::task::yield_now().await;
        }
        while waiting.len() < limits::COMMIT_QUEUE
            && let Ok(job) = queue.try_recv()
        {
            waiting.push_back(job);
        }
        while running.len() < COMMITTERS {
            let (batch, taken) = take(&mut waiting, &mut claims);
            if batch.is_empty() {
                break;
            }
            let committer = Arc::clone(&committer);
            running.spawn(async move {
                committer.write(batch).await;
                taken
            });
        }
        if !open && running.is_empty() && waiting.is_empty() {
            return;
        }
        tokio::select! {
            Some(done) = running.join_next() => match done {
                Ok(taken) => claims.give_back(taken),
                // What it claimed is lost: the callers of its batch, and all later ones, find the store closed.
                Err(_) => return,
            },
            job = queue.recv(), if open && running.len() < COMMITTERS => match job {
                Some(job) => waiting.push_back(job),
                None => open = false,
            },
        }
    }
}

/// Takes what can be written together; the rest keeps its order.
fn take(waiting: &mut VecDeque<Job>, claims: &mut Claims) -> (Vec<Job>, Taken) {
    let (mut batch, mut taken) = (Vec::new(), Taken::default());
    let (mut left, mut before, mut bytes) = (VecDeque::new(), Claims::default(), 0_usize);
    while let Some(job) = waiting.pop_front() {
        let (size, _) = job.work.bytes();
        let room = batch.is_empty() || bytes.saturating_add(size) <= limits::POSTGRES_BATCH_BYTES;
        if batch.len() >= limits::POSTGRES_BATCH || !room {
            waiting.push_front(job);
            break;
        }
        if claims.take(&mut before, &job.work, &mut taken) {
            bytes = bytes.saturating_add(size);
            batch.push(job);
        } else {
            left.push_back(job);
        }
    }
    left.append(waiting);
    *waiting = left;
    (batch, taken)
}

impl Committer {
    /// Writes a batch, and answers all of it.
    async fn write(&self, batch: Vec<Job>) {
        // Parts of what failed as a whole; one that fails alone has failed.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if let Err((mut part, fault)) = self.part(part).await {
                if part.len() > 1 && fault.is_of_one() {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                } else {
                    self.fail(part, fault);
                }
            }
        }
    }

    fn fail(&self, jobs: Vec<Job>, fault: Fault) {
        let fault = if any_lost(&jobs) { fault.unknown() } else { fault };
        let error = self.server.error("write to", fault);
        for job in jobs {
            self.memory.forget(job.work.pid());
            // Who does not wait for the answer any more does not need it.
            let _ = job.answer.send(Err(error.clone()));
        }
    }

    /// Writes until it is known what became of all of it.
    async fn part(&self, jobs: Vec<Job>) -> Result<(), (Vec<Job>, Fault)> {
        let mut patience = self.server.patience();
        let mut jobs = match Plain::of(jobs, &self.memory) {
            Ok(plain) => self.plain(plain, &mut patience).await?,
            Err(jobs) => jobs,
        };
        while !jobs.is_empty() {
            match self.full(&jobs, &mut patience).await {
                Ok(answers) => {
                    for (job, answer) in jobs.drain(..).zip(answers) {
                        let _ = job.answer.send(answer.map_err(|kind| self.refusal(&job.work, kind)));
                    }
                }
                Err(fault) => {
                    // What keeps from asking may pass; what one of them leads to is told of that one alone.
                    let fault = if any_lost(&jobs) && !fault.is_of_one() { fault.unknown() } else { fault };
                    if let Err(fault) = patience.with(fault).await {
                        return Err((jobs, fault));
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what is plain; gives back what was not written, or of which nobody knows.
    async fn plain(&self, plain: Plain, patience: &mut Patience) -> Result<Vec<Job>, (Vec<Job>, Fault)> {
        loop {
            let token = plain.token();
            let fault = match self.write_plain(&plain, token.as_ref()).await {
                Ok(written) => {
                    if let Some(token) = token {
                        self.server.spent.add(token);
                    }
                    return Ok(self.answer(plain, &written));
                }
                Err(fault) => fault,
            };
            let fault = match token {
                Some(token) if fault.lost => match self.server.outcome(token, fault, patience).await {
                    Ok(places) => return self.answer_lost(plain, &places),
                    Err(fault) => fault,
                },
                _ => fault,
            };
            let lost = fault.lost;
            let fault = if lost { fault.unknown() } else { fault };
            if let Err(fault) = patience.with(fault).await {
                return Err((plain.into_jobs(), fault));
            }
            if lost {
                return Ok(lost_boundaries(plain.boundaries).collect());
            }
        }
    }

    async fn write_plain(&self, plain: &Plain, token: Option<&Token>) -> Result<Written, Fault> {
        let session = self.server.committer().await?;
        let written = plain.write(&session, self.history, token, &self.server.spent);
        let written = self.server.timed(written).await?;
        session.keep();
        Ok(written)
    }

    /// Answers what is written, and gives back the rest.
    fn answer(&self, plain: Plain, written: &Written) -> Vec<Job> {
        let Plain { boundaries, creations } = plain;
        let later = |job: &Job, known: Known| {
            let goes_on = written.boundaries.contains(&known.id) && !job.work.is_end();
            goes_on.then_some(Known { revision: known.revision + 1, ..known })
        };
        let created = |place| {
            let id = written.creations.get(&place).copied().flatten();
            id.map(|id| Known { id, revision: 0, child: false })
        };
        let news = boundaries.iter().map(|(job, known)| (job.work.pid(), later(job, *known)));
        let new = creations.iter().enumerate().map(|(place, job)| (job.work.pid(), created(place)));
        self.memory.update(news.chain(new));
        let boundaries = boundaries.into_iter().map(|(job, known)| {
            let done = Done::Committed(Committed::default());
            (job, written.boundaries.contains(&known.id).then_some(done))
        });
        let creations = creations.into_iter().enumerate().map(|(place, job)| {
            let done = Done::Created(Creation::Created);
            (job, written.creations.contains_key(&place).then_some(done))
        });
        let mut left = Vec::new();
        for (job, done) in boundaries.chain(creations) {
            match done {
                Some(done) => drop(job.answer.send(Ok(done))),
                None => left.push(job),
            }
        }
        left
    }

    /// The same where it is written, and the answer was lost: of boundaries a look tells.
    fn answer_lost(&self, plain: Plain, places: &[i64]) -> Result<Vec<Job>, (Vec<Job>, Fault)> {
        let written = match Written::lost(places) {
            Ok(written) => written,
            Err(fault) => return Err((plain.into_jobs(), fault.unknown())),
        };
        let Plain { boundaries, creations } = plain;
        let mut left = self.answer(Plain { creations, ..Plain::default() }, &written);
        left.extend(lost_boundaries(boundaries));
        Ok(left)
    }

    /// Writes whatever it is: looks, decides, writes.
    async fn full(&self, jobs: &[Job], patience: &mut Patience) -> Result<Vec<Result<Done, StoreErrorKind>>, Fault> {
        let session = self.server.committer().await?;
        let mut seen = self.look(&session, jobs).await?;
        let retention = Retention::new(self.history, self.reports);
        let Decided { verdicts, writing, news } = batch::decide(jobs, &mut seen, retention);
        let told = if writing.is_nothing() {
            session.run("ROLLBACK").await.map_err(Fault::before_sending)?;
            session.keep();
            Vec::new()
        } else {
            match self.server.timed(writing.finish(&session)).await {
                Ok(told) => {
                    session.keep();
                    self.server.spent.add(seen.token);
                    told
                }
                Err(fault) if fault.lost => {
                    drop(session);
                    self.server.outcome(seen.token, fault, patience).await?;
                    self.told(&writing.ended.other).await?
                }
                Err(fault) => {
                    let _ = session.run("ROLLBACK").await;
                    return Err(fault);
                }
            }
        };
        self.memory.update(news.into_iter());
        Ok(answers(verdicts, told))
    }

    /// Begins a transaction. A row that is remembered may be gone, since another worker has deleted its process, and the
    /// process there again: what is not there is looked for once more, by its id as text.
    async fn look(&self, session: &Session, jobs: &[Job]) -> Result<Seen, Fault> {
        loop {
            let wanted = batch::wanted(jobs);
            let known = self.memory.get(wanted.pids().iter());
            let seen = self.server.timed(wanted.look(session, &known, &self.server.spent)).await?;
            let gone = seen.gone(&known);
            if gone.is_empty() {
                return Ok(seen);
            }
            session.run("ROLLBACK").await?;
            for pid in gone {
                self.memory.forget(pid);
            }
        }
    }

    /// Of processes that have ended: those whose parents wait for no other.
    async fn told(&self, ended: &[i64]) -> Result<Vec<(i64, ProcessId)>, Fault> {
        const TOLD: &str = "SELECT c.id, p.pid FROM process AS c JOIN process AS p ON p.id = c.parent
            WHERE c.id = ANY ($1::bigint[]) AND NOT EXISTS (SELECT FROM open_child AS o WHERE o.parent = p.id)";
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        // They are written by now, so nothing is told as failed any more, or written again.
        let rows = self.server.query("read parents in", TOLD, &[&ended]).await;
        let rows = rows.map_err(|error| Fault { passing: false, ..Fault::damaged(error).unknown() })?;
        rows.iter().map(|row| Ok((row.try_get(0)?, text(row, 1)?.into()))).collect()
    }

    fn refusal(&self, work: &Work, kind: StoreErrorKind) -> crate::store::StoreError {
        self.server.count(kind);
        let subject = format_args!("process `{}` in {}", work.pid(), self.server.name());
        crate::store::StoreError::new(kind, work.operation(), subject)
    }
}

/// Boundaries that may have been written: then each has the next revision.
fn lost_boundaries(boundaries: Vec<(Job, Known)>) -> impl Iterator<Item = Job> {
    boundaries.into_iter().map(|(job, known)| Job { lost: Some(known.revision + 1), ..job })
}

/// Whether it is not known of one of them what became of an attempt.
fn any_lost(jobs: &[Job]) -> bool {
    jobs.iter().any(|job| job.lost.is_some())
}

/// Of children of one parent that ended together, the last one is the one that it is told of.
fn answers(verdicts: Vec<Verdict>, mut told: Vec<(i64, ProcessId)>) -> Vec<Result<Done, StoreErrorKind>> {
    let mut parents = std::collections::HashSet::new();
    told.retain(|(_, parent)| parents.insert(parent.clone()));
    let mut told: HashMap<i64, ProcessId> = told.into_iter().collect();
    let answer = |verdict| match verdict {
        Verdict::Refused(kind) => Err(kind),
        Verdict::Done(done) => Ok(done),
        Verdict::Left(child) => Ok(Done::Committed(Committed { ready_parent: told.remove(&child) })),
    };
    verdicts.into_iter().map(answer).collect()
}
