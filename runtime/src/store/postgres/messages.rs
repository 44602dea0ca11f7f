//! Messages and owed replies: written with what they belong to, and taken over from who sends no more.

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::fence::{fence, holds, still_holds};
use super::outcome::{self, Token, marks};
use super::read::{get, pid, text, text_of};
use super::server::{PLAIN, Params, Patience, Server, Session};
use super::write::{Parameter, Text};
use crate::process::ProcessId;
use crate::store::{Epoch, Mended, Message, OwedReply, StoreErrorKind, StoreResult, Unsent};

/// Messages of a batch, in their order.
#[derive(Debug, Default)]
pub(super) struct Posted<'a> {
    id: Vec<Text<'a>>,
    pid: Vec<Vec<u8>>,
    body: Vec<Text<'a>>,
    sender: Vec<i64>,
}

impl<'a> Posted<'a> {
    pub(super) fn push(&mut self, sender: Epoch, pid: &ProcessId, messages: &'a [Message]) {
        for message in messages {
            self.id.push(message.id.as_bytes());
            self.pid.push(text_of(pid));
            self.body.push(message.body.as_bytes());
            self.sender.push(sender.0.cast_signed());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    pub(super) fn parameters(&self) -> [Parameter<'_>; 4] {
        [&self.id, &self.pid, &self.body, &self.sender]
    }
}

/// The senders of all messages and replies are read off the indexes, one look for each. Lost are those that have left, and
/// those whose lease has lapsed; one that is being renewed is locked. Rows that another takes are left to it.
const TAKE: &str = concat!(
    fence!("ARRAY[$1::bigint]"),
    ", ",
    marks!("$3", "$4"),
    ", senders AS MATERIALIZED (
        WITH RECURSIVE posting AS (
            SELECT min(sender) AS sender FROM message
            UNION ALL SELECT (SELECT min(m.sender) FROM message AS m WHERE m.sender > p.sender) FROM posting AS p
            WHERE p.sender IS NOT NULL
        ), owing AS (
            SELECT min(sender) AS sender FROM owed
            UNION ALL SELECT (SELECT min(o.sender) FROM owed AS o WHERE o.sender > p.sender) FROM owing AS p
            WHERE p.sender IS NOT NULL
        ) SELECT sender FROM posting UNION SELECT sender FROM owing
    ), lapsed AS MATERIALIZED (
        SELECT epoch FROM worker WHERE lapses_at <= clock_timestamp() FOR SHARE SKIP LOCKED
    ), lost AS MATERIALIZED (
        SELECT sender FROM senders WHERE sender <> $1
        AND (sender IN (SELECT epoch FROM lapsed) OR sender NOT IN (SELECT epoch FROM worker))
    ), messages AS MATERIALIZED (
        SELECT f.id FROM lost CROSS JOIN LATERAL (
            SELECT id, ordinal FROM message AS m WHERE m.sender = lost.sender
            ORDER BY ordinal LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS f ORDER BY f.ordinal LIMIT $2
    ), replies AS MATERIALIZED (
        SELECT f.process, f.id FROM lost CROSS JOIN LATERAL (
            SELECT process, id FROM owed AS o WHERE o.sender = lost.sender LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS f LIMIT $2
    ), posted AS (
        UPDATE message AS m SET sender = $1 FROM messages AS t WHERE m.id = t.id AND ",
    holds!("$1::bigint"),
    " RETURNING m.ordinal, m.id, m.pid, m.body
    ), promised AS (
        UPDATE owed AS o SET sender = $1 FROM replies AS t
        WHERE o.process = t.process AND sha256(o.id) = sha256(t.id) AND ",
    holds!("$1::bigint"),
    " RETURNING o.pid, o.id, o.address
    ) SELECT 'fence' AS what, -1::bigint AS place, NULL::bytea AS id, NULL::bytea AS pid, NULL::bytea AS body WHERE ",
    holds!("$1::bigint"),
    " UNION ALL SELECT 'message', ordinal, id, pid, body FROM posted
    UNION ALL SELECT 'reply', 0, id, pid, address FROM promised ORDER BY place"
);

const STILL_HOLDS: &str = still_holds!("ARRAY[$1::bigint]");

pub(super) const SENT: &str = concat!(
    fence!("ARRAY[$1]"),
    ", gone AS (DELETE FROM message WHERE id = ANY ($2::bytea[]) AND ",
    holds!("$1::bigint"),
    ") SELECT ",
    holds!("$1::bigint")
);

/// Locks the parents, as all do who change what they wait for; none where the epoch is stale.
const VAIN: &str = concat!(
    fence!("ARRAY[$1::bigint]"),
    ", ",
    marks!("$2", "$3"),
    ", vain AS MATERIALIZED (
        SELECT DISTINCT o.parent FROM open_child AS o
        WHERE NOT EXISTS (SELECT FROM checkpoint AS c WHERE c.id = o.child AND c.ended IS NULL)
    ), locked AS MATERIALIZED (
        SELECT id FROM checkpoint WHERE id IN (SELECT parent FROM vain) ORDER BY id FOR NO KEY UPDATE
    ) SELECT NULL::bigint AS parent WHERE ",
    holds!("$1::bigint"),
    " UNION ALL SELECT parent FROM vain WHERE (SELECT count(*) FROM locked) >= 0 AND ",
    holds!("$1::bigint")
);

/// Tells the workers that have the parents, or all where nobody has them.
const MEND: &str = concat!(
    "WITH gone AS (
        DELETE FROM open_child AS o WHERE o.parent = ANY ($2::bigint[])
        AND NOT EXISTS (SELECT FROM checkpoint AS c WHERE c.id = o.child AND c.ended IS NULL) RETURNING o.parent, o.child
    ), freed AS (
        UPDATE checkpoint AS c SET has_open = false WHERE c.id = ANY ($2::bigint[]) AND NOT EXISTS (
            SELECT FROM open_child AS o WHERE o.parent = c.id AND (o.parent, o.child) NOT IN (SELECT * FROM gone)
        )
    ), heard AS MATERIALIZED (
        SELECT pg_notify(current_schema(), h.owner::text) AS done FROM (
            SELECT DISTINCT coalesce(w.epoch, 0) AS owner FROM gone AS g JOIN checkpoint AS c ON c.id = g.parent
            LEFT JOIN worker AS w ON w.epoch = c.owner AND clock_timestamp() < w.lapses_at
        ) AS h WHERE EXISTS (SELECT FROM worker)
    ) SELECT (SELECT count(*) FROM gone) + 0 * (SELECT count(*) FROM heard), NULL::bytea UNION ALL ",
    still_holds!("ARRAY[$1::bigint]")
);

impl Server {
    pub(super) async fn unsent(&self, epoch: Epoch, most: usize) -> StoreResult<Unsent> {
        const OPERATION: &str = "take over messages in";
        let mut patience = self.patience();
        loop {
            match self.try_take(epoch, most, &mut patience).await {
                Ok(unsent) => return Ok(unsent),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(OPERATION, fault))?,
            }
        }
    }

    /// Whoever asks is told all that it has: what is committed is given even where the answer to that was lost.
    async fn try_take(&self, epoch: Epoch, most: usize, patience: &mut Patience) -> Result<Unsent, Fault> {
        let session = self.session().await?;
        // Forgets no other names: where nothing is to be had, it is rolled back.
        let (token, forgotten) = (outcome::token(), Vec::<Token>::new());
        let (epoch, most) = (epoch.0.cast_signed(), i64::try_from(most).unwrap_or(i64::MAX));
        let rows = self.timed(session.begin_with(PLAIN, TAKE, &[&epoch, &most, &token, &forgotten])).await?;
        let Some((_, given)) = rows.split_first() else { return self.back(session, StoreErrorKind::Stale).await };
        let mut unsent = Unsent::default();
        for row in given {
            let read = match get(row, 0)? {
                "message" => message(row).map(|message| unsent.messages.push(message)),
                _ => reply(row).map(|reply| unsent.replies.push(reply)),
            };
            if let Err(fault) = read {
                // It keeps none of the others, and stays where it is.
                tracing::warn!(%fault, "a damaged row of what is to be sent is left out");
            }
        }
        if given.is_empty() {
            session.run("ROLLBACK").await?;
            session.keep();
            return Ok(unsent);
        }
        self.finish_named(session, (STILL_HOLDS, &[&epoch]), token, patience).await?;
        Ok(unsent)
    }

    /// Ends a transaction that was refused.
    async fn back<T>(&self, session: Session, kind: StoreErrorKind) -> Result<T, Fault> {
        session.run("ROLLBACK").await?;
        session.keep();
        Err(kind.into())
    }

    /// Ends a transaction with its last statement; where the answer is lost, finds out whether it was committed.
    async fn finish_named(
        &self,
        session: Session,
        (sql, params): (&str, Params<'_>),
        token: Token,
        patience: &mut Patience,
    ) -> Result<Vec<Row>, Fault> {
        match self.timed(session.finish(sql, params)).await {
            Ok(rows) => {
                session.keep();
                self.spent.add(token);
                Ok(rows)
            }
            Err(fault) if fault.lost => {
                drop(session);
                self.outcome(token, fault, patience).await?;
                Ok(Vec::new())
            }
            Err(fault) => {
                // The connection is given up with what it has locked.
                drop(session);
                Err(fault)
            }
        }
    }

    pub(super) async fn mend(&self, epoch: Epoch) -> StoreResult<Mended> {
        const OPERATION: &str = "mend";
        let mut patience = self.patience();
        loop {
            match self.try_mend(epoch, &mut patience).await {
                Ok(mended) => return Ok(mended),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(OPERATION, fault))?,
            }
        }
    }

    async fn try_mend(&self, epoch: Epoch, patience: &mut Patience) -> Result<Mended, Fault> {
        let session = self.session().await?;
        let (token, forgotten) = (outcome::token(), Vec::<Token>::new());
        let epoch = epoch.0.cast_signed();
        let rows = self.timed(session.begin(VAIN, &[&epoch, &token, &forgotten])).await?;
        if rows.is_empty() {
            return self.back(session, StoreErrorKind::Stale).await;
        }
        let parents = rows.iter().map(|row| get::<Option<i64>>(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let parents: Vec<i64> = parents.into_iter().flatten().collect();
        if parents.is_empty() {
            session.run("ROLLBACK").await?;
            session.keep();
            return Ok(Mended::default());
        }
        // Where the answer was lost, nobody knows how many there were.
        let rows = self.finish_named(session, (MEND, &[&epoch, &parents]), token, patience).await?;
        let children = rows.first().map(|row| get::<Option<i64>>(row, 0)).transpose()?.flatten();
        Ok(Mended { children: children.unwrap_or_default().cast_unsigned() })
    }
}

fn message(row: &Row) -> Result<(ProcessId, Message), Fault> {
    let id = Uuid::from_slice(get(row, 2)?).map_err(Fault::damaged)?;
    Ok((pid(row, 3)?, Message { id, body: text(row, 4)? }))
}

fn reply(row: &Row) -> Result<(ProcessId, OwedReply), Fault> {
    Ok((pid(row, 3)?, OwedReply { id: text(row, 2)?, address: text(row, 4)? }))
}
