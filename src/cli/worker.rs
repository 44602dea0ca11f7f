//! Workers: starts one in this OS process, looks at those of a store, and asks them to drain.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use procession_runtime::launcher::{Worker, WorkerError};
use procession_runtime::store::WorkerRow;
use procession_runtime::{Runtime, WorkerOptions, limits};
use serde_json::{Value, json};

use super::Register;
use super::arguments::seconds;
use super::broker::{Broker, unreached};
use super::config::{Address, Config, Opened};
use super::control::{LOOK, agree};
use super::fault::{Fault, Status};
use super::inspect::registered;
use super::print::{Printer, ago, note, time};
use super::submit::with_channels;

#[derive(Debug, Subcommand)]
pub(super) enum Workers {
    /// Works on the processes of this binary until it is stopped, by SIGTERM or Ctrl-C, or drained
    Start(Start),
    /// Shows the workers of a store
    List,
    /// Asks workers to take nothing more, to let the steps that run end, and to leave
    Drain(Drain),
}

/// What a worker does.
#[derive(Debug, Clone, Args)]
pub(super) struct Start {
    /// Takes processes from this queue; given again, from that, too [default: the queue without a name]
    #[arg(long, value_name = "NAME")]
    queue: Vec<String>,
    /// Runs so many steps at the same time
    #[arg(long, value_name = "COUNT")]
    slots: Option<NonZeroU32>,
    /// After so many seconds without a word from it others take what it has
    #[arg(long, value_name = "SECONDS", value_parser = lease)]
    lease: Option<Duration>,
    /// Steps that run have so many seconds to end when it stops; then they are cut off, and run again elsewhere
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    drain: Option<Duration>,
    /// Says what it would work on, and does nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which workers are to drain.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Drain {
    /// As `worker list` names them: by epoch, or as `HOST:PID`
    #[arg(value_name = "WORKER", required_unless_present = "all")]
    workers: Vec<String>,
    /// All that there are
    #[arg(long, conflicts_with = "workers")]
    all: bool,
    /// Says which it would ask, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask before it drains more than one
    #[arg(long, short)]
    yes: bool,
    /// Waits until they have left
    #[arg(long)]
    wait: bool,
    /// How long at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "wait")]
    within: Duration,
}

/// The shortest one that a busy machine keeps.
const LEASE: Duration = Duration::from_secs(1);

fn lease(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        lease if lease < LEASE => Err("it has to be one second at least".to_owned()),
        lease => Ok(lease),
    }
}

impl Start {
    fn options(&self) -> WorkerOptions {
        let mut options = WorkerOptions::new();
        if !self.queue.is_empty() {
            options = options.queues(&self.queue);
        }
        self.lease.into_iter().fold(options, WorkerOptions::lease)
    }
}

/// Works until it is stopped.
pub(super) async fn start(
    register: &Register,
    config: &Config,
    printer: Printer,
    name: &str,
    start: &Start,
) -> Result<(), Fault> {
    let processes = registered(register).await?.processes();
    if processes.is_empty() {
        let what = format!("`{name}` has no processes of its own, so there is nothing that it could work on");
        return Err(Fault::new(Status::Usage, what)
            .next("start the worker with your own binary, whose `main` calls `procession::cli::main`"));
    }
    let address = config.address_or_made()?;
    let shared = !matches!(address, Address::Files(_));
    if !shared && config.broker().is_none() {
        let what = format!("{address} has one owner, so nobody else could give a worker on it anything to do");
        return Err(Fault::new(Status::Usage, what)
            .next("give it a broker with `--amqp URL`, or use a store that workers share: SQLite or PostgreSQL"));
    }
    let told = Told { printer, name, processes: &processes, address: &address, broker: config.broker(), start };
    if start.dry_run {
        return told.line("would_start", "would work");
    }
    // From now on, so that none is missed.
    let stopped = stop_signal()?;
    let store = config.open_or_make().await?.store;
    let builder = register(Runtime::builder()).shared_store(store);
    let mut builder = with_channels(builder, config, &address).await?;
    if shared {
        builder = builder.worker(start.options());
    }
    if let Some(slots) = start.slots {
        builder = builder.concurrent(usize::try_from(slots.get()).unwrap_or(usize::MAX));
    }
    if let Some(broker) = config.broker() {
        // As many tasks are held that are not stored yet.
        let prefetch = start.slots.map(|slots| u16::try_from(slots.get()).unwrap_or(u16::MAX));
        builder = builder.communicator(broker.connect(prefetch).await?);
    }
    let worker = Worker::new(builder.build().await?).drain(start.drain.unwrap_or(limits::SHUTDOWN));
    let serving = worker.start().await.map_err(|error| failed(error, config))?;
    told.line("ready", "is ready")?;
    let why = tokio::select! {
        () = stopped => "stopped",
        () = serving.runtime().asked_to_drain() => "asked to drain",
    };
    // For people: the steps that run may take a while.
    note(&format!("{why}: waiting for the steps that run"));
    serving.stop().await.map_err(|error| failed(error, config))?;
    // Whoever reads that may be gone, and it has drained all the same.
    let _ = told.line("drained", "has drained");
    Ok(())
}

fn failed(error: WorkerError, config: &Config) -> Fault {
    match (error, config.broker()) {
        (WorkerError::Runtime(error), _) => error.into(),
        (error, Some(broker)) => unreached(&format!("the worker failed at the broker {broker}"), &error),
        (error, None) => Fault::of(Status::Backend, "the worker failed", &error),
    }
}

/// What is told of a worker when it begins and ends.
struct Told<'a> {
    printer: Printer,
    name: &'a str,
    processes: &'a [&'static str],
    address: &'a Address,
    broker: Option<&'a Broker>,
    start: &'a Start,
}

impl Told<'_> {
    /// One line, also of JSON: a program reads the first to know that it is ready.
    fn line(&self, event: &str, words: &str) -> Result<(), Fault> {
        let Self { printer, name, processes, address, broker, start } = self;
        let pid = std::process::id();
        if printer.json {
            let (store, broker) = (address.to_string(), broker.map(ToString::to_string));
            let told = json!({
                "event": event, "pid": pid, "processes": processes, "queues": queues(&start.queue), "store": store,
                "broker": broker,
            });
            return printer.line(&told.to_string());
        }
        let queues: Vec<_> = queues(&start.queue).iter().map(|queue| shown(queue)).collect();
        let broker = broker.map(|broker| format!(" and {broker}")).unwrap_or_default();
        let (processes, queues) = (processes.join(" "), queues.join(" "));
        printer.line(&format!("worker {name} {pid} {words}: {address}{broker}, queues {queues}, processes {processes}"))
    }
}

fn queues(given: &[String]) -> Vec<&str> {
    if given.is_empty() { vec![""] } else { given.iter().map(String::as_str).collect() }
}

fn shown(queue: &str) -> &str {
    if queue.is_empty() { "(default)" } else { queue }
}

/// Ends on SIGTERM and on Ctrl-C. It listens from now on, not only when it is awaited.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, Fault> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| super::run::unheard(&error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
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
fn stop_signal() -> Result<impl Future<Output = ()>, Fault> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// As `HOST:PID`.
fn place(row: &WorkerRow) -> String {
    format!("{}:{}", row.worker.host, row.worker.os_process)
}

pub(super) async fn list(opened: &Opened, printer: Printer) -> Result<(), Fault> {
    let workers = opened.store.workers().await?;
    if printer.json {
        return printer.json(&workers.iter().map(described).collect::<Vec<_>>());
    }
    // Only a program that starts its worker itself tells its version.
    let has_version = workers.iter().any(|row| !row.worker.version.is_empty());
    let rows = workers.iter().map(|row| {
        let queues = row.worker.queues.iter().map(|queue| shown(queue));
        // One that is not heard from is never shown as running.
        let heard = match (row.alive, row.drains) {
            (false, _) => format!("lost, {}", ago(row.heard_at)),
            (true, true) => format!("drains, {}", ago(row.heard_at)),
            (true, false) => ago(row.heard_at),
        };
        let mut cells = vec![row.epoch.0.to_string(), place(row)];
        cells.extend(has_version.then(|| row.worker.version.clone()));
        cells.extend([
            queues.collect::<Vec<_>>().join(" "),
            format!("{}/{}", row.slots_used, row.worker.slots),
            row.owned.to_string(),
            heard,
        ]);
        cells
    });
    let mut head = vec!["epoch", "worker"];
    head.extend(has_version.then_some("version"));
    head.extend(["queues", "slots", "processes", "heard"]);
    printer.table(&head, rows)
}

fn described(row: &WorkerRow) -> Value {
    json!({
        "epoch": row.epoch.0, "host": row.worker.host, "pid": row.worker.os_process, "version": row.worker.version,
        "queues": row.worker.queues, "slots": row.worker.slots, "slots_used": row.slots_used,
        "processes": row.owned, "joined_at": time(row.joined_at), "heard_at": time(row.heard_at),
        "alive": row.alive, "drains": row.drains,
    })
}

pub(super) async fn drain(opened: &Opened, printer: Printer, drain: &Drain) -> Result<(), Fault> {
    let workers = chosen(opened, drain).await?;
    if !drain.dry_run {
        agree("drain", "workers", workers.len(), drain.yes)?;
        for row in &workers {
            // One that has left meanwhile has done what was to be asked of it.
            opened.store.ask_to_drain(row.epoch).await?;
        }
        if drain.wait {
            wait(opened, &workers, drain.within).await?;
        }
    }
    let done = drain.wait && !drain.dry_run;
    if printer.json {
        let epochs: Vec<_> = workers.iter().map(|row| row.epoch.0).collect();
        return printer.json(&json!({"request": "drain", "workers": epochs, "dry_run": drain.dry_run, "done": done}));
    }
    let told = if drain.dry_run { "would be asked to drain" } else { "asked to drain" };
    for row in &workers {
        let done = if done { ", done" } else { "" };
        printer.line(&format!("worker {} {}: {told}{done}", row.epoch.0, place(row)))?;
    }
    printer.line(&format!("{} in all", workers.len()))
}

/// Those that are named, each of which has to be there and alive, or all that are alive.
async fn chosen(opened: &Opened, drain: &Drain) -> Result<Vec<WorkerRow>, Fault> {
    let all = opened.store.workers().await?;
    if drain.all {
        return Ok(all.into_iter().filter(|row| row.alive).collect());
    }
    let mut chosen: Vec<WorkerRow> = Vec::new();
    for name in &drain.workers {
        let named: Vec<_> = all.iter().filter(|row| row.epoch.0.to_string() == *name || place(row) == *name).collect();
        // One OS process may have joined more than once, before it was lost.
        let Some(row) = named.iter().find(|row| row.alive).or(named.first()) else {
            let what = format!("there is no worker `{name}` on {}", opened.address);
            return Err(Fault::new(Status::NotFound, what).next("procession worker list"));
        };
        if !row.alive {
            let what = format!("worker `{name}` is lost: it was heard from last {}", ago(row.heard_at));
            return Err(Fault::new(Status::Refused, what).next("others take what it had; procession worker list"));
        }
        if !chosen.iter().any(|known| known.epoch == row.epoch) {
            chosen.push((*row).clone());
        }
    }
    Ok(chosen)
}

/// Waits until they have left, or are lost.
async fn wait(opened: &Opened, workers: &[WorkerRow], within: Duration) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let there = opened.store.workers().await?;
        let is_there = |row: &&WorkerRow| there.iter().any(|there| there.epoch == row.epoch && there.alive);
        let Some(row) = workers.iter().find(is_there) else { return Ok(()) };
        if begun.elapsed() >= within {
            let what = format!("worker `{}` has not left within {} s; it stays asked to", place(row), within.as_secs());
            return Err(Fault::new(Status::Refused, what)
                .next("it hears of it when it renews its lease, and lets the steps that run end"));
        }
        tokio::time::sleep(LOOK).await;
    }
}
