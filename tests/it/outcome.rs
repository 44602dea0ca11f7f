//! How an end is told, again and again, and what becomes of outputs.

use procession::prelude::*;
use procession::process::{Ended, Termination};
use serde_json::{Value, json};

use super::life::{Sum, SumExit};
use super::support::World;

/// What is asked of an end, in every way in which it can be asked.
async fn ends(how: &str) -> (Outcome<Sum>, Termination) {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    let run = runtime.launch(Sum::inputs().to(5).how(how)).await.unwrap();
    let end = run.termination().await.unwrap();
    assert_eq!(run.termination().await.unwrap(), end, "asked again");
    let status = run.status().await.unwrap();
    assert_eq!(status.state, end.ended.state());
    runtime.shutdown().await.unwrap();

    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    let again = runtime.attach(run.pid()).await.unwrap();
    assert_eq!(again.termination().await.unwrap(), end, "after a restart");
    assert_eq!(again.status().await.unwrap(), status);
    assert!(!again.pause("").await.unwrap(), "and it is as closed as before (S66)");
    (run.outcome().await.unwrap(), end)
}

#[tokio::test]
async fn an_end_can_be_asked_for_again_typed_or_not() {
    let (outcome, end) = ends("well").await;
    assert!(outcome.is_finished() && end.ended.is_successful());
    assert_eq!((outcome.finished().unwrap().total, &end.outputs["total"]), (5, &json!(5)));

    // An end with an exit code is not validated (S44): `total` is missing.
    let (outcome, end) = ends("refuse").await;
    assert!(!outcome.is_finished() && !end.ended.is_successful());
    let Outcome::Exited(exited) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((exited.exit(), exited.outputs().len()), (Some(SumExit::Refused), 0));
    assert!(matches!(end.ended, Ended::Exited { exit } if exit == *exited.code()));
    assert!(outcome.finished().is_none());

    let (outcome, end) = ends("fail").await;
    let Outcome::Excepted(error) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((error.message.as_str(), error.step.as_deref()), ("disk on fire", Some("add")));
    assert!(!outcome.is_finished() && matches!(end.ended, Ended::Excepted { .. }));

    let (outcome, end) = ends("kill").await;
    assert!(matches!(&outcome, Outcome::Killed(text) if text == "by itself"));
    assert!(!outcome.is_finished() && !end.ended.is_successful());
}

/// Emits what its input says, one after the other.
#[process(name = "it::Emits")]
#[derive(Default)]
struct Emits {}

spec! { Emits {
    input what: Vec<(String, Value)>;
    output plain: optional<u32>, check(|n| *n < 100, "must be below 100");
    output inner { a: optional<u32>; deep: dynamic<f64>; }
    output any: dynamic<f64>;
}}

outline! { Emits { emit; } }

impl Emits {
    fn emit(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        for (port, value) in cx.inputs().what.clone() {
            cx.out(&port, &value)?;
        }
        Ok(())
    }
}

async fn emitted(what: Value) -> Termination {
    let runtime = Runtime::volatile().register::<Emits>().build().await.unwrap();
    let what = serde_json::from_value(what).unwrap();
    runtime.launch(Emits::inputs().what(what)).await.unwrap().termination().await.unwrap()
}

#[tokio::test]
async fn outputs_nest_by_dots_and_later_ones_replace_earlier_ones() {
    for (what, expected) in [
        (json!([["plain", 1]]), json!({ "plain": 1 })),
        (json!([["plain", 1], ["plain", 2]]), json!({ "plain": 2 })),
        (json!([["inner.a", 1], ["inner.deep.x", 1.5]]), json!({ "inner": { "a": 1, "deep": { "x": 1.5 } } })),
        (json!([["inner", { "a": 1 }], ["any.y", 2.5]]), json!({ "inner": { "a": 1 }, "any": { "y": 2.5 } })),
        (json!([["inner.a", 1], ["inner", { "a": 3 }]]), json!({ "inner": { "a": 3 } })),
    ] {
        let end = emitted(what.clone()).await;
        assert_eq!((end.ended.to_string().as_str(), Value::Object(end.outputs)), ("finished", expected), "{what}");
    }
}

#[tokio::test]
async fn an_output_that_is_not_declared_or_not_valid_excepts_the_process() {
    for (what, expected) in [
        (json!([["plan", 1]]), "`plan`: no such port; did you mean `plain`?"),
        (json!([["plain", "one"]]), "`plain`: expected `u32`"),
        (json!([["plain", 100]]), "`plain`: must be below 100"),
        (json!([["plain.x", 1]]), "`plain"),
        (json!([["inner.b", 1]]), "`inner.b`: no such port"),
        (json!([["any.y", "text"]]), "`any.y`: expected `f64`"),
        (json!([["inner", { "b": 1 }]]), "`inner.b`: no such port"),
    ] {
        let end = emitted(what.clone()).await;
        let Ended::Excepted { error } = end.ended else { panic!("{what}: {}", end.ended) };
        assert_eq!(error.step.as_deref(), Some("emit"));
        assert!(error.to_string().contains(expected), "{error}, not {expected}");
        assert!(end.outputs.is_empty(), "nothing of a step that failed is kept");
    }
}
