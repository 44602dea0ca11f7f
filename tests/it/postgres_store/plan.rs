//! How claims find their processes among many, as the server tells it.

use procession::store::{PostgresStore, Store};

use super::Place;
use super::sharing::join;
use crate::postgres::Postgres;

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

async fn claimed_plan(server: &Postgres, store: &PostgresStore) -> String {
    let before = server.log().len();
    let worker = join(store).await;
    let claimed = store.claim(worker, 50, procession::limits::ATTEMPTS).await.unwrap();
    assert_eq!(claimed.records.len(), 50);
    let log = server.log()[before..].to_owned();
    log.split("Query Text: ").find(|plan| plan.contains("attempts = c.attempts +")).expect("it is told").to_owned()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_claim_among_many_reads_no_more_than_it_takes() {
    let server = Postgres::start(&[
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "autovacuum = off",
    ]);
    let place = Place::new(&server);
    let store = place.open().await;
    assert_eq!(join(&store).await.0, 1);
    let client = server.client().await;
    client.batch_execute(&format!("SET search_path TO {}; {CROWD}", place.schema)).await.unwrap();
    for known in [false, true] {
        if known {
            client.batch_execute("ANALYZE").await.unwrap();
        }
        let plan = claimed_plan(&server, &place.open().await).await;
        assert!(plan.contains("Index Scan using checkpoint_ready"), "{plan}");
        assert!(plan.contains("Index Scan using checkpoint_waiting"), "{plan}");
        assert!(!plan.contains("Seq Scan on checkpoint"), "{plan}");
        // None of its parts has gone through rows to leave them out.
        let removed = plan.lines().filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: "));
        let removed: u64 = removed.filter_map(|number| number.parse::<u64>().ok()).sum();
        assert!(removed < 100, "{plan}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn who_takes_over_replies_reads_none_of_those_of_others() {
    let server = Postgres::start(&[
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "autovacuum = off",
    ]);
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
