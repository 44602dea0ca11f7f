//! The benchmarks: ours and the limit of the machine, interleaved, by the rules of measuring in `measure.rs`.
//!
//! ```text
//! cargo xtask bench [WORKLOAD…] [--quick]
//! cargo xtask bench --peers [PEER…] [--quick]
//! ```
//!
//! Workloads: W1, W2a, W2b, W2c, W2d, W3, W4, W5, W6, W7, W8, workers, claims, resume, lists, broadcasts,
//! decode. `--quick` takes one short
//! round of each, to see that all still runs; its figures are not judged.

#[allow(dead_code)] // The tests disturb it in more ways.
#[path = "../../tests/it/broker.rs"]
mod broker;
mod decode;
mod lists;
mod measure;
mod peers;
#[allow(dead_code)] // As above.
#[path = "../../tests/it/postgres.rs"]
mod postgres;
#[path = "../../tests/it/private.rs"]
mod private;
mod remote;
mod report;
mod resume;
mod small;
mod w1;
mod w2;
mod w2c;
mod w2d;
mod w4;
mod w5;
mod w7;
mod w8;
mod workers;

use std::path::Path;

use measure::Bench;
use report::Row;

type Workload = fn(&Bench) -> Vec<Row>;

const WORKLOADS: [(&str, Workload); 17] = [
    ("W1", w1::outline),
    ("W2a", w2::one),
    ("W2b", w2::thousand),
    ("W2c", w2c::thousand),
    ("W2d", w2d::one),
    ("W3", remote::launches),
    ("W4", w4::resident),
    ("W5", w5::start),
    ("W6", remote::calls),
    ("W7", w7::load),
    ("W8", w8::channels),
    ("workers", workers::workers),
    ("claims", workers::claims),
    ("resume", resume::resume),
    ("lists", lists::first_page),
    ("broadcasts", remote::broadcasts),
    ("decode", decode::decode_launch),
];

/// What runs only where it is asked for: what `cargo xtask bench --peers` has built.
const PEERS: (&str, Workload) = ("peers", peers::peers);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, rest @ ..] = &arguments[..]
        && child == "child"
    {
        return child_process(rest);
    }
    // `cargo test --all-targets` runs benches too, without this.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("run `cargo xtask bench`");
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let chosen: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let known = WORKLOADS.iter().chain([&PEERS]);
    if let Some(unknown) = chosen.iter().find(|name| !known.clone().any(|(known, _)| known == *name)) {
        eprintln!("there is no workload `{unknown}`; there are {:?}", WORKLOADS.map(|(name, _)| name));
        std::process::exit(2);
    }

    let bench = Bench::new(quick);
    let mut rows = Vec::new();
    for (name, run) in known {
        if chosen.iter().any(|chosen| *chosen == name) || (chosen.is_empty() && *name != PEERS.0) {
            eprintln!("{name} …");
            rows.extend(run(&bench));
        }
    }
    report::print(&rows);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    report::write(&rows, &file);
    println!("written to {}", file.display());
}

/// What is measured as a whole OS process: this binary again, with other arguments.
fn child_process(arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["w4", kind, count, directory] => {
            w4::child(kind, count.parse().expect("a number of processes"), Path::new(directory));
        }
        ["remote", ref rest @ ..] => remote::child(rest),
        ["worker", url, schema] => workers::child(url, schema),
        ["w5", kind, file] => w5::child(kind, Path::new(file)),
        _ => panic!("unknown child {arguments:?}"),
    }
}
