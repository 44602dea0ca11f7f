//! `watch`: follows processes until they have ended.

use clap::Args;
use procession_runtime::ProcessId;
use procession_runtime::ProcessState;
use procession_runtime::store::{Condition, Filter};

use super::Register;
use super::arguments::Filtered;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::{self, MOST, To};
use super::print::Printer;
use super::select;
use super::show::record;

/// What is followed.
#[derive(Debug, Clone, Args)]
pub(super) struct Watch {
    /// Their ids, or the beginning of each
    #[arg(value_name = "ID", required_unless_present = "where")]
    ids: Vec<String>,
    /// Those that have not ended and are like this, as in `list --where`
    #[arg(long = "where", id = "where", value_name = "FILTER", conflicts_with = "ids")]
    filter: Option<String>,
}

pub(super) async fn watch(register: &Register, opened: &Opened, printer: Printer, watch: &Watch) -> Result<(), Fault> {
    let roots = roots(opened, watch).await?;
    match live::follow_all(register, opened, printer, To::Output, &roots).await? {
        Some(followed) => {
            followed.gone.iter().for_each(|pid| eprintln!("process `{pid}` is no longer in {}", opened.address));
            live::outcome(&followed)
        }
        None => Ok(()),
    }
}

async fn roots(opened: &Opened, watch: &Watch) -> Result<Vec<ProcessId>, Fault> {
    if watch.filter.is_none() {
        let mut roots = Vec::new();
        for id in &watch.ids {
            let pid = record(opened, id).await?.pid;
            if !roots.contains(&pid) {
                roots.push(pid);
            }
        }
        return Ok(roots);
    }
    let filter = select::filter(&Filtered { filter: watch.filter.clone(), ..Filtered::default() })?;
    let ended = [ProcessState::Finished, ProcessState::Excepted, ProcessState::Killed];
    let ended = Filter::Or(ended.map(|state| Condition::State(state).into()).to_vec());
    let filter = Filter::And(vec![filter, Filter::Not(Box::new(ended))]);
    let (found, more) = select::found(opened, filter, MOST, true).await?;
    if more {
        let what = format!("more than {MOST} processes are like that");
        return Err(Fault::new(Status::Usage, what).next("say more of them, as with `and created > -1h`"));
    }
    if found.is_empty() {
        let what = format!("no process that has not ended is like that in {}", opened.address);
        return Err(Fault::new(Status::NotFound, what).next("procession list"));
    }
    Ok(found.into_iter().map(|process| process.pid).collect())
}
