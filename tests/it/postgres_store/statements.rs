//! How many statements and commits a batch takes, counted by the server.

use procession::ProcessId;
use procession::process::Request;
use procession::store::{Commit, Message, NewProcess, PostgresStore, Store};
use tokio_postgres::Client;

use super::{Place, child, ending, join_all, process, step};
use crate::postgres::Postgres;
use crate::support::eventually;

/// Statements that the server has begun, by what they begin with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) writes: usize,
    pub(super) begins: usize,
    pub(super) commits: usize,
    pub(super) others: usize,
}

/// A server that writes down what it is asked to do.
pub(super) async fn telling() -> (Postgres, Place, PostgresStore, procession::store::Epoch) {
    let server = Postgres::start(&["log_statement = 'all'", "log_line_prefix = '%a|'"]);
    let place = Place::new(&server);
    let url = format!("{}?application_name=counted", place.url);
    let store = PostgresStore::connect(&url, place.options()).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    (server, place, store, epoch)
}

pub(super) fn counted(log: &str) -> Counted {
    let mut counted = Counted::default();
    for line in log.lines().filter_map(|line| line.strip_prefix("counted|LOG:  ")) {
        let Some((what, statement)) = line.split_once(": ") else { continue };
        // It also says where a client went while something was on its way to it, as an announcement is to a command that ends.
        if what != "statement" && !what.starts_with("execute ") {
            continue;
        }
        match statement.trim() {
            "BEGIN" => counted.begins += 1,
            "COMMIT" => counted.commits += 1,
            statement if statement.starts_with("WITH") => counted.writes += 1,
            // A connection is set up.
            statement if statement.starts_with("SET") => {}
            _ => counted.others += 1,
        }
    }
    counted
}

#[test]
fn nothing_but_statements_is_counted() {
    let log = "counted|LOG:  statement: BEGIN
counted|LOG:  execute s0: WITH some AS (
    SELECT 1) SELECT * FROM some
counted|DETAIL:  parameters: $1 = 'one: two'
counted|LOG:  execute <unnamed>: SELECT 1
counted|LOG:  could not receive data from client: Connection reset by peer
another|LOG:  statement: COMMIT
counted|LOG:  statement: COMMIT
counted|LOG:  statement: SET jit TO off
";
    assert_eq!(counted(log), Counted { writes: 1, begins: 1, commits: 1, others: 1 });
}

/// Keeps the server from writing until all is queued: the two batches that are on their way, and all the rest.
async fn held<T>(server: &Postgres, client: &Client, schema: &str, work: impl Future<Output = T>) -> (T, Counted) {
    client.batch_execute(&format!("BEGIN; SELECT * FROM {schema}.store FOR UPDATE")).await.unwrap();
    let before = server.log().len();
    let free = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted' AND wait_event_type = 'Lock'";
        let watcher = server.client().await;
        eventually(|| async { watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 2 }).await;
        client.batch_execute("COMMIT").await.unwrap();
    };
    let (done, ()) = tokio::join!(work, free);
    (done, counted(&server.log()[before..]))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_batch_takes_one_statement_or_two_and_one_commit() {
    const PROCESSES: i64 = 450;
    let (server, place, store, epoch) = telling().await;
    let client = server.client().await;
    let pids: Vec<ProcessId> = (0..PROCESSES).map(ProcessId::from).collect();
    let created = join_all(pids.iter().map(|pid| store.create(epoch, process(pid.clone()))));
    let (created, counted) = held(&server, &client, &place.schema, created).await;
    assert!(created.into_iter().all(|created| created.is_ok()));
    // Looks at no other process: a statement that is its own transaction. Two were on their way, each with one or with as
    // many as there were; the third has all the rest.
    assert!((2..=3).contains(&counted.writes), "{counted:?}");
    assert_eq!(counted, Counted { writes: counted.writes, ..Counted::default() });

    // The same of boundaries that send messages.
    let says = |pid: &ProcessId| Message { id: uuid::Uuid::now_v7(), body: pid.to_string() };
    let steps = pids.iter().map(|pid| store.commit(Commit { messages: vec![says(pid)], ..step(pid, epoch, 1) }));
    let steps = join_all(steps);
    let (steps, counted) = held(&server, &client, &place.schema, steps).await;
    assert!(steps.into_iter().all(|committed| committed.is_ok()));
    assert!((2..=3).contains(&counted.writes), "{counted:?}");
    assert_eq!(counted, Counted { writes: counted.writes, ..Counted::default() });

    // And of some that end, while others are created, and sends messages.
    let mixed = pids.iter().map(|pid| async {
        let number = pid.as_integer().unwrap_or_default();
        match number % 3 {
            0 => store.commit(ending(pid, epoch, 2)).await.map(drop),
            1 => store.commit(step(pid, epoch, 2)).await.map(drop),
            _ => {
                let new = process(number + 2 * PROCESSES);
                store.create(epoch, NewProcess { messages: vec![says(pid)], ..new }).await.map(drop)
            }
        }
    });
    let (mixed, counted) = held(&server, &client, &place.schema, join_all(mixed)).await;
    assert!(mixed.into_iter().all(|written| written.is_ok()));
    assert!((2..=3).contains(&counted.writes), "{counted:?}");
    assert_eq!(counted, Counted { writes: counted.writes, ..Counted::default() });

    // All that a boundary can write, and ends.
    let pids: Vec<&ProcessId> =
        pids.iter().filter(|pid| pid.as_integer().is_some_and(|number| number % 3 != 0)).collect();
    let all = pids.iter().map(|pid| {
        let number = pid.as_integer().unwrap_or_default();
        let (report, children) = (vec!["line".to_owned()], vec![child(number + PROCESSES, pid)]);
        let commit = if number % 2 == 0 { ending(pid, epoch, 3) } else { step(pid, epoch, 3) };
        store.commit(Commit { report, children, forget_memos: true, ..commit })
    });
    let (all, counted) = held(&server, &client, &place.schema, join_all(all)).await;
    assert!(all.into_iter().all(|committed| committed.is_ok()));
    let batches = counted.commits;
    assert!((2..=3).contains(&batches), "{counted:?}");
    assert_eq!(counted, Counted { writes: 2 * batches, begins: batches, commits: batches, others: 0 });
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn requests_that_come_at_once_share_a_transaction() {
    let (server, place, store, _) = telling().await;
    let client = server.client().await;
    client.batch_execute(&format!("BEGIN; SELECT * FROM {}.request_order FOR UPDATE", place.schema)).await.unwrap();
    let before = server.log().len();
    let asked = join_all((0..200_i64).map(|pid| {
        let store = &store;
        async move { store.request(&pid.into(), Request::Play).await }
    }));
    let (asked, ()) = tokio::join!(asked, async {
        eventually(|| async { server.log()[before..].contains("UPDATE request_order") }).await;
        client.batch_execute("COMMIT").await.unwrap();
    });
    let mut ids: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let counted = counted(&server.log()[before..]);
    assert!((1..=2).contains(&counted.commits), "{counted:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_ends_of_a_thousand_processes_are_one_statement() {
    let (server, _place, store, epoch) = telling().await;
    let pids: Vec<ProcessId> = (0..1_000_i64).map(ProcessId::from).collect();
    assert!(join_all(pids.iter().map(|pid| store.create(epoch, process(pid.clone())))).await.iter().all(Result::is_ok));
    assert!(join_all(pids.iter().map(|pid| store.commit(ending(pid, epoch, 1)))).await.iter().all(Result::is_ok));
    let before = server.log().len();
    assert_eq!(store.ends(pids).await.unwrap().ended.len(), 1_000);
    assert_eq!(counted(&server.log()[before..]), Counted { others: 1, ..Counted::default() });
}
