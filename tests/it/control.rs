//! Pause, play, kill, resume, fail: at rest, in a step, while waiting, across a restart.

use procession::listener::Listener;
use procession::prelude::*;
use procession::process::{ErrorInfo, Request};
use procession::{AnyHandle, RunError};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{Gate, World, eventually};

/// Passes the gate once per round, then waits for a resume.
#[process(name = "it::Rounds", needs(Gate))]
#[derive(Default)]
pub(crate) struct Rounds {
    round: u32,
}

spec! { Rounds {
    input rounds: u32 = 3;
    output rounds: u32;
    output resumed: optional<String>;
}}

outline! { Rounds {
    while_(more) { round }
    hold;
    finish => rounds;
}}

impl Rounds {
    fn more(&self, cx: &Cx<Self>) -> bool {
        self.round < cx.inputs().rounds
    }

    async fn round(&mut self, cx: &mut Cx<Self>) {
        cx.set_status(format!("round {}", self.round));
        cx.resource::<Gate>().pass().await;
        self.round += 1;
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for anyone")
    }

    fn finish(&mut self, cx: &mut Cx<Self>) -> Result<u32, StepError> {
        if let Some(text) = cx.resumed::<String>()? {
            cx.out("resumed", &text)?;
        }
        Ok(self.round)
    }
}

async fn launch(runtime: &Runtime, rounds: u32) -> AnyHandle {
    runtime.launch(Rounds::inputs().rounds(rounds)).await.unwrap().any().clone()
}

async fn until(run: &AnyHandle, state: ProcessState) {
    eventually(async || run.status().await.unwrap().state == state).await;
}

/// Runs the same test without and with a store.
async fn on_both(test: impl AsyncFn(World, Runtime)) {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Rounds>().register::<Family>().build().await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), test(world, runtime)).await.expect("no hang");
    }
}

#[tokio::test]
async fn a_pause_in_a_step_holds_after_it_and_play_goes_on() {
    on_both(async |world, runtime| {
        let run = launch(&runtime, 2).await;
        world.gate.reached().await;
        let pausing = tokio::spawn({
            let run = run.clone();
            async move { run.pause("lunch").await }
        });
        tokio::task::yield_now().await;
        assert!(!run.status().await.unwrap().paused, "the step has not ended");
        eventually(async || !pausing.is_finished()).await;
        world.gate.open(1);
        assert!(pausing.await.unwrap().unwrap());
        let status = run.status().await.unwrap();
        assert_eq!((status.state, status.paused, status.text.as_deref()), (ProcessState::Running, true, Some("lunch")));
        assert!(run.pause("again").await.unwrap(), "already paused");
        assert_eq!(run.status().await.unwrap().text.as_deref(), Some("lunch"), "the text is not updated (S49)");
        assert!(run.play().await.unwrap());
        world.gate.reached().await;
        assert_eq!(run.status().await.unwrap().text.as_deref(), Some("round 0"), "the covered text is back (S54)");
        world.gate.open(1);
        until(&run, ProcessState::Waiting).await;
        run.kill("").await.unwrap();
    })
    .await;
}

/// Passes the gate in every step, and does nothing else that anyone could see.
#[process(name = "it::Unseen", needs(Gate))]
#[derive(Default)]
pub(crate) struct Unseen {}

spec! { Unseen {} }

outline! { Unseen { while_(always) { pass } } }

impl Unseen {
    fn always(&self) -> bool {
        true
    }

    async fn pass(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }
}

#[tokio::test]
async fn what_comes_in_a_step_counts_at_its_end_where_nobody_watches_too() {
    let world = World::new();
    let runtime = world.volatile().register::<Unseen>().build().await.unwrap();
    let run = runtime.launch(Unseen::inputs()).await.unwrap();
    world.gate.reached().await;
    let pausing = tokio::spawn({
        let run = run.clone();
        async move { run.pause("").await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    world.gate.open(1);
    let paused = tokio::time::timeout(Duration::from_secs(20), pausing).await;
    assert!(paused.expect("no further step begins").unwrap().unwrap());
    run.play().await.unwrap();
    world.gate.reached().await;

    let closing = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown().await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    world.gate.open(1);
    let closed = tokio::time::timeout(Duration::from_secs(20), closing).await;
    closed.expect("no further step begins").unwrap().unwrap();
}

#[tokio::test]
async fn a_play_takes_back_a_pause_that_is_not_in_force_yet() {
    on_both(async |world, runtime| {
        let run = launch(&runtime, 1).await;
        world.gate.reached().await;
        let pausing = tokio::spawn({
            let run = run.clone();
            async move { run.pause("").await }
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(run.play().await.unwrap());
        assert!(!pausing.await.unwrap().unwrap(), "it was taken back");
        world.gate.open(1);
        until(&run, ProcessState::Waiting).await;
        assert!(!run.status().await.unwrap().paused);
    })
    .await;
}

#[tokio::test]
async fn a_kill_in_a_step_waits_for_its_end_and_beats_a_pause() {
    on_both(async |world, runtime| {
        let run = launch(&runtime, 3).await;
        world.gate.reached().await;
        let ask = |kill: bool| {
            let run = run.clone();
            tokio::spawn(async move { if kill { run.kill("enough").await } else { run.pause("").await } })
        };
        let first = ask(false);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let second = ask(true);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let third = ask(false);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(run.status().await.unwrap().state, ProcessState::Running);
        world.gate.open(1);
        assert!(second.await.unwrap().unwrap());
        assert!(!first.await.unwrap().unwrap());
        assert!(!third.await.unwrap().unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "killed: enough");
        assert!(run.kill("again").await.unwrap());
        assert!(!run.pause("").await.unwrap());
        assert!(run.play().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_forced_kill_cuts_off_the_step() {
    on_both(async |world, runtime| {
        let run = launch(&runtime, 3).await;
        world.gate.reached().await;
        assert!(run.kill_force("now").await.unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "killed: now");
        let status = run.status().await;
        assert!(status.is_err() || status.unwrap().state == ProcessState::Killed);
    })
    .await;
}

#[tokio::test]
async fn kill_and_pause_act_at_once_on_a_waiting_or_paused_process() {
    on_both(async |_, runtime| {
        let run = launch(&runtime, 0).await;
        until(&run, ProcessState::Waiting).await;
        assert!(run.pause("hm").await.unwrap());
        let status = run.status().await.unwrap();
        assert_eq!((status.state, status.paused), (ProcessState::Waiting, true));
        assert!(run.resume("early").await.unwrap(), "what it waits for may come while it is paused (S57)");
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting, "a paused process does not step");
        assert!(run.play().await.unwrap());
        assert_eq!(run.termination().await.unwrap().outputs["resumed"], "early");

        let run = launch(&runtime, 0).await;
        until(&run, ProcessState::Waiting).await;
        assert!(run.pause("").await.unwrap());
        assert!(run.kill("gone").await.unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "killed: gone");
    })
    .await;
}

#[tokio::test]
async fn two_resumes_are_as_one_and_an_early_one_is_refused() {
    on_both(async |world, runtime| {
        let run = launch(&runtime, 1).await;
        world.gate.reached().await;
        let Err(RunError::InvalidState { state: ProcessState::Running, request: "resume", .. }) = run.resume(1).await
        else {
            panic!("it does not wait")
        };
        assert!(run.fail(ErrorInfo::new("given up")).await.unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "excepted: given up");

        let run = launch(&runtime, 0).await;
        until(&run, ProcessState::Waiting).await;
        run.pause("").await.unwrap();
        assert!(run.resume("first").await.unwrap());
        assert!(run.resume("second").await.unwrap(), "harmless (S30)");
        run.play().await.unwrap();
        assert_eq!(run.termination().await.unwrap().outputs["resumed"], "first");
    })
    .await;
}

/// A parent whose children wait for ever.
#[process(name = "it::Family")]
#[derive(Default)]
pub(crate) struct Family {
    children: Vec<Child<Rounds>>,
    aside: Vec<Child<Rounds>>,
}

spec! { Family {} }

outline! { Family { launch; } }

impl Family {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let inputs = || Rounds::inputs().rounds(0);
        for _ in 0..2 {
            self.children.push(cx.launch(inputs())?);
        }
        self.children.push(cx.detached().killed_with_parent().launch(inputs())?);
        self.aside.push(cx.launch_detached(inputs())?);
        for child in self.children.iter().chain(&self.aside) {
            cx.report(child.pid().map(ToString::to_string).unwrap_or_default());
        }
        Ok(())
    }
}

/// Collects the ids that a family reports.
struct Reported(Arc<Mutex<Vec<ProcessId>>>);

impl Listener for Reported {
    fn on_report(&self, _: &ProcessId, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
}

#[tokio::test]
async fn a_kill_reaches_the_children_that_are_awaited_or_follow_and_no_others() {
    for (force, stored) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let reported = Arc::new(Mutex::new(Vec::new()));
        let builder = builder.listener(Reported(Arc::clone(&reported)));
        let runtime = builder.register::<Rounds>().register::<Family>().build().await.unwrap();
        let run = runtime.launch(Family::inputs()).await.unwrap();
        until(&run, ProcessState::Waiting).await;
        let pids = reported.lock().unwrap().clone();
        let mut children = Vec::new();
        for pid in &pids {
            children.push(runtime.attach(pid).await.unwrap());
            until(children.last().unwrap(), ProcessState::Waiting).await;
        }
        if force {
            run.kill_force("all").await.unwrap();
        } else {
            run.kill("all").await.unwrap();
        }
        assert_eq!(children.len(), 4);
        for child in &children[..3] {
            assert_eq!(child.termination().await.unwrap().ended.to_string(), "killed: all");
        }
        assert_eq!(children[3].status().await.unwrap().state, ProcessState::Waiting);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_acknowledged_request_survives_the_crash_of_its_worker() {
    let world = World::new();
    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    let run = launch(&runtime, 2).await;
    world.gate.reached().await;
    // Filed, and seen by the step that runs; then the worker is gone before the step has ended.
    let id = world.store.request(run.pid(), Request::Kill { text: "late".into(), force: false }).await.unwrap();
    eventually(async || world.store.requests(None).await.unwrap().iter().any(|row| row.id == id)).await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();

    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    let again = runtime.attach(run.pid()).await.unwrap();
    // The step runs again; whether the kill finds it, the next one or the wait, it is applied.
    world.gate.open(10);
    assert_eq!(again.termination().await.unwrap().ended.to_string(), "killed: late");
    assert!(world.store.requests(None).await.unwrap().is_empty(), "applied once");
}

#[tokio::test]
async fn a_paused_process_stays_paused_over_a_restart() {
    let world = World::new();
    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    let run = launch(&runtime, 0).await;
    until(&run, ProcessState::Waiting).await;
    run.pause("over night").await.unwrap();
    runtime.shutdown().await.unwrap();

    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    let run = runtime.attach(run.pid()).await.unwrap();
    let status = run.status().await.unwrap();
    assert_eq!((status.paused, status.text.as_deref()), (true, Some("over night")));
    run.resume(json!("morning")).await.unwrap();
    run.play().await.unwrap();
    assert_eq!(run.termination().await.unwrap().outputs["resumed"], "morning");
}

#[tokio::test]
async fn requests_to_the_absent_are_answered() {
    let world = World::new();
    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    assert!(matches!(runtime.attach(&ProcessId::from("nobody")).await, Err(RunError::NotFound(_))));
    let run = launch(&runtime, 0).await;
    until(&run, ProcessState::Waiting).await;
    runtime.shutdown().await.unwrap();
    assert!(matches!(run.kill("").await, Err(RunError::Closed)));
    assert!(matches!(run.termination().await, Err(RunError::Closed)));
}

#[tokio::test]
async fn nobody_hangs_on_a_runtime_that_was_dropped() {
    on_both(async |world, runtime| {
        let resting = launch(&runtime, 0).await;
        until(&resting, ProcessState::Waiting).await;
        let stepping = launch(&runtime, 1).await;
        world.gate.reached().await;
        let pausing = tokio::spawn({
            let stepping = stepping.clone();
            async move { stepping.pause("").await }
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(runtime);
        assert!(matches!(resting.kill("").await, Err(RunError::Closed)));
        assert!(matches!(resting.termination().await, Err(RunError::Closed)));
        world.gate.open(1);
        assert!(matches!(pausing.await.unwrap(), Ok(true) | Err(RunError::Closed)));
        assert!(matches!(stepping.termination().await, Err(RunError::Closed)));
    })
    .await;
}

/// A process that exists and has not run, since another one has the only slot; and the gate of the other.
async fn created(world: &World, stored: bool) -> (Runtime, AnyHandle) {
    let builder = if stored { world.builder() } else { world.volatile() };
    let runtime = builder.concurrent(1).register::<Rounds>().build().await.unwrap();
    launch(&runtime, 1).await;
    world.gate.reached().await;
    let run = launch(&runtime, 0).await;
    assert_eq!(run.status().await.unwrap().state, ProcessState::Created);
    (runtime, run)
}

#[tokio::test]
async fn a_process_that_has_not_run_can_be_paused_played_killed_and_failed() {
    for stored in [false, true] {
        let world = World::new();
        let (runtime, run) = created(&world, stored).await;
        assert!(run.pause("not yet").await.unwrap());
        let status = run.status().await.unwrap();
        assert_eq!((status.state, status.paused), (ProcessState::Created, true));
        assert!(run.play().await.unwrap());
        assert!(matches!(run.resume(1).await, Err(RunError::InvalidState { state: ProcessState::Created, .. })));
        assert!(run.kill("never mind").await.unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "killed: never mind");
        let run = launch(&runtime, 0).await;
        assert!(run.fail(ErrorInfo::new("no use")).await.unwrap());
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "excepted: no use");
        world.gate.open(1);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn fail_ends_a_process_in_every_state_but_a_terminal_one() {
    on_both(async |world, runtime| {
        for (rounds, paused) in [(1, false), (0, false), (0, true)] {
            let run = launch(&runtime, rounds).await;
            if rounds > 0 {
                world.gate.reached().await;
            } else {
                until(&run, ProcessState::Waiting).await;
            }
            assert!(!paused || run.pause("").await.unwrap());
            assert!(run.fail(ErrorInfo::new("from outside")).await.unwrap());
            assert_eq!(run.termination().await.unwrap().ended.to_string(), "excepted: from outside");
            let refused = run.fail(ErrorInfo::new("again")).await;
            assert!(matches!(
                refused,
                Err(RunError::InvalidState { state: ProcessState::Excepted, request: "fail", .. })
            ));
            assert_eq!(run.termination().await.unwrap().ended.to_string(), "excepted: from outside", "not changed");
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_that_has_ended_answers_and_does_not_change() {
    on_both(async |_, runtime| {
        for (killed, state) in [(false, ProcessState::Finished), (true, ProcessState::Killed)] {
            let run = launch(&runtime, 0).await;
            until(&run, ProcessState::Waiting).await;
            if killed {
                run.kill("").await.unwrap();
            } else {
                run.resume("end").await.unwrap();
            }
            let end = run.termination().await.unwrap();
            assert_eq!(end.ended.state(), state);
            assert!(!run.pause("late").await.unwrap(), "S49");
            assert!(run.play().await.unwrap(), "S56");
            assert_eq!(run.kill("late").await.unwrap(), killed, "S58");
            assert_eq!(run.kill_force("late").await.unwrap(), killed, "S58");
            let refused = run.resume(1).await.unwrap_err();
            assert!(matches!(refused, RunError::InvalidState { request: "resume", .. }), "{refused}");
            assert!(run.fail(ErrorInfo::new("late")).await.is_err(), "S9");
            assert_eq!(run.termination().await.unwrap(), end);
        }
    })
    .await;
}

#[tokio::test]
async fn a_pause_without_a_text_keeps_the_status_and_a_kill_becomes_the_status() {
    let world = World::new();
    let runtime = world.builder().register::<Rounds>().build().await.unwrap();
    let run = launch(&runtime, 1).await;
    world.gate.reached().await;
    world.gate.open(1);
    until(&run, ProcessState::Waiting).await;
    let text = async || run.status().await.unwrap().text;
    assert_eq!(text().await.as_deref(), Some("round 0"));
    assert!(run.pause("").await.unwrap());
    assert_eq!(text().await.as_deref(), Some("round 0"), "kept (S55)");
    assert!(run.play().await.unwrap());
    assert!(run.pause("held").await.unwrap());
    assert_eq!(text().await.as_deref(), Some("held"), "covered (S54)");
    assert!(run.play().await.unwrap());
    assert_eq!(text().await.as_deref(), Some("round 0"), "restored (S54)");
    assert!(run.pause("held").await.unwrap());
    assert!(run.kill("enough").await.unwrap());
    let status = run.status().await.unwrap();
    assert_eq!((status.text.as_deref(), status.paused), (Some("enough"), true), "S59");
}
