//! Ours beside what others offer for durable processes: one process at a time, and 1,000 at the same time, of three steps each.
//! Every step changes 1 KiB of state, which is durable before the next one begins, where the peer says so; every result is
//! checked.
//!
//! The peers are programs of their own, of a workspace of their own: `cargo xtask bench --peers` builds them. They are measured
//! by the same code as ours, in the same rounds.

#[allow(unreachable_pub)] // It is the interface of a crate there.
#[path = "../peers/common/src/pace.rs"]
mod pace;
#[allow(unreachable_pub)] // As above.
#[path = "../peers/common/src/state.rs"]
mod state;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use procession::prelude::*;
use procession::store::{PostgresOptions, PostgresStore, SqliteStore, Store};
use tokio::process::Command;
use tokio::time::timeout;

use crate::measure::{Bench, Sample, remove_database, tokio};
use crate::postgres::{self, Postgres};
use crate::report::Row;
use crate::w2c::run;
use pace::{Pace, Paced};
use state::{STEPS, State};

/// The programs that were built, as a list of paths.
const BUILT: &str = "PROCESSION_PEERS";
const MANY: usize = 1_000;
/// How long a peer may take for one measurement; one that hangs is not waited for any longer.
const MOST: Duration = Duration::from_secs(180);

/// Where a peer keeps its processes, and ours that is measured beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Postgres,
    File,
}

struct Peer {
    name: &'static str,
    place: Place,
    /// What is kept of a process, and when it is on the disk. Ours has one row per process and one per transition.
    keeps: &'static str,
    /// What ours is to reach with 1,000 processes.
    goal: &'static str,
}

const PEERS: [Peer; 5] = [
    Peer {
        name: "duroxide",
        place: Place::File,
        keeps: "an event per step given and done, 4 commits a step; not flushed",
        goal: "",
    },
    Peer {
        name: "dbos",
        place: Place::Postgres,
        keeps: "a row per process, one per step with its state; flushed",
        goal: "≥ 10",
    },
    Peer {
        name: "sayiir",
        place: Place::Postgres,
        keeps: "a row per process, one per step with its state, a history of snapshots; flushed",
        goal: "",
    },
    Peer { name: "cano", place: Place::File, keeps: "a row per step, removed at the end; 6 flushes in turn", goal: "" },
    Peer {
        name: "apalis-workflow",
        place: Place::Postgres,
        keeps: "a task per step with its state, and its result; flushed",
        goal: "",
    },
];

/// As many steps as the peers have: `STEPS`.
#[process]
#[derive(Default)]
struct Three {
    state: State,
}

spec! { Three {
    input process: u64;
    output text: String;
}}

outline! { Three {
    work;
    work;
    end => text;
}}

impl Three {
    fn work(&mut self, cx: &mut Cx<Self>) {
        self.state.process = cx.inputs().process;
        self.state = self.state.step();
    }

    fn end(&mut self, cx: &mut Cx<Self>) -> String {
        self.work(cx);
        self.state.text.clone()
    }
}

pub(crate) fn peers(bench: &Bench) -> Vec<Row> {
    let built: Vec<PathBuf> = std::env::split_paths(&std::env::var_os(BUILT).unwrap_or_default()).collect();
    let mut rows = Vec::new();
    for peer in &PEERS {
        let Some(program) = built.iter().find(|path| path.ends_with(format!("peer-{}", peer.name))) else { continue };
        if peer.place == Place::Postgres && postgres::programs().is_none() {
            rows.push(Row::not_measured("peers", peer.name, "processes/s"));
            continue;
        }
        rows.extend(measure(bench, peer, program));
    }
    rows
}

fn measure(bench: &Bench, peer: &Peer, program: &Path) -> [Row; 2] {
    let server = (peer.place == Place::Postgres).then(|| Postgres::start(&["max_wal_size = '4GB'"]));
    [(1, ""), (MANY, peer.goal)].map(|(in_flight, goal)| {
        let pace = Pace { in_flight, window: bench.window() };
        let failure = RefCell::new(None);
        let ours = || match *failure.borrow() {
            None => tokio().block_on(ours(bench, server.as_ref(), pace)),
            Some(_) => Sample::new(f64::NAN),
        };
        let theirs = || {
            // What has failed once is not tried again.
            if failure.borrow().is_none() {
                match tokio().block_on(theirs(bench, server.as_ref(), program, pace)) {
                    Ok(sample) => return sample,
                    Err(reason) => *failure.borrow_mut() = Some(reason),
                }
            }
            Sample::new(f64::NAN)
        };
        let case = bench.case(ours, theirs);
        let name = format!("{in_flight} in flight, against {} ({})", peer.name, peer.keeps);
        match failure.into_inner() {
            None => Row::new("peers", name, "processes/s", goal, case),
            Some(reason) => Row::not_measured("peers", format!("{name}: {reason}"), "processes/s"),
        }
    })
}

fn sample(paced: Paced) -> Sample {
    Sample { p50: Some(paced.p50_ms), p99: Some(paced.p99_ms), ..Sample::new(paced.processes_per_second) }
}

async fn ours(bench: &Bench, server: Option<&Postgres>, pace: Pace) -> Sample {
    let Some(server) = server else {
        let file = bench.file("peers-ours.db");
        let sample = keep(SqliteStore::open(&file).expect("a store"), pace).await;
        remove_database(&file);
        return sample;
    };
    let schema = Postgres::schema();
    let options = PostgresOptions::new().with_schema(&*schema);
    let sample = keep(PostgresStore::connect(&server.url(), options).await.expect("a store"), pace).await;
    run(server, &format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")).await;
    sample
}

async fn keep(store: impl Store, pace: Pace) -> Sample {
    let runtime = Runtime::builder().register::<Three>().store(store).build().await.expect("a runtime");
    let launching = runtime.clone();
    let paced = pace.keep(move |process| {
        let runtime = launching.clone();
        async move {
            let run = runtime.launch(Three::inputs().process(process)).await.expect("launched");
            let Outcome::Finished(outputs) = run.outcome().await.expect("ended") else { panic!("not finished") };
            State { process, steps: STEPS, text: outputs.text }.check(process);
        }
    });
    let paced = paced.await;
    runtime.shutdown().await.expect("shut down");
    sample(paced)
}

/// What the peer measured, or why it did not.
async fn theirs(bench: &Bench, server: Option<&Postgres>, program: &Path, pace: Pace) -> Result<Sample, String> {
    let Some(server) = server else {
        let folder = tempfile::tempdir_in(bench.directory()).expect("a folder");
        return told(program, folder.path().to_str().expect("a path that is text"), pace).await;
    };
    run(server, "CREATE DATABASE peer").await;
    let database = format!("{}/peer", server.url().trim_end_matches("/postgres"));
    let sample = told(program, &database, pace).await;
    run(server, "DROP DATABASE peer WITH (FORCE)").await;
    run(server, "CHECKPOINT").await;
    sample
}

/// What a peer tells at its end.
async fn told(program: &Path, database: &str, pace: Pace) -> Result<Sample, String> {
    let wanted = serde_json::to_string(&pace).expect("numbers are JSON");
    let mut command = Command::new(program);
    command.args([database, &wanted]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = timeout(MOST, command.output()).await.map_err(|_| format!("not done after {} s", MOST.as_secs()))?;
    let output = output.map_err(|error| format!("it does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("it ended with {}, see above", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().last().unwrap_or_default();
    serde_json::from_str(told).map(sample).map_err(|error| format!("it told {told:?}: {error}"))
}
