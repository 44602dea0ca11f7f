//! JSON Schema of ports, draft 2020-12.

use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Port;
use super::namespace::{Entry, PortNamespace};

/// The dialect that the schemas name.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A type whose values have a JSON Schema: what serde writes of them.
///
/// Standard types have it. It is no bound of port types: one without it is described as "anything", and `spec!` finds
/// out by itself. Implement it for types of your own.
///
/// A schema can say less than the decoder checks: it takes `1.0` for an integer, and any text for a `Uuid`.
///
/// ```
/// use procession_runtime::spec::{JsonSchema, Schema};
/// use serde_json::{Value, json};
///
/// struct Element(String);
///
/// impl JsonSchema for Element {
///     fn json_schema() -> Value {
///         json!({ "type": "string", "minLength": 1, "maxLength": 2 })
///     }
/// }
/// assert_eq!(Schema::of::<Vec<Element>>().to_value()["items"]["maxLength"], 2);
/// ```
pub trait JsonSchema {
    /// The schema, without `$schema`.
    fn json_schema() -> Value;
}

/// What JSON Schema says about the values of a port.
#[derive(Clone, Copy)]
pub struct Schema(fn() -> Value);

impl Schema {
    /// Nothing: any value.
    pub const ANY: Self = Self(|| json!({}));

    /// What `T` says.
    pub fn of<T: JsonSchema + ?Sized>() -> Self {
        Self(T::json_schema)
    }

    /// The schema.
    pub fn to_value(self) -> Value {
        (self.0)()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.to_value())
    }
}

/// Asks for the schema of a type that may have none: `(&Probe::<T>::new()).schema()` with [`ViaSchema`] and
/// [`ViaNothing`] in scope.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> Probe<T> {
    /// The question.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The answer for types with a schema. The compiler takes it first, since it needs one reference less.
pub trait ViaSchema {
    /// The schema.
    fn schema(&self) -> Schema;
}

impl<T: JsonSchema + ?Sized> ViaSchema for Probe<T> {
    fn schema(&self) -> Schema {
        Schema::of::<T>()
    }
}

/// The answer for all other types.
pub trait ViaNothing {
    /// The schema.
    fn schema(&self) -> Schema;
}

impl<T: ?Sized> ViaNothing for &Probe<T> {
    fn schema(&self) -> Schema {
        Schema::ANY
    }
}

// Standard types.

macro_rules! fixed {
    ($($ty:ty => $schema:tt;)*) => { $(
        impl JsonSchema for $ty {
            fn json_schema() -> Value {
                json!($schema)
            }
        }
    )* };
}

fixed! {
    bool => { "type": "boolean" };
    f32 => { "type": "number" };
    f64 => { "type": "number" };
    char => { "type": "string", "minLength": 1, "maxLength": 1 };
    str => { "type": "string" };
    String => { "type": "string" };
    std::path::PathBuf => { "type": "string" };
    () => { "type": "null" };
    Value => {};
    Map<String, Value> => { "type": "object" };
    uuid::Uuid => { "type": "string", "format": "uuid" };
    Duration => {
        "type": "object",
        "properties": {
            "secs": { "type": "integer", "minimum": 0, "maximum": (u64::MAX) },
            "nanos": { "type": "integer", "minimum": 0, "maximum": (u32::MAX) },
        },
        "required": ["secs", "nanos"],
        "additionalProperties": false,
    };
}

macro_rules! integers {
    ($($ty:ty, $least:expr;)*) => { $(
        impl JsonSchema for $ty {
            fn json_schema() -> Value {
                json!({ "type": "integer", "minimum": $least, "maximum": <$ty>::MAX })
            }
        }
    )* };
}

integers! {
    u8, 0; u16, 0; u32, 0; u64, 0; usize, 0;
    i8, i8::MIN; i16, i16::MIN; i32, i32::MIN; i64, i64::MIN; isize, isize::MIN;
    std::num::NonZeroU8, 1; std::num::NonZeroU16, 1; std::num::NonZeroU32, 1; std::num::NonZeroU64, 1;
    std::num::NonZeroUsize, 1;
}

macro_rules! as_inner {
    ($($ty:ident)*) => { $(
        impl<T: JsonSchema + ?Sized> JsonSchema for $ty<T> {
            fn json_schema() -> Value {
                T::json_schema()
            }
        }
    )* };
}

as_inner!(Box Rc Arc);

impl<T: JsonSchema + ToOwned + ?Sized> JsonSchema for Cow<'_, T> {
    fn json_schema() -> Value {
        T::json_schema()
    }
}

impl<T: JsonSchema> JsonSchema for Option<T> {
    fn json_schema() -> Value {
        or_null(T::json_schema())
    }
}

macro_rules! lists {
    ($($ty:ident)*) => { $(
        impl<T: JsonSchema> JsonSchema for $ty<T> {
            fn json_schema() -> Value {
                json!({ "type": "array", "items": T::json_schema() })
            }
        }
    )* };
}

// A set takes a value twice when it is read, so that it is no different.
lists!(Vec VecDeque BTreeSet);

impl<T: JsonSchema, S> JsonSchema for HashSet<T, S> {
    fn json_schema() -> Value {
        <Vec<T>>::json_schema()
    }
}

impl<T: JsonSchema, const N: usize> JsonSchema for [T; N] {
    fn json_schema() -> Value {
        json!({ "type": "array", "items": T::json_schema(), "minItems": N, "maxItems": N })
    }
}

impl<T: JsonSchema> JsonSchema for BTreeMap<String, T> {
    fn json_schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::json_schema() })
    }
}

impl<T: JsonSchema, S> JsonSchema for HashMap<String, T, S> {
    fn json_schema() -> Value {
        <BTreeMap<String, T>>::json_schema()
    }
}

macro_rules! tuples {
    ($($count:literal: $($name:ident)*;)*) => { $(
        impl<$($name: JsonSchema),*> JsonSchema for ($($name,)*) {
            fn json_schema() -> Value {
                json!({
                    "type": "array", "prefixItems": [$($name::json_schema()),*], "items": false, "minItems": $count,
                })
            }
        }
    )* };
}

tuples! {
    1: A; 2: A B; 3: A B C; 4: A B C D; 5: A B C D E; 6: A B C D E F; 7: A B C D E F G; 8: A B C D E F G H;
}

/// The same, and `null`.
fn or_null(schema: Value) -> Value {
    // These speak of values of every type, `null` among them; the others are about values of one.
    const ABOUT_ALL: [&str; 10] =
        ["enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef", "$schema"];
    let Some(keywords) = schema.as_object() else { return schema };
    let simple = !keywords.keys().any(|keyword| ABOUT_ALL.contains(&keyword.as_str()));
    match keywords.get("type") {
        Some(Value::String(ty)) if simple && ty != "null" => {
            let both = json!([ty, "null"]);
            let mut schema = schema;
            schema["type"] = both;
            schema
        }
        Some(Value::Array(types)) if simple && types.iter().any(|ty| ty == "null") => schema,
        None if keywords.is_empty() => schema,
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

// Namespaces.

/// How values are taken: inputs may be `null` where they may be left out, outputs may not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inputs,
    Outputs,
}

impl PortNamespace {
    /// The schema of a whole side of a process.
    pub(super) fn root_schema(&self, title: &str, side: Side) -> Value {
        let mut schema = self.schema(side);
        schema["$schema"] = json!(DIALECT);
        schema["title"] = json!(title);
        schema
    }

    fn schema(&self, side: Side) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for entry in &self.entries {
            let name = entry.name();
            let (property, must) = match entry {
                Entry::Port(port) => (port_schema(port, side), port.is_required()),
                Entry::Namespace(inner) => {
                    let must = !inner.may_be_left_out(side);
                    let schema = inner.schema(side);
                    (if must || side == Side::Outputs { schema } else { or_null(schema) }, must)
                }
            };
            properties.insert(name.to_owned(), property);
            if must {
                required.push(name);
            }
        }
        let others = self.dynamic_values().map_or(json!(false), |dynamic| dynamic.schema.to_value());
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": others });
        if !self.help().is_empty() {
            schema["description"] = json!(self.help());
        }
        if let Some(default) = &self.default {
            schema["default"] = json!(default);
        }
        match (required.is_empty(), self.empty_is_nothing(side)) {
            (true, _) => {}
            (false, false) => schema["required"] = json!(required),
            (false, true) => schema["anyOf"] = json!([{ "required": required }, { "maxProperties": 0 }]),
        }
        schema
    }

    /// Whether a value need not be given for it, or for a port in it.
    fn may_be_left_out(&self, side: Side) -> bool {
        let entries_may = |side| {
            self.entries.iter().all(|entry| match entry {
                Entry::Port(port) => !port.is_required(),
                Entry::Namespace(inner) => inner.may_be_left_out(side),
            })
        };
        if side == Side::Outputs || (self.default.is_none() && !self.populates_defaults()) {
            // Nothing is filled in, also not further below: as it is with outputs.
            return !self.is_required() || entries_may(Side::Outputs);
        }
        // The default itself was checked when the process was registered.
        self.default.is_some() || self.empty_is_nothing(side) || entries_may(side)
    }

    /// Whether it may be given empty, though ports in it are required: it is as good as left out (S79).
    fn empty_is_nothing(&self, side: Side) -> bool {
        !self.is_required() && (side == Side::Outputs || !self.fills_in())
    }

    /// Whether something is filled in where nothing is given.
    fn fills_in(&self) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Port(port) => port.has_default(),
            Entry::Namespace(inner) => {
                inner.default.is_some()
                    || (inner.populates_defaults()
                        && !inner.entries.is_empty()
                        && (inner.is_required() || inner.fills_in()))
            }
        })
    }
}

fn port_schema(port: &Port, side: Side) -> Value {
    let mut schema = port.schema().to_value();
    if side == Side::Inputs && !port.is_required() {
        schema = or_null(schema);
    }
    if !port.help().is_empty() {
        schema["description"] = json!(port.help());
    }
    if let Some(default) = port.fixed_default() {
        schema["default"] = default.clone();
    }
    schema
}
