//! W7: a runtime starts on a store with ten thousand unfinished processes. The limit reads the same columns of the
//! same rows into memory, and decodes nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use procession::prelude::*;
use rusqlite::{Connection, OpenFlags};

use crate::measure::{Bench, Sample, milliseconds, tokio};
use crate::report::Row;
use crate::small::{Entered, Gate, Small, builder, copy, key, launch};

const CONTEXT: usize = 1024;

pub(crate) fn load(bench: &Bench) -> Vec<Row> {
    let count = bench.count(10_000, 2_000);
    let waiting = bench.file("w7-waiting.db");
    prepare_waiting(&waiting, count);
    let running = bench.file("w7-running.db");
    prepare_running(&running, count);
    let at_work = bench.file("w7.db");
    let mut loaded = || load_waiting(&waiting, &at_work, count);
    let mut ended = || run_to_end(&running, &at_work, count);
    let mut raw = || read_raw(&waiting, &at_work, count);
    let [loaded, ended] = bench.cases([&mut loaded, &mut ended], &mut raw);
    vec![
        Row::new("W7", format!("load {count} processes"), "ms", "≤ 4; ≤ 3", loaded),
        Row::new("W7", format!("load {count} and run to the end"), "ms", "", ended).without_limit(),
    ]
}

fn prepare_waiting(file: &Path, count: usize) {
    tokio().block_on(async {
        let waiters = Entered::new(ProcessState::Waiting);
        let runtime = builder(file, &Gate::open()).listener(waiters.clone()).build().await.expect("a runtime");
        launch(&runtime, 0..count, true, || Small::inputs().bytes(CONTEXT).rests(true)).await;
        waiters.reached(count).await;
        runtime.shutdown().await.expect("shut down");
    });
}

/// Processes that were cut off in a step.
fn prepare_running(file: &Path, count: usize) {
    tokio().block_on(async {
        let gate = Gate::closed();
        let runtime = builder(file, &gate).concurrent(count).build().await.expect("a runtime");
        launch(&runtime, 0..count, true, || Small::inputs().bytes(CONTEXT)).await;
        gate.reached(count).await;
        runtime.shutdown_within(Duration::ZERO).await.expect("shut down");
    });
}

fn load_waiting(from: &Path, file: &Path, count: usize) -> Sample {
    copy(from, file);
    tokio().block_on(async {
        let start = Instant::now();
        let runtime = builder(file, &Gate::open()).build().await.expect("a runtime");
        let time = start.elapsed();
        for number in [0, count / 2, count - 1] {
            let found = runtime.find(&key(number)).await.expect("read").expect("stored");
            assert_eq!(found.status().await.expect("known").state, ProcessState::Waiting);
        }
        runtime.shutdown().await.expect("shut down");
        milliseconds(time)
    })
}

fn run_to_end(from: &Path, file: &Path, count: usize) -> Sample {
    copy(from, file);
    let time = tokio().block_on(async {
        let finished = Entered::new(ProcessState::Finished);
        let builder = builder(file, &Gate::open()).listener(finished.clone());
        let start = Instant::now();
        let runtime = builder.build().await.expect("a runtime");
        finished.reached(count).await;
        let time = start.elapsed();
        runtime.shutdown().await.expect("shut down");
        time
    });
    let connection = Connection::open(file).expect("the file");
    let finished = "SELECT count(*) FROM checkpoint WHERE state = 'finished'";
    let finished: i64 = connection.query_row(finished, [], |row| row.get(0)).expect("a count");
    assert_eq!(usize::try_from(finished), Ok(count));
    milliseconds(time)
}

#[derive(Debug)]
#[allow(dead_code)] // Read, that is all.
struct Raw {
    texts: [String; 8],
    optional: [Option<String>; 6],
    numbers: [i64; 8],
}

fn read_raw(from: &Path, file: &Path, count: usize) -> Sample {
    copy(from, file);
    let start = Instant::now();
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file");
    let sql = "SELECT pid, process, fingerprint, state, position, context, inputs, outputs,
        key, status, awaiting, ended, parked, parent,
        version, format, paused, open_children, steps, created_at, updated_at, follows
        FROM process JOIN checkpoint USING (id) WHERE ended IS NULL AND parked IS NULL ORDER BY process.id";
    let mut query = connection.prepare(sql).expect("prepared");
    let rows = query.query_map([], |row| {
        let mut raw = Raw { texts: Default::default(), optional: Default::default(), numbers: [0; 8] };
        for (index, text) in raw.texts.iter_mut().enumerate() {
            *text = row.get(index)?;
        }
        for (index, text) in raw.optional.iter_mut().enumerate() {
            *text = row.get(index + 8)?;
        }
        for (index, number) in raw.numbers.iter_mut().enumerate() {
            *number = row.get(index + 14)?;
        }
        Ok(raw)
    });
    let rows: Vec<Raw> = rows.expect("queried").collect::<rusqlite::Result<_>>().expect("read");
    let time = start.elapsed();
    assert_eq!(rows.len(), count);
    milliseconds(time)
}
