//! What the live view knows: processes and all below them, asked of a store alone, many at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use procession_runtime::clock::Timestamp;
use procession_runtime::picture::{Picture, Place, Run};
use procession_runtime::store::{Epoch, Look, StoreErrorKind, WorkerRow};
use procession_runtime::{ProcessId, ProcessState, Runtime, limits};

use crate::cli::Register;
use crate::cli::config::Opened;
use crate::cli::fault::Fault;
use crate::cli::inspect::registered;
use crate::cli::print::note;

/// How old what is known of the workers may be.
const WORKERS: Duration = Duration::from_secs(1);

/// A process in a tree.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Node {
    pub(in crate::cli) depth: usize,
    pub(in crate::cli) look: Arc<Look>,
    /// Where it stands; the step alone where this binary does not have the process.
    pub(in crate::cli) place: Option<Place>,
    /// What its history tells; none of those that have ended.
    pub(in crate::cli) run: Option<Run>,
    pub(in crate::cli) attended: Attended,
}

/// Who looks after a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) enum Attended {
    /// Nobody needs to, or nobody knows: the store has one owner.
    #[default]
    Unknown,
    /// A worker whose lease has not lapsed.
    By(Option<Box<WorkerRow>>),
    /// A worker that was not heard from, and with it since when, where that is known.
    Lost(Option<Box<WorkerRow>>),
    /// It can be claimed, and nobody has yet.
    Unclaimed,
}

impl Node {
    pub(in crate::cli) fn has_ended(&self) -> bool {
        self.look.state.is_terminal()
    }
}

/// Processes as they were at one time.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Trees {
    pub(in crate::cli) at: Timestamp,
    /// Each before its children, and these in the order in which they were launched.
    pub(in crate::cli) nodes: Vec<Node>,
    /// There are more than are looked at.
    pub(in crate::cli) more: bool,
    /// Those that were asked for and are not there.
    pub(in crate::cli) gone: Vec<ProcessId>,
}

/// What does not change between two boundaries.
struct Known {
    mark: (Timestamp, u64, ProcessState),
    children: Vec<ProcessId>,
    place: Option<Place>,
    run: Option<Run>,
    /// Of a process that has ended: it is not asked for again.
    ended: Option<Arc<Look>>,
}

/// Looks at processes again and again. Children and history of one are read only after it had another boundary.
pub(in crate::cli) struct Watcher<'a> {
    opened: &'a Opened,
    /// With the processes of this binary.
    runtime: Runtime,
    most: usize,
    known: HashMap<ProcessId, Known>,
    workers: Option<(Instant, Vec<WorkerRow>)>,
    /// Told of already.
    unreadable: HashSet<ProcessId>,
}

impl<'a> Watcher<'a> {
    /// Looks at so many at most.
    pub(in crate::cli) async fn new(register: &Register, opened: &'a Opened, most: usize) -> Result<Self, Fault> {
        let runtime = registered(register).await?;
        let (known, unreadable) = (HashMap::new(), HashSet::new());
        Ok(Self { opened, runtime, most, known, workers: None, unreadable })
    }

    /// These and all below them.
    pub(in crate::cli) async fn look(&mut self, roots: &[ProcessId]) -> Result<Trees, Fault> {
        let at = Timestamp::from(SystemTime::now());
        let mut seen: HashMap<ProcessId, Arc<Look>> = HashMap::new();
        let (mut level, mut more) = (distinct(roots), false);
        while !level.is_empty() {
            let room = self.most.saturating_sub(seen.len());
            more |= level.len() > room;
            level.truncate(room);
            let looks = self.level(&level).await?;
            let mut next = Vec::new();
            for look in looks {
                self.learn(&look).await?;
                let pid = look.pid.clone();
                let children = self.known.get(&pid).map(|known| known.children.clone()).unwrap_or_default();
                next.extend(children.into_iter().filter(|child| !seen.contains_key(child)));
                seen.insert(pid, look);
            }
            level = next;
        }
        let gone = roots.iter().filter(|pid| !seen.contains_key(pid)).cloned().collect();
        let nodes = self.in_order(roots, seen).await?;
        Ok(Trees { at, nodes, more, gone })
    }

    /// Of one level: those that may have changed are asked for together.
    async fn level(&mut self, pids: &[ProcessId]) -> Result<Vec<Arc<Look>>, Fault> {
        let known = |pid: &ProcessId| self.known.get(pid).and_then(|known| known.ended.clone());
        let mut looks: Vec<Arc<Look>> = pids.iter().filter_map(known).collect();
        let asked: Vec<ProcessId> = pids.iter().filter(|pid| known(pid).is_none()).cloned().collect();
        for some in asked.chunks(limits::LOOKED_AT) {
            let found = self.opened.store.look(some.to_vec()).await?;
            looks.extend(found.processes.into_iter().map(Arc::new));
            for (pid, fault) in found.unreadable {
                if self.unreadable.insert(pid.clone()) {
                    note(&format!("process `{pid}` cannot be read: {fault}"));
                }
            }
        }
        Ok(looks)
    }

    async fn learn(&mut self, look: &Arc<Look>) -> Result<(), Fault> {
        let mark = (look.updated_at, look.steps, look.state);
        if self.known.get(&look.pid).is_some_and(|known| known.mark == mark) {
            return Ok(());
        }
        let children = self.opened.store.children(&look.pid).await?;
        let ended = look.state.is_terminal();
        let run = if ended { None } else { Some(Run::seen(look, &self.opened.store.history(&look.pid).await?)) };
        let name = &look.process;
        let place = run.as_ref().and_then(|run| {
            let picture = self.runtime.picture(name).unwrap_or_else(|_| Picture::of_steps(name, []));
            picture.with_run(run).place()
        });
        let known = Known { mark, children, place, run, ended: ended.then(|| Arc::clone(look)) };
        self.known.insert(look.pid.clone(), known);
        Ok(())
    }

    async fn in_order(
        &mut self,
        roots: &[ProcessId],
        mut seen: HashMap<ProcessId, Arc<Look>>,
    ) -> Result<Vec<Node>, Fault> {
        let open = || seen.values().filter(|look| !look.state.is_terminal());
        if open().any(|look| look.owner.is_none_or(|(_, alive)| !alive))
            || open().next().is_some() && self.workers.is_none()
        {
            self.ask_for_workers().await?;
        }
        let mut nodes = Vec::with_capacity(seen.len());
        // One that is below another root stands there, and once.
        let known = seen.keys().filter_map(|pid| self.known.get(pid));
        let below: HashSet<&ProcessId> = known.flat_map(|known| &known.children).collect();
        let top = roots.iter().rev().filter(|pid| !below.contains(pid));
        let mut left: Vec<(usize, ProcessId)> = top.map(|pid| (0, pid.clone())).collect();
        while let Some((depth, pid)) = left.pop() {
            let Some(look) = seen.remove(&pid) else { continue };
            let attended = self.attended(&look);
            let Some(known) = self.known.get(&pid) else { continue };
            left.extend(known.children.iter().rev().map(|child| (depth + 1, child.clone())));
            let (place, run) = (known.place.clone(), known.run.clone());
            nodes.push(Node { depth, look, place, run, attended });
        }
        Ok(nodes)
    }

    async fn ask_for_workers(&mut self) -> Result<(), Fault> {
        if self.workers.as_ref().is_some_and(|(asked, _)| asked.elapsed() < WORKERS) {
            return Ok(());
        }
        let workers = match self.opened.store.workers().await {
            Err(error) if error.kind() == StoreErrorKind::Unsupported => Vec::new(),
            workers => workers?,
        };
        self.workers = Some((Instant::now(), workers));
        Ok(())
    }

    fn attended(&self, look: &Look) -> Attended {
        let workers = self.workers.as_ref().map_or(&[][..], |(_, workers)| workers);
        let row = |epoch: Epoch| workers.iter().find(|row| row.epoch == epoch).cloned().map(Box::new);
        match look.owner {
            _ if look.state.is_terminal() || look.parked.is_some() => Attended::Unknown,
            Some((epoch, true)) => Attended::By(row(epoch)),
            Some((epoch, false)) => Attended::Lost(row(epoch)),
            None if !workers.is_empty() && look.state != ProcessState::Waiting && !look.paused => Attended::Unclaimed,
            None => Attended::Unknown,
        }
    }
}

fn distinct(pids: &[ProcessId]) -> Vec<ProcessId> {
    let mut seen = HashSet::new();
    pids.iter().filter(|pid| seen.insert(*pid)).cloned().collect()
}
