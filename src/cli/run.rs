//! Runs a process in the foreground, and goes on with one whose OS process was stopped or killed.

#[cfg(unix)]
use std::io;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use procession_runtime::process::{Ended, Termination};
use procession_runtime::store::Record;
use procession_runtime::{AnyHandle, ProcessId, Runtime};
use serde_json::json;

use super::Register;
use super::config::{Address, Config, Opened};
use super::fault::{Fault, PARKED, Status};
use super::inspect::registered;
use super::live;
use super::print::{Printer, note};
use super::select::{not_found, record};
use super::submit::{Launched, builder, leave, with_channels};

/// So many processes are read at once where one is looked for.
const PAGE: usize = 1_000;

/// How long what is shown may take to catch up with the end.
const SHOWN: Duration = Duration::from_secs(2);

/// How long it may take to cut off a step.
const CUT: Duration = Duration::from_secs(2);

/// How often it is looked whether the process is still had here.
const LOOK: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Debug, Clone, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) launched: Launched,
    /// Goes on with this process, which was stopped or killed: its id, or the beginning of it
    #[arg(long = "continue", value_name = "ID", conflicts_with_all = ["process", "ports", "inputs", "id", "queue", "priority"])]
    pub(super) goes_on: Option<String>,
}

/// Where a command runs that runs processes.
pub(super) struct Place<'a> {
    pub(super) config: &'a Config,
    pub(super) register: &'a Register,
    pub(super) printer: Printer,
    /// The name of the binary.
    pub(super) name: &'a str,
}

/// Runs until the process has ended, or the command is interrupted.
pub(super) async fn run(place: &Place<'_>, run: &Run) -> Result<(), Fault> {
    if let Some(id) = &run.goes_on {
        let opened = place.config.open_to_run().await?;
        let record = record(&opened, id).await?;
        if run.launched.dry_run {
            return would_go_on(place.printer, &record);
        }
        return go_on(place, &opened, record, Interrupts::listen()?).await;
    }
    let Launched { dry_run, .. } = run.launched;
    let ready = run.launched.ready(place.register, &format!("{} run", place.name)).await?;
    if dry_run {
        return run.launched.would(place.config, place.printer, &ready, "run").await;
    }
    let opened = place.config.open_or_make().await?;
    let mut interrupts = Interrupts::listen()?;
    if let Some(record) = run.launched.known(&opened, &ready).await? {
        return go_on_with_known(place, &opened, record, interrupts).await;
    }
    // It takes nothing that it has not launched itself.
    let runtime = runtime(place, &opened, None).await?;
    let seen = match run.launched.launching(&runtime, ready).await {
        Ok(handle) if handle.is_new() => watch(place, &opened, &runtime, &handle, &mut interrupts).await,
        // Someone has launched it since it was looked for.
        Ok(handle) => Ok(Seen::Known(handle.pid().clone())),
        Err(error) => Err(error.into()),
    };
    finish(place, &opened, runtime, seen, interrupts).await
}

/// Says that it is another's, and goes on as with any other that is there.
async fn go_on_with_known(
    place: &Place<'_>,
    opened: &Opened,
    record: Record,
    interrupts: Interrupts,
) -> Result<(), Fault> {
    note(&format!("process {} is there already, {}; its inputs are those that it has", record.pid, record.state));
    go_on(place, opened, record, interrupts).await
}

/// Takes what is in this queue, if any, and lets processes be reached over the broker, if there is one.
async fn runtime(place: &Place<'_>, opened: &Opened, queue: Option<&str>) -> Result<Runtime, Fault> {
    let builder = builder(place.register, opened, queue);
    let mut builder = with_channels(builder, place.config, &opened.address).await?;
    if let Some(broker) = place.config.broker() {
        builder = builder.communicator(broker.connect(None).await?);
    }
    Ok(builder.build().await?)
}

fn would_go_on(printer: Printer, record: &Record) -> Result<(), Fault> {
    let (pid, process, ended) = (&record.pid, &record.envelope.process, record.state.is_terminal());
    if printer.json {
        return printer
            .json(&json!({"dry_run": true, "request": "continue", "process": process, "id": pid, "ended": ended}));
    }
    let would = if ended { "has ended; there is nothing to go on with" } else { "would go on with it" };
    printer.line(&format!("{process} {pid}: {would}"))
}

/// Goes on with a process that nobody has, or looks on while another worker does.
async fn go_on(place: &Place<'_>, opened: &Opened, record: Record, interrupts: Interrupts) -> Result<(), Fault> {
    let pid = &record.pid;
    let unreadable = |error| {
        Fault::new(Status::Backend, format!("the end of process `{pid}` cannot be read: {error}"))
            .next("a newer program may have written it: update this one")
    };
    if let Some(termination) = record.termination().map_err(unreadable)? {
        return ended(place, pid, &record.envelope.process, &termination);
    }
    if let Some(reason) = record.parked {
        let what = format!("process `{pid}` is parked: {reason}");
        return Err(Fault::new(Status::Refused, what).next(PARKED));
    }
    registered(place.register).await?.spec(&record.envelope.process)?;
    claim(place, opened, record.pid, interrupts).await
}

/// Waits until it can have the process, and runs it. Meanwhile it takes what else nobody has in the same queue: it is a worker.
async fn claim(place: &Place<'_>, opened: &Opened, pid: ProcessId, mut interrupts: Interrupts) -> Result<(), Fault> {
    let queue = queue(opened, &pid).await?;
    let runtime = runtime(place, opened, queue.as_deref()).await?;
    let seen = match runtime.attach(&pid).await {
        Ok(handle) => watch(place, opened, &runtime, &handle, &mut interrupts).await,
        Err(error) => Err(error.into()),
    };
    Box::pin(finish(place, opened, runtime, seen, interrupts)).await
}

/// The queue of a process; none if it has ended meanwhile, and nothing is to be claimed for it. Says so where another worker has the process.
async fn queue(opened: &Opened, pid: &ProcessId) -> Result<Option<String>, Fault> {
    let mut after = None;
    loop {
        let page = opened.store.standing(after, PAGE).await?;
        if let Some(found) = page.standings.into_iter().find(|standing| standing.pid == *pid) {
            if let (Some((epoch, true)), false) = (found.owner, matches!(opened.address, Address::Files(_))) {
                note(&format!("process {pid} is in worker {}; it goes on here once that one is gone", epoch.0));
            }
            return Ok(Some(found.queue));
        }
        after = page.next;
        if after.is_none() {
            return Ok(None);
        }
    }
}

/// What became of a process while it was looked at.
enum Seen {
    /// Another has launched it.
    Known(ProcessId),
    Ended(ProcessId, String, Termination),
    /// Whoever runs the command has had enough of it.
    Interrupted(ProcessId),
    /// The process is others' to go on with: this OS process was held up for too long.
    Lost(ProcessId),
}

/// Looks at a process until it has ended.
async fn watch(
    place: &Place<'_>,
    opened: &Opened,
    runtime: &Runtime,
    handle: &AnyHandle,
    interrupts: &mut Interrupts,
) -> Result<Seen, Fault> {
    let pid = handle.pid();
    let mut shown = pin!(live::follow(place.register, opened, place.printer, pid));
    let mut end = pin!(handle.termination());
    let mut is_shown = false;
    let end = loop {
        tokio::select! {
            biased;
            end = &mut end => break end,
            () = interrupts.next() => return Ok(Seen::Interrupted(pid.clone())),
            () = runtime.asked_to_drain() => return Ok(Seen::Interrupted(pid.clone())),
            // What cannot be shown ends no process.
            _ = &mut shown, if !is_shown => is_shown = true,
            () = tokio::time::sleep(LOOK) => {
                if runtime.health().await.counted.leases_lost > 0 {
                    return Ok(Seen::Lost(pid.clone()));
                }
            }
        }
    };
    if !is_shown && end.is_ok() {
        let _ = tokio::time::timeout(SHOWN, shown).await;
    }
    Ok(Seen::Ended(pid.clone(), handle.process().to_owned(), end?))
}

/// Leaves the store, and tells what came of it.
async fn finish(
    place: &Place<'_>,
    opened: &Opened,
    runtime: Runtime,
    seen: Result<Seen, Fault>,
    mut interrupts: Interrupts,
) -> Result<(), Fault> {
    if let Ok(Seen::Interrupted(_)) = &seen {
        note("interrupted: waits for the step that runs; once more cuts it off");
        tokio::select! {
            left = runtime.shutdown() => left?,
            () = interrupts.next() => {
                // One that blocks its thread cannot be cut off, and ends with this OS process.
                let cut = tokio::time::timeout(CUT, runtime.shutdown_within(Duration::ZERO)).await;
                cut.unwrap_or(Ok(()))?;
            }
        }
    } else {
        leave(&runtime).await?;
    }
    if let Some(communicator) = runtime.communicator() {
        // What cannot be told any more is stored, and told by others.
        let _ = communicator.close().await;
    }
    drop(runtime);
    match seen? {
        Seen::Known(pid) => {
            let found = opened.store.load(&pid).await?.ok_or_else(|| not_found(opened, &pid.to_string()))?;
            go_on_with_known(place, opened, found, interrupts).await
        }
        Seen::Ended(pid, process, termination) => ended(place, &pid, &process, &termination),
        Seen::Interrupted(pid) => {
            let what = format!("interrupted; process `{pid}` stays in {}", opened.address);
            Err(Fault::new(Status::Interrupted, what).next(format!("{} run --continue {pid}", place.name)))
        }
        Seen::Lost(pid) => {
            note(&format!(
                "this OS process was held up for too long: process {pid} is gone on with as soon as nobody has it"
            ));
            claim(place, opened, pid, interrupts).await
        }
    }
}

/// Prints how a process has ended. One that failed is a fault.
fn ended(place: &Place<'_>, pid: &ProcessId, process: &str, termination: &Termination) -> Result<(), Fault> {
    let Termination { ended, outputs, .. } = termination;
    let code = match ended {
        Ended::Finished { .. } => Some(0),
        Ended::Exited { exit } => Some(exit.number),
        _ => None,
    };
    let error = (!ended.is_successful()).then(|| ended.to_string());
    let printer = place.printer;
    if printer.json {
        printer.json(&json!({
            "id": pid, "process": process, "state": ended.state().as_str(), "exit_code": code, "error": error,
            "outputs": outputs,
        }))?;
    } else if ended.is_successful() || !outputs.is_empty() {
        printer.json(outputs)?;
    }
    let Some(error) = error else { return Ok(()) };
    Err(Fault::new(Status::Failed, format!("process `{pid}` has failed: {error}"))
        .next(format!("{} report {pid}", place.name)))
}

/// Nothing would end a command in order.
#[cfg(unix)]
pub(super) fn unheard(error: &io::Error) -> Fault {
    Fault::io("signals cannot be listened for", error)
}

/// Ctrl-C, and SIGTERM where there is such a thing. It listens from the beginning, not only when it is awaited.
struct Interrupts {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Interrupts {
    #[cfg(unix)]
    fn listen() -> Result<Self, Fault> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| unheard(&error));
        Ok(Self { signals: [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?] })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn listen() -> Result<Self, Fault> {
        Ok(Self {})
    }

    /// The next one.
    #[cfg(unix)]
    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    /// The next one.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
