//! The subject of the crash test: processes that book, step by step, into a chain of hashes.
//!
//! ```text
//! cargo run --example ledger -- --store FILE --effects FILE --processes N --steps M [--children K] [--seed S]
//! ```
//!
//! It launches `ledger-0` … `ledger-(N-1)` by key, so that a start after a kill at any instant launches only what is
//! missing and goes on with the rest. Each step adds to a counter and to a chain of hashes, and appends one line
//! `pid step key` to the effects file before it returns. The last line on stdout is the same for every run of equal
//! N, M, K and S, however often it was killed.
//!
//! Several of them share a PostgreSQL database (feature `postgres`):
//!
//! ```text
//! cargo run --example ledger --features postgres -- --store postgres://… [--schema NAME] --effects FILE
//!     [--processes N] … [--worker] [--lease SECONDS] [--slots N] [--amqp URL]
//! ```
//!
//! Then processes run in whichever of them claims them, and any number may launch the same ones: each is launched once. With
//! `--worker` it goes on until SIGTERM; without, until all that it launched has ended. With `--amqp` (feature `amqp`) its
//! processes are reached over RabbitMQ, and tell of their transitions there.

use clap::Parser;
use procession::prelude::*;
use procession::store::{FileStore, SqliteStore, Store};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where steps leave their effects.
#[derive(Debug)]
pub struct Effects(std::fs::File);

impl Effects {
    /// Appends to a file, which may not exist yet.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(file: &std::path::Path) -> std::io::Result<Self> {
        std::fs::OpenOptions::new().append(true).create(true).open(file).map(Self)
    }

    /// One write per line: the file is opened for appending, so lines of several steps do not mix.
    fn append(&self, pid: &ProcessId, step: u64, key: &str) -> std::io::Result<()> {
        (&self.0).write_all(format!("{pid} {step} {key}\n").as_bytes())
    }
}

/// Books `steps` entries.
#[process(needs(Effects))]
#[derive(Debug, Default)]
pub struct Ledger {
    booked: u64,
    chain: u64,
    children: Vec<Child<Ledger>>,
}

spec! { Ledger {
    /// What the chain starts from, beside the seed.
    input name: String;
    /// How many steps it takes.
    input steps: u64, check(|steps| *steps >= 2, "must be at least 2");
    /// How many children the middle step launches.
    input children: u64 = 0;
    /// What all chains start from.
    input seed: u64 = 0;
    /// How many milliseconds a step takes.
    input takes: u64 = 0;
    /// How many milliseconds are waited after every fourth step.
    input waits: u64 = 0;

    /// The last hash of the chain.
    output chain: u64;
    /// The number of entries.
    output booked: u64;
}}

outline! { Ledger {
    while_(before_middle) { book }
    if_(has_children) { fan_out } else_ { book }
    while_(before_end) { book }
    close => chain, booked;
}}

impl Ledger {
    fn before_middle(&self, cx: &Cx<Self>) -> bool {
        self.booked + 1 < cx.inputs().steps / 2
    }

    fn has_children(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().children > 0
    }

    fn before_end(&self, cx: &Cx<Self>) -> bool {
        self.booked + 1 < cx.inputs().steps
    }

    async fn book(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        if self.booked == 0 {
            self.chain =
                cx.inputs().name.bytes().fold(hash(0, cx.inputs().seed), |chain, byte| hash(chain, byte.into()));
        }
        self.booked += 1;
        self.chain = hash(self.chain, self.booked);
        // Gives way in the midst of a step, so that a kill can hit there.
        match cx.inputs().takes {
            0 => tokio::task::yield_now().await,
            takes => tokio::time::sleep(Duration::from_millis(takes)).await,
        }
        if cx.inputs().waits > 0 && self.booked.is_multiple_of(4) && self.booked < cx.inputs().steps {
            cx.sleep(Duration::from_millis(cx.inputs().waits));
        }
        cx.resource::<Effects>().append(cx.pid(), self.booked, &cx.key())?;
        Ok(())
    }

    async fn fan_out(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.book(cx).await?;
        for index in 0..cx.inputs().children {
            let (name, inputs) = (format!("{}/{index}", cx.inputs().name), cx.inputs());
            let child = Ledger::inputs().name(name).steps(inputs.steps).seed(inputs.seed);
            let child = child.takes(inputs.takes).waits(inputs.waits);
            self.children.push(cx.launch(child)?);
        }
        Ok(())
    }

    async fn close(&mut self, cx: &mut Cx<Self>) -> Result<(u64, u64), StepError> {
        for child in &self.children {
            self.chain = hash(self.chain, child.outputs()?.chain);
        }
        self.book(cx).await?;
        Ok((self.chain, self.booked))
    }
}

/// One round of a 64-bit mixer (SplitMix64): every bit of both matters to every bit of the result.
pub fn hash(chain: u64, value: u64) -> u64 {
    let mut mixed = chain.wrapping_add(value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Debug, Parser)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code))] // What only workers have.
struct Options {
    /// A file that ends in `.db`, a folder, or `postgres://…`
    #[arg(long)]
    store: String,
    /// Where steps leave their effects
    #[arg(long, value_name = "FILE")]
    effects: PathBuf,
    /// How many processes are launched: 10, or none by a worker
    #[arg(long)]
    processes: Option<u64>,
    #[arg(long, default_value_t = 10)]
    steps: u64,
    #[arg(long, default_value_t = 0)]
    children: u64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value = "procession")]
    schema: String,
    /// Goes on until SIGTERM
    #[arg(long)]
    worker: bool,
    /// In seconds
    #[arg(long, default_value_t = 10.0)]
    lease: f64,
    #[arg(long, default_value_t = 16)]
    slots: usize,
    #[arg(long, value_name = "URL")]
    amqp: Option<String>,
}

impl Options {
    fn is_shared(&self) -> bool {
        self.store.starts_with("postgres://")
    }

    /// Without being told, a worker launches nothing.
    fn processes(&self) -> u64 {
        self.processes.unwrap_or(if self.worker { 0 } else { 10 })
    }
}

#[tokio::main]
async fn main() -> Result<(), StepError> {
    let options = Options::parse();
    let builder = Runtime::builder().register::<Ledger>().resource(Effects::open(&options.effects)?);
    if options.is_shared() {
        return share(&options, builder).await;
    }
    // A database, or a folder of documents.
    let file = PathBuf::from(&options.store);
    let database = file.extension().is_some_and(|extension| extension == "db");
    let store: Arc<dyn Store> =
        if database { Arc::new(SqliteStore::open(&file)?) } else { Arc::new(FileStore::open(&file)?) };
    let runtime = builder.shared_store(Arc::clone(&store)).build().await?;
    run(&options, &runtime, &*store).await?;
    runtime.shutdown().await?;
    Ok(())
}

/// Launches all, waits for their ends, and prints the last line.
async fn run(options: &Options, runtime: &Runtime, store: &dyn Store) -> Result<(), StepError> {
    let mut launched = Vec::new();
    for index in 0..options.processes() {
        let name = format!("ledger-{index}");
        let inputs = Ledger::inputs().name(&name).steps(options.steps).children(options.children).seed(options.seed);
        let launching = runtime.launch(inputs).key(name);
        launched.push(if options.is_shared() { launching.anywhere().await? } else { launching.await? });
    }
    for run in &launched {
        run.outcome().await?;
    }
    println!("{}", summary(store, launched.iter().map(|run| run.pid().clone()).collect()).await?);
    Ok(())
}

/// Works together with others.
#[cfg(feature = "postgres")]
async fn share(options: &Options, builder: procession::RuntimeBuilder) -> Result<(), StepError> {
    use procession::WorkerOptions;
    use procession::store::{PostgresOptions, PostgresStore};

    let stop = stop_signal()?;
    let postgres = PostgresOptions::new().with_schema(&options.schema);
    let store = Arc::new(PostgresStore::connect(&options.store, postgres).await?);
    let worker = WorkerOptions::new().lease(Duration::try_from_secs_f64(options.lease)?);
    let shared: Arc<dyn Store> = store.clone();
    let builder = reached(options, builder).await?;
    let runtime = builder.worker(worker).concurrent(options.slots).shared_store(shared).build().await?;
    if options.processes() > 0 {
        run(options, &runtime, &*store).await?;
    }
    if options.worker {
        println!(r#"{{"ready":true}}"#);
        let refused = tell_refused(&store);
        tokio::select! {
            () = stop => {}
            () = refused => {}
        }
    }
    runtime.shutdown().await?;
    Ok(())
}

/// Lets processes be reached over RabbitMQ.
#[cfg(all(feature = "postgres", feature = "amqp"))]
async fn reached(
    options: &Options,
    builder: procession::RuntimeBuilder,
) -> Result<procession::RuntimeBuilder, StepError> {
    use procession::communicator::{AmqpCommunicator, AmqpOptions};

    let Some(url) = &options.amqp else { return Ok(builder) };
    Ok(builder.communicator(Arc::new(AmqpCommunicator::connect(url, AmqpOptions::new()).await?)))
}

#[cfg(all(feature = "postgres", not(feature = "amqp")))]
async fn reached(
    options: &Options,
    builder: procession::RuntimeBuilder,
) -> Result<procession::RuntimeBuilder, StepError> {
    if options.amqp.is_some() {
        return Err("--amqp needs the feature `amqp`".into());
    }
    Ok(builder)
}

/// Prints how many writes were refused as stale, whenever there are more.
#[cfg(feature = "postgres")]
async fn tell_refused(store: &procession::store::PostgresStore) {
    let mut told = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let refused = store.refused();
        if refused > told {
            told = refused;
            println!(r#"{{"refused":{refused}}}"#);
        }
    }
}

#[cfg(not(feature = "postgres"))]
fn share(_: &Options, _: procession::RuntimeBuilder) -> std::future::Ready<Result<(), StepError>> {
    std::future::ready(Err("--store postgres://… needs the feature `postgres`".into()))
}

/// Ends on SIGTERM and on Ctrl-C. It listens from now on, not only when it is awaited.
#[cfg(all(unix, feature = "postgres"))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends on Ctrl-C.
#[cfg(all(not(unix), feature = "postgres"))]
#[allow(clippy::unnecessary_wraps)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// One line over all processes and their children, from the store alone.
async fn summary(store: &dyn Store, roots: Vec<ProcessId>) -> Result<String, StepError> {
    let (mut finished, mut excepted, mut killed, mut steps, mut checksum) = (0, 0, 0, 0, 0);
    for root in roots {
        for pid in std::iter::once(root.clone()).chain(store.children(&root).await?) {
            let record = store.load(&pid).await?.ok_or("a process is missing in the store")?;
            match record.state {
                ProcessState::Finished => finished += 1,
                ProcessState::Excepted => excepted += 1,
                ProcessState::Killed => killed += 1,
                _ => {}
            }
            steps += record.steps;
            let outputs: serde_json::Value = serde_json::from_str(&record.outputs)?;
            checksum = hash(checksum, outputs["chain"].as_u64().unwrap_or_default());
        }
    }
    Ok(format!(
        r#"{{"finished":{finished},"excepted":{excepted},"killed":{killed},"steps":{steps},"checksum":"{checksum:016x}"}}"#
    ))
}
