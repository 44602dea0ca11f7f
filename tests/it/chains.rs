//! The work chains of the examples: what each does, which ends it has, and what it leaves.

use procession::prelude::*;
use procession::process::Termination;
use serde_json::{Map, Value, json};

use super::support::World;

#[path = "../../examples/convergence.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod convergence;
#[path = "../../examples/restart.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod restart;
#[path = "../../examples/stages.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod stages;

use convergence::Converge;
use restart::{Calculation, Restart, RestartExit};
use stages::Pipeline;

/// How a process ended, its report, and its children with their inputs.
struct Told {
    end: Termination,
    report: Vec<String>,
    children: Vec<(String, Value)>,
}

impl Told {
    fn exit(&self) -> Option<i32> {
        match &self.end.ended {
            procession::process::Ended::Exited { exit } => Some(exit.number),
            _ => None,
        }
    }
}

async fn tell<P: Process>(inputs: Value) -> Told {
    let world = World::new();
    let runtime = world.builder().register::<P>().build().await.unwrap();
    let inputs: Map<String, Value> = inputs.as_object().cloned().unwrap();
    let run = runtime.launch_by_name(P::NAME, inputs).await.unwrap();
    let end = run.termination().await.unwrap();
    let report = world.store.report(run.pid()).await.unwrap().into_iter().map(|line| line.text).collect();
    let mut children = Vec::new();
    for child in world.store.children(run.pid()).await.unwrap() {
        let record = world.store.load(&child).await.unwrap().unwrap();
        children.push((record.envelope.process, serde_json::from_str(&record.inputs).unwrap()));
    }
    runtime.shutdown().await.unwrap();
    Told { end, report, children }
}

async fn restart(max_iterations: usize, finest: f64, calculation: Value) -> Told {
    let inputs = json!({ "max_iterations": max_iterations, "finest": finest, "calculation": calculation });
    tell::<Restart>(inputs).await
}

const HANDLED: &str = "failed but a handler dealt with the problem, restarting";
const UNHANDLED: &str = "failed and error was not handled, restarting once more";
const SECOND: &str = "failed and error was not handled for the second consecutive time, aborting";
const REFINED: &str = "finished successfully but a handler was triggered, restarting";
const ABORTED: &str = "failed but a handler detected an unrecoverable problem, aborting";

#[tokio::test]
async fn handlers_mend_the_inputs_until_the_calculation_succeeds() {
    let told = restart(9, 1e-4, json!({ "cycles": 6 })).await;
    let expected = [
        "launching iteration #1",
        "mixing less: 1.25",
        HANDLED,
        "launching iteration #2",
        "mixing less: 0.625",
        HANDLED,
        "launching iteration #3",
        REFINED,
        "launching iteration #4",
        "The work chain completed after 4 iterations",
    ];
    assert_eq!((told.report.iter().map(String::as_str).collect::<Vec<_>>(), told.exit()), (expected.to_vec(), None));
    let value = told.end.outputs["result"]["value"].as_f64().unwrap();
    assert!((value.cos() - value).abs() < 1e-3, "{value}");
    let mixing: Vec<_> = told.children.iter().map(|(_, inputs)| inputs["mixing"].as_f64().unwrap()).collect();
    assert_eq!(mixing, [2.5, 1.25, 0.625, 0.625]);
    // The last attempt went on from where the one before it ended.
    assert!(told.children[3].1["start"].as_f64().unwrap() > 0.7);
}

#[tokio::test]
async fn a_restart_goes_on_from_what_a_failed_attempt_has_left() {
    let told = restart(9, 1e-3, json!({ "cycles": 3, "mixing": 0.1 })).await;
    let starts: Vec<_> = told.children.iter().map(|(_, inputs)| inputs["start"].as_f64().unwrap()).collect();
    assert!(starts.len() > 2 && starts.is_sorted() && starts[1] > starts[0], "{starts:?}");
}

#[tokio::test]
async fn restarts_are_bounded() {
    let told = restart(2, 1e-3, json!({ "cycles": 6 })).await;
    assert_eq!(told.exit(), Some(401));
    assert_eq!(told.report.last().unwrap(), "reached the maximum number of iterations 2");
    // Nothing was launched, so there is nothing to forward: the exit code is the end all the same.
    let told = restart(0, 1e-3, json!({})).await;
    assert_eq!((told.exit(), told.children.len()), (Some(401), 0));
}

#[tokio::test]
async fn a_second_consecutive_failure_that_nobody_handles_aborts() {
    let told = restart(5, 1e-3, json!({ "trouble": ["crash", "crash"] })).await;
    assert_eq!(told.exit(), Some(402));
    assert_eq!(told.report, ["launching iteration #1", UNHANDLED, "launching iteration #2", SECOND]);
    assert_eq!(told.children[0].1["mixing"], told.children[1].1["mixing"], "with the same inputs");
}

#[tokio::test]
async fn a_failure_that_is_handled_in_between_starts_the_count_anew() {
    let told = restart(9, 1e-3, json!({ "trouble": ["crash", "", "crash"] })).await;
    assert_eq!(told.exit(), None, "{:?}", told.report);
    assert_eq!(told.report.iter().filter(|line| *line == UNHANDLED).count(), 2);
}

#[tokio::test]
async fn a_handler_can_abort_with_an_exit_code_of_the_chain() {
    let told = restart(9, 1e-3, json!({ "trouble": ["licence"] })).await;
    assert_eq!((told.exit(), told.report.last().unwrap().as_str()), (Some(410), ABORTED));
    assert_eq!(RestartExit::from_number(410), Some(RestartExit::CannotBeMended));
}

#[tokio::test]
async fn a_calculation_that_excepts_or_is_killed_ends_the_chain_with_an_exit_code() {
    for (trouble, exit) in [("disk full", 301), ("kill", 302)] {
        let told = restart(9, 1e-3, json!({ "trouble": [trouble] })).await;
        assert_eq!((told.exit(), told.children.len()), (Some(exit), 1), "{trouble}");
    }
}

#[tokio::test]
async fn a_round_of_calculations_runs_at_once_until_one_converges() {
    let world = World::new();
    let runtime = world.builder().register::<Converge>().build().await.unwrap();
    let run = runtime.launch(Converge::inputs().tolerance(1e-2).energy(|energy| energy.decay(9.0))).await.unwrap();
    let outputs = run.outcome().await.unwrap().finished().expect("converges");
    assert_eq!((outputs.cutoff, outputs.curve.len()), (80, 11));
    assert!((outputs.curve["80"] - outputs.energy).abs() < f64::EPSILON);
    assert_eq!(world.store.children(run.pid()).await.unwrap().len(), 3 * 4);
    let report = world.store.report(run.pid()).await.unwrap();
    assert!(report[0].text.starts_with("cutoff 10: TooCoarse (310)"), "{report:?}");
    // One wait per round, however many children there are.
    let history = world.store.history(run.pid()).await.unwrap();
    assert_eq!(history.iter().filter(|row| row.to == ProcessState::Waiting).count(), 3);
}

#[tokio::test]
async fn a_convergence_that_cannot_be_had_is_an_exit_code() {
    let told = tell::<Converge>(json!({ "tolerance": 1e-12, "rounds": 2, "energy": {} })).await;
    assert_eq!((told.exit(), told.children.len()), (Some(401), 8));
    assert_eq!(told.end.outputs["curve"].as_object().unwrap().len(), 7, "what was found is there");
    let told = tell::<Converge>(json!({ "start": 1, "step": 1, "width": 3, "energy": {} })).await;
    assert_eq!((told.exit(), told.children.len()), (Some(402), 3));
}

#[tokio::test]
async fn stages_take_exposed_inputs_and_give_exposed_outputs() {
    let chain = json!([0.0, 0.7, 2.4, 3.0]);
    let inputs = json!({ "chain": chain, "relax": { "cycles": 300 }, "vibrate": { "points": 2, "stiffness": 4.0 } });
    let told = tell::<Pipeline>(inputs).await;
    assert_eq!(told.children[0].1, json!({ "chain": chain, "cycles": 300, "tolerance": 1e-6 }));
    let relaxed = &told.end.outputs["relax"]["chain"];
    assert_eq!(told.children[1].1, json!({ "chain": relaxed, "points": 2, "stiffness": 4.0 }));
    assert!((relaxed[1].as_f64().unwrap() - 1.0).abs() < 1e-4, "{relaxed}");
    let frequencies = told.end.outputs["vibrate"]["frequencies"].as_array().unwrap();
    assert!((frequencies[1].as_f64().unwrap() - 4.0).abs() < 1e-3, "{frequencies:?}");
}

#[tokio::test]
async fn an_input_leaves_a_stage_out() {
    let told = tell::<Pipeline>(json!({ "chain": [0.0, 0.7, 2.4], "relaxed": true, "relax": {}, "vibrate": {} })).await;
    assert_eq!((told.exit(), told.children.len()), (None, 1));
    assert!(!told.end.outputs.contains_key("relax"), "{:?}", told.end.outputs);
}

#[tokio::test]
async fn a_stage_that_fails_ends_the_pipeline() {
    let inputs = json!({ "chain": [0.0, 0.1, 9.0, 9.5, 9.7], "relax": { "cycles": 10 }, "vibrate": {} });
    let told = tell::<Pipeline>(inputs).await;
    assert_eq!((told.exit(), told.children.len()), (Some(401), 1));
    assert_eq!(told.children[0].0, <stages::Relax as Process>::NAME);
    assert_ne!(<Calculation as Process>::NAME, <stages::Relax as Process>::NAME);
}

/// Relaxes several chains with the inputs of a pipeline's stage, two levels deep, and hands the whole on as well.
#[process(name = "it::Survey")]
#[derive(Debug, Default)]
struct Survey {
    relaxed: Vec<Child<stages::Relax>>,
    whole: Child<Pipeline>,
}

spec! { Survey {
    input chains: Vec<Vec<f64>>;
    expose inputs of Pipeline as pipeline { exclude: chain };
    output cycles: Vec<u32>;
    expose outputs of Pipeline as last;
}}

outline! { Survey { launch; gather => cycles, last from whole; } }

impl Survey {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        for chain in cx.inputs().chains.clone() {
            // What the pipeline leaves out of the stage's inputs is still to be set.
            let inputs = stages::Relax::inputs_from(&cx.inputs().pipeline.relax).chain(chain.clone());
            self.relaxed.push(cx.launch(inputs)?);
            self.whole = cx.launch(Pipeline::inputs_from(&cx.inputs().pipeline).chain(chain))?;
        }
        Ok(())
    }

    fn gather(&mut self) -> Result<Vec<u32>, StepError> {
        self.relaxed.iter().map(|child| Ok(child.outputs()?.cycles)).collect()
    }
}

#[tokio::test]
async fn inputs_that_are_exposed_through_two_levels_start_a_stage() {
    let chains = vec![vec![0.0, 0.7, 2.0], vec![0.0, 0.1, 0.2, 3.0]];
    let world = World::new();
    let runtime = world.builder().register::<Survey>().build().await.unwrap();
    let inputs = Survey::inputs().chains(chains).pipeline(|all| all.relax(|relax| relax.cycles(77).tolerance(1e-9)));
    let run = runtime.launch(inputs).await.unwrap();
    let outputs = run.outcome().await.unwrap().finished().expect("finished");
    assert_eq!(outputs.cycles.len(), 2);
    let child = world.store.children(run.pid()).await.unwrap().remove(0);
    let record = world.store.load(&child).await.unwrap().unwrap();
    let inputs: Value = serde_json::from_str(&record.inputs).unwrap();
    assert_eq!(inputs, json!({ "chain": [0.0, 0.7, 2.0], "cycles": 77, "tolerance": 1e-9 }));
}
