//! Several workers on one SQLite file: what the suite for all stores does not show.

mod migration;
mod os_processes;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use procession::store::{
    Commit, Durability, Epoch, NewProcess, Placement, SqliteOptions, SqliteStore, Store, StoreErrorKind, Worker,
};
use procession::{ProcessId, ProcessState};
use rusqlite::Connection;

use crate::sqlite::{boundary, folder, process};

/// A lease that does not lapse while a test runs.
const LONG: Duration = Duration::from_secs(600);

fn worker() -> Worker {
    Worker {
        host: "here".to_owned(),
        os_process: std::process::id(),
        version: String::new(),
        queues: vec![String::new()],
        slots: 8,
    }
}

async fn join(store: &SqliteStore) -> Epoch {
    store.join(worker(), LONG).await.unwrap()
}

/// Runs SQL, as nothing in the library would.
fn by_hand(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

fn count(file: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    Connection::open(file).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// So it is as fast as if nobody ever shared a store; and what workers have is his when they are gone.
#[tokio::test]
async fn one_owner_writes_nothing_that_only_workers_need() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let shared = join(&store).await;
    store.create(shared, process("theirs")).await.unwrap();
    let named = Placement { queue: "gpu".to_owned(), priority: 3, unowned: true };
    store.create(shared, NewProcess { placement: named, ..process("placed") }).await.unwrap();
    assert_eq!((count(&file, "share"), count(&file, "worker")), (2, 1));
    let epoch = store.acquire().await.unwrap();
    store.create(epoch, process("mine")).await.unwrap();
    store.commit(boundary(&"mine".into(), epoch, "{}".to_owned())).await.unwrap();
    store.commit(boundary(&"theirs".into(), epoch, "{}".to_owned())).await.unwrap();
    store.park(epoch, &"mine".into(), "why".to_owned()).await.unwrap();
    assert_eq!((count(&file, "share"), count(&file, "worker")), (0, 0));
    // Whoever joins finds all that can go on, and where it belongs.
    let again = store.join(Worker { queues: vec!["gpu".to_owned()], ..worker() }, LONG).await.unwrap();
    let claimed = store.claim(again, 10, 5).await.unwrap();
    assert_eq!(claimed.records.iter().map(|record| record.pid.to_string()).collect::<Vec<_>>(), ["placed"]);
    let other = join(&store).await;
    assert_eq!(store.claim(other, 10, 5).await.unwrap().records[0].pid, "theirs".into());
}

/// A clock that is set back shows a time again at which the lease held; what was refused stays refused.
#[tokio::test]
async fn a_lease_that_was_found_lapsed_stays_so_when_the_clock_is_set_back() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let epoch = join(&store).await;
    store.create(epoch, process("one")).await.unwrap();
    by_hand(&file, "UPDATE worker SET lapses_at = lapses_at - 1000000");
    let refused = store.commit(boundary(&"one".into(), epoch, "{}".to_owned())).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Stale);
    by_hand(&file, "UPDATE worker SET lapses_at = lapses_at + 1000000");
    for refused in [
        store.commit(boundary(&"one".into(), epoch, "{}".to_owned())).await.map(drop).unwrap_err(),
        store.renew(epoch, 0).await.unwrap_err(),
        store.work(epoch).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), StoreErrorKind::Stale);
    }
    // And one that was given before it was set back is not the longer for it.
    let other = join(&store).await;
    by_hand(&file, "UPDATE worker SET lapses_at = lapses_at + 1000000000 WHERE lapsed = 0");
    assert_eq!(store.claim(other, 10, 5).await.unwrap().records.len(), 1);
    let row: (i64, i64) = Connection::open(&file)
        .unwrap()
        .query_row("SELECT lapses_at - heard_at, lease FROM worker WHERE lapsed = 0", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert!(row.0 < row.1 + 100_000, "{row:?}");
}

#[tokio::test]
async fn who_owned_the_file_lets_go_of_its_lock_when_workers_have_joined() {
    let (_folder, file) = folder();
    let [first, second, third] = [(); 3].map(|()| SqliteStore::open(&file).unwrap());
    let stale = first.acquire().await.unwrap();
    first.create(stale, process("one")).await.unwrap();
    assert_eq!(third.acquire().await.unwrap_err().kind(), StoreErrorKind::InUse);
    let epoch = join(&second).await;
    let refused = first.commit(boundary(&"one".into(), stale, "{}".to_owned())).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Stale);
    assert_eq!(second.claim(epoch, 10, 5).await.unwrap().records.len(), 1);
    let owner = third.acquire().await.unwrap();
    let refused = second.commit(boundary(&"one".into(), epoch, "{}".to_owned())).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Stale);
    third.commit(boundary(&"one".into(), owner, "{}".to_owned())).await.unwrap();
}

/// What one has written, another does not remember otherwise: of a parent, of a parking, of a history.
#[tokio::test]
async fn what_is_remembered_of_a_process_is_forgotten_when_another_has_written() {
    let (_folder, file) = folder();
    let [first, second] = [(); 2].map(|()| SqliteStore::open(&file).unwrap());
    let (one, other) = (join(&first).await, join(&second).await);
    let pid = ProcessId::from("one");
    first.create(one, process("one")).await.unwrap();
    for round in 0..5 {
        let ([holder, next], [epoch, later]) =
            if round % 2 == 0 { ([&first, &second], [one, other]) } else { ([&second, &first], [other, one]) };
        for step in 0..2 {
            holder.commit(boundary(&pid, epoch, format!("{round} {step}"))).await.unwrap();
            holder.put_memo(&pid, epoch, 1, &format!("{step}"), "1".to_owned()).await.unwrap();
        }
        let forgets = Commit { forget_memos: true, ..boundary(&pid, epoch, "{}".to_owned()) };
        holder.commit(forgets).await.unwrap();
        assert_eq!(next.memo(&pid, 1, "0").await.unwrap(), None);
        holder.hand_over(epoch, vec![pid.clone()]).await.unwrap();
        assert_eq!(next.claim(later, 1, 5).await.unwrap().records.len(), 1);
        assert_eq!(next.history(&pid).await.unwrap().len(), 3 * (round + 1));
    }
}

#[tokio::test]
async fn a_row_that_is_damaged_is_told_of_beside_those_that_are_not() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let epoch = join(&store).await;
    for pid in ["one", "two", "three"] {
        store.create(epoch, process(pid)).await.unwrap();
    }
    by_hand(&file, "UPDATE checkpoint SET state = 'bogus' WHERE id = 2");
    let page = store.standing(None, 2).await.unwrap();
    assert_eq!((page.standings.len(), page.unreadable[0].0.to_string()), (1, "two".to_owned()));
    let page = store.standing(page.next, 2).await.unwrap();
    assert_eq!((page.standings.len(), page.unreadable.len(), page.next), (1, 0, None));
}

/// What [`Store::mend`] puts right lets a parent be claimed.
#[tokio::test]
async fn a_parent_that_waited_in_vain_can_be_claimed_when_that_is_mended() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let epoch = join(&store).await;
    let placement = Placement { unowned: true, ..Placement::default() };
    store.create(epoch, NewProcess { placement, ..process("parent") }).await.unwrap();
    by_hand(
        &file,
        "INSERT INTO open_child VALUES (1, 99);
        UPDATE checkpoint SET state = 'waiting', open_children = 1, awaiting = '{\"children\":[{\"pid\":\"gone\"}]}';
        UPDATE share SET due = 9223372036854775807",
    );
    assert_eq!(store.claim(epoch, 10, 5).await.unwrap().records.len(), 0);
    assert_eq!(store.mend(epoch).await.unwrap().children, 1);
    assert_eq!(store.claim(epoch, 10, 5).await.unwrap().records.len(), 1);
}

/// Each copies the log while the other writes to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_without_end_where_several_write() {
    const COMMITS: usize = 500;
    let (_folder, file) = folder();
    let options = SqliteOptions::new().with_durability(Durability::Normal);
    let log = file.with_extension("db-wal");
    let mut writers = Vec::new();
    for pid in ["a", "b", "c"] {
        let store = Arc::new(SqliteStore::open_with(&file, options.clone()).unwrap());
        let epoch = join(&store).await;
        store.create(epoch, process(pid)).await.unwrap();
        writers.push((store, tokio::spawn(write(file.clone(), options.clone(), epoch, pid, COMMITS))));
    }
    for (_, writer) in &mut writers {
        writer.await.unwrap();
    }
    let (length, written) = (std::fs::metadata(&log).unwrap().len(), 3 * COMMITS as u64 * 100_000);
    assert!(length < written / 2, "{length} of {written} bytes");
}

async fn write(file: std::path::PathBuf, options: SqliteOptions, epoch: Epoch, pid: &str, commits: usize) {
    let (store, pid) = (SqliteStore::open_with(&file, options).unwrap(), ProcessId::from(pid));
    for _ in 0..commits {
        store.commit(boundary(&pid, epoch, "x".repeat(100_000))).await.unwrap();
    }
    assert_eq!(store.load(&pid).await.unwrap().unwrap().state, ProcessState::Running);
}
