//! Processes that are reached over a broker alone, whoever has them: a worker of this library, or one of Python's plumpy.
//!
//! A broker knows no processes: it brings what is asked to whoever answers under an id. So a process is named by its whole id, and
//! what only a store has is refused.

use std::fmt;
use std::time::Duration;

use clap::Args;
use procession_runtime::controller::RemoteStatus;
use procession_runtime::{ControlError, ProcessId, RemoteProcessController};
use serde_json::{Value, json};

use super::arguments::{Command, Control};
use super::config::{Given, without_secrets};
use super::control::{self, Asked};
use super::fault::{Fault, Status};
use super::print::{Printer, time};
use super::select::Selected;

/// How long it may take until a worker has taken what is asked, where nobody says how long.
const STATUS: Duration = Duration::from_secs(10);

/// How long the broker may take to be reached: someone waits before a terminal.
#[cfg(feature = "amqp")]
const CONNECT: Duration = Duration::from_secs(5);

/// How the broker is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(super) struct BrokerArguments {
    /// The broker, if there is one: `amqp://USER@HOST/VHOST`
    #[arg(long, global = true, env = "PROCESSION_AMQP", hide_env_values = true, value_name = "URL")]
    pub(super) amqp: Option<Given>,
    #[command(flatten)]
    pub(super) names: Names,
}

/// What workers and those who ask them have in common at the broker; where one is not named, it is called as in plumpy.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Names {
    /// The exchange of calls and broadcasts
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(super) message_exchange: Option<String>,
    /// The exchange of tasks
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(super) task_exchange: Option<String>,
    /// The queue of tasks
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(super) task_queue: Option<String>,
}

impl Names {
    /// These, else those.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            message_exchange: self.message_exchange.or(other.message_exchange),
            task_exchange: self.task_exchange.or(other.task_exchange),
            task_queue: self.task_queue.or(other.task_queue),
        }
    }
}

/// A broker, and what is called how there. A password in its address is never shown.
#[derive(Clone)]
pub(super) struct Broker {
    url: String,
    #[cfg_attr(not(feature = "amqp"), expect(dead_code, reason = "nothing is connected without the feature"))]
    names: Names,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.url))
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Broker {
    pub(super) fn new(url: &Given, names: Names) -> Result<Self, Fault> {
        let url = url.text();
        if url.starts_with("amqp://") || url.starts_with("amqps://") {
            return Ok(Self { url: url.to_owned(), names });
        }
        // What it is may be a password.
        Err(Fault::new(Status::Usage, "the address of the broker is no `amqp://USER@HOST/VHOST`")
            .next("give `--amqp URL`, or set `PROCESSION_AMQP`"))
    }
}

/// That the broker, or something over it, is not reached.
pub(super) fn unreached(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::of(Status::Backend, what, error).next("is it running? give its address with `--amqp URL`")
}

#[cfg(feature = "amqp")]
mod connected {
    use std::sync::Arc;

    use procession_runtime::communicator::{AmqpCommunicator, AmqpOptions, Communicator};
    use procession_transport::{AmqpOptions as ChannelOptions, AmqpTransport, Transport};

    use super::super::fault::Fault;
    use super::{Broker, CONNECT};

    impl Broker {
        /// Connects. A broker that is not there is told at once, and not waited for. A worker holds so many tasks at most that it
        /// has not stored yet.
        pub(in crate::cli) async fn connect(&self, prefetch: Option<u16>) -> Result<Arc<dyn Communicator>, Fault> {
            let Self { url, names } = self;
            let options = AmqpOptions::new().connection_name(format!("procession {}", std::process::id()));
            let options = options.connect_within(CONNECT);
            let options = prefetch.into_iter().fold(options, AmqpOptions::prefetch);
            let options = names.message_exchange.iter().fold(options, AmqpOptions::message_exchange);
            let options = names.task_exchange.iter().fold(options, AmqpOptions::task_exchange);
            let options = names.task_queue.iter().fold(options, AmqpOptions::task_queue);
            match AmqpCommunicator::connect(url, options).await {
                Ok(communicator) => Ok(Arc::new(communicator)),
                Err(error) => Err(super::unreached(&format!("the broker {self} is not reached"), &error)),
            }
        }

        /// Connects what carries streams.
        pub(in crate::cli) async fn channels(&self) -> Result<Arc<dyn Transport>, Fault> {
            let options = ChannelOptions::new(&*self.url).with_connect_within(CONNECT);
            match AmqpTransport::connect(options).await {
                Ok(transport) => Ok(Arc::new(transport)),
                Err(error) => Err(super::unreached(&format!("the broker {self} is not reached"), &error)),
            }
        }
    }
}

#[cfg(not(feature = "amqp"))]
impl Broker {
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn connect(
        &self,
        _: Option<u16>,
    ) -> Result<std::sync::Arc<dyn procession_runtime::communicator::Communicator>, Fault> {
        let Self { names: _, .. } = self;
        Err(without())
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn channels(&self) -> Result<std::sync::Arc<dyn procession_transport::Transport>, Fault> {
        Err(without())
    }
}

#[cfg(not(feature = "amqp"))]
fn without() -> Fault {
    Fault::new(Status::Usage, "this binary was built without the feature `amqp`")
        .next("build it with `--features amqp`")
}

/// Does a command without a store.
pub(super) async fn done(broker: &Broker, printer: Printer, command: Command) -> Result<(), Fault> {
    match command {
        Command::Show(selected) | Command::Status(selected) => status(broker, printer, &selected).await,
        Command::Pause(control) => asked(broker, printer, Asked::Pause, &control).await,
        Command::Play(control) => asked(broker, printer, Asked::Play, &control).await,
        Command::Kill { control, force } => asked(broker, printer, Asked::Kill { force }, &control).await,
        _ => Err(Fault::new(Status::Usage, format!("this needs a store; the broker {broker} knows no processes"))
            .next("give `--store ADDRESS` or set `PROCESSION_STORE`; `submit`, `status`, `pause`, `play` and `kill` need none")),
    }
}

/// A controller that waits so long.
async fn controller(broker: &Broker, within: Duration) -> Result<RemoteProcessController, Fault> {
    let mut deadlines = procession_runtime::communicator::Deadlines::RPC;
    (deadlines.send, deadlines.reply) = (deadlines.send.min(within), within);
    Ok(RemoteProcessController::new(broker.connect(None).await?).with_call_deadlines(deadlines))
}

/// What went wrong, of which process.
fn refused(broker: &Broker, pid: &ProcessId, error: &ControlError) -> Fault {
    match error {
        ControlError::NotAlive(_) => {
            let what =
                format!("nobody answers under the id `{pid}` at {broker}: it has ended, or no worker has it now");
            Fault::new(Status::NotFound, what).next("give the whole id; what has ended is in the store of its worker")
        }
        ControlError::Timeout { within, .. } => {
            let what = format!("process `{pid}` has not answered within {} s; it stays asked for", within.as_secs());
            Fault::new(Status::Refused, what).next("its step may take longer: give `--within SECONDS`")
        }
        ControlError::Remote(_) | ControlError::Cancelled { .. } | ControlError::Reply { .. } => {
            Fault::of(Status::Refused, &format!("process `{pid}` refused"), error)
                .next(format!("procession status {pid}"))
        }
        error => unreached(&format!("process `{pid}` is not reached over {broker}"), error),
    }
}

/// The processes that are named, each once: without a store there is no other way to say which.
fn named(broker: &Broker, selected: &Selected) -> Result<Vec<ProcessId>, Fault> {
    if selected.ids.is_empty() {
        let what = format!("without a store processes are named by their ids; the broker {broker} knows none");
        return Err(Fault::new(Status::Usage, what).next("give ids, or `--store ADDRESS`"));
    }
    let mut pids: Vec<ProcessId> = Vec::with_capacity(selected.ids.len());
    for id in &selected.ids {
        let pid = ProcessId::from(id.as_str());
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Nothing is told where one of them does not answer.
async fn status(broker: &Broker, printer: Printer, selected: &Selected) -> Result<(), Fault> {
    let pids = named(broker, selected)?;
    let controller = controller(broker, STATUS).await?;
    let mut all = Vec::with_capacity(pids.len());
    for pid in &pids {
        match controller.get_status(pid.clone()).await {
            Ok(told) => all.push((pid, told)),
            Err(error) => {
                close(&controller).await;
                return Err(refused(broker, pid, &error));
            }
        }
    }
    close(&controller).await;
    if printer.json {
        let documents: Vec<_> = all.iter().map(|(pid, told)| document(pid, told)).collect();
        return match (&documents[..], selected.id()) {
            ([only], Some(_)) => printer.json(only),
            _ => printer.json(&documents),
        };
    }
    all.iter().try_for_each(|(pid, told)| {
        let paused = if told.paused { ", paused" } else { "" };
        let created = told.ctime.map(|at| format!(", created {}", time(at))).unwrap_or_default();
        printer.line(&format!("{} {pid}: {}{paused}{created}", told.process_string, state(told)))
    })
}

fn state(told: &RemoteStatus) -> &str {
    match &told.state {
        Some(state) => state.as_str(),
        None => &told.state_text,
    }
}

fn document(pid: &ProcessId, told: &RemoteStatus) -> Value {
    json!({
        "id": pid, "state": state(told), "paused": told.paused, "created_at": told.ctime.map(time),
        "told": told.process_string,
    })
}

/// Asks processes for something: the reply comes when it is done.
async fn asked(broker: &Broker, printer: Printer, asked: Asked, control: &Control) -> Result<(), Fault> {
    let pids = named(broker, &control.selected)?;
    if !control.dry_run {
        control::agree(asked.word(), "processes", pids.len(), control.yes)?;
        let controller = controller(broker, control.within).await?;
        let done = each(&controller, asked, control, &pids).await;
        close(&controller).await;
        if let Err((pid, error)) = done {
            return Err(error.map_or_else(|| ended(asked, pid), |error| refused(broker, pid, &error)));
        }
    }
    let done = !control.dry_run;
    if printer.json {
        let request = asked.word();
        return printer.json(&json!({"request": request, "ids": pids, "dry_run": control.dry_run, "done": done}));
    }
    let told = if done { "asked to" } else { "would be asked to" };
    for pid in &pids {
        printer.line(&format!("{pid}: {told} {}{}", asked.word(), if done { ", done" } else { "" }))?;
    }
    printer.line(&format!("{} in all", pids.len()))
}

/// One after the other, until one cannot do it: without an error it has ended.
async fn each<'a>(
    controller: &RemoteProcessController,
    asked: Asked,
    control: &Control,
    pids: &'a [ProcessId],
) -> Result<(), (&'a ProcessId, Option<ControlError>)> {
    let reason = control.reason.clone().unwrap_or_default();
    for pid in pids {
        let done = match asked {
            Asked::Pause => controller.pause_process(pid.clone(), reason.clone()).await,
            Asked::Play => controller.play_process(pid.clone()).await,
            Asked::Kill { force: false } => controller.kill_process(pid.clone(), reason.clone()).await,
            Asked::Kill { force: true } => controller.kill_process_force(pid.clone(), reason.clone()).await,
        };
        match done {
            Ok(true) => {}
            Ok(false) => return Err((pid, None)),
            Err(error) => return Err((pid, Some(error))),
        }
    }
    Ok(())
}

fn ended(asked: Asked, pid: &ProcessId) -> Fault {
    Fault::new(Status::Refused, format!("process `{pid}` did not {}: it has ended", asked.word()))
        .next("how it has ended is in the store of its worker: give `--store ADDRESS`")
}

/// What it was connected for is done, so that a broker that goes away meanwhile does no harm.
async fn close(controller: &RemoteProcessController) {
    let _ = controller.communicator().close().await;
}
