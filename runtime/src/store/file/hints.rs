//! What whoever watches processes is told, and how far the steps of the owner say that they are: one document, which may be lost.

use serde::{Deserialize, Serialize};

use super::Inner;
use super::document::{OwnerDocument, write};
use super::ownership::{OWNER, fence};
use crate::process::{ProcessId, Progress};
use crate::store::{Epoch, Hint, Look, Looks, StoreErrorKind, StoreResult};

const HINTS: &str = "hints.json";

/// All that one owner has told last.
#[derive(Default, Serialize, Deserialize)]
struct HintsDocument {
    epoch: u64,
    hints: Vec<HintDocument>,
}

#[derive(Serialize, Deserialize)]
struct HintDocument {
    pid: ProcessId,
    steps: u64,
    progress: Progress,
}

impl Inner {
    /// Whether it is on the disk after a crash does not matter, and where it cannot be written, nothing is lost.
    pub(super) fn hint(&self, epoch: Epoch, hints: Vec<Hint>) -> StoreResult<()> {
        const OPERATION: &str = "keep hints in";
        self.write(OPERATION, |view, state| {
            fence(view, state, epoch, OPERATION, &self.disk.root().display().to_string())?;
            let hints = hints.into_iter().map(|Hint { pid, steps, progress }| HintDocument { pid, steps, progress });
            let document = write(&HintsDocument { epoch: epoch.0, hints: hints.collect() });
            let document = document.map_err(|error| self.failed(OPERATION, error.into()))?;
            self.disk.place(HINTS, &document).map_err(|failure| self.failed(OPERATION, failure.into_error()))
        })
    }

    /// Without hints where these cannot be read, or are of an earlier owner.
    pub(super) fn look(&self, processes: Vec<ProcessId>) -> StoreResult<Looks> {
        self.read("look at processes in", |view, _| {
            let told: HintsDocument = view.document(HINTS).ok().flatten().unwrap_or_default();
            let owner: OwnerDocument = view.document(OWNER).ok().flatten().unwrap_or_default();
            let hints = if told.epoch == owner.epoch { told.hints } else { Vec::new() };
            let mut looks = Looks::default();
            for pid in processes {
                match view.record(&pid) {
                    Ok(Some(record)) => {
                        let hint = hints.iter().find(|hint| hint.pid == pid && hint.steps == record.steps);
                        let hint = hint.map(|hint| hint.progress);
                        looks.processes.push(Look::from(&record).attended(None, hint));
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                        looks.unreadable.push((pid, error.to_string()));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(looks)
        })
    }
}
