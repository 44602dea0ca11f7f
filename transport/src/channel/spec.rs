//! Which sockets are joined, and how.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Socket;
use crate::Mode;

/// Joins the socket that data comes out of with the one it goes into (C2).
///
/// As text it is its [id](Self::id), `source..target`, of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSpec {
    /// What sends.
    pub source: Socket,
    /// What receives.
    pub target: Socket,
    /// Who gets what is sent.
    #[serde(default)]
    pub mode: Mode,
}

impl ConnectorSpec {
    /// A pipeline.
    pub fn new(source: Socket, target: Socket) -> Self {
        Self { source, target, mode: Mode::Pipeline }
    }

    /// A topic with subscribers: whatever leaves `source`, whoever wants it.
    pub fn pubsub(source: Socket, target: Socket) -> Self {
        Self { source, target, mode: Mode::PubSub }
    }

    /// All who publish events of a type, with all who subscribe to it (C5). What cannot be in a name becomes `_`.
    ///
    /// # Errors
    ///
    /// The type is an empty text.
    pub fn event(event_type: &str) -> Result<Self, SpecError> {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        let mut safe: String = event_type.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
        if safe.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            safe.insert(0, '_');
        }
        Ok(Self::pubsub(Socket::new(&*safe, "publishers")?, Socket::new(safe, "subscribers")?))
    }

    /// `source..target` (C3).
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// What the two ends meet under: of a pipeline its id, of pubsub its source, so that all who subscribe to one source share
    /// what comes from it (C4).
    pub fn topic(&self) -> String {
        match self.mode {
            Mode::Pipeline => self.id(),
            Mode::PubSub => self.source.id(),
        }
    }
}

impl fmt::Display for ConnectorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.source, self.target)
    }
}

impl FromStr for ConnectorSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (source, target) = text.split_once("..").ok_or_else(|| SpecError::Connector { text: text.to_owned() })?;
        Ok(Self::new(source.parse()?, target.parse()?))
    }
}

/// What is wrong with the text of a socket or of a connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It has no dot.
    #[error("`{text}` is no socket: one is `entity.descriptor`")]
    Socket {
        /// What was given.
        text: String,
    },
    /// It has not two sockets.
    #[error("`{text}` is no connector: one is `source..target`")]
    Connector {
        /// What was given.
        text: String,
    },
    /// A name in it is none.
    #[error("`{name}` cannot be {what}: {wrong}")]
    Name {
        /// What was given.
        name: String,
        /// Of what.
        what: &'static str,
        /// What is wrong.
        wrong: String,
    },
}
