//! What several workers do with one PostgreSQL database: how fast they bring processes to their ends, and how fast one of them
//! claims.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::clock::Timestamp;
use procession::limits;
use procession::store::{
    Envelope, Epoch, FORMAT, NewProcess, Placement, PostgresOptions, PostgresStore, Store, Worker as Joining,
};
use procession::{ProcessId, Runtime, WorkerOptions};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::measure::{Bench, Sample, child_process, per_second, tokio};
use crate::postgres::{self, Postgres};
use crate::remote::{Worker, end_with_parent, ready};
use crate::report::Row;
use crate::w2::{Load, STATE, Work, text};
use crate::w2c::run;

/// Steps of a process.
const STEPS: u64 = 3;
/// How many are created at the same time.
const AT_ONCE: usize = 256;
/// How often it is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(5);

/// The queue of those who only launch.
const NOBODYS: &str = "nobody's";

pub(crate) fn workers(bench: &Bench) -> Vec<Row> {
    const NAME: &str = "processes of 3 steps, 2 workers (limit: 1 worker)";
    if postgres::programs().is_none() {
        return vec![Row::not_measured("workers", NAME, "processes/s")];
    }
    let server = Postgres::start(&["max_wal_size = '4GB'"]);
    let case = bench.case(|| ended(bench, &server, 2), || ended(bench, &server, 1));
    vec![Row::new("workers", NAME, "processes/s", "", case)]
}

async fn open(url: &str, schema: &str) -> PostgresStore {
    PostgresStore::connect(url, PostgresOptions::new().with_schema(schema)).await.expect("a store")
}

/// Processes that are there, and are anybody's, until all of them have ended, from the start of the workers on.
fn ended(bench: &Bench, server: &Postgres, workers: usize) -> Sample {
    let (many, schema) = (bench.count(10_000, 300), Postgres::schema());
    tokio().block_on(async {
        launch(open(&server.url(), &schema).await, many).await;
        let client = server.client().await;
        let start = Instant::now();
        let workers: Vec<Worker> =
            (0..workers).map(|_| Worker::spawn(child_process(&["worker", &server.url(), &schema]))).collect();
        let unfinished = format!("SELECT count(*) FROM {schema}.checkpoint WHERE ended IS NULL AND parked IS NULL");
        while client.query_one(&unfinished, &[]).await.expect("a number").get::<_, i64>(0) > 0 {
            tokio::time::sleep(LOOK).await;
        }
        let time = start.elapsed();
        drop(workers);
        check(&client, &schema, many).await;
        run(server, &format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")).await;
        Sample::new(per_second(many as u64, time))
    })
}

async fn launch(store: PostgresStore, many: usize) {
    let options = WorkerOptions::new().queues([NOBODYS]);
    let builder = Runtime::builder().register::<Work>().resource(Arc::<Load>::default()).worker(options);
    let runtime = builder.store(store).build().await.expect("a runtime");
    let mut lanes = JoinSet::new();
    for lane in 0..AT_ONCE {
        let runtime = runtime.clone();
        lanes.spawn(async move {
            for _ in (lane..many).step_by(AT_ONCE) {
                runtime.launch(Work::inputs().steps(STEPS)).anywhere().await.expect("launched");
            }
        });
    }
    lanes.join_all().await;
    runtime.shutdown().await.expect("shut down");
}

/// Every process has taken each of its steps once, and gives what it is to give.
async fn check(client: &tokio_postgres::Client, schema: &str, many: usize) {
    let sql = format!(
        "SELECT count(*) FROM {schema}.checkpoint WHERE steps = $1 AND state = 'finished' AND outputs = $2
            AND (SELECT count(*) FROM {schema}.history AS h WHERE h.process = checkpoint.id) = $3"
    );
    let steps = STEPS.cast_signed();
    let outputs = format!("{{\"n\":{STEPS}}}").into_bytes();
    let transitions = client.query_one(&format!("SELECT max(transitions) FROM {schema}.checkpoint"), &[]).await;
    let transitions: i64 = transitions.expect("a number").get(0);
    let right = client.query_one(&sql, &[&steps, &outputs, &transitions]).await.expect("a number");
    assert_eq!(usize::try_from(right.get::<_, i64>(0)), Ok(many), "every process ended once, with its result");
}

/// A worker in another OS process.
pub(crate) fn child(url: &str, schema: &str) {
    end_with_parent();
    tokio().block_on(async {
        let builder = Runtime::builder().register::<Work>().resource(Arc::<Load>::default());
        let builder = builder.store(open(url, schema).await).worker(WorkerOptions::new());
        let _runtime = builder.build().await.expect("a runtime");
        ready("");
        std::future::pending::<()>().await;
    });
}

pub(crate) fn claims(bench: &Bench) -> Vec<Row> {
    const NAME: &str = "by one worker, 256 at a time";
    if postgres::programs().is_none() {
        return vec![Row::not_measured("claims", NAME, "processes/s")];
    }
    let server = Postgres::start(&["max_wal_size = '4GB'"]);
    let many = bench.count(20_000, 1_000);
    let claim = || tokio().block_on(claim(&server, many));
    let raw = || tokio().block_on(raw_claim(&server, many));
    vec![Row::new("claims", NAME, "processes/s", "", bench.case(claim, raw))]
}

async fn claim(server: &Postgres, many: usize) -> Sample {
    let schema = Postgres::schema();
    let store = Arc::new(open(&server.url(), &schema).await);
    let (host, version, queues) = ("here".to_owned(), "1".to_owned(), vec![String::new()]);
    let worker = Joining { host, os_process: std::process::id(), version, queues, slots: 1 };
    let epoch = store.join(worker, Duration::from_secs(600)).await.expect("joined");
    let mut lanes = JoinSet::new();
    for lane in 0..AT_ONCE {
        let store = Arc::clone(&store);
        lanes.spawn(async move {
            for number in (lane..many).step_by(AT_ONCE) {
                store.create(epoch, unowned(number)).await.expect("created");
            }
        });
    }
    lanes.join_all().await;
    run(server, &format!("ANALYZE {schema}.process, {schema}.checkpoint")).await;
    let sample = claim_all(many, async || claimed(&store, epoch).await).await;
    run(server, &format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")).await;
    sample
}

async fn claimed(store: &PostgresStore, epoch: Epoch) -> Vec<ProcessId> {
    let claimed = store.claim(epoch, limits::CLAIM, limits::ATTEMPTS).await.expect("claimed");
    claimed.records.into_iter().map(|record| record.pid).collect()
}

/// As it is claimed most often: created for anyone, with a state of 1 KiB.
fn unowned(number: usize) -> NewProcess {
    let mut state = String::new();
    text(&mut state, number as u64, STATE);
    NewProcess {
        pid: i64::try_from(number).expect("a small number").into(),
        key: None,
        parent: None,
        envelope: Envelope { format: FORMAT, process: "bench::Work".into(), version: 1, fingerprint: "f00d".into() },
        position: r#"{"at":"work"}"#.into(),
        context: format!("{{\"n\":0,\"state\":\"{state}\"}}"),
        inputs: r#"{"steps":3}"#.into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: Placement { unowned: true, ..Placement::default() },
        messages: Vec::new(),
        at: Timestamp::from_millis(1),
    }
}

/// One table, one index, one statement per claim, which gives the state.
async fn raw_claim(server: &Postgres, many: usize) -> Sample {
    const CLAIM: &str = "UPDATE state SET owner = $1 FROM (
            SELECT id FROM state WHERE owner = 0 ORDER BY priority DESC, id LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS free WHERE state.id = free.id RETURNING state.id, state.state";
    let mut state = String::new();
    text(&mut state, 1, STATE);
    let setup = format!(
        "CREATE TABLE state (id bigint PRIMARY KEY, owner bigint NOT NULL, priority integer NOT NULL, state text NOT NULL);
        CREATE INDEX ready ON state (owner, priority DESC, id);
        INSERT INTO state SELECT n, 0, 0, n || '{state}' FROM generate_series(1, {many}) AS n; ANALYZE state"
    );
    run(server, &setup).await;
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let claim = client.prepare(CLAIM).await.expect("prepared");
    let most = i64::try_from(limits::CLAIM).expect("a small number");
    let claimed = async || {
        let rows = client.query(&claim, &[&7_i64, &most]).await.expect("claimed");
        rows.iter().map(|row| ProcessId::from(row.get::<_, i64>(0))).collect()
    };
    let sample = claim_all(many, claimed).await;
    run(server, "DROP TABLE state; CHECKPOINT").await;
    sample
}

/// Until nothing is left; each is claimed once.
async fn claim_all(many: usize, claim: impl AsyncFn() -> Vec<ProcessId>) -> Sample {
    let (mut all, mut latencies) = (HashSet::new(), Vec::new());
    let start = Instant::now();
    loop {
        let before = Instant::now();
        let claimed = claim().await;
        if claimed.is_empty() {
            break;
        }
        latencies.push(before.elapsed());
        for pid in claimed {
            assert!(all.insert(pid), "claimed once");
        }
    }
    let time = start.elapsed();
    assert_eq!(all.len(), many, "all are claimed");
    Sample::new(per_second(many as u64, time)).with_latencies(latencies)
}
