//! What lives beside the steps of a process: stored listeners, cleanups, calls, and processes run from within a step.

use procession::listener::{Listener, SavedListener};
use procession::prelude::*;
use procession::process::{Ended, ErrorInfo};
use procession::{RunError, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use super::support::{Gate, World, eventually};

/// What was told in one test.
type Told = Arc<Mutex<Vec<String>>>;

fn told(told: &Told) -> Vec<String> {
    told.lock().unwrap().clone()
}

/// Waits, adds or removes listeners, and ends.
#[process(name = "it::Heard", needs(Gate, Told))]
#[derive(Debug, Default)]
struct Heard {}

spec! { Heard { input act: String = ""; input room: String; output said: u32; } }

outline! { Heard {
    change;
    hold;
    say => said;
}}

impl Heard {
    fn change(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let diary = |room: &str| Diary { room: room.to_owned(), page: 2 };
        match cx.inputs().act.as_str() {
            "add" => cx.add_listener(diary(&cx.inputs().room.clone()))?,
            "add twice" => {
                cx.add_listener(diary(&cx.inputs().room.clone()))?;
                cx.add_listener(diary(&cx.inputs().room.clone()))?;
            }
            "remove" => cx.remove_listener::<Diary>(),
            "fail" => {
                cx.add_listener(diary(&cx.inputs().room.clone()))?;
                return Err("the step failed".into());
            }
            "many" => {
                for page in 0..=limits::LISTENERS {
                    cx.add_listener(Diary { room: cx.inputs().room.clone(), page })?;
                }
            }
            "unknown" => cx.add_listener(Unknown)?,
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for the test")
    }

    fn say(&mut self, _: &mut Cx<Self>) -> u32 {
        7
    }
}

/// Writes into the book of its room. Rooms keep the tests apart: a stored listener has nothing but its text.
#[derive(Serialize, Deserialize)]
struct Diary {
    room: String,
    page: usize,
}

static BOOKS: LazyLock<Mutex<std::collections::HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

fn book(room: &str) -> Vec<String> {
    BOOKS.lock().unwrap().get(room).cloned().unwrap_or_default()
}

impl Diary {
    fn write(&self, line: &str) {
        let line = format!("{line} on page {}", self.page);
        BOOKS.lock().unwrap().entry(self.room.clone()).or_default().push(line);
    }
}

impl Listener for Diary {
    fn on_created(&self, _: &ProcessId) {
        self.write("created");
    }
    fn on_waiting(&self, _: &ProcessId) {
        self.write("waiting");
    }
    fn on_finished(&self, _: &ProcessId, _: &Ended, outputs: &Map<String, Value>) {
        self.write(&format!("finished with {}", outputs["said"]));
    }
    fn on_excepted(&self, _: &ProcessId, _: &ErrorInfo) {
        self.write("excepted");
    }
}

impl SavedListener for Diary {
    const NAME: &'static str = "it::Diary";
}

#[derive(Serialize, Deserialize)]
struct Unknown;
impl Listener for Unknown {}
impl SavedListener for Unknown {
    const NAME: &'static str = "it::Dairy";
}

async fn waits(run: &procession::AnyHandle) {
    eventually(async || run.status().await.is_ok_and(|status| status.state == ProcessState::Waiting)).await;
}

/// Runs one over a restart while it waits, and gives what stands in its book.
async fn heard(room: &str, act: &str, at_launch: bool) -> Vec<String> {
    let world = World::new();
    let build = || world.builder().resource(Told::default()).register::<Heard>().register_listener::<Diary>().build();
    let runtime = build().await.unwrap();
    let launch = runtime.launch(Heard::inputs().act(act).room(room));
    let launch = if at_launch { launch.listener(Diary { room: room.to_owned(), page: 1 }) } else { launch };
    let run = launch.await.unwrap();
    waits(&run).await;
    runtime.shutdown().await.unwrap();

    let runtime = build().await.unwrap();
    let run = runtime.attach(run.pid()).await.unwrap();
    run.resume(()).await.unwrap();
    run.termination().await.unwrap();
    runtime.shutdown().await.unwrap();
    book(room)
}

#[tokio::test]
async fn a_stored_listener_works_again_after_loading() {
    let cases: [(&str, bool, &[&str]); 5] = [
        ("", true, &["created on page 1", "waiting on page 1", "finished with 7 on page 1"]),
        ("add", false, &["waiting on page 2", "finished with 7 on page 2"]),
        // Equal ones are one.
        ("add twice", false, &["waiting on page 2", "finished with 7 on page 2"]),
        ("remove", true, &["created on page 1"]),
        ("", false, &[]),
    ];
    for (case, (act, at_launch, expected)) in cases.into_iter().enumerate() {
        assert_eq!(heard(&format!("stored {case}"), act, at_launch).await, expected, "{act}");
    }
}

#[tokio::test]
async fn a_listener_that_a_failed_step_added_is_not_added() {
    for (act, why) in [("fail", "the step failed"), ("many", "more listeners than a process may have")] {
        let world = World::new();
        let builder = world.builder().resource(Told::default()).register::<Heard>().register_listener::<Diary>();
        let runtime = builder.build().await.unwrap();
        let room = format!("failed {act}");
        let run = runtime.launch(Heard::inputs().act(act).room(room.clone())).await.unwrap();
        assert!(run.termination().await.unwrap().ended.to_string().contains(why), "{act}");
        runtime.shutdown().await.unwrap();
        assert_eq!(book(&room), Vec::<String>::new());
        let record = world.store.load(run.pid()).await.unwrap().unwrap();
        assert_eq!(record.listeners, None);
    }
}

#[tokio::test]
async fn a_listener_of_a_type_that_is_not_registered_is_refused_with_the_nearest() {
    let world = World::new();
    let builder = || world.builder().resource(Told::default()).register::<Heard>();
    let runtime = builder().register_listener::<Diary>().build().await.unwrap();
    let launch = runtime.launch(Heard::inputs().room("refused")).listener(Unknown);
    assert_eq!(
        launch.await.unwrap_err().to_string(),
        "no listener `it::Dairy` is registered; the nearest is `it::Diary`"
    );
    let run = runtime.launch(Heard::inputs().act("unknown").room("refused")).await.unwrap();
    assert!(run.termination().await.unwrap().ended.to_string().contains("no listener `it::Dairy` is registered"));
    // One that is stored waits for a runtime that knows it: it is not dropped in silence.
    let run = runtime.launch(Heard::inputs().act("add").room("refused")).await.unwrap();
    waits(&run).await;
    runtime.shutdown().await.unwrap();
    let runtime = builder().build().await.unwrap();
    let error = runtime.attach(run.pid()).await.unwrap_err();
    assert!(error.to_string().ends_with("is parked: no listener `it::Diary` is registered"), "{error}");
    runtime.shutdown().await.unwrap();
}

/// Notes the states it hears of.
struct States(Told);

impl Listener for States {
    fn on_transition(&self, transition: procession::process::Transition<'_>, _: &str) {
        self.0.lock().unwrap().push(transition.to.to_string());
    }
}

#[tokio::test]
async fn listeners_of_a_runtime_come_and_go() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.resource(Told::default()).register::<Heard>().build().await.unwrap();
        let (all, one, gone) = (Told::default(), Told::default(), Told::default());
        let first = runtime.launch(Heard::inputs().room("")).await.unwrap();
        waits(&first).await;
        let id = runtime.add_listener(States(Arc::clone(&all)));
        first.add_listener(States(Arc::clone(&one)));
        let removed = first.add_listener(States(Arc::clone(&gone)));
        assert!(first.remove_listener(removed) && !first.remove_listener(removed));
        let second = runtime.launch(Heard::inputs().room("")).await.unwrap();
        waits(&second).await;
        assert!(runtime.remove_listener(id));
        second.resume(()).await.unwrap();
        second.termination().await.unwrap();
        first.resume(()).await.unwrap();
        first.termination().await.unwrap();
        assert_eq!(told(&one), ["running", "finished"], "the one process, from when it was added");
        assert_eq!(told(&all)[..2], ["created", "running"], "all processes, from when it was added");
        assert_eq!(told(&all).last().unwrap(), "waiting", "to when it was removed");
        assert_eq!(told(&gone), Vec::<String>::new());
        runtime.shutdown().await.unwrap();
    }
}

/// Two steps, the first at the gate.
#[process(name = "it::Burst", needs(Gate))]
#[derive(Debug, Default)]
struct Burst {}

spec! { Burst {} }
outline! { Burst { first; second; } }

impl Burst {
    async fn first(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }

    fn second(&mut self) {}
}

#[tokio::test]
async fn a_listener_that_comes_while_steps_run_unwatched_hears_of_the_next_one() {
    for all in [false, true] {
        let (world, heard) = (World::new(), Told::default());
        let runtime = world.volatile().register::<Burst>().build().await.unwrap();
        let run = runtime.launch(Burst::inputs()).await.unwrap();
        world.gate.reached().await;
        let listener = States(Arc::clone(&heard));
        if all {
            runtime.add_listener(listener)
        } else {
            run.add_listener(listener)
        };
        world.gate.open(1);
        run.termination().await.unwrap();
        assert_eq!(told(&heard), ["running", "finished"]);
    }
}

/// Adds cleanups and calls.
#[process(name = "it::Busy", needs(Gate, Told))]
#[derive(Debug, Default)]
struct Busy {}

spec! { Busy { input act: String; } }

outline! { Busy {
    begin;
    hold;
    last;
}}

impl Busy {
    async fn begin(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let (log, gate) = (cx.resource::<Told>(), cx.resource::<Gate>());
        let note = move |line: String| log.lock().unwrap().push(line);
        for number in 1..=2 {
            let note = note.clone();
            cx.add_cleanup(move || note(format!("cleanup {number}")))?;
        }
        match cx.inputs().act.clone().as_str() {
            "panic in a cleanup" => {
                cx.add_cleanup(|| panic!("in a cleanup"))?;
                cx.add_cleanup(move || note("cleanup 3".into()))?;
            }
            "fail" => return Err("the step failed".into()),
            "be cut off" => gate.pass().await,
            "call" => {
                let pid = cx.pid().clone();
                cx.call_soon(async move {
                    gate.pass().await;
                    assert_eq!(procession::current(), Some(pid));
                    note("called".into());
                    Ok::<_, StepError>(())
                })?;
            }
            "call that fails" => drop(cx.call_soon(async { Err("the call failed") })?),
            "call that panics" => drop(cx.call_soon(async { panicking() })?),
            "call that is cancelled" => {
                let call = cx.call_soon(async { Err("it is cancelled") })?;
                call.cancel();
            }
            "call that never ends" => {
                let held = Arc::new(Dropped(note.clone()));
                cx.call_soon(async move {
                    let _held = held;
                    std::future::pending::<Result<(), StepError>>().await
                })?;
            }
            "tick" => {
                cx.call_soon(async move {
                    let mut ticks = tokio::time::interval(Duration::from_millis(1));
                    loop {
                        ticks.tick().await;
                        note("tick".into());
                    }
                    #[allow(unreachable_code)]
                    Ok::<_, StepError>(())
                })?;
            }
            "many short" => {
                for _ in 0..limits::CALLS {
                    cx.call_soon(async { Ok::<_, StepError>(()) })?;
                }
            }
            "too many" => {
                for _ in 0..limits::CALLS {
                    cx.call_soon(async { std::future::pending::<Result<(), StepError>>().await })?;
                }
                let error = cx.call_soon(async { Ok::<_, StepError>(()) }).unwrap_err();
                cx.report(error.to_string());
                for _ in 2..limits::CLEANUPS {
                    cx.add_cleanup(|| ())?;
                }
                return Err(cx.add_cleanup(|| ()).unwrap_err().into());
            }
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for the test")
    }

    fn last(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        if cx.inputs().act == "many short" {
            cx.call_soon(async { Ok::<_, StepError>(()) })?;
        }
        Ok(())
    }
}

fn panicking() -> Result<(), StepError> {
    panic!("the call panicked")
}

struct Dropped<F: Fn(String)>(F);

impl<F: Fn(String)> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)("dropped".into());
    }
}

/// Runs one; `asked` at its wait, or while it stands at the gate.
async fn busy(stored: bool, act: &str) -> (String, Vec<String>) {
    let (world, log) = (World::new(), Told::default());
    let builder = if stored { world.builder() } else { world.volatile() };
    let runtime = builder.resource(Arc::clone(&log)).resident(0).register::<Busy>().build().await.unwrap();
    let run = runtime.launch(Busy::inputs().act(act)).await.unwrap();
    match act {
        "be cut off" => {
            world.gate.reached().await;
            run.kill_force("").await.unwrap();
        }
        "call" => {
            waits(&run).await;
            world.gate.reached().await;
            world.gate.open(1);
            eventually(async || told(&log).contains(&"called".to_owned())).await;
            run.resume(()).await.unwrap();
        }
        "fail" | "call that fails" | "call that panics" | "too many" => {}
        _ => {
            waits(&run).await;
            run.resume(()).await.unwrap();
        }
    }
    let ended = run.termination().await.unwrap().ended.to_string();
    // What a call holds is dropped on its own task.
    if act == "call that never ends" {
        eventually(async || told(&log).contains(&"dropped".to_owned())).await;
    }
    runtime.shutdown().await.unwrap();
    let told = told(&log);
    (ended, told)
}

#[tokio::test]
async fn cleanups_run_once_in_order_however_the_process_ends() {
    let cases = [
        ("", "finished", vec!["cleanup 1", "cleanup 2"]),
        ("fail", "excepted: step `begin` failed: the step failed", vec!["cleanup 1", "cleanup 2"]),
        ("be cut off", "killed", vec!["cleanup 1", "cleanup 2"]),
        ("panic in a cleanup", "finished", vec!["cleanup 1", "cleanup 2", "cleanup 3"]),
    ];
    for stored in [false, true] {
        for (act, ended, cleanups) in &cases {
            let (end, told) = busy(stored, act).await;
            assert_eq!((end.as_str(), told), (*ended, cleanups.iter().map(ToString::to_string).collect()), "{act}");
        }
    }
}

#[tokio::test]
async fn a_call_runs_beside_the_steps_and_its_error_fails_the_process() {
    let cleaned = ["cleanup 1", "cleanup 2"];
    for stored in [false, true] {
        let check = async |act: &str, ended: &str, first: &[&str]| {
            let (end, mut told) = busy(stored, act).await;
            told.retain(|line| line != "dropped");
            assert_eq!(
                (end.as_str(), told),
                (ended, [first, &cleaned].concat().iter().map(ToString::to_string).collect()),
                "{act}"
            );
        };
        check("call", "finished", &["called"]).await;
        check("call that fails", "excepted: the call failed", &[]).await;
        check("call that panics", "excepted: the call panicked", &[]).await;
        check("call that is cancelled", "finished", &[]).await;
        check("call that never ends", "finished", &[]).await;
    }
}

#[tokio::test]
async fn there_is_a_limit_to_what_lives_beside_the_steps() {
    let (end, _) = busy(true, "too many").await;
    assert!(end.contains("has 1000 cleanups, and may not have more"), "{end}");
}

/// Runs another process to its end within a step.
#[process(name = "it::Outer", needs(Told))]
#[derive(Debug, Default)]
struct Outer {}

spec! { Outer { input depth: u32; output depths: Vec<u32>; } }
outline! { Outer { nest => depths; } }

impl Outer {
    async fn nest(&mut self, cx: &mut Cx<Self>) -> Result<Vec<u32>, StepError> {
        let depth = cx.inputs().depth;
        assert_eq!(procession::current().as_ref(), Some(cx.pid()));
        let mut depths = vec![depth];
        if depth > 0 {
            let inner = Runtime::volatile().resource(Told::default()).register::<Self>().build().await?;
            let run = Box::pin(inner.launch(Self::inputs().depth(depth - 1)).into_future()).await?;
            depths.extend(run.outcome().await?.finished().ok_or("the inner one did not finish")?.depths);
            inner.shutdown().await?;
        }
        assert_eq!(procession::current().as_ref(), Some(cx.pid()), "the scope is the outer one again");
        Ok(depths)
    }
}

#[tokio::test]
async fn a_step_may_run_another_process_to_its_end() {
    let runtime = Runtime::volatile().resource(Told::default()).register::<Outer>().build().await.unwrap();
    let runs = [
        runtime.launch(Outer::inputs().depth(3)).await.unwrap(),
        runtime.launch(Outer::inputs().depth(1)).await.unwrap(),
    ];
    let expected = [vec![3, 2, 1, 0], vec![1, 0]];
    for (run, expected) in runs.iter().zip(expected) {
        let end = tokio::time::timeout(Duration::from_secs(20), run.outcome()).await.unwrap().unwrap();
        assert_eq!(end.finished().unwrap().depths, expected);
    }
    assert_eq!(procession::current(), None);
}

#[tokio::test]
async fn a_kill_that_waits_for_the_step_is_seen_in_the_status() {
    let (world, log) = (World::new(), Told::default());
    let runtime = world.builder().resource(Arc::clone(&log)).register::<Busy>().build().await.unwrap();
    let run = runtime.launch(Busy::inputs().act("be cut off")).await.unwrap();
    world.gate.reached().await;
    assert!(!run.status().await.unwrap().killing);
    let asked = run.clone();
    let kill = tokio::spawn(async move { asked.kill("soon").await });
    eventually(async || run.status().await.unwrap().killing).await;
    assert!(!run.status().await.unwrap().state.is_terminal());
    world.gate.open(1);
    assert_eq!(kill.await.unwrap(), Ok::<_, RunError>(true));
    assert!(!run.status().await.unwrap().killing, "it is done");
}

#[tokio::test]
async fn a_call_is_cut_off_when_its_runtime_stops() {
    for stored in [false, true] {
        for shuts_down in [false, true] {
            let (world, log) = (World::new(), Told::default());
            let builder = if stored { world.builder() } else { world.volatile() };
            let runtime = builder.resource(Arc::clone(&log)).register::<Busy>().build().await.unwrap();
            let run = runtime.launch(Busy::inputs().act("tick")).await.unwrap();
            waits(&run).await;
            eventually(async || told(&log).contains(&"tick".to_owned())).await;
            if shuts_down {
                runtime.shutdown().await.unwrap();
            }
            drop((run, runtime));
            // Whoever still holds the log holds it for a tick.
            eventually(async || Arc::strong_count(&log) == 1).await;
        }
    }
}

#[tokio::test]
async fn calls_that_have_ended_count_no_more() {
    let (world, log) = (World::new(), Told::default());
    let runtime = world.builder().resource(Arc::clone(&log)).register::<Busy>().build().await.unwrap();
    let run = runtime.launch(Busy::inputs().act("many short")).await.unwrap();
    waits(&run).await;
    run.resume(()).await.unwrap();
    assert_eq!(run.termination().await.unwrap().ended.to_string(), "finished");
}

/// Has a call, and tells whether it was in memory all the time.
#[process(name = "it::Kept", needs(Gate))]
#[derive(Debug, Default)]
struct Kept {
    #[process(skip)]
    here: bool,
}

spec! { Kept { output here: bool; } }
outline! { Kept { first; last => here; } }

impl Kept {
    fn first(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        self.here = true;
        let gate = cx.resource::<Gate>();
        cx.call_soon(async move {
            gate.pass().await;
            Ok::<_, StepError>(())
        })?;
        Ok(cx.wait("for the test"))
    }

    fn last(&mut self) -> bool {
        self.here
    }
}

#[tokio::test]
async fn a_process_is_kept_in_memory_for_its_calls_and_no_longer() {
    for ends in [false, true] {
        let world = World::new();
        let runtime = world.builder().resident(0).register::<Kept>().build().await.unwrap();
        let run = runtime.launch(Kept::inputs()).await.unwrap();
        waits(&run).await;
        world.gate.reached().await;
        if ends {
            world.gate.open(1);
            // On one thread: the call ends, its process is looked at once more, and laid down.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        run.resume(()).await.unwrap();
        assert_eq!(run.outcome().await.unwrap().finished().unwrap().here, !ends);
        runtime.shutdown().await.unwrap();
    }
}

struct Removes(Mutex<Option<(Runtime, procession::listener::ListenerId)>>);

impl Listener for Removes {}

impl Drop for Removes {
    fn drop(&mut self) {
        if let Some((runtime, other)) = self.0.lock().unwrap().take() {
            assert!(runtime.remove_listener(other));
        }
    }
}

struct Silent;
impl Listener for Silent {}

#[tokio::test]
async fn a_listener_may_remove_others_when_it_is_dropped() {
    let runtime = Runtime::volatile().build().await.unwrap();
    let other = runtime.add_listener(Silent);
    let id = runtime.add_listener(Removes(Mutex::new(Some((runtime.clone(), other)))));
    let removing = tokio::task::spawn_blocking(move || (runtime.remove_listener(id), runtime.remove_listener(other)));
    let removed = tokio::time::timeout(Duration::from_secs(20), removing).await.expect("no deadlock").unwrap();
    assert_eq!(removed, (true, false));
}

#[tokio::test]
async fn a_handle_of_an_earlier_life_removes_no_listeners_of_the_later_one() {
    let (world, heard) = (World::new(), Told::default());
    let runtime = world.builder().resource(Told::default()).register::<Heard>().build().await.unwrap();
    let old = runtime.launch(Heard::inputs().room("")).await.unwrap();
    waits(&old).await;
    old.snapshot("before").await.unwrap();
    old.kill("").await.unwrap();
    let new = runtime.restore(old.pid(), "before").await.unwrap();
    new.add_listener(States(Arc::clone(&heard)));
    old.add_listener(Silent);
    new.resume(()).await.unwrap();
    new.termination().await.unwrap();
    assert_eq!(told(&heard), ["running", "finished"]);
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_whose_listener_is_not_registered_is_refused_and_changes_nothing() {
    let world = World::new();
    let builder = || world.builder().resource(Told::default()).register::<Heard>();
    let runtime = builder().register_listener::<Diary>().build().await.unwrap();
    let run = runtime.launch(Heard::inputs().act("add").room("a snapshot")).await.unwrap();
    waits(&run).await;
    run.snapshot("tag").await.unwrap();
    run.resume(()).await.unwrap();
    assert!(run.termination().await.unwrap().ended.is_successful());
    runtime.shutdown().await.unwrap();

    let runtime = builder().build().await.unwrap();
    let before = world.store.load(run.pid()).await.unwrap();
    let error = runtime.restore(run.pid(), "tag").await.unwrap_err().to_string();
    assert!(error.contains("no listener `it::Diary` is registered"), "{error}");
    assert_eq!(world.store.load(run.pid()).await.unwrap(), before);
    runtime.shutdown().await.unwrap();
}
