//! Values against ports: filling in defaults, finding all faults, taking defaults out again.

use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::namespace::{Entry, PortNamespace};
use super::path::{Path, join, split};
use super::port::Port;
use super::validate::Fault;
use crate::text::{TOO_DEEP, panic_text, suggest, too_deep};

/// Inputs that are valid, with all defaults in place.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedInputs {
    pub(super) values: Map<String, Value>,
    pub(super) defaulted: Vec<String>,
}

impl PreparedInputs {
    /// What the process gets.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The same without a copy.
    pub fn into_values(self) -> Map<String, Value> {
        self.values
    }

    /// The dotted names of the ports that have their default, and of namespaces that were left out as a whole; what is
    /// below such a namespace is not named again.
    pub fn defaulted(&self) -> &[String] {
        &self.defaulted
    }

    /// What was passed (S16); see [`raw_inputs`].
    pub fn raw(&self) -> Map<String, Value> {
        raw_inputs(&self.values, &self.defaulted)
    }

    /// The defaulted ones as a store keeps them: a JSON array, or nothing where there are none.
    pub(crate) fn defaulted_text(&self) -> Option<String> {
        (!self.defaulted.is_empty()).then(|| Value::from(self.defaulted.clone()).to_string())
    }

    /// The values and the names of the defaulted ones.
    pub fn into_parts(self) -> (Map<String, Value>, Vec<String>) {
        (self.values, self.defaulted)
    }
}

/// What was passed (S16): prepared inputs without what [`defaulted`](PreparedInputs::defaulted) names.
///
/// A `null` that stood for "no value" is not in it.
pub fn raw_inputs<S: AsRef<str>>(prepared: &Map<String, Value>, defaulted: &[S]) -> Map<String, Value> {
    fn remove(values: &mut Map<String, Value>, path: &str) {
        match split(path) {
            (name, None) => drop(values.remove(name)),
            (name, Some(rest)) => {
                if let Some(Value::Object(inner)) = values.get_mut(name) {
                    remove(inner, rest);
                }
            }
        }
    }
    let mut raw = prepared.clone();
    for path in defaulted {
        remove(&mut raw, path.as_ref());
    }
    raw
}

/// What one walk through the ports finds.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    pub(super) defaulted: Vec<String>,
}

impl PortNamespace {
    /// Fills in defaults and validates, all faults at once.
    pub(super) fn prepare(
        &self,
        mut values: Map<String, Value>,
        path: Path<'_>,
        found: &mut Findings,
    ) -> Map<String, Value> {
        let before = found.faults.len();
        let nothing_given = values.is_empty();
        let mut prepared = Map::new();
        for entry in &self.entries {
            let value = values.remove(entry.name());
            let below = path.join(entry.name());
            let ready = match entry {
                Entry::Port(port) => prepare_port(port, value, &below, found),
                Entry::Namespace(namespace) => namespace.prepare_below(value, below, found),
            };
            if let Some(ready) = ready {
                prepared.insert(entry.name().to_owned(), ready);
            }
        }
        if nothing_given
            && prepared.is_empty()
            && !self.is_required()
            && found.faults[before..].iter().all(Fault::is_missing)
        {
            // Empty is as good as left out (S79).
            found.faults.truncate(before);
            return prepared;
        }
        let faults = &mut found.faults;
        unless_panicked(path, faults, |faults| self.check_rest(&values, path, faults));
        prepared.extend(values);
        unless_panicked(path, faults, |faults| self.run_checks(prepared, path, faults, before)).unwrap_or_default()
    }

    /// The same for a namespace in another one, which may be left out.
    fn prepare_below(&self, value: Option<Value>, path: Path<'_>, found: &mut Findings) -> Option<Value> {
        match value {
            Some(Value::Object(values)) => Some(Value::Object(self.prepare(values, path, found))),
            None | Some(Value::Null) => self.prepare_left_out(path, found),
            Some(other) => {
                found.faults.push(path.fault(not_a_namespace(&other)));
                None
            }
        }
    }

    /// What a namespace is where nothing of it is given (S81).
    fn prepare_left_out(&self, path: Path<'_>, found: &mut Findings) -> Option<Value> {
        if self.default.is_none() && !self.populates_defaults() {
            if self.is_required() {
                self.check(&Map::new(), path, &mut found.faults);
            }
            return None;
        }
        let known = found.defaulted.len();
        let prepared = self.prepare(self.default.clone().unwrap_or_default(), path, found);
        found.defaulted.truncate(known);
        if prepared.is_empty() && self.default.is_none() && (self.entries.is_empty() || !self.is_required()) {
            return None;
        }
        found.defaulted.push(path.text());
        Some(Value::Object(prepared))
    }

    /// Validates without filling in anything.
    pub(super) fn check(&self, values: &Map<String, Value>, path: Path<'_>, faults: &mut Vec<Fault>) {
        let before = faults.len();
        if values.is_empty() && !self.is_required() {
            return;
        }
        for entry in &self.entries {
            let below = path.join(entry.name());
            match (entry, values.get(entry.name())) {
                (Entry::Port(port), Some(value)) => port.check(value, &below, faults),
                (Entry::Port(port), None) if port.is_required() => faults.push(Fault::missing(&below.text())),
                (Entry::Namespace(namespace), Some(Value::Object(values))) => namespace.check(values, below, faults),
                (Entry::Namespace(namespace), None) if namespace.is_required() => {
                    namespace.check(&Map::new(), below, faults);
                }
                (_, None) => {}
                (Entry::Namespace(_), Some(value)) => faults.push(below.fault(not_a_namespace(value))),
            }
        }
        let rest: Map<_, _> =
            values.iter().filter(|(name, _)| self.entry(name).is_none()).map(|(k, v)| (k.clone(), v.clone())).collect();
        self.check_rest(&rest, path, faults);
        if !self.checks.is_empty() {
            self.run_checks(values.clone(), path, faults, before);
        }
    }

    /// Validates one value at a dotted path.
    pub(super) fn check_at(&self, path: &str, value: &Value, faults: &mut Vec<Fault>) {
        let (mut namespace, mut rest, mut parents) = (self, path, Vec::new());
        loop {
            let (head, tail) = split(rest);
            match (namespace.entry(head), tail) {
                (Some(Entry::Namespace(inner)), Some(tail)) => {
                    parents.push(head);
                    (namespace, rest) = (inner, tail);
                }
                (entry, tail) => {
                    let here = |path: Path<'_>| check_entry(namespace, entry, (head, tail), value, path, faults);
                    return below(Path::Root, &parents, here);
                }
            }
        }
    }

    fn check_rest(&self, values: &Map<String, Value>, path: Path<'_>, faults: &mut Vec<Fault>) {
        for (name, value) in values {
            let path = path.join(name);
            match self.dynamic_values() {
                Some(_) if too_deep(value) => faults.push(path.fault(format!("nested {TOO_DEEP}"))),
                Some(dynamic) => {
                    if let Err(error) = (dynamic.decode)(value) {
                        faults.push(path.fault(format!("expected `{}`: {error}", dynamic.type_name)));
                    }
                }
                None => faults.push(path.fault(unknown(name, self.entries.iter().map(Entry::name)))),
            }
        }
    }

    fn run_checks(
        &self,
        values: Map<String, Value>,
        path: Path<'_>,
        faults: &mut Vec<Fault>,
        before: usize,
    ) -> Map<String, Value> {
        if self.checks.is_empty() || faults.len() > before {
            return values;
        }
        let value = Value::Object(values);
        faults.extend(self.checks.iter().filter_map(|check| check(&value).err()).map(|error| path.fault(error)));
        match value {
            Value::Object(values) => values,
            _ => Map::new(),
        }
    }

    /// What is wrong with the declaration itself: mistakes that were kept, and defaults that are known now.
    pub(super) fn verify(&self, path: Path<'_>, faults: &mut Vec<Fault>) {
        let from = path.text();
        faults.extend(self.mistakes.iter().map(|fault| Fault::new(&place(&from, fault.path()), fault.message())));
        for entry in &self.entries {
            let below = path.join(entry.name());
            match entry {
                Entry::Port(port) => port.verify(&below, faults),
                Entry::Namespace(namespace) => namespace.verify(below, faults),
            }
        }
        if let Some(default) = &self.default {
            let mut found = Findings::default();
            self.prepare(default.clone(), path, &mut found);
            let invalid =
                |fault: Fault| Fault::new(fault.path(), format!("the default is not valid: {}", fault.message()));
            faults.extend(found.faults.into_iter().map(invalid));
        }
    }

    /// The values that belong to this namespace, on all levels (S83).
    ///
    /// A dynamic namespace keeps all of its values.
    pub fn project(&self, values: &Map<String, Value>) -> Map<String, Value> {
        let mut projected = Map::new();
        for (name, value) in values {
            let value = match (self.entry(name), value) {
                (Some(Entry::Namespace(inner)), Value::Object(values)) => Value::Object(inner.project(values)),
                (None, _) if !self.is_dynamic() => continue,
                _ => value.clone(),
            };
            projected.insert(name.clone(), value);
        }
        projected
    }
}

/// A name in a namespace; that of the namespace itself if it is empty.
fn place(namespace: &str, name: &str) -> String {
    if name.is_empty() { namespace.to_owned() } else { join(namespace, name) }
}

/// Goes down by names that are known.
fn below<T>(path: Path<'_>, names: &[&str], then: impl FnOnce(Path<'_>) -> T) -> T {
    match names {
        [] => then(path),
        [first, others @ ..] => below(path.join(first), others, then),
    }
}

/// Validates one value under a name of a namespace.
fn check_entry(
    namespace: &PortNamespace,
    entry: Option<&Entry>,
    (head, tail): (&str, Option<&str>),
    value: &Value,
    path: Path<'_>,
    faults: &mut Vec<Fault>,
) {
    let here = path.join(head);
    match (entry, tail) {
        (Some(Entry::Port(port)), None) => port.check(value, &here, faults),
        (Some(Entry::Namespace(inner)), _) => match value {
            Value::Object(values) => inner.check(values, here, faults),
            other => faults.push(here.fault(format!("is a namespace, got {}", kind(other)))),
        },
        (Some(Entry::Port(_)), Some(tail)) => {
            faults.push(here.join(tail).fault(format!("`{head}` is a port, not a namespace")));
        }
        (None, tail) => {
            // In a dynamic namespace a dotted name is one of a tree of values.
            let nested = tail.into_iter().flat_map(|tail| tail.rsplit('.'));
            let value =
                nested.fold(value.clone(), |value, name| Value::Object(Map::from_iter([(name.to_owned(), value)])));
            namespace.check_rest(&Map::from_iter([(head.to_owned(), value)]), path, faults);
        }
    }
}

fn prepare_port(port: &Port, value: Option<Value>, path: &Path<'_>, found: &mut Findings) -> Option<Value> {
    let (value, filled) = unless_panicked(*path, &mut found.faults, |faults| match value {
        Some(value) if !(value.is_null() && port.null_is_nothing()) => {
            port.check(&value, path, faults);
            (Some(value), false)
        }
        _ => (port.fill(path, faults), true),
    })?;
    if filled && value.is_some() {
        found.defaulted.push(path.text());
    }
    value
}

/// Calls what calls user code: types, defaults, validators. A panic in it is a fault of the port.
///
/// Of outputs, a panic is the process's own, and ends it as excepted: it is left to whoever runs the process.
pub(super) fn unless_panicked<T>(
    path: Path<'_>,
    faults: &mut Vec<Fault>,
    call: impl FnOnce(&mut Vec<Fault>) -> T,
) -> Option<T> {
    // Values that were half prepared are dropped, and with a fault nothing is launched.
    let called = catch_unwind(AssertUnwindSafe(|| call(faults)));
    called
        .map_err(|panic| {
            faults.push(path.fault(format!("its type, default or validator panicked: {}", panic_text(&*panic))));
        })
        .ok()
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match suggest(name, known) {
        Some(near) => format!("no such port; did you mean `{near}`?"),
        None => "no such port".to_owned(),
    }
}

fn not_a_namespace(value: &Value) -> String {
    format!("expected a namespace (an object), got {}", kind(value))
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
