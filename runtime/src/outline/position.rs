//! Where a program point stands, as people read it.

use super::{Branch, Node};

/// The point in these instructions: `index:instruction`, and in parentheses the same of the block it holds.
pub(super) fn of(nodes: &[Node], point: &str) -> Option<String> {
    nodes.iter().enumerate().find_map(|(index, node)| Some(format!("{index}:{}", inside(node, point)?)))
}

fn inside(node: &Node, point: &str) -> Option<String> {
    match node {
        Node::Step(step) => (step.point == point).then(|| step.name.to_owned()),
        Node::While(branch) => held(&branch.label("while_"), branch.body, point),
        Node::If { branches, otherwise } => {
            let mut labels = labelled(branches);
            let branch = labels.find_map(|(label, branch)| held(&label, branch.body, point));
            branch.or_else(|| held("else_", otherwise, point))
        }
        Node::Return { .. } => None,
    }
}

fn held(label: &str, body: &[Node], point: &str) -> Option<String> {
    Some(format!("{label}({})", of(body, point)?))
}

/// The branches of an `if_`, each as it is written.
pub(super) fn labelled(branches: &[Branch]) -> impl Iterator<Item = (String, &Branch)> {
    branches.iter().enumerate().map(|(index, branch)| (branch.label(if index == 0 { "if_" } else { "elif_" }), branch))
}
