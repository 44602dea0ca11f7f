//! Keys of mappings.

use std::collections::HashMap;
use std::fmt::Write;

use super::super::Node;
use super::super::node::STANDARD;

/// Mappings up to here are compared key by key.
const FEW: usize = 16;

/// Whether Python takes this as a key.
pub(in super::super) fn is_hashable(node: &Node) -> bool {
    match node {
        Node::Sequence(_) | Node::Mapping(_) => false,
        Node::Tagged(tagged) => match (tagged.tag.strip_prefix(STANDARD), &tagged.node) {
            (Some("python/tuple"), Node::Sequence(nodes)) => nodes.iter().all(is_hashable),
            (Some("set" | "omap" | "pairs" | "python/list" | "python/dict"), _) => false,
            _ => true,
        },
        _ => true,
    }
}

/// Leaves each key once: where it stood first, with the value that it had last.
pub(super) fn last_wins(entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    if entries.len() < 2 {
        return entries;
    }
    let texts = entries.iter().all(|(key, _)| key.as_text().is_some());
    if texts && entries.len() <= FEW {
        let twice = |(place, (key, _)): (usize, &(Node, Node))| entries[..place].iter().any(|(other, _)| other == key);
        if !entries.iter().enumerate().any(twice) {
            return entries;
        }
    }
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut kept: Vec<(Node, Node)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let mut identity = String::new();
        identify(&key, &mut identity);
        let place = *places.entry(identity).or_insert(kept.len());
        match kept.get_mut(place) {
            Some((_, old)) => *old = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

/// Writes what is the same for keys that are equal in Python, where `1`, `1.0` and `True` are.
fn identify(key: &Node, identity: &mut String) {
    // Writing to a text cannot fail.
    let _ = match key {
        Node::Null => write!(identity, "n"),
        Node::Bool(truth) => write!(identity, "i{};", u8::from(*truth)),
        Node::Integer(integer) => write!(identity, "i{integer};"),
        Node::Huge(digits) => write!(identity, "i{digits};"),
        Node::Float(float) if *float == 0.0 => write!(identity, "i0;"),
        // All digits of its exact value, however large it is.
        Node::Float(float) if float.fract() == 0.0 => write!(identity, "i{float:.0};"),
        Node::Float(float) => write!(identity, "f{float};"),
        Node::Text(text) => write!(identity, "t{}:{text}", text.len()),
        Node::Sequence(nodes) => {
            identity.push('[');
            for node in nodes {
                identify(node, identity);
            }
            write!(identity, "]")
        }
        Node::Mapping(entries) => {
            identity.push('{');
            for (key, value) in entries {
                identify(key, identity);
                identify(value, identity);
            }
            write!(identity, "}}")
        }
        Node::Tagged(tagged) => {
            let written = write!(identity, "!{}:{}", tagged.tag.len(), tagged.tag);
            identify(&tagged.node, identity);
            written
        }
    };
}
