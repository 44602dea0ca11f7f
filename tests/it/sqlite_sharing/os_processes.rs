//! Workers in OS processes of their own on one file, which are killed and stopped.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use procession::prelude::*;
use procession::{RuntimeBuilder, WorkerOptions};

use super::*;
use crate::os_process::Other;
use crate::support::Random;

const PROCESSES: u64 = 200;
const STEPS: u64 = 15;
/// How often one of three workers is killed, or stopped until its lease has lapsed.
const FAULTS: u64 = 12;
/// Short, so that others soon take over; too short now and then on a busy machine, which must do no harm.
const LEASE: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(240);

const PART: &str = "PROCESSION_TEST_PART";
const FILE: &str = "PROCESSION_TEST_FILE";

/// Where steps leave their effects: a line `pid step key` each.
struct Effects(File);

impl Effects {
    fn open(path: &Path) -> Self {
        Self(File::options().append(true).create(true).open(path).unwrap())
    }
}

/// Adds to a chain of hashes, step by step.
#[process(name = "it::Links", needs(Effects))]
#[derive(Debug, Default)]
struct Links {
    linked: u64,
    chain: u64,
}

spec! { Links {
    input start: u64;
    output chain: u64;
}}

outline! { Links {
    while_(more) { link }
    close => chain;
}}

impl Links {
    fn more(&self) -> bool {
        self.linked < STEPS
    }

    async fn link(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        tokio::task::yield_now().await;
        self.chain = hash(if self.linked == 0 { cx.inputs().start } else { self.chain }, self.linked);
        self.linked += 1;
        let line = format!("{} {} {}\n", cx.pid(), self.linked, cx.key());
        Ok((&cx.resource::<Effects>().0).write_all(line.as_bytes())?)
    }

    fn close(&self) -> u64 {
        self.chain
    }
}

fn hash(chain: u64, value: u64) -> u64 {
    let mixed = (chain ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

fn builder(file: &Path, options: WorkerOptions) -> RuntimeBuilder {
    let store = SqliteStore::open(file).unwrap();
    let effects = Effects::open(&file.with_extension("effects"));
    Runtime::builder().store(store).worker(options.lease(LEASE).attempts(100)).resource(effects).register::<Links>()
}

/// Another OS process, on the same file.
pub(super) fn other(part: &str, file: &Path) -> Other {
    let environment = [(PART, part.as_ref()), (FILE, file.as_os_str())];
    Other::start("sqlite_sharing::os_processes::the_other_os_process", &environment)
}

/// The part of another OS process. Alone it shows that a single worker on a file does its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_os_process() {
    let (Ok(part), Some(file)) = (std::env::var(PART), std::env::var_os(FILE).map(PathBuf::from)) else {
        let (_folder, file) = folder();
        let runtime = builder(&file, WorkerOptions::new()).build().await.unwrap();
        let run = runtime.launch(Links::inputs().start(1)).anywhere().await.unwrap();
        assert_eq!(run.outcome().await.unwrap().finished().unwrap().chain, chain_from(1));
        return runtime.shutdown().await.unwrap();
    };
    match part.as_str() {
        "open" => {
            println!("ready");
            std::io::stdin().lines().next().unwrap().unwrap();
            let store = SqliteStore::open(file).unwrap();
            let page = store.unfinished(None, 100).await.unwrap();
            println!("unfinished: {}", page.records.len());
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        "work" => {
            let runtime = builder(&file, WorkerOptions::new()).build().await.unwrap();
            let stopped = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
            stopped.await.unwrap().unwrap();
            runtime.shutdown().await.unwrap();
        }
        other => panic!("no part `{other}`"),
    }
}

fn chain_from(start: u64) -> u64 {
    (0..STEPS).fold(start, hash)
}

/// The lines that are there as a whole.
fn effects(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file.with_extension("effects")).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills, or stops for longer than a lease, and starts again what was killed.
async fn disturb(store: &SqliteStore, file: &Path, workers: &mut [Option<Other>], random: &mut Random) {
    for fault in 1..=FAULTS {
        let lines = usize::try_from(PROCESSES * STEPS * fault / (FAULTS + 2)).unwrap();
        until("steps are run", async || effects(file).len() >= lines).await;
        let place = random.index(workers.len());
        if fault % 4 > 0 {
            workers[place].take().unwrap().kill();
            workers[place] = Some(other("work", file));
            continue;
        }
        let worker = workers[place].as_ref().unwrap();
        let os_process = worker.id();
        worker.signal("STOP");
        until("the lease lapses", async || {
            let rows = store.workers().await.unwrap();
            !rows.iter().any(|row| row.worker.os_process == os_process && row.alive)
        })
        .await;
        worker.signal("CONT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_when_workers_on_one_file_are_killed_and_stopped() {
    let (_folder, file) = folder();
    let launcher = builder(&file, WorkerOptions::new().queues(Vec::<String>::new())).build().await.unwrap();
    let mut starts = HashMap::new();
    for start in 0..PROCESSES {
        let run = launcher.launch(Links::inputs().start(start)).anywhere().await.unwrap();
        starts.insert(run.pid().clone(), start);
    }
    launcher.shutdown().await.unwrap();
    let seed = u64::from(std::process::id());
    // Seen where the test fails.
    println!("seed {seed}");
    let store = SqliteStore::open(&file).unwrap();
    let mut workers = [(); 3].map(|()| Some(other("work", &file)));
    disturb(&store, &file, &mut workers, &mut Random::new(seed)).await;
    until("all ends", async || store.unfinished(None, 1).await.unwrap().records.is_empty()).await;
    for worker in workers {
        worker.unwrap().finish();
    }
    for (pid, start) in &starts {
        let end = store.termination(pid).await.unwrap().unwrap();
        assert_eq!(end.outputs["chain"], chain_from(*start), "{pid}");
        let history = store.history(pid).await.unwrap();
        let steps: Vec<_> = history.iter().map(|entry| (entry.steps, entry.to)).collect();
        assert_eq!(steps.iter().collect::<HashSet<_>>().len(), steps.len(), "{pid}: {steps:?}");
        assert_eq!(history.iter().filter(|entry| entry.to.is_terminal()).count(), 1, "{pid}");
    }
    let mut keys = HashMap::new();
    for line in effects(&file) {
        let fields: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let [pid, step, key] = fields.try_into().unwrap();
        assert_eq!(*keys.entry((pid, step)).or_insert_with(|| key.clone()), key, "a step has one key");
    }
    assert_eq!(keys.len() as u64, PROCESSES * STEPS);
}
