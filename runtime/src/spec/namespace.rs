//! A tree of ports; exposing, including, excluding.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

use super::Port;
use super::port::{Check, decodes};
use super::validate::Fault;
use super::values::{PortReader, PortValues};
use crate::text::{TOO_DEEP, suggest, too_deep};
use std::sync::Arc;

/// The type of the values that a dynamic namespace takes under any name.
#[derive(Clone, Copy)]
struct Dynamic {
    type_name: &'static str,
    decode: fn(&Value) -> Result<(), String>,
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
}

/// Which ports of another process are exposed; names may be dotted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expose {
    /// Only these; all where empty.
    pub include: &'static [&'static str],
    /// All but these.
    pub exclude: &'static [&'static str],
}

impl Expose {
    /// Whether the entry is wanted, and the rules for what is below it.
    ///
    /// Names are compared whole, part by part (S86 compares prefixes of text, a quirk).
    fn keeps(&self, path: &str, is_leaf: bool) -> bool {
        let covers =
            |rule: &&'static str| path == *rule || path.strip_prefix(*rule).is_some_and(|rest| rest.starts_with('.'));
        let leads = |rule: &&'static str| rule.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        if self.exclude.iter().any(covers) {
            return false;
        }
        self.include.is_empty() || self.include.iter().any(covers) || (!is_leaf && self.include.iter().any(leads))
    }
}

/// An ordered tree of ports.
#[derive(Clone)]
pub struct PortNamespace {
    name: Cow<'static, str>,
    help: &'static str,
    required: bool,
    populate_defaults: bool,
    dynamic: Option<Dynamic>,
    entries: Vec<Entry>,
    checks: Vec<Check>,
}

impl PortNamespace {
    /// An empty namespace, required, with defaults filled in.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            help: "",
            required: true,
            populate_defaults: true,
            dynamic: None,
            entries: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// With a help text.
    pub fn with_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// May be left out as a whole; then it is absent and its defaults are not filled in.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self.populate_defaults = false;
        self
    }

    /// Takes values of type `T` under any name.
    pub fn dynamic<T: DeserializeOwned>(mut self, type_name: &'static str) -> Self {
        self.dynamic = Some(Dynamic { type_name, decode: decodes::<T> });
        self
    }

    /// With one more port.
    pub fn port(mut self, port: Port) -> Self {
        self.put(Entry::Port(port));
        self
    }

    /// With one more namespace.
    pub fn namespace(mut self, namespace: PortNamespace) -> Self {
        self.put(Entry::Namespace(namespace));
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

    /// Takes over the ports of another namespace (S85).
    ///
    /// The rules name ports from the root of `other`. Own ports of the same name are replaced, own attributes stay.
    /// A validator of `other` comes along only if all its ports do: it is written for the whole.
    pub fn absorb(mut self, other: &PortNamespace, rules: Expose) -> Self {
        for entry in &other.entries {
            if let Some(kept) = filter(entry, "", rules) {
                self.put(kept);
            }
        }
        if rules.include.is_empty() && rules.exclude.is_empty() {
            self.checks.extend(other.checks.iter().cloned());
        }
        if self.dynamic.is_none() {
            self.dynamic = other.dynamic;
        }
        if self.help.is_empty() {
            self.help = other.help;
        }
        self
    }

    /// The number of entries on all levels.
    fn count(&self) -> usize {
        let below = |entry: &Entry| match entry {
            Entry::Port(_) => 0,
            Entry::Namespace(namespace) => namespace.count(),
        };
        self.entries.iter().map(|entry| 1 + below(entry)).sum()
    }

    fn put(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.name() == entry.name()) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// The name below its parent.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The help text; empty if there is none.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// Whether it must be there.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether names that are not declared are taken.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic.is_some()
    }

    /// The type of values under names that are not declared.
    pub fn dynamic_type(&self) -> Option<&'static str> {
        self.dynamic.map(|dynamic| dynamic.type_name)
    }

    /// Ports and namespaces in the order of their declaration.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let (head, rest) = split(path);
        let entry = self.entries.iter().find(|entry| entry.name() == head)?;
        match (entry, rest) {
            (entry, None) => Some(entry),
            (Entry::Namespace(namespace), Some(rest)) => namespace.get(rest),
            (Entry::Port(_), Some(_)) => None,
        }
    }

    /// Fills in defaults and validates, all faults at once.
    pub(super) fn prepare(
        &self,
        mut values: Map<String, Value>,
        path: &str,
        faults: &mut Vec<Fault>,
    ) -> Map<String, Value> {
        let before = faults.len();
        let mut prepared = Map::new();
        for entry in &self.entries {
            let path = join(path, entry.name());
            let value = values.remove(entry.name());
            let ready = match (entry, value) {
                (Entry::Port(port), None | Some(Value::Null)) if !port.is_required() => port.fill(&path, faults),
                (Entry::Port(port), None) => port.fill(&path, faults),
                (Entry::Port(port), Some(value)) => {
                    port.check(&value, &path, faults);
                    Some(value)
                }
                (Entry::Namespace(namespace), None | Some(Value::Null)) => {
                    namespace.populate_defaults.then(|| Value::Object(namespace.prepare(Map::new(), &path, faults)))
                }
                (Entry::Namespace(namespace), Some(Value::Object(values))) => {
                    Some(Value::Object(namespace.prepare(values, &path, faults)))
                }
                (Entry::Namespace(_), Some(value)) => {
                    faults.push(Fault::new(&path, format!("expected a namespace (an object), got {}", kind(&value))));
                    None
                }
            };
            if let Some(ready) = ready {
                prepared.insert(entry.name().to_owned(), ready);
            }
        }
        self.check_rest(&values, path, faults);
        prepared.extend(values);
        self.run_checks(prepared, path, faults, before)
    }

    /// Validates without filling in anything.
    pub(super) fn check(&self, values: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
        let before = faults.len();
        for entry in &self.entries {
            let path = join(path, entry.name());
            match (entry, values.get(entry.name())) {
                (Entry::Port(port), Some(value)) => port.check(value, &path, faults),
                (Entry::Port(port), None) if port.is_required() => faults.push(Fault::missing(&path)),
                (Entry::Namespace(namespace), Some(Value::Object(values))) => namespace.check(values, &path, faults),
                (Entry::Namespace(namespace), None) if namespace.required => {
                    namespace.check(&Map::new(), &path, faults);
                }
                (_, None) => {}
                (Entry::Namespace(_), Some(value)) => {
                    faults.push(Fault::new(&path, format!("expected a namespace (an object), got {}", kind(value))));
                }
            }
        }
        let known = |name: &str| self.entries.iter().any(|entry| entry.name() == name);
        let rest: Map<_, _> =
            values.iter().filter(|(name, _)| !known(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        self.check_rest(&rest, path, faults);
        if !self.checks.is_empty() {
            self.run_checks(values.clone(), path, faults, before);
        }
    }

    /// Validates one value at a dotted path.
    pub(super) fn check_at(&self, path: &str, value: &Value, faults: &mut Vec<Fault>) {
        let (mut namespace, mut rest) = (self, path);
        loop {
            let (head, tail) = split(rest);
            match (namespace.entries.iter().find(|entry| entry.name() == head), tail) {
                (Some(Entry::Port(port)), None) => return port.check(value, path, faults),
                (Some(Entry::Namespace(inner)), None) => {
                    return match value {
                        Value::Object(values) => inner.check(values, path, faults),
                        other => faults.push(Fault::new(path, format!("is a namespace, got {}", kind(other)))),
                    };
                }
                (Some(Entry::Namespace(inner)), Some(tail)) => (namespace, rest) = (inner, tail),
                (Some(Entry::Port(_)), Some(_)) => {
                    return faults.push(Fault::new(path, format!("`{head}` is a port, not a namespace")));
                }
                (None, _) => {
                    let value = Map::from_iter([(head.to_owned(), value.clone())]);
                    let parent = path.strip_suffix(rest).unwrap_or_default().trim_end_matches('.');
                    return namespace.check_rest(&value, parent, faults);
                }
            }
        }
    }

    fn check_rest(&self, values: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
        for (name, value) in values {
            let path = join(path, name);
            match self.dynamic {
                Some(_) if too_deep(value) => faults.push(Fault::new(&path, format!("nested {TOO_DEEP}"))),
                Some(dynamic) => {
                    if let Err(error) = (dynamic.decode)(value) {
                        faults.push(Fault::new(&path, format!("expected `{}`: {error}", dynamic.type_name)));
                    }
                }
                None => faults.push(Fault::new(&path, unknown(name, self.entries.iter().map(Entry::name)))),
            }
        }
    }

    fn run_checks(
        &self,
        values: Map<String, Value>,
        path: &str,
        faults: &mut Vec<Fault>,
        before: usize,
    ) -> Map<String, Value> {
        if self.checks.is_empty() || faults.len() > before {
            return values;
        }
        let value = Value::Object(values);
        faults.extend(self.checks.iter().filter_map(|check| check(&value).err()).map(|error| Fault::new(path, error)));
        match value {
            Value::Object(values) => values,
            _ => Map::new(),
        }
    }
}

fn filter(entry: &Entry, parent: &str, rules: Expose) -> Option<Entry> {
    let path = join(parent, entry.name());
    match entry {
        Entry::Port(_) => rules.keeps(&path, true).then(|| entry.clone()),
        Entry::Namespace(namespace) => {
            let mut kept = namespace.clone();
            kept.entries = namespace.entries.iter().filter_map(|entry| filter(entry, &path, rules)).collect();
            // A validator reads the whole namespace, also what is further below.
            if kept.count() != namespace.count() {
                kept.checks.clear();
            }
            rules.keeps(&path, false).then_some(Entry::Namespace(kept))
        }
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match suggest(name, known) {
        Some(near) => format!("no such port; did you mean `{near}`?"),
        None => "no such port".to_owned(),
    }
}

pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl fmt::Debug for PortNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortNamespace")
            .field("name", &self.name)
            .field("required", &self.required)
            .field("dynamic", &self.dynamic_type())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
