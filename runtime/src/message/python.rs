//! Values as Python sees them.

use super::node::UUID;
use super::{Node, Tagged};
use crate::communicator::Refusal;
use crate::process::ProcessId;

impl Node {
    /// The id of a process, if it can be one: a UUID, an integer of 64 bits, a text (wire.md rule 7).
    pub fn as_pid(&self) -> Option<ProcessId> {
        match self {
            Self::Integer(integer) => i64::try_from(*integer).ok().map(ProcessId::from),
            Self::Text(text) => Some(text.as_str().into()),
            Self::Tagged(tagged) if tagged.tag == UUID => {
                let uuid = uuid::Uuid::try_parse(tagged.node.as_text()?).ok()?;
                Some(uuid.into())
            }
            _ => None,
        }
    }

    /// Whether Python takes it for true: all but null, `false`, zero, and what is empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Integer(integer) => *integer != 0,
            Self::Huge(_) => true,
            Self::Float(float) => *float != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Sequence(nodes) => !nodes.is_empty(),
            Self::Mapping(entries) => !entries.is_empty(),
            Self::Tagged(tagged) => match &tagged.node {
                Self::Sequence(nodes) => !nodes.is_empty(),
                Self::Mapping(entries) => !entries.is_empty(),
                _ => true,
            },
        }
    }

    /// The name of its type.
    pub(super) fn python_type(&self) -> &str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Integer(_) | Self::Huge(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Sequence(_) => "list",
            Self::Mapping(_) => "dict",
            Self::Tagged(tagged) if tagged.tag == UUID => "UUID",
            Self::Tagged(tagged) => tagged.python().unwrap_or("object"),
        }
    }

    /// What stands under a key, or the text of the exception of Python where nothing does.
    pub(super) fn item(&self, key: &str) -> Result<&Self, Refusal> {
        let text = match self {
            Self::Text(_) => "string indices must be integers, not 'str'".to_owned(),
            node if node.as_mapping().is_some() => match node.get(key) {
                Some(node) => return Ok(node),
                None => format!("'{key}'"),
            },
            node if node.as_sequence().is_some() => {
                format!("{} indices must be integers or slices, not str", node.python_type())
            }
            node => format!("'{}' object is not subscriptable", node.python_type()),
        };
        Err(Refusal::Failed(text))
    }

    /// The text; of another value what JSON has for it, of null nothing.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
            node => Some(node.to_string()),
        }
    }

    /// The entries, if it is a mapping.
    pub(super) fn into_mapping(self) -> Option<Vec<(Self, Self)>> {
        match self {
            Self::Mapping(entries) => Some(entries),
            Self::Tagged(tagged) if tagged.python() == Some("dict") => tagged.node.into_mapping(),
            _ => None,
        }
    }

    /// The values, if they are a sequence, or one that Python calls a tuple or list.
    pub(super) fn into_sequence(self) -> Option<Vec<Self>> {
        match self {
            Self::Sequence(nodes) => Some(nodes),
            Self::Tagged(tagged) if matches!(tagged.python(), Some("tuple" | "list")) => {
                let Tagged { node, .. } = *tagged;
                node.into_sequence()
            }
            _ => None,
        }
    }
}
