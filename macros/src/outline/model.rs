//! An outline, checked: steps with their stored names, the tree over them, and the ends.

use proc_macro2::{Ident, Span};
use syn::Attribute;

use super::ast::{self, Ast};
use super::ends::{self, End};
use super::names;
use crate::diag::Diagnostics;
use crate::flow::{Facade, Target, line_of, variants};
use crate::tokens::plain;

/// The most values that a step can return at once: what tuples are implemented for.
const VALUES: usize = 8;

/// The facts.
pub(crate) struct Model {
    pub(crate) facade: Facade,
    pub(crate) target: Target,
    /// All steps, in the order of the text.
    pub(crate) points: Vec<Point>,
    pub(crate) body: Vec<Node>,
    /// The normal ends, with what is certainly set there.
    pub(crate) ends: Vec<End>,
}

/// A program point.
pub(crate) struct Point {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) step: Ident,
    pub(crate) blocking: bool,
    pub(crate) stored: String,
    pub(crate) variant: Ident,
    pub(crate) outputs: Vec<Output>,
    pub(crate) line: u32,
}

/// An output that a step sets.
pub(crate) struct Output {
    /// The name and the names of the namespaces around it.
    pub(crate) path: Vec<Ident>,
    /// The same as text, dotted.
    pub(crate) name: String,
    /// The field of the child whose outputs fill the namespace.
    pub(crate) from: Option<Vec<Ident>>,
}

/// One instruction.
pub(crate) enum Node {
    /// The index of a point.
    Step(usize),
    If {
        branches: Vec<Branch>,
        otherwise: Vec<Node>,
    },
    While(Branch),
    Return {
        exit: Option<Ident>,
        line: u32,
    },
}

/// A predicate and its block.
pub(crate) struct Branch {
    pub(crate) predicate: Ident,
    /// As in `while_(unconverged)`, for errors and paths.
    pub(crate) text: String,
    pub(crate) body: Vec<Node>,
    pub(crate) line: u32,
}

/// Checks the outline.
pub(crate) fn build(facade: Facade, ast: Ast, errors: &mut Diagnostics) -> Model {
    let ends = ends::of(&ast.body, errors);
    let stored = names::of(&ast.body, errors);
    let mut points = Vec::new();
    let body = nodes(ast.body, &mut points, errors);
    let variants = variants(stored.iter().map(String::as_str));
    for ((point, stored), variant) in points.iter_mut().zip(stored).zip(variants) {
        (point.stored, point.variant) = (stored, variant);
    }
    Model { facade, target: ast.target, points, body, ends }
}

fn nodes(block: ast::Block, points: &mut Vec<Point>, errors: &mut Diagnostics) -> Vec<Node> {
    if block.nodes.is_empty() && errors.is_empty() {
        errors.error_at(block.open, "this block is empty; write a step in it, or leave it out");
    }
    let nodes = block.nodes.into_iter().map(|node| match node {
        ast::Node::Step(step) => {
            points.push(point(step, errors));
            Node::Step(points.len() - 1)
        }
        ast::Node::If { branches, otherwise, .. } => Node::If {
            branches: branches.into_iter().map(|each| branch(each, points, errors)).collect(),
            otherwise: otherwise.map(|block| nodes(block, points, errors)).unwrap_or_default(),
        },
        ast::Node::While(each) => Node::While(branch(each, points, errors)),
        ast::Node::Return(end) => Node::Return { exit: end.exit, line: line_of(end.word.span()) },
    });
    nodes.collect()
}

fn branch(branch: ast::Branch, points: &mut Vec<Point>, errors: &mut Diagnostics) -> Branch {
    Branch {
        text: names::block(&branch),
        line: line_of(branch.word.span()),
        predicate: branch.predicate,
        body: nodes(branch.body, points, errors),
    }
}

/// A step; its stored name and variant are given once all are known.
fn point(step: ast::Step, errors: &mut Diagnostics) -> Point {
    let outputs = outputs(step.outputs, errors);
    Point {
        docs: step.docs,
        blocking: step.blocking,
        stored: String::new(),
        variant: Ident::new("_unnamed", Span::call_site()),
        line: line_of(step.name.span()),
        step: step.name,
        outputs,
    }
}

/// An output stands once behind a step, and the values fit into one tuple.
fn outputs(outputs: Vec<ast::Output>, errors: &mut Diagnostics) -> Vec<Output> {
    let mut checked: Vec<Output> = Vec::new();
    for ast::Output { path, from } in outputs {
        let name = path.iter().map(plain).collect::<Vec<_>>().join(".");
        if checked.iter().any(|known| known.name == name) {
            errors.error(path.last(), format!("output `{name}` stands twice behind this step"));
            continue;
        }
        if from.is_none() && checked.iter().filter(|output| output.from.is_none()).count() == VALUES {
            errors.error(path.last(), format!("a step returns at most {VALUES} outputs; emit others with `cx.out`"));
            continue;
        }
        checked.push(Output { path, name, from });
    }
    checked
}
