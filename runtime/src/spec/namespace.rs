//! A tree of ports, and how it is put together.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Port;
use super::forward::Exposure;
use super::path::{join, split};
use super::port::{Check, decodes};
use super::schema::Schema;
use super::validate::Fault;
use super::values::{InputMap, PortReader, PortValues};
use crate::text::suggest;

/// The type of the values that a dynamic namespace takes under any name.
#[derive(Clone, Copy)]
pub(super) struct DynamicType {
    pub(super) type_name: &'static str,
    pub(super) decode: fn(&Value) -> Result<(), String>,
    pub(super) schema: Schema,
}

/// Something in a namespace.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A single value.
    Port(Port),
    /// More ports below a name.
    Namespace(PortNamespace),
}

impl Entry {
    /// The name below its namespace.
    pub fn name(&self) -> &str {
        match self {
            Self::Port(port) => port.name(),
            Self::Namespace(namespace) => namespace.name(),
        }
    }

    fn renamed(self, name: &str) -> Self {
        match self {
            Self::Port(port) => Self::Port(port.renamed(name.to_owned())),
            Self::Namespace(namespace) => {
                Self::Namespace(PortNamespace { name: Cow::Owned(name.to_owned()), ..namespace })
            }
        }
    }
}

/// No port has a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{namespace}` has no port `{path}`{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownPort {
    namespace: String,
    path: String,
    near: Option<String>,
}

impl UnknownPort {
    /// The dotted name that was looked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The nearest name that is there.
    pub fn near(&self) -> Option<&str> {
        self.near.as_deref()
    }
}

/// An ordered tree of ports.
///
/// It is put together by methods that take and give it. What is wrong with a declaration is kept, and reported all at
/// once by [`ProcessSpec::verify`](super::ProcessSpec::verify), which registering a process calls; `spec!` finds the
/// same mistakes at compile time.
#[derive(Clone)]
pub struct PortNamespace {
    pub(super) name: Cow<'static, str>,
    pub(super) help: &'static str,
    /// Attributes that are not set can come from a namespace that is absorbed.
    pub(super) required: Option<bool>,
    pub(super) populate_defaults: Option<bool>,
    /// The type of other values; none inside if they are refused.
    pub(super) dynamic: Option<Option<DynamicType>>,
    pub(super) default: Option<Map<String, Value>>,
    pub(super) entries: Vec<Entry>,
    pub(super) checks: Vec<Check>,
    pub(super) mistakes: Vec<Fault>,
    /// Whose outputs it exposes.
    pub(super) exposed: Vec<Exposure>,
}

impl PortNamespace {
    /// An empty namespace, required, with defaults filled in.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            help: "",
            required: None,
            populate_defaults: None,
            dynamic: None,
            default: None,
            entries: Vec::new(),
            checks: Vec::new(),
            mistakes: Vec::new(),
            exposed: Vec::new(),
        }
    }

    /// With a help text.
    pub fn with_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// May be left out as a whole; then it is absent and its defaults are not filled in.
    ///
    /// It is [`required(false)`](Self::required) and [`populate_defaults(false)`](Self::populate_defaults) together.
    pub fn optional(self) -> Self {
        self.required(false).populate_defaults(false)
    }

    /// Whether its required ports must be given even where nothing in it is.
    pub fn required(mut self, required: bool) -> Self {
        self.required = Some(required);
        self
    }

    /// Whether the defaults of its ports are filled in where the namespace is left out (S76, S81).
    pub fn populate_defaults(mut self, populate: bool) -> Self {
        self.populate_defaults = Some(populate);
        self
    }

    /// Takes values of type `T` under any name, beside its ports.
    pub fn dynamic<T: DeserializeOwned>(self, type_name: &'static str) -> Self {
        self.dynamic_with::<T>(type_name, Schema::ANY)
    }

    /// The same, with what JSON Schema says about these values.
    pub fn dynamic_with<T: DeserializeOwned>(mut self, type_name: &'static str, schema: Schema) -> Self {
        self.dynamic = Some(Some(DynamicType { type_name, decode: decodes::<T>, schema }));
        self
    }

    /// Takes no values but those of its ports, though a namespace that it absorbs does.
    pub fn not_dynamic(mut self) -> Self {
        self.dynamic = Some(None);
        self
    }

    /// With the values it has where it is left out as a whole. They are checked when the process is registered.
    pub fn with_default(mut self, values: InputMap) -> Self {
        let (values, faults) = values.into_parts();
        let invalid = |fault: &Fault| Fault::new(fault.path(), format!("the default {}", fault.message()));
        self.mistakes.extend(faults.iter().map(invalid));
        self.default = Some(values);
        self
    }

    /// With one more port, or another in place of one of the same name.
    ///
    /// A dotted name creates the namespaces on the way that are not there yet (S78).
    pub fn port(mut self, port: Port) -> Self {
        let name = port.name().to_owned();
        self.put(&name, Entry::Port(port));
        self
    }

    /// With one more namespace; one of the same name that is there already takes it in.
    ///
    /// A dotted name creates the namespaces on the way that are not there yet (S78).
    pub fn namespace(mut self, namespace: PortNamespace) -> Self {
        let name = namespace.name.clone().into_owned();
        self.put(&name, Entry::Namespace(namespace));
        self
    }

    /// With a validator of the whole namespace, called if its ports are valid.
    pub fn with_check<N: PortValues>(
        mut self,
        check: impl Fn(&N) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Arc::new(move |value| {
            let values = value.as_object().cloned().unwrap_or_default();
            let namespace = N::read(&mut PortReader::new(values)).map_err(|error| error.to_string())?;
            check(&namespace)
        }));
        self
    }

    /// Puts an entry at a dotted name.
    fn put(&mut self, path: &str, entry: Entry) {
        if path.split('.').any(str::is_empty) {
            let kind = "a name of a port is not empty, and neither are its parts between dots";
            return self.mistakes.push(Fault::new(path, kind));
        }
        let (head, rest) = split(path);
        let Some(rest) = rest else { return self.put_here(entry.renamed(head)) };
        let index = self.entries.iter().position(|known| known.name() == head).unwrap_or_else(|| {
            self.entries.push(Entry::Namespace(Self::new(head.to_owned())));
            self.entries.len() - 1
        });
        match &mut self.entries[index] {
            Entry::Namespace(inner) => inner.put(rest, entry),
            Entry::Port(_) => {
                self.mistakes.push(Fault::new(head, format!("is a port: there is no namespace for `{path}`")));
            }
        }
    }

    fn put_here(&mut self, entry: Entry) {
        let Some(known) = self.entries.iter_mut().find(|known| known.name() == entry.name()) else {
            return self.entries.push(entry);
        };
        match (known, entry) {
            (Entry::Namespace(known), Entry::Namespace(new)) => known.merge(new),
            (known @ Entry::Port(_), new @ Entry::Port(_)) => *known = new,
            (known, _) => {
                let (name, is) = match known {
                    Entry::Port(port) => (port.name(), "a port, and"),
                    Entry::Namespace(namespace) => (namespace.name(), "a namespace, and"),
                };
                let other = if is.starts_with("a port") { "a namespace" } else { "a port" };
                self.mistakes.push(Fault::new(name, format!("is declared as {is} again as {other}")));
            }
        }
    }

    /// Takes in a namespace that was declared under the same name: what it sets counts.
    fn merge(&mut self, new: PortNamespace) {
        self.required = new.required.or(self.required);
        self.populate_defaults = new.populate_defaults.or(self.populate_defaults);
        self.dynamic = new.dynamic.or(self.dynamic);
        self.default = new.default.or(self.default.take());
        if !new.help.is_empty() {
            self.help = new.help;
        }
        new.entries.into_iter().for_each(|entry| self.put_here(entry));
        self.checks.extend(new.checks);
        self.mistakes.extend(new.mistakes);
        self.exposed.extend(new.exposed);
    }

    /// The name below its parent.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The help text; empty if there is none.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// Whether its required ports must be given even where nothing in it is.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(true)
    }

    /// Whether the defaults of its ports are filled in where the namespace is left out.
    pub fn populates_defaults(&self) -> bool {
        self.populate_defaults.unwrap_or(true)
    }

    /// Whether names that are not declared are taken.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic_values().is_some()
    }

    /// The type of values under names that are not declared.
    pub fn dynamic_type(&self) -> Option<&'static str> {
        self.dynamic_values().map(|dynamic| dynamic.type_name)
    }

    pub(super) fn dynamic_values(&self) -> Option<DynamicType> {
        self.dynamic.flatten()
    }

    /// The values it has where it is left out as a whole.
    pub fn default_values(&self) -> Option<&Map<String, Value>> {
        self.default.as_ref()
    }

    /// Ports and namespaces in the order of their declaration.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name() == name)
    }

    /// The entry at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let (head, rest) = split(path);
        match (self.entry(head)?, rest) {
            (entry, None) => Some(entry),
            (Entry::Namespace(namespace), Some(rest)) => namespace.get(rest),
            (Entry::Port(_), Some(_)) => None,
        }
    }

    /// The entry at a dotted path, or the nearest name (S77).
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, path: &str) -> Result<&Entry, UnknownPort> {
        self.get(path).ok_or_else(|| {
            let near = suggest(path, self.paths().iter().map(String::as_str)).map(str::to_owned);
            UnknownPort { namespace: self.name.clone().into_owned(), path: path.to_owned(), near }
        })
    }

    /// The dotted names of all entries on all levels, in the order of their declaration.
    pub fn paths(&self) -> Vec<String> {
        fn collect(namespace: &PortNamespace, parent: &str, paths: &mut Vec<String>) {
            for entry in &namespace.entries {
                let path = join(parent, entry.name());
                paths.push(path.clone());
                if let Entry::Namespace(inner) = entry {
                    collect(inner, &path, paths);
                }
            }
        }
        let mut paths = Vec::new();
        collect(self, "", &mut paths);
        paths
    }
}

impl fmt::Debug for PortNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortNamespace")
            .field("name", &self.name)
            .field("required", &self.is_required())
            .field("dynamic", &self.dynamic_type())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
