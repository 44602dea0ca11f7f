//! Controls processes in workers of this library, such as the example `worker`, and in those of Python's plumpy.
//!
//! ```text
//! cargo run --example control --features amqp -- --help
//! cargo run --example control --features amqp -- --amqp URL execute procession_examples:AddProcess '{"a": 2}'
//! ```
//!
//! It prints one line of JSON: `{"result": …}`, or `{"error": …}` and ends with code 1; the second command
//! prints `{"result":{"sum":3}}`.

use clap::{Args, Parser, Subcommand};
use procession::clock::Timestamp;
use procession::communicator::{AmqpCommunicator, AmqpOptions};
use procession::controller::RemoteProcessController;
use procession::prelude::*;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of a process is waited for.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Parser)]
struct Options {
    /// The broker
    #[arg(long, value_name = "URL")]
    amqp: String,
    #[arg(long, value_name = "NAME")]
    message_exchange: Option<String>,
    #[arg(long, value_name = "NAME")]
    task_exchange: Option<String>,
    #[arg(long, value_name = "NAME")]
    task_queue: Option<String>,
    #[command(subcommand)]
    command: Command,
}

impl Options {
    fn broker(&self) -> AmqpOptions {
        let options = AmqpOptions::new().connection_name("procession control");
        let options = self.message_exchange.iter().fold(options, AmqpOptions::message_exchange);
        let options = self.task_exchange.iter().fold(options, AmqpOptions::task_exchange);
        self.task_queue.iter().fold(options, AmqpOptions::task_queue)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a process, and prints its outputs
    Launch {
        #[command(flatten)]
        launched: Launched,
        /// Has the worker store the process
        #[arg(long)]
        persist: bool,
    },
    /// Stores a process first, so that it survives its worker also in Python
    Execute(Launched),
    /// Goes on with a stored one, and prints its outputs
    Continue {
        pid: String,
        /// Prints the id, and does not wait for the end
        #[arg(long)]
        nowait: bool,
    },
    /// Prints the status of a process
    Status { pid: String },
    /// Has a process hold
    Pause {
        pid: String,
        #[arg(default_value = "")]
        text: String,
    },
    /// Has a process go on
    Play { pid: String },
    /// Ends a process
    Kill {
        pid: String,
        #[arg(default_value = "")]
        text: String,
        /// Cuts off the step that runs
        #[arg(long)]
        force: bool,
    },
    /// Waits for the end of a process, and prints its state
    Wait { pid: String },
    /// Has all processes hold
    PauseAll {
        #[arg(default_value = "")]
        text: String,
    },
    /// Has all processes go on
    PlayAll,
    /// Ends all processes
    KillAll {
        #[arg(default_value = "")]
        text: String,
    },
}

#[derive(Debug, Args)]
struct Launched {
    process: String,
    /// A JSON object
    #[arg(default_value = "{}", value_parser = inputs)]
    inputs: Map<String, Value>,
    /// Prints the id, and does not wait for the end
    #[arg(long)]
    nowait: bool,
}

fn inputs(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(result) => {
            println!("{}", json!({ "result": result }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Value, StepError> {
    let options = match Options::try_parse() {
        Err(error) if !error.use_stderr() => error.exit(), // it is the help
        options => options?,
    };
    let communicator = AmqpCommunicator::connect(&options.amqp, options.broker()).await?;
    let controller = RemoteProcessController::new(Arc::new(communicator));
    let result = obey(&controller, options.command).await;
    // What was told to all must have left before the end.
    controller.communicator().close().await?;
    result
}

async fn obey(controller: &RemoteProcessController, command: Command) -> Result<Value, StepError> {
    Ok(match command {
        Command::Launch { launched: Launched { process, inputs, nowait }, persist } => {
            let launch = controller.launch_process(process, Value::from(inputs));
            let launch = if persist { launch.persist() } else { launch };
            if nowait { told(&launch.nowait().await?) } else { launch.await?.into() }
        }
        Command::Execute(Launched { process, inputs, nowait }) => {
            let execute = controller.execute_process(process, Value::from(inputs));
            if nowait { told(&execute.nowait().await?) } else { execute.await?.into() }
        }
        Command::Continue { pid, nowait } => {
            let goes_on = controller.continue_process(pid);
            if nowait { told(&goes_on.nowait().await?) } else { goes_on.await?.into() }
        }
        Command::Status { pid } => {
            let status = controller.get_status(pid).await?;
            let ctime = status.ctime.map(Timestamp::as_millis);
            json!({ "state": status.state_text, "paused": status.paused, "process_string": status.process_string,
                "ctime_ms": ctime })
        }
        Command::Pause { pid, text } => controller.pause_process(pid, text).await?.into(),
        Command::Play { pid } => controller.play_process(pid).await?.into(),
        Command::Kill { pid, text, force: true } => controller.kill_process_force(pid, text).await?.into(),
        Command::Kill { pid, text, force: false } => controller.kill_process(pid, text).await?.into(),
        Command::Wait { pid } => controller.wait_for_end(pid, PATIENCE).await?.as_str().into(),
        Command::PauseAll { text } => controller.pause_all(text).await?.into(),
        Command::PlayAll => controller.play_all().await?.into(),
        Command::KillAll { text } => controller.kill_all(text).await?.into(),
    })
}

fn told(pid: &ProcessId) -> Value {
    pid.to_string().into()
}
