//! What `#[process]`, `outline!` and `steps!` generate, without a runtime: names, points, the saved form.

// Steps are methods, also those that do nothing.
#![allow(clippy::unused_self)]

use procession::outline::{Node, Outline};
use procession::prelude::*;
use procession::process::{ContextError, FieldReader, FieldWriter, Flow, HandOver, Hooks, PointError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[process]
#[derive(Debug, Default)]
struct Relax {
    iteration: u32,
    r#type: Option<String>,
    #[process(skip)]
    cache: Vec<u8>,
}
spec! { Relax {
    output structure: String;
    output energy: f64;
    exit 410 NotConverged "no convergence";
}}
outline! { Relax {
    setup;
    while_(unconverged) {
        run_scf;
        if_(scf_failed) { recover; recover } elif_(stalled) { return_(NotConverged) } else_ { accept }
    }
    recover;
    /// Takes long.
    ///
    /// Very long.
    blocking heavy;
    if_(stalled) { accept } else_ { accept as "accept at last" }
    finish => structure, energy;
}}
impl Relax {
    fn setup(&mut self) {}
    fn unconverged(&self) -> bool {
        self.iteration < 3
    }
    fn run_scf(&mut self) {
        self.iteration += 1;
    }
    fn scf_failed(&self) -> bool {
        self.cache.is_empty()
    }
    fn recover(&mut self) {}
    fn stalled(&self) -> bool {
        false
    }
    fn accept(&mut self) {}
    fn heavy(&mut self) {}
    fn finish(&mut self) -> (String, f64) {
        (self.r#type.take().unwrap_or_default(), 0.0)
    }
}

#[process(name = "greet", also = ["greetings:Greet"], version = 3, needs(String))]
#[derive(Debug, Default)]
struct Greet;
spec! { Greet {} }
steps! { Greet { run; after(count: u32, r#type: Option<String>); resumed(value: Answer); } }
impl Greet {
    fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().after(1, None)
    }
    fn after(&mut self, cx: &mut Cx<Self>, _count: u32, _type: Option<String>) -> Next<Self> {
        cx.wait("an answer").resumed()
    }
    fn resumed(&mut self, _value: Answer) {}
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Answer(String);

fn saved<P: Process>(process: &P) -> String {
    let mut buffer = Vec::new();
    let mut fields = FieldWriter::new(&mut buffer);
    process.save(&mut fields).expect("the fields can be written");
    fields.finish();
    String::from_utf8(buffer).expect("JSON is text")
}

fn loaded<P: Process>(text: &str) -> Result<P, ContextError> {
    P::load(FieldReader::new(text)?)
}

fn refused<P: Process + std::fmt::Debug>(text: &str) -> String {
    loaded::<P>(text).expect_err("the checkpoint does not fit").to_string()
}

#[test]
fn points_are_stored_by_step_and_by_path_where_a_step_stands_twice() {
    assert_eq!(
        Relax::POINTS,
        [
            "setup",
            "run_scf",
            "while_(unconverged)/if_(scf_failed)/recover",
            "while_(unconverged)/if_(scf_failed)/recover#2",
            "while_(unconverged)/else_/accept",
            "recover",
            "heavy",
            "if_(stalled)/accept",
            "accept at last",
            "finish",
        ]
    );
}

#[test]
fn points_survive_their_stored_form() {
    for (point, name) in RelaxPoint::ALL.iter().zip(Relax::POINTS) {
        assert_eq!(Relax::point_name(point), *name);
        assert_eq!(Relax::point(name, Map::new()).as_ref(), Ok(point));
        assert_eq!(serde_json::to_value(point).ok(), Some(json!(name)));
        assert_eq!(serde_json::from_value::<RelaxPoint>(json!(name)).ok(), Some(*point));
        assert_eq!(Relax::point_arguments(point).ok(), Some(Map::new()));
    }
    assert_eq!(RelaxPoint::WhileUnconvergedIfScfFailedRecover2.name(), Relax::POINTS[3]);
    let near = Some("recover");
    assert_eq!(Relax::point("recovr", Map::new()), Err(PointError::Unknown { name: "recovr".into(), near }));
    let wrong = serde_json::from_value::<RelaxPoint>(json!("no")).map_err(|error| error.to_string());
    assert_eq!(wrong, Err("`Relax` has no program point `no`".to_owned()));
}

#[test]
fn the_outline_is_a_constant_tree() {
    const OUTLINE: &Outline = Relax::OUTLINE.expect("an outline was given");
    let text = "setup\nwhile_(unconverged)\n    run_scf\n    if_(scf_failed)\n        recover\n        recover\n    \
                elif_(stalled)\n        return_(NotConverged)\n    else_\n        accept\nrecover\nheavy\nif_(stalled)\n    \
                accept\nelse_\n    accept\nfinish => structure, energy\n";
    assert_eq!(OUTLINE.to_string(), text);
    let heavy = OUTLINE.steps()[6];
    assert_eq!(
        (heavy.point, heavy.name, heavy.doc, heavy.blocking),
        ("heavy", "heavy", "Takes long.\n\nVery long.", true)
    );
    let lines: Vec<u32> = OUTLINE.steps().iter().map(|step| step.line).collect();
    assert!(lines.is_sorted() && lines[0] > 1, "{lines:?}");
    assert!(matches!(OUTLINE.body[1], Node::While(branch) if branch.line == lines[0] + 1));
}

#[test]
fn facts_about_a_process_are_constants() {
    assert_eq!((Relax::NAME, Relax::VERSION, Relax::ALSO), ("it::Relax", 1, &[][..]));
    assert_eq!(Relax::FIELDS, ["iteration", "type"]);
    assert_eq!((Greet::NAME, Greet::VERSION, Greet::ALSO), ("greet", 3, &["greetings:Greet"][..]));
    assert_eq!((Greet::NEEDS.len(), Greet::OUTLINE), (1, None));
    const { assert!(!<Relax as Hooks>::ENABLED) };
}

#[test]
fn fields_are_saved_by_name_and_skipped_ones_start_from_their_default() {
    let relax = Relax { iteration: 2, r#type: Some("fcc".into()), cache: vec![1] };
    assert_eq!(saved(&relax), r#"{"iteration":2,"type":"fcc"}"#);
    let again: Relax = loaded(&saved(&relax)).expect("what was saved is loaded");
    assert_eq!((again.iteration, again.r#type.as_deref(), again.cache.len()), (2, Some("fcc"), 0));
    assert_eq!(saved(&Greet), "{}");
    assert!(loaded::<Greet>("{}").is_ok());
}

#[test]
fn checkpoints_with_missing_or_unknown_fields_are_refused() {
    assert_eq!(refused::<Relax>("{}"), "field `iteration` of the context: missing in the checkpoint");
    assert_eq!(loaded::<Relax>(r#"{"iteration":2}"#).ok().and_then(|relax| relax.r#type), None);
    let unknown = refused::<Relax>(r#"{"iteration":2,"type":null,"more":1}"#);
    assert_eq!(unknown, "field `more` of the context: is in the checkpoint, but no field of the process");
    assert!(refused::<Relax>(r#"{"iteration":"two","type":null}"#).starts_with("field `iteration` of the context:"));
    assert!(refused::<Greet>(r#"{"more":1}"#).starts_with("field `more` of the context:"));
}

#[process]
#[derive(Debug, Default)]
struct Renamed {
    #[serde(rename = "n")]
    number: u8,
    #[serde(default)]
    added: Option<String>,
    #[process(skip)]
    cache: u8,
}
spec! { Renamed {} }
outline! { Renamed { run } }
impl Renamed {
    fn run(&mut self) {
        self.cache += 1;
    }
}

#[process]
#[derive(Debug, Default)]
struct Flat {
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}
spec! { Flat {} }
outline! { Flat { run } }
impl Flat {
    fn run(&mut self) {}
}

#[test]
fn attributes_of_serde_rule_the_saved_form() {
    let renamed = Renamed { number: 1, added: None, cache: 7 };
    assert_eq!(saved(&renamed), r#"{"n":1,"added":null}"#);
    let old: Renamed = loaded(r#"{"n":1}"#).expect("a field with a default may be missing");
    assert_eq!((old.number, old.added, old.cache), (1, None, 0));
    assert!(refused::<Renamed>(r#"{"n":1,"number":1}"#).contains("unknown field `number`"));
    let flat: Flat = loaded(r#"{"a":1}"#).expect("a flattened map takes any field");
    assert_eq!((saved(&flat).as_str(), flat.rest.len()), (r#"{"a":1}"#, 1));
}

#[test]
fn points_with_arguments_survive_their_stored_form() {
    let point = GreetPoint::After { count: 1, r#type: Some("Ada".into()) };
    let arguments = Greet::point_arguments(&point).expect("the arguments can be written");
    assert_eq!(Value::Object(arguments.clone()), json!({ "count": 1, "type": "Ada" }));
    assert_eq!(Greet::point_name(&point), "after");
    let again = Greet::point("after", arguments).expect("what was stored is read");
    assert_eq!(format!("{again:?}"), r#"After { count: 1, type: Some("Ada") }"#);
    assert_eq!(format!("{:?}", again.clone()), format!("{point:?}"));
    assert_eq!(format!("{:?}", GreetPoint::Run), "Run");
    assert_eq!(Greet::POINTS, ["run", "after", "resumed"]);
    let last = ["run", "after", "resumed"].map(Greet::resume_argument);
    assert_eq!(last, [None, Some("type"), Some("value")]);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let refused = |name: &str, arguments: Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        Greet::point(name, arguments).map_err(|error| error.to_string()).expect_err("the arguments do not fit")
    };
    assert!(Greet::point("after", json!({ "count": 1 }).as_object().cloned().unwrap_or_default()).is_ok());
    for (name, arguments, expected) in [
        ("afer", json!({}), "there is no program point `afer`; the nearest is `after`"),
        ("after", json!({ "type": null }), "arguments of program point `after`: `count`: missing"),
        ("run", json!({ "n": 1 }), "arguments of program point `run`: `n` is in the checkpoint, but no argument"),
    ] {
        assert_eq!(refused(name, arguments), expected);
    }
    assert!(
        refused("resumed", json!({ "value": 1 })).starts_with("arguments of program point `resumed`: `value`: invalid")
    );
}

#[test]
fn steps_hand_over_by_typed_calls() {
    let next = <GreetNext as HandOver>::next().after(1, None);
    assert_eq!(format!("{next:?}"), "To(After { count: 1, type: None })");
    let wait = <GreetWait as HandOver>::wait("a name".into()).after(1);
    assert_eq!(format!("{wait:?}"), r#"Wait("a name", "after", {"count": Number(1)})"#);
    let wait = <GreetWait as HandOver>::wait("go".into()).run();
    assert_eq!(format!("{wait:?}"), r#"Wait("go", "run", {})"#);
}
