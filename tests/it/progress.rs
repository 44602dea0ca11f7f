//! What a process says of how far it is: at its boundaries, and while a step runs.

use procession::prelude::*;
use procession::process::Progress;
use procession::store::{Look, MemoryStore, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faulty::Faulty;
use super::support::{Gate, World, eventually};

/// Says something before and after each gate.
#[process(name = "progress::Copy", needs(Gate))]
#[derive(Default)]
struct Copy {}

spec! { Copy { input fails: bool = false; output copied: u64; } }

outline! { Copy {
    first;
    second;
    third => copied;
}}

impl Copy {
    async fn first(&mut self, cx: &mut Cx<Self>) {
        cx.progress(0, 10);
        cx.progress(2, 10);
        cx.resource::<Gate>().pass().await;
        cx.progress(4, 10);
    }

    async fn second(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        cx.resource::<Gate>().pass().await;
        if cx.inputs().fails {
            cx.progress(7, 10);
            return Err("no room".into());
        }
        Ok(())
    }

    async fn third(&mut self, cx: &mut Cx<Self>) -> u64 {
        cx.progress(1, None);
        cx.resource::<Gate>().pass().await;
        10
    }
}

/// Says nothing.
#[process(name = "progress::Silent", needs(Gate))]
#[derive(Default)]
struct Silent {}

spec! { Silent { output done: bool; } }

outline! { Silent { work => done; } }

impl Silent {
    async fn work(&mut self, cx: &mut Cx<Self>) -> bool {
        cx.resource::<Gate>().pass().await;
        true
    }
}

async fn look(store: &dyn Store) -> Look {
    store.look(vec!["one".into()]).await.unwrap().processes.remove(0)
}

fn said(progress: Option<Progress>) -> Option<(u64, Option<u64>)> {
    progress.map(|progress| (progress.done, progress.total))
}

#[tokio::test]
async fn a_step_that_runs_is_seen_and_its_boundary_keeps_it() {
    let world = World::new();
    let runtime = world.builder().register::<Copy>().build().await.unwrap();
    let handle = runtime.launch(Copy::inputs()).id("one").await.unwrap();
    world.gate.reached().await;
    let store = &*world.store;
    eventually(async || said(look(store).await.hint) == Some((2, Some(10)))).await;
    let seen = look(store).await;
    assert_eq!(seen.status.progress, None, "no boundary was there yet");
    assert_eq!(said(seen.progress()), Some((2, Some(10))));
    world.clock.advance(Duration::from_secs(60));
    world.gate.open(1);
    world.gate.reached().await;
    let seen = look(store).await;
    assert_eq!((seen.hint, said(seen.status.progress)), (None, Some((4, Some(10)))));
    let progress = seen.progress().unwrap();
    assert_eq!((progress.first, progress.at.since(progress.since)), (0, Duration::from_secs(60)));
    // It stays while a step says nothing; and what is said next is of other work.
    world.gate.open(1);
    world.gate.reached().await;
    assert_eq!(said(look(store).await.status.progress), Some((4, Some(10))));
    eventually(async || said(look(store).await.progress()) == Some((1, None))).await;
    world.gate.open(1);
    handle.termination().await.unwrap();
    assert_eq!(said(look(store).await.progress()), Some((1, None)));
}

#[tokio::test]
async fn a_process_goes_on_with_its_progress_after_a_restart() {
    let world = World::new();
    let runtime = world.builder().register::<Copy>().build().await.unwrap();
    runtime.launch(Copy::inputs()).id("one").await.unwrap();
    world.gate.reached().await;
    world.gate.open(1);
    world.gate.reached().await;
    drop(runtime);
    let runtime = world.builder().register::<Copy>().build().await.unwrap();
    world.gate.reached().await;
    // One for what is left of the step before the restart, which writes nothing more.
    world.gate.open(2);
    world.gate.reached().await;
    assert_eq!(said(look(&*world.store).await.status.progress), Some((4, Some(10))));
    runtime.shutdown().await.ok();
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_progress_as_it_was() {
    let world = World::new();
    let runtime = world.builder().register::<Copy>().build().await.unwrap();
    let handle = runtime.launch(Copy::inputs().fails(true)).id("one").await.unwrap();
    world.gate.open(2);
    handle.termination().await.unwrap();
    let seen = look(&*world.store).await;
    assert_eq!((seen.state, said(seen.progress())), (ProcessState::Excepted, Some((4, Some(10)))));
}

#[tokio::test]
async fn without_a_store_progress_is_told_to_nobody() {
    let world = World::new();
    let runtime = world.volatile().register::<Copy>().build().await.unwrap();
    world.gate.open(3);
    let handle = runtime.launch(Copy::inputs()).await.unwrap();
    assert!(handle.termination().await.unwrap().ended.to_string().contains("finished"));
}

/// Whoever says nothing, and whoever has said it with a boundary, costs no write.
#[tokio::test]
async fn nothing_is_written_where_nothing_is_new() {
    let world = World::new();
    let store = Faulty::over(Arc::new(MemoryStore::new()), u64::MAX);
    let builder =
        Runtime::builder().shared_store(store.clone()).clock(world.clock.clone()).resource(world.gate.clone());
    let runtime = builder.register::<Copy>().register::<Silent>().build().await.unwrap();
    let silent = runtime.launch(Silent::inputs()).await.unwrap();
    world.gate.reached().await;
    // Its steps end before they would be told of.
    let copy = runtime.launch(Copy::inputs()).await.unwrap();
    world.gate.open(4);
    copy.termination().await.unwrap();
    silent.termination().await.unwrap();
    let told = || store.hinted.load(Ordering::SeqCst);
    assert_eq!(told(), 0);
    // One that runs on says the same, whatever time passes: it is written once.
    runtime.launch(Copy::inputs()).id("one").await.unwrap();
    world.gate.reached().await;
    eventually(async || told() == 1).await;
    runtime.launch(Silent::inputs()).await.unwrap();
    tokio::time::sleep(2 * procession::limits::HINTS_EVERY).await;
    assert_eq!(told(), 1);
    world.gate.open(9);
}

/// It is a hint: who cannot write it goes on.
#[tokio::test]
async fn a_store_that_takes_no_hints_changes_nothing() {
    let world = World::new();
    let store = Faulty::over(Arc::new(MemoryStore::new()), u64::MAX);
    let builder =
        Runtime::builder().shared_store(store.clone()).clock(world.clock.clone()).resource(world.gate.clone());
    let runtime = builder.register::<Copy>().build().await.unwrap();
    let handle = runtime.launch(Copy::inputs()).id("one").await.unwrap();
    world.gate.reached().await;
    store.full.store(true, Ordering::SeqCst);
    eventually(async || store.hinted.load(Ordering::SeqCst) == 1).await;
    store.full.store(false, Ordering::SeqCst);
    world.gate.open(3);
    assert!(handle.termination().await.unwrap().ended.to_string().contains("finished"));
}
