//! W5: an OS process from start to end that runs one trivial process. The limit says hello from tokio.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use procession::prelude::*;
use procession::store::SqliteStore;

use crate::measure::{Bench, Sample, child_process, milliseconds, tokio};
use crate::report::Row;

/// One step.
#[process]
#[derive(Default)]
pub(crate) struct Trivial {}

spec! { Trivial {
    output text: String;
}}

outline! { Trivial {
    hello => text;
}}

impl Trivial {
    fn hello(&self) -> String {
        "hello".to_owned()
    }
}

pub(crate) fn start(bench: &Bench) -> Vec<Row> {
    let runs = bench.count(20, 5);
    let known = bench.file("w5-known.db");
    run(&["w5", "sqlite", known.to_str().expect("a path that is text")]);
    let mut volatile = || median_run(runs, || run(&["w5", "volatile", ""]));
    let mut sqlite = || median_run(runs, || run(&["w5", "sqlite", known.to_str().expect("a path that is text")]));
    let mut fresh = || {
        median_run(runs, || {
            let file = bench.file("w5-new.db");
            run(&["w5", "sqlite", file.to_str().expect("a path that is text")])
        })
    };
    let mut limit = || median_run(runs, || run(&["w5", "hello", ""]));
    let cases = bench.cases([&mut volatile, &mut sqlite, &mut fresh], &mut limit);
    let [volatile, sqlite, fresh] = cases;
    vec![
        Row::new("W5", "start and end, no store", "ms", "≤ 1.5", volatile),
        Row::new("W5", "start and end, SQLite", "ms", "≤ 4", sqlite),
        Row::new("W5", "start and end, SQLite, new file", "ms", "", fresh),
    ]
}

fn median_run(runs: usize, run: impl FnMut() -> Sample) -> Sample {
    let mut times: Vec<Sample> = std::iter::repeat_with(run).take(runs).collect();
    times.sort_by(|a, b| a.value.total_cmp(&b.value));
    times.swap_remove(runs / 2)
}

fn run(arguments: &[&str]) -> Sample {
    let mut command = child_process(arguments);
    command.stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().expect("a child process").success());
    milliseconds(start.elapsed())
}

pub(crate) fn child(kind: &str, file: &Path) {
    tokio().block_on(async {
        let builder = match kind {
            "hello" => return println!("hello"),
            "volatile" => Runtime::volatile(),
            _ => Runtime::builder().store(SqliteStore::open(file).expect("a store")),
        };
        let runtime = builder.register::<Trivial>().build().await.expect("a runtime");
        let run = runtime.launch(Trivial::inputs()).await.expect("launched");
        let outcome = run.outcome().await.expect("ended");
        let Outcome::Finished(outputs) = outcome else { panic!("{outcome:?}") };
        println!("{}", outputs.text);
        runtime.shutdown().await.expect("shut down");
    });
}
