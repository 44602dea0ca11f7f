//! What runtimes are called.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::MeshError;

/// Bytes of a uid: it is part of an address, which may have 200.
const LONGEST: usize = 100;

/// What a runtime is called: a name, and indices after colons, as `monitor`, `node:0`, `worker:0:3` or `worker:0:3:a3f7` (M1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uid(Arc<str>);

impl Uid {
    /// The part before the first colon.
    pub fn name(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The parts after it.
    pub fn indices(&self) -> impl Iterator<Item = &str> {
        self.0.split(':').skip(1)
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a worker of this node: `worker:0:3` is one of `node:0`, and goes with it (M32).
    pub fn is_worker_of(&self, node: &Self) -> bool {
        let index = node.indices().next();
        self.name() == "worker" && node.name() == "node" && index.is_some() && self.indices().next() == index
    }
}

impl FromStr for Uid {
    type Err = MeshError;

    fn from_str(text: &str) -> Result<Self, MeshError> {
        let fits = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let (name, indices) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let has_indices = indices.is_none_or(|rest| rest.split(':').all(|part| !part.is_empty() && fits(part)));
        if text.len() <= LONGEST && starts && fits(name) && has_indices {
            Ok(Self(text.into()))
        } else {
            Err(MeshError::Uid { text: text.chars().take(LONGEST).collect() })
        }
    }
}

impl TryFrom<String> for Uid {
    type Error = MeshError;

    fn try_from(text: String) -> Result<Self, MeshError> {
        text.parse()
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        (*uid.0).to_owned()
    }
}

impl Borrow<str> for Uid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
