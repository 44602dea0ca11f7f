//! Values on their way through ports: from a builder to JSON, from JSON to typed structs.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::path::join;
use super::validate::{Direction, Fault, SpecError};

/// The state of a required port of a builder: it is set.
#[derive(Debug, Clone, Copy)]
pub struct Set;
/// The state of a required port of a builder: it is not set yet.
#[derive(Debug, Clone, Copy)]
pub struct Unset;
/// The state of a port of a builder that `expose` left out: it cannot be set there.
#[derive(Debug, Clone, Copy)]
pub struct Excluded;

/// Inputs that are complete: what [`Runtime::launch`](crate::Runtime::launch) and [`Cx::launch`](crate::Cx::launch) take.
///
/// The builder of `spec!` implements it once every required port is set; [`InputMap::unchecked`] gives one for values
/// that are only known at run time.
#[diagnostic::on_unimplemented(
    message = "these are not the complete inputs of a process",
    label = "expected inputs such as `Name::inputs().port(value)`"
)]
pub trait Launch<P> {
    /// The values; they are validated by whoever launches.
    fn into_inputs(self) -> InputMap;
}

/// The values of an exposed namespace as a start for the exposed process's own builder.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no exposed inputs of `{P}`",
    label = "expected the values of `expose inputs of {P} as …`"
)]
pub trait Supply<P> {
    /// The state of the builder's required ports: a tuple of [`Set`] and [`Unset`].
    type State;
    /// The values, without what was excluded.
    fn supply(&self) -> InputMap;
}

/// Input values by port, as JSON.
#[derive(Debug, Clone, Default)]
pub struct InputMap {
    values: Map<String, Value>,
    faults: Vec<Fault>,
}

impl InputMap {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a port; a value that cannot be written as JSON is reported at the launch.
    pub fn set<T: Serialize + ?Sized>(&mut self, port: &str, value: &T) {
        match serde_json::to_value(value) {
            Ok(value) => drop(self.values.insert(port.to_owned(), value)),
            Err(error) => self.faults.push(Fault::new(port, format!("cannot be written as JSON: {error}"))),
        }
    }

    /// Sets a value of a dynamic namespace.
    pub fn set_in<T: Serialize + ?Sized>(&mut self, namespace: &str, name: &str, value: &T) {
        let mut inner = self.take_namespace(namespace);
        inner.set(name, value);
        self.set_namespace(namespace, inner);
    }

    /// Puts values under the name of a namespace, in place of what was there.
    pub fn set_namespace(&mut self, namespace: &str, inner: InputMap) {
        self.faults
            .extend(inner.faults.into_iter().map(|fault| Fault::new(&join(namespace, fault.path()), fault.message())));
        self.values.insert(namespace.to_owned(), Value::Object(inner.values));
    }

    /// Takes the values out from under the name of a namespace.
    pub fn take_namespace(&mut self, namespace: &str) -> InputMap {
        match self.values.remove(namespace) {
            Some(Value::Object(values)) => Self { values, faults: Vec::new() },
            _ => Self::default(),
        }
    }

    /// Adds all values of another map on the same level.
    pub fn merge(&mut self, other: InputMap) {
        self.values.extend(other.values);
        self.faults.extend(other.faults);
    }

    /// These values as inputs of `P`, checked at the launch only.
    pub fn unchecked<P>(self) -> impl Launch<P> {
        Unchecked(self)
    }

    pub(crate) fn into_parts(self) -> (Map<String, Value>, Vec<Fault>) {
        (self.values, self.faults)
    }
}

impl From<Map<String, Value>> for InputMap {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, faults: Vec::new() }
    }
}

struct Unchecked(InputMap);

impl<P> Launch<P> for Unchecked {
    fn into_inputs(self) -> InputMap {
        self.0
    }
}

/// A struct with a field per port. `spec!` writes these.
pub trait PortValues: Sized {
    /// Reads the values, which are validated already.
    ///
    /// # Errors
    /// A value that is missing or of another type, with its path.
    fn read(ports: &mut PortReader) -> Result<Self, SpecError>;

    /// Writes the values.
    fn write(&self, ports: &mut PortWriter);

    /// A copy, for a field of the context: a process that changes its child's inputs from attempt to attempt keeps
    /// them there. The types of ports need not be `Clone`; the values go the way that they go when they are saved.
    ///
    /// # Errors
    /// A value cannot be written as JSON, or not be read again.
    fn copy(&self) -> Result<Self, SpecError> {
        let mut ports = PortWriter::new();
        self.write(&mut ports);
        let (values, faults) = ports.finish().into_parts();
        if let Some(fault) = faults.into_iter().next() {
            return Err(SpecError::of(Direction::Inputs, "the process", fault));
        }
        Self::read(&mut PortReader::new(values))
    }
}

/// No ports.
impl PortValues for () {
    fn read(_: &mut PortReader) -> Result<Self, SpecError> {
        Ok(())
    }

    fn write(&self, _: &mut PortWriter) {}
}

/// Hands out the values of a namespace by name.
#[derive(Debug)]
pub struct PortReader {
    values: Map<String, Value>,
    path: String,
}

impl PortReader {
    /// Reads from these values.
    pub fn new(values: Map<String, Value>) -> Self {
        Self { values, path: String::new() }
    }

    fn fault<T>(&self, name: &str, message: impl Into<String>) -> Result<T, SpecError> {
        let fault = Fault::new(&join(&self.path, name), message);
        Err(SpecError::of(Direction::Inputs, "the process", fault))
    }

    /// The value of a port that must be there.
    ///
    /// # Errors
    /// The value is missing or not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, SpecError> {
        match self.take_optional(name)? {
            Some(value) => Ok(value),
            // A port of type `Option<T>` or `()` may be null.
            None => serde_json::from_value(Value::Null).or_else(|_| self.fault(name, "required, but not set")),
        }
    }

    /// The value of a port that may be absent.
    ///
    /// # Errors
    /// The value is not a `T`.
    pub fn take_optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, SpecError> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).or_else(|error| self.fault(name, error.to_string())),
        }
    }

    /// The values of a dynamic namespace.
    ///
    /// # Errors
    /// A value is not a `T`.
    pub fn dynamic<T: DeserializeOwned>(&mut self, name: &str) -> Result<BTreeMap<String, T>, SpecError> {
        self.below(name).rest()
    }

    /// The values of a nested namespace.
    ///
    /// # Errors
    /// A value is missing or of another type.
    pub fn namespace<N: PortValues>(&mut self, name: &str) -> Result<N, SpecError> {
        N::read(&mut self.below(name))
    }

    /// The values of a nested namespace that may be absent.
    ///
    /// An empty one is as good as absent where its ports are required (S79).
    ///
    /// # Errors
    /// A value is missing or of another type.
    pub fn namespace_optional<N: PortValues>(&mut self, name: &str) -> Result<Option<N>, SpecError> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Object(values)) if values.is_empty() => Ok(self.namespace(name).ok()),
            Some(_) => self.namespace(name).map(Some),
        }
    }

    /// All values that were not taken, as those of a dynamic namespace.
    ///
    /// # Errors
    /// A value is not a `T`.
    pub fn rest<T: DeserializeOwned>(&mut self) -> Result<BTreeMap<String, T>, SpecError> {
        let names: Vec<String> = self.values.keys().cloned().collect();
        names.into_iter().map(|name| self.take(&name).map(|value| (name, value))).collect()
    }

    fn below(&mut self, name: &str) -> PortReader {
        let values = match self.values.remove(name) {
            Some(Value::Object(values)) => values,
            _ => Map::new(),
        };
        PortReader { values, path: join(&self.path, name) }
    }
}

/// Collects the values of a namespace by name.
#[derive(Debug, Default)]
pub struct PortWriter {
    map: InputMap,
}

impl PortWriter {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a value.
    pub fn put<T: Serialize>(&mut self, name: &str, value: &T) {
        self.map.set(name, value);
    }

    /// Writes a value if there is one.
    pub fn put_optional<T: Serialize>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Writes a nested namespace.
    pub fn namespace<N: PortValues>(&mut self, name: &str, values: &N) {
        let mut inner = PortWriter::new();
        values.write(&mut inner);
        self.map.set_namespace(name, inner.map);
    }

    /// Writes a nested namespace if it is there.
    pub fn namespace_optional<N: PortValues>(&mut self, name: &str, values: Option<&N>) {
        if let Some(values) = values {
            self.namespace(name, values);
        }
    }

    /// Writes the values of a dynamic namespace on this level.
    pub fn rest<T: Serialize>(&mut self, values: &BTreeMap<String, T>) {
        for (name, value) in values {
            self.put(name, value);
        }
    }

    /// What was written.
    pub fn finish(self) -> InputMap {
        self.map
    }
}
