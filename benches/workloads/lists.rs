//! lists: `procession list` as a whole OS process, from start to end, with its first page on many processes; the limit is the
//! same with a hundredth of them. Whoever types it waits 100 ms and does not notice.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use procession::RuntimeBuilder;
use procession::prelude::*;
use procession::store::{Durability, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};

use crate::measure::{Bench, Sample, milliseconds, tokio};
use crate::postgres::{self, Postgres};
use crate::report::Row;
use crate::small::{Entered, Gate, Small, launch};

const GOAL: &str = "≤ 100 ms; ≤ 1.2";

pub(crate) fn first_page(bench: &Bench) -> Vec<Row> {
    let many = bench.count(100_000, 2_000);
    let counts = [many / 100, many];
    let files = counts.map(|count| bench.file(&format!("lists-{count}.db")));
    for (file, count) in files.iter().zip(counts) {
        tokio().block_on(async { fill(Runtime::builder().store(embedded(file)), count).await });
    }
    let mut rows =
        cases(bench, "SQLite", many, files.map(|file| vec![file.to_str().expect("a path that is text").to_owned()]));
    if postgres::programs().is_none() {
        rows.push(Row::not_measured("lists", format!("first of {many}, PostgreSQL"), "ms"));
        return rows;
    }
    let server = Postgres::start(&["max_wal_size = '4GB'", "synchronous_commit = off"]);
    let places = counts.map(|count| {
        let schema = format!("lists_{count}");
        tokio().block_on(async {
            let options = PostgresOptions::new().with_schema(&schema);
            let store = PostgresStore::connect(&server.url(), options).await.expect("a store");
            fill(Runtime::builder().store(store), count).await;
        });
        vec![server.url(), "--schema".to_owned(), schema]
    });
    rows.extend(cases(bench, "PostgreSQL", many, places));
    rows
}

/// Not measured, so it need not wait for the disk.
fn embedded(file: &Path) -> SqliteStore {
    SqliteStore::open_with(file, SqliteOptions::new().with_durability(Durability::Normal)).expect("a store")
}

/// So many processes that wait for a resume.
async fn fill(builder: RuntimeBuilder, count: usize) {
    let waiters = Entered::new(ProcessState::Waiting);
    let builder = builder.register::<Small>().resource(Gate::open()).listener(waiters.clone());
    let runtime = builder.build().await.expect("a runtime");
    launch(&runtime, 0..count, true, || Small::inputs().bytes(100).rests(true)).await;
    waiters.reached(count).await;
    runtime.shutdown().await.expect("shut down");
}

fn cases(bench: &Bench, store: &str, many: usize, [few_at, many_at]: [Vec<String>; 2]) -> Vec<Row> {
    let runs = bench.count(15, 3);
    let median = |at: &[String], filter: &str| {
        let mut times: Vec<Sample> = std::iter::repeat_with(|| list(at, filter)).take(runs).collect();
        times.sort_by(|one, other| one.value.total_cmp(&other.value));
        times.swap_remove(runs / 2)
    };
    let filters = [("first", "all"), ("first waiting", "state = waiting"), ("first of an input", "input.steps = 1")];
    let row = |(name, filter): (&str, &str)| {
        let case = bench.case(|| median(&many_at, filter), || median(&few_at, filter));
        Row::new("lists", format!("{name} of {many}, {store}"), "ms", GOAL, case)
    };
    filters.into_iter().map(row).collect()
}

fn list(at: &[String], filter: &str) -> Sample {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
    command.args(["list", "--json", "--where", filter, "--store"]).args(at).stdout(Stdio::piped());
    let start = Instant::now();
    let output = command.output().expect("the command runs");
    let time = start.elapsed();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.windows(6).any(|word| word == b"small-" || word == b"Small\""), "it lists processes");
    milliseconds(time)
}
