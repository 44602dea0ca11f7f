//! Serves processes over RabbitMQ: to controllers of this library, and to those of Python's plumpy.
//!
//! ```text
//! cargo run --example worker --features amqp -- --amqp URL --store FILE [--message-exchange NAME]
//!     [--task-exchange NAME] [--task-queue NAME] [--slots N]
//! ```
//!
//! It prints one line of JSON when it takes tasks, `{"ready": true, …}`. On SIGTERM it takes no further ones, lets the steps
//! that run come to their end, and stops; what is unfinished goes on when it is started again on the same store.

use clap::Parser;
use procession::communicator::{AmqpCommunicator, AmqpOptions};
use procession::launcher::Worker;
use procession::prelude::*;
use procession::store::SqliteStore;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Adds two numbers.
#[process(name = "procession_examples:AddProcess")]
#[derive(Debug, Default)]
pub struct AddProcess {}

spec! { AddProcess {
    input a: i64;
    input b: i64 = 1;
    output sum: i64;
}}

outline! { AddProcess { add => sum; } }

impl AddProcess {
    fn add(&self, cx: &mut Cx<Self>) -> Result<i64, StepError> {
        cx.inputs().a.checked_add(cx.inputs().b).ok_or_else(|| "the sum is too large".into())
    }
}

/// Waits some rounds, by a timer that outlives the worker.
#[process(name = "procession_examples:WaitChain")]
#[derive(Debug, Default)]
pub struct WaitChain {
    rounds: i64,
}

spec! { WaitChain {
    /// How many rounds.
    input n: i64 = 3;
    /// How long each round waits, in seconds.
    input delay: f64 = 0.5, check(|delay| Duration::try_from_secs_f64(*delay).is_ok(), "must be a duration");
    output rounds: i64;
    output note: optional<String>;
}}

outline! { WaitChain {
    while_(more) { wait }
    finish => rounds;
}}

impl WaitChain {
    fn more(&self, cx: &Cx<Self>) -> bool {
        self.rounds < cx.inputs().n
    }

    fn wait(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.rounds += 1;
        let delay = Duration::try_from_secs_f64(cx.inputs().delay)?;
        cx.sleep(delay); // the next step runs after it
        Ok(())
    }

    fn finish(&self) -> i64 {
        self.rounds
    }
}

/// Waits until it is killed, or resumed.
#[process(name = "procession_examples:WaitForever")]
#[derive(Debug, Default)]
pub struct WaitForever {}

spec! { WaitForever {} }
outline! { WaitForever { wait; } }

impl WaitForever {
    fn wait(&self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for ever")
    }
}

/// Fails with a text.
#[process(name = "procession_examples:Fail")]
#[derive(Debug, Default)]
pub struct Fail {}

spec! { Fail { input text: String; } }
outline! { Fail { fail; } }

impl Fail {
    fn fail(&self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        Err(cx.inputs().text.clone().into())
    }
}

/// Blocks its thread; all else goes on meanwhile.
#[process(name = "procession_examples:Busy")]
#[derive(Debug, Default)]
pub struct Busy {}

spec! { Busy {
    input seconds: f64, check(|seconds| Duration::try_from_secs_f64(*seconds).is_ok(), "must be a duration");
}}
outline! { Busy { blocking work; } }

impl Busy {
    fn work(&self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        std::thread::sleep(Duration::try_from_secs_f64(cx.inputs().seconds)?);
        Ok(())
    }
}

/// Ends without the output that it owes.
#[process(name = "procession_examples:MissingOutput")]
#[derive(Debug, Default)]
pub struct MissingOutput {}

spec! { MissingOutput { output sum: i64; } }
steps! { MissingOutput { run; } }

impl MissingOutput {
    fn run(&self) {}
}

#[derive(Debug, Parser)]
struct Options {
    /// The broker
    #[arg(long, value_name = "URL")]
    amqp: String,
    /// A file of SQLite
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    #[arg(long, value_name = "NAME")]
    message_exchange: Option<String>,
    #[arg(long, value_name = "NAME")]
    task_exchange: Option<String>,
    #[arg(long, value_name = "NAME")]
    task_queue: Option<String>,
    /// How many steps run at once
    #[arg(long, value_name = "COUNT")]
    slots: Option<u16>,
}

impl Options {
    fn broker(&self) -> AmqpOptions {
        let options = AmqpOptions::new().connection_name("procession worker");
        let options = self.message_exchange.iter().fold(options, AmqpOptions::message_exchange);
        let options = self.task_exchange.iter().fold(options, AmqpOptions::task_exchange);
        let options = self.task_queue.iter().fold(options, AmqpOptions::task_queue);
        // As many tasks are held that are not stored yet.
        self.slots.into_iter().fold(options, AmqpOptions::prefetch)
    }
}

#[tokio::main]
async fn main() -> Result<(), StepError> {
    let options = Options::parse();
    let mut builder = Runtime::builder().store(SqliteStore::open(&options.store)?);
    if let Some(slots) = options.slots {
        builder = builder.concurrent(slots.into());
    }
    let communicator = AmqpCommunicator::connect(&options.amqp, options.broker()).await?;
    let runtime = builder
        .communicator(Arc::new(communicator))
        .register::<AddProcess>()
        .register::<WaitChain>()
        .register::<WaitForever>()
        .register::<Fail>()
        .register::<Busy>()
        .register::<MissingOutput>()
        .build()
        .await?;
    let stop = stop_signal()?;
    let worker = Worker::new(runtime).start().await?;
    let (pid, processes) = (std::process::id(), json!(worker.runtime().processes()));
    println!(r#"{{"ready": true, "pid": {pid}, "owed": {}, "processes": {processes}}}"#, worker.owed());
    stop.await;
    worker.stop().await?;
    Ok(())
}

/// Ends on SIGTERM and on Ctrl-C. It listens from now on, not only when it is awaited.
#[cfg(unix)]
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
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
