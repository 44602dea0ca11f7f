//! A pipeline of three processes that run at the same time: one reads the records of a file, one measures each, one adds them up. Two
//! connectors carry the records between them, over a transport that a flag chooses.
//!
//! ```text
//! cargo run --example pipeline
//! cargo run --example pipeline -- --backend memory --kills 0 --file Cargo.lock
//! cargo run --example pipeline --features amqp -- --backend amqp --amqp amqp://localhost
//! ```
//!
//! What runs them is an OS process of its own, which is killed with `kill -9` as often as `--kills` says, and started again. At the end
//! the sum is held against the file: a record that was lost, came twice or in another order would show.

use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{env, fs, io};

use clap::{Parser, ValueEnum};
use procession::channel::ConnectorSpec;
use procession::prelude::*;
use procession::store::SqliteStore;
use procession::stream::Wire;
use procession::transport::{LocalTransport, SqliteTransport, Transport};
use serde::{Deserialize, Serialize};

/// Records that a step deals with.
const BATCH: usize = 16;
/// Records that wait between two processes, so that the faster one waits for the slower.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    number: u64,
    text: String,
}

/// What is known of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    number: u64,
    words: u64,
    letters: u64,
}

impl Measure {
    fn of(record: &Record) -> Self {
        let letters = record.text.chars().filter(|letter| !letter.is_whitespace()).count() as u64;
        Self { number: record.number, words: record.text.split_whitespace().count() as u64, letters }
    }
}

/// What is known of all of them; another order gives another digest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    records: u64,
    words: u64,
    letters: u64,
    digest: u64,
}

impl Total {
    fn add(&mut self, measure: &Measure) {
        self.records += 1;
        self.words += measure.words;
        self.letters += measure.letters;
        for part in [measure.number, measure.words, measure.letters] {
            self.digest = self.digest.wrapping_mul(1_000_003).wrapping_add(part);
        }
    }
}

/// Reads a file, some lines a step; where it is in the file is saved with each.
#[process]
#[derive(Debug, Default)]
pub struct Reads {
    at: u64,
    number: u64,
    is_over: bool,
}

spec! { Reads {
    /// The file whose lines are the records.
    input file: PathBuf;
    stream out records: Record;
    output records: u64;
}}

outline! { Reads {
    while_(more) { read; }
    finish => records;
}}

impl Reads {
    fn more(&self) -> bool {
        !self.is_over
    }

    fn read(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let mut file = fs::File::open(&cx.inputs().file)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut file = BufReader::new(file);
        for _ in 0..BATCH {
            let mut text = String::new();
            let bytes = file.read_line(&mut text)?;
            if bytes == 0 {
                self.is_over = true;
                break;
            }
            self.at += bytes as u64;
            self.number += 1;
            cx.send(Self::records, Record { number: self.number, text })?;
        }
        Ok(())
    }

    fn finish(&self) -> u64 {
        self.number
    }
}

/// Measures each record.
#[process]
#[derive(Debug, Default)]
pub struct Measures {}

spec! { Measures {
    stream in records: Record;
    stream out measures: Measure;
}}

outline! { Measures {
    while_(more) {
        wait;
        measure;
    }
}}

impl Measures {
    fn more(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::records)
    }

    fn wait(&self, cx: &mut Cx<Self>) {
        cx.receive_up_to(Self::records, BATCH);
    }

    fn measure(&self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        while let Some(record) = cx.received(Self::records)? {
            eprintln!("meas {}", record.number);
            cx.send(Self::measures, Measure::of(&record))?;
        }
        Ok(())
    }
}

/// Adds up what was measured.
#[process]
#[derive(Debug, Default)]
pub struct Adds {
    total: Total,
}

spec! { Adds {
    stream in measures: Measure;
    output total: Total;
}}

outline! { Adds {
    while_(more) {
        wait;
        add;
    }
    finish => total;
}}

impl Adds {
    fn more(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::measures)
    }

    fn wait(&self, cx: &mut Cx<Self>) {
        cx.receive_up_to(Self::measures, BATCH);
    }

    fn add(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        while let Some(measure) = cx.received(Self::measures)? {
            if measure.number != self.total.records + 1 {
                eprintln!("OUT adds {} after {} records", measure.number, self.total.records);
            }
            self.total.add(&measure);
        }
        // For who decides when it is killed.
        println!("added {}", self.total.records);
        Ok(())
    }

    fn finish(&self) -> Total {
        self.total.clone()
    }
}

/// What carries the records.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Backend {
    /// Memory: gone with the OS process, so it cannot be killed
    Memory,
    /// A file beside the store
    Sqlite,
    /// RabbitMQ
    #[cfg(feature = "amqp")]
    Amqp,
}

/// Three processes, two connectors, and a file.
#[derive(Debug, Parser)]
struct Options {
    /// What carries the records
    #[arg(long, value_enum, default_value = "sqlite")]
    backend: Backend,
    /// The file whose lines are the records; this project's list of dependencies, unless it is told
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"))]
    file: PathBuf,
    /// How often it is killed in the middle
    #[arg(long, default_value_t = 3)]
    kills: u64,
    /// Where it keeps its files; a new folder unless it is told
    #[arg(long, overrides_with = "folder")]
    folder: Option<PathBuf>,
    /// The broker
    #[arg(long, default_value = "amqp://127.0.0.1")]
    amqp: String,
    /// Runs the processes, and is what is killed
    #[arg(long, hide = true)]
    works: bool,
}

#[tokio::main]
async fn main() -> Result<(), StepError> {
    let options = Options::parse();
    if options.works {
        return work(&options, options.folder.as_deref().ok_or("no folder")?).await;
    }
    if options.backend == Backend::Memory && options.kills > 0 {
        return Err("what is in memory does not survive a kill: use another backend, or `--kills 0`".into());
    }
    let temporary = tempfile::tempdir()?;
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    // From here to the end in `kills` equal parts.
    let expected = expected(&options.file)?;
    for kill in 1..=options.kills {
        let mut worker = start(&folder)?;
        let enough = expected.records * kill / (options.kills + 1);
        let added = until(&mut worker, |line| number(line, "added ").is_some_and(|added| added >= enough))?;
        worker.kill()?;
        worker.wait()?;
        println!("{}; killed", added.ok_or("it ended before it was killed: take a larger file, or fewer kills")?);
    }
    let mut worker = start(&folder)?;
    let total = until(&mut worker, |line| line.starts_with("total "))?.ok_or("it ended without a total")?;
    if !worker.wait()?.success() {
        return Err("it failed".into());
    }
    println!("{total}");
    let total: Total = serde_json::from_str(&total["total ".len()..])?;
    if total != expected {
        return Err(format!("the file has {expected:?}: records were lost, or came twice").into());
    }
    println!("as the file: each record once, in order");
    Ok(())
}

/// The same without any process.
fn expected(file: &Path) -> io::Result<Total> {
    let (mut total, mut text) = (Total::default(), String::new());
    fs::File::open(file)?.read_to_string(&mut text)?;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        total.add(&Measure::of(&Record { number, text: line.to_owned() }));
    }
    Ok(total)
}

/// This program, as what is killed.
fn start(folder: &Path) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).arg("--works").arg("--folder").arg(folder);
    command.stdout(Stdio::piped()).spawn()
}

/// The first line of its output that is looked for.
fn until(worker: &mut Child, mut is_it: impl FnMut(&str) -> bool) -> io::Result<Option<String>> {
    let Some(output) = worker.stdout.as_mut() else { return Ok(None) };
    for line in BufReader::new(output).lines() {
        let line = line?;
        if is_it(&line) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

fn number(line: &str, before: &str) -> Option<u64> {
    line.strip_prefix(before)?.parse().ok()
}

/// Launches the three processes, or goes on with them where they were, and waits for the last one.
async fn work(options: &Options, folder: &Path) -> Result<(), StepError> {
    let transport: Arc<dyn Transport> = match options.backend {
        Backend::Memory => Arc::new(LocalTransport::new()),
        Backend::Sqlite => Arc::new(SqliteTransport::open(folder.join("channels.db"))?),
        #[cfg(feature = "amqp")]
        Backend::Amqp => {
            use procession::transport::{AmqpOptions, AmqpTransport};
            Arc::new(AmqpTransport::connect(AmqpOptions::new(&options.amqp)).await?)
        }
    };
    let runtime = Runtime::builder()
        .store(SqliteStore::open(folder.join("store.db"))?)
        .channels(Arc::clone(&transport))
        .register::<Reads>()
        .register::<Measures>()
        .register::<Adds>()
        .build()
        .await?;
    // The folder is new for each run, so its name keeps the topics of one apart from those of others on the same broker.
    let job = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let records = wire(&job, "reads.records..measures.records")?;
    let measures = wire(&job, "measures.measures..adds.measures")?;
    // By their keys: a second time they are found, and go on.
    runtime.launch(Reads::inputs().file(options.file.clone()).records(records.clone())).key("reads").await?;
    runtime.launch(Measures::inputs().records(records).measures(measures.clone())).key("measures").await?;
    let adds = runtime.launch(Adds::inputs().measures(measures)).key("adds").await?;
    match adds.outcome().await? {
        Outcome::Finished(outputs) => println!("total {}", serde_json::to_string(&outputs.total)?),
        other => return Err(format!("{other:?}").into()),
    }
    runtime.shutdown().await?;
    transport.close().await?;
    Ok(())
}

/// The wire of a connector of this run.
fn wire<T>(job: &str, connector: &str) -> Result<Wire<T>, StepError> {
    let connector: ConnectorSpec = connector.parse()?;
    Ok(Wire::new(format!("{job}.{}", connector.topic())).with_capacity(CAPACITY))
}
