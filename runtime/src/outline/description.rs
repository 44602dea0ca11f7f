//! An outline as data.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::position::labelled;
use super::{Node, Step};

/// An outline as data; see [`Outline::description`](super::Outline::description).
///
/// What is written keeps the order of the text, which a `serde_json::Value` made of it would not.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    body: &'static [Node],
}

impl Description {
    pub(super) fn of(body: &'static [Node]) -> Self {
        Self { body }
    }
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut block = serializer.serialize_seq(Some(self.body.len()))?;
        self.body.iter().try_for_each(|node| block.serialize_element(&Described(node)))?;
        block.end()
    }
}

/// One instruction.
struct Described(&'static Node);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Node::Step(step) => serializer.serialize_str(&described(step)),
            Node::While(branch) => blocks(serializer, [(branch.label("while_"), branch.body)]),
            Node::If { branches, otherwise } => {
                let branches = labelled(branches).map(|(label, branch)| (label, branch.body));
                let otherwise = (!otherwise.is_empty()).then(|| ("else_".to_owned(), *otherwise));
                blocks(serializer, distinct(branches.chain(otherwise)))
            }
            Node::Return { exit: None, .. } => serializer.serialize_str("Return from the outline immediately"),
            Node::Return { exit: Some(exit), .. } => {
                serializer.serialize_str(&format!("Return from the outline immediately, with exit code {exit}"))
            }
        }
    }
}

fn blocks<S: Serializer>(
    serializer: S,
    blocks: impl IntoIterator<Item = (String, &'static [Node])>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    blocks.into_iter().try_for_each(|(label, body)| map.serialize_entry(&label, &Description::of(body)))?;
    map.end()
}

/// Two branches may ask the same predicate, but two entries of an object need different names.
fn distinct<T>(branches: impl Iterator<Item = (String, T)>) -> Vec<(String, T)> {
    let mut named: Vec<(String, T)> = Vec::new();
    for (label, body) in branches {
        let numbered = (2..).map(|number| format!("{label}#{number}"));
        let free = |name: &String| named.iter().all(|(known, _)| known != name);
        let name = std::iter::once(label.clone()).chain(numbered).find(free).unwrap_or(label);
        named.push((name, body));
    }
    named
}

/// `name`, or `name(documentation)` with the documentation on one line.
fn described(step: &Step) -> String {
    if step.doc.is_empty() {
        return step.name.to_owned();
    }
    format!("{}({})", step.name, step.doc.split_whitespace().collect::<Vec<_>>().join(" "))
}
