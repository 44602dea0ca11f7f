//! Replies.

use super::{MessageError, Node};

/// A reply to a task or a call (wire.md 5).
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyBody {
    /// The value.
    Value(Node),
    /// The other side failed with this text.
    Exception(String),
    /// A further reply follows.
    Pending,
    /// The other side was cancelled, with a text if it gave one.
    Cancelled(Option<String>),
}

/// Who has done a task: a reply to a task says it, for people only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name of the machine.
    pub hostname: String,
    /// The id of the operating system's process.
    pub pid: u32,
}

impl Host {
    /// This process on this machine.
    pub fn this() -> Self {
        let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let variable = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok();
        let hostname = read.or_else(variable).unwrap_or_default();
        Self { hostname: hostname.trim().to_owned(), pid: std::process::id() }
    }
}

impl ReplyBody {
    /// As a reply to a task, which says who has done it.
    pub fn with_host(self, host: &Host) -> Node {
        let host = Node::mapping([("hostname", Node::text(&*host.hostname)), ("pid", Node::Integer(host.pid.into()))]);
        let (key, node) = self.entry();
        Node::mapping([("host", host), (key, node)])
    }

    fn entry(self) -> (&'static str, Node) {
        match self {
            Self::Value(node) => ("result", node),
            Self::Exception(text) => ("exception", text.into()),
            Self::Pending => ("pending", Node::Null),
            Self::Cancelled(text) => ("cancelled", text.into()),
        }
    }
}

impl From<ReplyBody> for Node {
    fn from(reply: ReplyBody) -> Self {
        Self::mapping([reply.entry()])
    }
}

impl TryFrom<Node> for ReplyBody {
    type Error = MessageError;

    /// The first key that is present decides, in the order in which Python looks for them; others are ignored.
    fn try_from(node: Node) -> Result<Self, MessageError> {
        let Some(mut entries) = node.into_mapping() else {
            return Err(MessageError::Form("a reply must be a mapping".to_owned()));
        };
        let mut take = |key: &str| {
            let place = entries.iter().position(|(found, _)| found.as_text() == Some(key))?;
            Some(entries.swap_remove(place).1)
        };
        if let Some(text) = take("cancelled") {
            return Ok(Self::Cancelled(text.into_text()));
        }
        if let Some(text) = take("exception") {
            return Ok(Self::Exception(text.into_text().unwrap_or_default()));
        }
        if let Some(node) = take("result") {
            return Ok(Self::Value(node));
        }
        if take("pending").is_some() {
            return Ok(Self::Pending);
        }
        Err(MessageError::Form("a reply has one of the keys `cancelled`, `exception`, `result`, `pending`".to_owned()))
    }
}
