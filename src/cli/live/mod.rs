//! What a process does, as it does it.

use std::time::Duration;

use procession_runtime::ProcessId;

use super::config::Opened;
use super::fault::Fault;
use super::print::{Printer, note};
use super::show::not_found;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);

/// Shows a process and what is below it until it has ended. What is shown goes to the standard error: the standard output is for
/// what comes of the process. It may be dropped at any time.
pub(super) async fn follow(opened: &Opened, _printer: Printer, pid: &ProcessId) -> Result<(), Fault> {
    let mut told = false;
    loop {
        let Some(record) = opened.store.load(pid).await? else { return Err(not_found(opened, &pid.to_string())) };
        if !told || record.state.is_terminal() {
            note(&format!("{} {pid}: {}", record.envelope.process, record.state));
            told = true;
        }
        if record.state.is_terminal() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
