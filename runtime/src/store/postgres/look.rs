//! The first statement of a transaction: locks the rows that it is about, and tells what they are.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::error::Fault;
use super::fence::{Fence, fence};
use super::known::Known;
use super::outcome::{Spent, Token, marks};
use super::read::text;
use super::same::same;
use super::server::Session;
use crate::process::ProcessId;
use crate::store::{Epoch, StoreErrorKind};

/// Rows are locked in the order of their ids, whoever locks them, so that none wait for each other; those of the parents of
/// processes that end, too: of two that end at once, the later one sees the earlier. What another has changed is told as
/// it is once the lock is had; the next statement sees all of it.
const LOOK: &str = concat!(
    fence!("$8"),
    ", found AS MATERIALIZED (
        SELECT w.place, w.ends, p.id, p.parent
        FROM unnest($1::bigint[], $2::bytea[], $3::boolean[]) WITH ORDINALITY AS w(id, pid, ends, place)
        JOIN process AS p ON p.id = coalesce(w.id, (SELECT q.id FROM process AS q WHERE ",
    same!("q.pid", "w.pid"),
    "))
    ), locked AS MATERIALIZED (
        SELECT id, revision, transitions, reports, ended IS NOT NULL AS ended, process, owner, queue, priority,
            parked IS NOT NULL AS parked, owner = 0 OR NOT EXISTS (
                SELECT FROM worker AS w WHERE w.epoch = owner AND clock_timestamp() < w.lapses_at
            ) AS free
        FROM checkpoint
        WHERE id IN (SELECT id FROM found UNION SELECT parent FROM found WHERE ends) ORDER BY id FOR NO KEY UPDATE
    ), ",
    marks!("$6", "$7"),
    " SELECT 'fence' AS what, epoch AS id, NULL::bigint AS one, NULL::bigint AS two, NULL::bigint AS three,
        true AS yes, NULL::bytea AS pid, NULL::bytea AS process, NULL::bigint AS owner, NULL::bytea AS queue,
        NULL::integer AS priority, NULL::boolean AS parked, NULL::boolean AS free FROM fence
    UNION ALL SELECT 'fence', epoch, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM leased
    UNION ALL SELECT 'found', id, place, parent, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM found
    UNION ALL SELECT 'row', id, revision, transitions, reports, ended, NULL, process, owner, queue, priority, parked,
        free FROM locked
    UNION ALL SELECT 'key', p.id, k.place, NULL, NULL, NULL, p.pid, c.process, NULL, NULL, NULL, NULL, NULL
        FROM unnest($4::bytea[]) WITH ORDINALITY AS k(key, place)
        JOIN process AS p ON ",
    same!("p.key", "k.key"),
    " JOIN checkpoint AS c ON c.id = p.id
    UNION ALL SELECT 'free', nextval('process_id'), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM generate_series(1, $5::bigint)"
);

/// What a transaction is about.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    places: HashMap<ProcessId, usize>,
    pids: Vec<ProcessId>,
    ends: Vec<bool>,
    keys: HashMap<String, usize>,
    epochs: Vec<i64>,
    /// How many processes it may create.
    pub(super) free: i64,
}

impl Wanted {
    pub(super) fn process(&mut self, pid: &ProcessId) {
        if !self.places.contains_key(pid) {
            self.places.insert(pid.clone(), self.pids.len());
            self.pids.push(pid.clone());
            self.ends.push(false);
        }
    }

    /// Of a process that is wanted and ends, or is deleted: its parent is locked with it.
    pub(super) fn parent_of(&mut self, pid: &ProcessId) {
        if let Some(place) = self.places.get(pid) {
            self.ends[*place] = true;
        }
    }

    pub(super) fn key(&mut self, key: &str) {
        let next = self.keys.len();
        self.keys.entry(key.to_owned()).or_insert(next);
    }

    /// Under which something is written.
    pub(super) fn epoch(&mut self, epoch: Epoch) {
        let epoch = epoch.0.cast_signed();
        if !self.epochs.contains(&epoch) {
            self.epochs.push(epoch);
        }
    }

    pub(super) fn pids(&self) -> &[ProcessId] {
        &self.pids
    }

    /// Begins a transaction.
    pub(super) async fn look(self, session: &Session, known: &[Option<Known>], spent: &Spent) -> Result<Seen, Fault> {
        let (token, spent) = spent.take();
        let mut ids = known.iter().map(|known| known.map(|known| known.id)).collect::<Vec<Option<i64>>>();
        ids.resize(self.pids.len(), None);
        let text = |(pid, id): (&ProcessId, &Option<i64>)| id.is_none().then(|| pid.to_string().into_bytes());
        let pids: Vec<Option<Vec<u8>>> = self.pids.iter().zip(&ids).map(text).collect();
        let mut keys = vec![&b""[..]; self.keys.len()];
        for (key, place) in &self.keys {
            keys[*place] = key.as_bytes();
        }
        let rows =
            session.begin(LOOK, &[&ids, &pids, &self.ends, &keys, &self.free, &token, &spent, &self.epochs]).await?;
        let mut seen = Seen { wanted: self, token, ..Seen::default() };
        for row in &rows {
            seen.read(row)?;
        }
        Ok(seen)
    }
}

/// A process that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'s> {
    pub(super) id: i64,
    pub(super) parent: Option<i64>,
    pub(super) row: &'s Locked,
}

/// Its row.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) revision: i64,
    pub(super) transitions: i64,
    pub(super) reports: i64,
    pub(super) ended: bool,
    /// Its registered name.
    pub(super) process: String,
    /// Who has it, whether or not they are lost.
    pub(super) owner: i64,
    pub(super) queue: Vec<u8>,
    pub(super) priority: i32,
    pub(super) parked: bool,
    /// Whether nobody has it whose lease has not lapsed.
    pub(super) free: bool,
}

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Seen {
    wanted: Wanted,
    pub(super) fence: Fence,
    /// The name of the transaction, by which its outcome can be asked for.
    pub(super) token: Token,
    found: HashMap<usize, (i64, Option<i64>)>,
    rows: HashMap<i64, Locked>,
    keys: HashMap<usize, (ProcessId, String)>,
    free: Vec<i64>,
}

impl Seen {
    fn read(&mut self, row: &Row) -> Result<(), Fault> {
        let what: &str = row.try_get(0)?;
        let id: Option<i64> = row.try_get(1)?;
        let place = || -> Result<usize, Fault> {
            let place: i64 = row.try_get(2)?;
            usize::try_from(place - 1).map_err(Fault::damaged)
        };
        match (what, id) {
            ("fence", Some(_)) => self.fence.read(row, 1, 5)?,
            ("found", Some(id)) => drop(self.found.insert(place()?, (id, row.try_get(3)?))),
            ("row", Some(id)) => {
                let locked = Locked {
                    revision: row.try_get(2)?,
                    transitions: row.try_get(3)?,
                    reports: row.try_get(4)?,
                    ended: row.try_get(5)?,
                    process: text(row, 7)?,
                    owner: row.try_get(8)?,
                    queue: row.try_get(9)?,
                    priority: row.try_get(10)?,
                    parked: row.try_get(11)?,
                    free: row.try_get(12)?,
                };
                self.rows.insert(id, locked);
            }
            ("key", Some(_)) => drop(self.keys.insert(place()?, (text(row, 6)?.into(), text(row, 7)?))),
            ("free", Some(id)) => self.free.push(id),
            _ => return Err(Fault::damaged(format!("an answer of no known kind: `{what}`"))),
        }
        Ok(())
    }

    /// Whether this epoch may change a process.
    pub(super) fn owns(&self, epoch: Epoch, row: &Locked) -> Result<(), StoreErrorKind> {
        self.fence.owns(epoch, row.owner, row.ended)
    }

    /// Whether it may have a process that nobody else has: whoever takes it back has it.
    pub(super) fn takes(&self, epoch: Epoch, row: &Locked) -> Result<(), StoreErrorKind> {
        if row.free { self.fence.holds(epoch) } else { self.owns(epoch, row) }
    }

    pub(super) fn process(&self, pid: &ProcessId) -> Option<Found<'_>> {
        let (id, parent) = *self.found.get(self.wanted.places.get(pid)?)?;
        // One whose row is gone was deleted while its lock was waited for.
        Some(Found { id, parent, row: self.rows.get(&id)? })
    }

    /// Those of whom a row was known, where none is any more.
    pub(super) fn gone(&self, known: &[Option<Known>]) -> Vec<&ProcessId> {
        let pids = self.wanted.pids.iter().zip(known).enumerate();
        let gone = pids.filter(|(place, (_, known))| known.is_some() && !self.found.contains_key(place));
        gone.map(|(_, (pid, _))| pid).collect()
    }

    pub(super) fn row(&self, id: i64) -> Option<&Locked> {
        self.rows.get(&id)
    }

    /// The process that has a key, and its registered name.
    pub(super) fn holder(&self, key: &str) -> Option<&(ProcessId, String)> {
        self.keys.get(self.wanted.keys.get(key)?)
    }

    /// Ids for processes that are created, in order.
    pub(super) fn free(&mut self) -> std::vec::IntoIter<i64> {
        let mut free = std::mem::take(&mut self.free);
        free.sort_unstable();
        free.into_iter()
    }
}
