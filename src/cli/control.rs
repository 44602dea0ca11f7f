//! Commands that change processes: what is asked of them is stored, and whoever has them does it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use procession_runtime::ProcessState;
use procession_runtime::process::Request;
use procession_runtime::store::{Condition, Filter, Record};
use serde_json::json;

use super::arguments::{Control, Filtered};
use super::config::Opened;
use super::fault::{Fault, Status};
use super::print::Printer;
use super::select;
use super::show::record;

/// So many are changed by one command.
const MOST: usize = 10_000;

/// How often it is looked at whether something was done.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Pause,
    Play,
    Kill { force: bool },
}

impl Asked {
    fn word(self) -> &'static str {
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
            Self::Kill { .. } => record.state.is_terminal(),
        }
    }

    /// Why a process cannot do that.
    fn refusal(self, record: &Record) -> Option<Fault> {
        let pid = &record.pid;
        record.state.is_terminal().then(|| {
            let what = format!("process `{pid}` has ended as {}; there is nothing to {}", record.state, self.word());
            Fault::new(Status::Refused, what).next(format!("procession show {pid}"))
        })
    }
}

pub(super) async fn control(opened: &Opened, printer: Printer, asked: Asked, control: &Control) -> Result<(), Fault> {
    let mut records = Vec::with_capacity(control.ids.len());
    for id in ids(opened, control).await? {
        let record = record(opened, &id).await?;
        // All are looked at before one is changed.
        if let Some(refusal) = asked.refusal(&record) {
            return Err(refusal);
        }
        if !records.iter().any(|known: &Record| known.pid == record.pid) {
            records.push(record);
        }
    }
    let told = if control.dry_run { "would be asked to" } else { "asked to" };
    if !control.dry_run {
        if records.len() > 1 && !control.yes && !agreed(asked, records.len())? {
            return Err(Fault::new(Status::Usage, "nothing was changed").next("give `--yes` to change more than one"));
        }
        for record in &records {
            opened.store.request(&record.pid, asked.request(control.reason.as_deref())).await?;
        }
        if control.wait {
            wait(opened, asked, &records, control.within).await?;
        }
    }
    let done = control.wait && !control.dry_run;
    if printer.json {
        let ids: Vec<_> = records.iter().map(|record| &record.pid).collect();
        let request = asked.word();
        return printer.json(&json!({"request": request, "ids": ids, "dry_run": control.dry_run, "done": done}));
    }
    for record in &records {
        let (process, pid, word) = (&record.envelope.process, &record.pid, asked.word());
        printer.line(&format!("{process} {pid}: {told} {word}{}", if done { ", done" } else { "" }))?;
    }
    printer.line(&format!("{} in all", records.len()))
}

/// Those that are named, or all that have not ended and are like what was said.
async fn ids(opened: &Opened, control: &Control) -> Result<Vec<String>, Fault> {
    if control.filter.is_none() {
        return Ok(control.ids.clone());
    }
    let filter = select::filter(&Filtered { filter: control.filter.clone(), ..Filtered::default() })?;
    let ended = [ProcessState::Finished, ProcessState::Excepted, ProcessState::Killed];
    let ended = Filter::Or(ended.map(|state| Condition::State(state).into()).to_vec());
    let filter = Filter::And(vec![filter, Filter::Not(Box::new(ended))]);
    let (found, more) = select::found(opened, filter, MOST, true).await?;
    if more {
        let what = format!("more than {MOST} processes are like that");
        return Err(Fault::new(Status::Usage, what).next("say more of them, as with `and created > -1h`"));
    }
    Ok(found.into_iter().map(|process| process.pid.to_string()).collect())
}

/// Asks on the terminal. Without one nobody can agree.
fn agreed(asked: Asked, many: usize) -> Result<bool, Fault> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut asking = io::stderr().lock();
    write!(asking, "{} {many} processes? [y/N] ", asked.word()).and_then(|()| asking.flush())?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn wait(opened: &Opened, asked: Asked, records: &[Record], within: Duration) -> Result<(), Fault> {
    let begun = Instant::now();
    for Record { pid, .. } in records {
        loop {
            match opened.store.load(pid).await? {
                Some(record) if !asked.is_done(&record) && !record.state.is_terminal() => {}
                // One that has ended or was deleted does nothing more.
                _ => break,
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
