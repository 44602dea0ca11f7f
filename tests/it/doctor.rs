//! What is the matter in a store, and what a repair does about it.

use procession::doctor::{Action, Diagnosis, Doctor, Trouble};
use procession::prelude::*;
use procession::store::{FileStore, MemoryStore, Store, Worker};
use procession::{RuntimeBuilder, WorkerOptions};
use std::sync::Arc;
use std::time::Duration;

use super::children::{Leaf, Tree};
use super::faulty::Faulty;
use super::support::{World, eventually};
use super::workers::{Counted, Team};

fn found(diagnosis: &Diagnosis) -> Vec<(String, Trouble, Action)> {
    let findings = diagnosis.findings.iter();
    findings.map(|found| (found.pid.to_string(), found.trouble, found.action.clone())).collect()
}

fn start(queue: &str) -> Action {
    Action::StartWorker { queue: queue.to_owned() }
}

/// A worker of the store that claims nothing.
async fn creator(team: &Team) -> Runtime {
    team.worker().await.worker(WorkerOptions::new().queues([""; 0])).build().await.unwrap()
}

#[tokio::test]
async fn a_store_where_all_is_well_has_nothing_to_tell() {
    let team = Team::in_memory();
    let runtime = team.worker().await.build().await.unwrap();
    runtime.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    let diagnosis = runtime.doctor().unwrap().examine().await.unwrap();
    assert!(diagnosis.is_healthy(), "{diagnosis:?}");
    assert_eq!((diagnosis.processes, diagnosis.workers), (1, Some(1)));
    let repaired = runtime.doctor().unwrap().repair().await.unwrap();
    assert_eq!((repaired.unparked, repaired.mended), (0, 0));
}

#[tokio::test]
async fn each_trouble_is_told_with_its_next_action() {
    let team = Team::in_memory();
    let runtime = creator(&team).await;
    let (store, world) = (&team.world.store, &team.world);
    let orphan = runtime.launch(Counted::inputs()).id("orphan").anywhere().queue("gpu").await.unwrap();
    let stuck = runtime.launch(Counted::inputs().gated(true)).id("stuck").await.unwrap();
    world.gate.reached().await;
    let epoch = runtime.health().await.lease.unwrap().epoch;
    // Another worker leaves a process that it parks, one of a type that is not known here, and one when it is lost.
    let deaf = Faulty::over(Arc::clone(store), u64::MAX);
    let lost = team.worker_on(Arc::clone(&deaf) as Arc<dyn Store>).register_as::<Stranger>("it::Stranger");
    let lost = lost.build().await.unwrap();
    let parked = lost.launch(Counted::inputs().gated(true)).id("parked").await.unwrap();
    let expired = lost.launch(Counted::inputs().gated(true)).id("expired").await.unwrap();
    let strange = lost.launch(Stranger::inputs()).id("strange").anywhere().queue("gpu").await.unwrap();
    for _ in 0..2 {
        world.gate.reached().await;
    }
    let theirs = lost.health().await.lease.unwrap().epoch;
    assert_ne!(epoch, theirs);
    store.park(theirs, parked.pid(), "why".to_owned()).await.unwrap();
    deaf.full.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually(|| async { store.workers().await.unwrap().iter().filter(|row| row.alive).count() == 1 }).await;

    let doctor = || runtime.doctor().unwrap().stuck_after(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let diagnosis = doctor().examine().await.unwrap();
    let pid = |run: &ProcessId| run.clone();
    assert_eq!(
        found(&diagnosis),
        [
            ("orphan".to_owned(), Trouble::Orphaned, start("gpu")),
            ("stuck".to_owned(), Trouble::Stuck, Action::Kill { pid: pid(stuck.pid()) }),
            ("parked".to_owned(), Trouble::Parked, Action::Unpark { pid: pid(parked.pid()) }),
            ("expired".to_owned(), Trouble::LeaseExpired, start("")),
            ("strange".to_owned(), Trouble::Unloadable, Action::Register { process: "it::Stranger".to_owned() }),
        ]
    );
    assert!(diagnosis.findings[2].what.contains("why"));
    assert!(diagnosis.findings.iter().all(|found| !found.next.is_empty() && found.since.is_some()));
    assert_eq!(serde_json::from_str::<Diagnosis>(&serde_json::to_string(&diagnosis).unwrap()).unwrap(), diagnosis);
    // All are counted, and few told; and some can be asked for.
    let few = doctor().most(0).examine().await.unwrap();
    assert_eq!((few.findings.len(), &few.counts, few.processes), (0, &diagnosis.counts, 5));
    let one = doctor().only([pid(expired.pid())]).examine().await.unwrap();
    assert_eq!((one.processes, one.count(Trouble::LeaseExpired)), (1, 1));
    // Who has no registry knows no types; a worker changes the next action.
    let worker = Worker {
        host: String::new(),
        os_process: 1,
        version: String::new(),
        queues: vec![String::new(), "gpu".to_owned()],
        slots: 1,
    };
    store.join(worker, Duration::from_secs(600)).await.unwrap();
    let bare = Doctor::new(Arc::clone(store)).examine().await.unwrap();
    let expected = [
        ("parked".to_owned(), Trouble::Parked, Action::Unpark { pid: pid(parked.pid()) }),
        ("expired".to_owned(), Trouble::LeaseExpired, Action::Wait),
    ];
    assert_eq!(found(&bare), expected);
    drop((orphan, strange));
}

/// Of another program.
#[process(name = "it::Unheard")]
#[derive(Default)]
struct Stranger {}
spec! { Stranger {} }
outline! { Stranger { rest; } }
impl Stranger {
    fn rest(&self) {}
}

#[tokio::test]
async fn a_parent_that_waits_for_a_parked_child_is_told_and_repaired() {
    let team = Team::in_memory();
    let runtime = team.worker().await.build().await.unwrap();
    let tree = runtime.launch(Tree::inputs().leaf(|leaf| leaf.gated(true))).await.unwrap();
    eventually(|| async { tree.status().await.unwrap().state == ProcessState::Waiting }).await;
    let children = team.world.store.children(tree.pid()).await.unwrap();
    let epoch = runtime.health().await.lease.unwrap().epoch;
    team.world.gate.reached().await;
    team.world.store.park(epoch, &children[0], "why".to_owned()).await.unwrap();
    let examine = || async { runtime.doctor().unwrap().examine().await.unwrap() };
    let diagnosis = examine().await;
    let unpark = Action::Unpark { pid: children[0].clone() };
    assert_eq!(
        found(&diagnosis),
        [
            (tree.pid().to_string(), Trouble::WaitsInVain, unpark.clone()),
            (children[0].to_string(), Trouble::Parked, unpark),
        ]
    );
    let repaired = runtime.doctor().unwrap().repair().await.unwrap();
    assert_eq!((repaired.unparked, repaired.first), (1, vec![children[0].clone()]));
    assert!(examine().await.is_healthy());
    assert_eq!(runtime.doctor().unwrap().repair().await.unwrap().unparked, 0, "again, there is nothing to do");
    team.world.gate.open(100);
    assert!(tree.outcome().await.unwrap().is_finished());
}

fn alone(store: &Arc<dyn Store>, world: &World) -> RuntimeBuilder {
    let builder = Runtime::builder().shared_store(Arc::clone(store)).resource(world.gate.clone());
    builder.resource(super::workers::Tally::default()).register::<Counted>().register::<Leaf>()
}

/// Its own runtime goes on with what it unparks, and a store by itself leaves it to the next.
#[tokio::test]
async fn a_store_with_one_owner_is_examined_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn Store>; 2] =
        [Arc::new(MemoryStore::new()), Arc::new(FileStore::open(folder.path().join("store")).unwrap())];
    for (index, store) in stores.iter().enumerate() {
        let world = World::new();
        let runtime = alone(store, &world).build().await.unwrap();
        let run = runtime.launch(Counted::inputs().gated(true)).id("one").await.unwrap();
        world.gate.reached().await;
        runtime.shutdown_within(Duration::ZERO).await.unwrap();
        let epoch = store.acquire().await.unwrap();
        store.park(epoch, run.pid(), "why".to_owned()).await.unwrap();
        store.release(epoch).await.unwrap();
        let bare = Doctor::new(Arc::clone(store));
        assert_eq!(bare.examine().await.unwrap().count(Trouble::Parked), 1);
        if index == 1 {
            assert_eq!(bare.repair().await.unwrap().unparked, 1);
            assert!(bare.examine().await.unwrap().is_healthy());
            let lonely = bare.clone().stuck_after(Duration::ZERO).examine().await.unwrap();
            assert_eq!(found(&lonely), [("one".to_owned(), Trouble::Orphaned, start(""))]);
        }
        let runtime = alone(store, &world).build().await.unwrap();
        let repaired = runtime.doctor().unwrap().repair().await.unwrap();
        assert_eq!(repaired.unparked, u64::from(index == 0));
        world.gate.open(100);
        let end = runtime.attach(run.pid()).await.unwrap().termination().await.unwrap();
        assert_eq!(end.outputs["rounds"], 3);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_runtime_without_a_store_has_no_doctor() {
    assert!(Runtime::volatile().build().await.unwrap().doctor().is_err());
}
