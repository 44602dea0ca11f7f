//! From launch to end: outcomes, failures, names, keys, limits.

use procession::RunError;
use procession::prelude::*;
use procession::process::{BoxError, Hooks};
use procession::spec::{Direction, MISSING_OUTPUT};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::support::{World, eventually};

/// Adds up to a limit, in a way that its inputs choose.
#[process(name = "it::Sum")]
#[derive(Default)]
pub(crate) struct Sum {
    n: u64,
}

spec! { Sum {
    input to: u64, check(|to| *to < 1_000, "must be below 1000");
    input how: String = "well";
    output total: u64;
    output note: optional<String>;
    exit 400 Refused "it was told to refuse";
}}

outline! { Sum {
    while_(more) { add }
    if_(refuses) { return_(Refused) } elif_(odd) { end }
    finish => total;
}}

impl Sum {
    fn more(&self, cx: &Cx<Self>) -> Result<bool, String> {
        if cx.inputs().how == "bad predicate" && self.n == 2 {
            Err("no answer".into())
        } else if cx.inputs().how == "panicking predicate" && self.n == 2 {
            panic!("no idea")
        } else {
            Ok(self.n < cx.inputs().to)
        }
    }

    fn refuses(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().how == "refuse"
    }

    fn odd(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().how != "well"
    }

    async fn add(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        match (cx.inputs().how.as_str(), self.n) {
            ("panic", 2) => panic!("two is too much"),
            ("panic later", 2) => {
                tokio::task::yield_now().await;
                panic!("{} is too much", "two, later,")
            }
            ("fail", 2) => return Err(std::io::Error::other("disk on fire").into()),
            ("bad output", 2) => cx.out("total", "a text")?,
            ("unknown output", 2) => cx.out("totl", &1)?,
            _ => {}
        }
        self.n += 1;
        Ok(())
    }

    fn end(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        match cx.inputs().how.as_str() {
            "forget" => cx.stop(json!({ "why": "forgot" })),
            "exit" => cx.exit(SumExit::Refused),
            "kill" => cx.kill("by itself"),
            "panic at the end" => panic!("too late"),
            _ => cx.next(),
        }
    }

    fn finish(&mut self) -> u64 {
        self.n
    }
}

async fn both(how: &str) -> Vec<Outcome<Sum>> {
    let world = World::new();
    let mut outcomes = Vec::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Sum>().build().await.unwrap();
        let run = runtime.launch(Sum::inputs().to(5).how(how)).await.unwrap();
        outcomes.push(run.outcome().await.unwrap());
        runtime.shutdown().await.unwrap();
    }
    outcomes
}

#[tokio::test]
async fn a_process_finishes_with_its_outputs() {
    for outcome in both("well").await {
        let outputs = outcome.finished().expect("finished");
        assert_eq!((outputs.total, outputs.note), (5, None));
    }
}

#[tokio::test]
async fn an_exit_code_is_a_typed_result() {
    for how in ["refuse", "exit"] {
        for outcome in both(how).await {
            let Outcome::Exited(exited) = outcome else { panic!("{outcome:?}") };
            assert_eq!(exited.exit(), Some(SumExit::Refused));
            assert_eq!(exited.code().to_string(), "Refused (400): it was told to refuse");
        }
    }
}

#[tokio::test]
async fn a_missing_required_output_is_an_unsuccessful_end_that_says_which() {
    for outcome in both("forget").await {
        let Outcome::Exited(exited) = outcome else { panic!("{outcome:?}") };
        assert_eq!((exited.code().number, exited.exit()), (MISSING_OUTPUT, None));
        assert!(exited.code().message.contains("`total`"), "{}", exited.code());
    }
}

#[tokio::test]
async fn failures_and_panics_end_in_excepted_and_name_the_step() {
    for (how, expected) in [
        ("fail", "step `add` failed: disk on fire"),
        ("panic", "step `add` panicked: two is too much"),
        ("panic later", "step `add` panicked: two, later, is too much"),
        ("panic at the end", "step `end` panicked: too late"),
        ("bad predicate", "no answer"),
        ("panicking predicate", "no idea"),
        ("bad output", "step `add` failed: outputs of `Sum` are not valid: `total`: expected `u64`"),
        ("unknown output", "`totl`: no such port; did you mean `total`?"),
    ] {
        for outcome in both(how).await {
            let Outcome::Excepted(error) = outcome else { panic!("{how}: {outcome:?}") };
            assert!(error.to_string().contains(expected), "{how}: {error}");
            assert_eq!(error.panicked, how.starts_with("panic"), "{how}");
            assert_eq!(error.step.is_none(), how.ends_with("predicate"), "{how}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_process_can_kill_itself() {
    for outcome in both("kill").await {
        assert!(matches!(outcome, Outcome::Killed(text) if text == "by itself"));
    }
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_context_of_the_last_boundary() {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    let run = runtime.launch(Sum::inputs().to(5).how("fail")).await.unwrap();
    run.outcome().await.unwrap();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    assert_eq!((record.state, record.steps, &*record.context), (ProcessState::Excepted, 3, r#"{"n":2}"#));
}

#[tokio::test]
async fn inputs_by_name_are_checked_and_filled_in_as_typed_ones() {
    let world = World::new();
    let runtime = world.volatile().register::<Sum>().build().await.unwrap();
    let launch = |inputs: Value| runtime.launch_by_name("it::Sum", inputs.as_object().cloned().unwrap());
    let run = launch(json!({ "to": 3 })).await.unwrap();
    assert_eq!(run.termination().await.unwrap().outputs["total"], 3);

    let Err(RunError::Inputs(error)) = launch(json!({ "to": 2_000, "how": 1, "too": 3 })).await else { panic!() };
    let faults: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(error.direction(), Direction::Inputs);
    assert_eq!(faults[0], "`to`: must be below 1000");
    assert!(faults[1].starts_with("`how`: expected `String`"), "{faults:?}");
    assert_eq!(faults[2], "`too`: no such port; did you mean `to`?");

    let Err(RunError::Inputs(error)) = runtime.launch(Sum::inputs().to(1_000)).await else { panic!() };
    assert_eq!(error.faults()[0].to_string(), "`to`: must be below 1000");

    let Err(error) = runtime.launch_by_name("it::Sun", serde_json::Map::new()).await else { panic!() };
    assert_eq!(error.to_string(), "no process `it::Sun` is registered; the nearest is `it::Sum`");
}

#[tokio::test]
async fn the_same_key_gives_the_same_process() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Sum>().register::<Idle>().build().await.unwrap();
        let launch = || async { runtime.launch(Sum::inputs().to(5)).key("a").await.unwrap() };
        let (first, second) = tokio::join!(launch(), launch());
        assert_eq!(first.pid(), second.pid());
        assert_ne!(first.is_new(), second.is_new(), "one of them has made it");
        first.outcome().await.unwrap();
        let third = launch().await;
        assert_eq!((first.pid(), third.is_new()), (third.pid(), false));
        assert!(!runtime.find("a").await.unwrap().unwrap().is_new());
        assert!(third.outcome().await.unwrap().is_finished());
        let Err(RunError::KeyInUse { key, process, .. }) = runtime.launch(Idle::inputs()).key("a").await else {
            panic!()
        };
        assert_eq!((key.as_str(), process.as_str()), ("a", "it::Sum"));
        runtime.shutdown().await.unwrap();
    }
}

/// Meets the other one before either of them exists.
#[process(name = "it::Meets", hooks, needs(Barrier))]
#[derive(Default)]
struct Meets {}

spec! { Meets {} }

outline! { Meets { hold; } }

impl Hooks for Meets {
    fn on_create(&mut self, cx: &Cx<Self>) -> Result<(), BoxError> {
        if *cx.pid() == "one".into() {
            cx.resource::<Barrier>().wait();
        }
        Ok(())
    }
}

impl Meets {
    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for the test")
    }
}

/// Both keys lead to the one process that there is.
#[tokio::test]
async fn an_id_that_is_launched_twice_at_once_under_two_keys_is_one_process_that_ends() {
    let runtime = World::new().volatile().resource(Barrier::new(2)).register::<Meets>().build().await.unwrap();
    let launches = std::thread::scope(|scope| {
        let launch = |key: &'static str| {
            let (runtime, tokio) = (&runtime, tokio::runtime::Handle::current());
            scope.spawn(move || tokio.block_on(runtime.launch(Meets::inputs()).id("one").key(key).into_future()))
        };
        ["a", "b"].map(launch).map(|thread| thread.join().unwrap().unwrap())
    });
    let mut handles = Vec::from(launches);
    for key in ["a", "b"] {
        handles.push(runtime.launch(Meets::inputs()).key(key).await.unwrap());
    }
    handles[0].kill("enough").await.unwrap();
    for handle in handles {
        let end = tokio::time::timeout(Duration::from_secs(20), handle.termination()).await.expect("it is told");
        assert_eq!((handle.pid(), end.unwrap().ended.state()), (&"one".into(), ProcessState::Killed));
    }
}

#[tokio::test]
async fn a_key_outlives_the_runtime() {
    let world = World::new();
    let mut pids = Vec::new();
    for _ in 0..2 {
        let runtime = world.builder().register::<Sum>().build().await.unwrap();
        let run = runtime.launch(Sum::inputs().to(5)).key("a").await.unwrap();
        assert!(run.outcome().await.unwrap().is_finished());
        pids.push(run.pid().clone());
        runtime.shutdown().await.unwrap();
    }
    assert_eq!(pids[0], pids[1]);
}

/// Does nothing, at a gate.
#[process(name = "it::Idle", needs(super::support::Gate))]
#[derive(Default)]
pub(crate) struct Idle {}

spec! { Idle {} }

outline! { Idle { idle; } }

static AT_WORK: AtomicUsize = AtomicUsize::new(0);
static MOST_AT_WORK: AtomicUsize = AtomicUsize::new(0);

impl Idle {
    async fn idle(&mut self, cx: &mut Cx<Self>) {
        let now = AT_WORK.fetch_add(1, Ordering::SeqCst) + 1;
        MOST_AT_WORK.fetch_max(now, Ordering::SeqCst);
        cx.resource::<super::support::Gate>().pass().await;
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn no_more_steps_run_at_once_than_configured() {
    let world = World::new();
    let runtime = world.volatile().register::<Idle>().concurrent(3).build().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(runtime.launch(Idle::inputs()).await.unwrap());
    }
    for _ in 0..3 {
        world.gate.reached().await;
    }
    world.gate.open(10);
    for run in runs {
        run.outcome().await.unwrap();
    }
    assert_eq!(MOST_AT_WORK.load(Ordering::SeqCst), 3);
}

/// A process of steps that hand over with arguments.
#[process(name = "it::Greet")]
#[derive(Default)]
pub(crate) struct Greet {
    said: Vec<String>,
}

spec! { Greet {
    input name: String;
    output said: Vec<String>;
}}

steps! { Greet {
    start;
    greet(count: u32, name: String);
    answered(from: u32, answer: Answer);
}}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Answer {
    text: String,
}

impl Greet {
    fn start(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().greet(2, cx.inputs().name.clone())
    }

    fn greet(&mut self, cx: &mut Cx<Self>, count: u32, name: String) -> Next<Self> {
        self.said.push(format!("hello {name}"));
        if count > 1 { cx.next().greet(count - 1, name) } else { cx.wait("for an answer").answered(7) }
    }

    async fn answered(&mut self, cx: &mut Cx<Self>, from: u32, answer: Answer) -> Result<Next<Self>, StepError> {
        tokio::task::yield_now().await;
        self.said.push(format!("{from}: {}", answer.text));
        cx.out("said", &self.said)?;
        Ok(cx.stop(from))
    }
}

#[tokio::test]
async fn steps_hand_over_with_arguments_and_take_the_value_of_a_resume() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Greet>().build().await.unwrap();
        let run = runtime.launch(Greet::inputs().name("Ada")).await.unwrap();
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        let Err(error) = run.resume(json!({ "txt": "hi" })).await else { panic!("refused") };
        assert!(error.to_string().contains("missing field `text`"), "{error}");
        assert!(run.resume(Answer { text: "hi".into() }).await.unwrap());
        let termination = run.termination().await.unwrap();
        assert_eq!(termination.outputs["said"], json!(["hello Ada", "hello Ada", "7: hi"]));
        assert_eq!(termination.ended, procession::process::Ended::Finished { result: json!(7) });
        let Err(RunError::InvalidState { state: ProcessState::Finished, .. }) = run.resume(1).await else { panic!() };
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn two_processes_of_one_name_are_refused_before_a_store_is_opened() {
    #[process(name = "it::Sum")]
    #[derive(Default)]
    struct Other {}
    spec! { Other {} }
    outline! { Other { idle; } }
    impl Other {
        fn idle(&mut self) {}
    }
    let builder = Runtime::volatile().register::<Sum>().register::<Other>().register::<Sum>();
    let Err(RunError::Registry(error)) = builder.build().await else { panic!() };
    let text = error.to_string();
    assert!(text.contains("`it::Sum`") && text.contains("life::Sum") && text.contains("Other"), "{text}");
}

#[tokio::test]
async fn a_declared_resource_must_be_given() {
    let Err(RunError::Registry(error)) = Runtime::volatile().register::<Idle>().build().await else { panic!() };
    let text = error.to_string();
    assert!(text.contains("`it::Idle`") && text.contains("Gate"), "{text}");
}

#[tokio::test]
async fn a_runtime_without_a_store_is_asked_for_by_name() {
    assert!(matches!(Runtime::builder().build().await, Err(RunError::NoStore)));
}

#[tokio::test]
async fn current_is_the_process_inside_of_its_steps_only() {
    #[process(name = "it::Whoami")]
    #[derive(Default)]
    struct Whoami {}
    spec! { Whoami { output same: bool; } }
    outline! { Whoami { look => same; } }
    impl Whoami {
        fn look(&mut self, cx: &mut Cx<Self>) -> bool {
            procession::current().as_ref() == Some(cx.pid())
        }
    }
    let runtime = Runtime::volatile().register::<Whoami>().build().await.unwrap();
    let runs =
        [runtime.launch(Whoami::inputs()).await.unwrap(), runtime.launch(Whoami::inputs()).id("me").await.unwrap()];
    assert_eq!(runs[1].pid(), &ProcessId::from("me"));
    for run in runs {
        assert!(run.outcome().await.unwrap().finished().unwrap().same);
    }
    assert_eq!(procession::current(), None);
}

#[tokio::test]
async fn launches_of_one_key_at_once_make_one_process() {
    let world = World::new();
    let runtime = Arc::new(world.builder().register::<Sum>().build().await.unwrap());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let runtime = Arc::clone(&runtime);
            tokio::spawn(async move { runtime.launch(Sum::inputs().to(3)).key("one").await.unwrap().pid().clone() })
        })
        .collect();
    let mut pids = Vec::new();
    for task in tasks {
        pids.push(task.await.unwrap());
    }
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[tokio::test]
async fn a_waiting_process_costs_no_slot() {
    let world = World::new();
    let runtime = world.volatile().register::<Greet>().register::<Sum>().concurrent(1).build().await.unwrap();
    let waiting = runtime.launch(Greet::inputs().name("Ada")).await.unwrap();
    eventually(async || waiting.status().await.unwrap().state == ProcessState::Waiting).await;
    let run = runtime.launch(Sum::inputs().to(3)).await.unwrap();
    assert!(run.outcome().await.unwrap().is_finished());
    assert_eq!(waiting.status().await.unwrap().state, ProcessState::Waiting);
}

#[tokio::test]
async fn who_waits_is_told_when_the_last_handle_of_the_runtime_is_dropped() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Greet>().register::<Idle>().build().await.unwrap();
        let resting = runtime.launch(Greet::inputs().name("Ada")).await.unwrap();
        eventually(async || resting.status().await.unwrap().state == ProcessState::Waiting).await;
        let stepping = runtime.launch(Idle::inputs()).await.unwrap();
        world.gate.reached().await;
        drop(runtime);
        assert!(matches!(resting.outcome().await, Err(RunError::Closed)));
        world.gate.open(1);
        // The step that runs may end, and with it the process; nothing new begins.
        assert!(stepping.outcome().await.is_ok_and(|outcome| outcome.is_finished()));
    }
}

#[tokio::test]
async fn launching_after_a_shutdown_is_refused() {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    runtime.shutdown().await.unwrap();
    assert!(matches!(runtime.launch(Sum::inputs().to(1)).await, Err(RunError::Closed)));
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_context_that_could_not_be_read_again_is_found_at_once() {
    #[process(name = "it::Nan")]
    #[derive(Debug, Default)]
    struct Nan {
        value: f64,
    }
    spec! { Nan {} }
    outline! { Nan { spoil; } }
    impl Nan {
        fn spoil(&mut self) {
            self.value = f64::NAN;
        }
    }
    let world = World::new();
    let runtime = world.builder().register::<Nan>().build().await.unwrap();
    let run = runtime.launch(Nan::inputs()).await.unwrap();
    let Outcome::Excepted(error) = run.outcome().await.unwrap() else { panic!() };
    assert!(error.to_string().contains("the context cannot be read again: field `value`"), "{error}");
}

/// Public types work in threads.
#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Runtime>();
    check::<procession::RuntimeBuilder>();
    check::<procession::Handle<Sum>>();
    check::<procession::Launching<Sum>>();
    check::<Child<Sum>>();
    check::<Outcome<Sum>>();
    check::<RunError>();
    check::<procession::store::StoreError>();
    check::<procession::spec::ProcessSpec>();
    check::<procession::store::Record>();
}

/// An error's text says what failed, and leaves its cause to `source`.
#[test]
fn no_error_repeats_its_source() {
    use procession::store::{StoreError, StoreErrorKind};
    let store = StoreError::new(StoreErrorKind::Io, "read", "a.db").with_source(std::io::Error::other("the cause"));
    let errors: [&dyn std::error::Error; 2] = [&store, &RunError::from(store.clone())];
    for error in errors {
        let source = error.source().expect("it has one").to_string();
        assert!(!error.to_string().contains(&source), "{error}");
    }
}
