//! What a review found: panics in odd places, damaged rows, races, answers that went astray.

use procession::prelude::*;
use procession::process::Request;
use procession::store::Store;
use procession::{Result, RunError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::control::Rounds;
use super::life::{Greet, Idle, Sum};
use super::support::{Gate, World, eventually};

static DEFAULT_PANICS: AtomicBool = AtomicBool::new(false);

/// Panics where user code is called, but no step runs.
#[process(name = "it::Odd")]
#[derive(Debug)]
struct Odd {
    stubborn: Stubborn,
}

impl Default for Odd {
    fn default() -> Self {
        assert!(!DEFAULT_PANICS.load(Ordering::SeqCst), "no default today");
        Self { stubborn: Stubborn(String::new()) }
    }
}

/// Panics when it is written or read.
#[derive(Debug, Clone)]
struct Stubborn(String);

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        assert_ne!(self.0, "unwritable", "cannot be written");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "unreadable", "cannot be read");
        Ok(Self(text))
    }
}

spec! { Odd {
    input how: String;
    output pair { left: u32; right: u32; check(|pair| [0, 1][pair.left as usize] == pair.right, "not a pair") }
}}

outline! { Odd { odd; end => pair; } }

impl Odd {
    fn odd(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        match cx.inputs().how.as_str() {
            "child" => {
                cx.launch(Odd::inputs().how("well"))?;
                DEFAULT_PANICS.store(true, Ordering::SeqCst);
            }
            "save" => {
                cx.out("pair.left", &1)?;
                cx.set_status("not kept");
                self.stubborn = Stubborn("unwritable".into());
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> OddPairOutputs {
        OddPairOutputs { left: 1, right: 1 }
    }
}

#[tokio::test]
async fn a_panic_anywhere_in_user_code_ends_its_process_and_hangs_nobody() {
    for (how, expected) in [("child", "no default today"), ("save", "cannot be written")] {
        let world = World::new();
        let runtime = world.builder().register::<Odd>().build().await.unwrap();
        let run = runtime.launch(Odd::inputs().how(how)).await.unwrap();
        let termination = run.termination().await.unwrap();
        DEFAULT_PANICS.store(false, Ordering::SeqCst);
        assert!(termination.ended.to_string().contains(expected), "{how}: {}", termination.ended);
        assert!(termination.outputs.is_empty(), "the outputs of a step that is not kept");
        assert_eq!(run.status().await.unwrap().text, None, "nor its status");
        let stored = world.store.termination(run.pid()).await.unwrap().unwrap();
        assert_eq!(stored, termination, "memory and store say the same");
        runtime.shutdown().await.unwrap();
    }
    let world = World::new();
    let runtime = world.builder().register::<Odd>().build().await.unwrap();
    let run = runtime.launch(Odd::inputs().how("well")).await.unwrap();
    assert!(run.outcome().await.unwrap().is_finished());
}

/// A value that the parser would not read again.
fn deep(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |value, _| json!([value]))
}

#[tokio::test]
async fn a_request_that_cannot_be_read_does_not_keep_others_from_being_delivered() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Greet>().build().await?;
    let run = runtime.launch(Greet::inputs().name("Ada")).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let Err(error) = run.resume(deep(200)).await else { panic!("it was taken") };
    assert!(matches!(error, RunError::UnreadableRequest { .. }), "{error}");
    assert!(run.kill("enough").await?);
    assert!(world.store.requests(None).await?.is_empty());
    runtime.shutdown().await
}

#[tokio::test]
async fn values_that_could_not_be_read_again_are_refused_where_they_enter() -> Result<()> {
    #[process(name = "it::Deep")]
    #[derive(Debug, Default)]
    struct Deep {}
    spec! { Deep {
        input levels: u32;
        input extra: Value = Value::Null;
        output value: Value;
    }}
    outline! { Deep { dig => value; } }
    impl Deep {
        fn dig(&mut self, cx: &mut Cx<Self>) -> Value {
            deep(cx.inputs().levels as usize)
        }
    }
    let world = World::new();
    let runtime = world.builder().register::<Deep>().build().await?;
    assert!(runtime.launch(Deep::inputs().levels(90)).await?.outcome().await?.is_finished());
    let outcome = runtime.launch(Deep::inputs().levels(110)).await?.outcome().await?;
    assert!(matches!(&outcome, Outcome::Excepted(error) if error.to_string().contains("too deep")), "{outcome:?}");
    let Err(RunError::Inputs(error)) = runtime.launch(Deep::inputs().levels(1).extra(deep(110))).await else {
        panic!()
    };
    assert!(error.to_string().contains("`extra`: nested too deep"), "{error}");
    runtime.shutdown().await
}

/// Launches a child that follows it, then passes the gate.
#[process(name = "it::Leader", needs(Gate))]
#[derive(Debug, Default)]
struct Leader {
    follower: Child<Rounds>,
}

spec! { Leader { input kill: bool = false; } }

outline! { Leader { launch; work; } }

impl Leader {
    fn launch(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        self.follower = cx.detached().killed_with_parent().launch(Rounds::inputs().rounds(0))?;
        Ok(())
    }

    async fn work(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.resource::<Gate>().pass().await;
        if cx.inputs().kill { cx.kill("all") } else { cx.next() }
    }
}

#[tokio::test]
async fn a_graceful_kill_in_a_step_reaches_the_children_that_follow() -> Result<()> {
    for by_itself in [false, true] {
        let world = World::new();
        let runtime = world.builder().register::<Leader>().register::<Rounds>().build().await?;
        let run = runtime.launch(Leader::inputs().kill(by_itself)).await?;
        world.gate.reached().await;
        let killing = tokio::spawn({
            let run = run.clone();
            async move { if by_itself { Ok(true) } else { run.kill("all").await } }
        });
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        world.gate.open(1);
        assert!(killing.await.unwrap()?);
        let follower = world.store.children(run.pid()).await?.remove(0);
        assert_eq!(runtime.attach(&follower).await?.termination().await?.ended.to_string(), "killed: all");
        runtime.shutdown().await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_kills_at_once_both_say_that_it_is_killed() -> Result<()> {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Rounds>().build().await?;
        let run = runtime.launch(Rounds::inputs().rounds(0)).await?;
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        let (first, second, third) = tokio::join!(run.kill("a"), run.kill("b"), run.pause(""));
        assert!(first? && second? && !third?);
        runtime.shutdown().await?;
    }
    assert!(world.store.requests(None).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_request_to_a_process_that_does_not_run_here_waits_for_it() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Rounds>().build().await?;
    let run = runtime.launch(Rounds::inputs().rounds(0)).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    runtime.shutdown().await?;
    // A runtime that does not know the type leaves the process, and what is asked of it, alone.
    let runtime = world.builder().register::<Sum>().build().await?;
    let id = world.store.request(run.pid(), Request::Kill { text: "later".into(), force: false }).await?;
    let known = runtime.launch(Sum::inputs().to(1)).await?;
    known.outcome().await?;
    assert!(known.kill("").await.is_ok());
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert_eq!(world.store.requests(None).await?.first().map(|row| row.id), Some(id));
    runtime.shutdown().await?;
    let runtime = world.builder().register::<Rounds>().build().await?;
    assert_eq!(runtime.attach(run.pid()).await?.termination().await?.ended.to_string(), "killed: later");
    runtime.shutdown().await
}

#[tokio::test]
async fn a_launch_that_nobody_waits_for_is_run() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Idle>().build().await?;
    let launching = std::future::IntoFuture::into_future(runtime.launch(Idle::inputs()).key("k"));
    // Polled once, so that it has begun, and dropped.
    let _ = futures_poll_once(launching).await;
    world.gate.reached().await;
    world.gate.open(1);
    assert!(runtime.launch(Idle::inputs()).key("k").await?.outcome().await?.is_finished());
    runtime.shutdown().await
}

async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut future).poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_key_on_a_known_id_is_a_key_of_the_same_process() -> Result<()> {
    let world = World::new();
    let runtime = world.volatile().register::<Rounds>().register::<Sum>().build().await?;
    let launch = || Rounds::inputs().rounds(0);
    let first = runtime.launch(launch()).id("x").await?;
    runtime.launch(launch()).id("x").key("k").await?;
    let third = runtime.launch(launch()).key("k").await?;
    assert_eq!(third.pid(), first.pid());
    assert!(matches!(runtime.launch(Sum::inputs().to(1)).id("x").await, Err(RunError::KeyInUse { .. })));
    eventually(async || first.status().await.unwrap().state == ProcessState::Waiting).await;
    first.kill("").await?;
    third.termination().await?;
    Ok(())
}

/// Never waits, never ends by itself.
#[process(name = "it::Busy")]
#[derive(Debug, Default)]
struct Busy {
    steps: u64,
}

spec! { Busy {} }

outline! { Busy { while_(always) { step } } }

impl Busy {
    fn always(&self) -> bool {
        true
    }

    fn step(&mut self) {
        self.steps += 1;
    }
}

#[tokio::test]
async fn a_process_that_never_waits_does_not_keep_the_only_slot() -> Result<()> {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Busy>().register::<Sum>().concurrent(1).build().await?;
        let busy = runtime.launch(Busy::inputs()).await?;
        assert!(runtime.launch(Sum::inputs().to(5)).await?.outcome().await?.is_finished());
        assert!(busy.kill("enough").await?);
        runtime.shutdown().await?;
    }
    Ok(())
}

/// Spawns children in every step; with more unfinished ones than a page holds, some run while others would be read.
#[process(name = "it::Spawner")]
#[derive(Debug, Default)]
pub(crate) struct Spawner {
    child: Child<Sum>,
}

spec! { Spawner { output total: u64; } }

outline! { Spawner { spawn; spawn as "again"; collect => total; } }

impl Spawner {
    fn spawn(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        self.child = cx.launch(Sum::inputs().to(1))?;
        Ok(())
    }

    fn collect(&mut self) -> std::result::Result<u64, StepError> {
        Ok(self.child.outputs()?.total)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_while_the_store_is_still_read_at_start() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Spawner>().register::<Sum>().concurrent(1).build().await?;
    let mut pids = Vec::new();
    for _ in 0..2_500 {
        pids.push(runtime.launch(Spawner::inputs()).await?.pid().clone());
    }
    runtime.shutdown().await?;
    let runtime = world.builder().register::<Spawner>().register::<Sum>().build().await?;
    for pid in &pids {
        let run = runtime.attach(pid).await?;
        let end = tokio::time::timeout(std::time::Duration::from_secs(60), run.termination())
            .await
            .expect("no parent hangs")?;
        assert_eq!(end.outputs["total"], 1);
    }
    runtime.shutdown().await
}

/// Hands its child on as an argument.
#[process(name = "it::Relay", needs(Gate))]
#[derive(Debug, Default)]
pub(crate) struct Relay {}

spec! { Relay { output total: u64; } }

steps! { Relay { start; collect(child: Child<Sum>); } }

impl Relay {
    fn start(&mut self, cx: &mut Cx<Self>) -> std::result::Result<Next<Self>, StepError> {
        let child = cx.launch(Sum::inputs().to(3))?;
        Ok(cx.next().collect(child))
    }

    async fn collect(&mut self, cx: &mut Cx<Self>, child: Child<Sum>) -> std::result::Result<Next<Self>, StepError> {
        cx.resource::<Gate>().pass().await;
        cx.out("total", &child.outputs()?.total)?;
        Ok(cx.stop(()))
    }
}

#[tokio::test]
async fn a_child_that_is_an_argument_keeps_its_result_over_a_restart() -> Result<()> {
    let world = World::new();
    let build = || world.builder().register::<Relay>().register::<Sum>().build();
    let runtime = build().await?;
    let run = runtime.launch(Relay::inputs()).key("r").await?;
    world.gate.reached().await;
    runtime.shutdown_within(std::time::Duration::ZERO).await?;
    let runtime = build().await?;
    let run = {
        let _ = run;
        runtime.launch(Relay::inputs()).key("r").await?
    };
    world.gate.open(1);
    assert_eq!(run.outcome().await?.finished().expect("finished").total, 3);
    runtime.shutdown().await
}

#[tokio::test]
async fn a_stale_runtime_that_shuts_down_takes_nothing_from_its_successor() -> Result<()> {
    let world = World::new();
    let old = world.builder().register::<Sum>().build().await?;
    let new = world.builder().register::<Sum>().build().await?;
    old.shutdown().await?;
    assert!(new.launch(Sum::inputs().to(2)).await?.outcome().await?.is_finished());
    let _: &Arc<dyn Store> = &world.store;
    new.shutdown().await
}

/// Waits for a resume.
#[process(name = "it::Waiter")]
#[derive(Debug, Default)]
struct Waiter {}

spec! { Waiter {} }
outline! { Waiter { hold; } }

impl Waiter {
    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for the test")
    }
}

/// Two wait in a store; one of them is damaged while nobody runs them. Requests to the other are delivered all the same.
async fn a_damaged_one_is_asked_first(open: impl Fn() -> Arc<dyn Store>, damage: impl FnOnce()) {
    let store = open();
    let runtime = Runtime::builder().shared_store(Arc::clone(&store)).register::<Waiter>().build().await.unwrap();
    for pid in ["one", "two"] {
        let run = runtime.launch(Waiter::inputs()).id(pid).await.unwrap();
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    }
    runtime.shutdown().await.unwrap();
    drop((runtime, store));
    damage();

    let store = open();
    let runtime = Runtime::builder().shared_store(Arc::clone(&store)).register::<Waiter>().build().await.unwrap();
    let two = runtime.attach(&"two".into()).await.unwrap();
    store.request(&"one".into(), Request::Play).await.unwrap();
    let asked = async { two.pause("lunch").await.unwrap() && two.play().await.unwrap() };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
    assert!(answer.expect("both are answered"));
    assert_eq!(store.requests(None).await.unwrap().len(), 1, "the request to the damaged one is kept");
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_document_does_not_keep_requests_from_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = || -> Arc<dyn Store> { Arc::new(procession::store::FileStore::open(&path).unwrap()) };
    a_damaged_one_is_asked_first(open, || std::fs::write(path.join("processes/one.json"), "{").unwrap()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_damaged_row_does_not_keep_requests_from_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = || -> Arc<dyn Store> { Arc::new(procession::store::SqliteStore::open(&path).unwrap()) };
    let damage = || {
        let update = "UPDATE checkpoint SET status = '[' WHERE id = (SELECT id FROM process WHERE pid = 'one')";
        let changed = rusqlite::Connection::open(&path).unwrap().execute(update, []).unwrap();
        assert_eq!(changed, 1);
    };
    a_damaged_one_is_asked_first(open, damage).await;
}
