//! One port: type, default, help, validator.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::path::Path;
use super::schema::Schema;
use super::validate::Fault;
use crate::text::{TOO_DEEP, too_deep};

pub(super) type Check = Arc<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// What a port has where nothing is given.
#[derive(Clone)]
enum DefaultValue {
    /// Known when the spec is built, and checked then; or why it cannot be written as JSON.
    Fixed(Result<Value, String>),
    /// Computed at each launch, and checked then.
    Computed(Arc<dyn Fn() -> Result<Value, String> + Send + Sync>),
}

impl DefaultValue {
    fn get(&self) -> Result<Value, String> {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Computed(compute) => compute(),
        }
    }
}

/// One value that a process takes or gives.
#[derive(Clone)]
pub struct Port {
    name: Cow<'static, str>,
    type_name: &'static str,
    help: &'static str,
    required: bool,
    default: Option<DefaultValue>,
    decode: fn(&Value) -> Result<(), String>,
    schema: Schema,
    checks: Vec<Check>,
}

/// Whether a value is a `T`; the message is what the decoder says.
pub(super) fn decodes<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    T::deserialize(value).map(drop).map_err(|error| error.to_string())
}

/// A validator of `T` as one of JSON.
pub(super) fn check_of<T: DeserializeOwned>(check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static) -> Check {
    Arc::new(move |value| T::deserialize(value).map_err(|error| error.to_string()).and_then(|value| check(&value)))
}

impl Port {
    /// A required port for values of type `T`; `type_name` is the type as the user wrote it.
    ///
    /// A dotted name is that of a port in nested namespaces; see [`PortNamespace::port`](super::PortNamespace::port).
    pub fn new<T: DeserializeOwned>(name: impl Into<Cow<'static, str>>, type_name: &'static str) -> Self {
        Self {
            name: name.into(),
            type_name,
            help: "",
            required: true,
            default: None,
            decode: decodes::<T>,
            schema: Schema::ANY,
            checks: Vec::new(),
        }
    }

    /// Not required.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// With a help text.
    pub fn with_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// With a default, computed at each launch; the port is not required any more (S72).
    ///
    /// One that is not valid is a fault of the launch that uses it.
    pub fn with_default<T: Serialize>(mut self, default: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.required = false;
        let compute = move || serde_json::to_value(default()).map_err(|error| error.to_string());
        self.default = Some(DefaultValue::Computed(Arc::new(compute)));
        self
    }

    /// With a default that is known now; the port is not required any more (S72).
    ///
    /// One that is not valid is refused when the process is registered. Descriptions and schemas show it.
    pub fn with_default_value<T: Serialize + ?Sized>(mut self, default: &T) -> Self {
        self.required = false;
        let value = serde_json::to_value(default).map_err(|error| error.to_string());
        self.default = Some(DefaultValue::Fixed(value));
        self
    }

    /// With a validator, called with values of the right type only.
    pub fn with_check<T: DeserializeOwned>(
        mut self,
        check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(check_of(check));
        self
    }

    /// With what JSON Schema says about values of the port's type; without it, that is nothing.
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    pub(super) fn renamed(mut self, name: String) -> Self {
        self.name = Cow::Owned(name);
        self
    }

    /// The name, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type as the user wrote it.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The help text; empty if there is none.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// Whether a value must be given.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether there is a default.
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The default's value, computed now; none without a default or if it cannot be written as JSON.
    pub fn default_value(&self) -> Option<Value> {
        self.default.as_ref().and_then(|default| default.get().ok())
    }

    /// The default's value if it is the same at each launch.
    pub fn fixed_default(&self) -> Option<&Value> {
        match &self.default {
            Some(DefaultValue::Fixed(Ok(value))) => Some(value),
            _ => None,
        }
    }

    pub(super) fn schema(&self) -> Schema {
        self.schema
    }

    /// Whether `null` is the same as no value: where none need be given, and the type has none of that name.
    pub(super) fn null_is_nothing(&self) -> bool {
        !self.required && (self.decode)(&Value::Null).is_err()
    }

    /// The value to use where none was given.
    pub(super) fn fill(&self, path: &Path<'_>, faults: &mut Vec<Fault>) -> Option<Value> {
        match &self.default {
            Some(default) => match default.get() {
                Ok(value) => {
                    // A fixed one was checked when the process was registered; by hand it may not have been.
                    self.check(&value, path, faults);
                    Some(value)
                }
                Err(error) => {
                    faults.push(path.fault(unwritable_default(&error)));
                    None
                }
            },
            None if self.required => {
                faults.push(Fault::missing(&path.text()));
                None
            }
            None => None,
        }
    }

    /// What is wrong with a default that is known now.
    pub(super) fn verify(&self, path: &Path<'_>, faults: &mut Vec<Fault>) {
        let mut found = Vec::new();
        match &self.default {
            Some(DefaultValue::Fixed(Ok(value))) => self.check(value, path, &mut found),
            Some(DefaultValue::Fixed(Err(error))) => faults.push(path.fault(unwritable_default(error))),
            Some(DefaultValue::Computed(_)) | None => {}
        }
        faults.extend(found.iter().map(|fault| path.fault(format!("the default is not valid: {}", fault.message()))));
    }

    /// Type first, then validators; the first fault of a port is its only one (S68).
    pub(super) fn check(&self, value: &Value, path: &Path<'_>, faults: &mut Vec<Fault>) {
        if too_deep(value) {
            return faults.push(path.fault(format!("nested {TOO_DEEP}")));
        }
        if let Err(error) = (self.decode)(value) {
            return faults.push(path.fault(format!("expected `{}`: {error}", self.type_name)));
        }
        if let Some(error) = self.checks.iter().find_map(|check| check(value).err()) {
            faults.push(path.fault(error));
        }
    }
}

fn unwritable_default(error: &str) -> String {
    format!("the default cannot be written as JSON: {error}")
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("name", &self.name)
            .field("type", &self.type_name)
            .field("required", &self.required)
            .field("default", &self.default.is_some())
            .finish_non_exhaustive()
    }
}
