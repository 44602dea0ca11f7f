//! Inputs that a process takes: its defaults, and else values that its types and validators let pass.

use procession_runtime::spec::{Entry, PortNamespace, ProcessSpec};
use serde_json::{Map, Value, json};

/// Lists are tried with so many values at most.
const LONGEST: u64 = 10;

/// Lists are made of so many different values at most.
const ALIKE: usize = 3;

/// How deep a value is made: each level can be several ones.
const DEEPEST: u32 = 8;

/// What a launch takes, as far as it can be found.
pub(in crate::cli) fn example(spec: &ProcessSpec) -> Map<String, Value> {
    namespace(spec, spec.inputs(), &spec.input_schema(), "")
}

fn namespace(spec: &ProcessSpec, inputs: &PortNamespace, schema: &Value, before: &str) -> Map<String, Value> {
    let mut values = Map::new();
    for entry in inputs.entries() {
        let schema =
            object_of(schema).and_then(|object| object["properties"].get(entry.name())).unwrap_or(&Value::Null);
        let path = format!("{before}{}", entry.name());
        let value = match entry {
            Entry::Port(port) if port.has_default() => port.default_value(),
            Entry::Port(port) if port.is_required() => {
                let candidates = candidates(schema, DEEPEST);
                let fits = candidates.iter().position(|value| spec.check_input(&path, value).is_ok());
                candidates.into_iter().nth(fits.unwrap_or_default())
            }
            Entry::Namespace(inner) => match inner.default_values() {
                Some(values) => Some(Value::Object(values.clone())),
                None if inner.is_required() => {
                    let values = namespace(spec, inner, schema, &format!("{path}."));
                    (!values.is_empty()).then_some(Value::Object(values))
                }
                None => None,
            },
            Entry::Port(_) => None,
        };
        values.extend(value.map(|value| (entry.name().to_owned(), value)));
    }
    values
}

/// The alternative that has properties.
fn object_of(schema: &Value) -> Option<&Value> {
    let several = || schema.get("anyOf")?.as_array()?.iter().find_map(object_of);
    schema.get("properties").is_some().then_some(schema).or_else(several)
}

/// Values that a schema takes, the plausible ones first.
fn candidates(schema: &Value, deep: u32) -> Vec<Value> {
    let Some(deep) = deep.checked_sub(1) else { return Vec::new() };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.clone();
    }
    if let Some(value) = schema.get("const") {
        return vec![value.clone()];
    }
    let several = ["anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(keyword)?.as_array()).flatten();
    let mut values: Vec<Value> = several.flat_map(|schema| candidates(schema, deep)).collect();
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if values.is_empty() => vec!["string", "integer", "number", "boolean", "array", "object", "null"],
        _ => Vec::new(),
    };
    for name in types {
        match name {
            "string" => values.extend(texts(schema)),
            "integer" => values.extend(numbers(schema).filter(|number| number.fract() == 0.0).map(whole)),
            "number" => values.extend(numbers(schema).map(Value::from)),
            "boolean" => values.extend([false.into(), true.into()]),
            "array" => values.extend(lists(schema, deep)),
            "object" => values.push(object(schema, deep)),
            _ => values.push(Value::Null),
        }
    }
    values
}

fn texts(schema: &Value) -> Vec<Value> {
    match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => return vec!["0190a5e4-7c1a-7000-8000-000000000000".into()],
        Some("date-time") => return vec!["2026-01-01T00:00:00Z".into()],
        Some("date") => return vec!["2026-01-01".into()],
        Some("uri") => return vec!["https://example.org".into()],
        _ => {}
    }
    let length =
        |keyword: &str| schema.get(keyword).and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let (least, most) = (length("minLength").unwrap_or_default(), length("maxLength").unwrap_or(usize::MAX));
    let long = |text: &str| text.chars().cycle().take(text.len().clamp(least.min(1_000), most)).collect::<String>();
    ["text", "a", "1", "2026-01-01T00:00:00Z", ""]
        .map(|text| if text.is_empty() { text.into() } else { long(text).into() })
        .into()
}

/// Those within the bounds.
fn numbers(schema: &Value) -> impl Iterator<Item = f64> {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - 1.0));
    let near = [least, most].into_iter().flatten().filter(|bound| bound.abs() < 1e9);
    let likely = [1.0, 2.0, 3.0, 10.0, 0.5, 0.1, 0.0, 100.0, 1_000.0, -1.0].into_iter();
    let within =
        move |number: &f64| least.is_none_or(|least| *number >= least) && most.is_none_or(|most| *number <= most);
    likely.chain(near.collect::<Vec<_>>()).filter(within)
}

#[expect(clippy::cast_possible_truncation, reason = "none of them is as large")]
fn whole(number: f64) -> Value {
    (number as i64).into()
}

fn lists(schema: &Value, deep: u32) -> Vec<Value> {
    let first = |schema: &Value| candidates(schema, deep).into_iter().next().unwrap_or_default();
    if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
        return vec![items.iter().map(first).collect()];
    }
    let any = json!({ "type": "string" });
    let mut values = candidates(schema.get("items").unwrap_or(&any), deep);
    values.truncate(ALIKE);
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or_default();
    let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let lengths = [1, 0].into_iter().chain(2..=LONGEST).chain([least.min(1_000)]);
    let of_length = |length: u64| {
        let values = values.iter().cycle().take(usize::try_from(length).unwrap_or_default());
        Value::Array(values.cloned().collect())
    };
    lengths.filter(|length| (least..=most).contains(length)).map(of_length).collect()
}

/// With what has to be in it.
fn object(schema: &Value, deep: u32) -> Value {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let first = |name: &str| {
        let schema = schema.get("properties").and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
        candidates(schema, deep).into_iter().next().unwrap_or_default()
    };
    required.map(|name| (name.to_owned(), first(name))).collect::<Map<_, _>>().into()
}
