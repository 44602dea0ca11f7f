//! The live view of processes and all below them, over a store alone: a line each that is drawn anew on a terminal; elsewhere a
//! line, or a JSON document, for each change.

mod changes;
mod line;
mod screen;
mod status;
mod tree;

#[cfg(test)]
mod tests;

pub(in crate::cli) use self::screen::{Drawn, Screen, Size, To, coloured, leave};
pub(super) use self::status::status;
pub(in crate::cli) use self::tree::Watcher;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use procession_runtime::ProcessId;
use procession_runtime::process::Ended;
use procession_runtime::store::Look;

use self::changes::Changes;
use self::screen::lines;
use self::tree::Trees;
use super::Register;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::print::{Printer, ago, clean};
use super::select::not_found;

/// How often it is looked: as often as the eye follows, and some queries a second for all.
const LOOK: Duration = Duration::from_millis(250);

/// So many processes are followed, with all below them.
pub(in crate::cli) const MOST: usize = 1_000;

/// How it came out with the processes that were followed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Followed {
    /// As they ended.
    pub(in crate::cli) ended: Vec<Arc<Look>>,
    /// They were deleted meanwhile.
    pub(in crate::cli) gone: Vec<ProcessId>,
}

/// Follows processes, and all below them, until they have ended. It may be dropped at any time.
pub(in crate::cli) async fn follow_all(
    register: &Register,
    opened: &Opened,
    printer: Printer,
    to: To,
    roots: &[ProcessId],
) -> Result<Followed, Fault> {
    let mut watcher = Watcher::new(register, opened, MOST).await?;
    let mut view = View::new(printer, to);
    let mut known: HashMap<ProcessId, Arc<Look>> = HashMap::new();
    loop {
        let trees = watcher.look(roots).await?;
        view.show(opened, &trees).await?;
        for node in trees.nodes.iter().filter(|node| roots.contains(&node.look.pid)) {
            known.insert(node.look.pid.clone(), Arc::clone(&node.look));
        }
        let has_ended = |pid: &ProcessId| known.get(pid).is_some_and(|look| look.state.is_terminal());
        if roots.iter().all(|pid| has_ended(pid) || trees.gone.contains(pid)) {
            let gone = trees.gone.into_iter().filter(|pid| !has_ended(pid)).collect();
            known.retain(|_, look| look.state.is_terminal());
            return Ok(Followed { ended: roots.iter().filter_map(|pid| known.remove(pid)).collect(), gone });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows a process and what is below it until it has ended. What is shown goes to the standard error: the standard output is for
/// what comes of the process, and with `--json` there is nothing else. It may be dropped at any time.
pub(super) async fn follow(
    register: &Register,
    opened: &Opened,
    printer: Printer,
    pid: &ProcessId,
) -> Result<(), Fault> {
    let followed = follow_all(register, opened, printer, To::Error, std::slice::from_ref(pid)).await?;
    if followed.ended.is_empty() { Err(not_found(opened, &pid.to_string())) } else { Ok(()) }
}

/// How it is shown.
enum View {
    /// Drawn anew.
    Screen(To, Screen),
    /// Told as it changes.
    Changes(To, Changes),
    /// Not at all.
    Nothing,
}

impl View {
    fn new(printer: Printer, to: To) -> Self {
        match to {
            To::Error if printer.json => Self::Nothing,
            _ if !printer.json && to.is_terminal() => Self::Screen(to, Screen::default()),
            _ => Self::Changes(to, Changes::new(printer.json)),
        }
    }

    async fn show(&mut self, opened: &Opened, trees: &Trees) -> Result<(), Fault> {
        match self {
            Self::Screen(to, screen) => {
                let size = to.size();
                to.write(&screen.draw(&lines(trees, size, coloured()), size))
            }
            Self::Changes(to, changes) => changes.tell(opened, trees, *to).await,
            Self::Nothing => Ok(()),
        }
    }
}

/// Why nobody is known to run a process: its worker was lost.
pub(in crate::cli) async fn unattended(opened: &Opened, pid: &ProcessId) -> Result<Option<String>, Fault> {
    let looks = opened.store.look(vec![pid.clone()]).await?;
    let Some((epoch, false)) = looks.processes.first().and_then(|look| look.owner) else { return Ok(None) };
    let workers = opened.store.workers().await?;
    let heard = workers.iter().find(|row| row.epoch == epoch).map(|row| ago(row.heard_at));
    Ok(Some(heard.map_or("its worker was lost".to_owned(), |ago| format!("its worker was last heard from {ago}"))))
}

/// Fails where one of them has failed.
pub(in crate::cli) fn outcome(followed: &Followed) -> Result<(), Fault> {
    let failed: Vec<_> = followed.ended.iter().filter_map(failure).collect();
    match &failed[..] {
        [] => Ok(()),
        [(pid, how)] => {
            let fault = Fault::new(Status::Failed, format!("process `{pid}` {how}"));
            Err(fault.next(format!("procession status {pid}")))
        }
        [(pid, how), ..] => {
            let (failed, all) = (failed.len(), followed.ended.len());
            let what = format!("{failed} of {all} processes failed; process `{pid}` {how}");
            Err(Fault::new(Status::Failed, what).next("procession list --failed"))
        }
    }
}

/// How a process failed.
fn failure(look: &Arc<Look>) -> Option<(&ProcessId, String)> {
    let ended: Option<Ended> = look.ended.as_deref().and_then(|ended| serde_json::from_str(ended).ok());
    match ended {
        Some(Ended::Finished { .. }) => None,
        Some(Ended::Exited { exit }) if exit.number == 0 => None,
        Some(Ended::Exited { exit }) => Some((&look.pid, clean(&format!("ended with exit code {exit}")))),
        Some(ended) => Some((&look.pid, clean(&format!("has ended: {ended}")))),
        None => Some((&look.pid, "has ended, and how cannot be read".to_owned())),
    }
}
