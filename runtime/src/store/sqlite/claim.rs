//! Claims: which processes can go on, and who has them from now on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::error::Fault;
use super::ledger::{Id, Ledger};
use super::read;
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::store::{Claimed, Epoch};

/// What can go on at once, in one queue, of those with so many losses; the last number is that of all with more.
pub(super) const READY: &str = "SELECT id, priority, losses, attempts FROM share INDEXED BY share_ready
    WHERE owner = ?1 AND due = 0 AND queue = ?2 AND min(losses, 2) = ?3 ORDER BY priority DESC, id LIMIT ?4";

/// As the statements and the indexes have it.
const _: () = assert!(limits::SUSPECT == 2);

/// What waits for a time that has come stands with what can go on at once from then on, in the order in which it is to run. So
/// it is read once, however much comes due together.
pub(super) const WAKE: &str = "UPDATE share SET due = 0 WHERE id IN (
        SELECT id FROM share INDEXED BY share_waiting
        WHERE owner = ?1 AND queue = ?2 AND due > 0 AND due <= ?3 ORDER BY due LIMIT ?4
    )";

/// What is asked something, whatever it waits for. Of what someone who is lost has, one more loss counts. Those that are suspects
/// then are left out, or they alone are looked for.
pub(super) const ASKED: &str = "SELECT id, priority, losses, attempts FROM share NOT INDEXED
    WHERE id IN (SELECT process.id FROM request CROSS JOIN process ON process.pid = request.pid)
    AND owner = ?1 AND due <> 0 AND queue IN (SELECT value FROM json_each(?2))
    AND (losses + ?3 >= ?4) = ?5 ORDER BY priority DESC, id LIMIT ?6";

/// Whose processes can be claimed, beside what is nobody's.
const LOST: &str = "SELECT epoch FROM worker WHERE lapsed = 1
    AND EXISTS (SELECT 1 FROM share WHERE owner = epoch AND owner <> 0)";

/// One that rests does not count: what it waits for has not come, and nothing is asked of it.
pub(super) const SUSPECTS: &str = "SELECT EXISTS (
        SELECT 1 FROM share INDEXED BY share_suspect WHERE owner = ?1 AND owner <> 0 AND losses >= 2
        AND (due <= ?2 OR id IN (SELECT process.id FROM request CROSS JOIN process ON process.pid = request.pid))
    )";

/// What is looked for.
struct Wanted<'w> {
    /// Whose processes can be claimed, and how often each counts as lost with that.
    owners: &'w [(i64, u32)],
    queues: &'w [String],
    /// The same, as JSON.
    list: &'w str,
    most: usize,
}

/// A process that may be claimed, with what its row says from then on.
struct Candidate {
    losses: u32,
    attempts: u32,
}

type Candidates = BTreeMap<(Reverse<i32>, Id), Candidate>;

impl Ledger<'_> {
    pub(super) fn claim(&mut self, epoch: Epoch, most: usize, attempts: u32) -> Result<Claimed, Fault> {
        self.fence_worker(epoch)?;
        let now = SystemClock.now();
        self.find_lapsed(now)?;
        let mut claimed = Claimed::default();
        if most == 0 {
            return Ok(claimed);
        }
        let (queues, list) = self.queues(epoch)?;
        let owners = self.owners()?;
        let wanted = Wanted { owners: &owners, queues: &queues, list: &list, most };
        self.wake(&wanted, now.as_millis())?;
        let mut found = self.candidates(&wanted, false)?;
        let mut query = self.connection.prepare_cached(SUSPECTS)?;
        let has_one: bool = query.query_row([epoch.0.cast_signed(), now.as_millis()], |row| row.get(0))?;
        if !has_one {
            let suspects = self.candidates(&Wanted { most: 1, ..wanted }, true)?;
            found.extend(suspects.into_iter().take(1));
        }
        for ((_, id), candidate) in found.into_iter().take(most) {
            self.take(epoch, id, &candidate, attempts, &mut claimed)?;
        }
        Ok(claimed)
    }

    fn queues(&self, epoch: Epoch) -> rusqlite::Result<(Vec<String>, String)> {
        let mut query = self.connection.prepare_cached("SELECT queues FROM worker WHERE epoch = ?1")?;
        let list: String = query.query_row([epoch.0.cast_signed()], |row| row.get(0))?;
        let mut queues = read::names(&list)?;
        queues.sort_unstable();
        queues.dedup();
        Ok((queues, list))
    }

    fn owners(&self) -> rusqlite::Result<Vec<(i64, u32)>> {
        let mut lost = self.connection.prepare_cached(LOST)?;
        let lost = lost.query_map([], |row| Ok((row.get(0)?, 1)))?;
        std::iter::once(Ok((super::sharing::NOBODY, 0))).chain(lost).collect()
    }

    fn wake(&self, wanted: &Wanted<'_>, now: i64) -> rusqlite::Result<()> {
        let most = i64::try_from(wanted.most.max(limits::WOKEN)).unwrap_or(i64::MAX);
        let mut update = self.connection.prepare_cached(WAKE)?;
        for (owner, _) in wanted.owners {
            for queue in wanted.queues {
                update.execute(params![owner, queue, now, most])?;
            }
        }
        Ok(())
    }

    /// At most so many of each kind, in the order in which they are to run.
    fn candidates(&self, wanted: &Wanted<'_>, suspects: bool) -> rusqlite::Result<Candidates> {
        let mut found = Candidates::new();
        let limit = i64::try_from(wanted.most).unwrap_or(i64::MAX);
        for &(owner, loss) in wanted.owners {
            let mut add = |row: &Row<'_>| -> rusqlite::Result<()> {
                let (id, priority) = (row.get(0)?, row.get(1)?);
                let (losses, attempts) = (row.get::<_, u32>(2)? + loss, row.get::<_, u32>(3)? + loss);
                found.insert((Reverse(priority), id), Candidate { losses, attempts });
                Ok(())
            };
            for queue in wanted.queues {
                for losses in (0..=limits::SUSPECT).filter(|losses| (losses + loss >= limits::SUSPECT) == suspects) {
                    let bounds = params![owner, queue, losses, limit];
                    each(&mut *self.connection.prepare_cached(READY)?, bounds, &mut add)?;
                }
            }
            let bounds = params![owner, wanted.list, loss, limits::SUSPECT, suspects, limit];
            each(&mut *self.connection.prepare_cached(ASKED)?, bounds, &mut add)?;
        }
        Ok(found)
    }

    /// Gives a process to a worker, or parks it.
    fn take(
        &mut self,
        epoch: Epoch,
        id: Id,
        candidate: &Candidate,
        most: u32,
        claimed: &mut Claimed,
    ) -> rusqlite::Result<()> {
        let Candidate { losses, attempts } = *candidate;
        let mut update =
            self.connection.prepare_cached("UPDATE share SET owner = ?1, losses = ?2, attempts = ?3 WHERE id = ?4")?;
        update.execute(params![epoch.0.cast_signed(), losses, attempts, id])?;
        let pid = self.pid_of(id)?;
        if attempts > most {
            let reason = format!("its worker was lost {losses} times without a boundary in between");
            self.put_aside(&pid, id, &reason)?;
            claimed.parked.push((pid, reason));
            return Ok(());
        }
        if losses >= limits::SUSPECT {
            claimed.suspect = Some(pid.clone());
        }
        if attempts > 0 {
            claimed.attempts.push((pid.clone(), attempts));
        }
        match read::load(self.connection, &pid) {
            Ok(record) => claimed.records.extend(record),
            Err(error) if super::error::is_damaged(&error) => claimed.unreadable.push((pid, error.to_string())),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn each(
    query: &mut rusqlite::Statement<'_>,
    bounds: impl rusqlite::Params,
    add: &mut impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut rows = query.query(bounds)?;
    while let Some(row) = rows.next()? {
        add(row)?;
    }
    Ok(())
}
