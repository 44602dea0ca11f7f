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

use procession::prelude::*;
use procession::store::{FileStore, SqliteStore, Store};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

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
        tokio::task::yield_now().await;
        cx.resource::<Effects>().append(cx.pid(), self.booked, &cx.key())?;
        Ok(())
    }

    async fn fan_out(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.book(cx).await?;
        for index in 0..cx.inputs().children {
            let (name, steps, seed) = (format!("{}/{index}", cx.inputs().name), cx.inputs().steps, cx.inputs().seed);
            self.children.push(cx.launch(Ledger::inputs().name(name).steps(steps).seed(seed))?);
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
fn hash(chain: u64, value: u64) -> u64 {
    let mut mixed = chain.wrapping_add(value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Options {
    store: PathBuf,
    effects: PathBuf,
    processes: u64,
    steps: u64,
    children: u64,
    seed: u64,
}

impl Options {
    fn from_arguments() -> Result<Self, StepError> {
        let mut options =
            Self { store: PathBuf::new(), effects: PathBuf::new(), processes: 10, steps: 10, children: 0, seed: 0 };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--store" => options.store = value.into(),
                "--effects" => options.effects = value.into(),
                "--processes" => options.processes = value.parse()?,
                "--steps" => options.steps = value.parse()?,
                "--children" => options.children = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        if options.store.as_os_str().is_empty() || options.effects.as_os_str().is_empty() {
            return Err("--store FILE.db, or --store FOLDER, and --effects FILE are needed".into());
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<(), StepError> {
    let options = Options::from_arguments()?;
    let effects = Effects::open(&options.effects)?;
    // A database, or a folder of documents.
    let database = options.store.extension().is_some_and(|extension| extension == "db");
    let store: Arc<dyn Store> = if database {
        Arc::new(SqliteStore::open(&options.store)?)
    } else {
        Arc::new(FileStore::open(&options.store)?)
    };
    let runtime =
        Runtime::builder().register::<Ledger>().resource(effects).shared_store(Arc::clone(&store)).build().await?;
    let mut launched = Vec::new();
    for index in 0..options.processes {
        let name = format!("ledger-{index}");
        let inputs = Ledger::inputs().name(&name).steps(options.steps).children(options.children).seed(options.seed);
        launched.push(runtime.launch(inputs).key(name).await?);
    }
    for run in &launched {
        run.outcome().await?;
    }
    println!("{}", summary(&*store, launched.iter().map(|run| run.pid().clone()).collect()).await?);
    runtime.shutdown().await?;
    Ok(())
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
