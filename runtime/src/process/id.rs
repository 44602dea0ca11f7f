//! Process ids.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Identifies a process: a UUID, an integer or a text (S15).
///
/// New roots get a UUID of version 7, so that ids are ordered by time; children get one that is derived from their
/// parent's id and the step that launches them, so that a repeated step launches the same children.
/// A text that looks like a UUID or an integer *is* one: `ProcessId::from("5") == ProcessId::from(5)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(Repr);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Uuid(Uuid),
    Integer(i64),
    Text(Arc<str>),
}

impl ProcessId {
    /// A new id, later than all before.
    pub fn new() -> Self {
        Self(Repr::Uuid(Uuid::now_v7()))
    }

    /// The id of the `ordinal`-th child that is launched under an idempotency key.
    pub(crate) fn child(key: &str, ordinal: usize) -> Self {
        Self(Repr::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("procession:{key}:{ordinal}").as_bytes())))
    }

    /// The UUID, if it is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self.0 {
            Repr::Uuid(uuid) => Some(uuid),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self.0 {
            Repr::Integer(integer) => Some(integer),
            _ => None,
        }
    }
}

impl Default for ProcessId {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Uuid> for ProcessId {
    fn from(uuid: Uuid) -> Self {
        Self(Repr::Uuid(uuid))
    }
}

impl From<i64> for ProcessId {
    fn from(integer: i64) -> Self {
        Self(Repr::Integer(integer))
    }
}

impl From<&str> for ProcessId {
    fn from(text: &str) -> Self {
        // Only the canonical spelling, so that every text has one id and every id one text.
        if let Ok(integer) = text.parse::<i64>()
            && integer.to_string() == text
        {
            return Self(Repr::Integer(integer));
        }
        if text.len() == 36
            && let Ok(uuid) = Uuid::try_parse(text)
            && text.bytes().all(|byte| !byte.is_ascii_uppercase())
        {
            return Self(Repr::Uuid(uuid));
        }
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for ProcessId {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Uuid(uuid) => uuid.fmt(f),
            Repr::Integer(integer) => integer.fmt(f),
            Repr::Text(text) => text.fmt(f),
        }
    }
}

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_text_are_one_to_one() {
        let uuid = ProcessId::new();
        for text in ["5", "-5", "007", "relax-1", "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", &uuid.to_string()] {
            let id = ProcessId::from(text);
            assert_eq!(id.to_string(), text);
            assert_eq!(ProcessId::from(id.to_string()), id);
        }
        assert_eq!(ProcessId::from("5"), ProcessId::from(5));
        assert_ne!(ProcessId::from("007"), ProcessId::from(7));
        assert_eq!(ProcessId::from(uuid.to_string()), uuid);
    }
}
