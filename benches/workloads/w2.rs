//! W2: durable steps. Every step writes 1 KiB of state that changes, and is on the disk before the next one starts.
//!
//! The limits do what no runtime of processes can do without: one row per process is written and flushed. W2a's commits
//! one row at a time; W2b's lets a thousand writers share one committer, which takes all that is queued.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::store::{SqliteStore, Store};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::measure::{Bench, Sample, device_flushes, flushes_since, per_second, remove_database, tokio};
use crate::report::Row;

/// Bytes of state per step.
pub(crate) const STATE: usize = 1024;
/// Steps of a process that ends soon.
pub(crate) const SHORT: u64 = 30;
/// Steps of one that ends with the run.
pub(crate) const ENDLESS: u64 = u64::MAX;
/// Until the logs of both sides have their length.
const WARM_UP: Duration = Duration::from_millis(2_500);
/// With one process, fewer flushes than this per step mean that the disk was not reached.
const FLUSHES_LEAST: f64 = 0.9;

/// Text of a length that is another one for every number: SQLite writes no page that has not changed.
pub(crate) fn text(text: &mut String, number: u64, length: usize) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static POOL: LazyLock<String> = LazyLock::new(|| {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let letter = |_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char::from(ALPHABET[usize::from(random.to_le_bytes()[5] % 64)])
        };
        (0..1 << 16).map(letter).collect()
    });
    let places = (POOL.len() - length) as u64;
    let at = usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % places).expect("within the pool");
    text.clear();
    text.push_str(&POOL[at..at + length]);
}

/// What all writers of a run share.
#[derive(Default)]
pub(crate) struct Load {
    stop: AtomicBool,
    measuring: AtomicBool,
    steps: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

impl Load {
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn add_latencies(&self, mut latencies: Vec<Duration>) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).append(&mut latencies);
    }

    /// Takes the throughput in the middle of a run, while others write.
    pub(crate) fn watch(&self, bench: &Bench) -> (f64, Option<f64>) {
        std::thread::sleep(WARM_UP);
        self.measuring.store(true, Ordering::Relaxed);
        let (start, steps) = (Instant::now(), self.steps.load(Ordering::Relaxed));
        let flushes = device_flushes(bench.directory());
        std::thread::sleep(bench.window());
        let steps = self.steps.load(Ordering::Relaxed) - steps;
        let time = start.elapsed();
        let flushes = flushes_since(flushes, bench.directory(), steps);
        self.measuring.store(false, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
        (per_second(steps, time), flushes)
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(crate) fn sample(&self, (value, flushes): (f64, Option<f64>)) -> Sample {
        let latencies = std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        Sample { flushes, ..Sample::new(value).with_latencies(latencies) }
    }
}

/// The time from step to step of one writer.
#[derive(Default)]
pub(crate) struct Stopwatch {
    last: Option<Instant>,
    pub(crate) latencies: Vec<Duration>,
}

impl Stopwatch {
    pub(crate) fn step(&mut self, load: &Load) {
        load.steps.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if let Some(last) = self.last.replace(now)
            && load.measuring.load(Ordering::Relaxed)
        {
            self.latencies.push(now - last);
        }
    }
}

/// Writes 1 KiB in every step, so many times or until the run is stopped.
#[process(needs(Arc<Load>))]
#[derive(Default)]
pub(crate) struct Work {
    n: u64,
    state: String,
    #[process(skip)]
    watch: Stopwatch,
}

spec! { Work {
    /// [`ENDLESS`] for as many as there is time for.
    input steps: u64;
    output n: u64;
}}

outline! { Work {
    while_(more) { work }
    end => n;
}}

#[allow(clippy::unused_async)] // A step that waits for nothing but the disk.
impl Work {
    fn more(&self, cx: &Cx<Self>) -> bool {
        match cx.inputs().steps {
            ENDLESS => !cx.resource::<Arc<Load>>().stopped(),
            steps => self.n + 1 < steps,
        }
    }

    async fn work(&mut self, cx: &mut Cx<Self>) {
        self.write(cx);
    }

    fn end(&mut self, cx: &mut Cx<Self>) -> u64 {
        self.write(cx);
        cx.resource::<Arc<Load>>().add_latencies(std::mem::take(&mut self.watch.latencies));
        self.n
    }

    fn write(&mut self, cx: &Cx<Self>) {
        self.watch.step(&cx.resource::<Arc<Load>>());
        self.n += 1;
        text(&mut self.state, self.n, STATE);
    }
}

pub(crate) fn one(bench: &Bench) -> Vec<Row> {
    let endless = bench.case(|| durable(ours(bench, 1, ENDLESS)), || durable(limit_alone(bench, ENDLESS)));
    let short = bench.case(|| durable(ours(bench, 1, SHORT)), || durable(limit_alone(bench, SHORT)));
    vec![
        Row::new("W2a", "1 process, SQLite", "steps/s", "≥ 0.85; ≥ 0.90", endless),
        Row::new("W2a", "1 at a time of 30 steps", "steps/s", "", short),
    ]
}

/// A figure is called durable only if it was.
fn durable(sample: Sample) -> Sample {
    assert!(sample.flushes.is_none_or(|flushes| flushes >= FLUSHES_LEAST), "not durable: {sample:?}");
    sample
}

pub(crate) fn thousand(bench: &Bench) -> Vec<Row> {
    let many = bench.count(1_000, 1_000);
    let endless = bench.case(|| ours(bench, many, ENDLESS), || limit_shared(bench, many, ENDLESS));
    let short = bench.case(|| ours(bench, many, SHORT), || limit_shared(bench, many, SHORT));
    vec![
        Row::new("W2b", "1,000 processes, SQLite", "steps/s", "≥ 0.45; ≥ 0.55", endless),
        Row::new("W2b", "1,000 at a time of 30 steps", "steps/s", "", short),
    ]
}

fn ours(bench: &Bench, many: usize, steps: u64) -> Sample {
    let file = bench.file("w2-ours.db");
    let load = Arc::new(Load::default());
    let rate = tokio().block_on(async {
        let store = SqliteStore::open(&file).expect("a store");
        processes(bench, store, &load, many, steps).await
    });
    check(&file, "SELECT sum(steps) FROM checkpoint", &load);
    remove_database(&file);
    load.sample(rate)
}

/// Keeps so many processes going, each launched when the one before it has ended.
pub(crate) async fn processes(
    bench: &Bench,
    store: impl Store,
    load: &Arc<Load>,
    many: usize,
    steps: u64,
) -> (f64, Option<f64>) {
    let builder = Runtime::builder().register::<Work>().resource(Arc::clone(load)).store(store);
    let runtime = builder.build().await.expect("a runtime");
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..many {
        let (runtime, load) = (runtime.clone(), Arc::clone(load));
        lanes.spawn(async move {
            let mut total = 0;
            while !load.stopped() {
                let run = runtime.launch(Work::inputs().steps(steps)).await.expect("launched");
                let outcome = run.outcome().await.expect("ended");
                let Outcome::Finished(outputs) = outcome else { panic!("{outcome:?}") };
                assert!(steps == ENDLESS || outputs.n == steps, "{} steps", outputs.n);
                total += outputs.n;
            }
            total
        });
    }
    let rate = tokio::task::block_in_place(|| load.watch(bench));
    let total: u64 = lanes.join_all().await.into_iter().sum();
    assert_eq!(total, load.steps(), "every step ran once");
    runtime.shutdown().await.expect("shut down");
    rate
}

/// What the file has in the end is what was done.
fn check(file: &Path, sql: &str, load: &Load) {
    let connection = Connection::open(file).expect("the file");
    let stored: i64 = connection.query_row(sql, [], |row| row.get(0)).expect("a sum");
    assert_eq!(stored.cast_unsigned(), load.steps.load(Ordering::Relaxed), "every step is stored");
}

const UPSERT: &str = "INSERT INTO state VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET n = excluded.n, state = excluded.state";

/// The length of the log at which it is copied into the database, the best for one writer: a log that is used again
/// does not grow, and a flush of a file that grows costs twice.
const LOG_PAGES_ALONE: u32 = 1_000;
/// The best for many.
const LOG_PAGES_SHARED: u32 = 8_192;

fn open_limit(file: &Path, log_pages: u32) -> Connection {
    let connection = Connection::open(file).expect("a file");
    connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    connection.pragma_update(None, "synchronous", "FULL").expect("full durability");
    connection.pragma_update(None, "wal_autocheckpoint", log_pages).expect("a length of the log");
    let table = "CREATE TABLE state (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, state TEXT NOT NULL) STRICT";
    connection.execute_batch(table).expect("a table");
    connection
}

/// Commits of one row each. A process of so many steps is one row, written once more when it is created.
fn limit_alone(bench: &Bench, steps: u64) -> Sample {
    let file = bench.file("w2-limit.db");
    let load = Arc::new(Load::default());
    let (writing, path) = (Arc::clone(&load), file.clone());
    let writer = std::thread::spawn(move || {
        let connection = open_limit(&path, LOG_PAGES_ALONE);
        let mut upsert = connection.prepare(UPSERT).expect("prepared");
        let (mut watch, mut state, mut id, mut n) = (Stopwatch::default(), String::new(), 0_i64, 0_u64);
        while !writing.stopped() {
            if n > 0 || steps == ENDLESS {
                watch.step(&writing);
            } else {
                // Its creation.
                upsert.execute((id, 0, "")).expect("written");
                watch.step(&writing);
            }
            n += 1;
            text(&mut state, n, STATE);
            upsert.execute((id, n.cast_signed(), &state)).expect("written");
            if n == steps {
                (id, n) = (id + 1, 0);
            }
        }
        writing.add_latencies(watch.latencies);
    });
    let rate = load.watch(bench);
    writer.join().expect("no panic");
    check(&file, "SELECT sum(n) FROM state", &load);
    remove_database(&file);
    load.sample(rate)
}

pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) n: u64,
    pub(crate) state: String,
    /// Gives the buffer back.
    pub(crate) done: oneshot::Sender<String>,
}

/// One committer: takes all that is queued, writes it in one transaction with one flush, and answers.
fn commit_all(file: &Path, jobs: &mpsc::Receiver<Job>) {
    let connection = open_limit(file, LOG_PAGES_SHARED);
    let mut upsert = connection.prepare(UPSERT).expect("prepared");
    let mut batch = Vec::new();
    while let Ok(first) = jobs.recv() {
        batch.push(first);
        batch.extend(jobs.try_iter());
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        for job in &batch {
            upsert.execute((job.id, job.n.cast_signed(), &job.state)).expect("written");
        }
        connection.execute_batch("COMMIT").expect("committed");
        for job in batch.drain(..) {
            let _ = job.done.send(job.state);
        }
    }
}

/// The same with many writers, who share a committer.
fn limit_shared(bench: &Bench, many: usize, steps: u64) -> Sample {
    let file = bench.file("w2-limit.db");
    let load = Arc::new(Load::default());
    let (queue, jobs) = mpsc::channel::<Job>();
    let path = file.clone();
    let committer = std::thread::spawn(move || commit_all(&path, &jobs));
    let rate = writers(bench, queue, &load, many, steps);
    committer.join().expect("no panic");
    check(&file, "SELECT sum(n) FROM state", &load);
    remove_database(&file);
    load.sample(rate)
}

/// So many who write, each step after step, through a queue.
pub(crate) fn writers(
    bench: &Bench,
    queue: mpsc::Sender<Job>,
    load: &Arc<Load>,
    many: usize,
    steps: u64,
) -> (f64, Option<f64>) {
    tokio().block_on(async {
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..many {
            lanes.spawn(write(lane, many, steps, queue.clone(), Arc::clone(load)));
        }
        drop(queue);
        let rate = tokio::task::block_in_place(|| load.watch(bench));
        lanes.join_all().await;
        rate
    })
}

async fn write(lane: usize, many: usize, steps: u64, queue: mpsc::Sender<Job>, load: Arc<Load>) {
    let put = async |id: i64, n, state| {
        let (done, written) = oneshot::channel();
        queue.send(Job { id, n, state, done }).expect("a committer");
        written.await.expect("written")
    };
    let mut id = i64::try_from(lane).expect("a small number");
    let (mut watch, mut state, mut n) = (Stopwatch::default(), String::new(), 0_u64);
    while !load.stopped() {
        if n == 0 && steps != ENDLESS {
            state.clear();
            state = put(id, 0, state).await;
        }
        watch.step(&load);
        n += 1;
        text(&mut state, n, STATE);
        state = put(id, n, state).await;
        if n == steps {
            (id, n) = (id + i64::try_from(many).expect("a small number"), 0);
        }
    }
    load.add_latencies(watch.latencies);
}
