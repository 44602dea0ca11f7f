//! Who shares the file, and who of them is gone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ledger::Ledger;

/// The membership of this transport, from the first end that it opens.
#[derive(Debug)]
pub(super) struct Membership {
    path: PathBuf,
    lease: Duration,
    /// Locked while this OS process lives: the system frees it at once, however it ends.
    pulse: Option<File>,
    pub(super) id: Option<i64>,
    beat_at: Instant,
    /// The beats of others, and for how long each was the same.
    others: HashMap<i64, (i64, Duration)>,
    looked: Instant,
}

/// So often in a lease it says that it lives.
const BEATS: u32 = 4;

impl Membership {
    pub(super) fn new(path: PathBuf, lease: Duration) -> Self {
        let now = Instant::now();
        Self { path, lease, pulse: None, id: None, beat_at: now, others: HashMap::new(), looked: now }
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

    /// The others find its pulse before they can see the member.
    pub(super) fn join(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<i64> {
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        ledger.run("INSERT INTO member (beat, lease_ms) VALUES (0, ?1)", [lease])?;
        let id = ledger.inserted();
        // One of a transaction that failed has the same name.
        self.pulse = None;
        let path = pulse_of(&self.path, id);
        self.pulse = File::create(&path).ok().filter(|file| file.try_lock().is_ok());
        if self.pulse.is_none() {
            // Without it, there is the lease.
            let _ = fs::remove_file(path);
        }
        Ok(id)
    }

    /// It has left.
    pub(super) fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            self.pulse = None;
            let _ = fs::remove_file(pulse_of(&self.path, id));
        }
    }

    /// Members whose OS processes have ended leave.
    pub(super) fn bury(&self, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
        let own = self.id.unwrap_or_default();
        for id in ledger.numbers("SELECT id FROM member WHERE id <> ?1", [own])? {
            let path = pulse_of(&self.path, id);
            if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                ledger.lose(id)?;
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Says that it lives, and looks who does not any more.
    pub(super) fn beat(&mut self, ledger: &mut Ledger<'_>) -> rusqlite::Result<()> {
        let Some(own) = self.id else { return Ok(()) };
        self.bury(ledger)?;
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

/// The file whose lock says that a member lives.
fn pulse_of(path: &Path, id: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-member-{id}"));
    name.into()
}
