//! Texts as values, by ports of every kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use procession_runtime::spec::{JsonSchema, Port, PortNamespace, ProcessSpec, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{example, inputs};

/// A type that says nothing of its JSON.
#[derive(Deserialize)]
enum Mode {
    Fast,
    #[expect(dead_code, reason = "it is only read")]
    Careful(u8),
}

fn port<T: DeserializeOwned + JsonSchema>(name: &'static str, type_name: &'static str) -> Port {
    Port::new::<T>(name, type_name).with_schema(Schema::of::<T>())
}

fn spec() -> ProcessSpec {
    let options = PortNamespace::new("options")
        .port(port::<Duration>("walltime", "Duration").optional())
        .port(port::<String>("queue", "String").with_default_value("normal"));
    let all = PortNamespace::new("inputs")
        .port(port::<String>("name", "String"))
        .port(port::<u32>("steps", "u32").with_default_value(&10_u32).with_check(positive))
        .port(port::<f64>("rate", "f64").optional())
        .port(port::<bool>("dry", "bool").optional())
        .port(port::<String>("note", "String").optional())
        .port(port::<Option<String>>("comment", "Option<String>").with_default_value("some"))
        .port(port::<PathBuf>("path", "PathBuf").optional())
        .port(port::<Vec<f64>>("chain", "Vec<f64>").optional())
        .port(port::<BTreeMap<String, u8>>("counts", "BTreeMap<String, u8>").optional())
        .port(Port::new::<Mode>("mode", "Mode").optional())
        .namespace(options)
        .namespace(PortNamespace::new("extras").dynamic_with::<f64>("f64", Schema::of::<f64>()));
    ProcessSpec::new("Every").with_inputs(all)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as validators are")]
fn positive(steps: &u32) -> Result<(), String> {
    if *steps > 0 { Ok(()) } else { Err("must be positive".to_owned()) }
}

/// What is read of some arguments, beside the one port that has to be given.
fn read(given: &[&str]) -> Value {
    let given: Vec<String> = std::iter::once("name=x").chain(given.iter().copied()).map(str::to_owned).collect();
    let mut values = inputs(&spec(), &given, Map::new()).unwrap();
    values.remove("name");
    values.into()
}

/// The faults of some arguments, as they are told.
fn faults(given: &[&str]) -> Vec<String> {
    let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
    let faults = inputs(&spec(), &given, Map::new()).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_text_is_what_the_type_of_its_port_says() {
    assert_eq!(read(&["steps=5", "rate=1e-3", "dry=true"]), json!({ "steps": 5, "rate": 1e-3, "dry": true }));
    // Texts are what they are, whatever they look like.
    for text in ["5", "true", "", "a=b", "\"quoted\"", "{}"] {
        assert_eq!(read(&[&format!("note={text}")]), json!({ "note": text }));
    }
    assert_eq!(read(&["path=/a/b"]), json!({ "path": "/a/b" }));
    assert_eq!(read(&["chain=[1, 2.5]", "counts={\"a\": 1}"]), json!({ "chain": [1, 2.5], "counts": { "a": 1 } }));
    assert_eq!(read(&["options.walltime=1h 30m"])["options"]["walltime"], json!({ "secs": 5_400, "nanos": 0 }));
    assert_eq!(read(&["options={\"queue\": \"fast\"}"]), json!({ "options": { "queue": "fast" } }));
    assert_eq!(read(&["extras.mixing=0.4", "extras.other=1"]), json!({ "extras": { "mixing": 0.4, "other": 1 } }));
}

#[test]
fn a_type_that_says_nothing_is_tried_as_json_and_as_text() {
    assert_eq!(read(&["mode=Fast"]), json!({ "mode": "Fast" }));
    assert_eq!(read(&["mode={\"Careful\": 3}"]), json!({ "mode": { "Careful": 3 } }));
}

#[test]
fn a_word_says_that_there_is_nothing() {
    for word in ["none", "null"] {
        assert_eq!(read(&[&format!("rate={word}"), &format!("note={word}")]), json!({ "rate": null, "note": null }));
        assert_eq!(read(&[&format!("comment={word}")]), json!({ "comment": null }));
        // A text with a default is any text.
        assert_eq!(read(&[&format!("options.queue={word}")]), json!({ "options": { "queue": word } }));
    }
    assert_eq!(read(&["note:=\"none\""]), json!({ "note": "none" }));
}

#[test]
fn all_faults_are_told_at_once_each_with_its_port() {
    let told =
        faults(&["stepz=1", "steps=many", "queue=fast", "rate=1", "rate=2", "chain=1,2", "word", "name.first=a"]);
    let expected = [
        "`stepz`: no such port; did you mean `steps`?",
        "`steps`: expected `u32`, got `many`",
        "`queue`: no such port; did you mean `options.queue`?",
        "`rate`: given twice",
        "`word` is no `port=value`",
        "`name.first`: `name` is a port and no namespace; give its value as JSON",
    ];
    for fault in expected {
        assert!(told.iter().any(|told| told == fault), "{fault}: {told:#?}");
    }
    assert!(told.iter().any(|told| told.starts_with("`chain`: expected `Vec<f64>` as JSON, got `1,2`: ")), "{told:#?}");
    // What was given and is wrong is not missing as well.
    assert_eq!(told.len(), 7, "{told:#?}");
    assert_eq!(faults(&["steps=0"]), ["`name`: required, but not set", "`steps`: must be positive"]);
    let told =
        faults(&["name=x", "options={}", "options.queue=a", "options.walltime=soon", "extras.a=b", "=1", "a..b=1"]);
    let expected = [
        "`options.queue`: given, and `options` too",
        "`extras.a`: expected `f64`, got `b`",
        "no name of a port",
        "`a..b`: no name of a port",
    ];
    for fault in expected {
        assert!(told.iter().any(|told| told == fault), "{fault}: {told:#?}");
    }
    let told = faults(&["name=x", "options.walltime=soon"]);
    assert_eq!(told, ["`options.walltime`: expected `Duration`, as in `90s` or `1h 30m`, got `soon`"]);
}

#[test]
fn single_values_are_over_those_of_a_file() {
    let file = json!({ "name": "file", "steps": 3, "options": { "queue": "slow", "walltime": null } });
    let given = ["steps=4".to_owned(), "options.queue=fast".to_owned()];
    let values = inputs(&spec(), &given, file.as_object().unwrap().clone()).unwrap();
    let expected = json!({ "name": "file", "steps": 4, "options": { "queue": "fast", "walltime": null } });
    assert_eq!(Value::from(values), expected);
    // What a file has is checked, too.
    let file = json!({ "name": "file", "stepz": 3, "steps": "x" });
    let faults = inputs(&spec(), &given[1..], file.as_object().unwrap().clone()).unwrap_err();
    let faults: Vec<_> = faults.iter().map(|fault| fault.path().to_owned()).collect();
    assert_eq!(faults, ["steps", "stepz"]);
}

#[test]
fn an_example_is_valid() {
    let made = example(&spec());
    assert_eq!(
        Value::from(made.clone()),
        json!({
            "name": "text", "steps": 10, "comment": "some", "options": { "queue": "normal" },
        })
    );
    spec().check_inputs(&made).unwrap();
    // Validators are asked, and nested types made.
    let inputs =
        PortNamespace::new("inputs")
            .port(port::<Vec<f64>>("chain", "Vec<f64>").with_check(|chain: &Vec<f64>| {
                if chain.len() >= 3 { Ok(()) } else { Err("needs three atoms".to_owned()) }
            }))
            .port(port::<(u8, [bool; 2])>("pair", "(u8, [bool; 2])"))
            .port(port::<Duration>("time", "Duration"))
            .port(port::<char>("letter", "char"))
            .port(port::<BTreeMap<String, Vec<Option<i8>>>>("lists", "BTreeMap<String, Vec<Option<i8>>>"))
            .port(Port::new::<u64>("count", "u64").with_check(|count: &u64| {
                if (10..20).contains(count) { Ok(()) } else { Err("from 10 to 19".to_owned()) }
            }));
    let spec = ProcessSpec::new("Nested").with_inputs(inputs);
    spec.check_inputs(&example(&spec)).unwrap();
}
