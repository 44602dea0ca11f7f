//! Where a process ends normally, and which outputs are certainly set there.
//!
//! Of the branches of an `if_` that counts which all of them set; the body of a `while_` counts as not run. What a step
//! emits by `cx.out` is not seen here.

use proc_macro2::{Ident, Span};
use std::collections::BTreeSet;

use super::ast::{Block, Node};
use super::names;
use crate::diag::Diagnostics;
use crate::tokens::plain;

/// A normal end.
pub(crate) struct End {
    /// The outputs that every way to it sets, by dotted name.
    pub(crate) set: Vec<String>,
    /// The outputs that stand before it in the text, on whatever branch.
    pub(crate) mentioned: Vec<String>,
    /// The way to it, for people.
    pub(crate) path: String,
    pub(crate) span: Span,
}

/// All normal ends.
pub(crate) fn of(body: &Block, errors: &mut Diagnostics) -> Vec<End> {
    let mut walk = Walk { ends: Vec::new(), mentioned: BTreeSet::new(), errors };
    if let Some(set) = walk.block(body, Vec::new(), &[]) {
        walk.end(set, "the end of the outline".to_owned(), body.close);
    }
    walk.ends
}

struct Walk<'a> {
    ends: Vec<End>,
    mentioned: BTreeSet<String>,
    errors: &'a mut Diagnostics,
}

impl Walk<'_> {
    fn end(&mut self, set: Vec<String>, path: String, span: Span) {
        self.ends.push(End { set, mentioned: self.mentioned.iter().cloned().collect(), path, span });
    }

    /// What is set behind a block; nothing, if nothing runs behind it.
    fn block(&mut self, block: &Block, set: Vec<String>, path: &[String]) -> Option<Vec<String>> {
        let mut set = Some(set);
        let mut before: Option<&Node> = None;
        for node in &block.nodes {
            let Some(before_node) = set.take() else {
                self.unreachable(node, before);
                return None;
            };
            set = self.node(node, before_node, path);
            before = Some(node);
        }
        set
    }

    /// Nothing follows an end in the same block.
    fn unreachable(&mut self, node: &Node, before: Option<&Node>) {
        let why = match before {
            Some(Node::Return(end)) => format!("`{}` before it ends the process", end.word),
            _ => "every branch before it ends the process".to_owned(),
        };
        self.errors.error(node.token(), format!("this is never reached: {why}"));
    }

    fn node(&mut self, node: &Node, mut set: Vec<String>, path: &[String]) -> Option<Vec<String>> {
        let below = |name: String| path.iter().cloned().chain([name]).collect::<Vec<_>>();
        match node {
            Node::Step(step) => {
                let outputs = step.outputs.iter().map(|output| match output.from {
                    // What the child gives, not what else stands in the namespace.
                    Some(_) => dotted(&output.path) + ".*",
                    None => dotted(&output.path),
                });
                let outputs: Vec<String> = outputs.collect();
                self.mentioned.extend(outputs.iter().cloned());
                set.extend(outputs);
                Some(set)
            }
            Node::While(branch) => {
                self.block(&branch.body, set.clone(), &below(names::block(branch)));
                Some(set)
            }
            Node::If { branches, otherwise, .. } => {
                let mut behind: Vec<Option<Vec<String>>> = branches
                    .iter()
                    .map(|branch| self.block(&branch.body, set.clone(), &below(names::block(branch))))
                    .collect();
                behind.push(match otherwise {
                    Some(block) => self.block(block, set, &below("else_".to_owned())),
                    None => Some(set),
                });
                behind.into_iter().flatten().reduce(|a, b| both(&a, &b))
            }
            Node::Return(end) => {
                if end.exit.is_none() {
                    let path = below("return_".to_owned()).join(" → ");
                    self.end(set, path, end.word.span());
                }
                None
            }
        }
    }
}

fn dotted(path: &[Ident]) -> String {
    path.iter().map(plain).collect::<Vec<_>>().join(".")
}

/// What two branches both set: of `forces` here and `forces.x` there, the latter.
fn both(a: &[String], b: &[String]) -> Vec<String> {
    let covers = |set: &[String], name: &str| {
        let around = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
        set.iter().any(|known| name == known || around(known.strip_suffix(".*").unwrap_or(known)))
    };
    let mut both: Vec<String> = a.iter().filter(|name| covers(b, name)).cloned().collect();
    both.extend(b.iter().filter(|name| covers(a, name)).cloned());
    both.sort();
    both.dedup();
    both
}
