//! Going on after a restart: at every program point, after a sleep, after a crash in a step, and not at all.

use procession::prelude::*;
use procession::store::{MemoryStore, Record, Store};
use procession::{Result, RunError};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::faulty::Faulty;
use super::life::{Greet, Sum};
use super::support::{Gate, World, eventually};

/// Passes the gate in every step, so that a test can stop the world at each.
#[process(name = "it::Path", needs(Gate))]
#[derive(Default)]
pub(crate) struct Path {
    visited: Vec<String>,
    round: u32,
}

spec! { Path {
    input branch: u32 = 0;
    output visited: Vec<String>;
}}

outline! { Path {
    enter;
    while_(again) {
        walk;
        if_(left) { go_left; rest } elif_(right) { go_right } else_ { rest }
    }
    leave => visited;
}}

impl Path {
    async fn visit(&mut self, cx: &mut Cx<Self>, step: &str) {
        cx.resource::<Gate>().pass().await;
        self.visited.push(step.into());
    }

    async fn enter(&mut self, cx: &mut Cx<Self>) {
        self.visit(cx, "enter").await;
    }

    fn again(&self) -> bool {
        self.round < 3
    }

    async fn walk(&mut self, cx: &mut Cx<Self>) {
        self.visit(cx, "walk").await;
        self.round += 1;
    }

    fn left(&self) -> bool {
        self.round == 1
    }

    fn right(&self) -> bool {
        self.round == 2
    }

    async fn go_left(&mut self, cx: &mut Cx<Self>) {
        self.visit(cx, "go_left").await;
    }

    async fn go_right(&mut self, cx: &mut Cx<Self>) {
        self.visit(cx, "go_right").await;
    }

    async fn rest(&mut self, cx: &mut Cx<Self>) {
        self.visit(cx, "rest").await;
    }

    async fn leave(&mut self, cx: &mut Cx<Self>) -> Vec<String> {
        self.visit(cx, "leave").await;
        self.visited.clone()
    }
}

const PATH: [&str; 9] = ["enter", "walk", "go_left", "rest", "walk", "go_right", "walk", "rest", "leave"];

#[tokio::test]
async fn a_process_goes_on_at_every_program_point() {
    for crash in 0..PATH.len() {
        let world = World::new();
        let runtime = world.builder().register::<Path>().build().await.unwrap();
        let run = runtime.launch(Path::inputs()).key("path").await.unwrap();
        for _ in 0..crash {
            world.gate.reached().await;
            world.gate.open(1);
        }
        world.gate.reached().await;
        // Step `crash` has begun; what it does is lost with the worker.
        runtime.shutdown_within(Duration::ZERO).await.unwrap();
        let record = world.store.load(run.pid()).await.unwrap().unwrap();
        assert_eq!(record.steps, crash as u64);

        let runtime = world.builder().register::<Path>().build().await.unwrap();
        let run = runtime.launch(Path::inputs()).key("path").await.unwrap();
        world.gate.open(PATH.len() - crash);
        assert_eq!(run.outcome().await.unwrap().finished().expect("finished").visited, PATH);
    }
}

/// Sleeps between two steps.
#[process(name = "it::Sleeper")]
#[derive(Default)]
pub(crate) struct Sleeper {}

spec! { Sleeper {
    output slept: bool;
}}

outline! { Sleeper { doze; wake => slept; } }

impl Sleeper {
    fn doze(&mut self, cx: &mut Cx<Self>) {
        cx.sleep(Duration::from_secs(10));
        cx.sleep(Duration::from_secs(60));
    }

    fn wake(&mut self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_sleep_ends_when_the_clock_has_come_to_it() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Sleeper>().build().await.unwrap();
        let run = runtime.launch(Sleeper::inputs()).await.unwrap();
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        world.clock.advance(Duration::from_secs(59));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting);
        world.clock.advance(Duration::from_secs(1));
        assert!(run.outcome().await.unwrap().finished().expect("finished").slept);
    }
}

#[tokio::test]
async fn a_sleep_survives_a_restart_and_an_overdue_one_ends_at_once() {
    for overdue in [false, true] {
        let world = World::new();
        let runtime = world.builder().register::<Sleeper>().build().await.unwrap();
        let run = runtime.launch(Sleeper::inputs()).key("s").await.unwrap();
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        runtime.shutdown().await.unwrap();
        world.clock.advance(Duration::from_secs(if overdue { 1_000 } else { 30 }));
        let runtime = world.builder().register::<Sleeper>().build().await.unwrap();
        let run = runtime.launch(Sleeper::inputs()).key("s").await.unwrap();
        if !overdue {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting);
            world.clock.advance(Duration::from_secs(30));
        }
        assert!(run.outcome().await.unwrap().is_finished());
    }
}

/// Has an effect that must not happen twice.
#[process(name = "it::Payer", needs(Gate, std::sync::Arc<Till>))]
#[derive(Default)]
pub(crate) struct Payer {
    keys: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Till {
    paid: AtomicU32,
}

spec! { Payer {
    output receipt: u32;
    output keys: Vec<String>;
}}

outline! { Payer { prepare; pay => receipt, keys; } }

impl Payer {
    fn prepare(&mut self, cx: &mut Cx<Self>) {
        self.keys.push(cx.key());
    }

    async fn pay(&mut self, cx: &mut Cx<Self>) -> Result<(u32, Vec<String>), StepError> {
        let till = cx.resource::<std::sync::Arc<Till>>();
        let failed: Result<u32, StepError> = cx.once("fails", async { Err::<u32, _>("no money") }).await;
        assert!(failed.is_err(), "only success is stored");
        let receipt =
            cx.once("pay", async { Ok::<_, StepError>(till.paid.fetch_add(1, Ordering::SeqCst) + 1) }).await?;
        self.keys.push(cx.key());
        cx.resource::<Gate>().pass().await;
        Ok((receipt, self.keys.clone()))
    }
}

#[tokio::test]
async fn an_effect_in_once_happens_once_and_the_key_of_a_step_stays() {
    let world = World::new();
    let till = std::sync::Arc::new(Till::default());
    let build = || world.builder().resource(std::sync::Arc::clone(&till)).register::<Payer>().build();
    let runtime = build().await.unwrap();
    let run = runtime.launch(Payer::inputs()).key("p").await.unwrap();
    world.gate.reached().await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
    assert!(world.store.memo(run.pid(), 1, "pay").await.unwrap().is_some());

    let runtime = build().await.unwrap();
    let run = runtime.launch(Payer::inputs()).key("p").await.unwrap();
    world.gate.open(1);
    let outputs = run.outcome().await.unwrap().finished().expect("finished");
    assert_eq!((outputs.receipt, till.paid.load(Ordering::SeqCst)), (1, 1));
    let pid = run.pid();
    assert_eq!(outputs.keys, [format!("{pid}/0"), format!("{pid}/1")]);
    assert!(world.store.memo(pid, 1, "pay").await.unwrap().is_none(), "forgotten at the boundary");
}

/// A record as an older or newer program may have left it.
async fn stored(world: &World, change: impl Fn(&mut Record)) -> ProcessId {
    use procession::process::ProcessState;
    use procession::store::{Commit, NewProcess};
    let runtime = world.builder().register::<Greet>().build().await.unwrap();
    let run = runtime.launch(Greet::inputs().name("Ada")).await.unwrap();
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let mut record = world.store.load(run.pid()).await.unwrap().unwrap();
    runtime.shutdown().await.unwrap();
    change(&mut record);
    let epoch = world.store.acquire().await.unwrap();
    let pid = ProcessId::new();
    let new = NewProcess {
        pid: pid.clone(),
        key: None,
        parent: None,
        envelope: record.envelope,
        position: record.position.clone(),
        context: record.context,
        inputs: record.inputs,
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: record.created_at,
    };
    world.store.create(epoch, new).await.unwrap();
    let mut commit = Commit::new(pid.clone(), epoch, record.updated_at, ProcessState::Created, ProcessState::Running);
    commit.position = Some(record.position);
    world.store.commit(commit).await.unwrap();
    pid
}

#[tokio::test]
async fn what_cannot_be_decoded_is_parked_with_the_reason_and_keeps_its_bytes() {
    type Change = fn(&mut Record);
    let cases: [(&str, Change); 7] = [
        ("there is no program point `answred`; the nearest is `answered`", |r| {
            r.position = json!({ "at": { "step": "answred" } }).to_string();
        }),
        ("arguments of program point `answered`", |r| r.position = json!({ "at": { "step": "answered" } }).to_string()),
        ("field `said` of the context: missing", |r| r.context = "{}".into()),
        ("field `sad` of the context: is in the checkpoint, but no field", |r| {
            r.context = json!({ "said": [], "sad": 1 }).to_string();
        }),
        ("field `said` of the context: invalid type", |r| r.context = json!({ "said": 1 }).to_string()),
        ("it was written by version 9 of `it::Greet`, this is version 1", |r| r.envelope.version = 9),
        ("its format is 99", |r| r.envelope.format = 99),
    ];
    for (reason, change) in cases {
        let world = World::new();
        let pid = stored(&world, change).await;
        let before = world.store.load(&pid).await.unwrap().unwrap();
        let runtime = world.builder().register::<Greet>().build().await.unwrap();
        let Err(RunError::Parked { reason: found, .. }) = runtime.attach(&pid).await else { panic!("{reason}") };
        assert!(found.contains(reason), "{found}");
        let after = world.store.load(&pid).await.unwrap().unwrap();
        assert_eq!((&after.context, &after.position), (&before.context, &before.position));
        assert!(after.parked.is_some());
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_process_of_an_unregistered_type_is_left_alone() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Path>().build().await?;
    let run = runtime.launch(Path::inputs()).await?;
    world.gate.reached().await;
    runtime.shutdown_within(Duration::ZERO).await?;
    let runtime = world.builder().register::<Sum>().build().await?;
    assert!(matches!(runtime.attach(run.pid()).await, Err(RunError::UnknownProcess { .. })));
    runtime.shutdown().await?;
    let runtime = world.builder().register::<Path>().build().await?;
    let run = runtime.attach(run.pid()).await?;
    world.gate.open(PATH.len());
    assert!(run.termination().await?.ended.is_successful());
    Ok(())
}

#[tokio::test]
async fn waiting_processes_beyond_the_limit_live_in_the_store_alone() {
    let world = World::new();
    let runtime = world.builder().register::<Sleeper>().resident(3).build().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(runtime.launch(Sleeper::inputs()).await.unwrap());
    }
    for run in &runs {
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    }
    world.clock.advance(Duration::from_secs(60));
    for run in &runs {
        assert!(run.outcome().await.unwrap().is_finished());
    }
}

#[tokio::test]
async fn a_stale_owner_cannot_write() {
    let world = World::new();
    let old = world.builder().register::<Path>().build().await.unwrap();
    let run = old.launch(Path::inputs()).key("path").await.unwrap();
    world.gate.reached().await;
    // Another worker takes over while a step of the first still runs.
    let new = world.builder().register::<Path>().build().await.unwrap();
    world.gate.reached().await;
    let again = new.launch(Path::inputs()).key("path").await.unwrap();
    world.gate.open(1);
    world.gate.open(PATH.len());
    let Err(RunError::Store(error)) = run.outcome().await else { panic!("the old worker wrote") };
    assert_eq!(error.kind(), procession::store::StoreErrorKind::Stale);
    world.gate.open(PATH.len());
    assert_eq!(again.outcome().await.unwrap().finished().expect("finished").visited, PATH);
}

/// The history and the report of a process.
#[tokio::test]
async fn history_and_report_are_kept_in_order() {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await.unwrap();
    let run = runtime.launch(Sum::inputs().to(2)).await.unwrap();
    run.outcome().await.unwrap();
    let history = world.store.history(run.pid()).await.unwrap();
    let rows: Vec<_> = history.iter().map(|row| format!("{}>{} {}", row.from, row.to, row.point)).collect();
    assert_eq!(
        rows,
        ["created>running add", "running>running add", "running>running finish", "running>finished finish"]
    );
}

#[tokio::test]
async fn a_shutdown_waits_for_the_step_that_runs_and_stores_it() {
    let world = World::new();
    let runtime = world.builder().register::<Path>().build().await.unwrap();
    let run = runtime.launch(Path::inputs()).await.unwrap();
    world.gate.reached().await;
    let shutdown = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown().await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!shutdown.is_finished(), "the step has not ended");
    world.gate.open(1);
    shutdown.await.unwrap().unwrap();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    assert_eq!((record.steps, &*record.position), (1, r#"{"at":{"step":"walk"}}"#));
}

#[tokio::test]
async fn the_status_text_and_the_envelope_survive() {
    #[process(name = "it::Talker", version = 3, needs(Gate))]
    #[derive(Debug, Default)]
    struct Talker {}
    spec! { Talker {} }
    outline! { Talker { say; hold; } }
    impl Talker {
        fn say(&mut self, cx: &mut Cx<Self>) {
            cx.set_status("said");
            assert_eq!(cx.status(), Some("said"));
        }
        async fn hold(&mut self, cx: &mut Cx<Self>) {
            cx.resource::<Gate>().pass().await;
        }
    }
    let world = World::new();
    let runtime = world.builder().register::<Talker>().build().await.unwrap();
    let run = runtime.launch(Talker::inputs()).await.unwrap();
    world.gate.reached().await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
    let runtime = world.builder().register::<Talker>().build().await.unwrap();
    let again = runtime.attach(run.pid()).await.unwrap();
    assert_eq!(again.status().await.unwrap().text.as_deref(), Some("said"));
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    let envelope = (record.envelope.process.as_str(), record.envelope.version, record.envelope.format);
    assert_eq!(envelope, ("it::Talker", 3, procession::store::FORMAT));
}

/// One commit for each step, and none for the beginning.
#[tokio::test]
async fn a_process_begins_with_its_creation_where_nobody_takes_part() {
    let store = Faulty::over(Arc::new(MemoryStore::new()), u64::MAX);
    let world = World::new();
    let builder = Runtime::builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).clock(world.clock.clone());
    let runtime = builder.resource(world.gate.clone()).register::<Path>().build().await.unwrap();
    world.gate.open(PATH.len());
    let run = runtime.launch(Path::inputs()).await.unwrap();
    run.outcome().await.unwrap();
    assert_eq!(u64::MAX - store.commits.load(Ordering::SeqCst), PATH.len() as u64);
}
