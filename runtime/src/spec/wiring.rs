//! What processes know of one another's ports at compile time: their types by name, and which outputs a normal end
//! demands.
//!
//! `spec!` implements these traits. A port stands in a type by the FNV-1a hash of its dotted name; expansions compute
//! it, nobody else needs to.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use super::{InputMap, OutputInfo, Port, PortNamespace, PortReader, PortValues, PortWriter, Schema, SpecError};

/// What can go through a port: a value that can be written and read, sent to other threads, and kept.
/// It is the bound for the parameters of a generic process.
pub trait PortType: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> PortType for T {}

/// What is asked of the type of a port at the port.
///
/// The traits that this stands for are no supertraits, since the compiler would report each of them. That the values
/// move between threads is asked of all of them together, by [`Spec`](super::Spec).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a port",
    label = "must be `Serialize`, `DeserializeOwned` and `'static`",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait PortValue: Sized + 'static {
    /// The type itself, with what is known of it.
    type This: Serialize + DeserializeOwned + 'static;
    /// The value.
    fn from_this(this: Self::This) -> Self;
    /// The value.
    fn of(this: &Self::This) -> &Self;
    /// The value.
    fn into_this(self) -> Self::This;
    /// The value.
    fn as_this(&self) -> &Self::This;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> PortValue for T {
    type This = T;

    fn from_this(this: T) -> T {
        this
    }

    fn of(this: &T) -> &T {
        this
    }

    fn into_this(self) -> T {
        self
    }

    fn as_this(&self) -> &T {
        self
    }
}

/// The type of a declared port.
type This<D> = <<D as Declared>::Value as PortValue>::This;

/// The type of an input, by the hash of its dotted name.
#[diagnostic::on_unimplemented(message = "`{Self}` has no such input")]
pub trait Input<const PORT: u64> {
    /// The type of its values; that of a dynamic namespace is a [`BTreeMap`].
    type Value: PortValue;
}

/// The type of an output, by the hash of its dotted name.
#[diagnostic::on_unimplemented(message = "`{Self}` has no such output")]
pub trait Output<const PORT: u64> {
    /// The type of its values; that of a dynamic namespace is a [`BTreeMap`], that of a namespace its struct.
    type Value: PortValue;
}

/// The process whose outputs a namespace of outputs exposes, by the hash of the namespace's dotted name.
#[diagnostic::on_unimplemented(
    message = "this output of `{Self}` does not expose the outputs of a process",
    label = "`=> namespace from child` needs `expose outputs of Child as namespace`"
)]
pub trait ExposedOutputs<const PORT: u64> {
    /// The process.
    type Of;
}

/// The outputs of a process, on a type without parameters, so that a `const` can ask for them.
pub trait OutputTable {
    /// Each output by its dotted name, a namespace before what is in it. A namespace is required if something in it is;
    /// what is in one that is not required is not listed.
    const OUTPUTS: &'static [OutputInfo];
}

/// The outputs of what has an [`OutputTable`]; see [`NoOutputs`].
#[derive(Debug)]
pub struct OutputsOf<T>(PhantomData<fn() -> T>);

impl<T: OutputTable> OutputsOf<T> {
    /// All outputs.
    pub const OUTPUTS: &'static [OutputInfo] = T::OUTPUTS;
}

/// No outputs: what a process has without a `spec!`. That it has none is reported where the struct is.
pub trait NoOutputs {
    /// None.
    const OUTPUTS: &'static [OutputInfo] = &[];
}

impl<T> NoOutputs for OutputsOf<T> {}

/// A dynamic namespace's values.
pub trait Dynamic {
    /// The type of one value.
    type Item;
}

impl<T> Dynamic for BTreeMap<String, T> {
    type Item = T;
}

/// A port of a process, as a type.
pub trait Declared {
    /// The type of its values.
    type Value: PortValue;
}

/// An input of `P`, as a type.
#[derive(Debug)]
pub struct In<P, const PORT: u64>(PhantomData<fn() -> P>);
/// An output of `P`, as a type.
#[derive(Debug)]
pub struct Out<P, const PORT: u64>(PhantomData<fn() -> P>);

impl<P: Input<PORT>, const PORT: u64> Declared for In<P, PORT> {
    type Value = P::Value;
}

impl<P: Output<PORT>, const PORT: u64> Declared for Out<P, PORT> {
    type Value = P::Value;
}

/// What a validator without a message returns.
#[diagnostic::on_unimplemented(
    message = "a validator cannot return `{Self}`",
    label = "expected `Result<(), _>`, or a `bool` and a message: `check(|value| …, \"message\")`"
)]
pub trait Verdict {
    /// What is wrong, as text.
    ///
    /// # Errors
    /// Something is.
    fn into_verdict(self) -> Result<(), String>;
}

impl<E: fmt::Display> Verdict for Result<(), E> {
    fn into_verdict(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

// All of these go through `Declared`, so that a type that cannot be a port's is reported once, where it is declared.

/// The description of a port.
pub fn port<D: Declared>(name: &'static str, type_name: &'static str, schema: Schema) -> Port {
    Port::new::<This<D>>(name, type_name).with_schema(schema)
}

/// The same port with a default.
pub fn with_default<D: Declared>(port: Port, default: fn() -> D::Value) -> Port {
    port.with_default(move || default().into_this())
}

/// The same port with a default that is known now.
pub fn with_default_value<D: Declared>(port: Port, default: fn() -> D::Value) -> Port {
    port.with_default_value(default().as_this())
}

/// The same port with a validator that says yes or no.
pub fn with_predicate<D: Declared>(
    port: Port,
    predicate: impl Fn(&D::Value) -> bool + Send + Sync + 'static,
    message: &'static str,
) -> Port {
    port.with_check(
        move |value: &This<D>| if predicate(PortValue::of(value)) { Ok(()) } else { Err(message.to_owned()) },
    )
}

/// The same port with a validator that says what is wrong.
pub fn with_check<D: Declared, R: Verdict>(port: Port, check: impl Fn(&D::Value) -> R + Send + Sync + 'static) -> Port {
    port.with_check(move |value: &This<D>| check(PortValue::of(value)).into_verdict())
}

/// The same namespace with a validator of the whole that says yes or no.
pub fn all_with_predicate<N: PortValues>(
    namespace: PortNamespace,
    predicate: impl Fn(&N) -> bool + Send + Sync + 'static,
    message: &'static str,
) -> PortNamespace {
    namespace.with_check(move |values: &N| if predicate(values) { Ok(()) } else { Err(message.to_owned()) })
}

/// The same namespace with a validator of the whole that says what is wrong.
pub fn all_with_check<N: PortValues, R: Verdict>(
    namespace: PortNamespace,
    check: impl Fn(&N) -> R + Send + Sync + 'static,
) -> PortNamespace {
    namespace.with_check(move |values: &N| check(values).into_verdict())
}

/// The description of a dynamic namespace.
pub fn dynamic<D: Declared<Value: Dynamic<Item: DeserializeOwned>>>(
    name: &'static str,
    type_name: &'static str,
    schema: Schema,
) -> PortNamespace {
    dynamic_in::<D>(PortNamespace::new(name), type_name, schema)
}

/// The same namespace, dynamic beside its ports.
pub fn dynamic_in<D: Declared<Value: Dynamic<Item: DeserializeOwned>>>(
    namespace: PortNamespace,
    type_name: &'static str,
    schema: Schema,
) -> PortNamespace {
    namespace.dynamic_with::<<D::Value as Dynamic>::Item>(type_name, schema)
}

/// Sets a port.
pub fn set<D: Declared>(values: &mut InputMap, name: &str, value: &D::Value) {
    values.set(name, value.as_this());
}

/// Sets one value of a dynamic namespace.
pub fn set_in<D: Declared<Value: Dynamic<Item: Serialize>>>(
    values: &mut InputMap,
    namespace: &str,
    name: &str,
    value: &<D::Value as Dynamic>::Item,
) {
    values.set_in(namespace, name, value);
}

/// Sets a value of a dynamic namespace from within.
pub fn set_rest<D: Declared<Value: Dynamic<Item: Serialize>>>(
    values: &mut InputMap,
    name: &str,
    value: &<D::Value as Dynamic>::Item,
) {
    values.set(name, value);
}

/// Reads a required value, or one with a default.
///
/// # Errors
/// It is missing or of another type.
pub fn read<D: Declared>(ports: &mut PortReader, name: &str) -> Result<D::Value, SpecError> {
    ports.take::<This<D>>(name).map(PortValue::from_this)
}

/// Reads an optional value.
///
/// # Errors
/// It is of another type.
pub fn read_optional<D: Declared>(ports: &mut PortReader, name: &str) -> Result<Option<D::Value>, SpecError> {
    Ok(ports.take_optional::<This<D>>(name)?.map(PortValue::from_this))
}

/// Reads a dynamic namespace.
///
/// # Errors
/// A value is of another type.
pub fn read_dynamic<D: Declared<Value = BTreeMap<String, T>>, T: DeserializeOwned>(
    ports: &mut PortReader,
    name: &str,
) -> Result<D::Value, SpecError> {
    ports.dynamic(name)
}

/// Reads the values of a dynamic namespace that no port took.
///
/// # Errors
/// A value is of another type.
pub fn read_rest<D: Declared<Value = BTreeMap<String, T>>, T: DeserializeOwned>(
    ports: &mut PortReader,
) -> Result<D::Value, SpecError> {
    ports.rest()
}

/// Writes the values of a dynamic namespace beside its ports.
pub fn write_rest<D: Declared<Value = BTreeMap<String, T>>, T: Serialize>(ports: &mut PortWriter, values: &D::Value) {
    ports.rest(values);
}

/// Writes a value.
pub fn write<D: Declared>(ports: &mut PortWriter, name: &str, value: &D::Value) {
    ports.put(name, value.as_this());
}

/// Writes an optional value.
pub fn write_optional<D: Declared>(ports: &mut PortWriter, name: &str, value: Option<&D::Value>) {
    ports.put_optional(name, value.map(PortValue::as_this));
}

/// A dynamic namespace, as its validators see it.
impl<T: PortType> PortValues for BTreeMap<String, T> {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        ports.rest()
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.rest(self);
    }
}

fn written<N: PortValues>(values: &N) -> Map<String, Value> {
    let mut ports = PortWriter::new();
    values.write(&mut ports);
    // A value that cannot be written is not shown; the launch reports it.
    ports.finish().into_parts().0
}

/// Shows the values of ports as JSON, so that no port type needs `Debug`.
///
/// # Errors
/// Those of the formatter.
pub fn debug<N: PortValues>(name: &str, values: &N, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut shown = f.debug_struct(name);
    for (port, value) in &written(values) {
        shown.field(port, &format_args!("{value}"));
    }
    shown.finish()
}

/// Serializes the values of ports as an object.
///
/// # Errors
/// Those of the serializer, and a value that cannot be written as JSON.
pub fn serialize<N: PortValues, S: Serializer>(values: &N, serializer: S) -> Result<S::Ok, S::Error> {
    let mut ports = PortWriter::new();
    values.write(&mut ports);
    let (map, faults) = ports.finish().into_parts();
    match faults.first() {
        Some(fault) => Err(serde::ser::Error::custom(fault)),
        None => map.serialize(serializer),
    }
}

/// Deserializes the values of ports from an object.
///
/// # Errors
/// Those of the deserializer, and a value that is missing or of another type.
pub fn deserialize<'de, N: PortValues, D: Deserializer<'de>>(deserializer: D) -> Result<N, D::Error> {
    let values = Map::deserialize(deserializer)?;
    N::read(&mut PortReader::new(values)).map_err(serde::de::Error::custom)
}

/// The longest text of [`assert_set`]; more is cut off.
const TEXT_MAX: usize = 2048;

/// Asserts in a `const` that every required output of a process is among those that are set on a path through its
/// outline. `mentioned` are all that stand before the path's end, on whatever branch: one that the process does not declare
/// is an error at its own place, and whatever is missing may be what was meant by it, so nothing is said.
///
/// # Panics
/// One is not, and the text says which: the compiler shows it at the caller's place.
#[track_caller]
pub const fn assert_set(outputs: &[OutputInfo], process: &str, set: &[&str], mentioned: &[&str], path: &str) {
    if !all_declared(outputs, mentioned) {
        return;
    }
    let mut text = Text { bytes: [0; TEXT_MAX], len: 0 };
    let mut missing = 0;
    let (mut first, mut last) = ("", "");
    let mut index = 0;
    while index < outputs.len() {
        let OutputInfo { name, required, exposed } = outputs[index];
        index += 1;
        // A namespace of which nothing is set is named as a whole; of one that is set in part, what is not.
        let named = missing > 0 && below(name, last);
        let whole = exposed && any(set, name, Relation::FromChild);
        if !required || named || whole || any(set, name, Relation::Covers) || any(set, name, Relation::Below) {
            continue;
        }
        text = text.add(if missing == 0 { "`" } else { ", `" }).add(name).add("`");
        if missing == 0 {
            first = name;
        }
        missing += 1;
        last = name;
    }
    if missing == 0 {
        return;
    }
    let names = text;
    text = Text { bytes: [0; TEXT_MAX], len: 0 };
    let (what, are, it) = if missing == 1 { ("output ", "is", "it") } else { ("outputs ", "are", "them") };
    text = text.add("required ").add(what).add(names.as_str()).add(" of `").add(process).add("` ").add(are);
    text = text.add(" not set on the path `").add(path).add("`: return ").add(it);
    text = text.add(" from a step on this path (`step => ").add(first).add("`) or end it with an exit code");
    panic!("{}", text.as_str());
}

/// Whether a process has all outputs of these names.
const fn all_declared(outputs: &[OutputInfo], mentioned: &[&str]) -> bool {
    let mut index = 0;
    while index < mentioned.len() {
        let name = match mentioned[index].as_bytes() {
            [around @ .., b'.', b'*'] => around,
            name => name,
        };
        index += 1;
        let (mut declared, mut row) = (false, 0);
        while row < outputs.len() && !declared {
            declared = equal(outputs[row].name.as_bytes(), name);
            row += 1;
        }
        if !declared {
            return false;
        }
    }
    true
}

#[derive(Clone, Copy)]
enum Relation {
    /// It is the name, or that of a namespace around it.
    Covers,
    /// It is in the namespace of this name.
    Below,
    /// It is `namespace.*` around the name: what a child gave.
    FromChild,
}

const fn any(set: &[&str], name: &str, relation: Relation) -> bool {
    let mut index = 0;
    while index < set.len() {
        let holds = match relation {
            Relation::Covers => equal(set[index].as_bytes(), name.as_bytes()) || below(name, set[index]),
            Relation::Below => below(set[index], name),
            Relation::FromChild => match set[index].as_bytes() {
                [around @ .., b'.', b'*'] => starts_with(name.as_bytes(), around),
                _ => false,
            },
        };
        if holds {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether a dotted name is in the namespace of another.
const fn below(name: &str, namespace: &str) -> bool {
    starts_with(name.as_bytes(), namespace.as_bytes())
}

/// Whether the parts of a dotted name begin with those of another, and do not end there.
const fn starts_with(name: &[u8], namespace: &[u8]) -> bool {
    if name.len() <= namespace.len() || name[namespace.len()] != b'.' {
        return false;
    }
    let (head, _) = name.split_at(namespace.len());
    equal(head, namespace)
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// A text that grows in a `const`.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    const fn add(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() && self.len < TEXT_MAX {
            self.bytes[self.len] = bytes[index];
            self.len += 1;
            index += 1;
        }
        self
    }

    const fn as_str(&self) -> &str {
        let (bytes, _) = self.bytes.split_at(self.len);
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // Cut off within a character.
            Err(error) => match std::str::from_utf8(bytes.split_at(error.valid_up_to()).0) {
                Ok(text) => text,
                Err(_) => "",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn info(name: &'static str, required: bool, exposed: bool) -> OutputInfo {
        OutputInfo { name, required, exposed }
    }

    struct Table;
    impl OutputTable for Table {
        const OUTPUTS: &'static [OutputInfo] = &[
            info("structure", true, false),
            info("energy", true, false),
            info("notes", false, false),
            info("forces", true, false),
            info("forces.x", true, true),
            info("forces.y", true, false),
            info("forces.note", false, false),
        ];
    }

    fn text(set: &[&str], path: &str) -> Option<String> {
        let caught =
            std::panic::catch_unwind(|| assert_set(OutputsOf::<Table>::OUTPUTS, "Relax", set, set, path)).err()?;
        caught.downcast_ref::<String>().cloned()
    }

    #[test]
    fn missing_outputs_are_named_with_their_path() {
        assert_eq!(text(&["structure", "energy", "forces"], "a"), None);
        assert_eq!(text(&["structure", "energy", "forces.x", "forces.y"], "a"), None);
        let one = text(&["structure", "forces"], "while_(unconverged) → return_").unwrap_or_default();
        assert_eq!(
            one,
            "required output `energy` of `Relax` is not set on the path `while_(unconverged) → return_`: return it \
             from a step on this path (`step => energy`) or end it with an exit code"
        );
        let both = text(&[], "finish").unwrap_or_default();
        assert!(both.starts_with("required outputs `structure`, `energy`, `forces` of `Relax` are not set"), "{both}");
        let part = text(&["structure", "energy", "forces.x"], "finish").unwrap_or_default();
        assert!(part.starts_with("required output `forces.y` of `Relax` is not set"), "{part}");
        // What a child gave is no output of one's own.
        let given = text(&["structure", "energy", "forces.*"], "finish").unwrap_or_default();
        assert!(given.starts_with("required output `forces.y` of `Relax` is not set"), "{given}");
    }

    #[test]
    fn a_name_that_is_not_declared_may_be_any_of_those_that_are() {
        let on_another_branch = || assert_set(OutputsOf::<Table>::OUTPUTS, "Relax", &[], &["energi"], "a");
        assert!(std::panic::catch_unwind(on_another_branch).is_ok());
        assert_eq!(text(&["energi"], "a"), None);
        assert_eq!(text(&["forzes.*"], "a"), None);
        assert!(text(&["forces.*", "forces.note"], "a").is_some());
    }

    #[test]
    fn a_long_path_is_cut_at_a_character() {
        let cut = text(&["structure", "forces"], &"→".repeat(TEXT_MAX)).unwrap_or_default();
        assert!(cut.len() <= TEXT_MAX && cut.ends_with('→'), "{}", cut.len());
    }
}
