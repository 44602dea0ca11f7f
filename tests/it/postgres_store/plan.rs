//! How claims find their processes among many, as the server tells it.

use procession::clock::Timestamp;
use procession::limits;
use procession::store::{Filter, NewProcess, PostgresStore, Search, Store};

use super::sharing::join;
use super::{Place, process, step};
use crate::postgres::Postgres;
use crate::support::eventually;

/// Half of them are of a worker that is alive, half of the others wait for a time that is far off, and half of the rest are
/// suspects.
const CROWD: &str = "
    INSERT INTO process (id, pid, follows, created_at, inputs)
        SELECT n, convert_to(n::text, 'UTF8'), false, 1, '{}' FROM generate_series(1, 100000) AS n;
    INSERT INTO checkpoint
        (id, state, updated_at, version, format, process, fingerprint, position, context, owner, priority, wakes,
            losses)
        SELECT n, CASE n % 4 WHEN 2 THEN 'waiting' ELSE 'running' END, 1, 1, 1, 'p', 'f', '{}', '{}',
            CASE n % 2 WHEN 1 THEN 1 ELSE 0 END, n % 7, CASE n % 4 WHEN 2 THEN 9000000000000000000 ELSE 0 END,
            CASE n % 8 WHEN 0 THEN 3 ELSE 0 END
        FROM generate_series(1, 100000) AS n;
    SELECT setval('process_id', 100000);";

/// The server tells how it runs each statement.
const TELLING: &[&str] = &[
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "autovacuum = off",
];

/// How many processes a new worker claims, and the plan of the statement.
async fn claimed_plan(server: &Postgres, store: &PostgresStore) -> (usize, String) {
    let before = server.log().len();
    let worker = join(store).await;
    let claimed = store.claim(worker, 50, procession::limits::ATTEMPTS).await.unwrap();
    let log = server.log()[before..].to_owned();
    let plan = log.split("Query Text: ").find(|plan| plan.contains("attempts = c.attempts +")).expect("it is told");
    (claimed.records.len(), plan.to_owned())
}

/// How many rows of the checkpoints a statement has read that claims so many, and how many it has left out then.
fn rows_read(claimed: usize, plan: &str) -> (f64, f64) {
    let (read, removed) = rows_read_of(plan, &["checkpoint"]);
    assert!(read >= count(claimed), "{read} for {claimed}: {plan}");
    (read, removed)
}

fn rows_read_of(plan: &str, tables: &[&str]) -> (f64, f64) {
    // Of rows per loop, newer servers print fractions.
    let number =
        |text: &str| text.split([' ', ')']).next().unwrap().parse::<f64>().unwrap_or_else(|_| panic!("{text}"));
    let after = |text: &str, name: &str| number(text.split_once(name).unwrap_or_else(|| panic!("{name}: {text}")).1);
    let is_of = |line: &str| tables.iter().any(|table| line.contains(&format!(" on {table}")));
    let scans = plan.lines().filter(|line| line.contains("Scan") && is_of(line));
    // Of an index alone, it reads no row; and what was not begun has read nothing.
    let scans = scans.filter(|line| !line.contains("(never executed)") && !line.contains("Bitmap Index Scan"));
    let read = scans.map(|line| {
        let (_, actual) = line.split_once("(actual ").unwrap_or_else(|| panic!("{line}"));
        after(actual, "rows=") * after(actual, "loops=")
    });
    let removed = plan.lines().filter_map(|line| {
        let (_, rows) = line.trim().strip_prefix("Rows Removed by ")?.split_once(": ")?;
        Some(number(rows))
    });
    (read.sum(), removed.sum())
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_claim_among_many_reads_no_more_than_it_takes() {
    let server = Postgres::start(TELLING);
    let place = Place::new(&server);
    let store = place.open().await;
    assert_eq!(join(&store).await.0, 1);
    let client = server.client().await;
    client.batch_execute(&format!("SET search_path TO {}; {CROWD}", place.schema)).await.unwrap();
    for known in [false, true] {
        if known {
            client.batch_execute("ANALYZE").await.unwrap();
        }
        let (claimed, plan) = claimed_plan(&server, &place.open().await).await;
        assert_eq!(claimed, 50);
        assert!(plan.contains("Index Scan using checkpoint_ready"), "{plan}");
        assert!(plan.contains("Index Scan using checkpoint_waiting"), "{plan}");
        assert!(!plan.contains("Seq Scan on checkpoint"), "{plan}");
        // None of its parts has gone through rows to leave them out.
        assert!(rows_read(claimed, &plan).1 < 100.0, "{plan}");
    }
}

/// Half of them wait for children, and half for a time that is far off. Some can go on at once.
const WAITING: &str = "
    INSERT INTO process (id, pid, follows, created_at, inputs)
        SELECT n, convert_to(n::text, 'UTF8'), false, 1, '{}' FROM generate_series(1, 110020) AS n;
    INSERT INTO checkpoint
        (id, state, updated_at, version, format, process, fingerprint, position, context, wakes, has_open)
        SELECT n, CASE WHEN n > 100000 THEN 'running' ELSE 'waiting' END, 1, 1, 1, 'p', 'f', '{}', '{}',
            CASE WHEN n <= 50000 THEN 9000000000000000000 ELSE 0 END, n BETWEEN 50001 AND 100000
        FROM generate_series(1, 100020) AS n;
    INSERT INTO open_child SELECT n, n + 1000000 FROM generate_series(50001, 100000) AS n;
    SELECT setval('process_id', 110020);";

/// Their time has come, at once.
const DUE: &str = "INSERT INTO checkpoint
        (id, state, updated_at, version, format, process, fingerprint, position, context, wakes, priority)
        SELECT n, 'waiting', 1, 1, 1, 'p', 'f', '{}', '{}', 200000 - n, n % 7 FROM generate_series(100021, 110020) AS n";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_claim_reads_nothing_of_those_that_wait_and_few_of_those_whose_time_has_come() {
    let server = Postgres::start(TELLING);
    let place = Place::new(&server);
    let store = place.open().await;
    let client = server.client().await;
    client.batch_execute(&format!("SET search_path TO {}; {WAITING}", place.schema)).await.unwrap();
    for expected in [20, 0] {
        let (claimed, plan) = claimed_plan(&server, &store).await;
        assert_eq!(claimed, expected);
        let (read, removed) = rows_read(claimed, &plan);
        assert!(read + removed < 100.0, "{read} and {removed}: {plan}");
    }
    client.batch_execute(DUE).await.unwrap();
    let most = count(2 * (procession::limits::WOKEN + 50) + 100);
    for _ in 0..12 {
        let (claimed, plan) = claimed_plan(&server, &store).await;
        assert_eq!(claimed, 50);
        let (read, removed) = rows_read(claimed, &plan);
        // Each is read to be found, and again to be written.
        assert!(read + removed < most, "{read} and {removed}: {plan}");
    }
    // By now all of them stand in the order in which they are to run.
    let (claimed, plan) = claimed_plan(&server, &store).await;
    assert!(rows_read(claimed, &plan).0 < 200.0, "{plan}");
    let first = "SELECT count(*), min(priority), max(id) FROM checkpoint WHERE owner = (SELECT max(epoch) FROM worker)";
    let row = client.query_one(first, &[]).await.unwrap();
    let (count, priority, last): (i64, i32, i64) = (row.get(0), row.get(1), row.get(2));
    let before: i64 = client
        .query_one("SELECT count(*) FROM checkpoint WHERE owner = 0 AND priority = 6 AND id < $1", &[&last])
        .await
        .unwrap()
        .get(0);
    assert_eq!((count, priority, before), (50, 6, 0), "those of the greatest priority, the older ones first");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn who_takes_over_replies_reads_none_of_those_of_others() {
    let server = Postgres::start(TELLING);
    let place = Place::new(&server);
    let store = place.open().await;
    assert_eq!(join(&store).await.0, 1);
    let epoch = join(&store).await;
    let many = "INSERT INTO owed (process, pid, id, address, sender)
        SELECT n, convert_to(n::text, 'UTF8'), 'task', 'there', CASE WHEN n > 10 THEN 1 ELSE 0 END
        FROM generate_series(1, 50000) AS n";
    let client = server.client().await;
    client.batch_execute(&format!("SET search_path TO {}; {many}", place.schema)).await.unwrap();
    let before = server.log().len();
    assert_eq!(store.unsent(epoch, 10).await.unwrap().replies.len(), 10);
    let log = server.log()[before..].to_owned();
    let plan = log.split("Query Text: ").find(|plan| plan.contains("owing AS (")).expect("it is told");
    assert!(!plan.contains("Seq Scan on owed"), "{plan}");
    assert!(!plan.contains("Hash Join"), "{plan}");
}

/// How many of them the first page of 50 has, and by which filter.
const AMONG_MANY: &str = include_str!("../../../runtime/src/store/search/among_many.txt");

/// No more stand on one of 8 KiB, if they are as small as here.
const ROWS_OF_A_PAGE: usize = 120;

/// Nearly all have ended; the few that differ are the oldest, which are the last to be met.
const ENDED: &str = "
    INSERT INTO process (id, pid, key, follows, created_at, inputs)
        SELECT n, convert_to(n::text, 'UTF8'),
            convert_to(CASE WHEN n BETWEEN 1 AND 40 THEN 'rare-' ELSE 'common-' END || n, 'UTF8'), false, n, '{}'
        FROM generate_series(1, 100000) AS n;
    INSERT INTO checkpoint
        (id, state, updated_at, version, format, process, fingerprint, position, context, ended, exit_code, paused, parked)
        SELECT n, CASE WHEN n BETWEEN 41 AND 80 THEN 'waiting' WHEN n BETWEEN 81 AND 160 THEN 'running' ELSE 'finished' END,
            n, 1, 1, convert_to(CASE WHEN n BETWEEN 201 AND 240 THEN 'Rare' ELSE 'Common' END, 'UTF8'), 'f', '{}', '{}',
            CASE WHEN n BETWEEN 41 AND 160 THEN NULL ELSE '{\"state\":\"finished\"}'::bytea END,
            CASE WHEN n BETWEEN 41 AND 160 THEN NULL WHEN n BETWEEN 161 AND 200 THEN 3 ELSE 0 END,
            n BETWEEN 81 AND 120, CASE WHEN n BETWEEN 121 AND 160 THEN 'why'::bytea END
        FROM generate_series(1, 100000) AS n;
    SELECT setval('process_id', 100000);";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_search_among_many_reads_few_more_than_it_finds() {
    let server = Postgres::start(TELLING);
    let place = Place::new(&server);
    let store = place.open().await;
    let client = server.client().await;
    client.batch_execute(&format!("SET search_path TO {}; {ENDED}", place.schema)).await.unwrap();
    for known in [false, true] {
        if known {
            client.batch_execute("ANALYZE").await.unwrap();
        }
        // As the server's own vacuum does.
        for index in ["process_created", "checkpoint_name"] {
            let told = format!("SELECT brin_summarize_new_values('{}.{index}')", place.schema);
            client.batch_execute(&told).await.unwrap();
        }
        for line in AMONG_MANY.lines() {
            let (expected, text) = line.split_once(' ').unwrap();
            // Here no index has names in their order, so each process is looked at.
            if text == "name = Ra*" {
                continue;
            }
            let filter = Filter::parse(text, Timestamp::from_millis(100_001)).unwrap();
            let before = server.log().len();
            let page = store.search(Search::new(filter, 50)).await.unwrap();
            assert_eq!(page.processes.len().to_string(), expected, "{text}");
            let log = server.log()[before..].to_owned();
            let (mut read, mut removed) = (0.0, 0.0);
            for plan in log.split("Query Text: ").skip(1) {
                assert!(!plan.contains("Seq Scan on"), "{text}: {plan}");
                let (one, other) = rows_read_of(plan, &["checkpoint", "process"]);
                (read, removed) = (read + one, removed + other);
            }
            // What is too common to be read so is counted as far as that.
            let counted = if text.ends_with("common-*") || text.ends_with("@0") || text.ends_with("Common") {
                limits::SEARCHED
            } else {
                0
            };
            // Of those of a time or a name, the pages are known in which they stand; they are counted, and then read.
            let beside =
                if text.starts_with("created") || text.starts_with("name") { 2 * 16 * ROWS_OF_A_PAGE } else { 0 };
            assert!(read + removed < count(counted + beside + 600), "{text}: {read} and {removed}: {log}");
        }
    }
}

/// It changes no column of any index, so the server writes the page of its row and nothing else.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_step_writes_no_index() {
    const STEPS: i64 = 20;
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    store.create(epoch, NewProcess { begun: Some("step"), ..process("one") }).await.unwrap();
    for steps in 1..=STEPS.cast_unsigned() {
        store.commit(step(&"one".into(), epoch, steps)).await.unwrap();
    }
    // The connections tell what they have done when they end.
    drop(store);
    let client = Postgres::shared().client().await;
    let told =
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'checkpoint'";
    let all = async || {
        let row = client.query_one(told, &[&place.schema]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    eventually(|| async { all().await.0 == STEPS }).await;
    assert_eq!(all().await, (STEPS, STEPS));
}
