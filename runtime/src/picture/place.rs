//! Where a run stands, in numbers: for whoever has a line of text for it, and no picture.

use std::time::Duration;

use super::run::Run;
use super::tree::{Tree, for_each_step};
use super::{Picture, flow};
use crate::clock::Timestamp;

/// Where a run stands in the outline of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The stored name of the step that runs, ran last or runs next.
    pub step: String,
    /// Which one it is, counted from 1 in the order of the text; none where the process has no outline that has it.
    pub number: Option<usize>,
    /// How many steps the outline has; none where there is no outline.
    pub steps: Option<usize>,
    /// In which round the innermost loop around it is. Where the store has dropped the first transitions, it may be in a later one.
    pub round: Option<u64>,
}

impl Picture {
    /// Where its run stands. None without a [run](Self::with_run), before the first step, and after a normal end.
    pub fn place(&self) -> Option<Place> {
        let run = self.run.as_ref()?;
        let step = run.point.clone()?;
        let mut tree = Tree::of(self);
        if !tree.ordered {
            return Some(Place { step, number: None, steps: None, round: None });
        }
        let (mut steps, mut number) = (0, None);
        for_each_step(&mut tree.body, &mut |item| {
            steps += 1;
            if item.point == step {
                number.get_or_insert(steps);
            }
        });
        Some(Place { number, steps: Some(steps), round: flow::round(&tree.body, run), step })
    }
}

impl Run {
    /// How long its steps have run until now, all together. Where the store has dropped the first transitions, it is more.
    pub fn active(&self, now: Timestamp) -> Duration {
        in_all(self.trace.steps.iter().map(|seen| (seen.took, seen.since)), now)
    }

    /// How long it has waited until now. Where the store has dropped the first transitions, it is more.
    pub fn waited(&self, now: Timestamp) -> Duration {
        in_all(self.trace.steps.iter().map(|seen| (seen.waited, seen.waiting)), now)
    }

    /// Since when it has been at its present step, or has waited after it.
    pub fn since(&self) -> Option<Timestamp> {
        let waits = self.trace.waits().and_then(|seen| seen.waiting);
        waits.or_else(|| self.trace.get(self.point.as_ref()?)?.since)
    }
}

/// Of spans that are over, each with one that began then, if one did.
fn in_all(spans: impl Iterator<Item = (Duration, Option<Timestamp>)>, now: Timestamp) -> Duration {
    let present = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |since| now.since(since));
    spans.fold(Duration::ZERO, |sum, (over, since)| sum.saturating_add(over).saturating_add(present(since)))
}
