//! Hooks of a process and what listens to it: what is told, and in which order (S37–S41).

use procession::listener::Listener;
use procession::prelude::*;
use procession::process::{BoxError, Ended, ErrorInfo, Hooks, Termination, Transition};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex};

use super::support::{World, eventually};

/// What was told, and the hooks that fail or panic.
#[derive(Clone, Default)]
pub(crate) struct Log {
    told: Arc<Mutex<Vec<String>>>,
    fails: &'static str,
    panics: bool,
}

impl Log {
    fn note(&self, what: &str) {
        self.told.lock().unwrap().push(what.to_owned());
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// Writes down every hook that is called.
#[process(name = "it::Hooked", hooks, needs(Log))]
#[derive(Debug, Default)]
pub(crate) struct Hooked {}

spec! { Hooked {
    /// What it does: say, wait, fail, or forget its output.
    input act: String;
    output said: u32;
    output early: optional<u32>;
}}

outline! { Hooked {
    act;
    say => said;
}}

impl Hooked {
    fn act(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        cx.resource::<Log>().note("step");
        match cx.inputs().act.as_str() {
            "fail" => Err("the step failed".into()),
            "exit" => Ok(cx.stop(Value::Null)),
            "kill" => Ok(cx.kill("by itself")),
            _ => {
                cx.out("early", &2)?;
                cx.report("said");
                Ok(cx.wait("for the test"))
            }
        }
    }

    fn say(&mut self, cx: &mut Cx<Self>) -> u32 {
        cx.resource::<Log>().note("step");
        1
    }
}

/// Notes a hook, and does what the test asks of it.
fn hook(cx: &Cx<Hooked>, name: &str) -> Result<(), BoxError> {
    let log = cx.resource::<Log>();
    assert_eq!(procession::current().as_ref(), Some(cx.pid()), "{name} runs in the scope of its process");
    log.note(name);
    if log.fails != name {
        return Ok(());
    }
    assert!(!log.panics, "{name} panics");
    Err(format!("{name} fails").into())
}

/// A hook after the commit: it cannot fail, but panic.
fn after(cx: &Cx<Hooked>, name: &str) {
    let _ = hook(cx, name);
}

impl Hooks for Hooked {
    fn on_init(&mut self, cx: &Cx<Self>) {
        after(cx, "init");
    }
    fn on_exiting(&mut self, cx: &Cx<Self>, transition: Transition<'_>) -> Result<(), BoxError> {
        assert_eq!(transition.pid, cx.pid());
        hook(cx, "exiting")
    }
    fn on_exit_running(&mut self, cx: &Cx<Self>) -> Result<(), BoxError> {
        hook(cx, "exit_running")
    }
    fn on_exit_waiting(&mut self, cx: &Cx<Self>) -> Result<(), BoxError> {
        hook(cx, "exit_waiting")
    }
    fn on_entering(&mut self, cx: &Cx<Self>, transition: Transition<'_>) -> Result<(), BoxError> {
        hook(cx, &format!("entering({})", transition.to))
    }
    fn on_create(&mut self, cx: &Cx<Self>) -> Result<(), BoxError> {
        hook(cx, "create")
    }
    fn on_run(&mut self, cx: &Cx<Self>) -> Result<(), BoxError> {
        hook(cx, "run")
    }
    fn on_wait(&mut self, cx: &Cx<Self>, text: Option<&str>) -> Result<(), BoxError> {
        assert_eq!(text, Some("for the test"));
        hook(cx, "wait")
    }
    fn on_finish(&mut self, cx: &Cx<Self>, ended: &Ended) -> Result<(), BoxError> {
        hook(cx, if ended.is_successful() { "finish" } else { "finish(exit)" })
    }
    fn on_except(&mut self, cx: &Cx<Self>, error: &ErrorInfo) -> Result<(), BoxError> {
        assert!(error.message.contains("fail") || error.panicked, "{error}");
        hook(cx, "except")
    }
    fn on_kill(&mut self, cx: &Cx<Self>, text: &str) -> Result<(), BoxError> {
        assert_eq!(text, "by itself");
        hook(cx, "kill")
    }
    fn on_entered(&mut self, cx: &Cx<Self>, transition: Transition<'_>) {
        after(cx, &format!("entered({})", transition.to));
    }
    fn on_running(&mut self, cx: &Cx<Self>) {
        after(cx, "running");
    }
    fn on_waiting(&mut self, cx: &Cx<Self>) {
        after(cx, "waiting");
    }
    fn on_finished(&mut self, cx: &Cx<Self>) {
        after(cx, "finished");
    }
    fn on_excepted(&mut self, cx: &Cx<Self>) {
        after(cx, "excepted");
    }
    fn on_killed(&mut self, cx: &Cx<Self>) {
        after(cx, "killed");
    }
    fn on_output_emitting(&mut self, cx: &Cx<Self>, _: &str, _: &Value) -> Result<(), BoxError> {
        hook(cx, "output_emitting")
    }
    fn on_output_emitted(&mut self, cx: &Cx<Self>, _: &str, _: &Value) {
        after(cx, "output_emitted");
    }
    fn on_pausing(&mut self, cx: &Cx<Self>, text: Option<&str>) {
        assert_eq!(text, Some("lunch"));
        after(cx, "pausing");
    }
    fn on_paused(&mut self, cx: &Cx<Self>) {
        after(cx, "paused");
    }
    fn on_playing(&mut self, cx: &Cx<Self>) {
        after(cx, "playing");
    }
    fn on_played(&mut self, cx: &Cx<Self>) {
        after(cx, "played");
    }
    fn on_terminated(&mut self, cx: &Cx<Self>) {
        after(cx, "terminated");
    }
    fn on_close(&mut self, cx: &Cx<Self>) {
        after(cx, "close");
    }
}

/// Notes what it hears, and panics each time: that is its own affair (S41).
struct Observer(Log);

impl Observer {
    fn hears(&self, what: &str) {
        self.0.note(&format!("L:{what}"));
        panic!("a listener's panic is its own affair");
    }
}

impl Listener for Observer {
    fn on_created(&self, _: &ProcessId) {
        self.hears("created");
    }
    fn on_running(&self, _: &ProcessId) {
        self.hears("running");
    }
    fn on_waiting(&self, _: &ProcessId) {
        self.hears("waiting");
    }
    fn on_finished(&self, _: &ProcessId, ended: &Ended, outputs: &Map<String, Value>) {
        self.hears(&format!("finished({}, {})", ended.is_successful(), Value::Object(outputs.clone())));
    }
    fn on_excepted(&self, _: &ProcessId, error: &ErrorInfo) {
        self.hears(&format!("excepted({error})"));
    }
    fn on_killed(&self, _: &ProcessId, text: &str) {
        self.hears(&format!("killed({text})"));
    }
    fn on_paused(&self, _: &ProcessId) {
        self.hears("paused");
    }
    fn on_played(&self, _: &ProcessId) {
        self.hears("played");
    }
    fn on_output_emitted(&self, _: &ProcessId, port: &str, value: &Value) {
        self.hears(&format!("output_emitted({port}, {value})"));
    }
    fn on_report(&self, _: &ProcessId, line: &str) {
        self.hears(&format!("report({line})"));
    }
}

/// What is told in each of these, in one line.
const CREATED: &str = "entering(created) create entered(created) L:created init";
const RUNNING: &str = "exiting entering(running) run entered(running) running L:running step";
const WAITING: &str = "output_emitting exiting exit_running entering(waiting) wait \
     output_emitted L:output_emitted(early, 2) L:report(said) entered(waiting) waiting L:waiting";
const RESUMED: &str = "exiting exit_waiting entering(running) run entered(running) running L:running step";
const FINISHED: &str = "output_emitting exiting exit_running entering(finished) finish \
     output_emitted L:output_emitted(said, 1) entered(finished) finished \
     L:finished(true, {\"early\":2,\"said\":1}) terminated close";
const PAUSED: &str = "pausing paused L:paused";
const PLAYED: &str = "playing played L:played";

/// Runs one to its end; `asked` is what is asked of it while it waits.
async fn watched(stored: bool, log: &Log, act: &str, asked: &[&str]) -> Result<Termination, procession::RunError> {
    let world = World::new();
    let builder = if stored { world.builder() } else { world.volatile() };
    let builder = builder.resource(log.clone()).listener(Observer(log.clone())).register::<Hooked>();
    let runtime = builder.build().await.unwrap();
    let run = runtime.launch(Hooked::inputs().act(act)).await?;
    for ask in asked {
        eventually(async || run.status().await.is_ok_and(|status| status.state == ProcessState::Waiting)).await;
        match *ask {
            "pause" => run.pause("lunch").await.unwrap(),
            "play" => run.play().await.unwrap(),
            "kill" => run.kill("by itself").await.unwrap(),
            _ => run.resume(()).await.unwrap(),
        };
    }
    let termination = run.termination().await;
    runtime.shutdown().await.unwrap();
    termination
}

#[tokio::test]
async fn hooks_and_listeners_are_told_in_the_order_of_s37_to_s40() {
    let excepted = "exiting exit_running entering(excepted) except entered(excepted) excepted \
         L:excepted(step `act` failed: the step failed) terminated close";
    let exited = "exiting exit_running entering(finished) finish(exit) \
         entered(finished) finished L:finished(false, {}) terminated close";
    let killed_itself = "exiting exit_running entering(killed) kill entered(killed) killed L:killed(by itself) \
         terminated close";
    let killed =
        "exiting exit_waiting entering(killed) kill entered(killed) killed L:killed(by itself) terminated close";
    let table: [(&str, &[&str], &[&str]); 7] = [
        ("say", &["resume"], &[CREATED, RUNNING, WAITING, RESUMED, FINISHED]),
        ("say", &["pause", "play", "resume"], &[CREATED, RUNNING, WAITING, PAUSED, PLAYED, RESUMED, FINISHED]),
        ("say", &["kill"], &[CREATED, RUNNING, WAITING, killed]),
        ("say", &["pause", "kill"], &[CREATED, RUNNING, WAITING, PAUSED, killed]),
        ("fail", &[], &[CREATED, RUNNING, excepted]),
        // Refused entry: the outputs are validated before the hooks, which are told of what it comes to (S43), once (S7).
        ("exit", &[], &[CREATED, RUNNING, exited]),
        ("kill", &[], &[CREATED, RUNNING, killed_itself]),
    ];
    for stored in [false, true] {
        for (act, asked, expected) in table {
            let log = Log::default();
            watched(stored, &log, act, asked).await.unwrap();
            assert_eq!(log.told().join(" "), expected.join(" "), "{act} {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_hook_that_fails_before_the_commit_makes_the_process_excepted() {
    let before = [
        "exiting",
        "entering(running)",
        "run",
        "output_emitting",
        "exit_running",
        "entering(waiting)",
        "wait",
        "exit_waiting",
        "entering(finished)",
        "finish",
    ];
    for (fails, panics) in before.into_iter().flat_map(|name| [(name, false), (name, true)]) {
        let log = Log { fails, panics, ..Log::default() };
        let asked: &[&str] =
            if matches!(fails, "exit_waiting" | "entering(finished)" | "finish") { &["resume"] } else { &[] };
        let termination = watched(true, &log, "say", asked).await.unwrap();
        let error = termination.ended.to_string();
        assert!(
            error.starts_with("excepted")
                && error.contains(&format!("{fails} {}", if panics { "panics" } else { "fails" })),
            "{error}"
        );
        let told = log.told();
        // The state that was refused is never seen; what it leads to is told once.
        let refused = fails.trim_start_matches("entering");
        assert!(!told.contains(&format!("entered{refused}")), "{told:?}");
        let count = |name: &str| told.iter().filter(|told| *told == name).count();
        assert_eq!((count("except"), count("entered(excepted)"), count("close")), (1, 1, 1), "{fails}: {told:?}");
    }
}

#[tokio::test]
async fn a_hook_on_the_way_to_an_end_that_was_asked_for_can_fail_too() {
    for fails in ["entering(killed)", "kill"] {
        let log = Log { fails, ..Log::default() };
        let termination = watched(true, &log, "say", &["kill"]).await;
        // The kill is answered with whether the process is killed: it is not.
        assert_eq!(termination.unwrap().ended.state(), ProcessState::Excepted, "{fails}");
    }
    // On the way to excepted, the process keeps the error that it had.
    for fails in ["entering(excepted)", "except"] {
        let log = Log { fails, ..Log::default() };
        let termination = watched(true, &log, "fail", &[]).await.unwrap();
        assert_eq!(termination.ended.to_string(), "excepted: step `act` failed: the step failed");
        assert!(log.told().ends_with(&["terminated".into(), "close".into()]));
    }
}

#[tokio::test]
async fn a_hook_that_fails_at_creation_refuses_the_launch() {
    for stored in [false, true] {
        for (fails, panics) in [("entering(created)", false), ("create", false), ("create", true)] {
            let log = Log { fails, panics, ..Log::default() };
            let error = watched(stored, &log, "say", &[]).await.unwrap_err();
            assert!(
                error.to_string().starts_with("a launch of process `it::Hooked` is refused by its hook"),
                "{error}"
            );
            assert!(!log.told().iter().any(|told| told.starts_with("L:") || told == "init"), "nobody has seen it");
        }
    }
}

#[tokio::test]
async fn a_hook_that_panics_after_the_commit_changes_nothing() {
    let names = ["entered(created)", "init", "entered(running)", "running", "waiting", "output_emitted", "finished"];
    for fails in names.into_iter().chain(["pausing", "paused", "playing", "played", "terminated", "close"]) {
        let log = Log { fails, panics: true, ..Log::default() };
        let termination = watched(true, &log, "say", &["pause", "play", "resume"]).await.unwrap();
        assert!(termination.ended.is_successful(), "{fails}: {}", termination.ended);
        assert_eq!(log.told().join(" "), [CREATED, RUNNING, WAITING, PAUSED, PLAYED, RESUMED, FINISHED].join(" "));
    }
}

/// Fills a field that is not saved when it is in memory again.
#[process(name = "it::Cached", hooks, needs(Log))]
#[derive(Debug, Default)]
struct Cached {
    #[process(skip)]
    cache: Option<u32>,
}

spec! { Cached { input size: u32; output before: u32; output after: u32; } }
outline! { Cached { first => before; hold; last => after; } }

impl Cached {
    fn first(&mut self) -> Result<u32, StepError> {
        Ok(self.cache.ok_or("no cache")?)
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for a restart")
    }

    fn last(&mut self) -> Result<u32, StepError> {
        Ok(self.cache.ok_or("no cache")?)
    }
}

impl Hooks for Cached {
    fn on_init(&mut self, cx: &Cx<Self>) {
        assert_eq!(procession::current().as_ref(), Some(cx.pid()));
        assert!(!cx.resource::<Log>().panics, "no room for the cache");
        self.cache = Some(cx.inputs().size);
    }
}

#[tokio::test]
async fn on_init_runs_after_creation_and_after_each_load() {
    let world = World::new();
    let build = |panics| {
        let log = Log { panics, ..Log::default() };
        world.builder().resource(log).register::<Cached>().build()
    };
    let runtime = build(false).await.unwrap();
    let run = runtime.launch(Cached::inputs().size(7)).await.unwrap();
    eventually(async || run.status().await.is_ok_and(|status| status.state == ProcessState::Waiting)).await;
    runtime.shutdown().await.unwrap();

    let runtime = build(true).await.unwrap();
    let error = runtime.attach(run.pid()).await.unwrap_err().to_string();
    assert!(error.contains("is parked: `on_init` panicked: no room for the cache"), "{error}");
    // Parked, not lost: every byte is kept.
    assert_eq!(world.store.load(run.pid()).await.unwrap().unwrap().state, ProcessState::Waiting);
    runtime.shutdown().await.unwrap();

    let world = World::new();
    let build = || world.builder().resource(Log::default()).register::<Cached>().build();
    let runtime = build().await.unwrap();
    let run = runtime.launch(Cached::inputs().size(7)).await.unwrap();
    eventually(async || run.status().await.is_ok_and(|status| status.state == ProcessState::Waiting)).await;
    runtime.shutdown().await.unwrap();
    let runtime = build().await.unwrap();
    let run = runtime.attach(run.pid()).await.unwrap();
    run.resume(()).await.unwrap();
    let outputs = run.termination().await.unwrap().outputs;
    assert_eq!((&outputs["before"], &outputs["after"]), (&Value::from(7), &Value::from(7)));
    runtime.shutdown().await.unwrap();
}

/// A field that cannot be written, if it is asked to.
#[derive(Debug, Default)]
struct Odd(bool);

impl serde::Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 { Err(serde::ser::Error::custom("odd")) } else { serializer.serialize_bool(false) }
    }
}

impl<'de> serde::Deserialize<'de> for Odd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(Odd)
    }
}

/// Counts in a hook, and may become unwritable.
#[process(name = "it::Counted", hooks, needs(Log))]
#[derive(Debug, Default)]
struct Counted {
    odd: Odd,
    waits: u32,
}

spec! { Counted { input odd: bool; output waits: u32; } }
outline! { Counted { first; last => waits; } }

impl Counted {
    fn first(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        self.odd = Odd(cx.inputs().odd);
        cx.wait("for the test")
    }

    fn last(&mut self) -> u32 {
        self.waits
    }
}

impl Hooks for Counted {
    fn on_entering(&mut self, cx: &Cx<Self>, transition: Transition<'_>) -> Result<(), BoxError> {
        cx.resource::<Log>().note(&format!("entering({})", transition.to));
        Ok(())
    }

    fn on_except(&mut self, cx: &Cx<Self>, _: &ErrorInfo) -> Result<(), BoxError> {
        cx.resource::<Log>().note("except");
        Ok(())
    }

    fn on_waiting(&mut self, _: &Cx<Self>) {
        self.waits += 1;
    }
}

#[tokio::test]
async fn hooks_are_told_of_excepted_also_where_a_context_cannot_be_written() {
    let (world, log) = (World::new(), Log::default());
    let runtime = world.builder().resource(log.clone()).register::<Counted>().build().await.unwrap();
    let run = runtime.launch(Counted::inputs().odd(true)).await.unwrap();
    assert_eq!(run.termination().await.unwrap().ended.state(), ProcessState::Excepted);
    let expected = "entering(created) entering(running) entering(waiting) entering(excepted) except";
    assert_eq!(log.told().join(" "), expected);
}

#[tokio::test]
async fn what_a_hook_changes_is_not_lost_where_there_is_no_room_in_memory() {
    for resident in [1_000, 0] {
        let world = World::new();
        let builder = world.builder().resource(Log::default()).resident(resident).register::<Counted>();
        let runtime = builder.build().await.unwrap();
        let run = runtime.launch(Counted::inputs().odd(false)).await.unwrap();
        eventually(async || run.status().await.is_ok_and(|status| status.state == ProcessState::Waiting)).await;
        run.resume(()).await.unwrap();
        assert_eq!(run.outcome().await.unwrap().finished().unwrap().waits, 1, "{resident}");
        runtime.shutdown().await.unwrap();
    }
}
