//! Who shares the file, and who of them is gone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::ledger::Ledger;

/// The membership of this transport, from the first end that it opens.
#[derive(Debug)]
pub(super) struct Membership {
    lease: Duration,
    pub(super) id: Option<i64>,
    beat_at: Instant,
    /// The beats of others, and for how long each was the same.
    others: HashMap<i64, (i64, Duration)>,
    looked: Instant,
}

/// So often in a lease it says that it lives.
const BEATS: u32 = 4;

impl Membership {
    pub(super) fn new(lease: Duration) -> Self {
        let now = Instant::now();
        Self { lease, id: None, beat_at: now, others: HashMap::new(), looked: now }
    }

    /// When it is to say next that it lives.
    pub(super) fn beat_at(&self) -> Option<Instant> {
        self.id.map(|_| self.beat_at)
    }

    pub(super) fn is_due(&self) -> bool {
        self.beat_at().is_some_and(|at| at <= Instant::now())
    }

    /// It has written.
    pub(super) fn has_beaten(&mut self) {
        self.beat_at = Instant::now() + self.lease / BEATS;
    }

    /// Whether it is still a member.
    pub(super) fn is_known(&self, ledger: &Ledger<'_>) -> rusqlite::Result<bool> {
        let Some(id) = self.id else { return Ok(true) };
        Ok(ledger.number("SELECT 1 FROM member WHERE id = ?1", [id])?.is_some())
    }

    pub(super) fn join(&self, ledger: &Ledger<'_>) -> rusqlite::Result<i64> {
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        ledger.run("INSERT INTO member (beat, lease_ms) VALUES (0, ?1)", [lease])?;
        Ok(ledger.inserted())
    }

    /// Says that it lives, and looks who does not any more.
    pub(super) fn beat(&mut self, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
        let Some(own) = self.id else { return Ok(()) };
        ledger.run("UPDATE member SET beat = beat + 1 WHERE id = ?1", [own])?;
        // Not their clock but this one's: it goes on where that of the day is set. And where this one was held up, the
        // others may have been, too.
        let passed = self.looked.elapsed().min(self.lease / BEATS + self.lease / (2 * BEATS));
        self.looked = Instant::now();
        let leases: HashMap<i64, i64> = ledger.pairs("SELECT id, lease_ms FROM member", [])?.into_iter().collect();
        let beats = ledger.pairs("SELECT id, beat FROM member WHERE id <> ?1", [own])?;
        self.others.retain(|id, _| leases.contains_key(id));
        for (id, beat) in beats {
            let Some(known) = self.others.get_mut(&id).filter(|known| known.0 == beat) else {
                self.others.insert(id, (beat, Duration::ZERO));
                continue;
            };
            known.1 += passed;
            let lease = leases.get(&id).and_then(|lease| u64::try_from(*lease).ok()).unwrap_or_default();
            if known.1 > Duration::from_millis(lease) {
                ledger.lose(id)?;
            }
        }
        Ok(())
    }
}
