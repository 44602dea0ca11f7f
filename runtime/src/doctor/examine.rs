//! Looks over all processes that have not ended.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Doctor;
use super::finding::{Action, Diagnosis, Finding, Trouble};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{Epoch, Standing, StandingPage, StoreErrorKind, StoreResult};

/// Children of one parent that are looked at to find out which of them it waits for in vain: mostly it is the first.
const CHILDREN: usize = 20;

/// Who goes on with the processes of a store.
enum Owners {
    /// The runtime whose doctor it is.
    Here,
    /// Workers.
    Workers {
        /// When those were heard from last that are known.
        heard: HashMap<Epoch, Timestamp>,
        /// The queues of those that are alive.
        served: HashSet<String>,
        alive: u64,
    },
    /// One runtime, or none: a store that has one owner does not tell.
    Unknown,
}

/// What is known before any process is looked at.
struct Scene<'d> {
    doctor: &'d Doctor,
    now: Timestamp,
    owners: Owners,
}

/// A finding before it is known whether it is told.
struct Found {
    trouble: Trouble,
    what: String,
    since: Option<Timestamp>,
    action: Action,
}

impl Doctor {
    /// Looks over all processes that have not ended. Nothing is changed.
    ///
    /// # Errors
    /// The store failed, or [cannot](StoreErrorKind::Unsupported) look them over.
    pub async fn examine(&self) -> StoreResult<Diagnosis> {
        let now = self.runtime.as_ref().map_or_else(|| SystemClock.now(), |runtime| runtime.clock().now());
        let scene = Scene { doctor: self, now, owners: self.owners().await? };
        let workers = match &scene.owners {
            Owners::Workers { alive, .. } => Some(*alive),
            Owners::Here | Owners::Unknown => None,
        };
        let (counts, findings) = (BTreeMap::new(), Vec::new());
        let mut diagnosis = Diagnosis { at: now, processes: 0, workers, counts, findings };
        let mut after = None;
        loop {
            let page = self.store.standing(after, limits::SCAN_PAGE).await?;
            after = page.next;
            self.look_over(&scene, page, &mut diagnosis).await?;
            if after.is_none() {
                return Ok(diagnosis);
            }
        }
    }

    async fn look_over(&self, scene: &Scene<'_>, page: StandingPage, diagnosis: &mut Diagnosis) -> StoreResult<()> {
        for (pid, reason) in page.unreadable.into_iter().filter(|(pid, _)| self.looks_at(pid)) {
            diagnosis.processes += 1;
            let what = format!("its row cannot be read: {reason}");
            let action = Action::Restore { pid: pid.clone() };
            let found = Found { trouble: Trouble::Unloadable, what, since: None, action };
            if self.counts(diagnosis, found.trouble) {
                diagnosis.findings.push(finding(pid, None, found));
            }
        }
        for standing in page.standings.into_iter().filter(|standing| self.looks_at(&standing.pid)) {
            diagnosis.processes += 1;
            let Some(mut found) = scene.look_at(&standing) else { continue };
            if !self.counts(diagnosis, found.trouble) {
                continue;
            }
            if found.trouble == Trouble::WaitsInVain {
                found.action = self.in_vain(&standing.pid).await?;
            }
            diagnosis.findings.push(finding(standing.pid, Some(standing.process), found));
        }
        Ok(())
    }

    /// Counts a finding; whether it is told.
    fn counts(&self, diagnosis: &mut Diagnosis, trouble: Trouble) -> bool {
        let count = diagnosis.counts.entry(trouble).or_default();
        *count += 1;
        *count <= self.most as u64
    }

    async fn owners(&self) -> StoreResult<Owners> {
        if self.runtime.as_ref().is_some_and(|runtime| !runtime.is_sharing()) {
            return Ok(Owners::Here);
        }
        let workers = match self.store.workers().await {
            Err(error) if error.kind() == StoreErrorKind::Unsupported => return Ok(Owners::Unknown),
            workers => workers?,
        };
        // Who owns the whole store is in no list.
        if workers.is_empty() {
            return Ok(Owners::Unknown);
        }
        let heard = workers.iter().map(|row| (row.epoch, row.heard_at)).collect();
        let alive = workers.into_iter().filter(|row| row.alive);
        let (mut served, mut number) = (HashSet::new(), 0);
        for row in alive {
            number += 1;
            served.extend(row.worker.queues);
        }
        Ok(Owners::Workers { heard, served, alive: number })
    }

    /// What lets a parent go on that waits in vain.
    async fn in_vain(&self, parent: &ProcessId) -> StoreResult<Action> {
        let Some(record) = self.store.load(parent).await? else { return Ok(Action::Mend) };
        for child in record.awaiting.children.iter().take(CHILDREN) {
            match self.store.load(&child.pid).await {
                Ok(Some(found)) if found.parked.is_some() => return Ok(Action::Unpark { pid: found.pid }),
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    return Ok(Action::Restore { pid: child.pid.clone() });
                }
                found => drop(found?),
            }
        }
        Ok(Action::Mend)
    }
}

fn finding(pid: ProcessId, process: Option<String>, found: Found) -> Finding {
    let Found { trouble, what, since, action } = found;
    let next = action.to_string();
    Finding { pid, process, trouble, what, since, action, next }
}

impl Scene<'_> {
    fn look_at(&self, standing: &Standing) -> Option<Found> {
        let found = |trouble, what, since, action| Some(Found { trouble, what, since: Some(since), action });
        let (pid, since) = (standing.pid.clone(), standing.updated_at);
        if let Some(reason) = &standing.parked {
            return found(Trouble::Parked, format!("it is parked: {reason}"), since, Action::Unpark { pid });
        }
        if self.doctor.runtime.as_ref().is_some_and(|runtime| !runtime.knows(&standing.process)) {
            let process = standing.process.clone();
            let what = format!("no process `{process}` is registered in this program");
            return found(Trouble::Unloadable, what, since, Action::Register { process });
        }
        if standing.vain_children > 0 {
            let what = format!(
                "of the {} children that it waits for, {} are parked or are not there",
                standing.open_children, standing.vain_children
            );
            return found(Trouble::WaitsInVain, what, since, Action::Mend);
        }
        match &self.owners {
            Owners::Here => self.stuck(standing),
            Owners::Unknown => {
                let found = self.stuck(standing)?;
                let what = format!("{}, and no runtime may have the store", found.what);
                let action = Action::StartWorker { queue: String::new() };
                Some(Found { trouble: Trouble::Orphaned, what, action, ..found })
            }
            Owners::Workers { heard, served, .. } => {
                let served = served.contains(&standing.queue);
                let start = || Action::StartWorker { queue: standing.queue.clone() };
                match standing.owner {
                    Some((_, true)) => self.stuck(standing),
                    Some((epoch, false)) => {
                        let what = format!("the lease of worker {} has lapsed, which has it", epoch.0);
                        let since = heard.get(&epoch).copied().unwrap_or(since);
                        found(Trouble::LeaseExpired, what, since, if served { Action::Wait } else { start() })
                    }
                    None if !served && self.can_go_on(standing) => {
                        let what = format!("no worker serves its queue `{}`", standing.queue);
                        found(Trouble::Orphaned, what, since, start())
                    }
                    None => None,
                }
            }
        }
    }

    fn can_go_on(&self, standing: &Standing) -> bool {
        let waits =
            standing.resume || standing.open_children > 0 || standing.wake_at.is_some_and(|wake_at| self.now < wake_at);
        !(standing.paused || standing.state == ProcessState::Waiting && waits)
    }

    fn stuck(&self, standing: &Standing) -> Option<Found> {
        // One that was created waits for a slot, or to be started; one at a stream, for others.
        let is_listening = standing.state == ProcessState::Waiting && standing.streams;
        if standing.state == ProcessState::Created || is_listening || !self.can_go_on(standing) {
            return None;
        }
        let since = standing.updated_at.max(standing.wake_at.unwrap_or_default());
        let age = self.now.since(since);
        if age <= self.doctor.stuck {
            return None;
        }
        let what = format!("it can go on, and has had no boundary for {} s", age.as_secs());
        let action = match standing.state {
            ProcessState::Running => Action::Kill { pid: standing.pid.clone() },
            // It runs no step yet.
            _ => Action::Wait,
        };
        Some(Found { trouble: Trouble::Stuck, what, since: Some(since), action })
    }
}
