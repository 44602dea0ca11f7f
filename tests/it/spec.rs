//! What `spec!` describes: inputs by name and by builder go through the same rules.

use procession::process::{
    Ahead, BoxError, BoxFuture, ContextError, Cx, FieldReader, FieldWriter, Flow, Hooks, Next, PointError, Process,
    StepEnd,
};
use procession::spec;
use procession::spec::{
    Entry, ExitCodes, InputMap, Launch, PortReader, PortValues, PortWriter, PreparedInputs, Spec, SpecError, spec_of,
};
use serde_json::{Map, Value, json};

#[derive(Default)]
struct Scf;
#[derive(Default)]
struct Relax;
#[derive(Default)]
struct Top;

spec! { Scf {
    /// What to start from.
    input structure: String;
    input cutoff: f64 = 40.0, check(|c| *c > 0.0, "must be positive");
    input options { walltime: u64; queue: String = "normal"; check(|o| o.walltime > 0 || o.queue == "free", "no time"); }
    output energy: f64;
    output forces: optional<Vec<f64>>;
    exit 300 Lost "lost";
}}

// A validator takes a reference, whatever the type.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn small(steps: &u32) -> Result<(), String> {
    if *steps < 1000 { Ok(()) } else { Err(format!("{steps} are too many")) }
}

spec! {
/// Relaxes a structure.
Relax {
    input structure: String;
    input steps: u32 = 2 * 5, check(|n| *n > 0, "must be positive"), check(small);
    input note: optional<String>;
    input limits: optional { depth: u8; width: u8 = 3; }
    input extras: dynamic<u32>, check(|all| all.len() < 4, "at most three");
    expose inputs of Scf as scf { exclude: structure };
    expose inputs of Scf as rough { include: cutoff, options.queue; optional; help: "A first guess." }
    check(|inputs| inputs.steps < 100 || inputs.note.is_some(), "many steps need a note");
    output structure: String;
    output energies: dynamic<f64>;
    expose outputs of Scf as last;
    exit 410 NotConverged "no convergence within the step limit";
    /// Stuck.
    exit 411 Stalled "stalled";
}}

spec! { Top {
    expose inputs of Relax as relax { exclude: scf.options, steps };
    expose outputs of Relax { exclude: last };
}}

macro_rules! without_steps {
    ($($name:ident)*) => { $(
        impl Flow for $name {
            type Point = ();
            type Next = Next<Self>;
            type Wait = Next<Self>;
            const POINTS: &'static [&'static str] = &[];
            fn point_name((): &()) -> &'static str {
                ""
            }
            fn point(name: &str, _: Map<String, Value>) -> Result<(), PointError> {
                Err(PointError::unknown::<Self>(name))
            }
            fn ahead(&self, _: &Cx<Self>, _: Option<&()>) -> Result<Ahead<()>, BoxError> {
                Ok(Ahead::End)
            }
            fn step<'a>(&'a mut self, _: &'a mut Cx<Self>, (): ()) -> BoxFuture<'a, StepEnd<Self>> {
                Box::pin(async { StepEnd::new(Err("there are no steps".into())) })
            }
        }
        impl Hooks for $name {}
        impl Process for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [&'static str] = &[];
            fn save(&self, _: &mut FieldWriter<'_>) -> Result<(), ContextError> {
                Ok(())
            }
            fn load(_: FieldReader<'_>) -> Result<Self, ContextError> {
                Ok(Self)
            }
        }
    )* };
}
without_steps!(Scf Relax Top);

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

fn ready(prepared: PreparedInputs) -> Value {
    Value::Object(prepared.into_values())
}

fn prepare<P: Spec>(inputs: Value) -> Result<Value, SpecError> {
    spec_of::<P>().prepare_inputs(InputMap::from(object(inputs))).map(ready)
}

#[track_caller]
fn refused<P: Spec>(inputs: Value, expected: &[&str]) {
    let error = prepare::<P>(inputs).expect_err("these inputs are not valid");
    let faults: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults, expected);
}

fn read<N: PortValues>(values: &Value) -> N {
    N::read(&mut PortReader::new(object(values.clone()))).expect("validated values can be read")
}

fn write<N: PortValues>(values: &N) -> Value {
    let mut ports = PortWriter::new();
    values.write(&mut ports);
    let map = ports.finish().unchecked::<Relax>().into_inputs();
    // The only public way to the values is through a spec without rules.
    procession::spec::ProcessSpec::new("any")
        .with_inputs(procession::spec::PortNamespace::new("inputs").dynamic::<Value>("Value"))
        .prepare_inputs(map)
        .map(ready)
        .expect("anything goes")
}

#[test]
fn all_faults_are_reported_at_once_with_their_paths() {
    refused::<Relax>(
        json!({ "steps": 0, "nte": "x", "extras": { "a": "b" }, "scf": { "cutoff": -1.0, "options": { "walltime": "long" } } }),
        &[
            "`structure`: required, but not set",
            "`steps`: must be positive",
            "`extras.a`: expected `u32`: invalid type: string \"b\", expected u32",
            "`scf.cutoff`: must be positive",
            "`scf.options.walltime`: expected `u64`: invalid type: string \"long\", expected u64",
            "`nte`: no such port; did you mean `note`?",
        ],
    );
    refused::<Relax>(
        json!({ "structure": "s", "steps": 5000, "scf": { "structure": "s", "options": { "walltime": 1 } } }),
        &["`steps`: 5000 are too many", "`scf.structure`: no such port"],
    );
    refused::<Relax>(json!({ "structure": "s", "scf": 3 }), &["`scf`: expected a namespace (an object), got a number"]);
}

#[test]
fn validators_of_namespaces_see_typed_values() {
    let valid = json!({ "structure": "s", "scf": { "options": { "walltime": 1 } } });
    let with = |path: &str, value: Value| {
        let mut inputs = valid.clone();
        *inputs.pointer_mut(path).expect("it is there") = value;
        inputs
    };
    refused::<Relax>(with("/scf/options", json!({ "walltime": 0 })), &["`scf.options`: no time"]);
    let mut many = valid.clone();
    many["steps"] = json!(200);
    refused::<Relax>(many.clone(), &["many steps need a note"]);
    many["note"] = json!("why");
    assert!(prepare::<Relax>(many).is_ok());
    let mut full = valid;
    full["extras"] = json!({ "a": 1, "b": 2, "c": 3, "d": 4 });
    refused::<Relax>(full, &["`extras`: at most three"]);
}

#[test]
fn defaults_are_filled_in_but_not_into_what_is_optional() {
    let inputs = json!({ "structure": "s", "scf": { "options": { "walltime": 7 } } });
    let prepared = prepare::<Relax>(inputs).expect("valid");
    let expected = json!({
        "structure": "s", "steps": 10,
        "scf": { "cutoff": 40.0, "options": { "walltime": 7, "queue": "normal" } },
    });
    assert_eq!(prepared, expected);
    let inputs: RelaxInputs = read(&prepared);
    assert_eq!((inputs.steps, inputs.scf.options.queue.as_str()), (10, "normal"));
    assert!(inputs.note.is_none() && inputs.limits.is_none() && inputs.rough.is_none() && inputs.extras.is_empty());
    let given = json!({
        "structure": "s", "limits": { "depth": 1 }, "rough": {}, "scf": { "options": { "walltime": 7 } },
    });
    let inputs: RelaxInputs = read(&prepare::<Relax>(given).expect("valid"));
    assert_eq!(inputs.limits.map(|limits| (limits.depth, limits.width)), Some((1, 3)));
    assert_eq!(inputs.rough.map(|rough| (rough.cutoff, rough.options.queue)), Some((40.0, "normal".to_owned())));
}

#[test]
fn the_builder_gives_what_json_gives() {
    let built = Relax::inputs()
        .structure("s")
        .steps(20)
        .note("n")
        .limits(|limits| limits.depth(1))
        .extras("a", 1)
        .extras_from([("b", 2)])
        .scf(|scf| scf.options(|options| options.queue("fast")))
        .scf(|scf| scf.cutoff(30.0).options(|options| options.walltime(5)));
    let prepared = spec_of::<Relax>().prepare_inputs(built.into_inputs()).map(ready).expect("valid");
    let json = json!({
        "structure": "s", "steps": 20, "note": "n", "limits": { "depth": 1 }, "extras": { "a": 1, "b": 2 },
        "scf": { "cutoff": 30.0, "options": { "walltime": 5, "queue": "fast" } },
    });
    assert_eq!(prepared, prepare::<Relax>(json).expect("valid"));
}

#[test]
fn values_are_read_as_they_were_written() {
    let given = json!({
        "structure": "s", "steps": 3, "note": "n", "limits": { "depth": 1, "width": 2 }, "extras": { "a": 1 },
        "scf": { "cutoff": 30.0, "options": { "walltime": 5, "queue": "q" } },
        "rough": { "cutoff": 1.0, "options": { "queue": "r" } },
    });
    let inputs: RelaxInputs = read(&given);
    assert_eq!(write(&inputs), given);
    assert_eq!(serde_json::to_value(&inputs).expect("JSON"), given);
    let outputs = json!({ "structure": "s", "energies": { "a": 1.0 }, "last": { "energy": 2.0, "forces": [1.0] } });
    let read: RelaxOutputs = serde_json::from_value(outputs.clone()).expect("outputs");
    assert_eq!(read.last.forces.as_deref(), Some([1.0].as_slice()));
    assert_eq!(write(&read), outputs);
    assert_eq!(
        format!("{read:?}"),
        r#"RelaxOutputs { energies: {"a":1.0}, last: {"energy":2.0,"forces":[1.0]}, structure: "s" }"#
    );
}

#[test]
fn exposed_values_start_the_inputs_of_the_child() {
    let inputs = json!({ "structure": "s", "scf": { "cutoff": 30.0, "options": { "walltime": 5 } } });
    let inputs: RelaxInputs = read(&prepare::<Relax>(inputs).expect("valid"));
    let child = Scf::inputs_from(&inputs.scf).structure("t").into_inputs();
    let prepared = spec_of::<Scf>().prepare_inputs(child).map(ready).expect("valid");
    let expected = json!({ "structure": "t", "cutoff": 30.0, "options": { "walltime": 5, "queue": "normal" } });
    assert_eq!(prepared, expected);
}

#[test]
fn exposed_ports_of_exposed_ports_follow_both_rules() {
    let names = |path: &str| match spec_of::<Top>().inputs().get(path) {
        Some(Entry::Namespace(namespace)) => namespace.entries().iter().map(|e| e.name().to_owned()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(names("relax"), ["structure", "note", "limits", "extras", "scf", "rough"]);
    assert_eq!(
        (names("relax.scf"), names("relax.rough.options")),
        (vec!["cutoff".to_owned()], vec!["queue".to_owned()])
    );
    let outputs: Vec<&str> = spec_of::<Top>().outputs().entries().iter().map(Entry::name).collect();
    assert_eq!(outputs, ["structure", "energies"]);
    let top = Top::inputs().relax(|relax| relax.structure("s").scf(|scf| scf.cutoff(1.0))).into_inputs();
    let prepared = spec_of::<Top>().prepare_inputs(top).map(ready).expect("valid");
    let top: TopInputs = read(&prepared);
    let relax = Relax::inputs_from(&top.relax).scf(|scf| scf.options(|options| options.walltime(1))).into_inputs();
    assert!(spec_of::<Relax>().prepare_inputs(relax).is_ok());
}

#[test]
fn the_description_tells_types_defaults_and_help() {
    let spec = spec_of::<Relax>();
    assert_eq!((spec.process(), spec.help()), ("Relax", "Relaxes a structure."));
    let Some(Entry::Port(steps)) = spec.inputs().get("steps") else { panic!("`steps` is a port") };
    assert_eq!((steps.type_name(), steps.default_value()), ("u32", Some(json!(10))));
    let Some(Entry::Port(structure)) = spec_of::<Scf>().inputs().get("structure") else { panic!("it is a port") };
    assert!(structure.is_required() && structure.help() == "What to start from.");
    let Some(Entry::Namespace(rough)) = spec.inputs().get("rough") else { panic!("`rough` is a namespace") };
    assert_eq!((rough.is_required(), rough.help()), (false, "A first guess."));
    let exits: Vec<String> = spec.exits().iter().map(ToString::to_string).collect();
    assert_eq!(exits, ["NotConverged (410): no convergence within the step limit", "Stalled (411): stalled"]);
    assert_eq!(RelaxExit::from_number(411), Some(RelaxExit::Stalled));
}

#[test]
fn outputs_are_checked_at_the_end() {
    let check = |outputs: Value| {
        let result = spec_of::<Relax>().check_outputs(&object(outputs));
        result.err().map(|error| error.faults().iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(check(json!({ "structure": "s", "last": { "energy": 1.0 } })), None);
    let expected = ["`structure`: required, but not set", "`last.energy`: required, but not set"];
    assert_eq!(check(json!({ "energies": { "a": 1.0 } })), Some(expected.map(str::to_owned).to_vec()));
}
