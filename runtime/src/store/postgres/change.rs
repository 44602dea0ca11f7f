//! What is seldom asked: a transaction of its own each, on any connection of the pool.

use std::collections::HashSet;

use super::batch::wakes;
use super::error::Fault;
use super::fence::still_holds;
use super::look::{Found, Seen, Wanted};
use super::outcome::Token;
use super::read::{self, LOAD_WITHIN, SNAPSHOT, get, text_of};
use super::server::{Patience, Server, Session};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::rules::restored_from;
use crate::store::{Awaiting, Epoch, OwedReply, Record, StoreError, StoreErrorKind, StoreResult};

/// What is changed of a process.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Park {
        reason: &'a str,
    },
    Fail {
        reason: &'a str,
        attempts: u32,
    },
    Unpark,
    Owe {
        reply: &'a OwedReply,
    },
    Save {
        tag: &'a str,
        at: Timestamp,
    },
    /// One snapshot, or all of the process.
    Remove {
        tag: Option<&'a str>,
    },
    Restore {
        tag: &'a str,
        at: Timestamp,
        history: u64,
    },
    Delete,
}

/// What it led to.
#[derive(Debug)]
pub(super) enum Changed {
    Nothing,
    /// Whether something was changed.
    Made(bool),
    Removed(u64),
    Restored(Box<Record>),
}

impl Server {
    pub(super) async fn change(
        &self,
        operation: &'static str,
        epoch: Epoch,
        pid: &ProcessId,
        change: Change<'_>,
    ) -> StoreResult<Changed> {
        let mut patience = self.patience();
        loop {
            match self.try_change(epoch, pid, &change, &mut patience).await {
                Ok(changed) => return Ok(changed),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.refusal(operation, pid, fault))?,
            }
        }
    }

    /// Names the process.
    pub(super) fn refusal(&self, operation: &'static str, pid: &ProcessId, fault: Fault) -> StoreError {
        self.count(fault.kind);
        fault.into_error(operation, format_args!("process `{pid}` in {}", self.name()))
    }

    async fn try_change(
        &self,
        epoch: Epoch,
        pid: &ProcessId,
        change: &Change<'_>,
        patience: &mut Patience,
    ) -> Result<Changed, Fault> {
        let session = self.session().await?;
        let mut wanted = Wanted::default();
        wanted.process(pid);
        wanted.epoch(epoch);
        if matches!(change, Change::Delete | Change::Restore { .. }) {
            wanted.parent_of(pid);
        }
        let seen = self.timed(wanted.look(&session, &[], &self.spent)).await?;
        let transaction = Transaction { session: &session, seen: &seen, epoch, pid };
        let done = match transaction.may(change) {
            Ok(()) => self.timed(transaction.all(change)).await,
            Err(kind) => Err(kind.into()),
        };
        match done {
            Ok(changed) => {
                self.end(session, seen.token, patience).await?;
                Ok(changed)
            }
            Err(fault) => {
                if session.run("ROLLBACK").await.is_ok() {
                    session.keep();
                }
                Err(fault.before_sending())
            }
        }
    }

    /// Commits.
    pub(super) async fn end(&self, session: Session, token: Token, patience: &mut Patience) -> Result<(), Fault> {
        match self.timed(session.run("COMMIT")).await {
            Ok(()) => {
                session.keep();
                self.spent.add(token);
                Ok(())
            }
            Err(fault) if fault.lost => {
                drop(session);
                self.outcome(token, fault, patience).await.map(drop)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// A transaction that holds the row of its process.
struct Transaction<'t> {
    session: &'t Session,
    seen: &'t Seen,
    epoch: Epoch,
    pid: &'t ProcessId,
}

impl Transaction<'_> {
    fn may(&self, change: &Change<'_>) -> Result<(), StoreErrorKind> {
        let row = self.seen.process(self.pid).map(|found| found.row);
        match (change, row) {
            (Change::Park { .. } | Change::Fail { .. }, Some(row)) => self.seen.owns(self.epoch, row),
            (Change::Restore { .. }, Some(row)) => self.seen.takes(self.epoch, row),
            _ => self.seen.fence.holds(self.epoch),
        }
    }

    async fn all(&self, change: &Change<'_>) -> Result<Changed, Fault> {
        let changed = self.change(change).await?;
        self.session.query(STILL_HOLDS, &[&[self.epoch.0.cast_signed()].as_slice()]).await?;
        Ok(changed)
    }

    async fn change(&self, change: &Change<'_>) -> Result<Changed, Fault> {
        let found = self.seen.process(self.pid);
        let there = || found.ok_or(StoreErrorKind::NotFound);
        match change {
            Change::Park { reason } => self.park(there()?, reason).await,
            Change::Fail { reason, attempts } => self.fail(there()?, reason, *attempts).await,
            Change::Unpark => self.unpark(there()?).await,
            Change::Owe { reply } => self.owe(there()?, reply).await,
            Change::Save { tag, at } => self.save(there()?, tag, *at).await,
            Change::Restore { tag, at, history } => self.restore(there()?, tag, *at, *history).await,
            Change::Remove { tag } => match found {
                Some(found) => self.remove(found.id, *tag).await,
                None => Ok(Changed::Removed(0)),
            },
            Change::Delete => match found {
                Some(found) => self.delete(found).await,
                None => Ok(Changed::Removed(0)),
            },
        }
    }

    async fn park(&self, found: Found<'_>, reason: &str) -> Result<Changed, Fault> {
        if found.row.ended {
            return Err(StoreErrorKind::Ended.into());
        }
        let sql = "UPDATE checkpoint SET parked = $2, owner = 0 WHERE id = $1";
        self.session.query(sql, &[&found.id, &reason.as_bytes()]).await?;
        Ok(Changed::Nothing)
    }

    async fn fail(&self, found: Found<'_>, reason: &str, attempts: u32) -> Result<Changed, Fault> {
        const FAIL: &str = "WITH failed AS (
                UPDATE checkpoint SET attempts = attempts + 1, owner = 0,
                    parked = CASE WHEN attempts + 1 >= $3 THEN $2::bytea END
                WHERE id = $1 RETURNING parked IS NOT NULL AS parked
            ), heard AS MATERIALIZED (
                SELECT pg_notify(current_schema(), '0') AS done FROM failed WHERE NOT parked
            ) SELECT parked, (SELECT count(done) FROM heard) FROM failed";
        if found.row.ended {
            return Err(StoreErrorKind::Ended.into());
        }
        let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
        let rows = self.session.query(FAIL, &[&found.id, &reason.as_bytes(), &attempts]).await?;
        Ok(Changed::Made(rows.first().map(|row| get(row, 0)).transpose()?.unwrap_or_default()))
    }

    async fn unpark(&self, found: Found<'_>) -> Result<Changed, Fault> {
        const UNPARK: &str = "WITH unparked AS (
                UPDATE checkpoint SET parked = NULL, owner = 0, attempts = 0, losses = 0 WHERE id = $1 AND parked IS NOT NULL
                RETURNING id
            ) SELECT pg_notify(current_schema(), '0') FROM unparked";
        Ok(Changed::Made(!self.session.query(UNPARK, &[&found.id]).await?.is_empty()))
    }

    async fn owe(&self, found: Found<'_>, reply: &OwedReply) -> Result<Changed, Fault> {
        const OWE: &str = "INSERT INTO owed (process, pid, id, address, sender)
            SELECT $1::bigint, $2::bytea, $3::bytea, $4::bytea, $6::bigint
            WHERE (SELECT count(*) FROM owed WHERE process = $1 AND sha256(id) <> sha256($3)) < $5
            ON CONFLICT (process, sha256(id)) DO UPDATE
            SET address = excluded.address, sender = excluded.sender RETURNING process";
        let most = i64::try_from(limits::OWED).unwrap_or(i64::MAX);
        let (id, address) = (reply.id.as_bytes(), reply.address.as_bytes());
        let (pid, sender) = (text_of(self.pid), self.epoch.0.cast_signed());
        let rows = self.session.query(OWE, &[&found.id, &pid, &id, &address, &most, &sender]).await?;
        if rows.is_empty() { Err(StoreErrorKind::Limit.into()) } else { Ok(Changed::Nothing) }
    }

    async fn save(&self, found: Found<'_>, tag: &str, at: Timestamp) -> Result<Changed, Fault> {
        const COPY: &str = "INSERT INTO snapshot
            SELECT $1::bigint, $2::bytea, $3::bytea, $4::bigint, state, paused, steps, updated_at,
                (SELECT count(*) FROM open_child WHERE parent = $1), version, format, process, fingerprint, status,
                awaiting, listeners, position, context, outputs, ended
            FROM checkpoint WHERE id = $1";
        let most = i64::try_from(limits::SNAPSHOTS).unwrap_or(i64::MAX);
        let (id, pid) = (found.id, text_of(self.pid));
        let others = "SELECT count(*) FROM snapshot WHERE process_id = $1 AND tag <> $2";
        let others = self.session.query(others, &[&id, &tag.as_bytes()]).await?;
        let others: i64 = others.first().map(|row| get(row, 0)).transpose()?.unwrap_or_default();
        if others >= most {
            return Err(StoreErrorKind::Limit.into());
        }
        self.remove(id, Some(tag)).await?;
        self.session.query(COPY, &[&id, &pid, &tag.as_bytes(), &at.as_millis()]).await?;
        Ok(Changed::Nothing)
    }

    async fn remove(&self, id: i64, tag: Option<&str>) -> Result<Changed, Fault> {
        let sql = "WITH gone AS (
                DELETE FROM snapshot WHERE process_id = $1 AND ($2::bytea IS NULL OR tag = $2) RETURNING tag
            ) SELECT count(*) FROM gone";
        let rows = self.session.query(sql, &[&id, &tag.map(str::as_bytes)]).await?;
        let removed: i64 = rows.first().map(|row| get(row, 0)).transpose()?.unwrap_or_default();
        Ok(Changed::Removed(removed.cast_unsigned()))
    }

    async fn restore(&self, found: Found<'_>, tag: &str, at: Timestamp, history: u64) -> Result<Changed, Fault> {
        let refused = |kind: StoreErrorKind| Err(kind.into());
        let pid = text_of(self.pid);
        let rows = self.session.query(SNAPSHOT, &[&pid, &tag.as_bytes()]).await?;
        let Some(row) = rows.first() else { return refused(StoreErrorKind::NoSnapshot) };
        let snapshot = read::record(row)?;
        if snapshot.state.is_terminal() {
            return refused(StoreErrorKind::Ended);
        }
        if found.row.ended && self.is_awaited(found.parent).await? {
            return refused(StoreErrorKind::Unfinished);
        }
        let open = self.open(found.id, &snapshot.awaiting).await?;
        let keep = history > 0;
        let point = restored_from(tag);
        let (wakes, owner) = (wakes(&snapshot.awaiting), self.seen.fence.owner(self.epoch));
        let parameters: super::server::Params<'_> = &[
            &found.id,
            &tag.as_bytes(),
            &at.as_millis(),
            &keep,
            &point.as_bytes(),
            &found.row.ended,
            &pid,
            &open,
            &wakes,
            &owner,
        ];
        self.session.query(RESTORE, parameters).await?;
        let rows = self.session.query(LOAD_WITHIN, &[&pid]).await?;
        let restored = read::record(rows.first().ok_or(StoreErrorKind::NotFound)?)?;
        Ok(Changed::Restored(Box::new(restored)))
    }

    /// Whether a parent that has not ended waits for the process, or has yet to look at its end.
    async fn is_awaited(&self, parent: Option<i64>) -> Result<bool, Fault> {
        let sql = "SELECT awaiting FROM checkpoint WHERE id = $1 AND ended IS NULL";
        let rows = self.session.query(sql, &[&parent]).await?;
        let awaiting: Option<&[u8]> = rows.first().map(|row| get(row, 0)).transpose()?;
        // A parent that is damaged is as if it were not there.
        let awaiting = awaiting.and_then(|text| serde_json::from_slice::<Awaiting>(text).ok());
        Ok(awaiting.is_some_and(|awaiting| awaiting.lists(self.pid)))
    }

    /// The children of a wait that have not ended. All of them must be there.
    async fn open(&self, id: i64, awaiting: &Awaiting) -> Result<Vec<i64>, Fault> {
        const CHILDREN: &str = "SELECT c.id, p.parent, c.ended IS NOT NULL
            FROM process AS p JOIN checkpoint AS c ON c.id = p.id
            WHERE (substr(p.pid, 1, 64), sha256(p.pid))
                IN (SELECT substr(awaited, 1, 64), sha256(awaited) FROM unnest($1::bytea[]) AS awaited)
            ORDER BY c.id FOR NO KEY UPDATE OF c";
        let awaited: HashSet<Vec<u8>> = awaiting.children.iter().map(|child| text_of(&child.pid)).collect();
        let awaited: Vec<Vec<u8>> = awaited.into_iter().collect();
        let rows = self.session.query(CHILDREN, &[&awaited]).await?;
        if rows.len() < awaited.len() {
            return Err(StoreErrorKind::NotFound.into());
        }
        let mut open = Vec::new();
        for row in &rows {
            let (parent, ended): (Option<i64>, bool) = (get(row, 1)?, get(row, 2)?);
            if parent == Some(id) && !ended {
                open.push(get(row, 0)?);
            }
        }
        Ok(open)
    }

    async fn delete(&self, found: Found<'_>) -> Result<Changed, Fault> {
        let parent = found.parent.and_then(|parent| self.seen.row(parent));
        if !found.row.ended || parent.is_some_and(|parent| !parent.ended) {
            return Err(StoreErrorKind::Unfinished.into());
        }
        self.session.query(DELETE, &[&found.id, &text_of(self.pid)]).await?;
        Ok(Changed::Removed(1))
    }
}

const STILL_HOLDS: &str = still_holds!("$1");

const RESTORE: &str = "WITH present AS (
        SELECT state, steps, transitions FROM checkpoint WHERE id = $1
    ), copy AS (
        SELECT * FROM snapshot WHERE process_id = $1 AND tag = $2
    ), written AS (
        UPDATE checkpoint AS c SET
            revision = c.revision + 1, state = s.state, paused = s.paused, steps = c.steps + 1, updated_at = $3,
            transitions = c.transitions + $4::boolean::int, version = s.version, format = s.format,
            process = s.process, fingerprint = s.fingerprint, status = s.status, awaiting = s.awaiting,
            listeners = s.listeners, position = s.position, context = s.context, outputs = s.outputs, ended = NULL,
            exit_code = NULL, parked = NULL, wakes = $9, has_open = cardinality($8::bigint[]) > 0, owner = $10, attempts = 0, losses = 0
        FROM copy AS s WHERE c.id = $1
    ), appended AS (
        INSERT INTO history (process, ordinal, at, steps, left_state, entered_state, point)
        SELECT $1, p.transitions + 1, $3, p.steps + 1, p.state, s.state, $5 FROM present AS p, copy AS s WHERE $4
    ), forgotten AS (
        DELETE FROM memo WHERE process = $1
    ), unasked AS (
        -- Nobody will apply them to the life that they were meant for.
        DELETE FROM request WHERE $6::boolean AND pid = $7
    ), closed AS (
        DELETE FROM open_child WHERE parent = $1 AND child <> ALL ($8::bigint[])
    ) INSERT INTO open_child (parent, child) SELECT $1, child FROM unnest($8::bigint[]) AS child
    ON CONFLICT DO NOTHING";

const DELETE: &str = "WITH adopted AS (
        UPDATE process SET parent = NULL WHERE parent = $1
    ), closed AS (
        DELETE FROM open_child WHERE parent = $1
    ), forgotten AS (
        DELETE FROM memo WHERE process = $1
    ), unreported AS (
        DELETE FROM report WHERE process = $1
    ), unwritten AS (
        DELETE FROM history WHERE process = $1
    ), uncopied AS (
        DELETE FROM snapshot WHERE process_id = $1
    ), unasked AS (
        DELETE FROM request WHERE pid = $2
    ), settled AS (
        DELETE FROM owed WHERE process = $1
    ), unsaved AS (
        DELETE FROM checkpoint WHERE id = $1
    ) DELETE FROM process WHERE id = $1";
