//! Stores a process for whichever worker takes it; and what every launch has in common.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use procession_runtime::store::Record;
use procession_runtime::{
    LaunchingByName, ProcessId, ProcessState, RunError, Runtime, RuntimeBuilder, WorkerOptions, limits,
};
use serde_json::{Map, Value, json};

use super::Register;
use super::config::{Address, Config, Opened};
use super::fault::{Fault, Status};
use super::inspect::registered;
use super::ports;
use super::print::{Printer, note};

/// How long others wait for what a launching OS process had that was killed: whoever killed it waits before a terminal.
const LEASE: Duration = Duration::from_secs(5);

/// How long a step that runs has when its OS process ends: one of another process, as a rule, and it runs again elsewhere.
const LEAVE: Duration = Duration::from_secs(5);

/// What is launched.
#[derive(Debug, Clone, Args)]
pub(super) struct Launched {
    /// The registered name of a process, or the last part of it
    #[arg(value_name = "PROCESS")]
    pub(super) process: Option<String>,
    /// Its inputs, one by one: `port=value`, `namespace.port=value`, or `port:=JSON`
    #[arg(value_name = "PORT=VALUE")]
    pub(super) ports: Vec<String>,
    /// A file with its inputs as a JSON object, or `-` for the standard input; single ones override it
    #[arg(long, value_name = "FILE")]
    pub(super) inputs: Option<PathBuf>,
    /// Its id: whatever is launched with the same one is the same process
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(super) id: Option<String>,
    /// The queue from which workers take it [default: the one without a name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) queue: String,
    /// Workers take those of a greater one first
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    pub(super) priority: i32,
    /// Checks the inputs, says what it would do, and does nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Prints help; with a process, also its ports
    #[arg(long, short)]
    pub(super) help: bool,
}

fn key(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("an id is not empty".to_owned()),
        1..=limits::IDENTIFIER_BYTES => Ok(text.to_owned()),
        _ => Err(format!("an id has at most {} bytes", limits::IDENTIFIER_BYTES)),
    }
}

/// A process and its inputs, which are valid.
pub(super) struct Ready {
    pub(super) process: String,
    pub(super) inputs: Map<String, Value>,
}

impl Launched {
    /// Prints what the command takes, and the ports of the process if one is named.
    pub(super) async fn help(
        &self,
        register: &Register,
        printer: Printer,
        mut command: clap::Command,
    ) -> Result<(), Fault> {
        printer.text(&command.render_help().to_string())?;
        let Some(process) = &self.process else { return Ok(()) };
        let runtime = registered(register).await?;
        let process = ports::named(&runtime, process)?;
        ports::print_help(printer, &process, runtime.spec(&process)?)
    }

    /// Reads the inputs, and checks them as the launch would.
    pub(super) async fn ready(&self, register: &Register, command: &str) -> Result<Ready, Fault> {
        let Some(process) = &self.process else {
            let what = format!("`{command}` needs the name of a process");
            return Err(Fault::new(Status::Usage, what).next("`spec` lists the processes of this binary"));
        };
        let runtime = registered(register).await?;
        let process = ports::named(&runtime, process)?;
        let file = ports::read_file(self.inputs.as_deref())?;
        let inputs = ports::inputs(runtime.spec(&process)?, &self.ports, file)
            .map_err(|faults| ports::refused(&process, &faults).next(format!("{command} {process} --help")))?;
        Ok(Ready { process, inputs })
    }

    /// The launch in a runtime, and under the id that was asked for.
    pub(super) fn launching(&self, runtime: &Runtime, ready: Ready) -> LaunchingByName {
        let launching = runtime.launch_by_name(&ready.process, ready.inputs);
        let launching = self.id.iter().fold(launching, |launching, key| launching.id(key.as_str()).key(key));
        if self.queue.is_empty() && self.priority == 0 {
            return launching;
        }
        launching.queue(&self.queue).priority(self.priority)
    }

    /// The process that has the id already, which has to be of the same type.
    pub(super) async fn known(&self, opened: &Opened, ready: &Ready) -> Result<Option<Record>, Fault> {
        let Some(key) = &self.id else { return Ok(None) };
        let pid = opened.store.find(key).await?.unwrap_or_else(|| ProcessId::from(key.as_str()));
        let Some(record) = opened.store.load(&pid).await? else { return Ok(None) };
        if record.envelope.process == ready.process {
            return Ok(Some(record));
        }
        let what = format!("`{key}` is the id of a process of another type, `{}`", record.envelope.process);
        Err(Fault::new(Status::Refused, what).next(format!("procession show {pid}")))
    }

    /// Says what a launch would do.
    pub(super) async fn would(
        &self,
        config: &Config,
        printer: Printer,
        ready: &Ready,
        verb: &str,
    ) -> Result<(), Fault> {
        let opened = config.open_if_there().await?;
        let known = match &opened {
            Some(opened) => self.known(opened, ready).await?,
            None => None,
        };
        let (process, address, inputs) = (&ready.process, config.address_or_made()?.to_string(), &ready.inputs);
        let known = known.map(|record| record.pid);
        if printer.json {
            return printer.json(&json!({
                "dry_run": true, "request": verb, "process": process, "inputs": inputs, "id": self.id, "known": known,
                "queue": self.queue, "priority": self.priority, "store": address,
            }));
        }
        match known {
            Some(pid) => printer.line(&format!("{process}: would {verb} none, {address} has process {pid}")),
            None => printer.line(&format!("{process}: would {verb} one in {address}, with {}", json!(inputs))),
        }
    }
}

/// A runtime on a store that others may use at the same time, which takes what is in these queues and nobody has.
pub(super) fn builder<'a>(
    register: &Register,
    opened: &Opened,
    queues: impl IntoIterator<Item = &'a str>,
) -> RuntimeBuilder {
    let builder = register(Runtime::builder()).shared_store(Arc::clone(&opened.store));
    match opened.address {
        // It has one owner.
        Address::Files(_) => builder,
        _ => builder.worker(WorkerOptions::new().queues(queues).lease(LEASE)),
    }
}

/// With what carries the streams of its processes, where the store brings nothing along: the broker.
pub(super) async fn with_channels(
    builder: RuntimeBuilder,
    config: &Config,
    address: &Address,
) -> Result<RuntimeBuilder, Fault> {
    match (builder.wants_channels(), address, config.broker()) {
        (None, ..) | (_, Address::Sqlite(_), _) => Ok(builder),
        (Some(_), _, Some(broker)) => Ok(builder.channels(broker.channels().await?)),
        (Some(process), _, None) => Err(RunError::NoChannels { process }.into()),
    }
}

/// Leaves the store: others need not wait for the end of the lease.
pub(super) async fn leave(runtime: &Runtime) -> Result<(), Fault> {
    Ok(runtime.shutdown_within(LEAVE).await?)
}

/// Stores a process, and prints its id.
pub(super) async fn submit(
    config: &Config,
    register: &Register,
    printer: Printer,
    name: &str,
    launched: &Launched,
) -> Result<(), Fault> {
    let ready = launched.ready(register, &format!("{name} submit")).await?;
    if matches!(config.address_or_made()?, Address::Files(_)) {
        let what = "a folder of documents has one owner, so no worker could take the process";
        return Err(Fault::new(Status::Refused, what).next("`run` it, or use SQLite or PostgreSQL"));
    }
    if launched.dry_run {
        return launched.would(config, printer, &ready, "submit").await;
    }
    let opened = config.open_or_make().await?;
    let process = ready.process.clone();
    let (pid, known) = match launched.known(&opened, &ready).await? {
        Some(record) => (record.pid, Some(record.state)),
        None => stored(&opened, register, launched, ready).await?,
    };
    if let Some(state) = known {
        note(&format!("process {pid} is there already, {state}; nothing was submitted"));
    }
    if printer.json {
        return printer.json(&json!({"id": pid, "process": process, "new": known.is_none()}));
    }
    printer.line(&pid.to_string())
}

/// The process that is stored now, and the state of one that someone else has stored since it was looked for.
async fn stored(
    opened: &Opened,
    register: &Register,
    launched: &Launched,
    ready: Ready,
) -> Result<(ProcessId, Option<ProcessState>), Fault> {
    let runtime = builder(register, opened, None).build().await?;
    let stored = async {
        let handle = launched.launching(&runtime, ready).anywhere().await?;
        let known = if handle.is_new() { None } else { Some(handle.status().await?.state) };
        Ok((handle.pid().clone(), known))
    };
    let stored: Result<_, RunError> = stored.await;
    let left = leave(&runtime).await;
    let stored = stored?;
    left?;
    Ok(stored)
}
