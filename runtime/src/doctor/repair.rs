//! Does what is safe: lets parked processes go on, and mends what no sequence of calls leaves behind.
//!
//! What a lost worker has needs no repair: it is whoever's who claims it.

use super::Doctor;
use super::finding::Repaired;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Epoch, StoreErrorKind, StoreResult, Worker};

impl Doctor {
    /// Lets all parked processes go on that it looks at, and [mends](crate::store::Store::mend) the store. Again, it finds nothing to
    /// do.
    ///
    /// Where workers share the store, it is one of them meanwhile, without queues. A doctor of a store [by itself](Self::new) takes a
    /// store that has one owner as its own, which is refused while another OS process has it; and it ends the ownership of a
    /// runtime that has acquired a store which workers could share: there, ask [its own](crate::Runtime::doctor).
    ///
    /// # Errors
    /// The store failed, or is another's.
    pub async fn repair(&self) -> StoreResult<Repaired> {
        if let Some(runtime) = &self.runtime {
            let (repaired, unparked) = self.repair_under(runtime.epoch(), false).await?;
            for pid in unparked {
                // A store that has one owner has nobody else who would claim it.
                if let Err(error) = runtime.attach(&pid).await {
                    tracing::warn!(%pid, error = &error as &dyn std::error::Error, "an unparked process cannot go on");
                }
            }
            return Ok(repaired);
        }
        let (epoch, joined) = match self.store.join(doctor(), limits::REPAIR).await {
            Err(error) if error.kind() == StoreErrorKind::Unsupported => (self.store.acquire().await?, false),
            joined => (joined?, true),
        };
        let repaired = self.repair_under(epoch, joined).await;
        let released = self.store.release(epoch).await;
        let (repaired, _) = repaired?;
        released?;
        Ok(repaired)
    }

    /// Gives also those that were unparked and that nobody else goes on with.
    async fn repair_under(&self, epoch: Epoch, renews: bool) -> StoreResult<(Repaired, Vec<ProcessId>)> {
        let alone = self.runtime.as_ref().is_some_and(|runtime| !runtime.is_sharing());
        let (mut repaired, mut unparked, mut after) = (Repaired::default(), Vec::new(), None);
        loop {
            let page = self.store.standing(after, limits::SCAN_PAGE).await?;
            for standing in page.standings {
                if standing.parked.is_none()
                    || !self.looks_at(&standing.pid)
                    || !self.store.unpark(epoch, &standing.pid).await?
                {
                    continue;
                }
                tracing::info!(pid = %standing.pid, reason = standing.parked, "process unparked");
                repaired.unparked += 1;
                if repaired.first.len() < self.most {
                    repaired.first.push(standing.pid.clone());
                }
                if alone {
                    unparked.push(standing.pid);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
            if renews {
                self.store.renew(epoch, 0).await?;
            }
        }
        repaired.mended = match self.store.mend(epoch).await {
            // Not every store can be left like that.
            Err(error) if error.kind() == StoreErrorKind::Unsupported => 0,
            mended => mended?.children,
        };
        Ok((repaired, unparked))
    }
}

/// A worker that claims nothing.
fn doctor() -> Worker {
    let version = "doctor".to_owned();
    let host = crate::message::Host::this().hostname;
    Worker { host, os_process: std::process::id(), version, queues: Vec::new(), slots: 0 }
}
