//! The context of a process on its way to and from a checkpoint, field by field.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What can be a field of a process: it is written as JSON, read again in another OS process, and moves between threads.
///
/// Implemented for all that is [`Serialize`], [`DeserializeOwned`], [`Send`] and `'static`. It is the bound for the
/// parameters of a generic process.
pub trait Saved: Storable + Send {}

#[diagnostic::do_not_recommend]
impl<T: Storable + Send> Saved for T {}

/// What is asked of each field. That the process moves between threads is asked of the struct as a whole: a field that
/// cannot would be reported twice.
#[diagnostic::on_unimplemented(
    message = "a context field of type `{Self}` cannot be saved",
    label = "not saved: it must be `Serialize + DeserializeOwned + 'static`",
    note = "derive `Serialize` and `Deserialize`, or mark the field `#[process(skip)]`: then it is not saved and starts from its `Default`"
)]
pub trait Storable: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Storable for T {}

/// What expansions of `#[process]` do with a field of type `T`; made by [`saved`].
///
/// The one bound stands there, so that a type which cannot be saved is reported once.
#[derive(Debug)]
pub struct SavedField<T> {
    write: fn(&T, &mut FieldWriter<'_>, &str) -> Result<(), ContextError>,
    read: fn(&mut FieldReader<'_>, &str) -> Result<T, ContextError>,
}

/// The handling of a field of type `T`.
pub fn saved<T: Storable>() -> SavedField<T> {
    SavedField { write: |value, fields, name| fields.field(name, value), read: |fields, name| fields.field(name) }
}

impl<T> SavedField<T> {
    /// Writes the field.
    ///
    /// # Errors
    /// The value refuses to be written.
    pub fn write(&self, fields: &mut FieldWriter<'_>, name: &str, value: &T) -> Result<(), ContextError> {
        (self.write)(value, fields, name)
    }

    /// Reads the field.
    ///
    /// # Errors
    /// The field is missing or its value is not a `T`.
    pub fn read(&self, fields: &mut FieldReader<'_>, name: &str) -> Result<T, ContextError> {
        (self.read)(fields, name)
    }
}

/// A context that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("field `{field}` of the context: {message}")]
pub struct ContextError {
    field: String,
    message: String,
}

impl ContextError {
    /// An error of the named field.
    pub fn new(field: &str, message: impl std::fmt::Display) -> Self {
        Self { field: field.to_owned(), message: message.to_string() }
    }

    /// The field.
    pub fn field(&self) -> &str {
        &self.field
    }
}

/// Writes fields into one JSON object.
#[derive(Debug)]
pub struct FieldWriter<'a> {
    buffer: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> FieldWriter<'a> {
    /// Begins the object; what was in the buffer goes.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.push(b'{');
        Self { buffer, empty: true }
    }

    /// Ends the object.
    pub fn finish(self) {
        self.buffer.push(b'}');
    }

    /// Writes the fields of a whole struct, with serde's own rules.
    ///
    /// # Errors
    /// The struct refuses to be written, or is not written as a JSON object.
    pub fn whole<T: Serialize>(&mut self, value: &T) -> Result<(), ContextError> {
        let start = self.buffer.len();
        serde_json::to_writer(&mut *self.buffer, value).map_err(|error| ContextError::new("*", error))?;
        if self.buffer.get(start) != Some(&b'{') || !self.buffer.ends_with(b"}") {
            return Err(ContextError::new("*", "the struct is not written as a JSON object"));
        }
        // The object's own braces go: the writer has put its own.
        self.buffer.pop();
        self.buffer.remove(start);
        self.empty = self.buffer.len() == start;
        Ok(())
    }

    /// Writes one field.
    ///
    /// # Errors
    /// The value refuses to be written, as a map does whose keys are not text.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ContextError> {
        if !std::mem::replace(&mut self.empty, false) {
            self.buffer.push(b',');
        }
        serde_json::to_writer(&mut *self.buffer, name).map_err(|error| ContextError::new(name, error))?;
        self.buffer.push(b':');
        serde_json::to_writer(&mut *self.buffer, value).map_err(|error| ContextError::new(name, error))
    }
}

/// Reads fields from one JSON object.
#[derive(Debug)]
pub struct FieldReader<'a> {
    text: &'a str,
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> FieldReader<'a> {
    /// Reads from this object.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub fn new(text: &'a str) -> Result<Self, ContextError> {
        let fields = serde_json::from_str(text).map_err(|error| ContextError::new("*", error))?;
        Ok(Self { text, fields })
    }

    /// Reads one field. A field that is not there is an error, unless its type is an `Option`.
    ///
    /// # Errors
    /// The field is missing or its value is not a `T`.
    pub fn field<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ContextError> {
        match self.fields.remove(name) {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|error| ContextError::new(name, error)),
            None => T::deserialize(Missing).map_err(|_| ContextError::new(name, "missing in the checkpoint")),
        }
    }

    /// Asserts that every field was read: an unknown one would be lost at the next commit.
    ///
    /// # Errors
    /// A field of the checkpoint is not one of the struct.
    pub fn finish(self) -> Result<(), ContextError> {
        match self.fields.into_keys().next() {
            Some(field) => Err(ContextError::new(&field, "is in the checkpoint, but no field of the process")),
            None => Ok(()),
        }
    }

    /// Reads all fields at once, with serde's own rules.
    ///
    /// # Errors
    /// The object is not a `T`.
    pub fn whole<T: Deserialize<'a>>(self) -> Result<T, ContextError> {
        serde_json::from_str(self.text).map_err(|error| ContextError::new("*", error))
    }
}

/// A field that is not there: only an `Option` accepts it, as in serde's derived code.
pub(super) struct Missing;

impl<'de> serde::Deserializer<'de> for Missing {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("missing"))
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
