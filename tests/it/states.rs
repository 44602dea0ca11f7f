//! States by name, legal transitions, ids, what a launch checks, and whose turn it is.

use procession::ProcessState::{Created, Excepted, Finished, Killed, Running, Waiting};
use procession::RunError;
use procession::clock::Clock;
use procession::prelude::*;
use serde_json::{Map, json};
use std::collections::HashSet;

use super::life::Sum;
use super::support::{Gate, World};

#[test]
fn states_have_the_names_of_plumpy() {
    let names = ["created", "running", "waiting", "finished", "excepted", "killed"];
    assert_eq!(ProcessState::ALL.map(ProcessState::as_str), names);
    for state in ProcessState::ALL {
        assert_eq!(ProcessState::from_name(&state.to_string()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        assert_eq!(state.is_terminal(), [Finished, Excepted, Killed].contains(&state));
    }
    assert_eq!(ProcessState::from_name("asleep"), None, "an unknown name is no state (S11)");
}

#[test]
fn transitions_are_those_of_plumpy_and_no_others() {
    let after = |state: ProcessState| -> Vec<ProcessState> {
        ProcessState::ALL.into_iter().filter(|next| state.can_go_to(*next)).collect()
    };
    assert_eq!(after(Created), [Running, Excepted, Killed]);
    for state in [Running, Waiting] {
        assert_eq!(after(state), [Running, Waiting, Finished, Excepted, Killed], "{state}");
    }
    for state in [Finished, Excepted, Killed] {
        assert_eq!(after(state), [], "{state}");
    }
}

#[tokio::test]
async fn a_pid_is_a_uuid_an_integer_or_any_text() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Sum>().build().await.unwrap();
        let given: [ProcessId; 4] = [7.into(), "job 7".into(), "—/„x“".into(), ProcessId::new()];
        let mut seen = HashSet::new();
        for pid in given {
            let run = runtime.launch(Sum::inputs().to(1)).id(pid.clone()).await.unwrap();
            assert_eq!(run.pid(), &pid);
            assert!(run.outcome().await.unwrap().is_finished());
            assert!(seen.insert(pid));
        }
        let own = runtime.launch(Sum::inputs().to(1)).await.unwrap();
        assert!(own.pid().as_uuid().is_some(), "without one, it is a uuid");
        assert!(seen.insert(own.pid().clone()));
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn inputs_that_are_not_valid_create_nothing() {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    let mut inputs = Map::new();
    inputs.insert("to".into(), json!(5_000));
    inputs.insert("haw".into(), json!("well"));
    let refused = runtime.launch_by_name("it::Sum", inputs).id("never").await.unwrap_err();
    let RunError::Inputs(error) = refused else { panic!("{refused}") };
    let faults: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["`to`: must be below 1000", "`haw`: no such port; did you mean `how`?"]);
    assert!(world.store.load(&"never".into()).await.unwrap().is_none());

    let run = runtime.launch(Sum::inputs().to(1)).await.unwrap();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    assert_eq!(record.created_at, world.clock.now());
    assert_eq!(serde_json::from_str::<Map<_, _>>(&record.inputs).unwrap()["how"], "well", "with its defaults");
}

#[tokio::test]
async fn a_name_that_is_not_registered_is_told_with_the_nearest() {
    let runtime = Runtime::volatile().register::<Sum>().build().await.unwrap();
    let refused = runtime.launch_by_name("it::Som", Map::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "no process `it::Som` is registered; the nearest is `it::Sum`");
}

/// Says whose step runs, before and after it lets others run.
#[process(name = "it::Selfish", needs(Gate))]
#[derive(Default)]
struct Selfish {}

spec! { Selfish { output before: String; output after: String; } }

outline! { Selfish { look => before, after; } }

impl Selfish {
    async fn look(&mut self, cx: &mut Cx<Self>) -> (String, String) {
        let current = || procession::current().map(|pid| pid.to_string()).unwrap_or_default();
        let before = current();
        cx.resource::<Gate>().pass().await;
        (before, current())
    }
}

#[tokio::test]
async fn current_survives_awaits_and_does_not_mix() {
    let world = World::new();
    let runtime = world.volatile().register::<Selfish>().build().await.unwrap();
    let mut runs = Vec::new();
    for pid in ["one", "two", "three"] {
        runs.push(runtime.launch(Selfish::inputs()).id(pid).await.unwrap());
        world.gate.reached().await;
    }
    world.gate.open(3);
    for run in runs {
        let outputs = run.outcome().await.unwrap().finished().unwrap();
        assert_eq!([outputs.before, outputs.after], [run.pid().to_string(), run.pid().to_string()]);
    }
}
