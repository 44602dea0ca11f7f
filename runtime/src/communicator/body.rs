//! The bounds of bodies, which are the same where they travel as bytes.

use super::{CommunicatorError, CommunicatorResult, Refusal};
use crate::limits;
use crate::message::{Node, ReplyBody};

/// The reply that an answer becomes; one that no message could carry becomes an error.
pub(super) fn answer_body(answer: Result<Node, Refusal>) -> ReplyBody {
    let checked = answer.and_then(|node| check_body(&node).map(|()| node).map_err(Refusal::failed));
    checked.into()
}

/// Refuses a body that no message could carry.
pub(super) fn check_body(body: &Node) -> CommunicatorResult<()> {
    let refused = |reason: &str| Err(CommunicatorError::Malformed { what: "written", reason: reason.to_owned() });
    let (mut nodes, mut bytes) = (0_usize, 0_usize);
    let mut open = vec![(body, 0_usize)];
    while let Some((node, depth)) = open.pop() {
        nodes += 1;
        match node {
            Node::Text(text) => bytes = bytes.saturating_add(text.len()),
            Node::Huge(digits) => bytes = bytes.saturating_add(digits.len()),
            Node::Sequence(inner) => open.extend(inner.iter().map(|node| (node, depth + 1))),
            Node::Mapping(entries) => {
                open.extend(entries.iter().flat_map(|(key, node)| [(key, depth + 1), (node, depth + 1)]));
            }
            Node::Tagged(tagged) => {
                bytes = bytes.saturating_add(tagged.tag.len());
                open.push((&tagged.node, depth + 1));
            }
            _ => {}
        }
        if depth > limits::BODY_DEPTH {
            return refused("it is nested too deep");
        }
        if nodes.saturating_add(open.len()) > limits::BODY_NODES {
            return refused("it has too many values");
        }
        if bytes > limits::BODY_BYTES {
            return refused("it is too long");
        }
    }
    Ok(())
}
