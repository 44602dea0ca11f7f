//! Many processes at once, while connections are cut and the server fails.

use procession::ProcessId;
use procession::process::Request;
use procession::store::{Commit, Creation, Epoch, PostgresStore, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::task::JoinSet;

use super::{Place, child, ending, history, process, step};
use crate::postgres::Postgres;
use crate::support::eventually;

const PROCESSES: u64 = 60;
const STEPS: u64 = 60;

/// One process from its creation to its end. Every call succeeds; gives whether its parent was told.
async fn live(store: Arc<PostgresStore>, epoch: Epoch, parent: ProcessId, number: u64, done: Arc<AtomicU64>) -> bool {
    let pid = ProcessId::from(number.cast_signed());
    let created = store.create(epoch, child(pid.clone(), &parent)).await.unwrap();
    assert_eq!(created, Creation::Created, "process {number}: nobody else creates it");
    for steps in 1..STEPS {
        let commit = step(&pid, epoch, steps);
        // All that a boundary can write, now and then.
        let commit = if (steps + number).is_multiple_of(7) {
            let request = store.request(&pid, Request::Play).await.unwrap();
            store.put_memo(&pid, epoch, steps, "effect", "1".to_owned()).await.unwrap();
            let children = vec![child(format!("{number}/{steps}"), &pid)];
            Commit { report: vec![format!("{steps}")], applied: vec![request], children, forget_memos: true, ..commit }
        } else {
            commit
        };
        store.commit(commit).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
    store.commit(ending(&pid, epoch, STEPS)).await.unwrap().ready_parent.is_some()
}

async fn disturbed(server: &Postgres, faults: usize, fault: impl AsyncFn(usize)) {
    let place = Place::new(server);
    let url = format!("{}?application_name={}", place.url, place.schema);
    let store = Arc::new(PostgresStore::connect(&url, place.options()).await.unwrap());
    let epoch = store.acquire().await.unwrap();
    let parent = ProcessId::from("parent");
    store.create(epoch, process("parent")).await.unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for number in 0..PROCESSES {
        running.spawn(live(Arc::clone(&store), epoch, parent.clone(), number, Arc::clone(&done)));
    }
    let all = PROCESSES * (STEPS - 1);
    for number in 0..faults {
        let at = all * (number as u64 + 1) / (faults as u64 + 1);
        eventually(|| async { done.load(Ordering::Relaxed) >= at }).await;
        fault(number).await;
    }
    let told = running.join_all().await;
    assert!(told.into_iter().any(|told| told), "the parent is told of the last end");
    assert_eq!(store.load(&parent).await.unwrap().unwrap().open_children, 0);
    assert_eq!(store.requests(None).await.unwrap(), []);
    let mut created = PROCESSES + 1;
    for number in 0..PROCESSES {
        let pid = ProcessId::from(number.cast_signed());
        let record = store.load(&pid).await.unwrap().unwrap();
        assert_eq!((record.steps, record.ended.is_some()), (STEPS, true));
        assert_eq!(history(&store, &pid).await, (1..=STEPS).collect::<Vec<_>>(), "0 lost, 0 twice");
        let rich: Vec<u64> = (1..STEPS).filter(|steps| (steps + number).is_multiple_of(7)).collect();
        let lines: Vec<String> = store.report(&pid).await.unwrap().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, rich.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(store.children(&pid).await.unwrap().len(), rich.len());
        created += rich.len() as u64;
        for steps in rich {
            assert_eq!(store.memo(&pid, steps, "effect").await.unwrap(), None);
        }
    }
    let sql = format!("SELECT count(*), sum(revision)::bigint FROM {}.checkpoint", place.schema);
    let row = server.client().await.query_one(&sql, &[]).await.unwrap();
    let counted: (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(counted, (created.cast_signed(), (PROCESSES * STEPS).cast_signed()), "each boundary is written once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nothing_is_lost_or_written_twice_while_connections_are_cut() {
    let server = Postgres::start(&[]);
    let cut = AtomicUsize::new(0);
    disturbed(&server, 40, async |_| {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 's%'";
        let connections = server.client().await.query(sql, &[]).await.unwrap().len();
        cut.fetch_add(connections, Ordering::Relaxed);
    })
    .await;
    assert!(cut.into_inner() > 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nothing_is_lost_or_written_twice_while_the_server_is_stopped_and_killed() {
    let server = Postgres::start(&[]);
    disturbed(&server, 6, async |number| {
        server.end(number % 2 == 0).await;
        server.restart().await;
    })
    .await;
}
