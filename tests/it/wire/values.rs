//! Values as texts that Python makes too: equal texts are equal values.

use procession::message::{Node, STANDARD};
use std::fmt::Write;

/// The text of a value; the same as `shown` in `peer.py`.
pub(super) fn shown(node: &Node) -> String {
    let mut text = String::new();
    show(node, &mut text);
    text
}

fn show(node: &Node, text: &mut String) {
    match node {
        Node::Null => text.push_str("null"),
        Node::Bool(truth) => drop(write!(text, "{truth}")),
        Node::Integer(integer) => drop(write!(text, "i{integer}")),
        Node::Huge(digits) => drop(write!(text, "i{digits}")),
        Node::Float(float) if float.is_nan() => text.push_str("fnan"),
        Node::Float(float) => drop(write!(text, "f{:016x}", float.to_bits())),
        Node::Text(string) => {
            text.push('s');
            for byte in string.bytes() {
                let _ = write!(text, "{byte:02x}");
            }
        }
        Node::Sequence(nodes) => listed('[', nodes.iter().map(shown), ']', text),
        Node::Mapping(entries) => {
            let entries = entries.iter().map(|(key, node)| format!("{}:{}", shown(key), shown(node)));
            listed('{', entries, '}', text);
        }
        Node::Tagged(tagged) => match (tagged.tag.strip_prefix(STANDARD).unwrap_or(&tagged.tag), &tagged.node) {
            ("!uuid", Node::Text(uuid)) => drop(write!(text, "u{uuid}")),
            ("timestamp", Node::Text(time)) => drop(write!(text, "t{time}")),
            ("binary", Node::Text(binary)) => drop(write!(text, "b{binary}")),
            ("python/tuple", Node::Sequence(nodes)) => listed('(', nodes.iter().map(shown), ')', text),
            ("set", Node::Mapping(entries)) => {
                let mut keys: Vec<String> = entries.iter().map(|(key, _)| shown(key)).collect();
                keys.sort();
                listed('<', keys.into_iter(), '>', text);
            }
            ("python/complex", Node::Text(complex)) => {
                // `1.5`, `2.5j`, `1.5-2.5j`.
                let imaginary = complex.strip_suffix('j');
                let split = imaginary.map_or(complex.len(), |both| both.rfind(['+', '-']).unwrap_or(0));
                let parts = [&complex[..split], imaginary.map_or("", |both| &both[split..])];
                let numbers = parts.map(|part| Node::Float(if part.is_empty() { 0.0 } else { part.parse().unwrap() }));
                let _ = write!(text, "c{}{}", shown(&numbers[0]), shown(&numbers[1]));
            }
            (tag, node) => drop(write!(text, "?{tag} {}", shown(node))),
        },
        other => panic!("a kind of value is missing here: {other:?}"),
    }
}

fn listed(open: char, parts: impl Iterator<Item = String>, close: char, text: &mut String) {
    text.push(open);
    text.push_str(&parts.collect::<Vec<_>>().join(","));
    text.push(close);
}
