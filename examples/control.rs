//! Controls processes in workers of this library, such as the example `worker`, and in those of Python's plumpy.
//!
//! ```text
//! cargo run --example control --features amqp -- --amqp URL [--message-exchange NAME] [--task-exchange NAME]
//!     [--task-queue NAME] COMMAND
//!
//! launch PROCESS [INPUTS]     runs a process, and prints its outputs; INPUTS is a JSON object
//! execute PROCESS [INPUTS]    stores it first, so that it survives its worker also in Python
//! continue PID                goes on with a stored one, and prints its outputs
//! status PID    pause PID [TEXT]    play PID    kill PID [TEXT]
//! wait PID                    waits for its end, and prints its state
//! pause-all [TEXT]    play-all    kill-all [TEXT]
//!
//! --nowait    launch, execute and continue print the id of the process, and do not wait for its end
//! --persist   launch has the worker store the process
//! --force     kill cuts off the step that runs
//! ```
//!
//! It prints one line of JSON: `{"result": …}`, or `{"error": …}` and ends with code 1.
//! `control … execute procession_examples:AddProcess '{"a": 2}'` prints `{"result":{"sum":3}}`.

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

struct Options {
    url: String,
    amqp: AmqpOptions,
    nowait: bool,
    persist: bool,
    force: bool,
    /// The command and what follows it.
    words: Vec<String>,
}

impl Options {
    fn from_arguments() -> Result<Self, StepError> {
        let mut options = Self {
            url: String::new(),
            amqp: AmqpOptions::new().connection_name("procession control"),
            nowait: false,
            persist: false,
            force: false,
            words: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(word) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--amqp" => options.url = value()?,
                "--message-exchange" => options.amqp = options.amqp.message_exchange(value()?),
                "--task-exchange" => options.amqp = options.amqp.task_exchange(value()?),
                "--task-queue" => options.amqp = options.amqp.task_queue(value()?),
                "--nowait" => options.nowait = true,
                "--persist" => options.persist = true,
                "--force" => options.force = true,
                unknown if unknown.starts_with("--") => return Err(format!("unknown option {unknown}").into()),
                _ => options.words.push(word),
            }
        }
        if options.url.is_empty() || options.words.is_empty() {
            return Err("--amqp URL and a command are needed".into());
        }
        Ok(options)
    }

    /// The word after the command.
    fn subject(&self, what: &str) -> Result<&str, StepError> {
        Ok(self.words.get(1).ok_or_else(|| format!("`{}` needs {what}", self.words[0]))?)
    }

    fn pid(&self) -> Result<ProcessId, StepError> {
        Ok(self.subject("the id of a process")?.into())
    }

    /// The text at the end, or none.
    fn text(&self, at: usize) -> &str {
        self.words.get(at).map(String::as_str).unwrap_or_default()
    }

    fn inputs(&self) -> Result<Value, StepError> {
        match self.words.get(2) {
            None => Ok(json!({})),
            Some(inputs) => {
                let inputs: Map<String, Value> =
                    serde_json::from_str(inputs).map_err(|error| format!("the inputs are no JSON object: {error}"))?;
                Ok(inputs.into())
            }
        }
    }
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
    let options = Options::from_arguments()?;
    let communicator = AmqpCommunicator::connect(&options.url, options.amqp.clone()).await?;
    let controller = RemoteProcessController::new(Arc::new(communicator));
    let result = obey(&controller, &options).await;
    // What was told to all must have left before the end.
    controller.communicator().close().await?;
    result
}

async fn obey(controller: &RemoteProcessController, options: &Options) -> Result<Value, StepError> {
    Ok(match options.words[0].as_str() {
        "launch" => {
            let launch = controller.launch_process(options.subject("the name of a process")?, options.inputs()?);
            let launch = if options.persist { launch.persist() } else { launch };
            if options.nowait { told(&launch.nowait().await?) } else { launch.await?.into() }
        }
        "execute" => {
            let execute = controller.execute_process(options.subject("the name of a process")?, options.inputs()?);
            if options.nowait { told(&execute.nowait().await?) } else { execute.await?.into() }
        }
        "continue" => {
            let goes_on = controller.continue_process(options.pid()?);
            if options.nowait { told(&goes_on.nowait().await?) } else { goes_on.await?.into() }
        }
        "status" => {
            let status = controller.get_status(options.pid()?).await?;
            let ctime = status.ctime.map(Timestamp::as_millis);
            json!({ "state": status.state_text, "paused": status.paused, "process_string": status.process_string,
                "ctime_ms": ctime })
        }
        "pause" => controller.pause_process(options.pid()?, options.text(2)).await?.into(),
        "play" => controller.play_process(options.pid()?).await?.into(),
        "kill" if options.force => controller.kill_process_force(options.pid()?, options.text(2)).await?.into(),
        "kill" => controller.kill_process(options.pid()?, options.text(2)).await?.into(),
        "wait" => controller.wait_for_end(options.pid()?, PATIENCE).await?.as_str().into(),
        "pause-all" => controller.pause_all(options.text(1)).await?.into(),
        "play-all" => controller.play_all().await?.into(),
        "kill-all" => controller.kill_all(options.text(1)).await?.into(),
        unknown => return Err(format!("there is no command `{unknown}`").into()),
    })
}

fn told(pid: &ProcessId) -> Value {
    pid.to_string().into()
}
