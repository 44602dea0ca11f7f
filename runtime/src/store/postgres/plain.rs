//! The statement that most boundaries are written with: one for all of a batch, which is its own transaction.

use std::collections::HashSet;

use super::error::Fault;
use super::fence::{fence, owns};
use super::job::{Job, Work};
use super::known::Known;
use super::messages::Posted;
use super::server::{Params, Session};
use super::write::{bytes, json};
use crate::store::{Commit, StoreResult};

/// Of each process the revision is known, so that one that was written already is not written again.
macro_rules! write {
    ($posted:expr) => {
        concat!(
            fence!("$15"),
            ", written AS (
        UPDATE checkpoint AS c SET
            revision = c.revision + 1, state = j.entered, paused = j.paused, steps = j.steps, updated_at = j.at,
            transitions = c.transitions + (j.point IS NOT NULL)::int, status = coalesce(j.status, c.status),
            position = coalesce(j.position, c.position), context = coalesce(j.context, c.context),
            outputs = coalesce(j.outputs, c.outputs), attempts = 0, losses = 0, parked = NULL
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::bigint[],
            $8::bigint[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])
            AS j(id, revision, epoch, leaves, entered, paused, steps, at, point, status, position, context, outputs)
        WHERE c.id = j.id AND c.revision = j.revision AND c.ended IS NULL AND ",
            owns!("j.epoch", "c.owner"),
            " RETURNING c.id, c.transitions, j.at, j.steps, j.leaves, j.entered, j.point
    ), appended AS (
        INSERT INTO history (process, ordinal, at, steps, left_state, entered_state, point)
        SELECT id, transitions, at, steps, leaves, entered, point FROM written WHERE point IS NOT NULL
    ), cut AS (
        DELETE FROM history AS h USING written AS w WHERE w.point IS NOT NULL AND w.transitions % $14 = 0
        AND h.process = w.id AND h.ordinal <= w.transitions - $14
    )",
            $posted,
            " SELECT id FROM written"
        )
    };
}

const WRITE: &str = write!("");

/// With messages, of those boundaries that are written.
const WRITE_AND_POST: &str = write!(
    ", posted AS (
        INSERT INTO message (id, pid, body, sender) SELECT j.id, j.pid, j.body, j.sender
        FROM unnest($16::bytea[], $17::bytea[], $18::bytea[], $19::bigint[], $20::bigint[]) WITH ORDINALITY
            AS j(id, pid, body, sender, process, place) JOIN written AS w ON w.id = j.process ORDER BY j.place
        ON CONFLICT (id) DO NOTHING
    )"
);

#[derive(Debug, Default)]
struct Columns<'a> {
    id: Vec<i64>,
    revision: Vec<i64>,
    epoch: Vec<i64>,
    left: Vec<&'static str>,
    entered: Vec<&'static str>,
    paused: Vec<bool>,
    steps: Vec<i64>,
    at: Vec<i64>,
    point: Vec<Option<&'a [u8]>>,
    status: Vec<Option<Vec<u8>>>,
    position: Vec<Option<&'a [u8]>>,
    context: Vec<Option<&'a [u8]>>,
    outputs: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
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
        Ok(())
    }
}

/// Writes boundaries of processes that are known, in the order of their rows; gives the rows that it wrote.
pub(super) async fn write(session: &Session, jobs: &[(Job, Known)], history: u64) -> Result<HashSet<i64>, Fault> {
    let mut columns = Columns::default();
    for (job, known) in jobs {
        let Work::Commit(commit) = &job.work else { continue };
        columns.push(*known, commit, history).map_err(Fault::damaged)?;
    }
    let (mut posted, mut processes) = (Posted::default(), Vec::new());
    for (job, known) in jobs {
        let Work::Commit(commit) = &job.work else { continue };
        posted.push(commit.epoch, &commit.pid, &commit.messages);
        processes.extend(commit.messages.iter().map(|_| known.id));
    }
    let most = i64::try_from(history).unwrap_or(i64::MAX).max(1);
    let Columns { id, revision, epoch, left, entered, paused, steps, at, point, status, position, context, outputs } =
        &columns;
    let epochs: Vec<i64> = epoch.iter().copied().collect::<HashSet<i64>>().into_iter().collect();
    let parameters: Params<'_> = &[
        id, revision, epoch, left, entered, paused, steps, at, point, status, position, context, outputs, &most,
        &epochs,
    ];
    let rows = if posted.is_empty() {
        session.query(WRITE, parameters).await?
    } else {
        let posted = [&posted.parameters()[..], &[&processes]].concat();
        session.query(WRITE_AND_POST, &[parameters, &posted].concat()).await?
    };
    rows.iter().map(|row| row.try_get(0).map_err(Fault::from)).collect()
}
