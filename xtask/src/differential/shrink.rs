//! Makes a case that differs smaller, and prints it.

use super::batch::{Recorded, Workshop};
use super::case::{Case, Node, Output};
use super::compare::{Applied, compare};
use super::{python, rust};
use crate::Fault;

/// Rounds of removing something; each costs a compilation.
const ROUNDS: usize = 12;

/// Prints the smallest case found that still differs, in both languages, and what it did.
pub(crate) fn show(workshop: &Workshop, case: &Case) -> Result<(), Fault> {
    let mut smallest = case.clone();
    let mut record = None;
    for _ in 0..ROUNDS {
        let candidates = smaller(&smallest);
        if candidates.is_empty() {
            break;
        }
        let recorded = workshop.run(&candidates, &candidates)?;
        let differs = |candidate: &&Case| {
            recorded.get(&candidate.name).is_some_and(|recorded| !compare(recorded, &mut Applied::new()).is_empty())
        };
        let Some(found) = candidates.iter().filter(differs).min_by_key(|candidate| size(candidate)) else { break };
        record = recorded.get(&found.name).cloned();
        smallest = found.clone();
    }
    let record: Recorded = match record {
        Some(record) => record,
        None => {
            let same = std::slice::from_ref(&smallest);
            workshop.run(same, same)?.remove(&smallest.name).unwrap_or_default()
        }
    };
    println!("\n-- smallest that still differs\n{}", compare(&record, &mut Applied::new()).join("\n"));
    println!("-- Rust\n{}-- Python\n{}", rust::module(&smallest), python::class(&smallest));
    println!("-- plumpy\n{:#}\n-- ours\n{:#}\n", record.plumpy, serde_json::json!(record.ours));
    Ok(())
}

fn size(case: &Case) -> usize {
    let steps: usize = case.steps.iter().map(|step| step.actions.len() + step.ends.len() + step.gives.len()).sum();
    case.body.iter().map(Node::count).sum::<usize>() * 2 + steps + case.outputs.len()
}

/// All cases that lack one thing, with names of their own.
fn smaller(case: &Case) -> Vec<Case> {
    let mut candidates = Vec::new();
    for place in 0..case.nodes().len() {
        let mut without = case.clone();
        remove(&mut without.body, &mut place.clone(), &mut |_| Vec::new());
        candidates.push(without);
        let mut unwrapped = case.clone();
        remove(&mut unwrapped.body, &mut place.clone(), &mut |node| {
            node.blocks().first().map_or(Vec::new(), |block| block.to_vec())
        });
        candidates.push(unwrapped);
    }
    for step in 0..case.steps.len() {
        for place in 0..case.steps[step].actions.len() {
            candidates.push(case.clone());
            candidates.last_mut().map(|case| case.steps[step].actions.remove(place));
        }
        for place in 0..case.steps[step].ends.len() {
            candidates.push(case.clone());
            candidates.last_mut().map(|case| case.steps[step].ends.remove(place));
        }
        if !case.steps[step].gives.is_empty() {
            candidates.push(case.clone());
            candidates.last_mut().map(|case| case.steps[step].gives.clear());
        }
    }
    candidates.retain(|candidate| candidate.is_sound() && size(candidate) < size(case));
    let original = case.name.split('x').next().unwrap_or_default().to_owned();
    for (number, candidate) in candidates.iter_mut().enumerate() {
        candidate.name = format!("{original}x{number}");
        relax(candidate);
    }
    candidates
}

/// Replaces the node at a place, counted from the outer to the inner ones.
fn remove(block: &mut Vec<Node>, place: &mut usize, by: &mut impl FnMut(&Node) -> Vec<Node>) -> bool {
    let mut index = 0;
    while index < block.len() {
        if *place == 0 {
            let new = by(&block[index]);
            block.splice(index..=index, new);
            return true;
        }
        *place -= 1;
        if block[index].blocks_mut().into_iter().any(|block| remove(block, place, by)) {
            return true;
        }
        index += 1;
    }
    false
}

/// What is no longer set on every way cannot be required any more.
fn relax(case: &mut Case) {
    let certain = case.certain_outputs();
    for output in &mut case.outputs {
        if let Output::Port { name, required, .. } = output {
            *required &= certain.as_ref().is_none_or(|certain| certain.contains(name));
        }
    }
    for step in case.last_steps() {
        case.steps[step].ends.retain(|(_, end)| *end != super::case::End::Wait);
    }
}
