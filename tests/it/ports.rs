//! Ports and namespaces as they are put together by hand: rules S68 to S88.

use procession::prelude::*;
use procession::registry::RegistryError;
use procession::spec::{
    Entry, Expose, InputMap, Port, PortNamespace, PreparedInputs, ProcessSpec, raw_inputs, spec_of,
};
use procession::{RunError, Runtime};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

fn inputs(namespace: PortNamespace) -> ProcessSpec {
    ProcessSpec::new("Relax").with_inputs(namespace)
}

fn root() -> PortNamespace {
    PortNamespace::new("inputs")
}

fn prepared(spec: &ProcessSpec, given: Value) -> PreparedInputs {
    spec.prepare_inputs(InputMap::from(object(given))).expect("valid")
}

fn faults(spec: &ProcessSpec, given: Value) -> Vec<String> {
    match spec.prepare_inputs(InputMap::from(object(given))) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults().iter().map(ToString::to_string).collect(),
    }
}

fn mistakes(spec: &ProcessSpec) -> Vec<String> {
    spec.verify().err().map(|error| error.faults().iter().map(ToString::to_string).collect()).unwrap_or_default()
}

fn names(namespace: &PortNamespace) -> Vec<String> {
    namespace.paths()
}

fn positive() -> Port {
    Port::new::<i64>("steps", "i64").with_check(|n: &i64| match n {
        1.. => Ok(()),
        n => Err(format!("{n} is not positive")),
    })
}

#[test]
fn a_port_checks_presence_then_type_then_its_validator() {
    let spec = inputs(root().port(positive()));
    for (given, expected) in [
        (json!({}), "`steps`: required, but not set"),
        (json!({ "steps": "3" }), "`steps`: expected `i64`: invalid type: string \"3\", expected i64"),
        (json!({ "steps": true }), "`steps`: expected `i64`: invalid type: boolean `true`, expected i64"),
        (json!({ "steps": null }), "`steps`: expected `i64`: invalid type: null, expected i64"),
        (json!({ "steps": -1 }), "`steps`: -1 is not positive"),
    ] {
        assert_eq!(faults(&spec, given), [expected]);
    }
    assert_eq!(faults(&spec, json!({ "steps": 1 })), [""; 0]);
    // Not required: no validator where there is no value.
    let spec = inputs(root().port(positive().optional()));
    assert_eq!(faults(&spec, json!({})), [""; 0]);
    assert_eq!(faults(&spec, json!({ "steps": null })), [""; 0]);
    assert_eq!(faults(&spec, json!({ "steps": 0 })), ["`steps`: 0 is not positive"]);
}

#[test]
fn a_port_of_an_optional_type_takes_null_as_a_value() {
    let port = Port::new::<Option<u8>>("level", "Option<u8>").with_default_value(&Some(3_u8));
    let spec = inputs(root().port(port));
    assert_eq!(prepared(&spec, json!({})).values()["level"], json!(3));
    assert_eq!(prepared(&spec, json!({ "level": null })).values()["level"], json!(null));
}

#[test]
fn faults_of_all_kinds_are_listed_with_dotted_paths() {
    let scf = PortNamespace::new("scf").port(positive()).port(Port::new::<f64>("cutoff", "f64")).namespace(
        PortNamespace::new("grid")
            .port(Port::new::<u8>("x", "u8").with_default_value(&1_u8))
            .with_check(|_: &BTreeMap<String, Value>| Err("the grid is never right".to_owned())),
    );
    let spec = inputs(root().namespace(scf).namespace(PortNamespace::new("extras").dynamic::<f64>("f64")));
    let given = json!({ "scf": { "steps": 0, "cutof": 1.0 }, "extras": { "a": "b" }, "more": 1 });
    assert_eq!(
        faults(&spec, given),
        [
            "`scf.steps`: 0 is not positive",
            "`scf.cutoff`: required, but not set",
            "`scf.grid`: the grid is never right",
            "`scf.cutof`: no such port; did you mean `cutoff`?",
            "`extras.a`: expected `f64`: invalid type: string \"b\", expected f64",
            "`more`: no such port",
        ]
    );
    let error = spec.prepare_inputs(InputMap::new()).expect_err("ports are required");
    assert!(error.to_string().starts_with("inputs of `Relax` are not valid: `scf.steps`: required"), "{error}");
}

#[test]
fn a_default_makes_a_port_not_required_whatever_its_value() {
    let namespace = root()
        .port(Port::new::<u32>("zero", "u32").with_default_value(&0_u32))
        .port(Port::new::<bool>("no", "bool").with_default_value(&false))
        .port(Port::new::<String>("empty", "String").with_default_value(""))
        .port(Port::new::<Vec<u8>>("none", "Vec<u8>").with_default(Vec::<u8>::new));
    let spec = inputs(namespace);
    let Some(Entry::Port(zero)) = spec.inputs().get("zero") else { panic!("it is a port") };
    assert!(!zero.is_required() && zero.has_default());
    let expected = json!({ "zero": 0, "no": false, "empty": "", "none": [] });
    assert_eq!(Value::Object(prepared(&spec, json!({})).into_values()), expected);
}

#[test]
fn a_computed_default_is_computed_at_each_launch() {
    let count = std::sync::Arc::new(AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&count);
    let next = move || counted.fetch_add(1, Ordering::Relaxed);
    let port = Port::new::<u32>("seed", "u32")
        .with_default(next)
        .with_check(|n: &u32| if *n < 2 { Ok(()) } else { Err("too late".to_owned()) });
    let spec = inputs(root().port(port));
    // Neither declaring, registering nor describing it computes it.
    assert_eq!((mistakes(&spec).len(), count.load(Ordering::Relaxed)), (0, 0));
    assert!(spec.input_schema()["properties"]["seed"].get("default").is_none());
    assert_eq!(prepared(&spec, json!({})).values()["seed"], json!(0));
    assert_eq!(prepared(&spec, json!({})).values()["seed"], json!(1));
    // What it gives is validated as any value.
    assert_eq!(faults(&spec, json!({})), ["`seed`: too late"]);
    assert_eq!(count.load(Ordering::Relaxed), 3);
    assert_eq!(prepared(&spec, json!({ "seed": 1 })).values()["seed"], json!(1));
    assert_eq!(count.load(Ordering::Relaxed), 3, "a value that is given is no reason to compute another");
}

const NO_STEPS: u32 = 0;

#[process]
#[derive(Debug, Default)]
struct WrongDefault {}
spec! { WrongDefault {
    input steps: u32 = NO_STEPS, check(|n| *n > 0, "must be positive");
    input options { queue: String = "normal", check(|name| name.len() < 3, "too long"); }
    input seed: u32 = u32::from(true) - 1, check(|n| *n > 0, "computed, so that nobody knows yet");
}}
outline! { WrongDefault { run; } }
impl WrongDefault {
    fn run(&self) {}
}

#[tokio::test]
async fn a_default_that_is_not_valid_is_refused_when_the_process_is_registered() {
    let refused = Runtime::volatile().register::<WrongDefault>().build().await;
    let Err(RunError::Registry(RegistryError::Declaration(error))) = refused else { panic!("it is refused") };
    let found: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "`inputs.steps`: the default is not valid: must be positive",
            "`inputs.options.queue`: the default is not valid: too long",
        ]
    );
    assert!(error.to_string().starts_with("the ports of `WrongDefault` are not declared rightly: `inputs.steps`"));
    // A computed one is a fault of the launch that uses it.
    let launch = spec_of::<WrongDefault>().check_inputs(&object(json!({ "steps": 1, "options": { "queue": "q" } })));
    assert_eq!(launch.expect_err("not valid").faults()[0].to_string(), "`seed`: computed, so that nobody knows yet");
}

#[test]
fn a_panic_in_a_default_or_validator_is_a_fault_of_its_port() {
    let panics = |text: &'static str| move |_: &u8| panic!("{text}");
    let namespace = PortNamespace::new("n").dynamic::<u8>("u8").with_check(|n: &BTreeMap<String, u8>| match n.len() {
        0 => Ok(()),
        _ => panic!("three"),
    });
    let spec = inputs(
        root()
            .port(Port::new::<u8>("a", "u8").with_check(panics("one")))
            .port(Port::new::<u8>("b", "u8").with_default(|| -> u8 { panic!("two") }))
            .namespace(namespace)
            .port(Port::new::<u8>("c", "u8")),
    );
    assert_eq!(
        faults(&spec, json!({ "a": 1, "n": { "x": 1 } })),
        [
            "`a`: its type, default or validator panicked: one",
            "`b`: its type, default or validator panicked: two",
            "`n`: its type, default or validator panicked: three",
            "`c`: required, but not set",
        ]
    );
}

#[test]
fn entries_are_in_the_order_of_their_declaration() {
    let namespace = root().port(Port::new::<u8>("z", "u8")).port(Port::new::<u8>("a", "u8"));
    let namespace = namespace.namespace(PortNamespace::new("m").port(Port::new::<u8>("b", "u8")));
    assert_eq!(names(&namespace), ["z", "a", "m", "m.b"]);
    // One of the same name takes the place of the other.
    let namespace = namespace.port(Port::new::<String>("z", "String"));
    let Some(Entry::Port(z)) = namespace.get("z") else { panic!("it is a port") };
    assert_eq!((names(&namespace).len(), z.type_name()), (4, "String"));
}

#[test]
fn a_type_makes_a_namespace_dynamic_and_it_can_be_taken_back() {
    let namespace = PortNamespace::new("extras");
    assert!(!namespace.is_dynamic());
    let namespace = namespace.dynamic::<f64>("f64");
    assert_eq!((namespace.is_dynamic(), namespace.dynamic_type()), (true, Some("f64")));
    assert!(!namespace.not_dynamic().is_dynamic());
}

#[test]
fn ports_are_found_by_dotted_names_and_near_ones_are_told() {
    let scf = PortNamespace::new("scf").namespace(PortNamespace::new("grid").port(Port::new::<u8>("spacing", "u8")));
    let inputs = root().namespace(scf).port(Port::new::<u8>("steps", "u8"));
    assert_eq!(inputs.find("scf.grid.spacing").map(Entry::name), Ok("spacing"));
    for (path, expected) in [
        ("scf.grid.spacin", "`inputs` has no port `scf.grid.spacin`; did you mean `scf.grid.spacing`?"),
        ("step", "`inputs` has no port `step`; did you mean `steps`?"),
        ("steps.x", "`inputs` has no port `steps.x`; did you mean `steps`?"),
        ("nothing.like.it.at.all", "`inputs` has no port `nothing.like.it.at.all`"),
        ("", "`inputs` has no port ``"),
    ] {
        let error = inputs.find(path).expect_err("there is no such port");
        assert_eq!((error.to_string().as_str(), error.path()), (expected, path));
    }
}

#[test]
fn dotted_names_create_the_namespaces_on_the_way() {
    let namespace = root()
        .port(Port::new::<u8>("a.b.c", "u8"))
        .port(Port::new::<u8>("a.d", "u8"))
        .namespace(PortNamespace::new("a.b").with_help("Help.").port(Port::new::<u8>("e", "u8")));
    assert_eq!(names(&namespace), ["a", "a.b", "a.b.c", "a.b.e", "a.d"]);
    let Some(Entry::Namespace(b)) = namespace.get("a.b") else { panic!("it is a namespace") };
    assert_eq!((b.name(), b.help(), b.is_required(), b.is_dynamic()), ("b", "Help.", true, false));
    let spec = inputs(namespace);
    assert_eq!(mistakes(&spec), [""; 0]);
    assert_eq!(faults(&spec, json!({ "a": { "b": { "c": 1, "e": 2 } } })), ["`a.d`: required, but not set"]);
}

#[test]
fn a_port_in_the_way_and_an_empty_name_are_mistakes_of_the_declaration() {
    let namespace = root()
        .port(Port::new::<u8>("a", "u8"))
        .port(Port::new::<u8>("a.b", "u8"))
        .namespace(PortNamespace::new("a"))
        .namespace(PortNamespace::new("n"))
        .port(Port::new::<u8>("n", "u8"))
        .port(Port::new::<u8>("n..x", "u8"))
        .port(Port::new::<u8>("", "u8"));
    assert_eq!(
        mistakes(&inputs(namespace)),
        [
            "`inputs.a`: is a port: there is no namespace for `a.b`",
            "`inputs.a`: is declared as a port, and again as a namespace",
            "`inputs.n`: is declared as a namespace, and again as a port",
            "`inputs.n..x`: a name of a port is not empty, and neither are its parts between dots",
            "`inputs`: a name of a port is not empty, and neither are its parts between dots",
        ]
    );
}

#[test]
fn namespaces_are_validated_from_ports_to_the_rest_to_their_own_validator() {
    let check = |values: &BTreeMap<String, Value>| match values.len() {
        0..=2 => Ok(()),
        _ => Err("at most two".to_owned()),
    };
    let namespace = || PortNamespace::new("n").port(Port::new::<u8>("a", "u8").optional());
    let closed = inputs(root().namespace(namespace().with_check(check)));
    assert_eq!(faults(&closed, json!({ "n": { "b": 1 } })), ["`n.b`: no such port"]);
    assert_eq!(faults(&closed, json!({ "n": [] })), ["`n`: expected a namespace (an object), got an array"]);
    assert_eq!(faults(&closed, json!({ "n": 0 })), ["`n`: expected a namespace (an object), got a number"]);
    assert_eq!(faults(&closed, json!({ "n": null })), [""; 0]);
    // Declared ports beside dynamic ones; the validator of the whole is not asked while something in it is wrong.
    let open = inputs(root().namespace(namespace().dynamic::<f64>("f64").with_check(check)));
    let wrong = json!({ "n": { "a": 1, "b": "x", "c": 1.0 } });
    assert_eq!(faults(&open, wrong), ["`n.b`: expected `f64`: invalid type: string \"x\", expected f64"]);
    assert_eq!(faults(&open, json!({ "n": { "a": 1, "b": 1.0, "c": 1.0 } })), ["`n`: at most two"]);
    assert_eq!(faults(&open, json!({ "n": { "a": 1, "b": 1.0 } })), [""; 0]);
    // A value of a dynamic namespace is of its type as it stands: a tree of them is another type.
    let tree = json!({ "n": { "b": { "c": 1.0 } } });
    assert_eq!(faults(&open, tree.clone()), ["`n.b`: expected `f64`: invalid type: map, expected f64"]);
    let trees = namespace().dynamic::<BTreeMap<String, f64>>("BTreeMap<String, f64>");
    assert_eq!(faults(&inputs(root().namespace(trees)), tree), [""; 0]);
    let anything = inputs(root().dynamic::<Value>("Value"));
    assert_eq!(faults(&anything, json!({ "x": { "y": [1, null] } })), [""; 0]);
}

#[test]
fn an_optional_namespace_is_valid_where_it_is_empty() {
    let spec = inputs(root().namespace(PortNamespace::new("n").optional().port(Port::new::<u8>("a", "u8"))));
    assert_eq!(prepared(&spec, json!({})).values().get("n"), None);
    assert_eq!(prepared(&spec, json!({ "n": {} })).values()["n"], json!({}));
    assert_eq!(faults(&spec, json!({ "n": { "b": 1 } })).len(), 2);
    // With a default in it, an empty one is filled in and not empty any more.
    let defaulted = PortNamespace::new("n").port(Port::new::<u8>("b", "u8").with_default_value(&1_u8)).optional();
    let spec = inputs(root().namespace(defaulted.port(Port::new::<u8>("a", "u8"))));
    assert_eq!(faults(&spec, json!({ "n": {} })), ["`n.a`: required, but not set"]);
}

#[test]
fn defaults_are_filled_in_as_the_namespace_says() {
    let with = |namespace: PortNamespace| {
        inputs(root().namespace(namespace.port(Port::new::<u8>("b", "u8").with_default_value(&1_u8))))
    };
    let n = || PortNamespace::new("n");
    for (spec, expected) in [
        (with(n()), json!({ "n": { "b": 1 } })),
        (with(n().required(false)), json!({ "n": { "b": 1 } })),
        (with(n().populate_defaults(false)), json!({})),
        (with(n().optional()), json!({})),
    ] {
        assert_eq!(Value::Object(prepared(&spec, json!({})).into_values()), expected);
        // Where something is given, defaults are filled in anyway.
        assert_eq!(prepared(&spec, json!({ "n": {} })).values()["n"], json!({ "b": 1 }));
    }
    let needs = with(n().populate_defaults(false).port(Port::new::<u8>("a", "u8")));
    assert_eq!(faults(&needs, json!({})), ["`n.a`: required, but not set"]);
    // Without ports there is nothing to fill in.
    let empty = inputs(root().namespace(n().dynamic::<u8>("u8")));
    assert_eq!(Value::Object(prepared(&empty, json!({})).into_values()), json!({}));
    assert_eq!(Value::Object(prepared(&empty, json!({ "n": {} })).into_values()), json!({ "n": {} }));
}

#[test]
fn a_namespace_can_have_a_default_of_its_own() {
    let values = |value: Value| InputMap::from(object(value));
    let n = PortNamespace::new("n").port(Port::new::<u8>("a", "u8"));
    let spec = inputs(root().namespace(n.clone().with_default(values(json!({ "a": 7 })))));
    let left_out = prepared(&spec, json!({}));
    assert_eq!(
        (left_out.values()["n"].clone(), left_out.defaulted()),
        (json!({ "a": 7 }), ["n".to_owned()].as_slice())
    );
    assert_eq!(faults(&spec, json!({ "n": {} })), ["`n.a`: required, but not set"]);
    let wrong = inputs(root().namespace(n.with_default(values(json!({ "b": 7 })))));
    assert_eq!(
        mistakes(&wrong),
        [
            "`inputs.n.a`: the default is not valid: required, but not set",
            "`inputs.n.b`: the default is not valid: no such port",
        ]
    );
}

#[test]
fn raw_inputs_are_what_was_passed() {
    let default = |name: &'static str| Port::new::<u8>(name, "u8").with_default_value(&1_u8);
    let inner = PortNamespace::new("inner").port(default("d")).port(Port::new::<u8>("e", "u8").optional());
    let whole = PortNamespace::new("whole").port(default("f")).namespace(PortNamespace::new("g").port(default("h")));
    let extras = PortNamespace::new("extras").dynamic::<u8>("u8").port(default("known"));
    let spec = inputs(root().port(default("a")).port(default("b")).namespace(inner).namespace(whole).namespace(extras));
    let given = json!({ "b": 2, "inner": { "e": 3 }, "extras": { "x.y": 4 } });
    let prepared = prepared(&spec, given.clone());
    let expected = json!({
        "a": 1, "b": 2, "inner": { "d": 1, "e": 3 }, "whole": { "f": 1, "g": { "h": 1 } },
        "extras": { "known": 1, "x.y": 4 },
    });
    assert_eq!(Value::Object(prepared.values().clone()), expected);
    assert_eq!(prepared.defaulted(), ["a", "inner.d", "whole", "extras.known"]);
    assert_eq!(Value::Object(prepared.raw()), given);
    // The same from what a store has of it.
    let (values, defaulted) = prepared.into_parts();
    assert_eq!(Value::Object(raw_inputs(&values, &defaulted)), given);
    // A value that is the default's is given all the same.
    assert_eq!(Value::Object(self::prepared(&spec, json!({ "a": 1 })).raw()), json!({ "a": 1 }));
}

#[test]
fn projection_keeps_what_is_declared_on_all_levels() {
    let inner = PortNamespace::new("inner").port(Port::new::<u8>("a", "u8"));
    let namespace = root()
        .port(Port::new::<Value>("b", "Value"))
        .namespace(inner)
        .namespace(PortNamespace::new("extras").dynamic::<u8>("u8").port(Port::new::<u8>("c", "u8")));
    let values = json!({
        "b": { "any": 1 }, "other": 1, "inner": { "a": 1, "z": 2 }, "extras": { "c": 1, "d": 2 },
    });
    let expected = json!({ "b": { "any": 1 }, "inner": { "a": 1 }, "extras": { "c": 1, "d": 2 } });
    assert_eq!(Value::Object(namespace.project(&object(values))), expected);
}

/// What is absorbed in the tests below.
fn source() -> PortNamespace {
    let sub = PortNamespace::new("sub")
        .port(Port::new::<u8>("x", "u8"))
        .port(Port::new::<u8>("y", "u8"))
        .with_check(|_: &BTreeMap<String, Value>| Err("never".to_owned()));
    PortNamespace::new("inputs")
        .with_help("The source.")
        .port(Port::new::<u8>("a", "u8").with_help("A."))
        .namespace(sub)
        .namespace(PortNamespace::new("subway").port(Port::new::<u8>("z", "u8")))
}

#[test]
fn absorbing_follows_include_and_exclude() {
    let absorbed = |include: &'static [&'static str], exclude: &'static [&'static str]| {
        names(&PortNamespace::new("n").absorb(&source(), Expose { include, exclude }))
    };
    let all = ["a", "sub", "sub.x", "sub.y", "subway", "subway.z"];
    assert_eq!(absorbed(&[], &[]), all);
    assert_eq!(absorbed(&[], &["sub"]), ["a", "subway", "subway.z"]);
    assert_eq!(absorbed(&[], &["sub.x"]), ["a", "sub", "sub.y", "subway", "subway.z"]);
    assert_eq!(absorbed(&["sub"], &[]), ["sub", "sub.x", "sub.y"]);
    assert_eq!(absorbed(&["a", "sub.y"], &[]), ["a", "sub", "sub.y"]);
    // Not by prefix of the text, which plumpy does.
    assert_eq!(absorbed(&["subway"], &[]), ["subway", "subway.z"]);
}

#[test]
fn rules_that_name_nothing_or_contradict_are_mistakes() {
    let wrong = |include: &'static [&'static str], exclude: &'static [&'static str]| {
        let n = PortNamespace::new("n").absorb(&source(), Expose { include, exclude });
        mistakes(&inputs(root().namespace(n)))
    };
    assert_eq!(wrong(&[], &["sub.x", "a"]), [""; 0]);
    assert_eq!(
        wrong(&[], &["sub.xx", "walltime"]),
        [
            "`inputs.n`: `exclude` names `sub.xx`, which is not exposed here; did you mean `sub.x`?",
            "`inputs.n`: `exclude` names `walltime`, which is not exposed here",
        ]
    );
    assert_eq!(wrong(&["a"], &["sub"]), ["`inputs.n`: ports are exposed by either `include` or `exclude`, not both"]);
}

#[test]
fn absorbing_takes_attributes_that_are_not_set_here() {
    let source = source().optional().dynamic::<f64>("f64").with_default(InputMap::new());
    let plain = PortNamespace::new("n").absorb(&source, Expose::default());
    let attributes = |n: &PortNamespace| {
        (n.help(), n.is_required(), n.populates_defaults(), n.dynamic_type(), n.default_values().is_some())
    };
    assert_eq!(attributes(&plain), ("The source.", false, false, Some("f64"), true));
    let own = |n: PortNamespace| n.with_help("Own.").required(true).populate_defaults(true).not_dynamic();
    // Set before or after: it is the same.
    let before = own(PortNamespace::new("n")).absorb(&source, Expose::default());
    let after = own(PortNamespace::new("n").absorb(&source, Expose::default()));
    for n in [before, after] {
        assert_eq!(attributes(&n), ("Own.", true, true, None, true));
    }
}

#[test]
fn absorbed_ports_replace_those_of_the_same_name_and_are_copies() {
    let source = source();
    let own = PortNamespace::new("n").port(Port::new::<String>("a", "String")).port(Port::new::<u8>("own", "u8"));
    let n = own.absorb(&source, Expose { exclude: &["sub", "subway"], ..Expose::default() });
    let Some(Entry::Port(a)) = n.get("a") else { panic!("it is a port") };
    assert_eq!((names(&n), a.type_name(), a.help()), (vec!["a".to_owned(), "own".to_owned()], "u8", "A."));
    let changed = n.port(Port::new::<u8>("sub.w", "u8"));
    assert!(changed.get("sub.w").is_some() && source.get("sub.w").is_none());
}

#[test]
fn a_validator_of_a_namespace_comes_along_only_with_all_its_ports() {
    let given = json!({ "n": { "a": 1, "sub": { "x": 1, "y": 1 }, "subway": { "z": 1 } } });
    let n = PortNamespace::new("n").absorb(&source(), Expose::default());
    assert_eq!(faults(&inputs(root().namespace(n)), given.clone()), ["`n.sub`: never"]);
    let part = PortNamespace::new("n").absorb(&source(), Expose { exclude: &["sub.x"], ..Expose::default() });
    let mut given = given;
    given["n"]["sub"] = json!({ "y": 1 });
    assert_eq!(faults(&inputs(root().namespace(part)), given), [""; 0]);
}

#[test]
fn outputs_are_checked_one_by_one_and_as_a_whole() {
    let forces = PortNamespace::new("forces").dynamic::<f64>("f64").port(Port::new::<u8>("count", "u8"));
    let spec = ProcessSpec::new("Relax").with_outputs(PortNamespace::new("outputs").namespace(forces));
    let check =
        |path: &str, value: Value| spec.check_output(path, &value).err().map(|error| error.faults()[0].to_string());
    assert_eq!(check("forces.x", json!(1.0)), None);
    assert_eq!(check("forces.count", json!(1)), None);
    for (path, value, expected) in [
        ("forces.x", json!("1"), "`forces.x`: expected `f64`: invalid type: string \"1\", expected f64"),
        ("forces.count", json!(-1), "`forces.count`: expected `u8`: invalid value: integer `-1`, expected u8"),
        ("force", json!(1), "`force`: no such port; did you mean `forces`?"),
        ("forces", json!(1), "`forces`: is a namespace, got a number"),
        ("forces.count.x", json!(1), "`forces.count.x`: `count` is a port, not a namespace"),
    ] {
        assert_eq!(check(path, value).as_deref(), Some(expected));
    }
    assert_eq!(spec.check_outputs(&Map::new()).map_err(|error| error.faults().len()), Err(1));
}

#[test]
fn a_spec_is_built_once_per_type_and_does_not_change() {
    let spec: &'static ProcessSpec = spec_of::<WrongDefault>();
    assert!(std::ptr::eq(spec, spec_of::<WrongDefault>()));
    assert_eq!((spec.inputs().name(), spec.outputs().name()), ("inputs", "outputs"));
}
