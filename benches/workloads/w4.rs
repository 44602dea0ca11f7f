//! W4: resident bytes of a waiting process, each side in an OS process of its own. The limit is a tokio task that
//! holds the context and waits, and a map from ids to whoever wakes it.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use procession::prelude::*;
use procession::store::SqliteStore;
use tokio::sync::oneshot;

use crate::measure::{Bench, Sample, child_process, ratio, tokio};
use crate::report::Row;
use crate::small::{Entered, Gate, Small, launch};
use crate::w2::text;

const CONTEXT: usize = 256;
/// Before the first reading, so that what a runtime costs as a whole is not counted.
const WARM_UP: usize = 2_000;
const WAVE: usize = 500;

pub(crate) fn resident(bench: &Bench) -> Vec<Row> {
    let count = bench.count(100_000, 20_000);
    let sides = ["sqlite", "volatile", "limit"].map(|kind| move || bytes(bench, kind, count));
    let [mut sqlite, mut volatile, mut limit] = sides;
    let [stored, unstored] = bench.cases([&mut sqlite, &mut volatile], &mut limit);
    vec![
        Row::new("W4", "waiting process, SQLite", "bytes", "≤ 1,200 bytes; ≤ 1.35", stored),
        Row::new("W4", "waiting process, volatile", "bytes", "", unstored),
    ]
}

fn bytes(bench: &Bench, kind: &str, count: usize) -> Sample {
    let directory = bench.directory().to_str().expect("a path that is text");
    let output = child_process(&["w4", kind, &count.to_string(), directory]).output().expect("a child process");
    assert!(output.status.success(), "{output:?}");
    Sample::new(String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes"))
}

pub(crate) fn child(kind: &str, count: usize, directory: &Path) {
    let file = directory.join("w4.db");
    let bytes = tokio().block_on(async {
        match kind {
            "limit" => limit(count).await,
            "volatile" => ours(count, None).await,
            _ => ours(count, Some(SqliteStore::open(&file).expect("a store"))).await,
        }
    });
    crate::measure::remove_database(&file);
    println!("{bytes}");
}

async fn ours(count: usize, store: Option<SqliteStore>) -> f64 {
    let waiters = Entered::new(ProcessState::Waiting);
    let builder = if store.is_some() { Runtime::builder() } else { Runtime::volatile() };
    let builder = builder.register::<Small>().resource(Gate::open()).listener(waiters.clone());
    let builder = if let Some(store) = store { builder.store(store) } else { builder };
    let runtime = builder.build().await.expect("a runtime");
    if runtime.store().is_some() {
        fill_cache(&runtime).await;
    }
    let inputs = || Small::inputs().bytes(CONTEXT).rests(true);
    launch(&runtime, 0..WARM_UP, false, inputs).await;
    waiters.reached(WARM_UP).await;
    let before = resident_bytes().await;
    // In waves: memory that a crowd of running processes leaves behind is not what waiting ones need.
    for wave in (WARM_UP..count).step_by(WAVE) {
        let end = count.min(wave + WAVE);
        launch(&runtime, wave..end, false, inputs).await;
        waiters.reached(end).await;
    }
    let bytes = ratio(resident_bytes().await - before, (count - WARM_UP) as u64);
    runtime.shutdown().await.expect("shut down");
    bytes
}

/// The store's cache of pages has a size of its own, 32 MiB: it is filled by rows of processes that have ended. A few
/// at a time, since memory that they leave behind would be used by those that are counted.
async fn fill_cache(runtime: &Runtime) {
    const ROW: usize = 32 << 10;
    for _ in 0..(48 << 20) / ROW / 8 {
        let mut runs = Vec::new();
        for _ in 0..8 {
            runs.push(runtime.launch(Small::inputs().bytes(ROW)).await.expect("launched"));
        }
        for run in runs {
            run.outcome().await.expect("ended");
        }
    }
}

async fn limit(count: usize) -> f64 {
    let mut by_id = HashMap::new();
    let mut before = 0;
    for number in 0..count {
        if number == WARM_UP {
            before = resident_bytes().await;
        }
        let (wake, woken) = oneshot::channel::<u64>();
        by_id.insert(ProcessId::new(), wake);
        tokio::spawn(async move {
            let mut context = String::new();
            text(&mut context, number as u64, CONTEXT);
            let _ = woken.await;
            black_box(&context);
        });
    }
    let bytes = ratio(resident_bytes().await - before, (count - WARM_UP) as u64);
    black_box(&by_id);
    bytes
}

/// The resident memory of this OS process, when it has come to rest.
async fn resident_bytes() -> u64 {
    const PAGE: u64 = 4096;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let text = std::fs::read_to_string("/proc/self/statm").expect("memory statistics");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("resident pages") * PAGE
}
