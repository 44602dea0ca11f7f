//! Ports in nested namespaces and ports of other processes, as `spec!` writes them: rules S78, S87, S89.

use procession::Runtime;
use procession::prelude::*;
use procession::spec::{Entry, InputMap, PortNamespace, SpecError, spec_of};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[process]
#[derive(Debug, Default)]
struct Scf {}
spec! { Scf {
    input structure: String;
    input cutoff: f64 = 40.0;
    input grid.spacing: f64 = 0.1;
    output energy: f64;
}}
outline! { Scf { run => energy; } }
impl Scf {
    fn run(&mut self, cx: &mut Cx<Self>) -> f64 {
        cx.inputs().cutoff + cx.inputs().grid.spacing
    }
}

#[process]
#[derive(Debug, Default)]
struct Phonon {}
spec! { Phonon {
    input structure: String;
    input displacement: f64;
    input modes { count: u8; dynamic<f64>; }
    output frequencies: dynamic<f64>;
}}
outline! { Phonon { run; } }
impl Phonon {
    fn run(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let inputs = cx.inputs();
        let sum = inputs.modes.rest.values().sum::<f64>() * f64::from(inputs.modes.count) + inputs.displacement;
        Ok(cx.out("frequencies.sum", &sum)?)
    }
}

#[process]
#[derive(Debug, Default)]
struct Relax {
    scf: Child<Scf>,
    phonon: Child<Phonon>,
}
spec! { Relax {
    /// The start.
    input structure: String;
    /// Where it runs.
    input machine.options { walltime: u32; check(|options| options.walltime > 0, "no time"); }
    input machine.name: String = "here";
    input machine.options.queue: String = "normal";
    // Two processes in one nested namespace, with ports of its own and one that overrides.
    expose inputs of Scf as work.shared { exclude: structure, cutoff };
    expose inputs of Phonon as work.shared { exclude: structure; help: "For both." }
    input work.shared.cutoff: f64 = 30.0;
    input work.shared.label: optional<String>;
    input dynamic<u64>;
    output results.energy: f64;
    output results.count: optional<u32>;
    expose outputs of Phonon as results.phonon;
    output dynamic<u8>;
}}
outline! { Relax {
    launch;
    if_(many) { both => results.energy, results.phonon from phonon; } else_ { one => results.energy; }
}}
impl Relax {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let inputs = cx.inputs();
        let shared = &inputs.work.shared;
        let scf = Scf::inputs_from(shared).structure(&*inputs.structure).cutoff(shared.cutoff);
        let phonon = Phonon::inputs_from(shared).structure(&*inputs.structure);
        self.scf = cx.launch(scf)?;
        self.phonon = cx.launch(phonon)?;
        Ok(cx.out("launched", &2_u8)?)
    }
    fn many(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().rest.contains_key("many")
    }
    fn both(&mut self) -> Result<f64, StepError> {
        self.one()
    }
    fn one(&mut self) -> Result<f64, StepError> {
        Ok(self.scf.outputs()?.energy)
    }
}

/// Exposes what is exposed, with other values and all, at its top level.
#[process]
#[derive(Debug, Default)]
struct Top {
    relax: Child<Relax>,
}
spec! { Top {
    expose inputs of Relax { exclude: machine.name, work.shared.modes.count };
    expose outputs of Relax { include: results.energy };
}}
outline! { Top { launch; end => results.energy; } }
impl Top {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.relax = cx.launch(
            Relax::inputs_from(cx.inputs()).work(|work| work.shared(|shared| shared.modes(|modes| modes.count(2)))),
        )?;
        Ok(())
    }
    fn end(&mut self) -> Result<f64, StepError> {
        Ok(self.relax.outputs()?.results.energy)
    }
}

/// Overrides what it exposes.
#[derive(Default)]
struct Over;
spec! { Over {
    expose inputs of Scf as scf { exclude: cutoff, structure; optional; help: "Maybe." };
    input scf { cutoff: f64 = 1.0; dynamic<u64>; check(|scf| scf.cutoff < 9.0, "too much"); }
    expose inputs of Phonon as empty { exclude: structure, displacement, modes };
}}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

fn faults<P: procession::spec::Spec>(given: Value) -> Vec<String> {
    let list = |error: SpecError| error.faults().iter().map(ToString::to_string).collect();
    spec_of::<P>().check_inputs(&object(given)).err().map(list).unwrap_or_default()
}

fn namespace<'a>(root: &'a PortNamespace, path: &str) -> &'a PortNamespace {
    match root.find(path) {
        Ok(Entry::Namespace(namespace)) => namespace,
        other => panic!("`{path}` is {other:?}"),
    }
}

#[test]
fn dotted_names_declare_nested_namespaces_that_add_up() {
    let inputs = spec_of::<Relax>().inputs();
    assert_eq!(
        inputs.paths(),
        [
            "structure",
            "machine",
            "machine.options",
            "machine.options.walltime",
            "machine.options.queue",
            "machine.name",
            "work",
            "work.shared",
            "work.shared.grid",
            "work.shared.grid.spacing",
            "work.shared.displacement",
            "work.shared.modes",
            "work.shared.modes.count",
            "work.shared.cutoff",
            "work.shared.label",
        ]
    );
    assert_eq!(namespace(inputs, "machine.options").help(), "Where it runs.");
    assert_eq!(namespace(inputs, "work.shared").help(), "For both.");
    assert_eq!(inputs.dynamic_type(), Some("u64"));
    assert_eq!(namespace(inputs, "work.shared.modes").dynamic_type(), Some("f64"));
    assert!(!namespace(inputs, "work.shared").is_dynamic());
    let Ok(Entry::Port(structure)) = inputs.find("structure") else { panic!("it is a port") };
    assert_eq!(structure.help(), "The start.");
    assert_eq!(spec_of::<Relax>().verify(), Ok(()));
}

#[test]
fn builders_and_json_of_nested_names_are_the_same() {
    let built = Relax::inputs()
        .structure("Si")
        .machine(|machine| machine.options(|options| options.walltime(60)))
        .work(|work| {
            work.shared(|shared| {
                shared
                    .displacement(0.5)
                    .modes(|modes| modes.count(2).rest("x", 1.5))
                    .label("l")
                    .grid(|g| g.spacing(0.2))
            })
        })
        .rest_from([("many", 1)]);
    let json = json!({
        "structure": "Si", "many": 1, "machine": { "options": { "walltime": 60 } },
        "work": { "shared": {
            "displacement": 0.5, "label": "l", "grid": { "spacing": 0.2 }, "modes": { "count": 2, "x": 1.5 },
        } },
    });
    let spec = spec_of::<Relax>();
    let built = spec.prepare_inputs(procession::spec::Launch::<Relax>::into_inputs(built)).expect("valid");
    let given = spec.prepare_inputs(InputMap::from(object(json.clone()))).expect("valid");
    assert_eq!(built, given);
    assert_eq!(Value::Object(given.raw()), json);
    assert_eq!(given.defaulted(), ["machine.options.queue", "machine.name", "work.shared.cutoff"]);
    let typed: RelaxInputs = serde_json::from_value(Value::Object(given.values().clone())).expect("they can be read");
    assert_eq!(typed.rest, BTreeMap::from([("many".to_owned(), 1)]));
    assert_eq!((typed.machine.options.walltime, typed.work.shared.modes.rest["x"]), (60, 1.5));
    assert_eq!(serde_json::to_value(&typed).expect("JSON"), Value::Object(given.into_values()));
}

#[test]
fn faults_in_nested_and_shared_namespaces_name_their_ports() {
    let given = json!({
        "structure": "Si", "many": -1, "machine": { "options": { "walltime": 0 }, "nam": "x" },
        "work": { "shared": { "structure": "Si", "modes": { "count": 1, "x": "y" } } },
    });
    assert_eq!(
        faults::<Relax>(given),
        [
            "`machine.options`: no time",
            "`machine.nam`: no such port; did you mean `name`?",
            "`work.shared.displacement`: required, but not set",
            "`work.shared.modes.x`: expected `f64`: invalid type: string \"y\", expected f64",
            "`work.shared.structure`: no such port",
            "`many`: expected `u64`: invalid value: integer `-1`, expected u64",
        ]
    );
}

#[tokio::test]
async fn each_process_gets_its_ports_of_a_shared_namespace() {
    let runtime = Runtime::volatile().register::<Relax>().build().await.unwrap();
    let inputs = || {
        Relax::inputs()
            .structure("Si")
            .machine(|machine| machine.options(|options| options.walltime(1)))
            .work(|w| w.shared(|s| s.displacement(0.5).modes(|modes| modes.count(2).rest("x", 1.5))))
    };
    let outcome = runtime.launch(inputs().rest("many", 1)).await.unwrap().outcome().await.unwrap();
    let outputs = outcome.finished().expect("it finishes");
    assert_eq!((outputs.results.energy, outputs.results.count), (30.1, None));
    assert_eq!(outputs.rest, BTreeMap::from([("launched".to_owned(), 2)]));
    assert_eq!(outputs.results.phonon.frequencies, BTreeMap::from([("sum".to_owned(), 3.5)]));
    let outcome = runtime.launch(inputs()).await.unwrap().outcome().await.unwrap();
    assert!(outcome.finished().expect("it finishes").results.phonon.frequencies.is_empty());
}

#[tokio::test]
async fn exposing_at_the_top_level_hands_on_namespaces_and_other_values() {
    let inputs = spec_of::<Top>().inputs();
    assert!(inputs.find("machine.name").is_err() && inputs.find("work.shared.modes.count").is_err());
    assert_eq!(
        (inputs.dynamic_type(), namespace(inputs, "work.shared.modes").dynamic_type()),
        (Some("u64"), Some("f64"))
    );
    assert_eq!(spec_of::<Top>().outputs().paths(), ["results", "results.energy"]);
    let runtime = Runtime::volatile().register::<Top>().build().await.unwrap();
    let top = Top::inputs()
        .structure("Si")
        .machine(|machine| machine.options(|options| options.walltime(1)))
        .work(|w| w.shared(|s| s.displacement(0.5).modes(|modes| modes.rest("x", 1.5)).cutoff(1.0)))
        .rest("others", 3);
    let outcome = runtime.launch(top).await.unwrap().outcome().await.unwrap();
    assert_eq!(Some(1.1), outcome.finished().map(|outputs| outputs.results.energy));
}

#[test]
fn a_namespace_of_exposed_ports_has_attributes_and_ports_of_its_own() {
    let inputs = spec_of::<Over>().inputs();
    assert_eq!(inputs.paths(), ["scf", "scf.grid", "scf.grid.spacing", "scf.cutoff", "empty"]);
    let scf = namespace(inputs, "scf");
    assert_eq!((scf.help(), scf.is_required(), scf.populates_defaults()), ("Maybe.", false, false));
    assert_eq!(scf.dynamic_type(), Some("u64"));
    let prepared = |given: Value| {
        let prepared = spec_of::<Over>().prepare_inputs(InputMap::from(object(given))).expect("valid");
        (Value::Object(prepared.values().clone()), prepared.defaulted().to_vec())
    };
    assert_eq!(prepared(json!({})), (json!({}), vec![]));
    assert_eq!(
        prepared(json!({ "scf": { "more": 1 } })),
        (
            json!({ "scf": { "cutoff": 1.0, "grid": { "spacing": 0.1 }, "more": 1 } }),
            vec!["scf.grid".to_owned(), "scf.cutoff".to_owned()]
        )
    );
    assert_eq!(faults::<Over>(json!({ "scf": { "cutoff": 9.5 } })), ["`scf`: too much"]);
    // What it exposes is as it was.
    let Ok(Entry::Port(cutoff)) = spec_of::<Scf>().inputs().find("cutoff") else { panic!("it is a port") };
    assert_eq!(cutoff.fixed_default(), Some(&json!(40.0)));
}

#[test]
fn a_port_is_looked_up_on_either_side_by_its_dotted_name() {
    let spec = spec_of::<Relax>();
    let has_input = |name: &str| spec.inputs().get(name).is_some();
    let has_output = |name: &str| spec.outputs().get(name).is_some();
    assert!(has_input("structure") && has_input("machine.options.walltime") && has_input("work.shared"));
    assert!(!has_input("walltime") && !has_input("structure.x") && !has_input("results.energy"));
    assert!(has_output("results") && has_output("results.energy") && has_output("results.phonon.frequencies"));
    assert!(!has_output("energy") && !has_output("results.energ") && !has_output("structure"));
}
