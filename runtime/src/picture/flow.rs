//! Where the flow of control can go in an outline: which rounds its loops have had, and which end it has come to.

use std::collections::HashMap;

use super::run::Run;
use super::tree::{Item, Kind, blocks};
use super::words::counted;

/// Where a step stands: in each block from the outermost one on, which instruction, and which block of that.
type Path = Vec<Level>;

#[derive(Clone, Copy)]
struct Level {
    index: usize,
    block: usize,
    /// The number of the instruction, if it is a loop.
    looped: Option<usize>,
}

/// The rounds of a loop.
#[derive(Default)]
struct Rounds {
    /// In all.
    all: u64,
    /// Since it was last entered from above.
    now: u64,
}

/// How many rounds each loop has had, by its number; and where each step stands.
fn count(body: &[Item], run: &Run) -> (HashMap<String, Path>, HashMap<usize, Rounds>) {
    let mut paths = HashMap::new();
    collect(body, &mut Vec::new(), &mut paths);
    let points: Vec<_> = run.trace.steps.iter().map(|seen| paths.get(&seen.point)).collect();
    let mut rounds: HashMap<usize, Rounds> = HashMap::new();
    let mut before: Option<&Path> = None;
    for began in &run.trace.began {
        let Some(index) = began else {
            before = None;
            continue;
        };
        // A step that is not in this outline says nothing of its loops.
        let Some(path) = points[*index] else { continue };
        go(before, path, &mut rounds);
        before = Some(path);
    }
    (paths, rounds)
}

/// In which round the innermost loop is that holds the step at which a run stands.
pub(super) fn round(body: &[Item], run: &Run) -> Option<u64> {
    let (paths, rounds) = count(body, run);
    let innermost = paths.get(run.point.as_ref()?)?.iter().rev().find_map(|level| level.looped)?;
    rounds.get(&innermost).map(|rounds| rounds.now)
}

/// Writes beside each loop how many rounds it has had.
pub(super) fn lay_over(body: &mut [Item], run: &Run) {
    let (paths, rounds) = count(body, run);
    let here = run.point.as_ref().and_then(|point| paths.get(point));
    let within = |id| here.is_some_and(|path| path.iter().any(|level| level.looped == Some(id)));
    tell(body, &|id| {
        let Rounds { all, now } = rounds.get(&id)?;
        let least = if run.trace.partial { "at least " } else { "" };
        Some(match (within(id), all == now) {
            (true, true) => format!("{least}round {now}"),
            (true, false) => format!("{least}round {now}, {all} in all"),
            (false, _) => format!("{least}{}", counted(*all, "round", "rounds")),
        })
    });
}

fn collect(items: &[Item], above: &mut Path, paths: &mut HashMap<String, Path>) {
    for (index, item) in items.iter().enumerate() {
        let looped = matches!(item.kind, Kind::While { .. }).then_some(item.id);
        if let Kind::Step(step) = &item.kind {
            let own = Level { index, block: 0, looped };
            paths.insert(step.point.clone(), above.iter().copied().chain([own]).collect());
        }
        for (block, body) in blocks(&item.kind).into_iter().enumerate() {
            above.push(Level { index, block, looped });
            collect(body, above, paths);
            above.pop();
        }
    }
}

/// One step began after another. Within a block, flow goes forward; where it came back, the innermost loop that holds
/// both steps has gone round, which is the least that explains it.
fn go(before: Option<&Path>, next: &Path, rounds: &mut HashMap<usize, Rounds>) {
    let before = before.map_or(&[][..], Vec::as_slice);
    let same = |(a, b): &(&Level, &Level)| a.index == b.index && a.block == b.block;
    let common = before.iter().zip(next).take_while(same).count();
    let forward = match (before.get(common), next.get(common)) {
        (Some(before), Some(next)) => before.index < next.index,
        (None, _) => before.is_empty(),
        (Some(_), None) => false,
    };
    if !forward && let Some(id) = next[..common].iter().rev().find_map(|level| level.looped) {
        let rounds = rounds.entry(id).or_default();
        (rounds.all, rounds.now) = (rounds.all + 1, rounds.now + 1);
    }
    for id in next[common..].iter().filter_map(|level| level.looped) {
        let rounds = rounds.entry(id).or_default();
        (rounds.all, rounds.now) = (rounds.all + 1, 1);
    }
}

fn tell(items: &mut [Item], told: &dyn Fn(usize) -> Option<String>) {
    for item in items {
        match &mut item.kind {
            Kind::While { rounds, body, .. } => {
                *rounds = told(item.id).unwrap_or_default();
                tell(body, told);
            }
            Kind::If { branches, otherwise } => {
                branches.iter_mut().map(|(_, body)| body).chain(otherwise).for_each(|body| tell(body, told));
            }
            Kind::Step(_) | Kind::Return { .. } => {}
        }
    }
}

/// Whether the flow can come to the end of a block.
pub(super) fn falls_through(items: &[Item]) -> bool {
    items.iter().all(|item| match &item.kind {
        Kind::Step(_) | Kind::While { .. } => true,
        Kind::Return { .. } => false,
        Kind::If { branches, otherwise } => {
            branches.iter().any(|(_, body)| falls_through(body))
                || otherwise.as_ref().is_none_or(|body| falls_through(body))
        }
    })
}

/// The ends that a process can come to after a step without another one, or from the start: the numbers of the
/// `return_`s, and whether the end of the outline is among them.
pub(super) fn ends(body: &[Item], point: Option<&str>) -> (Vec<usize>, bool) {
    let mut ends = Vec::new();
    let Some(point) = point else {
        let through = follow(body, &mut ends);
        return (ends, through);
    };
    let mut paths = HashMap::new();
    collect(body, &mut Vec::new(), &mut paths);
    let through = paths.get(point).is_some_and(|path| leave(body, path, &mut ends));
    (ends, through)
}

/// Goes on behind a step: whether the flow can come to the end of the block.
fn leave(items: &[Item], path: &[Level], ends: &mut Vec<usize>) -> bool {
    let Some((level, within)) = path.split_first() else { return false };
    let Some((item, after)) = items.get(level.index..).and_then(<[Item]>::split_first) else { return false };
    let block = blocks(&item.kind).get(level.block).copied();
    let out = match block {
        Some(block) if !within.is_empty() => {
            let out = leave(block, within, ends);
            if out && level.looped.is_some() {
                // Another round may come to an end before its first step.
                follow(block, ends);
            }
            out
        }
        _ => true,
    };
    out && follow(after, ends)
}

/// Goes through a block without running a step: whether the flow can come to its end.
fn follow(items: &[Item], ends: &mut Vec<usize>) -> bool {
    for item in items {
        let through = match &item.kind {
            Kind::Step(_) => false,
            Kind::Return { .. } => {
                ends.push(item.id);
                false
            }
            Kind::While { body, .. } => {
                follow(body, ends);
                true
            }
            Kind::If { branches, otherwise } => {
                let mut through = otherwise.is_none();
                for body in branches.iter().map(|(_, body)| body).chain(otherwise) {
                    through |= follow(body, ends);
                }
                through
            }
        };
        if !through {
            return false;
        }
    }
    true
}
