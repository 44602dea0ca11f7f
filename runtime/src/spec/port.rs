//! One port: type, default, help, validator.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::validate::Fault;
use crate::text::{TOO_DEEP, too_deep};

type DefaultValue = Arc<dyn Fn() -> Result<Value, String> + Send + Sync>;
pub(super) type Check = Arc<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// One value that a process takes or gives.
#[derive(Clone)]
pub struct Port {
    name: Cow<'static, str>,
    type_name: &'static str,
    help: &'static str,
    required: bool,
    default: Option<DefaultValue>,
    decode: fn(&Value) -> Result<(), String>,
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
    pub fn new<T: DeserializeOwned>(name: impl Into<Cow<'static, str>>, type_name: &'static str) -> Self {
        Self {
            name: name.into(),
            type_name,
            help: "",
            required: true,
            default: None,
            decode: decodes::<T>,
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

    /// With a default, computed at each launch; the port is not required any more.
    pub fn with_default<T: Serialize>(mut self, default: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.required = false;
        self.default = Some(Arc::new(move || serde_json::to_value(default()).map_err(|error| error.to_string())));
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
        self.default.as_ref().and_then(|default| default().ok())
    }

    /// The value to use where none was given.
    pub(super) fn fill(&self, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
        match &self.default {
            Some(default) => match default() {
                Ok(value) => {
                    self.check(&value, path, faults);
                    Some(value)
                }
                Err(error) => {
                    faults.push(Fault::new(path, format!("the default cannot be written as JSON: {error}")));
                    None
                }
            },
            None if self.required => {
                faults.push(Fault::missing(path));
                None
            }
            None => None,
        }
    }

    /// Type first, then validators; the first fault of a port is its only one (S68).
    pub(super) fn check(&self, value: &Value, path: &str, faults: &mut Vec<Fault>) {
        if too_deep(value) {
            return faults.push(Fault::new(path, format!("nested {TOO_DEEP}")));
        }
        if let Err(error) = (self.decode)(value) {
            faults.push(Fault::new(path, format!("expected `{}`: {error}", self.type_name)));
            return;
        }
        if let Some(error) = self.checks.iter().find_map(|check| check(value).err()) {
            faults.push(Fault::new(path, error));
        }
    }
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
