//! resume: from opening the store to the next step of a process that was cut off. What it did before must not matter:
//! the limit of the longer ones is the shortest.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::store::{Durability, SqliteOptions, SqliteStore};

use crate::measure::{Bench, Case, Sample, milliseconds, tokio};
use crate::report::Row;
use crate::small::{Gate, Small, builder, copy, key};

const CONTEXT: usize = 1024;

pub(crate) fn resume(bench: &Bench) -> Vec<Row> {
    let steps = [10, 1_000, bench.count(100_000, 10_000)];
    let [few, some, many] = steps.map(|steps| prepare(bench, steps));
    let at_work = bench.file("resume.db");
    let runs = bench.count(15, 3);
    let [mut few, mut some, mut many] = [few, some, many].map(|from| {
        let at_work = &at_work;
        move || median_open(&from, at_work, runs)
    });
    let [some, many] = bench.cases([&mut some, &mut many], &mut few);
    let few = Case { ours: some.limit.clone(), ratio: 1.0, ..some.clone() };
    let row = |steps, case| Row::new("resume", format!("after {steps} steps"), "ms", "0.8 … 1.2", case);
    vec![row(steps[0], few).without_limit(), row(steps[1], some), row(steps[2], many)]
}

/// A store with one process that was cut off after so many steps.
fn prepare(bench: &Bench, steps: usize) -> PathBuf {
    let file = bench.file(&format!("resume-{steps}.db"));
    tokio().block_on(async {
        // Not measured, so it need not wait for the disk.
        let options = SqliteOptions::new().with_durability(Durability::Normal);
        let store = SqliteStore::open_with(&file, options).expect("a store");
        let gate = Gate::closed();
        let builder = Runtime::builder().register::<Small>().resource(gate.clone()).store(store);
        let runtime = builder.build().await.expect("a runtime");
        let inputs = Small::inputs().steps(steps as u64).bytes(CONTEXT);
        runtime.launch(inputs).key(key(0)).await.expect("launched");
        gate.reached(1).await;
        runtime.shutdown_within(Duration::ZERO).await.expect("shut down");
    });
    file
}

fn median_open(from: &Path, file: &Path, runs: usize) -> Sample {
    let mut times: Vec<Duration> = std::iter::repeat_with(|| open(from, file)).take(runs).collect();
    times.sort_unstable();
    milliseconds(times[runs / 2])
}

fn open(from: &Path, file: &Path) -> Duration {
    copy(from, file);
    tokio().block_on(async {
        let gate = Gate::open();
        let start = Instant::now();
        let runtime = builder(file, &gate).build().await.expect("a runtime");
        gate.reached(1).await;
        let time = start.elapsed();
        runtime.shutdown().await.expect("shut down");
        time
    })
}
