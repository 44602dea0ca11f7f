//! What goes over RabbitMQ between two OS processes: W3, W6 and broadcasts.
//!
//! A controller and a worker, which is this binary again, talk over a private server. The limits are written against
//! lapin alone: with the messages that kiwipy and we exchange, confirmed as they are (wire.md 1 and 2), and, not judged,
//! with the fewest with which a value can be had from elsewhere. Flushes are those of the disk per launch, the broker's own and
//! those of a store. plumpy, where it is installed, does the same with a controller and a worker of its own.

mod hearing;
mod lanes;
mod ours;
mod plumpy;
mod raw;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::{self, Broker};
use crate::measure::{Bench, Case, Sample, Side, tokio};
use crate::report::Row;
use ours::Kind;
pub(crate) use worker::{Worker, end_with_parent, ready};

/// How many calls a worker gets that has nothing else to do.
const IDLE_CALLS: usize = 10_000;

/// A server, and plumpy where it is there.
struct Place {
    broker: Broker,
    python: Option<PathBuf>,
}

impl Place {
    fn find(rows: &str) -> Option<Self> {
        if broker::programs().is_none() {
            eprintln!("\nNOT MEASURED: {rows}. RabbitMQ is not installed; `cargo xtask bench` installs it.\n");
            return None;
        }
        let python = plumpy::interpreter();
        if python.is_none() {
            eprintln!("\nNOT MEASURED: {rows} against plumpy. `cargo xtask bench` installs it.\n");
        }
        Some(Self { broker: Broker::start(&[]), python })
    }
}

/// W3: processes are launched elsewhere, and give what they have worked out.
pub(crate) fn launches(bench: &Bench) -> Vec<Row> {
    let Some(Place { broker, python }) = Place::find("W3") else {
        return vec![Row::not_measured("W3", "launch to result", "launches/s")];
    };
    let url = broker.url();
    let mut rows = Vec::new();
    for (in_flight, goals) in [(1, ["≥ 0.80", ""]), (100, ["≥ 0.60", "≥ 0.45"])] {
        let launch = |kind| {
            let url = &url;
            move || with_client(bench, url, kind, in_flight, ours::Client::launch)
        };
        let peer = |call| {
            let (url, python) = (&url, python.as_deref());
            move || plumpy::measure(python.expect("it was found"), bench, url, call, in_flight)
        };
        let [mut bare, mut controlled] = [Kind::Bare, Kind::Controlled].map(launch);
        let [mut durable, mut default] = [Kind::Durable, Kind::DurableControlled].map(launch);
        let [mut wire, mut least] = [raw::Kind::WireTasks, raw::Kind::Tasks].map(|kind| {
            let url = &url;
            move || limit(bench, url, kind, in_flight)
        });
        let [mut plumpy, mut persist] = [plumpy::Call::Launch, plumpy::Call::Persist].map(peer);
        let mut sides: Vec<Side> = vec![&mut wire, &mut bare, &mut controlled, &mut durable, &mut default, &mut least];
        if python.is_some() {
            sides.extend([&mut plumpy as Side, &mut persist]);
        }
        let rounds = bench.rounds(sides);
        let mut row = |name: &str, goal: &'static str, (ours, other): (usize, usize)| {
            let name = format!("{in_flight} in flight{name}");
            rows.push(Row::new("W3", name, "launches/s", goal, rounds.case(ours, other)));
        };
        row("", goals[0], (1, 0));
        row(", answering calls and told of", "", (2, 0));
        row(", SQLite", goals[1], (3, 0));
        row(", SQLite, answering calls and told of", "", (4, 0));
        row(", against the fewest messages", "", (1, 5));
        if python.is_some() {
            row(", against plumpy", "", (1, 6));
            row(", SQLite, against plumpy's files", "", (3, 7));
        }
    }
    if python.is_none() {
        rows.push(Row::not_measured("W3", "against plumpy", "launches/s"));
    }
    rows.extend(long(bench, &url));
    for (name, kind) in
        [("lost of 10,000, idle worker", Kind::Bare), ("lost of 10,000, idle worker, SQLite", Kind::Durable)]
    {
        let lost = lost(bench, &url, kind, ours::Client::launch);
        rows.push(Row::new("W3", name, "launches", "0", lost).without_limit());
    }
    rows
}

/// Processes of 30 steps, against the messages of a launch and nothing else: the limit takes no steps, and commits none.
fn long(bench: &Bench, url: &str) -> [Row; 2] {
    const IN_FLIGHT: usize = 100;
    let [mut bare, mut durable] = [Kind::Bare, Kind::Durable]
        .map(|kind| move || with_client(bench, url, kind, IN_FLIGHT, ours::Client::launch_long));
    let mut wire = || limit(bench, url, raw::Kind::WireTasks, IN_FLIGHT);
    let names = ["100 in flight of 30 steps", "100 in flight of 30 steps, SQLite (the limit commits nothing)"];
    let cases = bench.cases([&mut bare, &mut durable], &mut wire);
    let [bare, durable] = cases;
    [(names[0], bare), (names[1], durable)].map(|(name, case)| Row::new("W3", name, "launches/s", "", case))
}

/// W6: a process elsewhere is asked how it stands.
pub(crate) fn calls(bench: &Bench) -> Vec<Row> {
    let Some(Place { broker, python }) = Place::find("W6") else {
        return vec![Row::not_measured("W6", "status", "calls/s")];
    };
    let url = broker.url();
    let mut rows = Vec::new();
    for in_flight in [1, 100] {
        let mut ours = || with_client(bench, &url, Kind::Controlled, in_flight, |client, _| client.status());
        let [mut wire, mut least] = [raw::Kind::WireCalls, raw::Kind::Calls].map(|kind| {
            let url = &url;
            move || limit(bench, url, kind, in_flight)
        });
        let mut plumpy = || {
            let python = python.as_deref().expect("it was found");
            plumpy::measure(python, bench, &url, plumpy::Call::Status, in_flight)
        };
        let mut sides: Vec<Side> = vec![&mut wire, &mut ours, &mut least];
        if python.is_some() {
            sides.push(&mut plumpy);
        }
        let rounds = bench.rounds(sides);
        let name = format!("status, {in_flight} in flight");
        rows.push(Row::new("W6", &name, "calls/s", "≥ 0.80", rounds.case(1, 0)));
        let fewest = format!("{name}, against the fewest messages");
        rows.push(Row::new("W6", fewest, "calls/s", "", rounds.case(1, 2)));
        if python.is_some() {
            rows.push(Row::new("W6", format!("{name}, against plumpy"), "calls/s", "", rounds.case(1, 3)));
        }
    }
    if python.is_none() {
        rows.push(Row::not_measured("W6", "against plumpy", "calls/s"));
    }
    let lost = lost(bench, &url, Kind::Controlled, |client, _| client.status());
    rows.push(Row::new("W6", "lost of 10,000, idle worker", "calls", "0", lost).without_limit());
    rows
}

/// What one tells, another OS process hears.
pub(crate) fn broadcasts(bench: &Bench) -> Vec<Row> {
    let Some(Place { broker, python }) = Place::find("broadcasts") else {
        return vec![Row::not_measured("broadcasts", "one tells, one hears", "heard/s")];
    };
    let url = broker.url();
    let mut ours = || hearing::ours(bench, &url);
    let mut limit = || hearing::raw(bench, &url);
    let mut plumpy = || hearing::plumpy(python.as_deref().expect("it was found"), bench, &url);
    let mut sides: Vec<Side> = vec![&mut limit, &mut ours];
    if python.is_some() {
        sides.push(&mut plumpy);
    }
    let rounds = bench.rounds(sides);
    let mut rows = vec![Row::new("broadcasts", "one tells, one hears", "heard/s", "", rounds.case(1, 0))];
    let name = "one tells, one hears, against plumpy";
    rows.push(match python {
        Some(_) => Row::new("broadcasts", name, "heard/s", "", rounds.case(1, 2)),
        None => Row::not_measured("broadcasts", name, "heard/s"),
    });
    rows
}

fn limit(bench: &Bench, url: &str, kind: raw::Kind, in_flight: usize) -> Sample {
    tokio().block_on(async {
        let client = Arc::new(raw::Client::start(url, kind).await);
        let call = move |number| {
            let client = Arc::clone(&client);
            async move { client.call(number).await }
        };
        lanes::throughput(bench, in_flight, call).await
    })
}

fn with_client<F>(
    bench: &Bench,
    url: &str,
    kind: Kind,
    in_flight: usize,
    call: fn(Arc<ours::Client>, u64) -> F,
) -> Sample
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio().block_on(async {
        let client = Arc::new(ours::Client::start(bench, url, kind).await);
        let calling = Arc::clone(&client);
        let sample = lanes::throughput(bench, in_flight, move |number| call(Arc::clone(&calling), number)).await;
        client.close().await;
        sample
    })
}

fn lost<F>(bench: &Bench, url: &str, kind: Kind, call: fn(Arc<ours::Client>, u64) -> F) -> Case
where
    F: Future<Output = ()>,
{
    tokio().block_on(async {
        let client = Arc::new(ours::Client::start(bench, url, kind).await);
        let count = bench.count(IDLE_CALLS, 200);
        let sample = lanes::lost(count, |number| call(Arc::clone(&client), number)).await;
        client.close().await;
        Case::alone(sample)
    })
}

/// The other OS process.
pub(crate) fn child(arguments: &[&str]) {
    worker::end_with_parent();
    tokio().block_on(async {
        match arguments {
            ["raw", kind, url] => raw::serve(url, raw::Kind::of(kind)).await,
            ["ours", kind, url, file] => ours::serve(url, Kind::of(kind), Path::new(file)).await,
            ["raw-hear", url, count] => hearing::raw_hear(url, count.parse().expect("a number")).await,
            ["ours-hear", url, count] => hearing::ours_hear(url, count.parse().expect("a number")).await,
            _ => panic!("unknown worker {arguments:?}"),
        }
    });
}
