//! Several workers on one store: who they are, and which process is whose.

use std::time::Duration;

use tokio_postgres::Row;

use super::error::Fault;
use super::fence::fence;
use super::known::Memory;
use super::outcome::{self, Token, marks};
use super::read::{CLAIMED, CLAIMED_WITHIN, get, page, pid, text};
use super::same::same;
use super::server::{PLAIN, Params, Patience, Server, Session};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessId;
use crate::store::{Claimed, Epoch, Page, StoreErrorKind, StoreResult, Worker, WorkerRow};

const ACQUIRE: &str = "UPDATE store SET epoch = epoch + 1, owned = true RETURNING epoch";

/// Waits for what workers are writing: nothing of it comes later.
const DISMISS: &str = "WITH all_of_them AS MATERIALIZED (
        SELECT epoch FROM worker WHERE lapses_at > '-infinity' ORDER BY epoch FOR UPDATE
    ) UPDATE worker AS w SET lapses_at = '-infinity' FROM all_of_them AS a WHERE w.epoch = a.epoch";

/// One that has lapsed is remembered as long as it has something that can be claimed, so that a claim finds it.
const JOIN: &str = "WITH given AS (
        UPDATE store SET epoch = epoch + 1, owned = false RETURNING epoch
    ), forgotten AS (
        DELETE FROM worker AS w WHERE lapses_at < clock_timestamp() - $8::float8 * interval '1 second'
        AND NOT EXISTS (SELECT FROM checkpoint AS c WHERE c.owner = w.epoch AND c.owner <> 0 AND c.ended IS NULL)
    ) INSERT INTO worker
        (epoch, host, os_process, version, queues, slots, lease, joined_at, heard_at, lapses_at)
    SELECT epoch, $1::bytea, $2::bigint, $3::bytea, $4::bytea[], $5::bigint, $6::float8 * interval '1 second',
        clock_timestamp(), clock_timestamp(), clock_timestamp() + $7::float8 * interval '1 second'
    FROM given RETURNING epoch";

const RELEASE: &str = "UPDATE store SET owned = false WHERE epoch = $1";

/// Waits for what the worker is writing.
const LEAVING: &str = "SELECT epoch FROM worker WHERE epoch = $1 AND clock_timestamp() < lapses_at FOR UPDATE";

const LEAVE: &str = "WITH mine AS MATERIALIZED (
        SELECT id FROM checkpoint WHERE owner = $1 AND owner <> 0 AND ended IS NULL ORDER BY id FOR UPDATE
    ), freed AS (
        UPDATE checkpoint AS c SET owner = 0 FROM mine WHERE c.id = mine.id
    ), gone AS (
        DELETE FROM worker WHERE epoch = $1
    ) SELECT pg_notify(current_schema(), '0')";

pub(super) const HAND_OVER: &str = concat!(
    fence!("ARRAY[$1]"),
    ", mine AS MATERIALIZED (
        SELECT c.id FROM unnest($2::bytea[]) AS j(pid) JOIN process AS p ON ",
    same!("p.pid", "j.pid"),
    "
        JOIN checkpoint AS c ON c.id = p.id
        WHERE c.owner IN (SELECT epoch FROM leased) AND c.ended IS NULL ORDER BY c.id FOR UPDATE OF c
    ), freed AS (
        UPDATE checkpoint AS c SET owner = 0 FROM mine WHERE c.id = mine.id RETURNING c.id
    ), heard AS MATERIALIZED (
        SELECT pg_notify(current_schema(), '0') AS done WHERE EXISTS (SELECT FROM freed)
    ) SELECT EXISTS (SELECT FROM leased), (SELECT count(done) FROM heard)"
);

/// Takes the first ones of those that can go on at once, of those whose time has come, and of those that are asked
/// something, and of these the first ones again. Rows that another has locked are left to it. Suspects are looked for
/// apart, one at most, so that many of them hide no others.
///
/// Those whose time has come are in the order of their times: some are read, and those that are not taken stand with those
/// that can go on at once from then on, in the order in which they are to run. So each is read twice at most.
///
/// Lost are workers whose lease has lapsed; one that is being renewed is locked. Who was made stale by an owner of the
/// whole store was not lost.
const CLAIM: &str = concat!(
    fence!("ARRAY[$1::bigint]"),
    ", ",
    marks!("$3", "$4"),
    ", clock AS MATERIALIZED (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
    ), free AS MATERIALIZED (
        SELECT 0::bigint AS owner, 0 AS attempt UNION ALL SELECT epoch, attempt FROM (
            SELECT epoch, (lapses_at > '-infinity')::int AS attempt FROM worker
            WHERE lapses_at <= clock_timestamp()
            AND EXISTS (SELECT FROM checkpoint AS c WHERE c.owner = epoch AND c.owner <> 0 AND c.ended IS NULL)
            FOR SHARE SKIP LOCKED
        ) AS lost
    ), queue AS MATERIALIZED (
        SELECT DISTINCT unnest(queues) AS name FROM leased
    ), addressed AS MATERIALIZED (
        SELECT DISTINCT (SELECT p.id FROM process AS p WHERE ", same!("p.pid", "r.pid"), ") AS id FROM request AS r
    ), allowed AS MATERIALIZED (
        SELECT (NOT EXISTS (
            SELECT FROM checkpoint WHERE owner = $1 AND losses >= 2 AND ended IS NULL AND parked IS NULL
            AND (due <= (SELECT now FROM clock) OR id IN (SELECT id FROM addressed))
        ))::int::bigint AS suspects
    ), ready AS MATERIALIZED (
        SELECT c.id, c.priority, free.attempt, lost.times + free.attempt >= 2 AS suspect
        FROM free CROSS JOIN queue CROSS JOIN (VALUES (0), (1), (2)) AS lost (times) CROSS JOIN LATERAL (
            SELECT id, priority FROM checkpoint
            WHERE owner = free.owner AND queue = queue.name AND least(losses, 2) = lost.times
            AND due = 0 ORDER BY priority DESC, id
            LIMIT CASE WHEN lost.times + free.attempt >= 2 THEN (SELECT suspects FROM allowed) ELSE $2 END
            FOR UPDATE SKIP LOCKED
        ) AS c
    ), woken AS MATERIALIZED (
        SELECT c.id, c.priority, free.attempt, lost.times + free.attempt >= 2 AS suspect
        FROM free CROSS JOIN queue CROSS JOIN (VALUES (0), (1), (2)) AS lost (times) CROSS JOIN LATERAL (
            SELECT id, priority FROM checkpoint
            WHERE owner = free.owner AND queue = queue.name AND least(losses, 2) = lost.times
            AND due > 0 AND due < 9223372036854775807 AND due <= (SELECT now FROM clock)
            ORDER BY due
            LIMIT CASE WHEN lost.times + free.attempt >= 2 THEN $6 * (SELECT suspects FROM allowed) ELSE $6 END
            FOR UPDATE SKIP LOCKED
        ) AS c
    ), asked AS MATERIALIZED (
        SELECT c.id, c.priority, c.attempt, c.losses + c.attempt >= 2 AS suspect
        FROM addressed AS a CROSS JOIN LATERAL (
            SELECT id, priority, losses, (SELECT f.attempt FROM free AS f WHERE f.owner = k.owner) AS attempt
            FROM checkpoint AS k WHERE id = a.id AND ended IS NULL AND parked IS NULL
            AND owner IN (SELECT owner FROM free) AND queue IN (SELECT name FROM queue)
            LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS c
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY suspect ORDER BY priority DESC, id) AS place FROM (
            SELECT * FROM ready UNION SELECT * FROM woken UNION SELECT * FROM asked
        ) AS found
    ), chosen AS MATERIALIZED (
        SELECT id, attempt, suspect FROM ranked WHERE NOT suspect OR place <= (SELECT suspects FROM allowed)
        ORDER BY priority DESC, id LIMIT $2
    ), moved AS (
        UPDATE checkpoint SET wakes = 0 WHERE id = ANY (ARRAY(SELECT id FROM woken EXCEPT SELECT id FROM chosen))
    ), taken AS (
        UPDATE checkpoint AS c SET
            owner = CASE WHEN c.attempts + h.attempt > $5 THEN 0 ELSE $1 END, attempts = c.attempts + h.attempt,
            losses = c.losses + h.attempt, parked = CASE WHEN c.attempts + h.attempt > $5
                THEN convert_to(format(
                    'its worker was lost %s times without a boundary in between', c.losses + h.attempt
                ), 'UTF8') END
        FROM chosen AS h WHERE c.id = h.id RETURNING c.id, c.parked, c.attempts, h.suspect
    ) SELECT NULL::bigint, NULL::bytea, NULL::bytea, NULL::integer, NULL::boolean FROM leased
    UNION ALL SELECT t.id, t.parked, (SELECT p.pid FROM process AS p WHERE p.id = t.id), t.attempts, t.suspect FROM taken AS t"
);

/// As the statement and the indexes have it.
const _: () = assert!(limits::SUSPECT == 2);

const WORKERS: &str = "SELECT w.epoch, host, os_process, version, queues, slots, slots_used,
        (extract(epoch FROM joined_at) * 1000)::bigint, (extract(epoch FROM heard_at) * 1000)::bigint,
        (SELECT count(*) FROM checkpoint AS c WHERE c.owner = w.epoch AND c.owner <> 0 AND c.ended IS NULL),
        clock_timestamp() < lapses_at, drains
    FROM worker AS w WHERE lapses_at > '-infinity' ORDER BY epoch";

const DRAIN: &str =
    "UPDATE worker SET drains = true WHERE epoch = $1 AND clock_timestamp() < lapses_at RETURNING epoch";

/// What a claim has taken, and the name of its transaction.
struct Taken {
    ids: Vec<i64>,
    parked: Vec<(ProcessId, String)>,
    attempts: Vec<(ProcessId, u32)>,
    suspect: Option<ProcessId>,
    token: Token,
}

impl Server {
    pub(super) async fn acquire(&self) -> StoreResult<Epoch> {
        const OPERATION: &str = "own";
        // Twice, where the answer was lost: the later epoch is the one that counts.
        let rows = self.both(OPERATION, (ACQUIRE, &[]), (DISMISS, &[])).await?;
        self.epoch_of(OPERATION, &rows)
    }

    pub(super) async fn join(&self, worker: &Worker, lease: Duration) -> StoreResult<Epoch> {
        const OPERATION: &str = "join the workers in";
        let queues: Vec<&[u8]> = worker.queues.iter().map(String::as_bytes).collect();
        let (host, version) = (worker.host.as_bytes(), worker.version.as_bytes());
        let (os_process, slots) = (i64::from(worker.os_process), i64::from(worker.slots));
        let (lease, forget) = (lease.as_secs_f64(), limits::LAPSED_WORKER.as_secs_f64());
        // Twice, where the answer was lost: the lease of the first is never renewed.
        let parameters: Params<'_> = &[&host, &os_process, &version, &queues, &slots, &lease, &lease, &forget];
        let rows = self.query(OPERATION, JOIN, parameters).await?;
        self.epoch_of(OPERATION, &rows)
    }

    fn epoch_of(&self, operation: &'static str, rows: &[Row]) -> StoreResult<Epoch> {
        let row = rows.first().ok_or_else(|| Fault::from(StoreErrorKind::Other));
        let epoch = row.and_then(|row| get::<i64>(row, 0)).map_err(|fault| self.error(operation, fault))?;
        Ok(Epoch(epoch.cast_unsigned()))
    }

    pub(super) async fn release(&self, epoch: Epoch) -> StoreResult<()> {
        let epoch = epoch.0.cast_signed();
        self.query("release", RELEASE, &[&epoch]).await?;
        self.both("release", (LEAVING, &[&epoch]), (LEAVE, &[&epoch])).await.map(drop)
    }

    /// A transaction of two statements that may be done twice; gives the rows of the first, without which there is no second.
    async fn both(
        &self,
        operation: &'static str,
        first: (&str, Params<'_>),
        second: (&str, Params<'_>),
    ) -> StoreResult<Vec<Row>> {
        let mut patience = self.patience();
        loop {
            match self.try_both(first, second).await {
                Ok(rows) => return Ok(rows),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(operation, fault))?,
            }
        }
    }

    async fn try_both(&self, first: (&str, Params<'_>), second: (&str, Params<'_>)) -> Result<Vec<Row>, Fault> {
        let session = self.session().await?;
        let rows = self.timed(session.begin(first.0, first.1)).await?;
        if rows.is_empty() {
            session.run("ROLLBACK").await?;
        } else {
            self.timed(session.finish(second.0, second.1)).await?;
        }
        session.keep();
        Ok(rows)
    }

    pub(super) async fn claim(
        &self,
        epoch: Epoch,
        most: usize,
        attempts: u32,
        memory: &Memory,
    ) -> StoreResult<Claimed> {
        const OPERATION: &str = "claim processes in";
        let mut patience = self.patience();
        loop {
            match self.try_claim(epoch, (most, attempts), memory, &mut patience).await {
                Ok(claimed) => return Ok(claimed),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(OPERATION, fault))?,
            }
        }
    }

    /// Whoever claims is told all that it has: what is committed is read even where the answer to that was lost.
    async fn try_claim(
        &self,
        epoch: Epoch,
        bounds: (usize, u32),
        memory: &Memory,
        patience: &mut Patience,
    ) -> Result<Claimed, Fault> {
        let session = self.session().await?;
        let Some(Taken { ids, parked, attempts, suspect, token }) = self.take(&session, epoch, bounds).await? else {
            session.run("ROLLBACK").await?;
            session.keep();
            return Err(StoreErrorKind::Stale.into());
        };
        if ids.is_empty() && parked.is_empty() {
            session.run("ROLLBACK").await?;
            session.keep();
            return Ok(Claimed::default());
        }
        let rows = match self.timed(session.finish(CLAIMED_WITHIN, &[&ids, &epoch.0.cast_signed()])).await {
            Ok(rows) => {
                session.keep();
                self.spent.add(token);
                rows
            }
            Err(fault) if fault.lost => {
                drop(session);
                self.outcome(token, fault, patience).await?;
                let rows = self.query("read processes in", CLAIMED, &[&ids]).await;
                // They are claimed, and who has them does not know of them.
                rows.map_err(|error| Fault { passing: false, ..Fault::damaged(error).unknown() })?
            }
            Err(fault) => return Err(fault),
        };
        let Page { records, unreadable, .. } = page(&rows, ids.len(), memory)?;
        Ok(Claimed { records, parked, unreadable, attempts, suspect })
    }

    /// None under an epoch that is stale.
    async fn take(
        &self,
        session: &Session,
        epoch: Epoch,
        (most, attempts): (usize, u32),
    ) -> Result<Option<Taken>, Fault> {
        // Forgets no other names: where nothing is to be had, it is rolled back.
        let (token, forgotten) = (outcome::token(), Vec::<Token>::new());
        let [most, woken] = [most, most.max(limits::WOKEN)].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let (epoch, attempts) = (epoch.0.cast_signed(), i32::try_from(attempts).unwrap_or(i32::MAX));
        let parameters: Params<'_> = &[&epoch, &most, &token, &forgotten, &attempts, &woken];
        let rows = self.timed(session.begin_with(PLAIN, CLAIM, parameters)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut all = Taken { ids: Vec::new(), parked: Vec::new(), attempts: Vec::new(), suspect: None, token };
        for row in &rows {
            let Some(process) = get::<Option<i64>>(row, 0)? else { continue };
            if get::<Option<&[u8]>>(row, 1)?.is_some() {
                all.parked.push((pid(row, 2)?, text(row, 1)?));
            } else {
                all.ids.push(process);
                let attempts = u32::try_from(get::<i32>(row, 3)?).map_err(Fault::damaged)?;
                if get(row, 4)? {
                    all.suspect = Some(pid(row, 2)?);
                }
                if attempts > 0 {
                    all.attempts.push((pid(row, 2)?, attempts));
                }
            }
        }
        Ok(Some(all))
    }

    /// Whether there is such a worker. It may be asked twice.
    pub(super) async fn ask_to_drain(&self, worker: Epoch) -> StoreResult<bool> {
        let rows = self.query("ask a worker to drain in", DRAIN, &[&worker.0.cast_signed()]).await?;
        Ok(!rows.is_empty())
    }

    pub(super) async fn workers(&self) -> StoreResult<Vec<WorkerRow>> {
        const OPERATION: &str = "list the workers in";
        let rows = self.query(OPERATION, WORKERS, &[]).await?;
        let read = |row| worker(row).map_err(|fault| self.error(OPERATION, fault));
        rows.iter().map(read).collect()
    }
}

fn worker(row: &Row) -> Result<WorkerRow, Fault> {
    let number = |index| u32::try_from(get::<i64>(row, index)?).map_err(Fault::damaged);
    let queues = get::<Vec<Vec<u8>>>(row, 4)?.into_iter().map(String::from_utf8);
    Ok(WorkerRow {
        epoch: Epoch(get::<i64>(row, 0)?.cast_unsigned()),
        worker: Worker {
            host: text(row, 1)?,
            os_process: number(2)?,
            version: text(row, 3)?,
            queues: queues.collect::<Result<_, _>>().map_err(Fault::damaged)?,
            slots: number(5)?,
        },
        slots_used: number(6)?,
        joined_at: Timestamp::from_millis(get(row, 7)?),
        heard_at: Timestamp::from_millis(get(row, 8)?),
        owned: get::<i64>(row, 9)?.cast_unsigned(),
        alive: get(row, 10)?,
        drains: get(row, 11)?,
    })
}
