//! `watch`: follows processes until they have ended.

use procession_runtime::ProcessId;

use super::Register;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::live::{self, MOST, To};
use super::print::{Printer, note};
use super::select::{self, Selected};

pub(super) async fn watch(
    register: &Register,
    opened: &Opened,
    printer: Printer,
    watch: &Selected,
) -> Result<(), Fault> {
    let roots = roots(opened, watch).await?;
    let followed = tokio::select! {
        followed = live::follow_all(register, opened, printer, To::Output, &roots) => followed?,
        _ = tokio::signal::ctrl_c() => {
            live::leave(To::Output);
            let left = Fault::new(Status::Interrupted, "interrupted; what was watched goes on");
            return Err(roots.iter().take(1).fold(left, |left, pid| left.next(format!("procession status {pid}"))));
        }
    };
    followed.gone.iter().for_each(|pid| note(&format!("process `{pid}` is no longer in {}", opened.address)));
    live::outcome(&followed)
}

async fn roots(opened: &Opened, watch: &Selected) -> Result<Vec<ProcessId>, Fault> {
    // What is below a process is followed with it.
    if let Some(root) = watch.root() {
        return Ok(vec![select::record(opened, root).await?.pid]);
    }
    let found = select::chosen(opened, watch, true).await?;
    if found.len() > MOST {
        let what = format!("more than {MOST} processes are like that");
        return Err(Fault::new(Status::Usage, what).next("say more of them, as with `and created > -1h`"));
    }
    if found.is_empty() {
        let what = format!("no process that has not ended is like that in {}", opened.address);
        return Err(Fault::new(Status::NotFound, what).next("procession list"));
    }
    Ok(found.into_iter().map(|process| process.pid).collect())
}
