//! Several runtimes on one store: each process runs in one of them, and goes on in another when that is lost.

mod aside;
mod calls;
mod doubt;
mod ends;
mod given_up;
mod requests;

use procession::prelude::*;
use procession::process::Ended;
use procession::store::{MemoryStore, Store};
use procession::{RuntimeBuilder, WorkerOptions};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::children::{Leaf, Tree};
use super::faulty::Faulty;
use super::support::{Gate, World, eventually};

/// Long enough for a slow machine to renew it, short enough for a test to wait for its end.
const LEASE: Duration = Duration::from_millis(600);

/// Which step of which process ran how often.
pub(crate) type Tally = Arc<Mutex<HashMap<(String, u32), u32>>>;

/// Counts each of its steps outside of itself.
#[process(name = "it::Counted", needs(Tally, Gate))]
#[derive(Default)]
pub(crate) struct Counted {
    round: u32,
}

spec! { Counted {
    input rounds: u32 = 3;
    input gated: bool = false;
    output rounds: u32;
}}

outline! { Counted {
    while_(again) { count }
    end => rounds;
}}

impl Counted {
    fn again(&self, cx: &Cx<Self>) -> bool {
        self.round < cx.inputs().rounds
    }

    async fn count(&mut self, cx: &mut Cx<Self>) {
        *cx.resource::<Tally>().lock().unwrap().entry((cx.pid().to_string(), self.round)).or_default() += 1;
        if cx.inputs().gated {
            cx.resource::<Gate>().pass().await;
        }
        self.round += 1;
    }

    fn end(&self) -> u32 {
        self.round
    }
}

/// Where workers meet.
pub(crate) enum Place {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite(tempfile::TempDir),
    #[cfg(all(unix, feature = "postgres"))]
    Postgres(String),
}

pub(crate) struct Team {
    pub(crate) world: World,
    tally: Tally,
    pub(crate) place: Place,
}

impl Team {
    pub(crate) fn in_memory() -> Self {
        Self { world: World::new(), tally: Tally::default(), place: Place::Memory }
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World { store: sqlite(&folder), ..World::new() };
        Self { world, tally: Tally::default(), place: Place::Sqlite(folder) }
    }

    #[cfg(all(unix, feature = "postgres"))]
    pub(crate) async fn on_postgres() -> Self {
        let schema = crate::postgres::Postgres::schema();
        let world = World { store: postgres(&schema).await, ..World::new() };
        Self { world, tally: Tally::default(), place: Place::Postgres(schema) }
    }

    /// The store, as another worker has opened it.
    #[allow(clippy::unused_async)] // A server is waited for.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Memory => Arc::clone(&self.world.store),
            #[cfg(feature = "sqlite")]
            Place::Sqlite(folder) => sqlite(folder),
            #[cfg(all(unix, feature = "postgres"))]
            Place::Postgres(schema) => postgres(schema).await,
        }
    }

    pub(crate) async fn worker(&self) -> RuntimeBuilder {
        self.worker_on(self.store().await)
    }

    pub(crate) fn worker_on(&self, store: Arc<dyn Store>) -> RuntimeBuilder {
        let builder = Runtime::builder().shared_store(store).worker(WorkerOptions::new().lease(LEASE));
        let builder = builder.resource(self.tally.clone()).resource(self.world.gate.clone());
        builder.register::<Counted>().register::<Tree>().register::<Leaf>()
    }

    /// How often steps ran that ran more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.tally.lock().unwrap().values().filter(|runs| **runs > 1).count()
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(procession::store::SqliteStore::open(folder.path().join("store.db")).unwrap())
}

#[cfg(all(unix, feature = "postgres"))]
async fn postgres(schema: &str) -> Arc<dyn Store> {
    postgres_at(&crate::postgres::Postgres::shared().url(), schema).await
}

#[cfg(all(unix, feature = "postgres"))]
pub(crate) async fn postgres_at(url: &str, schema: &str) -> Arc<dyn Store> {
    use procession::store::{PostgresOptions, PostgresStore};

    let options = PostgresOptions::new().with_schema(schema).with_connections(4);
    Arc::new(PostgresStore::connect(url, options).await.unwrap())
}

/// Runs tests on each store that workers can share.
macro_rules! on_each_store {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            use $crate::workers::Team;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Team::in_memory()).await;
            })+
        }
        #[cfg(feature = "sqlite")]
        mod sqlite_store {
            use $crate::workers::Team;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Team::on_sqlite()).await;
            })+
        }
        #[cfg(all(unix, feature = "postgres"))]
        mod postgres_store {
            use $crate::workers::Team;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL: cargo xtask test"]
            async fn $name() {
                super::$name(Team::on_postgres().await).await;
            })+
        }
    };
}

pub(crate) use on_each_store;

on_each_store! {
    processes_for_anyone_run_once_each_in_some_worker,
    what_a_worker_hands_over_goes_on_in_another_at_once,
    a_worker_that_is_not_heard_from_writes_nothing_and_joins_anew,
    what_a_lost_worker_had_goes_on_when_its_lease_has_lapsed,
    a_worker_that_stops_while_it_joins_anew_is_gone,
}

async fn processes_for_anyone_run_once_each_in_some_worker(team: Team) {
    let (one, other) = (team.worker().await.build().await.unwrap(), team.worker().await.build().await.unwrap());
    let mut runs = Vec::new();
    for _ in 0..200 {
        runs.push(one.launch(Counted::inputs()).anywhere().await.unwrap());
    }
    for run in runs {
        assert_eq!(run.outcome().await.unwrap().finished().unwrap().rounds, 3);
    }
    let counted = team.tally.lock().unwrap().len();
    assert_eq!((counted, team.repeated()), (600, 0));
    for worker in [one, other] {
        worker.shutdown().await.unwrap();
    }
    assert_eq!(team.world.store.workers().await.unwrap(), []);
}

async fn what_a_worker_hands_over_goes_on_in_another_at_once(team: Team) {
    let one = team.worker().await.build().await.unwrap();
    let run = one.launch(Counted::inputs().gated(true)).await.unwrap();
    let pid = run.pid().clone();
    team.world.gate.reached().await;
    let leaving = tokio::spawn({
        let one = one.clone();
        async move { one.shutdown().await }
    });
    eventually(|| async { one.health().await.closing }).await;
    team.world.gate.open(1);
    leaving.await.unwrap().unwrap();
    let other = team.worker().await.build().await.unwrap();
    team.world.gate.open(2);
    let run = other.attach(&pid).await.unwrap();
    assert!(matches!(run.termination().await.unwrap().ended, Ended::Finished { .. }));
    assert_eq!(team.repeated(), 0);
}

/// It is not heard from, and goes on writing: what it writes is refused, and another has the process.
async fn a_worker_that_is_not_heard_from_writes_nothing_and_joins_anew(team: Team) {
    let deaf = Faulty::over(team.store().await, u64::MAX);
    let one = team.worker_on(Arc::clone(&deaf) as Arc<dyn Store>).build().await.unwrap();
    let run = one.launch(Counted::inputs().gated(true)).await.unwrap();
    team.world.gate.reached().await;
    let epoch = team.world.store.workers().await.unwrap()[0].epoch;
    deaf.full.store(true, Ordering::SeqCst);
    let other = team.worker().await.build().await.unwrap();
    // The other begins the same step; it is at the gate, and the first one still is.
    team.world.gate.reached().await;
    deaf.full.store(false, Ordering::SeqCst);
    team.world.gate.open(4);
    let again = other.attach(run.pid()).await.unwrap();
    assert_eq!(again.termination().await.unwrap().outputs["rounds"], 3);
    assert_eq!(
        run.outcome().await.unwrap().finished().unwrap().rounds,
        3,
        "who waited at the first worker is told, too"
    );
    let history = team.world.store.history(run.pid()).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.to.is_terminal()).count(), 1);
    assert_eq!(team.repeated(), 1, "the step that was cut off, and no other");
    // It is one of them again, under another epoch, and works.
    eventually(|| async {
        let workers = team.world.store.workers().await.unwrap();
        workers.iter().filter(|worker| worker.alive && worker.epoch != epoch).count() == 2
    })
    .await;
    let more = one.launch(Counted::inputs()).await.unwrap();
    assert!(more.outcome().await.unwrap().is_finished());
}

async fn a_worker_that_stops_while_it_joins_anew_is_gone(team: Team) {
    let deaf = Faulty::over(team.store().await, u64::MAX);
    let one = team.worker_on(Arc::clone(&deaf) as Arc<dyn Store>).build().await.unwrap();
    let joining = Gate::new();
    *deaf.joining.lock().unwrap() = Some(joining.clone());
    let workers = || async { team.world.store.workers().await.unwrap() };
    deaf.full.store(true, Ordering::SeqCst);
    eventually(|| async { workers().await.iter().all(|worker| !worker.alive) }).await;
    deaf.full.store(false, Ordering::SeqCst);
    joining.reached().await;
    let next = workers().await.iter().find(|worker| worker.alive).unwrap().epoch;
    one.shutdown().await.unwrap();
    joining.open(1);
    // One that has lapsed is still listed.
    eventually(|| async { workers().await.iter().all(|worker| worker.epoch != next) }).await;
}

/// Without a word: nothing is released.
async fn what_a_lost_worker_had_goes_on_when_its_lease_has_lapsed(team: Team) {
    let lost = Faulty::over(team.store().await, u64::MAX);
    let one = team.worker_on(Arc::clone(&lost) as Arc<dyn Store>).build().await.unwrap();
    let mut pids = Vec::new();
    for _ in 0..20 {
        pids.push(one.launch(Counted::inputs().gated(true)).await.unwrap().pid().clone());
    }
    let tree = one.launch(Tree::inputs()).await.unwrap();
    pids.push(tree.pid().clone());
    lost.full.store(true, Ordering::SeqCst);
    drop((one, tree));
    let other = team.worker().await.build().await.unwrap();
    team.world.gate.open(1_000);
    for pid in &pids {
        let end = other.attach(pid).await.unwrap().termination().await.unwrap();
        assert!(matches!(end.ended, Ended::Finished { .. }), "{pid}: {end:?}");
    }
}

#[tokio::test]
async fn a_store_that_has_one_owner_is_not_shared() {
    let one = Runtime::builder().store(MemoryStore::new()).worker(WorkerOptions::new()).build().await;
    assert!(one.is_ok(), "{one:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = procession::store::FileStore::open(folder.path()).unwrap();
    let Err(error) = Runtime::builder().store(file).worker(WorkerOptions::new()).build().await else {
        panic!("shared")
    };
    assert!(error.to_string().contains("it cannot do that") || format!("{error:?}").contains("Unsupported"), "{error}");
}
