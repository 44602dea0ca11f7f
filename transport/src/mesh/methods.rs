//! What a runtime does for others.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::protocol::{Fault, OWN, clipped, read, write};
use super::{MeshError, MeshResult, Uid};
use crate::BoxFuture;

/// Who calls a method, and how long it waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Caller {
    /// The runtime that calls.
    pub uid: Uid,
    /// After this nobody waits for the result.
    pub deadline: Option<Instant>,
}

pub(super) type Handler = Arc<dyn Fn(Caller, Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> + Send + Sync>;

/// Methods that others can call, by their names.
#[derive(Clone, Default)]
pub struct Methods(BTreeMap<String, Handler>);

impl Methods {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a method: it takes what is read as JSON, and what it returns is written as JSON. Another of the same name is replaced.
    ///
    /// It may be called again before it has ended, and is dropped when the mesh is stopped.
    #[must_use]
    pub fn with<A, R, E, F, M>(mut self, name: impl Into<String>, method: M) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<R, E>> + Send + 'static,
        M: Fn(Caller, A) -> F + Send + Sync + 'static,
    {
        let handler = move |caller: Caller, arguments: Bytes| -> BoxFuture<'static, Result<Bytes, Fault>> {
            match read::<A>("arguments", &arguments) {
                Ok(arguments) => {
                    let called = method(caller, arguments);
                    Box::pin(async move {
                        let result = called.await.map_err(|error| failed(error.into().as_ref()))?;
                        write("a result", &result).map_err(|error| failed(&error))
                    })
                }
                Err(error) => Box::pin(async move { Err(Fault::Arguments { reason: clipped(chain(&error)) }) }),
            }
        };
        self.0.insert(name.into(), Arc::new(handler));
        self
    }

    pub(super) fn get(&self, name: &str) -> Result<&Handler, Fault> {
        let unknown = || Fault::UnknownMethod { nearest: nearest(name, self.0.keys().map(String::as_str)) };
        self.0.get(name).ok_or_else(unknown)
    }

    /// Whether none of them is called as one of the mesh's own.
    pub(super) fn check(&self) -> MeshResult<()> {
        match self.0.keys().find(|name| name.starts_with(OWN) || name.len() > crate::limits::NAME_BYTES) {
            Some(name) => Err(MeshError::MethodName { name: name.clone() }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn failed(error: &(dyn Error + 'static)) -> Fault {
    Fault::Failed { message: clipped(chain(error)) }
}

/// An error with what caused it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What is called nearly so.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Names are compared letter by letter, each with each; a longer one is not a slip of the finger.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let distances =
        names.into_iter().filter(|other| other.len() <= LONGEST).map(|other| (distance(name, other), other));
    let (distance, other) = distances.min()?;
    (distance <= name.chars().count().max(3) / 3).then(|| other.to_owned())
}

/// How many letters are to be put in, taken out or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let changed = before + usize::from(a != b);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
