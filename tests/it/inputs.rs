//! Inputs of a running process: as it reads them, and as they were passed (S16, S17).

use procession::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

use super::support::{World, eventually};

/// Counts how often a default was computed.
static COMPUTED: AtomicU32 = AtomicU32::new(0);

fn computed() -> u32 {
    COMPUTED.fetch_add(1, Ordering::Relaxed)
}

#[process(name = "it::Given")]
#[derive(Debug, Default)]
struct Given {
    child: Child<Given>,
}

spec! { Given {
    input name: String;
    input steps: u32 = computed();
    input note: optional<String>;
    input options { depth: u32 = 0; queue: String = "normal"; }
    input extras: dynamic<f64>;
    output raw: Map<String, Value>;
    output again: Map<String, Value>;
    output steps: u32;
    output child: optional<Map<String, Value>>;
}}

outline! { Given {
    first => raw;
    hold;
    last => again, steps;
}}

impl Given {
    fn first(&mut self, cx: &mut Cx<Self>) -> Result<Map<String, Value>, StepError> {
        if cx.inputs().options.depth > 0 {
            self.child = cx.launch(Self::inputs().name("child").options(|options| options.depth(0)))?;
        }
        Ok(cx.raw_inputs())
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Option<Next<Self>> {
        (cx.inputs().options.depth > 0).then(|| cx.wait("for a restart"))
    }

    fn last(&mut self, cx: &mut Cx<Self>) -> Result<(Map<String, Value>, u32), StepError> {
        if cx.inputs().options.depth > 0 {
            cx.out("child", &self.child.outputs()?.raw)?;
        }
        Ok((cx.raw_inputs(), cx.inputs().steps))
    }
}

#[tokio::test]
async fn raw_inputs_are_what_was_passed_also_after_loading_and_in_children() {
    let world = World::new();
    let runtime = world.builder().register::<Given>().build().await.unwrap();
    let inputs = Given::inputs().name("n").options(|options| options.depth(1)).extras("x", 0.5);
    let run = runtime.launch(inputs).await.unwrap();
    eventually(async || {
        let status = run.status().await.unwrap();
        status.state == ProcessState::Waiting && status.steps == 2
    })
    .await;
    let computed = COMPUTED.load(Ordering::Relaxed);
    runtime.shutdown().await.unwrap();

    let passed = json!({ "name": "n", "options": { "depth": 1 }, "extras": { "x": 0.5 } });
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    assert_eq!(Value::Object(record.raw_inputs().unwrap()), passed);
    assert_eq!(serde_json::from_str::<Value>(&record.inputs).unwrap()["options"]["queue"], "normal");

    let runtime = world.builder().register::<Given>().build().await.unwrap();
    let run = runtime.attach(run.pid()).await.unwrap();
    run.resume(()).await.unwrap();
    let outputs = run.termination().await.unwrap().outputs;
    assert_eq!((&outputs["raw"], &outputs["again"]), (&passed, &passed));
    assert_eq!(outputs["child"], json!({ "name": "child", "options": { "depth": 0 } }));
    // A default that was computed at the launch is stored, and never computed again for this process.
    assert_eq!(COMPUTED.load(Ordering::Relaxed), computed);
    assert_eq!(outputs["steps"], serde_json::from_str::<Value>(&record.inputs).unwrap()["steps"]);
    runtime.shutdown().await.unwrap();
}
