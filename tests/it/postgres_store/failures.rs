//! A server that is away, busy or slow.

use procession::ProcessId;
use procession::process::Request;
use procession::store::{PostgresStore, Store, StoreErrorKind};
use std::time::Duration;

use super::{Place, history, process, refused, step};
use crate::postgres::Postgres;
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_comes_back_is_found_again() {
    let server = Postgres::start(&[]);
    let place = Place::new(&server);
    let (store, epoch) = place.own().await;
    let pid = ProcessId::from("one");
    store.create(epoch, process("one")).await.unwrap();
    let mut steps = 0;
    for kill in [false, true] {
        // Away before the call, and back before the next.
        server.end(kill).await;
        server.restart().await;
        steps += 1;
        store.commit(step(&pid, epoch, steps)).await.unwrap();
        // Away before the call, and back within.
        server.end(kill).await;
        steps += 1;
        let (committed, loaded, ()) =
            tokio::join!(store.commit(step(&pid, epoch, steps)), store.load(&pid), server.restart());
        committed.unwrap();
        assert!(loaded.unwrap().is_some());
        store.request(&pid, Request::Play).await.unwrap();
    }
    assert_eq!(history(&store, &pid).await, [1, 2, 3, 4]);
    assert_eq!(store.requests(None).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_stays_away_is_told_as_unreachable_and_the_store_goes_on_when_it_is_back() {
    let server = Postgres::start(&[]);
    let place = Place::new(&server);
    let options = place.options().with_patience(Duration::from_millis(200));
    let store = PostgresStore::connect(&place.url, options).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    let pid = ProcessId::from("one");
    store.create(epoch, process("one")).await.unwrap();
    server.end(false).await;
    let errors = [
        store.commit(step(&pid, epoch, 1)).await.unwrap_err(),
        store.create(epoch, process("two")).await.unwrap_err(),
        store.put_memo(&pid, epoch, 1, "effect", "1".to_owned()).await.unwrap_err(),
        store.request(&pid, Request::Play).await.unwrap_err(),
        store.park(epoch, &pid, "why".to_owned()).await.unwrap_err(),
        store.load(&pid).await.unwrap_err(),
        store.unfinished(None, 10).await.unwrap_err(),
        store.acquire().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Unreachable, "{error}");
        assert!(error.is_retryable() && std::error::Error::source(&error).is_some(), "{error}");
    }
    server.restart().await;
    store.commit(step(&pid, epoch, 1)).await.unwrap();
    assert_eq!(history(&store, &pid).await, [1]);
    assert_eq!(store.load(&"two".into()).await.unwrap(), None);
    assert_eq!(store.requests(None).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn who_finds_no_connection_free_is_told_that_the_store_is_busy() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let options = place.options().with_connections(1).with_busy_timeout(Duration::from_millis(30));
    let store = PostgresStore::connect(&place.url, options).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    let pid = ProcessId::from("one");
    store.create(epoch, process("one")).await.unwrap();
    store.commit(step(&pid, epoch, 1)).await.unwrap();
    let client = server.client().await;
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.memo IN EXCLUSIVE MODE", place.schema)).await.unwrap();
    let memo = store.put_memo(&pid, epoch, 1, "effect", "1".to_owned());
    let (memo, ()) = tokio::join!(memo, async {
        eventually(|| async {
            store.load(&pid).await.is_err_and(|error| error.kind() == StoreErrorKind::Busy && error.is_retryable())
        })
        .await;
        // What commits has connections of its own.
        store.commit(step(&pid, epoch, 2)).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
    });
    memo.unwrap();
    assert_eq!(history(&store, &pid).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_statement_that_takes_too_long_is_cancelled_and_told_as_busy() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let options = place.options().with_statement_timeout(Duration::from_millis(50)).with_patience(Duration::ZERO);
    let store = PostgresStore::connect(&place.url, options).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    let pid = ProcessId::from("one");
    store.create(epoch, process("one")).await.unwrap();
    let client = server.client().await;
    client.batch_execute(&format!("BEGIN; SELECT * FROM {}.checkpoint FOR UPDATE", place.schema)).await.unwrap();
    refused(store.commit(step(&pid, epoch, 1)).await, StoreErrorKind::Busy);
    refused(store.park(epoch, &pid, "why".to_owned()).await, StoreErrorKind::Busy);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(history(&store, &pid).await, [0; 0], "nothing of it is there");
    store.commit(step(&pid, epoch, 1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_text_beyond_the_bound_is_refused() {
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    let pid = ProcessId::from("one");
    store.create(epoch, process("one")).await.unwrap();
    let large = "x".repeat(procession::limits::POSTGRES_RECORD_BYTES + 1);
    let commit = procession::store::Commit { context: Some(large), ..step(&pid, epoch, 1) };
    refused(store.commit(commit).await, StoreErrorKind::Limit);
    assert_eq!(history(&store, &pid).await, [0; 0]);
}
