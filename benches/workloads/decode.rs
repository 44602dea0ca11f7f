//! Reading a message: a launch task as plumpy sends it. The limit is what `serde_json` needs for the same as JSON, whose
//! grammar is a fraction of that of YAML.

use std::hint::black_box;
use std::time::Instant;

use procession::message::{Node, decode};
use serde_json::Value;

use crate::measure::{Bench, Sample};
use crate::report::Row;

/// As it was captured.
const LAUNCH: &[u8] = include_bytes!("../../tests/data/wire/task_launch.yaml");

pub(crate) fn decode_launch(bench: &Bench) -> Vec<Row> {
    let times = bench.count(200_000, 50_000);
    let Node::Tagged(task) = decode(LAUNCH).expect("a message") else { panic!("a tuple of Python") };
    let json = serde_json::to_vec(&Value::from(task.node)).expect("JSON");
    let case = bench.case(
        || microseconds(times, || drop(black_box(decode(black_box(LAUNCH))))),
        || microseconds(times, || drop(black_box(serde_json::from_slice::<Value>(black_box(&json))))),
    );
    vec![Row::new("decode", "a launch task is read", "µs", "≤ 10 µs", case)]
}

#[allow(clippy::cast_precision_loss)] // Counts of a benchmark are far below 2^52.
fn microseconds(times: usize, mut read: impl FnMut()) -> Sample {
    let start = Instant::now();
    for _ in 0..times {
        read();
    }
    Sample::new(start.elapsed().as_secs_f64() * 1e6 / times as f64)
}
