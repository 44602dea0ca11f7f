//! Where a process stands, as people read it, and its outline as data.

// Steps are methods, also those that do nothing.
#![allow(clippy::unused_self)]

use procession::ProcessId;
use procession::listener::Listener;
use procession::outline::Outline;
use procession::prelude::*;
use procession::process::{Flow, Transition};
use serde_json::json;
use std::sync::{Arc, Mutex};

use super::children::{Courier, Leaf};
use super::resume::{Path, Sleeper};
use super::support::{Gate, World, eventually};

/// The work chain of plumpy's own test of position texts, with a loop in a branch.
#[process(name = "it::Chill", needs(Gate))]
#[derive(Debug, Default)]
pub(crate) struct Chill {
    left: u32,
    branch: u32,
}

spec! { Chill {
    input rounds: u32 = 2;
    input branch: u32 = 0;
    exit 400 Bored "nothing to do";
}}

outline! { Chill {
    /// Reads the inputs.
    ///
    /// All of them.
    check_n;
    while_(do_step) { chill; chill as "again" }
    if_(first) { rest } elif_(second) { return_; } elif_(second) { return_(Bored) } else_ {
        enter;
        while_(do_step) { chill; }
    }
    finish;
}}

impl Chill {
    fn check_n(&mut self, cx: &mut Cx<Self>) {
        (self.left, self.branch) = (cx.inputs().rounds, cx.inputs().branch);
    }

    fn do_step(&self) -> bool {
        self.left > 0
    }

    fn first(&self) -> bool {
        self.branch == 1
    }

    fn second(&self) -> bool {
        self.branch == 2
    }

    fn chill(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn rest(&mut self) {}

    fn enter(&mut self) {
        self.left = 1;
    }

    async fn finish(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }
}

/// Writes down the position at each transition to running.
struct Positions(Arc<Mutex<Vec<String>>>);

impl Listener for Positions {
    fn on_transition(&self, transition: Transition<'_>, step: &str) {
        if transition.to == ProcessState::Running {
            let position = Chill::OUTLINE.and_then(|outline| outline.position(step));
            self.0.lock().unwrap().push(position.unwrap_or_default());
        }
    }
}

async fn positions(rounds: u32, branch: u32) -> Vec<String> {
    let (world, seen) = (World::new(), Arc::default());
    world.gate.open(1);
    let builder = world.volatile().register::<Chill>().listener(Positions(Arc::clone(&seen)));
    let runtime = builder.build().await.unwrap();
    let run = runtime.launch(Chill::inputs().rounds(rounds).branch(branch)).await.unwrap();
    run.outcome().await.unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

// S106. plumpy shows the loop alone where the step is not chosen yet (`1:while_(do_step)`); here it is chosen when
// running is entered, and a finished loop costs no transition.
#[tokio::test]
async fn a_running_process_stands_at_a_leaf_of_its_outline() {
    let loops = ["1:while_(do_step)(0:chill)", "1:while_(do_step)(1:chill)"];
    let round = [&["0:check_n"], &loops[..], &loops[..]].concat();
    let branch = ["2:if_(first)(0:rest)", "3:finish"];
    assert_eq!(positions(4, 1).await, [&round[..], &branch].concat());
    assert_eq!(positions(4, 2).await, round);
    let branch = ["2:else_(0:enter)", "2:else_(1:while_(do_step)(0:chill))", "3:finish"];
    assert_eq!(positions(0, 0).await, [&["0:check_n"], &branch[..]].concat());
}

#[test]
fn positions_name_the_branch_and_every_point_has_one() {
    let outline = Chill::OUTLINE.expect("it has an outline");
    for point in Chill::POINTS {
        assert!(outline.position(point).is_some(), "{point}");
    }
    assert_eq!(outline.position("chil"), None);
    let texts: Vec<_> = Path::POINTS.iter().filter_map(|point| Path::OUTLINE?.position(point)).collect();
    assert_eq!(texts[2], "1:while_(again)(1:if_(left)(0:go_left))");
    assert_eq!(texts[4], "1:while_(again)(1:elif_(right)(0:go_right))");
    assert_eq!(texts[5], "1:while_(again)(1:else_(0:rest))");
}

async fn status(run: &procession::AnyHandle) -> (ProcessState, Option<String>) {
    let status = run.status().await.unwrap();
    (status.state, status.position)
}

#[tokio::test]
async fn the_status_tells_the_position_while_it_runs_is_paused_and_when_it_has_ended() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        // Watched: where nobody watches, a runtime without a store runs steps in bursts and tells nothing between.
        let builder = builder.listener(Positions(Arc::default()));
        let runtime = builder.register::<Path>().register::<Sleeper>().build().await.unwrap();
        let run = runtime.launch(Path::inputs()).await.unwrap();
        for _ in 0..2 {
            world.gate.reached().await;
            world.gate.open(1);
        }
        world.gate.reached().await;
        let at = Some("1:while_(again)(1:if_(left)(0:go_left))".to_owned());
        eventually(async || status(&run).await == (ProcessState::Running, at.clone())).await;
        world.gate.open(20);
        run.outcome().await.unwrap();
        let at = stored.then(|| "2:leave".to_owned());
        assert_eq!(status(&run).await, (ProcessState::Finished, at));

        let run = runtime.launch(Sleeper::inputs()).await.unwrap();
        let at = (ProcessState::Waiting, Some("0:doze".to_owned()));
        eventually(async || status(&run).await == at).await;
        assert!(run.pause("a break").await.unwrap() && run.status().await.unwrap().paused);
        assert_eq!(status(&run).await, at);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_status_tells_the_position_of_a_wait_also_after_a_restart() {
    let world = World::new();
    let build = || world.builder().register::<Sleeper>().register::<Courier>().register::<Leaf>().build();
    let runtime = build().await.unwrap();
    let sleeper = runtime.launch(Sleeper::inputs()).await.unwrap();
    let courier = runtime.launch(Courier::inputs()).await.unwrap();
    let pids = [sleeper.pid().clone(), courier.pid().clone()];
    let at = |runtime: Runtime, pid: ProcessId| async move { status(&runtime.attach(&pid).await.unwrap()).await };
    let expected = [Some("0:doze".to_owned()), Some("collect".to_owned())].map(|at| (ProcessState::Waiting, at));
    for (pid, expected) in pids.iter().zip(&expected) {
        eventually(async || at(runtime.clone(), pid.clone()).await == *expected).await;
    }
    runtime.shutdown().await.unwrap();
    let runtime = build().await.unwrap();
    for (pid, expected) in pids.iter().zip(&expected) {
        assert_eq!(at(runtime.clone(), pid.clone()).await, *expected);
    }
    // History names the step that a process waits after, also if another runtime ends the wait.
    let sleeper = runtime.attach(&pids[0]).await.unwrap();
    sleeper.kill("").await.unwrap();
    let history = world.store.history(&pids[0]).await.unwrap();
    assert_eq!(history.last().map(|row| row.point.as_str()), Some("doze"));
}

/// Ends while a child still works.
#[process(name = "it::Leaver")]
#[derive(Debug, Default)]
pub(crate) struct Leaver {}

spec! { Leaver {} }

outline! { Leaver { prepare; launch; } }

impl Leaver {
    fn prepare(&mut self) {}

    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        cx.launch(Leaf::inputs().n(1).gated(true))?;
        Ok(cx.stop("done"))
    }
}

#[tokio::test]
async fn a_process_that_only_waits_for_its_children_stands_at_its_last_step() {
    let world = World::new();
    let build = || world.builder().register::<Leaver>().register::<Leaf>().build();
    let runtime = build().await.unwrap();
    let run = runtime.launch(Leaver::inputs()).await.unwrap();
    let expected = (ProcessState::Waiting, Some("1:launch".to_owned()));
    eventually(async || status(&run).await == expected).await;
    runtime.shutdown_within(std::time::Duration::ZERO).await.unwrap();
    let runtime = build().await.unwrap();
    let run = runtime.attach(run.pid()).await.unwrap();
    assert_eq!(status(&run).await, expected);
    world.gate.open(2);
    run.termination().await.unwrap();
    assert_eq!(status(&run).await, (ProcessState::Finished, Some("1:launch".to_owned())));
}

// S117, with the words of our outlines, and a branch of its own for `else_`.
#[test]
fn the_description_of_an_outline_is_data_in_the_order_of_the_text() {
    let text = serde_json::to_string(&Chill::OUTLINE.map(Outline::description)).unwrap();
    let expected = concat!(
        r#"["check_n(Reads the inputs. All of them.)",{"while_(do_step)":["chill","chill"]},"#,
        r#"{"if_(first)":["rest"],"elif_(second)":["Return from the outline immediately"],"#,
        r#""elif_(second)#2":["Return from the outline immediately, with exit code Bored"],"#,
        r#""else_":["enter",{"while_(do_step)":["chill"]}]},"finish"]"#
    );
    assert_eq!(text, expected);
    let value = serde_json::to_value(Sleeper::OUTLINE.expect("it has one").description()).unwrap();
    assert_eq!(value, json!(["doze", "wake"]));
}
