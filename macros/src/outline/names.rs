//! Under which names checkpoints store program points.
//!
//! A step's own name where it is unique, so that renaming a predicate or wrapping a step strands no checkpoint;
//! otherwise with the path of the blocks around it; twins in one block are numbered; a label wins.

use std::collections::{HashMap, HashSet};

use super::ast::{Block, Branch, Node, Step};
use crate::diag::Diagnostics;
use crate::tokens::plain;

/// The stored names of all steps, in the order of the text.
pub(crate) fn of(body: &Block, errors: &mut Diagnostics) -> Vec<String> {
    let mut steps = Vec::new();
    collect(body, &[], &mut steps);
    let labels = labels(&steps, errors);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for place in steps.iter().filter(|place| place.step.label.is_none()) {
        *counts.entry(plain(&place.step.name)).or_default() += 1;
    }
    let mut taken: HashSet<String> = labels.clone();
    let names = steps.iter().map(|place| {
        if let Some(label) = &place.step.label {
            return label.value();
        }
        let name = plain(&place.step.name);
        let base = match counts.get(&name) {
            Some(1) if !labels.contains(&name) => name,
            _ => place.path.iter().chain([&name]).cloned().collect::<Vec<_>>().join("/"),
        };
        let numbered = (2..).map(|number| format!("{base}#{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or(base);
        taken.insert(free.clone());
        free
    });
    names.collect()
}

/// `while_(unconverged)`, as in stored names and messages.
pub(crate) fn block(branch: &Branch) -> String {
    // A keyword that stands for the word is an error already.
    let word = branch.word.to_string();
    format!("{}_({})", word.trim_end_matches('_'), plain(&branch.predicate))
}

struct Place<'a> {
    step: &'a Step,
    path: Vec<String>,
}

fn collect<'a>(body: &'a Block, path: &[String], steps: &mut Vec<Place<'a>>) {
    let below = |name: String| path.iter().cloned().chain([name]).collect::<Vec<_>>();
    for node in &body.nodes {
        match node {
            Node::Step(step) => steps.push(Place { step, path: path.to_vec() }),
            Node::While(branch) => collect(&branch.body, &below(block(branch)), steps),
            Node::If { branches, otherwise, .. } => {
                for branch in branches {
                    collect(&branch.body, &below(block(branch)), steps);
                }
                if let Some(otherwise) = otherwise {
                    collect(otherwise, &below("else_".to_owned()), steps);
                }
            }
            Node::Return(_) => {}
        }
    }
}

/// Labels are different, and not empty.
fn labels(steps: &[Place<'_>], errors: &mut Diagnostics) -> HashSet<String> {
    let mut labels = HashSet::new();
    for label in steps.iter().filter_map(|place| place.step.label.as_ref()) {
        if label.value().trim().is_empty() {
            errors.error(label, "the stored name of a program point cannot be empty");
        } else if !labels.insert(label.value()) {
            errors.error(label, format!("two program points have the stored name `{}`", label.value()));
        }
    }
    labels
}
