//! What cannot be reached through the public interface: a panic of the writer.

use super::*;
use crate::store::Filter;

#[tokio::test]
async fn a_panic_of_the_writer_closes_the_store_and_keeps_what_was_committed() {
    let file = std::env::temp_dir().join(format!("procession-{}.db", ProcessId::new()));
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    for _ in 0..2 {
        let error = store.write("write to", Work::Panic).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Closed);
    }
    assert_eq!(store.release(epoch).await.unwrap_err().kind(), StoreErrorKind::Closed);
    assert_eq!(store.load(&ProcessId::new()).await.unwrap(), None);
    drop(store);
    let again = SqliteStore::open(&file).unwrap();
    assert!(again.acquire().await.unwrap() > epoch);
    drop(again);
    for name in [file.clone(), file.with_extension("db.lock")] {
        std::fs::remove_file(name).unwrap();
    }
}

/// What the device does is counted in the integration tests, where it can be; this is what it is asked for.
#[test]
fn durability_is_what_sqlite_is_asked_for() {
    for (durability, expected) in [(Durability::Full, 2), (Durability::Normal, 1)] {
        let file = std::env::temp_dir().join(format!("procession-{}.db", ProcessId::new()));
        let options = SqliteOptions::new().with_durability(durability);
        let (connection, _) = schema::open(&file, &options).unwrap();
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((synchronous, journal.as_str()), (expected, "wal"));
        drop(connection);
        std::fs::remove_file(file).unwrap();
    }
}

/// What no call leaves behind: a child that has ended, or is not there, and is open all the same.
#[tokio::test]
async fn a_parent_does_not_wait_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    let script = "INSERT INTO process (id, pid, process, version, format, fingerprint, created_at, inputs, ended)
            VALUES (1, 'parent', 'p', 1, 1, '', 0, '{}', NULL), (2, 'ended', 'p', 1, 1, '', 0, '{}', '{}'),
            (3, 'runs', 'p', 1, 1, '', 0, '{}', NULL);
        INSERT INTO checkpoint (id, state, updated_at, open_children, position, context)
            VALUES (1, 'waiting', 0, 3, '{}', '{}'), (2, 'finished', 0, 0, '{}', '{}'), (3, 'running', 0, 0, '{}', '{}');
        INSERT INTO open_child VALUES (1, 2), (1, 3), (1, 4)";
    rusqlite::Connection::open(&file).unwrap().execute_batch(script).unwrap();
    let stale = store.mend(Epoch(epoch.0 + 1)).await.unwrap_err();
    assert_eq!(stale.kind(), StoreErrorKind::Stale);
    assert_eq!(store.mend(epoch).await.unwrap(), Mended { children: 2 });
    assert_eq!(store.load(&"parent".into()).await.unwrap().unwrap().open_children, 1);
    assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
}

/// The plan of the one query that reads many rows: in order by the index, without sorting.
#[tokio::test]
async fn the_unfinished_are_read_in_the_order_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let connection = schema::open_reader(&file, &store.options, false).unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {}", read::UNFINISHED);
    let mut query = connection.prepare(&sql).unwrap();
    let rows = query.query_map([0, 10], |row| row.get::<_, String>(3)).unwrap();
    let plan: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
    assert!(plan[0].contains("USING INDEX process_unfinished"), "{plan:?}");
    assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:?}");
}

fn process(pid: &str) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: crate::store::Envelope {
            format: crate::store::FORMAT,
            process: "it::Relax".to_owned(),
            version: 1,
            fingerprint: String::new(),
        },
        position: "{}".to_owned(),
        context: "{}".to_owned(),
        inputs: "{}".into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: crate::store::Placement::default(),
        messages: Vec::new(),
        at: Timestamp::from_millis(1),
    }
}

/// Its plan, with the values of these parameters.
fn plan(connection: &rusqlite::Connection, sql: &str, parameters: usize) -> Vec<String> {
    let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = vec![1; parameters];
    let rows = query.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// However many processes there are, a claim looks at those that it may give.
#[tokio::test]
async fn claims_are_found_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let connection = schema::open_reader(&file, &store.options, false).unwrap();
    let ready = plan(&connection, claim::READY, 4);
    assert!(ready[0].contains("USING INDEX share_ready (owner=? AND queue=? AND <expr>=?)"), "{ready:?}");
    assert!(!ready.iter().any(|line| line.contains("TEMP B-TREE")), "in the order of the index: {ready:?}");
    let suspects = plan(&connection, claim::SUSPECTS, 2);
    assert!(suspects.iter().any(|line| line.contains("USING INDEX share_suspect (owner=?)")), "{suspects:?}");
    assert!(suspects.iter().any(|line| line.contains("SEARCH process")), "{suspects:?}");
    let woken = plan(&connection, claim::WAKE, 4);
    let by_time = "USING COVERING INDEX share_waiting (owner=? AND queue=? AND due>? AND due<?)";
    assert!(woken.iter().any(|line| line.contains(by_time)), "{woken:?}");
    assert!(!woken.iter().any(|line| line.contains("TEMP B-TREE") || line.contains("SCAN")), "{woken:?}");
    let asked = plan(&connection, claim::ASKED, 6);
    assert!(asked[0].contains("SEARCH share USING INTEGER PRIMARY KEY"), "{asked:?}");
    assert!(asked.iter().any(|line| line.contains("SEARCH process")), "{asked:?}");
}

/// Half of them wait for children, and half for a time that is far off; then the time of some has come.
#[tokio::test]
async fn a_claim_reads_nothing_of_those_that_wait_and_few_of_those_whose_time_has_come() {
    const CROWD: &str = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100000)
        INSERT INTO share (id, owner, queue, priority, due)
        SELECT id, 0, '', 0, iif(id % 2, 9000000000000, 9223372036854775807) FROM n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {CROWD}")).unwrap();
    let mut wake = connection.prepare(claim::WAKE).unwrap();
    let most = i64::try_from(limits::WOKEN).unwrap();
    let mut steps = |woken: usize| {
        assert_eq!(wake.execute(rusqlite::params![0, "", 1_000, most]).unwrap(), woken);
        wake.reset_status(rusqlite::StatementStatus::VmStep)
    };
    let none = steps(0);
    assert!(none < 100, "{none}");
    connection.execute_batch("UPDATE share SET due = 1 + id % 1000 WHERE id <= 5000").unwrap();
    let some = steps(1024);
    assert!(some < 300 * 1024, "{some}");
    drop(store);
}

/// The OS process was stopped in the midst of a transaction, for longer than the lease: nothing of it is written.
#[tokio::test]
async fn a_lease_that_lapses_within_a_transaction_undoes_what_relied_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let worker = |queues| Worker { host: String::new(), os_process: 1, version: String::new(), queues, slots: 1 };
    let long = store.join(worker(Vec::new()), Duration::from_secs(600)).await.unwrap();
    for pid in ["one", "two"] {
        store.create(long, process(pid)).await.unwrap();
    }
    let epoch = store.join(worker(vec![String::new()]), Duration::from_secs(2)).await.unwrap();
    // Held off, so that all are queued when it begins.
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let two = ProcessId::from("two");
    let (first, stopped, second, ()) = tokio::join!(
        store.create(epoch, process("late")),
        store.write("write to", Work::Stop(Duration::from_secs(3))),
        store.park(long, &two, "why".to_owned()),
        async { other.execute_batch("COMMIT").unwrap() },
    );
    assert_eq!(first.unwrap_err().kind(), StoreErrorKind::Stale);
    assert!(stopped.is_ok() && second.is_ok(), "what relied on nothing, or on another lease, is done");
    assert_eq!(store.load(&"late".into()).await.unwrap(), None);
    assert!(store.load(&two).await.unwrap().unwrap().parked.is_some());
}

/// However much there is to be sent, one who asks for what others left looks once at each of them.
#[tokio::test]
async fn what_is_left_behind_is_found_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let connection = schema::open_reader(&file, &store.options, false).unwrap();
    for (sql, parameters) in [(messages::POSTING, 1), (messages::OWING, 1), (messages::POSTED, 2)] {
        let plan = plan(&connection, sql, parameters);
        let scans = |table: &str| plan.iter().any(|line| line == &format!("SCAN {table}"));
        assert!(!scans("message") && !scans("owed"), "{plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:?}");
    }
    let taken = plan(&connection, messages::TAKE_OWED, 3);
    assert!(taken.iter().any(|line| line.contains("owed_sender (sender=?)")), "{taken:?}");
    assert!(!taken.iter().any(|line| line.contains("SCAN owed")), "{taken:?}");
}

/// One message, and one reply, that nobody can read keep none of the others from being sent.
#[tokio::test]
async fn a_damaged_message_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    let script = "INSERT INTO message (id, pid, sender, body) VALUES (x'00', 'short', 0, ''),
            (zeroblob(16), 'one', 0, 'said'), (randomblob(16), CAST(x'ff' AS TEXT), 0, '');
        INSERT INTO owed (pid, id, address) VALUES ('one', CAST(x'ff' AS TEXT), ''), ('one', 'task', 'there')";
    rusqlite::Connection::open(&file).unwrap().execute_batch(script).unwrap();
    let unsent = store.unsent(epoch, 10).await.unwrap();
    assert_eq!((unsent.messages.len(), unsent.replies.len()), (1, 1));
    assert_eq!(store.unsent(epoch, 10).await.unwrap(), crate::store::Unsent::default());
    let connection = rusqlite::Connection::open(&file).unwrap();
    let kept: i64 = connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 3);
}

/// How many of them the first page of 50 has, and by which filter.
const AMONG_MANY: &str = include_str!("../search/among_many.txt");

/// Nearly all have ended; the few that differ are the oldest, which are the last to be met.
const ENDED: &str = "PRAGMA foreign_keys = OFF;
    WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100000)
    INSERT INTO process (id, pid, key, process, version, format, fingerprint, created_at, ended, exit_code, failed, parked,
        inputs)
    SELECT id, CAST(id AS TEXT), iif(id <= 40, 'rare-', 'common-') || id, iif(id BETWEEN 201 AND 240, 'Rare', 'Common'),
        1, 1, 'f', id, iif(id BETWEEN 41 AND 160, NULL, '{\"state\":\"finished\"}'),
        CASE WHEN id BETWEEN 41 AND 160 THEN NULL WHEN id BETWEEN 161 AND 200 THEN 3 ELSE 0 END,
        id BETWEEN 161 AND 200, iif(id BETWEEN 121 AND 160, 'why', NULL), '{}' FROM n;
    INSERT INTO checkpoint (id, state, paused, updated_at, position, context)
    SELECT id, CASE WHEN id BETWEEN 41 AND 80 THEN 'waiting' WHEN id BETWEEN 81 AND 160 THEN 'running' ELSE 'finished' END,
        id BETWEEN 81 AND 120, id, '{}', '{}' FROM process;";

/// Of a search, the page and how many steps of SQLite's machine it took, to some hundred.
fn searched(connection: &mut rusqlite::Connection, text: &str, after: Option<u64>) -> (Summaries, u64) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let filter = Filter::parse(text, Timestamp::from_millis(100_001)).unwrap();
    let taken = std::sync::Arc::new(AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&taken);
    let count = move || {
        counted.fetch_add(100, Ordering::Relaxed);
        false
    };
    connection.progress_handler(100, Some(count)).unwrap();
    let page = search::search(connection, &Search { after, ..Search::new(filter, 50) }).unwrap();
    connection.progress_handler(0, None::<fn() -> bool>).unwrap();
    (page, taken.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_search_among_many_reads_few_more_than_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch(ENDED).unwrap();
    let mut connection = schema::open_reader(&file, &store.options, false).unwrap();
    for line in AMONG_MANY.lines() {
        let (expected, text) = line.split_once(' ').unwrap();
        let (page, steps) = searched(&mut connection, text, None);
        assert_eq!((&*page.processes.len().to_string(), page.unreadable.len()), (expected, 0), "{text}");
        // What has a very common beginning is counted as far as is worth while.
        let most = if text.contains("common-*") || text.contains("> @0") { 100_000 } else { 12_000 };
        assert!(steps < most, "{text}: {steps}");
    }
    // Where no index helps, one question looks at so many, and the next one at as many more.
    let (mut after, mut pages) = (None, 0);
    loop {
        let (page, steps) = searched(&mut connection, "updated <= @5", after);
        pages += 1;
        assert!(steps < 100 * limits::SEARCHED as u64, "{steps}");
        let Some(next) = page.next else { break };
        assert!(page.processes.is_empty());
        after = Some(next);
    }
    assert_eq!(pages, 100_000 / limits::SEARCHED);
}

/// A step leaves the indexes alone by which processes are found.
#[tokio::test]
async fn a_step_writes_its_row_and_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    let pid = ProcessId::from("one");
    store.create(epoch, NewProcess { begun: Some("step"), ..process("one") }).await.unwrap();
    // Where the state, or the pause, is named in what is written, it fails.
    let guard = "CREATE TRIGGER guard BEFORE UPDATE OF state, paused ON checkpoint
        BEGIN SELECT RAISE (ABORT, 'it is named'); END";
    rusqlite::Connection::open(&file).unwrap().execute_batch(guard).unwrap();
    let (running, waiting) = (ProcessState::Running, ProcessState::Waiting);
    let step = |to| Commit { steps: 1, ..Commit::new(pid.clone(), epoch, Timestamp::from_millis(2), running, to) };
    store.commit(step(running)).await.unwrap();
    assert!(store.commit(step(waiting)).await.is_err());
    assert!(store.commit(Commit { paused: true, ..step(running) }).await.is_err());
    // Known anew, from the file.
    drop(store);
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    store.commit(Commit { epoch, ..step(running) }).await.unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("DROP TRIGGER guard").unwrap();
    for to in [waiting, running, waiting] {
        store.commit(Commit { epoch, ..step(to) }).await.unwrap();
        assert_eq!(store.load(&pid).await.unwrap().unwrap().state, to);
    }
}

/// One row that cannot be read keeps none of the others back.
#[tokio::test]
async fn a_damaged_row_is_told_apart_from_what_a_search_finds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    for pid in ["one", "two", "three"] {
        store.create(epoch, process(pid)).await.unwrap();
    }
    let connection = rusqlite::Connection::open(&file).unwrap();
    let damages = [
        ("all", "UPDATE checkpoint SET state = 'bogus' WHERE id = 2"),
        ("all", "UPDATE checkpoint SET state = 'created', status = '[' WHERE id = 2"),
        (
            "all",
            "UPDATE checkpoint SET status = NULL WHERE id = 2; UPDATE process SET key = CAST(x'ff' AS TEXT) WHERE id = 2",
        ),
        ("not input.x = 1", "UPDATE process SET key = NULL, inputs = '[' WHERE id = 2"),
    ];
    for (text, damage) in damages {
        connection.execute_batch(damage).unwrap();
        let filter = Filter::parse(text, Timestamp::default()).unwrap();
        let page = store.search(Search::new(filter, 10)).await.unwrap();
        assert_eq!((page.processes.len(), page.unreadable.len(), page.next), (2, 1, None), "{damage}");
        assert_eq!(page.unreadable[0].0, "two".into());
    }
    let page = store.search(Search::new(Filter::Every, 10)).await.unwrap();
    assert_eq!(page.processes.len(), 3, "inputs are not read where nobody asks for them");
}
