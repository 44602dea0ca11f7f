//! Values of messages.

use serde_json::Value;
use std::fmt;

use crate::process::ProcessId;

/// A value of a message: what JSON has, and what Python sends beside it.
///
/// Whatever has a tag of its own stays a tagged value, so that an object this program knows nothing of is handed on as
/// it came: `!uuid`, `tag:yaml.org,2002:python/tuple`, `tag:yaml.org,2002:timestamp`, `tag:yaml.org,2002:binary` (base64),
/// `tag:yaml.org,2002:set` (a mapping to null), `tag:yaml.org,2002:python/object:some.Class`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Node {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of up to 128 bits.
    Integer(i128),
    /// An integer beyond, in decimal digits.
    Huge(Box<str>),
    /// A number with a fraction, an infinity, or no number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values in order.
    Sequence(Vec<Node>),
    /// Values under keys, which need not be texts; in the order in which they came, each key once.
    Mapping(Vec<(Node, Node)>),
    /// A value under a tag.
    Tagged(Box<Tagged>),
}

/// A value under a tag that is not one of the plain ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// The tag in full, without angle brackets: `!uuid`, `tag:yaml.org,2002:python/tuple`.
    pub tag: String,
    /// The value: a text, a sequence or a mapping.
    pub node: Node,
}

/// What standard tags begin with; written `!!`.
pub const STANDARD: &str = "tag:yaml.org,2002:";
/// The tag of a UUID, local to plumpy.
pub const UUID: &str = "!uuid";

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A mapping with texts as keys.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Mapping(entries.into_iter().map(|(key, node)| (Self::text(key), node)).collect())
    }

    /// A value under a tag.
    pub fn tagged(tag: impl Into<String>, node: Self) -> Self {
        Self::Tagged(Box::new(Tagged { tag: tag.into(), node }))
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The values, if they are a sequence, or one that Python calls a tuple or list.
    pub fn as_sequence(&self) -> Option<&[Self]> {
        match self {
            Self::Sequence(nodes) => Some(nodes),
            Self::Tagged(tagged) if matches!(tagged.python(), Some("tuple" | "list")) => tagged.node.as_sequence(),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub fn as_mapping(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Mapping(entries) => Some(entries),
            Self::Tagged(tagged) if tagged.python() == Some("dict") => tagged.node.as_mapping(),
            _ => None,
        }
    }

    /// The value under a text as key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_mapping()?;
        entries.iter().find(|(found, _)| found.as_text() == Some(key)).map(|(_, node)| node)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl Tagged {
    /// What follows `!!python/`, if the tag is one of those.
    pub fn python(&self) -> Option<&str> {
        self.tag.strip_prefix(STANDARD)?.strip_prefix("python/")
    }
}

impl From<&ProcessId> for Node {
    /// As on the wire: a UUID under its tag, an integer, or a text (wire.md rule 7).
    fn from(pid: &ProcessId) -> Self {
        match (pid.as_uuid(), pid.as_integer()) {
            (Some(uuid), _) => Self::tagged(UUID, Self::text(uuid.to_string())),
            (None, Some(integer)) => Self::Integer(integer.into()),
            (None, None) => Self::text(pid.to_string()),
        }
    }
}

impl From<bool> for Node {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Node {
    fn from(integer: i64) -> Self {
        Self::Integer(integer.into())
    }
}

impl From<f64> for Node {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Node {
    fn from(some: Option<T>) -> Self {
        some.map_or(Self::Null, Into::into)
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                (None, Some(float)) => Self::Float(float),
                (None, None) => Self::text(number.to_string()),
            },
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::Sequence(values.into_iter().map(Self::from).collect()),
            Value::Object(values) => Self::mapping(values.into_iter().map(|(key, value)| (key, Self::from(value)))),
        }
    }
}

impl From<Node> for Value {
    /// As JSON. What JSON has no form for becomes what a port would be given in its place: a UUID, a timestamp, a date
    /// and binary data their texts; a tuple and a set an array; a key that is no text the text that JSON has for it.
    /// What remains (`.nan` and infinities, integers beyond 64 bits, objects of Python) becomes a mapping from its tag to its value,
    /// such as `{"!!python/object:some.Class": {…}}`, `{"!!float": ".nan"}`, `{"!!int": "340282366920938463463374607431768211456"}`.
    fn from(node: Node) -> Self {
        let under = |tag: &str, value: Value| {
            let tag = tag.strip_prefix(STANDARD).map_or_else(|| tag.to_owned(), |tag| format!("!!{tag}"));
            Self::Object([(tag, value)].into_iter().collect())
        };
        match node {
            Node::Null => Self::Null,
            Node::Bool(truth) => Self::Bool(truth),
            Node::Integer(integer) => match (i64::try_from(integer), u64::try_from(integer)) {
                (Ok(integer), _) => integer.into(),
                (_, Ok(integer)) => integer.into(),
                _ => under("!!int", integer.to_string().into()),
            },
            Node::Huge(digits) => under("!!int", String::from(digits).into()),
            Node::Float(float) => match serde_json::Number::from_f64(float) {
                Some(number) => Self::Number(number),
                None if float.is_nan() => under("!!float", ".nan".into()),
                None => under("!!float", if float > 0.0 { ".inf" } else { "-.inf" }.into()),
            },
            Node::Text(text) => Self::String(text),
            Node::Sequence(nodes) => nodes.into_iter().map(Self::from).collect(),
            Node::Mapping(entries) => {
                Self::Object(entries.into_iter().map(|(key, node)| (key.into_key(), Self::from(node))).collect())
            }
            Node::Tagged(tagged) => {
                let Tagged { tag, node } = *tagged;
                match (tag.strip_prefix(STANDARD).unwrap_or(&tag), node) {
                    (UUID | "timestamp" | "binary" | "python/str" | "python/bytes", Node::Text(text)) => {
                        Self::String(text)
                    }
                    ("python/tuple" | "python/list", node @ Node::Sequence(_))
                    | ("python/dict", node @ Node::Mapping(_)) => node.into(),
                    ("set", Node::Mapping(entries)) => entries.into_iter().map(|(key, _)| Self::from(key)).collect(),
                    (_, node) => under(&tag, node.into()),
                }
            }
        }
    }
}

impl Node {
    /// As the key of a JSON object.
    fn into_key(self) -> String {
        match self {
            Self::Text(text) => text,
            node => match Value::from(node) {
                Value::String(text) => text,
                value => value.to_string(),
            },
        }
    }
}

impl fmt::Display for Node {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::from(self.clone()))
    }
}
