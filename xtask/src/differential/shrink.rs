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
    let record: Recorded = if let Some(record) = record {
        record
    } else {
        let same = std::slice::from_ref(&smallest);
        workshop.run(same, same)?.remove(&smallest.name).unwrap_or_default()
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
    let mut without = |change: &dyn Fn(&mut Case)| {
        let mut candidate = case.clone();
        change(&mut candidate);
        candidates.push(candidate);
    };
    for place in 0..case.nodes().len() {
        let inner = |node: &Node| node.blocks().first().map_or(Vec::new(), |block| Vec::clone(block));
        without(&|case| replace(&mut case.body, place, |_| Vec::new()));
        without(&|case| replace(&mut case.body, place, inner));
    }
    for (step, has) in case.steps.iter().enumerate() {
        for place in 0..has.actions.len() {
            without(&|case| drop(case.steps[step].actions.remove(place)));
        }
        for place in 0..has.ends.len() {
            without(&|case| drop(case.steps[step].ends.remove(place)));
        }
        without(&|case| case.steps[step].gives.clear());
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
fn replace(body: &mut Vec<Node>, mut place: usize, by: impl Fn(&Node) -> Vec<Node>) {
    fn at(block: &mut Vec<Node>, place: &mut usize, by: &dyn Fn(&Node) -> Vec<Node>) -> bool {
        for index in 0..block.len() {
            if *place == 0 {
                let new = by(&block[index]);
                block.splice(index..=index, new);
                return true;
            }
            *place -= 1;
            if block[index].blocks_mut().into_iter().any(|inner| at(inner, place, by)) {
                return true;
            }
        }
        false
    }
    at(body, &mut place, &by);
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

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::*;

    #[test]
    fn every_smaller_case_is_smaller_and_sound_and_has_a_name_of_its_own() {
        for number in 0..100 {
            let case = generate::case(9, number);
            let candidates = smaller(&case);
            assert!(candidates.iter().all(|smaller| smaller.is_sound() && size(smaller) < size(&case)));
            let names: std::collections::BTreeSet<_> = candidates.iter().map(|candidate| &candidate.name).collect();
            assert_eq!(names.len(), candidates.len());
            assert!(!candidates.is_empty() || case.nodes().len() == 1, "{case:?}");
        }
    }

    #[test]
    fn every_instruction_can_be_removed() {
        let case = generate::case(9, 3);
        for place in 0..case.nodes().len() {
            let mut body = case.body.clone();
            replace(&mut body, place, |_| Vec::new());
            assert_ne!(body, case.body);
        }
    }
}
