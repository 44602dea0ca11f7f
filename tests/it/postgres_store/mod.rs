//! What only the store on PostgreSQL promises: its tables, its statements, and what happens when the server or the way to
//! it fails.

mod failures;
mod load;
mod lost;
mod plan;
mod sharing;
mod statements;
mod tables;
#[cfg(feature = "postgres-tls")]
mod tls;
mod transfer;

use procession::clock::Timestamp;
use procession::store::{
    Commit, Committed, Envelope, Epoch, FORMAT, NewProcess, Parent, PostgresOptions, PostgresStore, Store,
    StoreErrorKind, StoreResult,
};
use procession::{ProcessId, ProcessState};
use std::time::Duration;

use crate::postgres::Postgres;

/// A schema of one's own on a server.
struct Place {
    url: String,
    schema: String,
}

impl Place {
    fn new(server: &Postgres) -> Self {
        Self { url: server.url(), schema: Postgres::schema() }
    }

    fn shared() -> Self {
        Self::new(&Postgres::shared())
    }

    fn options(&self) -> PostgresOptions {
        PostgresOptions::new().with_schema(&*self.schema).with_connections(4)
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::connect(&self.url, self.options()).await.unwrap()
    }

    /// A store that is owned.
    async fn own(&self) -> (PostgresStore, Epoch) {
        let store = self.open().await;
        let epoch = store.acquire().await.unwrap();
        (store, epoch)
    }
}

fn process(pid: impl Into<ProcessId>) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: Envelope { format: FORMAT, process: "it::Relax".into(), version: 1, fingerprint: "f00d".into() },
        position: r#"{"at":"setup"}"#.into(),
        context: r#"{"iteration":0}"#.into(),
        inputs: "{}".into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: Timestamp::from_millis(1),
    }
}

fn child(pid: impl Into<ProcessId>, parent: &ProcessId) -> NewProcess {
    NewProcess { parent: Some(Parent { pid: parent.clone(), awaited: true, follows: false }), ..process(pid) }
}

/// A boundary that changes nothing but its process.
fn step(pid: &ProcessId, epoch: Epoch, steps: u64) -> Commit {
    let running = ProcessState::Running;
    let commit = Commit::new(pid.clone(), epoch, Timestamp::from_millis(2), running, running);
    Commit { context: Some(format!("{{\"steps\":{steps}}}")), transition: Some("step"), steps, ..commit }
}

fn ending(pid: &ProcessId, epoch: Epoch, steps: u64) -> Commit {
    let ended = Some(r#"{"state":"finished"}"#.to_owned());
    Commit { to: ProcessState::Finished, ended, ..step(pid, epoch, steps) }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: StoreResult<T>, kind: StoreErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}: {:?}", std::error::Error::source(&error));
}

/// Steps that the history has of a process.
async fn history(store: &PostgresStore, pid: &ProcessId) -> Vec<u64> {
    store.history(pid).await.unwrap().iter().map(|entry| entry.steps).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_address_or_a_schema_that_is_none_is_told() {
    let place = Place::shared();
    for schema in ["", "1a", "a-b", "a\"; DROP TABLE x; --", "pg_mine", "ä", &"x".repeat(64)] {
        let options = PostgresOptions::new().with_schema(schema);
        refused(PostgresStore::connect(&place.url, options).await, StoreErrorKind::Other);
    }
    for schema in ["_", "Mixed_Case_9", &"x".repeat(63)] {
        let schema = format!("{schema}{}", if schema.len() < 60 { Postgres::schema() } else { String::new() });
        let options = PostgresOptions::new().with_schema(schema).with_connections(2);
        PostgresStore::connect(&place.url, options).await.unwrap();
    }
    let elsewhere = "postgres://postgres@127.0.0.1:1/postgres";
    let impatient = || place.options().with_patience(Duration::from_millis(50));
    let nobody = place.url.replace("postgres@", "nobody_at_all@");
    let secret = "postgres://postgres:hidden@127.0.0.1:1/postgres?sslmode=unheard-of";
    for (url, kind) in [
        ("no address", StoreErrorKind::Other),
        (secret, StoreErrorKind::Other),
        (elsewhere, StoreErrorKind::Unreachable),
        (&nobody, StoreErrorKind::Other),
    ] {
        let error = PostgresStore::connect(url, impatient()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error}");
        assert!(!format!("{error:?}").contains("hidden"), "no password is told: {error:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn encryption_that_is_asked_for_is_never_left_out() {
    // The server has none: either this library has none, or the server refuses.
    let place = Place::shared();
    let url = format!("{}?sslmode=require", place.url);
    let options = place.options().with_patience(Duration::from_millis(50));
    assert!(PostgresStore::connect(&url, options).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn children_that_end_in_two_workers_at_once_name_their_parent_once() {
    let place = Place::shared();
    let (one, epoch) = place.own().await;
    let other = place.open().await;
    for round in 0..10 {
        let parent = ProcessId::from(format!("parent {round}"));
        one.create(epoch, process(parent.clone())).await.unwrap();
        let pids: Vec<ProcessId> = (0..20).map(|child| format!("{round}/{child}").into()).collect();
        let children = pids.iter().map(|pid| child(pid.clone(), &parent)).collect();
        one.commit(Commit { children, ..step(&parent, epoch, 1) }).await.unwrap();
        let ends = pids.iter().enumerate().map(|(index, pid)| {
            let store = if index % 2 == 0 { &one } else { &other };
            store.commit(ending(pid, epoch, 1))
        });
        let told: Vec<Committed> = join_all(ends).await.into_iter().map(Result::unwrap).collect();
        let named: Vec<ProcessId> = told.into_iter().filter_map(|told| told.ready_parent).collect();
        assert_eq!(named, [parent], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_key_that_two_workers_create_at_once_makes_one_process() {
    let place = Place::shared();
    let (one, epoch) = place.own().await;
    let other = place.open().await;
    for round in 0..20 {
        let new = |pid: String| NewProcess { key: Some(format!("key {round}")), ..process(pid) };
        let creations = (0..10).map(|index| {
            let store = if index % 2 == 0 { &one } else { &other };
            store.create(epoch, new(format!("{round}/{index}")))
        });
        let created = join_all(creations).await.into_iter().map(Result::unwrap);
        let created = created.filter(|creation| *creation == procession::store::Creation::Created).count();
        assert_eq!(created, 1, "round {round}");
    }
    assert_eq!(one.unfinished(None, 1_000).await.unwrap().records.len(), 20);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_boundary_that_is_refused_by_the_server_fails_alone() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let (store, epoch) = place.own().await;
    let pids: Vec<ProcessId> = (0..30_i64).map(ProcessId::from).collect();
    for result in join_all(pids.iter().map(|pid| store.create(epoch, process(pid.clone())))).await {
        result.unwrap();
    }
    let check = format!("ALTER TABLE {}.checkpoint ADD CHECK (context <> 'poison')", place.schema);
    server.client().await.batch_execute(&check).await.unwrap();
    for forget_memos in [false, true] {
        let commits = pids.iter().map(|pid| {
            let poison = pid.as_integer() == Some(17);
            let commit = Commit { forget_memos, ..step(pid, epoch, 1) };
            store.commit(if poison { Commit { context: Some("poison".into()), ..commit } } else { commit })
        });
        for (pid, result) in pids.iter().zip(join_all(commits).await) {
            match pid.as_integer() {
                Some(17) => refused(result, StoreErrorKind::Other),
                _ => drop(result.unwrap()),
            }
        }
    }
    store.commit(step(&17.into(), epoch, 2)).await.unwrap();
}

/// Waits for all; in their order.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut all = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
