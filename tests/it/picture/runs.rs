//! Pictures of processes that ran: what a store has of them is what the picture makes of it.

// Steps are methods, also those that do nothing.
#![allow(clippy::unused_self)]

use procession::picture::{Picture, Run};
use procession::prelude::*;
use std::time::Duration;

use super::has;
use crate::children::{Courier, Leaf};
use crate::position::Chill;
use crate::support::{World, eventually};

/// Ends as it is told.
#[process(name = "it::picture::Trip")]
#[derive(Debug, Default)]
pub(crate) struct Trip {
    left: u32,
}

spec! { Trip {
    input end: String = String::new();
    output days: u32;
    exit 320 Lost "nobody knows the way";
}}

outline! { Trip {
    pack;
    while_(on_the_way) {
        /// One day of it.
        walk;
        if_(lost) { return_(Lost) }
    }
    rest;
    arrive => days;
}}

impl Trip {
    fn pack(&mut self) {
        self.left = 3;
    }

    fn on_the_way(&self, cx: &Cx<Self>) -> Result<bool, StepError> {
        if cx.inputs().end == "predicate" && self.left < 3 {
            Err("no sign at the fork".into())
        } else {
            Ok(self.left > 0)
        }
    }

    fn walk(&mut self, cx: &mut Cx<Self>) -> Result<Option<TripExit>, StepError> {
        self.left -= 1;
        match cx.inputs().end.as_str() {
            "step" => Err("a broken leg".into()),
            "value" => Ok(Some(TripExit::Lost)),
            _ => Ok(None),
        }
    }

    fn lost(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().end == "return" && self.left == 1
    }

    fn rest(&mut self, cx: &mut Cx<Self>) {
        cx.sleep(Duration::from_secs(60));
    }

    fn arrive(&mut self) -> u32 {
        3
    }
}

/// What a store has of the process.
async fn run_of(world: &World, pid: &ProcessId) -> Run {
    let record = world.store.load(pid).await.unwrap().expect("it is there");
    Run::new(&record, &world.store.history(pid).await.unwrap())
}

async fn drawn(end: &str) -> String {
    let world = World::new();
    let runtime = world.builder().register::<Trip>().build().await.unwrap();
    let run = runtime.launch(Trip::inputs().end(end.to_owned())).await.unwrap();
    run.termination().await.unwrap();
    Picture::of::<Trip>().with_run(&run_of(&world, run.pid()).await).text(100, false)
}

#[tokio::test]
async fn failures_and_exits_of_a_run_stand_where_they_were() {
    let text = drawn("step").await;
    has(&text, &["✗ excepted · 2 steps", "✗ walk", "a broken leg", "while on_the_way round 1", "· arrive"]);
    has(&drawn("predicate").await, &["✗ walk", "after it: no sign at the fork"]);
    let text = drawn("return").await;
    has(&text, &["! exit 320 Lost", "✓ walk", "2×", "while on_the_way 2 rounds"]);
    let text = drawn("value").await;
    // What the step returned, and what a predicate after it may have led to, are the same end.
    has(&text, &["! exit 320 Lost", "finished with exit code Lost (320)"]);
}

#[tokio::test]
async fn a_wait_of_a_run_is_told_while_it_lasts_and_afterwards() {
    let world = World::new();
    let runtime = world.builder().register::<Trip>().build().await.unwrap();
    let run = runtime.launch(Trip::inputs()).await.unwrap();
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let now = procession::clock::Timestamp::from_millis(1_020_000);
    let text = runtime.picture("it::picture::Trip").unwrap().with_run(&run_of(&world, run.pid()).await.as_of(now));
    has(&text.text(100, false), &["… rest", "waiting for 40 s more, for 20 s", "3 rounds", "· arrive"]);
    world.clock.advance(Duration::from_secs(60));
    run.termination().await.unwrap();
    let text = runtime.picture("it::picture::Trip").unwrap().with_run(&run_of(&world, run.pid()).await);
    has(&text.text(100, false), &["✓ rest", "waited 1 min 0 s", "✓ arrive", "✓ ◎ end", "took 1 min 0 s"]);
    assert!(runtime.picture("it::Nobody").is_err());
}

#[tokio::test]
async fn rounds_and_branches_of_a_run_are_those_that_it_had() {
    let world = World::new();
    world.gate.open(10);
    let runtime = world.builder().register::<Chill>().build().await.unwrap();
    for (rounds, branch, parts) in [
        (5, 0, ["while do_step 3 rounds", "✓ chill", "✓ enter", "while do_step 1 round", "✓ ◎ end"]),
        (4, 1, ["while do_step 2 rounds", "✓ chill", "✓ rest", "· enter", "✓ ◎ end"]),
        (4, 2, ["while do_step 2 rounds", "✓ chill", "✓ return", "· rest", "· enter"]),
    ] {
        let run = runtime.launch(Chill::inputs().rounds(rounds).branch(branch)).await.unwrap();
        run.termination().await.unwrap();
        let text = Picture::of::<Chill>().with_run(&run_of(&world, run.pid()).await).text(60, false);
        has(&text, &parts);
    }
}

#[tokio::test]
async fn a_process_of_steps_is_drawn_as_a_set() {
    let picture = Picture::of::<Courier>();
    has(&picture.text(80, false), &["No outline: each step decides what comes next.", "•  collect"]);
    let world = World::new();
    let runtime = world.builder().register::<Courier>().register::<Leaf>().build().await.unwrap();
    let run = runtime.launch(Courier::inputs()).await.unwrap();
    eventually(async || run.status().await.unwrap().position.as_deref() == Some("collect")).await;
    let text = picture.with_run(&run_of(&world, run.pid()).await).text(80, false);
    has(&text, &["… waiting", "✓ launch", "then hold 1×", "… hold", "waiting for a resume: for a number to add"]);
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
}
