//! `submit` without a store: a task at the broker, for a worker of this library or of Python's plumpy.

use std::time::Duration;

use procession_runtime::communicator::Deadlines;
use procession_runtime::{ControlError, ProcessId, RemoteProcessController};
use serde_json::{Map, Value, json};

use super::Register;
use super::broker::{Broker, unreached};
use super::fault::{Fault, Status};
use super::inspect::registered;
use super::ports;
use super::print::Printer;
use super::submit::Launched;

/// How long a worker may take to create the process.
const TAKEN: Duration = Duration::from_secs(60);

/// Has a worker create the process and store it, and one go on with it; prints its id. Under the same id it is the same task, for
/// a worker that keeps account of them.
pub(super) async fn submit(
    broker: &Broker,
    register: &Register,
    printer: Printer,
    name: &str,
    launched: &Launched,
) -> Result<(), Fault> {
    if !launched.queue.is_empty() || launched.priority != 0 {
        let what = "a task at a broker has no queue of a store, and no priority";
        return Err(Fault::new(Status::Usage, what).next("give `--task-queue NAME`, or a store with `--store ADDRESS`"));
    }
    let (process, inputs) = inputs(register, name, launched).await?;
    if launched.dry_run {
        return if printer.json {
            printer.json(&json!({
                "dry_run": true, "request": "submit", "process": process, "inputs": inputs, "id": launched.id,
                "broker": broker.to_string(),
            }))
        } else {
            printer.line(&format!("{process}: would submit one at {broker}, with {}", Value::from(inputs)))
        };
    }
    let deadlines = Deadlines { reply: TAKEN, ..Deadlines::TASK };
    let controller = RemoteProcessController::new(broker.connect(None).await?);
    let sent = controller.execute_process(&process, Value::Object(inputs)).deadlines(deadlines);
    let sent = launched.id.iter().fold(sent, |sent, id| sent.id(id.as_str())).no_reply().await;
    let _ = controller.communicator().close().await;
    let pid = sent.map_err(|error| refused(broker, &process, &error))?;
    if printer.json { printer.json(&json!({"id": pid, "process": process})) } else { printer.line(&pid.to_string()) }
}

/// Of a process of this binary they are checked; those of another go as they are: `port:=value` is JSON, and any other a text.
async fn inputs(register: &Register, binary: &str, launched: &Launched) -> Result<(String, Map<String, Value>), Fault> {
    let name = launched.process.as_deref().unwrap_or_default();
    let runtime = registered(register).await?;
    if name.is_empty() || ports::named(&runtime, name).is_ok() {
        let ready = launched.ready(register, &format!("{binary} submit")).await?;
        return Ok((ready.process, ready.inputs));
    }
    let mut inputs = ports::read_file(launched.inputs.as_deref())?;
    for given in &launched.ports {
        let fault = |what: &str| {
            Fault::new(Status::Usage, format!("`{given}`: {what}")).next("give it as `port=value`, or as `port:=JSON`")
        };
        let (path, text) = given.split_once('=').ok_or_else(|| fault("it is no `port=value`"))?;
        let value = match path.strip_suffix(':') {
            Some(_) => serde_json::from_str(text).map_err(|error| fault(&format!("it is no JSON: {error}")))?,
            None => Value::from(text),
        };
        let path = path.strip_suffix(':').unwrap_or(path);
        if path.is_empty() || path.contains('.') {
            return Err(fault("the binary does not have the process, so it takes the name of a port without dots")
                .next("give `--inputs FILE`"));
        }
        inputs.insert(path.to_owned(), value);
    }
    Ok((name.to_owned(), inputs))
}

fn refused(broker: &Broker, process: &str, error: &ControlError) -> Fault {
    let unknown = |pid: &ProcessId| format!("`{process}` was created as {pid}, but it is not known that it goes on");
    match error {
        ControlError::Timeout { .. } => {
            let within = TAKEN.as_secs();
            let what = format!("no worker at {broker} has taken `{process}` within {within} s; it stays in the queue");
            Fault::new(Status::Refused, what).next("is a worker running, on the same `--task-queue`?")
        }
        ControlError::NotContinued { pid, source } => {
            Fault::of(Status::Backend, &unknown(pid), source).next(format!("procession status {pid}"))
        }
        ControlError::Remote(_) | ControlError::Cancelled { .. } | ControlError::Reply { .. } => {
            Fault::of(Status::Refused, &format!("the worker refused `{process}`"), error)
                .next("`spec PROCESS` of a binary that has it tells what it takes")
        }
        error => unreached(&format!("`{process}` was not submitted at {broker}"), error),
    }
}
