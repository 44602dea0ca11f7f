//! Commands that change processes: what is asked of them is stored, and whoever has them does it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use procession_runtime::ProcessState;
use procession_runtime::process::Request;
use procession_runtime::store::{Record, Summary};
use serde_json::json;

use super::arguments::Control;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::print::Printer;
use super::select;

/// How often it is looked at whether something was done.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// What is asked of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Pause,
    Play,
    Kill { force: bool },
}

impl Asked {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Play => "play",
            Self::Kill { .. } => "kill",
        }
    }

    fn request(self, reason: Option<&str>) -> Request {
        match self {
            Self::Pause => Request::Pause { text: reason.map(str::to_owned) },
            Self::Play => Request::Play,
            Self::Kill { force } => Request::Kill { text: reason.unwrap_or_default().to_owned(), force },
        }
    }

    fn is_done(self, record: &Record) -> bool {
        match self {
            Self::Pause => record.paused,
            Self::Play => !record.paused,
            Self::Kill { .. } => record.state == ProcessState::Killed,
        }
    }

    /// Why a process cannot do that.
    fn refusal(self, process: &Summary) -> Option<Fault> {
        let pid = &process.pid;
        process.state.is_terminal().then(|| {
            let what = format!("process `{pid}` has ended as {}; there is nothing to {}", process.state, self.word());
            Fault::new(Status::Refused, what).next(format!("procession show {pid}"))
        })
    }
}

pub(super) async fn control(opened: &Opened, printer: Printer, asked: Asked, control: &Control) -> Result<(), Fault> {
    let processes = select::chosen(opened, &control.selected, true).await?;
    // All are looked at before one is changed.
    if let Some(refusal) = processes.iter().find_map(|process| asked.refusal(process)) {
        return Err(refusal);
    }
    let told = if control.dry_run { "would be asked to" } else { "asked to" };
    if !control.dry_run {
        agree(asked.word(), "processes", processes.len(), control.yes)?;
        for process in &processes {
            opened.store.request(&process.pid, asked.request(control.reason.as_deref())).await?;
        }
        if control.wait {
            wait(opened, asked, &processes, control.within).await?;
        }
    }
    let done = control.wait && !control.dry_run;
    if printer.json {
        let ids: Vec<_> = processes.iter().map(|process| &process.pid).collect();
        let request = asked.word();
        return printer.json(&json!({"request": request, "ids": ids, "dry_run": control.dry_run, "done": done}));
    }
    for Summary { process, pid, .. } in &processes {
        printer.line(&format!("{process} {pid}: {told} {}{}", asked.word(), if done { ", done" } else { "" }))?;
    }
    printer.line(&format!("{} in all", processes.len()))
}

/// Asks on the terminal before more than one is changed. Without a terminal nobody can agree.
pub(super) fn agree(word: &str, what: &str, many: usize, yes: bool) -> Result<(), Fault> {
    if many <= 1 || yes {
        return Ok(());
    }
    let refused = Fault::new(Status::Usage, "nothing was changed").next("give `--yes` to change more than one");
    if !io::stdin().is_terminal() {
        return Err(refused);
    }
    let mut asking = io::stderr().lock();
    write!(asking, "{word} {many} {what}? [y/N] ")
        .and_then(|()| asking.flush())
        .map_err(|error| Fault::io("the standard error, on which is asked, cannot be written", &error))?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Fault::io("the answer cannot be read from the standard input", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refused) }
}

async fn wait(opened: &Opened, asked: Asked, processes: &[Summary], within: Duration) -> Result<(), Fault> {
    let begun = Instant::now();
    for Summary { pid, .. } in processes {
        loop {
            match opened.store.load(pid).await? {
                Some(record) if asked.is_done(&record) => break,
                Some(record) if record.state.is_terminal() => {
                    let what =
                        format!("process `{pid}` has ended as {} before it was to {}", record.state, asked.word());
                    return Err(Fault::new(Status::Refused, what).next(format!("procession show {pid}")));
                }
                Some(_) => {}
                None => {
                    let what = format!("process `{pid}` is no longer in {}", opened.address);
                    return Err(Fault::new(Status::NotFound, what).next("procession list"));
                }
            }
            if begun.elapsed() >= within {
                let what = format!("process `{pid}` has not done it within {} s; it stays asked for", within.as_secs());
                return Err(Fault::new(Status::Refused, what).next("is a worker running? `procession worker list`"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}
