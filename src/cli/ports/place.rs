//! Where a dotted name leads to in the inputs of a process.

use procession_runtime::__private::suggest;
use procession_runtime::spec::{Entry, Port, PortNamespace, ProcessSpec};
use serde_json::{Map, Value};

use super::last;

/// What a value is given for.
pub(super) struct Place<'a> {
    pub(super) kind: Kind<'a>,
    /// What JSON Schema says of it.
    pub(super) schema: &'a Value,
}

pub(super) enum Kind<'a> {
    Port(&'a Port),
    Namespace,
    /// A name of its own in a dynamic namespace, with the type of its values.
    Dynamic(&'static str),
}

impl Kind<'_> {
    /// What is expected there, in words.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Port(port) => port.type_name(),
            Self::Namespace => "namespace",
            Self::Dynamic(type_name) => type_name,
        }
    }
}

/// What a path leads to, or why it leads to nothing.
pub(super) fn find<'a>(spec: &'a ProcessSpec, schema: &'a Value, path: &str) -> Result<Place<'a>, String> {
    if path.split('.').any(str::is_empty) {
        return Err("no name of a port".to_owned());
    }
    let (mut namespace, mut schema, mut rest) = (spec.inputs(), schema, path);
    loop {
        let (head, tail) = rest.split_once('.').map_or((rest, None), |(head, tail)| (head, Some(tail)));
        schema = below(schema, head).unwrap_or(&Value::Null);
        let kind = match (namespace.get(head), tail) {
            (Some(Entry::Port(port)), None) => Kind::Port(port),
            (Some(Entry::Port(_)), Some(_)) => {
                let port = path.strip_suffix(rest).unwrap_or_default();
                return Err(format!("`{port}{head}` is a port and no namespace; give its value as JSON"));
            }
            (Some(Entry::Namespace(_)), None) => Kind::Namespace,
            (Some(Entry::Namespace(inner)), Some(tail)) => {
                (namespace, rest) = (inner, tail);
                continue;
            }
            (None, tail) => {
                let type_name = namespace.dynamic_type().ok_or_else(|| unknown(spec.inputs(), path))?;
                // In a dynamic namespace a dotted name is one of a tree of values.
                let inner = tail.into_iter().flat_map(|tail| tail.split('.'));
                schema = inner.fold(schema, |schema, name| below(schema, name).unwrap_or(&Value::Null));
                Kind::Dynamic(if tail.is_some() { "value in it" } else { type_name })
            }
        };
        return Ok(Place { kind, schema });
    }
}

/// The schema of what has a name in something of this schema.
fn below<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    // What may be `null` as well is one of several.
    let several = || schema.get("anyOf")?.as_array()?.iter().find_map(|one| below(one, name));
    let other = || schema.get("additionalProperties").filter(|other| other.is_object());
    property.or_else(several).or_else(other)
}

fn unknown(inputs: &PortNamespace, path: &str) -> String {
    let paths = inputs.paths();
    let near = suggest(path, paths.iter().map(String::as_str)).or_else(|| {
        // The right name, or nearly so, in no namespace or a wrong one.
        let near = suggest(last(path), paths.iter().map(|path| last(path)))?;
        paths.iter().map(String::as_str).find(|path| last(path) == near)
    });
    near.map_or_else(|| "no such port".to_owned(), |near| format!("no such port; did you mean `{near}`?"))
}

/// Puts a value at a path, in place of what is there.
pub(super) fn put(values: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((head, rest)) = path.split_once('.') else {
        values.insert(path.to_owned(), value);
        return;
    };
    let inner = values.entry(head).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}
