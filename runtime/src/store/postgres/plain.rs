//! The statement that a batch is written with in which nothing looks at other processes: boundaries, ends without a parent,
//! and creations. It is its own transaction.

use std::collections::{HashMap, HashSet};

use super::error::Fault;
use super::fence::{fence, holds, owns};
use super::job::{Job, Work};
use super::known::{Known, Memory};
use super::messages::Posted;
use super::outcome::{self, Spent, Token};
use super::read::{get, text_of};
use super::server::{Params, Session};
use super::write::{Parameter, Text, bytes, json};
use crate::store::record::some_listeners;
use crate::store::search::exit_code;
use crate::store::{Commit, Epoch, NewProcess, StoreResult};

/// Of each process the revision is known, so that one that was written already is not written again. One that ends while
/// children are open is left to those who lock it first.
macro_rules! write {
    () => {
        concat!(
            fence!("$18"),
            ", written AS (
        UPDATE checkpoint AS c SET
            revision = c.revision + 1, state = j.entered, paused = j.paused, steps = j.steps, updated_at = j.at,
            transitions = c.transitions + (j.point IS NOT NULL)::int, status = coalesce(j.status, c.status),
            position = coalesce(j.position, c.position), context = coalesce(j.context, c.context),
            outputs = coalesce(j.outputs, c.outputs), attempts = 0, losses = 0, parked = NULL, ended = j.ended,
            exit_code = j.exit_code,
            awaiting = CASE WHEN j.over THEN '' ELSE c.awaiting END, wakes = CASE WHEN j.over THEN 0 ELSE c.wakes END,
            owner = CASE WHEN j.ended IS NULL THEN c.owner ELSE 0 END
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::bigint[],
            $8::bigint[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[],
            $15::boolean[], $16::integer[])
            AS j(id, revision, epoch, leaves, entered, paused, steps, at, point, status, position, context, outputs,
            ended, over, exit_code)
        WHERE c.id = j.id AND c.revision = j.revision AND c.ended IS NULL AND NOT (j.ended IS NOT NULL AND c.has_open)
            AND ",
            owns!("j.epoch", "c.owner"),
            " RETURNING c.id, c.transitions, j.at, j.steps, j.leaves, j.entered, j.point
    ), appended AS (
        INSERT INTO history (process, ordinal, at, steps, left_state, entered_state, point)
        SELECT id, transitions, at, steps, leaves, entered, point FROM written WHERE point IS NOT NULL
    ), cut AS (
        DELETE FROM history AS h USING written AS w WHERE w.point IS NOT NULL AND w.transitions % $17 = 0
        AND h.process = w.id AND h.ordinal <= w.transitions - $17
    )"
        )
    };
}

const WRITE: &str = concat!(write!(), " SELECT id, NULL::bigint FROM written");

/// With messages, and creations. What is there already is left out, and what belongs to it. The rows that are made are
/// told by their places, which are those of messages, too: less than 0, where a row has its id.
///
/// `IS TRUE` makes the planner look things up in a table of hashes.
const WRITE_AND_CREATE: &str = concat!(
    write!(),
    ", given AS MATERIALIZED (
        SELECT nextval('process_id') AS id, j.*,
            CASE WHEN j.unowned OR j.epoch = (SELECT epoch FROM fence) THEN 0 ELSE j.epoch END AS owner
        FROM unnest($26::bigint[], $27::bytea[], $28::bytea[], $29::bigint[], $30::bytea[], $31::bytea[],
            $32::bigint[], $33::bigint[], $34::bytea[], $35::bytea[], $36::bytea[], $37::bytea[], $38::bytea[],
            $39::text[], $40::bytea[], $41::bytea[], $42::integer[], $43::boolean[], $44::bytea[], $45::bytea[])
            WITH ORDINALITY
            AS j(epoch, pid, key, at, inputs, defaulted, version, format, process, fingerprint, listeners, position,
            context, state, point, queue, priority, unowned, owed, address, place)
        WHERE ",
    holds!("j.epoch"),
    "), made AS (
        INSERT INTO process (id, pid, key, follows, created_at, inputs, defaulted)
        SELECT id, pid, key, false, at, inputs, defaulted FROM given ON CONFLICT DO NOTHING RETURNING id
    ), kept AS MATERIALIZED (
        SELECT * FROM given WHERE (id IN (SELECT id FROM made)) IS TRUE
    ), begun AS (
        INSERT INTO checkpoint
            (id, updated_at, state, transitions, version, format, process, fingerprint, listeners, position, context,
            queue, priority, owner)
        SELECT id, at, state, (point IS NOT NULL)::int, version, format, process, fingerprint, listeners, position,
            context, queue, priority, owner FROM kept
    ), entered AS (
        INSERT INTO history (process, ordinal, at, steps, left_state, entered_state, point)
        SELECT id, 1, at, 0, 'created', state, point FROM kept WHERE point IS NOT NULL
    ), owing AS (
        INSERT INTO owed (process, pid, id, address, sender)
        SELECT id, pid, owed, address, epoch FROM kept WHERE owed IS NOT NULL
    ), posted AS (
        INSERT INTO message (id, pid, body, sender) SELECT id, pid, body, sender
        FROM unnest($19::bytea[], $20::bytea[], $21::bytea[], $22::bigint[], $23::bigint[]) WITH ORDINALITY
            AS j(id, pid, body, sender, process, place)
        WHERE (process IN (SELECT id FROM written UNION ALL SELECT -place FROM kept)) IS TRUE ORDER BY place
        ON CONFLICT (id) DO NOTHING
    ), marked AS (
        INSERT INTO outcome (token, committed, created)
        SELECT $24::bytea, true, (SELECT array_agg(place) FROM kept) WHERE $24::bytea IS NOT NULL
    ), unmarked AS (
        DELETE FROM outcome WHERE token = ANY ($25::bytea[])
    ), heard AS MATERIALIZED (
        SELECT pg_notify(current_schema(), '0') AS done
        WHERE EXISTS (SELECT FROM kept WHERE owner = 0) AND EXISTS (SELECT FROM worker)
    ) SELECT id, NULL::bigint FROM written UNION ALL SELECT id, place FROM kept
    UNION ALL SELECT NULL, NULL FROM heard WHERE done IS NULL"
);

// The columns of each stand in the order of the statement's parameters.

#[derive(Debug, Default)]
struct Boundaries<'a> {
    id: Vec<i64>,
    revision: Vec<i64>,
    epoch: Vec<i64>,
    left: Vec<&'static str>,
    entered: Vec<&'static str>,
    paused: Vec<bool>,
    steps: Vec<i64>,
    at: Vec<i64>,
    point: Vec<Option<Text<'a>>>,
    status: Vec<Option<Vec<u8>>>,
    position: Vec<Option<Text<'a>>>,
    context: Vec<Option<Text<'a>>>,
    outputs: Vec<Option<Text<'a>>>,
    ended: Vec<Option<Text<'a>>>,
    over: Vec<bool>,
    exit_code: Vec<Option<i32>>,
}

impl<'a> Boundaries<'a> {
    fn push(&mut self, known: Known, commit: &'a Commit, history: u64) -> StoreResult<()> {
        self.status.push(commit.status.as_ref().map(|status| json(status, &commit.pid)).transpose()?);
        self.id.push(known.id);
        self.revision.push(known.revision);
        self.epoch.push(commit.epoch.0.cast_signed());
        self.left.push(commit.from.as_str());
        self.entered.push(commit.to.as_str());
        self.paused.push(commit.paused);
        self.steps.push(commit.steps.cast_signed());
        self.at.push(commit.at.as_millis());
        self.point.push(commit.transition.filter(|_| history > 0).map(str::as_bytes));
        self.position.push(bytes(commit.position.as_ref()));
        self.context.push(bytes(commit.context.as_ref()));
        self.outputs.push(bytes(commit.outputs.as_ref()));
        self.ended.push(bytes(commit.ended.as_ref()));
        self.over.push(commit.awaiting.is_some());
        self.exit_code.push(exit_code(commit.to, commit.ended.as_deref()));
        Ok(())
    }

    fn parameters(&self) -> [Parameter<'_>; 16] {
        [
            &self.id,
            &self.revision,
            &self.epoch,
            &self.left,
            &self.entered,
            &self.paused,
            &self.steps,
            &self.at,
            &self.point,
            &self.status,
            &self.position,
            &self.context,
            &self.outputs,
            &self.ended,
            &self.over,
            &self.exit_code,
        ]
    }
}

#[derive(Debug, Default)]
struct Creations<'a> {
    epoch: Vec<i64>,
    pid: Vec<Vec<u8>>,
    key: Vec<Option<Text<'a>>>,
    at: Vec<i64>,
    inputs: Vec<Text<'a>>,
    defaulted: Vec<Option<Text<'a>>>,
    version: Vec<i64>,
    format: Vec<i64>,
    process: Vec<Text<'a>>,
    fingerprint: Vec<Text<'a>>,
    listeners: Vec<Text<'a>>,
    position: Vec<Text<'a>>,
    context: Vec<Text<'a>>,
    state: Vec<&'static str>,
    point: Vec<Option<Text<'a>>>,
    queue: Vec<Text<'a>>,
    priority: Vec<i32>,
    unowned: Vec<bool>,
    owed: Vec<Option<Text<'a>>>,
    address: Vec<Option<Text<'a>>>,
}

impl<'a> Creations<'a> {
    fn push(&mut self, epoch: Epoch, process: &'a NewProcess, history: u64) {
        self.epoch.push(epoch.0.cast_signed());
        self.pid.push(text_of(&process.pid));
        self.key.push(bytes(process.key.as_ref()));
        self.at.push(process.at.as_millis());
        self.inputs.push(process.inputs.as_bytes());
        self.defaulted.push(bytes(process.defaulted.as_ref()));
        self.version.push(process.envelope.version.into());
        self.format.push(process.envelope.format.into());
        self.process.push(process.envelope.process.as_bytes());
        self.fingerprint.push(process.envelope.fingerprint.as_bytes());
        self.listeners.push(process.listeners.as_deref().and_then(some_listeners).unwrap_or_default().as_bytes());
        self.position.push(process.position.as_bytes());
        self.context.push(process.context.as_bytes());
        self.state.push(process.state().as_str());
        self.point.push(process.begun.filter(|_| history > 0).map(str::as_bytes));
        self.queue.push(process.placement.queue.as_bytes());
        self.priority.push(process.placement.priority);
        self.unowned.push(process.placement.unowned);
        self.owed.push(process.owes.as_ref().map(|reply| reply.id.as_bytes()));
        self.address.push(process.owes.as_ref().map(|reply| reply.address.as_bytes()));
    }

    fn parameters(&self) -> [Parameter<'_>; 20] {
        [
            &self.epoch,
            &self.pid,
            &self.key,
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
            &self.point,
            &self.queue,
            &self.priority,
            &self.unowned,
            &self.owed,
            &self.address,
        ]
    }
}

/// A batch that is written so.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// In the order of their rows.
    pub(super) boundaries: Vec<(Job, Known)>,
    pub(super) creations: Vec<Job>,
}

/// What of it is written: all that it was not for another to have written before.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) boundaries: HashSet<i64>,
    /// Those of creations that were made, by their places; none where the answer was lost.
    pub(super) creations: HashMap<usize, Option<i64>>,
}

impl Written {
    /// What a transaction has told of itself whose answer was lost.
    pub(super) fn lost(places: &[i64]) -> Result<Self, Fault> {
        let creations = places.iter().map(|of| Ok((place(*of)?, None))).collect::<Result<_, Fault>>()?;
        Ok(Self { creations, ..Self::default() })
    }
}

/// In the statement places begin with 1.
fn place(of: i64) -> Result<usize, Fault> {
    usize::try_from(of - 1).map_err(Fault::damaged)
}

impl Plain {
    /// None where there is anything in it that has to be looked at first.
    pub(super) fn of(jobs: Vec<Job>, memory: &Memory) -> Result<Self, Vec<Job>> {
        if !jobs.iter().all(|job| job.lost.is_none() && job.work.is_plain()) {
            return Err(jobs);
        }
        let known = memory.get(jobs.iter().map(|job| job.work.pid()));
        let is_known = |(job, known): (&Job, &Option<Known>)| match &job.work {
            Work::Create { .. } => true,
            Work::Commit(_) => known.is_some_and(|known| !known.child || !job.work.is_end()),
        };
        if !jobs.iter().zip(&known).all(is_known) {
            return Err(jobs);
        }
        let mut plain = Self::default();
        for (job, known) in jobs.into_iter().zip(known) {
            match (&job.work, known) {
                (Work::Commit(_), Some(known)) => plain.boundaries.push((job, known)),
                _ => plain.creations.push(job),
            }
        }
        plain.boundaries.sort_unstable_by_key(|(_, known)| known.id);
        Ok(plain)
    }

    pub(super) fn into_jobs(self) -> Vec<Job> {
        self.boundaries.into_iter().map(|(job, _)| job).chain(self.creations).collect()
    }

    /// The name of its transaction, where it has to have one: what became of a boundary is told by the revision.
    pub(super) fn token(&self) -> Option<Token> {
        (!self.creations.is_empty()).then(outcome::token)
    }

    /// Writes it.
    pub(super) async fn write(
        &self,
        session: &Session,
        history: u64,
        token: Option<&Token>,
        spent: &Spent,
    ) -> Result<Written, Fault> {
        let (mut boundaries, mut creations, mut posted) =
            (Boundaries::default(), Creations::default(), Posted::default());
        let (mut processes, mut epochs) = (Vec::new(), HashSet::new());
        for (job, known) in &self.boundaries {
            let Work::Commit(commit) = &job.work else { continue };
            boundaries.push(*known, commit, history).map_err(Fault::damaged)?;
            posted.push(commit.epoch, &commit.pid, &commit.messages);
            processes.extend(commit.messages.iter().map(|_| known.id));
            epochs.insert(commit.epoch.0.cast_signed());
        }
        for (place, job) in (1_i64..).zip(&self.creations) {
            let Work::Create { epoch, process } = &job.work else { continue };
            creations.push(*epoch, process, history);
            posted.push(*epoch, &process.pid, &process.messages);
            processes.extend(process.messages.iter().map(|_| -place));
            epochs.insert(epoch.0.cast_signed());
        }
        let most = i64::try_from(history).unwrap_or(i64::MAX).max(1);
        let epochs: Vec<i64> = epochs.into_iter().collect();
        let own: &[Parameter<'_>] = &[&boundaries.parameters()[..], &[&most, &epochs]].concat();
        let rows = if posted.is_empty() && self.creations.is_empty() {
            session.query(WRITE, own).await?
        } else {
            let spent = spent.all();
            let parameters: &[&[Parameter<'_>]] =
                &[own, &posted.parameters(), &[&processes, &token, &spent], &creations.parameters()];
            let parameters: Params<'_> = &parameters.concat();
            session.query(WRITE_AND_CREATE, parameters).await?
        };
        let mut written = Written::default();
        for row in &rows {
            let id = get(row, 0)?;
            match get::<Option<i64>>(row, 1)? {
                None => drop(written.boundaries.insert(id)),
                Some(of) => drop(written.creations.insert(place(of)?, Some(id))),
            }
        }
        Ok(written)
    }
}
