//! The part of another OS process: a worker that can be killed at one point.

use procession::communicator::{AmqpCommunicator, AmqpOptions};
use procession::launcher::Worker;
use procession::prelude::*;
use procession::store::{SqliteStore, Store};
use procession::{RuntimeBuilder, WorkerOptions};
use std::ffi::OsString;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use crate::children::Leaf;
use crate::os_process::Other;
use crate::support::{Gate, World};
use crate::workers::{Place, postgres_at};

/// Short, so that another soon takes over.
const LEASE: Duration = Duration::from_millis(1_500);

const STORE: &str = "PROCESSION_TEST_STORE";
const SCHEMA: &str = "PROCESSION_TEST_SCHEMA";
const BROKER: &str = "PROCESSION_TEST_BROKER";
const NAME: &str = "PROCESSION_TEST_NAME";
const STAYS_AT: &str = "PROCESSION_TEST_STAYS_AT";

/// Where a worker stays until it is killed: it is not between two steps, but in the midst of choosing the next one, so nothing of
/// that is stored.
#[derive(Clone, Default)]
pub(super) struct Stays(String);

impl Stays {
    fn at(&self, place: &str) {
        if self.0 == place {
            println!("{place}");
            loop {
                std::thread::park();
            }
        }
    }
}

/// Launches one child, and goes on when it has ended.
#[process(name = "it::Family", needs(Stays))]
#[derive(Default)]
pub(super) struct Family {
    kid: Child<Kid>,
}

spec! { Family { output n: u64; } }

outline! { Family {
    launch;
    if_(goes_on) { note => n } else_ { note => n }
}}

impl Family {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.kid = cx.launch(Kid::inputs())?;
        Ok(())
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        cx.resource::<Stays>().at("goes on");
        true
    }

    fn note(&mut self) -> Result<u64, StepError> {
        Ok(self.kid.outputs()?.n)
    }
}

#[process(name = "it::Kid", needs(Stays))]
#[derive(Default)]
pub(super) struct Kid;

spec! { Kid { output n: u64; } }

outline! { Kid {
    if_(begins) { work => n } else_ { work => n }
}}

impl Kid {
    fn begins(&self, cx: &Cx<Self>) -> bool {
        cx.resource::<Stays>().at("begins");
        true
    }

    fn work(&self) -> u64 {
        7
    }
}

/// With what this test knows, and the other OS process.
pub(super) fn builder(builder: RuntimeBuilder, stays: &Stays, gate: &Gate) -> RuntimeBuilder {
    let builder = builder.resource(stays.clone()).resource(gate.clone());
    builder.register::<Family>().register::<Kid>().register::<Leaf>()
}

/// What both know a broker's exchanges and queue by.
pub(super) fn names(name: &str) -> AmqpOptions {
    let (messages, tasks) = exchanges(name);
    AmqpOptions::new().message_exchange(messages).task_exchange(tasks).task_queue(format!("{name}.queue"))
}

pub(super) fn exchanges(name: &str) -> (String, String) {
    (format!("{name}.messages"), format!("{name}.tasks"))
}

/// A worker in an OS process of its own.
pub(super) struct Start<'a> {
    pub(super) place: &'a Place,
    /// Where it stays until it is killed.
    pub(super) stays_at: &'a str,
    /// Where the broker is, and by what name.
    pub(super) broker: Option<(&'a str, &'a str)>,
}

impl Start<'_> {
    /// Starts it, and waits until it is ready.
    pub(super) fn start(&self) -> Other {
        let (store, schema) = match self.place {
            Place::Memory => panic!("nobody else sees it"),
            Place::Sqlite(folder) => (folder.path().join("store.db").into_os_string(), ""),
            Place::Postgres(schema) => (crate::postgres::Postgres::shared().url().into(), schema.as_str()),
        };
        let (broker, name) = self.broker.unwrap_or_default();
        let texts = [(SCHEMA, schema), (BROKER, broker), (NAME, name), (STAYS_AT, self.stays_at)];
        let mut environment = vec![(STORE, store.as_os_str())];
        environment.extend(texts.iter().map(|(name, text)| (*name, text.as_ref())));
        let mut other = Other::start("between::part::the_other_os_process", &environment);
        other.hears("ready");
        other
    }
}

async fn store(address: OsString, schema: &str) -> Arc<dyn Store> {
    match address.to_str().filter(|address| address.starts_with("postgres://")) {
        Some(url) => postgres_at(url, schema).await,
        None => Arc::new(SqliteStore::open(address).unwrap()),
    }
}

/// Alone it shows that a worker that stays nowhere does its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_other_os_process() {
    let gate = Gate::new();
    let Some(address) = std::env::var_os(STORE) else {
        let runtime = builder(World::new().builder(), &Stays::default(), &gate).build().await.unwrap();
        let run = runtime.launch(Family::inputs()).await.unwrap();
        assert_eq!(run.outcome().await.unwrap().finished().unwrap().n, 7);
        return runtime.shutdown().await.unwrap();
    };
    let [schema, broker, name, stays] = [SCHEMA, BROKER, NAME, STAYS_AT].map(|name| std::env::var(name).unwrap());
    let sharing = Runtime::builder().shared_store(store(address, &schema).await);
    let sharing = sharing.worker(WorkerOptions::new().lease(LEASE));
    let mut builder = builder(sharing, &Stays(stays.clone()), &gate);
    if !broker.is_empty() {
        builder = builder.communicator(Arc::new(AmqpCommunicator::connect(&broker, names(&name)).await.unwrap()));
    }
    let worker = Worker::new(builder.build().await.unwrap()).start().await.unwrap();
    println!("ready");
    // Each line opens the gate once, until whoever writes them is gone.
    let opening = std::thread::spawn(move || {
        std::io::stdin().lock().lines().for_each(|_| gate.open(1));
        if !stays.is_empty() {
            // A thread stays, and keeps this process: its test is gone.
            std::process::exit(1);
        }
    });
    tokio::task::spawn_blocking(|| opening.join().unwrap()).await.unwrap();
    worker.stop().await.unwrap();
}
