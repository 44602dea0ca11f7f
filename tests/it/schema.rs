//! Descriptions and JSON Schema of processes, and what can be asked of them by name.

use procession::prelude::*;
use procession::spec::{Description, InputMap, JsonSchema, Port, PortNamespace, ProcessSpec, Schema, spec_of};
use procession::{RunError, Runtime};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A type that says nothing about its JSON.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Opaque(u8);

/// A type that does.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Element {
    H,
    Si,
}

impl JsonSchema for Element {
    fn json_schema() -> Value {
        json!({ "enum": ["h", "si"] })
    }
}

#[process]
#[derive(Debug, Default)]
struct Kinds {}
spec! {
/// Takes everything.
Kinds {
    /// A byte.
    input byte: u8;
    input signed: i16 = -3;
    input wide: u64 = u64::MAX;
    input real: f64 = 0.5;
    input single: optional<f32>;
    input flag: bool = true;
    input text: String = "some";
    input letter: char = 'x';
    input maybe: Option<u8> = Some(3);
    input list: Vec<u8> = [1, 2].to_vec();
    input set: optional<BTreeSet<String>>;
    input three: [u8; 3] = [1, 2, 3];
    input pair: (u8, String, Option<bool>);
    input map: HashMap<String, Vec<i8>> = HashMap::new();
    input time: Duration = Duration::from_secs(1);
    input id: optional<uuid::Uuid>;
    input any: optional<Value>;
    input opaque: optional<Opaque>;
    input opaques: optional<Vec<Opaque>>;
    input element: optional<Element>;
    input elements: BTreeMap<String, Element> = BTreeMap::new();
    input boxed: Box<(u8,)> = Box::new((1,));
    /// Where it runs.
    input options { walltime: u32; queue: String = "normal"; inner { a: u8 = 1; } }
    input limits: optional { memory: u64; note: optional<String>; }
    input levels: optional { low: u8 = 1; high: u8; }
    input hints: optional { level: optional<u8>; }
    input extras: dynamic<f64>;
    input tags { first: u8 = 1; dynamic<String>; }
    output energy: f64;
    output forces: optional<Vec<f64>>;
    output notes: dynamic<String>;
    output last: optional { energy: f64; }
    exit 410 NotConverged "no convergence";
}}
outline! { Kinds { run => energy; } }
impl Kinds {
    fn run(&mut self) -> f64 {
        1.0
    }
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

/// The least that `Kinds` takes, with changes on top.
fn with(changes: Value) -> Value {
    let mut inputs = json!({ "byte": 1, "pair": [1, "a", null], "options": { "walltime": 1 } });
    for (name, value) in object(changes) {
        inputs[name] = value;
    }
    inputs
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft202012::new(schema).expect("it is a schema")
}

#[test]
fn schemas_are_valid_by_the_meta_schema() {
    let spec = spec_of::<Kinds>();
    for schema in [spec.input_schema(), spec.output_schema()] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
            panic!("{error}: {schema}");
        }
    }
}

#[test]
fn schemas_tell_types_help_and_defaults() {
    let schema = spec_of::<Kinds>().input_schema();
    let properties = &schema["properties"];
    for (name, expected) in [
        ("byte", json!({ "type": "integer", "minimum": 0, "maximum": 255, "description": "A byte." })),
        ("signed", json!({ "type": ["integer", "null"], "minimum": -32768, "maximum": 32767, "default": -3 })),
        ("real", json!({ "type": ["number", "null"], "default": 0.5 })),
        ("text", json!({ "type": ["string", "null"], "default": "some" })),
        ("maybe", json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 255, "default": 3 })),
        ("list", json!({ "type": ["array", "null"], "items": { "type": "integer", "minimum": 0, "maximum": 255 } })),
        ("id", json!({ "type": ["string", "null"], "format": "uuid" })),
        ("any", json!({})),
        ("opaque", json!({})),
        ("opaques", json!({})),
        ("element", json!({ "anyOf": [{ "enum": ["h", "si"] }, { "type": "null" }] })),
        (
            "extras",
            json!({ "type": ["object", "null"], "properties": {}, "additionalProperties": { "type": "number" } }),
        ),
    ] {
        assert_eq!(properties[name], expected, "{name}");
    }
    assert_eq!(properties["options"]["description"], "Where it runs.");
    assert_eq!(properties["options"]["required"], json!(["walltime"]));
    assert_eq!(properties["options"]["additionalProperties"], json!(false));
    assert_eq!(schema["required"], json!(["byte", "pair", "options"]));
    // A default that each launch computes is not known.
    assert!(properties["time"].get("default").is_none());
}

/// Whether inputs are valid, and the schema and the launch agree about it.
#[track_caller]
fn agreed(spec: &ProcessSpec, validator: &jsonschema::Validator, inputs: &Value) -> bool {
    let by_launch = spec.prepare_inputs(InputMap::from(object(inputs.clone())));
    let by_schema = validator.is_valid(inputs);
    assert_eq!(by_launch.is_ok(), by_schema, "{inputs}: {by_launch:?} {}", spec.input_schema());
    by_schema
}

#[test]
fn schemas_of_inputs_agree_with_launches() {
    let spec = spec_of::<Kinds>();
    let validator = validator(&spec.input_schema());
    let inputs = |changes| agreed(spec, &validator, &with(changes));
    assert!(inputs(json!({})));
    // Each of these values, under each of these names.
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(255),
        json!(256),
        json!(-40000),
        json!(u64::MAX),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("si"),
        json!([]),
        json!([1]),
        json!([1, 2, 3]),
        json!([1, "a", null]),
        json!([1, "a", true]),
        json!([1, "a", null, 2]),
        json!([300]),
        json!(["a", "a"]),
        json!([null]),
        json!({}),
        json!({ "a": 1 }),
        json!({ "a": [1] }),
        json!({ "a": "si" }),
        json!({ "secs": 1, "nanos": 2 }),
        json!({ "secs": 1 }),
        json!({ "secs": 1, "nanos": 2, "more": 3 }),
        json!({ "walltime": 1 }),
        json!({ "walltime": 1, "inner": {} }),
        json!({ "walltime": 1, "inner": { "a": 300 } }),
        json!({ "walltime": 1, "inner": null, "queue": null }),
        json!({ "walltime": null }),
        json!({ "memory": 1 }),
        json!({ "memory": 1, "note": null }),
        json!({ "note": "n" }),
        json!({ "note": null }),
        json!({ "high": 1 }),
        json!({ "level": 3 }),
        json!({ "level": null }),
        json!({ "first": 3, "other": "o" }),
        json!({ "first": "x" }),
        json!({ "low": 1 }),
    ];
    let declared = spec.inputs().entries().iter().map(procession::spec::Entry::name);
    let names: Vec<&str> = declared.chain(["unknown"]).collect();
    let mut valid = 0;
    for name in &names {
        for value in &values {
            // Values that the schema cannot tell apart as the decoder does: see `JsonSchema`.
            let loose = match *name {
                "opaque" | "opaques" => !value.is_null(),
                "id" => value.is_string(),
                "letter" | "time" => value.is_array(),
                _ => false,
            };
            valid += usize::from(!loose && inputs(json!({ *name: value })));
        }
    }
    assert!(valid > 100, "{valid}");
    for missing in ["byte", "pair", "options"] {
        let mut inputs = object(with(json!({})));
        inputs.remove(missing);
        assert!(!agreed(spec, &validator, &Value::Object(inputs)), "{missing}");
    }
}

#[test]
fn schemas_follow_the_attributes_of_namespaces() {
    let required = || Port::new::<u8>("a", "u8").with_schema(Schema::of::<u8>());
    let defaulted = || Port::new::<u8>("b", "u8").with_schema(Schema::of::<u8>()).with_default_value(&1_u8);
    let optional = || Port::new::<u8>("c", "u8").with_schema(Schema::of::<u8>()).optional();
    let shapes: [fn(PortNamespace) -> PortNamespace; 6] = [
        |n| n,
        PortNamespace::optional,
        |n| n.required(false),
        |n| n.populate_defaults(false),
        |n| n.with_default(InputMap::from(object(json!({ "a": 1 })))),
        |n| n.dynamic_with::<u8>("u8", Schema::of::<u8>()),
    ];
    let given = [
        json!({}),
        json!({ "n": null }),
        json!({ "n": {} }),
        json!({ "n": { "a": 1 } }),
        json!({ "n": { "b": 1 } }),
        json!({ "n": { "c": null } }),
        json!({ "n": { "m": { "a": 1 } } }),
        json!({ "n": { "m": {} } }),
        json!({ "n": { "a": 1, "m": { "a": 1 } } }),
        json!({ "n": { "z": 1 } }),
        json!({ "n": 1 }),
    ];
    for (outer, inner) in (0..6).flat_map(|outer| (0..6).map(move |inner| (outer, inner))) {
        for ports in 0..8_u8 {
            let fill = |mut n: PortNamespace, ports: u8| {
                for (bit, port) in [required(), defaulted(), optional()].into_iter().enumerate() {
                    if ports & (1 << bit) != 0 {
                        n = n.port(port);
                    }
                }
                n
            };
            let m = shapes[inner](fill(PortNamespace::new("m"), ports));
            for own in 0..8_u8 {
                let n = shapes[outer](fill(PortNamespace::new("n"), own).namespace(m.clone()));
                let spec = ProcessSpec::new("Any").with_inputs(PortNamespace::new("inputs").namespace(n));
                if spec.verify().is_err() {
                    continue;
                }
                let validator = validator(&spec.input_schema());
                for given in &given {
                    agreed(&spec, &validator, given);
                }
            }
        }
    }
}

#[test]
fn schemas_of_outputs_agree_with_the_check_at_the_end() {
    let spec = spec_of::<Kinds>();
    let validator = validator(&spec.output_schema());
    for outputs in [
        json!({ "energy": 1.0 }),
        json!({}),
        json!({ "energy": "x" }),
        json!({ "energy": null }),
        json!({ "energy": 1, "forces": [1.0] }),
        json!({ "energy": 1, "forces": null }),
        json!({ "energy": 1, "notes": { "a": "b" } }),
        json!({ "energy": 1, "notes": { "a": 1 } }),
        json!({ "energy": 1, "notes": null }),
        json!({ "energy": 1, "last": {} }),
        json!({ "energy": 1, "last": { "energy": 2 } }),
        json!({ "energy": 1, "last": { "other": 2 } }),
        json!({ "energy": 1, "other": 2 }),
    ] {
        let checked = spec.check_outputs(&object(outputs.clone()));
        assert_eq!(checked.is_ok(), validator.is_valid(&outputs), "{outputs}: {checked:?}");
        // What is valid can be read.
        assert!(checked.is_err() || serde_json::from_value::<KindsOutputs>(outputs.clone()).is_ok(), "{outputs}");
    }
}

#[test]
fn descriptions_are_data_in_a_stable_order() {
    #[process]
    #[derive(Debug, Default)]
    struct Small {}
    spec! {
    /// Does little.
    Small {
        /// How often.
        input steps: u32 = 10;
        input start: String;
        input seed: u64 = u64::default();
        input options: optional { queue: optional<String>; }
        input extras: dynamic<f64>;
        output energy: f64;
        exit 410 NotConverged "no convergence";
    }}
    outline! { Small { run => energy; } }
    impl Small {
        fn run(&mut self) -> f64 {
            1.0
        }
    }
    let description = spec_of::<Small>().description();
    let port = |name: &str, ty: &str, required: bool| json!({ "kind": "port", "name": name, "type": ty, "required": required });
    let mut steps = port("steps", "u32", false);
    (steps["default"], steps["help"]) = (json!(10), json!("How often."));
    let mut seed = port("seed", "u64", false);
    seed["computed_default"] = json!(true);
    let expected = json!({
        "process": "Small",
        "help": "Does little.",
        "inputs": { "name": "inputs", "required": true, "populate_defaults": true, "entries": [
            steps,
            port("start", "String", true),
            seed,
            { "kind": "namespace", "name": "options", "required": false, "populate_defaults": false,
              "entries": [port("queue", "String", false)] },
            { "kind": "namespace", "name": "extras", "required": true, "populate_defaults": true, "dynamic": "f64" },
        ] },
        "outputs": { "name": "outputs", "required": true, "populate_defaults": true,
            "entries": [port("energy", "f64", true)] },
        "exits": [{ "number": 410, "name": "NotConverged", "message": "no convergence" }],
    });
    assert_eq!(serde_json::to_value(&description).expect("JSON"), expected);
    let read: Description = serde_json::from_value(expected).expect("it can be read again");
    assert_eq!(read, description);
    let text = serde_json::to_string(&spec_of::<Kinds>().input_schema()).expect("JSON");
    assert_eq!(text, serde_json::to_string(&spec_of::<Kinds>().input_schema()).expect("JSON"));
}

#[tokio::test]
async fn by_name_and_by_type_the_messages_are_the_same() {
    let runtime = Runtime::volatile().register::<Kinds>().build().await.unwrap();
    let name = <Kinds as Process>::NAME;
    assert_eq!(runtime.processes(), [name]);
    let spec = runtime.spec(name).expect("it is registered");
    assert!(std::ptr::eq(spec, spec_of::<Kinds>()));
    for (inputs, expected) in [
        (with(json!({ "byte": 300 })), "`byte`: expected `u8`: invalid value: integer `300`, expected u8"),
        (with(json!({ "optoins": 1 })), "`optoins`: no such port; did you mean `options`?"),
        (
            with(json!({ "limits": { "memory": "x" } })),
            "`limits.memory`: expected `u64`: invalid type: string \"x\", expected u64",
        ),
        (json!({ "byte": 1, "pair": [1, "", true] }), "`options.walltime`: required, but not set"),
        (
            with(json!({ "tags": { "x": 1 } })),
            "`tags.x`: expected `String`: invalid type: integer `1`, expected a string",
        ),
        (with(json!({ "extras": [1] })), "`extras`: expected a namespace (an object), got an array"),
    ] {
        let given = object(inputs);
        let checked = spec.check_inputs(&given).expect_err("they are not valid");
        let by_name = runtime.launch_by_name(name, given.clone()).await.expect_err("they are not valid");
        let by_type = runtime.launch(InputMap::from(given).unchecked::<Kinds>()).await.expect_err("they are not valid");
        assert_eq!(checked.faults().iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        for error in [by_name, by_type] {
            let RunError::Inputs(error) = error else { panic!("it is about inputs: {error}") };
            assert_eq!(error, checked);
        }
    }
    assert_eq!(spec.check_inputs(&object(with(json!({})))), Ok(()));
    let Err(RunError::UnknownProcess { near, .. }) = runtime.spec(&format!("{name}s")) else { panic!("unknown") };
    assert_eq!(near.as_deref(), Some(name));
}
