//! Descriptions of processes as data, for tools.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::namespace::{Entry, PortNamespace};
use super::{ExitCode, Port, ProcessSpec};

/// What a process takes and gives, as data (S21, S74).
///
/// Lists are in the order of the declaration. What is empty or the usual is left out of the JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The type's name.
    pub process: String,
    /// Its documentation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// All inputs.
    pub inputs: NamespaceDescription,
    /// All outputs.
    pub outputs: NamespaceDescription,
    /// The exit codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<ExitCode>,
    /// Which of the inputs are streams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPort>,
    /// The control flow, where there is an outline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Value>,
}

/// A port of a stream, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamPort {
    /// Items come by it.
    In(Cow<'static, str>),
    /// Items leave by it.
    Out(Cow<'static, str>),
}

/// Something in a namespace, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryDescription {
    /// A single value.
    Port(PortDescription),
    /// More ports below a name.
    Namespace(NamespaceDescription),
}

/// A port, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortDescription {
    /// The name below its namespace.
    pub name: String,
    /// The type as its author wrote it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The help text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Whether a value must be given.
    pub required: bool,
    /// The default, if it is the same at each launch.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub default: Option<Value>,
    /// Whether there is a default that each launch computes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub computed_default: bool,
}

/// A namespace, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamespaceDescription {
    /// The name below its parent.
    pub name: String,
    /// The help text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Whether its required ports must be given even where nothing in it is.
    pub required: bool,
    /// Whether the defaults of its ports are filled in where it is left out.
    pub populate_defaults: bool,
    /// The type of values under other names; none are taken without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<String>,
    /// The values it has where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Map<String, Value>>,
    /// Ports and namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EntryDescription>,
}

/// A default of `null` is a default.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    #[allow(clippy::ref_option)]
    pub(super) fn serialize<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl ProcessSpec {
    /// The description as data.
    pub fn description(&self) -> Description {
        Description {
            process: self.process().to_owned(),
            help: self.help().to_owned(),
            inputs: self.inputs().description(),
            outputs: self.outputs().description(),
            exits: self.exits().to_vec(),
            streams: self.streams().to_vec(),
            outline: None,
        }
    }
}

impl PortNamespace {
    /// The description as data.
    pub fn description(&self) -> NamespaceDescription {
        let entries = self.entries().iter().map(|entry| match entry {
            Entry::Port(port) => EntryDescription::Port(port.description()),
            Entry::Namespace(namespace) => EntryDescription::Namespace(namespace.description()),
        });
        NamespaceDescription {
            name: self.name().to_owned(),
            help: self.help().to_owned(),
            required: self.is_required(),
            populate_defaults: self.populates_defaults(),
            dynamic: self.dynamic_type().map(str::to_owned),
            default: self.default_values().cloned(),
            entries: entries.collect(),
        }
    }
}

impl Port {
    /// The description as data.
    pub fn description(&self) -> PortDescription {
        PortDescription {
            name: self.name().to_owned(),
            type_name: self.type_name().to_owned(),
            help: self.help().to_owned(),
            required: self.is_required(),
            default: self.fixed_default().cloned(),
            computed_default: self.has_default() && self.fixed_default().is_none(),
        }
    }
}
