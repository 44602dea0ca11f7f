//! The command line: looks at processes, and controls them.
//!
//! `procession` is a binary of its own, for any store. A program that has processes gets the same commands, and those that
//! need the processes, by one call:
//!
//! ```no_run
//! use procession::prelude::*;
//!
//! #[process]
//! #[derive(Default)]
//! struct Greet {}
//! spec! { Greet { input name: String; output greeting: String; } }
//! outline! { Greet { greet => greeting; } }
//! impl Greet {
//!     fn greet(&mut self, cx: &mut Cx<Self>) -> String {
//!         format!("hello {}", cx.inputs().name)
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     procession::cli::main(|runtime| runtime.register::<Greet>())
//! }
//! ```
//!
//! # Where the processes are
//! `--store`, else the environment's `PROCESSION_STORE`, else `store` in the file that `--config` or `PROCESSION_CONFIG` names, or
//! in `procession.toml` of the present folder; else `procession.db` there. Passwords are never shown.
//!
//! Likewise the broker: `--amqp`, else `PROCESSION_AMQP`, else `amqp` in the file; and what is called how there, by
//! `--message-exchange`, `--task-exchange` and `--task-queue`, else by the file, where these are written with `_`; else as in plumpy.
//! A worker takes tasks from it and answers calls over it.
//!
//! Where there is a store, what is asked of processes is written there, so that it needs no broker and outlives whoever has the
//! processes. Where there is only a broker, `submit`, `status`, `show`, `pause`, `play` and `kill` go over it, to workers of this library and
//! of Python's plumpy alike; the rest needs a store.
//!
//! # Running
//! `run PROCESS port=value …` runs a process of the binary until it has ended, and prints its outputs; `submit` stores one for a
//! worker, and prints its id. Both make the store where there is none, and refuse inputs with all that is wrong with them.
//! `run PROCESS --help` lists the ports; `spec PROCESS --example` prints inputs that `--inputs FILE` takes.
//!
//! A value is read as the type of its port: texts as they are, numbers, booleans, spans of time such as `90s`, `none` for an
//! optional port, and JSON for what is nested. `port:=value` is JSON for every type.
//!
//! Others can look at the process meanwhile and control it. When `run` was interrupted, or killed, the process stays as it was after its
//! last step, and `run --continue ID` goes on with it; a worker does so, too.
//!
//! With `--json`, `run` writes `id`, `process`, `state`, `exit_code` (0 for success, none for what excepted or was killed), `error`
//! and `outputs`; `submit` writes `id`, `process` and whether it is `new`. With `--dry-run` both write `dry_run`, `request`,
//! `process`, `inputs`, `id`, `queue`, `priority`, `store`, and in `known` the process that has the id already.
//!
//! # Which processes
//! By id, or by the beginning of one that no other id has; by `--where` with a [filter](crate::store::Filter), or by `--tree`, which is a
//! process and all below it; or by both of these. A command that changes processes leaves out those that have ended, where they are
//! not named. It is a fault (3) that one that is named is not there, and none that no process is like a filter; more than 10,000
//! are refused (2).
//!
//! `show`, `events` and `checkpoint list` tell of one after another, below a line that names each where it is not one id that is
//! given. `status` and `report` tell of all below a process with it, and of one that is below another one once. `graph`,
//! `checkpoint show` and `checkpoint diff` are about one process: with `--where`, it has to be the only one that is like that.
//!
//! # Working
//! `worker start` works on the processes of the binary until SIGTERM, Ctrl-C or `worker drain`; how is told [elsewhere](crate::working).
//!
//! # Moving
//! `export` writes processes whole, and `import` reads them into another store: a line of JSON for each, below a line with
//! `"procession":"export"`, `format` and `version`; each other line is a [`Bundle`](crate::store::Bundle).
//!
//! # Exit status
//! 0: it is done. 1: the process failed, or something is the matter. 2: the command is not understood. 3: there is no such process.
//! 4: the process is not in a state for it, or it was not done in time. 5: the store is not reached, or damaged. 130: `run` was
//! interrupted, and the process can be gone on with; or `watch` was, and nothing has changed. `list --watch` ends with Ctrl-C, and 0.
//!
//! # For programs
//! With `--json` every command that reads writes one JSON document to the standard output, and nothing else; what went wrong is
//! on the standard error. Fields are only ever added. `watch` alone writes a document for each change, on a line of its own.
//!
//! Where one id is given, and neither `--where` nor `--tree`, `show`, `events` and `checkpoint list` write what they tell of that
//! process. Otherwise they write an array, with an element for each process that is found, the oldest first, or in the order of the
//! ids or of the tree: what `show` tells, or `id`, `process`, and what the others tell under `events` or `checkpoints`. `status` and
//! `report` write the same document however many are meant: `processes`, those that are below no other one with the `depth` 0, and
//! whether there are `more`; lines in order of time, with `at`, `id`, `process` and `text`, the latest 100,000.
//!
//! What `status` and `watch` tell of a process is what `show` tells, and `depth` in the tree; `attempt`, which counts how often it
//! was tried to come from its last step to the next: 1, and one more for each time since then that a worker was lost with it and
//! another took it, or that a worker could not load it; null once it has ended or is parked; a store that has one owner counts none of
//! these; `step_number` of `outline_steps` and the `round` of the innermost loop, where the binary has the process; `children`
//! (`all`, `ended`) that it waits for; `progress` (`done`, `total`, `percent`, `left_ms`, `at`); its `owner` (`epoch`, `alive`,
//! `host`, `pid`, `heard_at`), which is not `alive` once it was not heard from in time; `active_ms` and `waited_ms` of one that has
//! not ended. `inputs` and `outputs` are read when it is written, after all else. What is not known is null. `watch` adds the time
//! as `at`. In a list, `worker_lost` says that a process would run, and its worker was not heard from.
//!
//! `events` has `at`, `from`, `to`, `point`, `steps`, `after_ms`, which is `took_ms` of what ran and `waited_ms` of what did not,
//! and `attempt`: 1, and one more each time that the process was brought back to a checkpoint, which is not the `attempt` of
//! `status`; that one is in the last line of the words. `checkpoint diff` has `changes` (`path`, `old`, `new`; what was not there,
//! or is not any more, is left out). `worker start` writes a line of JSON with the `event` `ready` when it takes processes, and one
//! with `drained` at its end. `pause`, `play`, `kill`, `worker drain` and `import` tell `ids` or `workers`, whether it was a
//! `dry_run`, and whether it is `done`; over a broker, `status` has `id`, `state`, `paused`, `created_at` and `told`, which is what
//! the other side says of the process, and is an array where not one id is given. `checkpoint list` has `tag`, `at`,
//! `state` and `steps`.
//!
//! # On a terminal
//! `status`, `watch` and `list --watch` write as much as the terminal is wide and high; without colours where `NO_COLOR` is set. A process
//! whose worker was not heard from is never shown as running. Where there is no terminal, `watch` writes a line for each change.

mod arguments;
mod broker;
mod checkpoint;
mod config;
mod control;
mod difference;
mod each;
mod events;
mod fault;
mod graph;
mod inspect;
mod list;
mod live;
mod ports;
mod print;
mod report;
mod run;
mod select;
mod show;
mod submit;
mod task;
mod transfer;
mod watch;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use procession_runtime::RuntimeBuilder;

use self::arguments::{Arguments, Command};
use self::checkpoint::Checkpoints;
use self::config::Config;
use self::control::Asked;
use self::each::each;
use self::fault::{Fault, Status};
use self::print::Printer;
use self::worker::Workers;

/// Registers the processes of a binary, and what they need.
type Register = dyn Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync;

/// Does what the arguments of the program say, with its processes: to be called by `main`.
pub fn main(register: impl Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync + 'static) -> ExitCode {
    main_with(std::env::args_os(), register)
}

/// As [`main`], with these arguments; the first is the name of the program.
pub fn main_with(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    register: impl Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync + 'static,
) -> ExitCode {
    let arguments = arguments.into_iter().map(Into::into).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return told(&Fault::io("the threads of this command cannot be started", &error).next(fault::THREADS));
        }
    };
    let code = runtime.block_on(begin(arguments, &register));
    // A step that blocks its thread keeps nobody from the end.
    runtime.shutdown_background();
    code
}

fn command(name: &str) -> clap::Command {
    Arguments::command().bin_name(name).version(env!("CARGO_PKG_VERSION"))
}

/// A command that prints its help by itself.
fn help_of(name: &str, subcommand: &str) -> clap::Command {
    let mut command = command(name);
    command.build();
    command.find_subcommand(subcommand).cloned().unwrap_or(command)
}

async fn begin(arguments: Vec<OsString>, register: &Register) -> ExitCode {
    let name = arguments.first().map(std::path::Path::new).and_then(|path| path.file_stem());
    let name = name.and_then(|name| name.to_str()).unwrap_or("procession").to_owned();
    let parsed =
        command(&name).try_get_matches_from(arguments).and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no faults.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Status::Usage as u8));
        }
    };
    match done(arguments, name, register).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => told(&fault),
    }
}

fn told(fault: &Fault) -> ExitCode {
    print::note(&fault.to_string());
    fault.code()
}

async fn done(arguments: Arguments, name: String, register: &Register) -> Result<(), Fault> {
    let Arguments { common, command: asked } = arguments;
    let printer = Printer { json: common.json };
    match &asked {
        Command::Spec { process, json_schema, example } => {
            let shown = inspect::Shown { schema: *json_schema, example: *example };
            return inspect::spec(register, printer, process.as_deref(), shown).await;
        }
        Command::Completions { shell } => {
            let mut completions = Vec::new();
            clap_complete::generate(*shell, &mut command(&name), name, &mut completions);
            return printer.text(&String::from_utf8_lossy(&completions));
        }
        Command::Graph(drawn) => {
            if let Some(name) = &drawn.subject
                && let Some(picture) = graph::of_process(register, name).await?
            {
                return graph::draw(&picture, printer, drawn.format);
            }
        }
        Command::Run(run) if run.launched.help => {
            return run.launched.help(register, printer, help_of(&name, "run")).await;
        }
        Command::Submit(launched) if launched.help => {
            return launched.help(register, printer, help_of(&name, "submit")).await;
        }
        _ => {}
    }
    let config = Config::of(&common)?;
    match &asked {
        Command::Run(run) => run::run(&run::Place { config: &config, register, printer, name: &name }, run).await,
        Command::Worker(Workers::Start(start)) => worker::start(register, &config, printer, &name, start).await,
        Command::Submit(launched) => match config.broker_alone() {
            Some(broker) => task::submit(broker, register, printer, &name, launched).await,
            None => submit::submit(&config, register, printer, &name, launched).await,
        },
        _ => match config.broker_alone() {
            Some(broker) => broker::done(broker, printer, asked).await,
            None => in_store(asked, &config, printer, register).await,
        },
    }
}

/// Does what is done in a store, which has to be there.
async fn in_store(asked: Command, config: &Config, printer: Printer, register: &Register) -> Result<(), Fault> {
    let opened = &match &asked {
        // It may be the first to write there.
        Command::Import(_) => config.open_or_make().await?,
        _ => config.open().await?,
    };
    match asked {
        Command::List(list) => list::list(opened, printer, &list).await,
        Command::Show(selected) => {
            each(opened, printer, &selected, None, async |record: &_| show::show(opened, printer, record).await).await
        }
        Command::Status(selected) => live::status(register, opened, printer, &selected).await,
        Command::Watch(watched) => watch::watch(register, opened, printer, &watched).await,
        Command::Report(selected) => report::report(opened, printer, &selected).await,
        Command::Events(selected) => {
            let events = async |record: &_| events::events(opened, printer, record).await;
            each(opened, printer, &selected, Some("events"), events).await
        }
        Command::Pause(control) => control::control(opened, printer, Asked::Pause, &control).await,
        Command::Play(control) => control::control(opened, printer, Asked::Play, &control).await,
        Command::Kill { control, force } => control::control(opened, printer, Asked::Kill { force }, &control).await,
        Command::Graph(drawn) => graph::draw(&graph::of_run(register, opened, &drawn).await?, printer, drawn.format),
        Command::Worker(Workers::List) => worker::list(opened, printer).await,
        Command::Worker(Workers::Drain(drain)) => worker::drain(opened, printer, &drain).await,
        Command::Export(export) => transfer::export(opened, printer, &export).await,
        Command::Import(import) => transfer::import(opened, printer, &import).await,
        Command::Doctor { repair, dry_run } => inspect::doctor(opened, printer, repair, dry_run).await,
        Command::Checkpoint(Checkpoints::List(selected)) => {
            let list = async |record: &_| checkpoint::list(opened, printer, record).await;
            each(opened, printer, &selected, Some("checkpoints"), list).await
        }
        Command::Checkpoint(Checkpoints::Show(tagged)) => checkpoint::show(opened, printer, &tagged).await,
        Command::Checkpoint(Checkpoints::Diff(compared)) => difference::compare(opened, printer, &compared).await,
        Command::Spec { .. }
        | Command::Completions { .. }
        | Command::Run(_)
        | Command::Submit(_)
        | Command::Worker(Workers::Start(_)) => Ok(()),
    }
}
