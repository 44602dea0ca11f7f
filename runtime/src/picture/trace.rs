//! What the history of a process tells: which steps ran, how often, for how long, and in which order.

use std::collections::HashMap;
use std::time::Duration;

use super::words::clean;
use crate::clock::Timestamp;
use crate::process::ProcessState;
use crate::store::HistoryEntry;

/// A step that the history names.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Its name, as it is drawn.
    pub(super) point: String,
    /// How often it has ended.
    pub(super) times: u64,
    /// From the boundary at which it began to that at which it ended, in all.
    pub(super) took: Duration,
    /// How long was waited after it, in all.
    pub(super) waited: Duration,
    /// When it began, if it has not ended.
    pub(super) since: Option<Timestamp>,
    /// Since when is waited after it.
    pub(super) waiting: Option<Timestamp>,
}

/// What a history tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    /// The steps, in the order in which they began first.
    pub(super) steps: Vec<Seen>,
    /// Which step began, one after the other; none where what came before is not known.
    pub(super) began: Vec<Option<usize>>,
    /// The step that ended last.
    pub(super) last: Option<usize>,
    /// The first transitions are not kept any more.
    pub(super) partial: bool,
    by_point: HashMap<String, usize>,
    running: Option<usize>,
    waiting: Option<usize>,
}

impl Trace {
    /// Reads the transitions of a process that has done so many steps.
    pub(super) fn of(history: &[HistoryEntry], steps: u64) -> Self {
        let partial = history.first().map_or(steps > 0, |row| row.from != ProcessState::Created);
        let mut trace = Self { partial, ..Self::default() };
        for row in history {
            trace.read(row);
        }
        trace
    }

    /// What is known of a step, by its name as it is drawn.
    pub(super) fn get(&self, point: &str) -> Option<&Seen> {
        self.by_point.get(point).map(|index| &self.steps[*index])
    }

    /// The step after which is waited.
    pub(super) fn waits(&self) -> Option<&Seen> {
        self.waiting.map(|index| &self.steps[index])
    }

    /// Which step followed which, and how often, in the order in which they began first.
    pub(super) fn followers(&self, point: &str) -> Vec<(String, u64)> {
        let Some(own) = self.by_point.get(point) else { return Vec::new() };
        let mut times = vec![0_u64; self.steps.len()];
        for pair in self.began.windows(2) {
            if let [Some(before), Some(after)] = pair
                && before == own
            {
                times[*after] += 1;
            }
        }
        let named = self.steps.iter().zip(times).filter(|(_, times)| *times > 0);
        named.map(|(step, times)| (step.point.clone(), times)).collect()
    }

    fn read(&mut self, row: &HistoryEntry) {
        if row.restored_from().is_some() {
            // What runs or waits from here on, later rows tell.
            self.stop(row.at);
            self.began.push(None);
            return;
        }
        match row.from {
            ProcessState::Running => self.end(row),
            ProcessState::Waiting => self.stop(row.at),
            _ => {}
        }
        match row.to {
            ProcessState::Running if !row.point.is_empty() => {
                let index = self.index(&row.point);
                self.steps[index].since = Some(row.at);
                self.began.push(Some(index));
                self.running = Some(index);
            }
            ProcessState::Waiting => {
                let index = self.last.unwrap_or_else(|| self.index(&row.point));
                self.steps[index].waiting = Some(row.at);
                self.waiting = Some(index);
            }
            _ => {}
        }
    }

    /// The step that runs has ended.
    fn end(&mut self, row: &HistoryEntry) {
        if let Some(index) = self.running.take() {
            let step = &mut self.steps[index];
            step.took = step.took.saturating_add(step.since.take().map_or(Duration::ZERO, |since| row.at.since(since)));
            step.times += 1;
            self.last = Some(index);
        } else if row.to != ProcessState::Running && !row.point.is_empty() {
            // The row that it began with is not kept any more; this one names it.
            let index = self.index(&row.point);
            self.steps[index].times += 1;
            self.last = Some(index);
        }
    }

    /// Nothing runs, and nothing is waited for.
    fn stop(&mut self, at: Timestamp) {
        if let Some(index) = self.waiting.take() {
            let step = &mut self.steps[index];
            let waited = step.waiting.take().map_or(Duration::ZERO, |since| at.since(since));
            step.waited = step.waited.saturating_add(waited);
        }
        if let Some(index) = self.running.take() {
            self.steps[index].since = None;
        }
    }

    fn index(&mut self, point: &str) -> usize {
        let (point, next) = (clean(point), self.steps.len());
        let index = *self.by_point.entry(point.clone()).or_insert(next);
        if index == next {
            self.steps.push(Seen { point, ..Seen::default() });
        }
        index
    }
}
