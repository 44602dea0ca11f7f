//! Snapshots under tags, the way back to one, and the deletion of processes (S99).

use procession::prelude::*;
use procession::process::Request;
use procession::store::{FileStore, MemoryStore, Store, StoreErrorKind};
use procession::{Result, RunError};
use std::sync::Arc;
use std::time::Duration;

use super::resume::{Path, Sleeper};
use super::support::{Gate, World, eventually};

const PATH: [&str; 9] = ["enter", "walk", "go_left", "rest", "walk", "go_right", "walk", "rest", "leave"];

/// Launches a part in each of two rounds, and says under which ids and keys.
#[process(name = "it::Order", needs(Gate))]
#[derive(Default)]
struct Order {
    part: Child<Part>,
    parts: Vec<ProcessId>,
    keys: Vec<String>,
}

spec! { Order {
    output parts: Vec<ProcessId>;
    output keys: Vec<String>;
}}

outline! { Order { place; check; place as "again"; check as "check again"; leave => parts, keys; } }

impl Order {
    async fn place(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        cx.resource::<Gate>().pass().await;
        self.part = cx.launch(Part::inputs())?;
        self.keys.push(cx.key());
        Ok(())
    }

    fn check(&mut self) -> std::result::Result<(), StepError> {
        self.part.outcome()?.finished().ok_or("no part")?;
        self.parts.extend(self.part.pid().cloned());
        Ok(())
    }

    fn leave(&mut self) -> (Vec<ProcessId>, Vec<String>) {
        (self.parts.clone(), self.keys.clone())
    }
}

/// A part.
#[process(name = "it::Part", needs(Gate))]
#[derive(Debug, Default)]
struct Part {}
spec! { Part {} }
outline! { Part { make; } }
impl Part {
    async fn make(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }
}

async fn build(world: &World) -> Runtime {
    let builder = world.builder().register::<Path>().register::<Sleeper>().register::<Order>().register::<Part>();
    builder.build().await.unwrap()
}

/// A `Path` that has ended, with a snapshot in each of its steps, named after the number of steps before it.
async fn walked(world: &World, runtime: &Runtime) -> ProcessId {
    let run = runtime.launch(Path::inputs()).key("path").await.unwrap();
    for step in 0..PATH.len() {
        world.gate.reached().await;
        run.snapshot(&step.to_string()).await.unwrap();
        world.gate.open(1);
    }
    assert_eq!(run.outcome().await.unwrap().finished().expect("finished").visited, PATH);
    run.snapshot("ended").await.unwrap();
    run.pid().clone()
}

#[tokio::test]
async fn a_process_goes_on_from_a_snapshot_at_every_program_point() {
    let folder = tempfile::tempdir().unwrap();
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(MemoryStore::new()),
        Arc::new(FileStore::open(folder.path().join("files")).unwrap()),
        #[cfg(feature = "sqlite")]
        Arc::new(procession::store::SqliteStore::open(folder.path().join("store.db")).unwrap()),
    ];
    for store in stores {
        goes_on_at_every_program_point(World { store, ..World::new() }).await;
    }
}

async fn goes_on_at_every_program_point(world: World) {
    let mut runtime = build(&world).await;
    let pid = walked(&world, &runtime).await;
    for step in 0..PATH.len() {
        if step % 2 == 1 {
            // Also in a runtime that has only the store.
            runtime.shutdown().await.unwrap();
            runtime = build(&world).await;
        }
        let run = runtime.restore(&pid, &step.to_string()).await.unwrap();
        for _ in step..PATH.len() {
            world.gate.reached().await;
            world.gate.open(1);
        }
        let outputs = run.termination().await.unwrap().outputs;
        assert_eq!(outputs["visited"], serde_json::json!(PATH), "from step {step}");
        assert_eq!(run.status().await.unwrap().state, ProcessState::Finished);
    }
    let history = world.store.history(&pid).await.unwrap();
    let restored = history.iter().filter(|row| row.point.starts_with("restored from")).count();
    assert_eq!(restored, PATH.len());
    assert!(history.is_sorted_by_key(|row| row.steps), "steps go on counting");
}

#[tokio::test]
async fn a_snapshot_is_what_was_committed_and_not_what_a_step_has_done_since() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Path::inputs()).await?;
    world.gate.reached().await;
    world.gate.open(1);
    world.gate.reached().await;
    run.snapshot("in walk").await?;
    let snapshot = world.store.load_snapshot(run.pid(), "in walk").await?.expect("it was saved");
    assert_eq!(snapshot.context, r#"{"visited":["enter"],"round":0}"#);
    assert_eq!(snapshot.position, r#"{"at":{"step":"walk"}}"#);
    let listed = run.snapshots().await?;
    assert_eq!((listed.len(), listed[0].tag.as_str(), listed[0].steps), (1, "in walk", 1));
    assert_eq!(listed[0].state, ProcessState::Running);
    runtime.shutdown_within(Duration::ZERO).await
}

#[tokio::test]
async fn steps_that_run_again_have_keys_and_children_of_their_own() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Order::inputs()).await?;
    world.gate.open(3);
    // The second part is being made: what is waited for is in the snapshot.
    eventually(async || world.store.children(run.pid()).await.unwrap().len() == 2).await;
    run.snapshot("waiting").await?;
    world.gate.open(1);
    let first = run.outcome().await?.finished().expect("finished");

    let again = runtime.restore(run.pid(), "waiting").await?.termination().await?;
    assert_eq!(again.outputs["parts"], serde_json::json!(first.parts), "the awaited part has ended: it is taken");
    assert_eq!(again.outputs["keys"], serde_json::json!(first.keys));

    // From before the second part: another part is made.
    let other = runtime.launch(Order::inputs()).await?;
    world.gate.open(2);
    eventually(async || {
        let history = world.store.history(other.pid()).await.unwrap();
        history.last().is_some_and(|row| row.point == "again" && row.to == ProcessState::Running)
    })
    .await;
    other.snapshot("between").await?;
    world.gate.open(2);
    let first = other.outcome().await?.finished().expect("finished");
    world.gate.open(2);
    let again = runtime.restore(other.pid(), "between").await?.termination().await?;
    let parts: Vec<ProcessId> = serde_json::from_value(again.outputs["parts"].clone()).unwrap();
    let keys: Vec<String> = serde_json::from_value(again.outputs["keys"].clone()).unwrap();
    assert_eq!((&parts[0], &keys[0]), (&first.parts[0], &first.keys[0]));
    assert_ne!(parts[1], first.parts[1]);
    assert_ne!(keys[1], first.keys[1]);
    Ok(())
}

#[tokio::test]
async fn a_sleep_of_a_snapshot_is_slept_again_until_its_time() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Sleeper::inputs()).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    run.snapshot("asleep").await?;
    assert!(run.kill("enough").await?);
    let again = runtime.restore(run.pid(), "asleep").await?;
    assert_eq!(again.status().await?.state, ProcessState::Waiting);
    world.clock.advance(Duration::from_secs(60));
    assert!(again.termination().await?.ended.is_successful());
    let error = run.termination().await?.ended;
    assert_eq!(error.to_string(), "killed: enough", "a handle of before keeps the end that it has seen");
    Ok(())
}

/// Waits for two parts.
#[process(name = "it::Both", needs(Gate))]
#[derive(Default)]
struct Both {
    one: Child<Part>,
    two: Child<Part>,
}
spec! { Both {} }
outline! { Both { place; leave; } }
impl Both {
    fn place(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        self.one = cx.launch(Part::inputs())?;
        self.two = cx.launch(Part::inputs())?;
        Ok(())
    }

    fn leave(&mut self) {}
}

#[tokio::test]
async fn an_end_is_not_taken_back_while_the_parent_waits_for_others() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Both>().register::<Part>().build().await?;
    let both = runtime.launch(Both::inputs()).await?;
    eventually(async || world.store.children(both.pid()).await.unwrap().len() == 2).await;
    let parts = world.store.children(both.pid()).await?;
    for part in &parts {
        runtime.attach(part).await?.snapshot("before").await?;
    }
    world.gate.open(1);
    eventually(async || world.store.load(both.pid()).await.unwrap().unwrap().open_children == 1).await;
    let ended = if world.store.termination(&parts[0]).await?.is_some() { &parts[0] } else { &parts[1] };
    let refused = runtime.restore(ended, "before").await.expect_err("the parent has yet to look");
    assert!(matches!(&refused, RunError::Store(error) if error.kind() == StoreErrorKind::Unfinished), "{refused}");
    world.gate.open(1);
    both.termination().await?;
    world.gate.open(1);
    assert!(runtime.restore(ended, "before").await?.termination().await?.ended.is_successful());
    Ok(())
}

#[tokio::test]
async fn what_was_asked_of_a_process_that_had_ended_is_not_asked_of_the_restored() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Sleeper::inputs()).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    run.snapshot("asleep").await?;
    for _ in 0..4 {
        world.store.request(run.pid(), Request::Kill { text: "enough".into(), force: false }).await?;
    }
    run.termination().await?;
    let again = runtime.restore(run.pid(), "asleep").await?;
    world.clock.advance(Duration::from_secs(60));
    assert!(again.termination().await?.ended.is_successful());
    Ok(())
}

#[tokio::test]
async fn a_paused_process_is_paused_when_it_is_restored() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Sleeper::inputs()).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    assert!(run.pause("held").await?);
    run.snapshot("held").await?;
    assert!(run.kill("enough").await?);
    let again = runtime.restore(run.pid(), "held").await?;
    let status = again.status().await?;
    assert_eq!((status.paused, status.text.as_deref()), (true, Some("held")));
    world.clock.advance(Duration::from_secs(60));
    assert!(again.play().await?);
    assert!(again.termination().await?.ended.is_successful());
    Ok(())
}

/// The same name as `Path`, another context.
mod changed {
    use procession::prelude::*;

    #[process(name = "it::Path")]
    #[derive(Debug, Default)]
    pub(super) struct Changed {
        been: u32,
    }
    spec! { Changed { input branch: u32 = 0; } }
    outline! { Changed { enter; } }
    impl Changed {
        fn enter(&mut self) {
            self.been += 1;
        }
    }
}

#[tokio::test]
async fn what_cannot_go_on_from_a_snapshot_is_refused_and_stays_as_it_is() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let pid = walked(&world, &runtime).await;
    let before = world.store.load(&pid).await?;
    let told = |result: Result<procession::AnyHandle>| result.expect_err("refused").to_string();

    assert_eq!(
        told(runtime.restore(&pid, "endet").await),
        format!("process {pid} has no snapshot `endet`; the nearest is `ended`")
    );
    assert_eq!(told(runtime.restore(&"no".into(), "ended").await), "there is no process no");
    assert_eq!(
        told(runtime.restore(&pid, "ended").await),
        format!("process {pid} is finished: cannot go on from a snapshot in this state")
    );
    runtime.shutdown().await?;
    assert_eq!(told(runtime.restore(&pid, "1").await), "the runtime was shut down");

    let none = world.builder().register::<Sleeper>().build().await?;
    assert_eq!(told(none.restore(&pid, "1").await), "no process `it::Path` is registered");
    none.shutdown().await?;
    let changed = world.builder().register::<changed::Changed>().build().await?;
    let error = told(changed.restore(&pid, "1").await);
    assert!(error.starts_with(&format!("snapshot `1` of process {pid} cannot be read: ")), "{error}");
    assert!(error.contains("the process has changed since"), "{error}");
    changed.shutdown().await?;
    assert_eq!(world.store.load(&pid).await?, before);

    let runtime = build(&world).await;
    let run = runtime.restore(&pid, "1").await?;
    world.gate.reached().await;
    assert_eq!(told(runtime.restore(&pid, "1").await), format!("process {pid} is running: cannot restore"));
    world.gate.open(PATH.len());
    assert!(run.termination().await?.ended.is_successful());
    Ok(())
}

#[tokio::test]
async fn a_parked_process_goes_on_from_a_snapshot_that_can_be_read() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Path::inputs()).await?;
    world.gate.reached().await;
    run.snapshot("enter").await?;
    runtime.shutdown_within(Duration::ZERO).await?;
    let changed = world.builder().register::<changed::Changed>().build().await?;
    assert!(matches!(changed.attach(run.pid()).await, Err(RunError::Parked { .. })));
    changed.shutdown().await?;
    let runtime = build(&world).await;
    assert!(matches!(runtime.attach(run.pid()).await, Err(RunError::Parked { .. })), "it stays aside");
    let again = runtime.restore(run.pid(), "enter").await?;
    world.gate.open(PATH.len());
    assert!(again.termination().await?.ended.is_successful());
    Ok(())
}

#[tokio::test]
async fn snapshots_are_replaced_listed_and_deleted_by_their_process() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Sleeper::inputs()).await?;
    for tag in ["b", "a/b", "", "b"] {
        run.snapshot(tag).await?;
    }
    let tags =
        async || -> Vec<String> { run.snapshots().await.unwrap().into_iter().map(|snapshot| snapshot.tag).collect() };
    assert_eq!(tags().await, ["", "a/b", "b"]);
    assert!(run.delete_snapshot("a/b").await?);
    assert!(!run.delete_snapshot("a/b").await?, "what is not there is no error");
    assert_eq!(run.delete_snapshots().await?, 2);
    assert_eq!(tags().await, [""; 0]);
    let Err(RunError::Store(error)) = run.snapshot(&"x".repeat(257)).await else { panic!("too long") };
    assert_eq!(error.kind(), StoreErrorKind::Limit);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("257 bytes"));
    Ok(())
}

#[tokio::test]
async fn without_a_store_there_are_no_snapshots() -> Result<()> {
    let world = World::new();
    let runtime = world.volatile().register::<Sleeper>().build().await?;
    let run = runtime.launch(Sleeper::inputs()).await?;
    let error = run.snapshot("tag").await.expect_err("nothing is kept");
    assert_eq!(error.to_string(), "a runtime without a store cannot keep a snapshot");
    assert!(matches!(run.snapshots().await, Err(RunError::Volatile { .. })));
    assert!(matches!(runtime.restore(run.pid(), "tag").await, Err(RunError::Volatile { .. })));
    assert!(matches!(runtime.delete(run.pid()).await, Err(RunError::Volatile { .. })));
    Ok(())
}

#[tokio::test]
async fn a_process_that_has_ended_can_be_deleted_and_its_key_used_again() -> Result<()> {
    let world = World::new();
    let runtime = build(&world).await;
    let run = runtime.launch(Sleeper::inputs()).key("key").await?;
    run.snapshot("tag").await?;
    let error = runtime.delete(run.pid()).await.expect_err("it has not ended");
    assert!(error.to_string().ends_with(": cannot delete"), "{error}");
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    run.kill("enough").await?;
    assert!(runtime.delete(run.pid()).await?);
    assert!(!runtime.delete(run.pid()).await?);
    assert!(matches!(runtime.attach(run.pid()).await, Err(RunError::NotFound(_))));
    assert!(matches!(runtime.restore(run.pid(), "tag").await, Err(RunError::NotFound(_))));
    assert!(runtime.find("key").await?.is_none());
    let again = runtime.launch(Sleeper::inputs()).key("key").await?;
    assert_ne!(again.pid(), run.pid());
    Ok(())
}
