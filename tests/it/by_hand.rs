//! The quickstart's processes with and without macros are the same: ports, outline, behaviour.

use procession::prelude::*;
use procession::process::Flow;
use procession::spec::{ProcessSpec, Spec, spec_of};
use serde_json::{Map, Value, json};

#[path = "../../examples/by_hand.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod hand;
#[path = "../../examples/quickstart.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod quickstart;

/// All that a spec tells, but for spaces in types.
fn describe(spec: &ProcessSpec) -> (String, Value, Value) {
    let description = serde_json::to_string(&spec.description()).expect("a description is JSON");
    (description.replace(", ", ","), spec.input_schema(), spec.output_schema())
}

fn outline<P: Flow>() -> (String, &'static [&'static str]) {
    (P::OUTLINE.expect("it has one").to_string(), P::POINTS)
}

#[test]
fn both_have_the_same_spec_and_outline() {
    assert_eq!(describe(spec_of::<quickstart::CountWords>()), describe(spec_of::<hand::CountWords>()));
    assert_eq!(describe(spec_of::<quickstart::Rank>()), describe(spec_of::<hand::Rank>()));
    assert_eq!(outline::<quickstart::CountWords>(), outline::<hand::CountWords>());
    assert_eq!(outline::<quickstart::Rank>(), outline::<hand::Rank>());
}

/// What a process did, and how it ended.
async fn behaviour<P: Process>(inputs: &Value) -> Result<(Value, Vec<String>), String> {
    let world = super::support::World::new();
    let runtime = world.builder().register::<P>().build().await.unwrap();
    let run = runtime.launch_by_name(P::NAME, inputs.as_object().cloned().unwrap_or_default()).await;
    let run = run.map_err(|error| std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())?;
    let end = run.termination().await.unwrap();
    let history = world.store.history(run.pid()).await.unwrap();
    let steps = history.iter().map(|row| format!("{} > {} at {}", row.from, row.to, row.point)).collect();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    let mut context: Map<String, Value> = serde_json::from_str(&record.context).unwrap();
    assert!(context.remove("rank").is_some(), "the child's id is its own");
    runtime.shutdown().await.unwrap();
    Ok((json!({ "end": end.ended, "outputs": end.outputs, "context": context }), steps))
}

#[tokio::test]
async fn both_behave_the_same() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let cases = [
        json!({ "file": file }),
        json!({ "file": file, "chunk": 3, "rank": { "most": 2 } }),
        json!({ "file": "/nowhere" }),
        json!({ "file": empty.path() }),
        json!({ "chunk": 0, "rank": { "counts": {} }, "speed": 1 }),
    ];
    for inputs in cases {
        let with_macros = behaviour::<quickstart::CountWords>(&inputs).await;
        assert_eq!(with_macros, behaviour::<hand::CountWords>(&inputs).await, "{inputs}");
    }
    let bad = behaviour::<quickstart::CountWords>(&json!({ "chunk": 0, "rank": { "counts": {} }, "speed": 1 })).await;
    let text = bad.expect_err("refused");
    assert!(
        ["`file`", "`chunk`: must be positive", "`rank.counts`", "`speed`"].iter().all(|p| text.contains(p)),
        "{text}"
    );
}

#[test]
fn they_are_two_types() {
    assert_ne!(<quickstart::CountWords as Process>::NAME, <hand::CountWords as Process>::NAME);
    let _: fn() -> ProcessSpec = <quickstart::CountWords as Spec>::build_spec;
}
