//! `watch`: follows processes until they have ended.

use clap::Args;
use procession_runtime::ProcessId;

use super::Register;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::{self, MOST, To};
use super::print::Printer;
use super::select::{self, Selected};

/// What is followed.
#[derive(Debug, Clone, Args)]
pub(super) struct Watch {
    #[command(flatten)]
    selected: Selected,
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
    let selected = match &watch.selected {
        // All that is below one is followed with it.
        Selected { tree: Some(root), filter: None, .. } => &Selected { ids: vec![root.clone()], ..Selected::default() },
        selected => selected,
    };
    let roots: Vec<ProcessId> =
        select::chosen(opened, selected, true).await?.into_iter().map(|process| process.pid).collect();
    if roots.is_empty() {
        let what = format!("no process that has not ended is like that in {}", opened.address);
        return Err(Fault::new(Status::NotFound, what).next("procession list"));
    }
    if roots.len() > MOST {
        let what = format!("more than {MOST} processes are like that");
        return Err(Fault::new(Status::Usage, what).next("say more of them, as with `and created > -1h`"));
    }
    Ok(roots)
}
