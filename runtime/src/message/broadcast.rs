//! Broadcasts.

use super::{MessageError, Node};

/// A broadcast (wire.md 7).
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// What is told.
    pub body: Node,
    /// Who tells it: a process's id, or anything else.
    pub sender: Node,
    /// What it is about: what filters look at.
    pub subject: Option<String>,
    /// What it belongs to.
    pub correlation_id: Node,
    /// What tells it from others: who hears it hears it once under this, however often it is sent. It stands beside the
    /// body that travels, not in it; a communicator may give one to a broadcast that has none.
    pub id: Option<String>,
}

impl Broadcast {
    /// A broadcast of a body, without a sender, subject or correlation id.
    pub fn new(body: impl Into<Node>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// Says who tells it.
    pub fn sender(mut self, sender: impl Into<Node>) -> Self {
        self.sender = sender.into();
        self
    }

    /// Says what it is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says what it belongs to.
    pub fn correlation_id(mut self, correlation_id: impl Into<Node>) -> Self {
        self.correlation_id = correlation_id.into();
        self
    }
}

impl Broadcast {
    /// Makes a repetition of this broadcast known as such.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

impl From<Broadcast> for Node {
    /// With all four keys: Python looks at each.
    fn from(broadcast: Broadcast) -> Self {
        Self::mapping([
            ("body", broadcast.body),
            ("correlation_id", broadcast.correlation_id),
            ("sender", broadcast.sender),
            ("subject", broadcast.subject.into()),
        ])
    }
}

impl TryFrom<Node> for Broadcast {
    type Error = MessageError;

    /// A key that is absent counts as null; others than the four are ignored.
    fn try_from(node: Node) -> Result<Self, MessageError> {
        let Some(entries) = node.into_mapping() else {
            return Err(MessageError::Form("a broadcast must be a mapping".to_owned()));
        };
        let mut broadcast = Self::default();
        for (key, node) in entries {
            match key.as_text() {
                Some("body") => broadcast.body = node,
                Some("sender") => broadcast.sender = node,
                Some("subject") => broadcast.subject = node.into_text(),
                Some("correlation_id") => broadcast.correlation_id = node,
                _ => {}
            }
        }
        Ok(broadcast)
    }
}
