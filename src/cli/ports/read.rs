//! The value that a text stands for, by what JSON Schema says of its port.

use procession_runtime::spec::ProcessSpec;
use serde_json::{Value, json};

use super::place::{Kind, Place};

/// So much of a text is shown: a line.
const SHOWN: usize = 60;

/// The text, or its beginning.
pub(super) fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    if beginning.len() < text.len() { format!("{beginning}…") } else { beginning }
}

/// A text that is JSON.
pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{}` is no JSON: {error}", shown(text)))
}

/// The value, or what was expected.
///
/// Where a text can be read in several ways, the first one counts that the port takes; where it takes none, it says why of the
/// first.
pub(super) fn value(text: &str, place: &Place<'_>, spec: &ProcessSpec, path: &str) -> Result<Value, String> {
    let types = Types::of(place.schema);
    if matches!(text, "none" | "null") && is_optional(place, types) {
        return Ok(Value::Null);
    }
    let readings = readings(text, place, types)?;
    let fits = readings.iter().position(|value| spec.check_input(path, value).is_ok());
    readings.into_iter().nth(fits.unwrap_or_default()).ok_or_else(|| format!("expected {}", place.kind.type_name()))
}

/// Whether a word can say that nothing is given. A text that may be left out for a default is still any text.
fn is_optional(place: &Place<'_>, types: Types) -> bool {
    let Kind::Port(port) = place.kind else { return types.null };
    let is_option = port.type_name().rsplit("::").next().is_some_and(|name| name.starts_with("Option"));
    is_option || if port.is_required() { types.null } else { !port.has_default() }
}

/// All ways to read a text, the likely ones first.
fn readings(text: &str, place: &Place<'_>, types: Types) -> Result<Vec<Value>, String> {
    if types.is_text_alone() && !matches!(place.kind, Kind::Namespace) {
        return Ok(vec![text.into()]);
    }
    let mut readings = Vec::new();
    let is_duration = is_duration(place.schema);
    if is_duration && let Ok(span) = humantime::parse_duration(text) {
        readings.push(json!({ "secs": span.as_secs(), "nanos": span.subsec_nanos() }));
    }
    let read = serde_json::from_str(text);
    let fault = read.as_ref().err().map(ToString::to_string);
    readings.extend(read.ok());
    if types.text || types.any {
        readings.push(text.into());
    }
    let what = place.kind.type_name();
    match fault {
        Some(fault) if readings.is_empty() => Err(match types {
            _ if is_duration => format!("expected `{what}`, as in `90s` or `1h 30m`, got `{}`", shown(text)),
            Types { nested: true, .. } => format!("expected `{what}` as JSON, got `{}`: {fault}", shown(text)),
            _ => format!("expected `{what}`, got `{}`", shown(text)),
        }),
        _ => Ok(readings),
    }
}

/// Which values a schema takes.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of types")]
struct Types {
    text: bool,
    null: bool,
    /// Booleans and numbers.
    plain: bool,
    /// Lists and maps.
    nested: bool,
    /// It says nothing of it.
    any: bool,
}

impl Types {
    fn of(schema: &Value) -> Self {
        let mut types = Self::default();
        let Some(keywords) = schema.as_object() else { return Self { any: true, ..types } };
        let mut says = false;
        for (keyword, value) in keywords {
            let alternatives = || value.as_array().into_iter().flatten();
            match keyword.as_str() {
                "type" => {
                    let names = alternatives().chain(Some(value).filter(|value| value.is_string()));
                    names.filter_map(Value::as_str).for_each(|name| types.add(name));
                }
                "enum" => alternatives().for_each(|value| types.add(type_of(value))),
                "const" => types.add(type_of(value)),
                "anyOf" | "oneOf" => types = alternatives().map(Self::of).fold(types, Self::or),
                _ => continue,
            }
            says = true;
        }
        Self { any: types.any || !says, ..types }
    }

    fn add(&mut self, name: &str) {
        match name {
            "string" => self.text = true,
            "null" => self.null = true,
            "object" | "array" => self.nested = true,
            _ => self.plain = true,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            text: self.text || other.text,
            null: self.null || other.null,
            plain: self.plain || other.plain,
            nested: self.nested || other.nested,
            any: self.any || other.any,
        }
    }

    fn is_text_alone(self) -> bool {
        self.text && !self.plain && !self.nested && !self.any
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "object",
        Value::Bool(_) | Value::Number(_) => "number",
    }
}

/// As serde writes it: seconds and nanoseconds.
fn is_duration(schema: &Value) -> bool {
    let is_it = |schema: &Value| {
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.is_some_and(|names| names.len() == 2 && names.contains_key("secs") && names.contains_key("nanos"))
    };
    is_it(schema) || schema.get("anyOf").and_then(Value::as_array).is_some_and(|several| several.iter().any(is_it))
}
