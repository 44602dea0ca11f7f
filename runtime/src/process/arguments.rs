//! The arguments of a program point on their way to and from a checkpoint, by name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::marker::PhantomData;

use super::PointError;
use super::fields::Missing;

/// What can be an argument of a step: it is stored with the program point.
///
/// Implemented for all that is [`Serialize`], [`DeserializeOwned`], [`Clone`], [`Debug`], [`Send`], [`Sync`] and
/// `'static`.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot be saved",
    label = "not saved: it must be `Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static`",
    note = "derive `Serialize`, `Deserialize`, `Clone` and `Debug`"
)]
pub trait Argument: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static> Argument for T {}

/// What expansions of `steps!` do with an argument of type `T`; made by [`argument`].
///
/// The one bound stands there, so that a type which does not fit is reported once.
#[derive(Debug)]
pub struct ArgumentOf<T> {
    copy: fn(&T) -> T,
    debug: fn(&T) -> &dyn Debug,
    write: fn(&T) -> Result<Value, serde_json::Error>,
    read: fn(Option<Value>) -> Result<T, String>,
    of: PhantomData<fn() -> T>,
}

/// The handling of an argument of type `T`.
pub fn argument<T: Argument>() -> ArgumentOf<T> {
    ArgumentOf {
        copy: T::clone,
        debug: |value| value,
        write: |value| serde_json::to_value(value),
        read: |value| match value {
            Some(value) => serde_json::from_value(value).map_err(|error| error.to_string()),
            None => T::deserialize(Missing).map_err(|error| error.to_string()),
        },
        of: PhantomData,
    }
}

impl<T> ArgumentOf<T> {
    /// A copy.
    pub fn copy(&self, value: &T) -> T {
        (self.copy)(value)
    }

    /// The value for people.
    pub fn debug<'a>(&self, value: &'a T) -> &'a dyn Debug {
        (self.debug)(value)
    }

    /// Puts the value among the arguments of a point.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn put(&self, to: &mut Map<String, Value>, name: &str, value: &T) -> Result<(), serde_json::Error> {
        to.insert(name.to_owned(), (self.write)(value)?);
        Ok(())
    }

    /// Takes the value from the arguments of a point. One that is not there is an error, unless it is an `Option`.
    ///
    /// # Errors
    /// The value is missing or not a `T`.
    pub fn take(&self, from: &mut Map<String, Value>, point: &str, name: &str) -> Result<T, PointError> {
        (self.read)(from.remove(name)).map_err(|error| PointError::arguments(point, format!("`{name}`: {error}")))
    }
}

/// Asserts that every argument was taken: an unknown one would be lost at the next commit.
///
/// # Errors
/// An argument that the step does not have.
pub fn all_taken(arguments: &Map<String, Value>, point: &str) -> Result<(), PointError> {
    match arguments.keys().next() {
        Some(name) => Err(PointError::arguments(point, format!("`{name}` is in the checkpoint, but no argument"))),
        None => Ok(()),
    }
}
