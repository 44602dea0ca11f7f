//! The second statement of a transaction that writes a batch: all that was decided, by the ids of rows.

use std::collections::HashSet;

use serde::Serialize;
use tokio_postgres::types::ToSql;

use super::error::Fault;
use super::fence::still_holds;
use super::messages::Posted;
use super::server::Session;
use crate::process::ProcessId;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// Each part writes rows of its own. Those that a wait closes and opens again are neither removed nor added; and a parent that
/// has a boundary of its own in the same batch is written with that.
const WRITE: &str = concat!(
    "WITH gone AS (
        DELETE FROM open_child AS o USING unnest($60::bigint[], $61::bigint[]) AS j(parent, child)
        WHERE o.parent = j.parent AND o.child = j.child RETURNING o.parent, o.child
    ), told AS MATERIALIZED (
        SELECT g.child, g.parent FROM gone AS g WHERE NOT EXISTS (
            SELECT FROM open_child AS o WHERE o.parent = g.parent AND o.child <> ALL ($61::bigint[])
        )
    ), written AS (
        UPDATE checkpoint AS c SET
            revision = c.revision + 1, state = j.state, paused = j.paused, steps = j.steps, updated_at = j.at,
            transitions = j.transitions, reports = j.reports, version = coalesce(j.version, c.version),
            format = coalesce(j.format, c.format), process = coalesce(j.process, c.process),
            fingerprint = coalesce(j.fingerprint, c.fingerprint), status = coalesce(j.status, c.status),
            awaiting = coalesce(j.awaiting, c.awaiting), listeners = coalesce(j.listeners, c.listeners),
            position = coalesce(j.position, c.position), context = coalesce(j.context, c.context),
            outputs = coalesce(j.outputs, c.outputs), ended = j.ended, exit_code = j.exit_code,
            wakes = coalesce(j.wakes, c.wakes),
            has_open = coalesce(j.has_open, c.has_open AND c.id NOT IN (SELECT parent FROM told)),
            owner = j.owner, attempts = 0, losses = 0, parked = NULL
        FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[],
            $15::bytea[], $16::bytea[], $17::bytea[], $18::bytea[], $62::bigint[], $63::bigint[],
            $73::boolean[], $74::integer[])
            AS j(id, state, paused, steps, at, transitions, reports, version, format, process, fingerprint, status,
            awaiting, listeners, position, context, outputs, ended, wakes, owner, has_open, exit_code)
        WHERE c.id = j.id
    ), appended AS (
        INSERT INTO history (process, ordinal, at, steps, left_state, entered_state, point)
        SELECT * FROM unnest($19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::text[], $24::text[],
            $25::bytea[])
    ), cut AS (
        DELETE FROM history AS h USING unnest($26::bigint[], $27::bigint[]) AS j(process, last)
        WHERE h.process = j.process AND h.ordinal <= j.last
    ), reported AS (
        INSERT INTO report (process, ordinal, at, text)
        SELECT * FROM unnest($28::bigint[], $29::bigint[], $30::bigint[], $31::bytea[])
    ), shortened AS (
        DELETE FROM report AS r USING unnest($32::bigint[], $33::bigint[]) AS j(process, last)
        WHERE r.process = j.process AND r.ordinal <= j.last
    ), forgotten AS (
        DELETE FROM memo WHERE process = ANY ($34::bigint[])
    ), applied AS (
        DELETE FROM request WHERE id = ANY ($35::bigint[])
    ), created AS (
        INSERT INTO process (id, pid, key, parent, follows, created_at, inputs, defaulted)
        SELECT * FROM unnest($36::bigint[], $37::bytea[], $38::bytea[], $39::bigint[], $40::boolean[], $41::bigint[],
            $42::bytea[], $43::bytea[])
    ), begun AS (
        INSERT INTO checkpoint
            (id, updated_at, state, transitions, version, format, process, fingerprint, listeners, position, context,
            queue, priority, owner)
        SELECT j.id, j.at, j.state, j.transitions, j.version, j.format, j.process, j.fingerprint, j.listeners,
            j.position, j.context, j.queue, j.priority, j.owner
        FROM unnest($36::bigint[], $41::bigint[], $44::bigint[], $45::bigint[], $46::bytea[], $47::bytea[],
            $48::bytea[], $49::bytea[], $50::bytea[], $51::text[], $52::bigint[], $64::bytea[], $65::integer[],
            $66::bigint[])
            AS j(id, at, version, format, process, fingerprint, listeners, position, context, state, transitions,
            queue, priority, owner)
    ), closed AS (
        DELETE FROM open_child WHERE parent = ANY ($53::bigint[])
        AND (parent, child) NOT IN (SELECT * FROM unnest($54::bigint[], $55::bigint[]))
    ), opened AS (
        INSERT INTO open_child (parent, child) SELECT * FROM unnest($54::bigint[], $55::bigint[])
        ON CONFLICT DO NOTHING
    ), owing AS (
        INSERT INTO owed (process, pid, id, address, sender)
        SELECT * FROM unnest($56::bigint[], $57::bytea[], $58::bytea[], $59::bytea[], $68::bigint[])
    ), posted AS (
        INSERT INTO message (id, pid, body, sender) SELECT id, pid, body, sender
        FROM unnest($69::bytea[], $70::bytea[], $71::bytea[], $72::bigint[]) WITH ORDINALITY
            AS j(id, pid, body, sender, place) ORDER BY place
        ON CONFLICT (id) DO NOTHING
    ), waiting AS (
        UPDATE checkpoint SET has_open = true
        WHERE id = ANY ($54::bigint[]) AND id <> ALL ($1::bigint[]) AND NOT has_open
    ), freed AS (
        UPDATE checkpoint SET has_open = false
        WHERE id = ANY (ARRAY(SELECT parent FROM told)) AND id <> ALL ($1::bigint[]) AND id <> ALL ($54::bigint[])
    ), heard AS MATERIALIZED (
        -- Who wrote the end of a child of its own knows of it.
        SELECT pg_notify(current_schema(), h.owner::text) AS done FROM (
            SELECT coalesce(w.epoch, 0) AS owner FROM gone AS g
            JOIN checkpoint AS c ON c.id = g.parent JOIN checkpoint AS e ON e.id = g.child
            LEFT JOIN worker AS w ON w.epoch = c.owner AND clock_timestamp() < w.lapses_at
            WHERE c.owner = 0 OR c.owner <> e.owner
            UNION SELECT 0 WHERE 0 = ANY ($66::bigint[])
        ) AS h WHERE EXISTS (SELECT FROM worker)
    ) SELECT t.child, (SELECT p.pid FROM process AS p WHERE p.id = t.parent) FROM told AS t
    UNION ALL SELECT NULL, NULL FROM heard WHERE done IS NULL
    UNION ALL ",
    still_holds!("$67")
);

pub(super) type Text<'a> = &'a [u8];
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

// The columns of each stand in the order of the statement's parameters.

/// Boundaries.
#[derive(Debug, Default)]
pub(super) struct Boundaries<'a> {
    pub(super) id: Vec<i64>,
    pub(super) state: Vec<&'static str>,
    pub(super) paused: Vec<bool>,
    pub(super) steps: Vec<i64>,
    pub(super) at: Vec<i64>,
    pub(super) transitions: Vec<i64>,
    pub(super) reports: Vec<i64>,
    pub(super) version: Vec<Option<i64>>,
    pub(super) format: Vec<Option<i64>>,
    pub(super) process: Vec<Option<Text<'a>>>,
    pub(super) fingerprint: Vec<Option<Text<'a>>>,
    pub(super) status: Vec<Option<Vec<u8>>>,
    pub(super) awaiting: Vec<Option<Vec<u8>>>,
    pub(super) listeners: Vec<Option<Text<'a>>>,
    pub(super) position: Vec<Option<Text<'a>>>,
    pub(super) context: Vec<Option<Text<'a>>>,
    pub(super) outputs: Vec<Option<Text<'a>>>,
    pub(super) ended: Vec<Option<Text<'a>>>,
    pub(super) wakes: Vec<Option<i64>>,
    pub(super) owner: Vec<i64>,
    /// Where the boundary leaves it as it is, none.
    pub(super) has_open: Vec<Option<bool>>,
    pub(super) exit_code: Vec<Option<i32>>,
}

impl Boundaries<'_> {
    fn parameters(&self) -> [Parameter<'_>; 18] {
        [
            &self.id,
            &self.state,
            &self.paused,
            &self.steps,
            &self.at,
            &self.transitions,
            &self.reports,
            &self.version,
            &self.format,
            &self.process,
            &self.fingerprint,
            &self.status,
            &self.awaiting,
            &self.listeners,
            &self.position,
            &self.context,
            &self.outputs,
            &self.ended,
        ]
    }
}

/// Rows of histories.
#[derive(Debug, Default)]
pub(super) struct History<'a> {
    pub(super) process: Vec<i64>,
    pub(super) ordinal: Vec<i64>,
    pub(super) at: Vec<i64>,
    pub(super) steps: Vec<i64>,
    pub(super) left: Vec<&'static str>,
    pub(super) entered: Vec<&'static str>,
    pub(super) point: Vec<Text<'a>>,
}

impl History<'_> {
    fn parameters(&self) -> [Parameter<'_>; 7] {
        [&self.process, &self.ordinal, &self.at, &self.steps, &self.left, &self.entered, &self.point]
    }
}

/// Lines of reports.
#[derive(Debug, Default)]
pub(super) struct Reports<'a> {
    pub(super) process: Vec<i64>,
    pub(super) ordinal: Vec<i64>,
    pub(super) at: Vec<i64>,
    pub(super) text: Vec<Text<'a>>,
}

impl Reports<'_> {
    fn parameters(&self) -> [Parameter<'_>; 4] {
        [&self.process, &self.ordinal, &self.at, &self.text]
    }
}

/// Processes.
#[derive(Debug, Default)]
pub(super) struct Created<'a> {
    pub(super) id: Vec<i64>,
    pub(super) pid: Vec<Vec<u8>>,
    pub(super) key: Vec<Option<Text<'a>>>,
    pub(super) parent: Vec<Option<i64>>,
    pub(super) follows: Vec<bool>,
    pub(super) at: Vec<i64>,
    pub(super) inputs: Vec<Text<'a>>,
    pub(super) defaulted: Vec<Option<Text<'a>>>,
    pub(super) version: Vec<i64>,
    pub(super) format: Vec<i64>,
    pub(super) process: Vec<Text<'a>>,
    pub(super) fingerprint: Vec<Text<'a>>,
    pub(super) listeners: Vec<Text<'a>>,
    pub(super) position: Vec<Text<'a>>,
    pub(super) context: Vec<Text<'a>>,
    pub(super) state: Vec<&'static str>,
    pub(super) transitions: Vec<i64>,
    pub(super) queue: Vec<Vec<u8>>,
    pub(super) priority: Vec<i32>,
    pub(super) owner: Vec<i64>,
}

impl Created<'_> {
    fn parameters(&self) -> [Parameter<'_>; 17] {
        [
            &self.id,
            &self.pid,
            &self.key,
            &self.parent,
            &self.follows,
            &self.at,
            &self.inputs,
            &self.defaulted,
            &self.version,
            &self.format,
            &self.process,
            &self.fingerprint,
            &self.listeners,
            &self.position,
            &self.context,
            &self.state,
            &self.transitions,
        ]
    }
}

/// Replies.
#[derive(Debug, Default)]
pub(super) struct Owed<'a> {
    pub(super) process: Vec<i64>,
    pub(super) pid: Vec<Vec<u8>>,
    pub(super) id: Vec<Text<'a>>,
    pub(super) address: Vec<Text<'a>>,
    pub(super) sender: Vec<i64>,
}

impl Owed<'_> {
    fn parameters(&self) -> [Parameter<'_>; 4] {
        [&self.process, &self.pid, &self.id, &self.address]
    }
}

/// Pairs: a process and the last row that is removed, or a parent and a child.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) one: Vec<i64>,
    pub(super) other: Vec<i64>,
}

impl Pairs {
    fn parameters(&self) -> [Parameter<'_>; 2] {
        [&self.one, &self.other]
    }

    pub(super) fn push(&mut self, one: i64, other: i64) {
        self.one.push(one);
        self.other.push(other);
    }
}

/// All that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Writing<'a> {
    pub(super) boundaries: Boundaries<'a>,
    pub(super) history: History<'a>,
    pub(super) cut: Pairs,
    pub(super) reports: Reports<'a>,
    pub(super) shortened: Pairs,
    pub(super) forgotten: Vec<i64>,
    pub(super) applied: Vec<i64>,
    pub(super) created: Created<'a>,
    /// Parents whose wait is over, or another one.
    pub(super) closed: Vec<i64>,
    pub(super) opened: Pairs,
    pub(super) owed: Owed<'a>,
    pub(super) posted: Posted<'a>,
    /// Those that end, with their parents.
    pub(super) ended: Pairs,
    /// Under which it is written.
    pub(super) epochs: HashSet<i64>,
}

impl Writing<'_> {
    /// Whether all is refused.
    pub(super) fn is_nothing(&self) -> bool {
        self.boundaries.id.is_empty() && self.created.id.is_empty()
    }

    /// Writes, and ends the transaction. Gives the processes that were the last that their parents waited for, and the
    /// parents.
    pub(super) async fn finish(&self, session: &Session) -> Result<Vec<(i64, ProcessId)>, Fault> {
        let epochs: Vec<i64> = self.epochs.iter().copied().collect();
        let parameters = [
            &self.boundaries.parameters()[..],
            &self.history.parameters(),
            &self.cut.parameters(),
            &self.reports.parameters(),
            &self.shortened.parameters(),
            &[&self.forgotten, &self.applied],
            &self.created.parameters(),
            &[&self.closed],
            &self.opened.parameters(),
            &self.owed.parameters(),
            &self.ended.parameters(),
            &[&self.boundaries.wakes, &self.boundaries.owner],
            &[&self.created.queue, &self.created.priority, &self.created.owner, &epochs],
            &[&self.owed.sender],
            &self.posted.parameters(),
            &[&self.boundaries.has_open, &self.boundaries.exit_code],
        ];
        let rows = session.finish(WRITE, &parameters.concat()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, super::read::text(row, 1)?.into()))).collect()
    }
}

/// A text as it is sent.
pub(super) fn bytes(text: Option<&String>) -> Option<&[u8]> {
    text.map(String::as_bytes)
}

pub(super) fn json(value: &impl Serialize, pid: &ProcessId) -> StoreResult<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| {
        StoreError::new(StoreErrorKind::Other, "commit", format_args!("process `{pid}`")).with_source(error)
    })
}
