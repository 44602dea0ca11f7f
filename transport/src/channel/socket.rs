//! One end of a connector, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// A place that data goes into or comes out of: `entity.descriptor` (C1).
///
/// The entity, a process say, is of letters, digits, `_` and `-`; the descriptor, a port of it, of letters, digits and `_`; neither
/// begins with a digit or with `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Socket {
    entity: String,
    descriptor: String,
}

impl Socket {
    /// The socket of an entity.
    ///
    /// # Errors
    ///
    /// One of them is no name; the error says which, and what is wrong with it.
    pub fn new(entity: impl Into<String>, descriptor: impl Into<String>) -> Result<Self, SpecError> {
        let (entity, descriptor) = (entity.into(), descriptor.into());
        name("an entity", &entity, true)?;
        name("a descriptor", &descriptor, false)?;
        Ok(Self { entity, descriptor })
    }

    /// Whose it is.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// Which of the entity's it is.
    pub fn descriptor(&self) -> &str {
        &self.descriptor
    }

    /// `entity.descriptor`.
    pub fn id(&self) -> String {
        self.to_string()
    }
}

fn name(what: &'static str, name: &str, has_hyphens: bool) -> Result<(), SpecError> {
    let is_first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let wrong = match name.chars().next() {
        None => "it is empty".to_owned(),
        Some(first) if !is_first(first) => format!("it begins with `{first}`, not with a letter or `_`"),
        Some(_) => {
            let fits = |letter: &char| is_first(*letter) || letter.is_ascii_digit() || (has_hyphens && *letter == '-');
            match name.chars().find(|letter| !fits(letter)) {
                None => return Ok(()),
                Some(other) => format!("`{}` cannot be in it", other.escape_default()),
            }
        }
    };
    Err(SpecError::Name { name: name.to_owned(), what, wrong })
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity, self.descriptor)
    }
}

impl FromStr for Socket {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (entity, descriptor) = text.split_once('.').ok_or_else(|| SpecError::Socket { text: text.to_owned() })?;
        Self::new(entity, descriptor)
    }
}

impl TryFrom<String> for Socket {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl From<Socket> for String {
    fn from(socket: Socket) -> Self {
        socket.to_string()
    }
}
