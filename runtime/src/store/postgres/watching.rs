//! What whoever watches processes is told, and the hints that workers give.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::error::Fault;
use super::fence::{fence, holds};
use super::read::{get, json_or_empty, optional, pid, state, text, text_of};
use super::same::same;
use super::server::Server;
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, Progress};
use crate::store::{Epoch, Hint, Look, Looks, StoreResult};

/// Without what they have in them; and with whose they are.
const LOOK: &str = concat!(
    r#"SELECT p.pid, c.process, c.version, p.key, (SELECT up.pid FROM process AS up WHERE up.id = p.parent), c.state,
        c.paused, c.parked, c.status, c.position, c.awaiting,
        (SELECT count(*) FROM open_child AS o WHERE o.parent = c.id), c.steps,
        CASE WHEN octet_length(c.ended) > $2 AND substr(c.ended, 1, 19) = '{"state":"finished"'
            THEN '{"state":"finished"}' ELSE c.ended END,
        p.created_at, c.updated_at, c.owner,
        (SELECT clock_timestamp() < w.lapses_at FROM worker AS w WHERE w.epoch = c.owner),
        (SELECT owned FROM store), (SELECT epoch FROM store), c.attempts
    FROM process AS p JOIN checkpoint AS c ON c.id = p.id
    WHERE p.id IN (SELECT k.id FROM unnest($1::bytea[]) AS j(pid) JOIN process AS k ON "#,
    same!("k.pid", "j.pid"),
    ")"
);

/// Apart from the processes: a server that is a copy of another has no hints, and says so by an error.
const HINTS: &str = concat!(
    "SELECT p.pid, h.epoch, h.steps, h.progress
    FROM unnest($1::bytea[]) AS j(pid) JOIN process AS p ON ",
    same!("p.pid", "j.pid"),
    " JOIN hint AS h ON h.process = p.id"
);

/// In place of what this worker has told before, and of what those told who are gone.
pub(super) const HINT: &str = concat!(
    fence!("ARRAY[$1]"),
    ", gone AS (
        DELETE FROM hint AS h WHERE ",
    holds!("$1::bigint"),
    " AND (h.epoch = $1 OR NOT EXISTS (
            SELECT FROM worker AS w WHERE w.epoch = h.epoch AND clock_timestamp() < w.lapses_at
        ))
    ), told AS (
        INSERT INTO hint (epoch, process, steps, progress) SELECT $1, p.id, j.steps, j.progress
        FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS j(pid, steps, progress) JOIN process AS p ON ",
    same!("p.pid", "j.pid"),
    " WHERE ",
    holds!("$1::bigint"),
    ") SELECT ",
    holds!("$1::bigint")
);

/// What a worker has told of a step.
struct Told {
    epoch: Epoch,
    steps: u64,
    progress: Progress,
}

/// Whose a process is.
struct Whose {
    owner: Option<(Epoch, bool)>,
    /// The epoch under which its present step runs.
    writer: Option<Epoch>,
}

impl Server {
    pub(super) async fn look(&self, processes: Vec<ProcessId>) -> StoreResult<Looks> {
        const OPERATION: &str = "look at processes in";
        let pids: Vec<Vec<u8>> = processes.iter().map(text_of).collect();
        let most = i32::try_from(limits::SUMMARY_ENDED_BYTES).unwrap_or(i32::MAX);
        let rows = self.query(OPERATION, LOOK, &[&pids, &most]).await?;
        let mut hints = self.hints(&pids).await;
        let mut looks = Looks::default();
        for row in &rows {
            let pid = pid(row, 0).map_err(|fault| self.error(OPERATION, fault))?;
            match (one(&pid, row), whose(row)) {
                (Ok(look), Ok(Whose { owner, writer })) => {
                    let told = hints.remove(&pid).unwrap_or_default().into_iter();
                    let mut present = told.filter(|told| told.steps == look.steps && Some(told.epoch) == writer);
                    let hint = present.next().map(|told| told.progress);
                    looks.processes.push(look.attended(owner, hint));
                }
                (Err(fault), _) | (_, Err(fault)) => looks.unreadable.push((pid, fault.to_string())),
            }
        }
        Ok(looks)
    }

    /// Where they cannot be read, there are none.
    async fn hints(&self, pids: &[Vec<u8>]) -> HashMap<ProcessId, Vec<Told>> {
        let mut hints: HashMap<_, Vec<Told>> = HashMap::new();
        let rows = self.query("read hints in", HINTS, &[&pids]).await.unwrap_or_default();
        for (pid, told) in rows.iter().filter_map(|row| told(row).ok()) {
            hints.entry(pid).or_default().push(told);
        }
        hints
    }
}

fn told(row: &Row) -> Result<(ProcessId, Told), Fault> {
    let [epoch, steps] = [get::<i64>(row, 1)?, get::<i64>(row, 2)?].map(i64::cast_unsigned);
    let progress = serde_json::from_slice(get(row, 3)?).map_err(Fault::damaged)?;
    Ok((pid(row, 0)?, Told { epoch: Epoch(epoch), steps, progress }))
}

fn one(pid: &ProcessId, row: &Row) -> Result<Look, Fault> {
    let number = |index| get::<i64>(row, index).map(i64::cast_unsigned);
    Ok(Look {
        pid: pid.clone(),
        process: text(row, 1)?,
        version: u32::try_from(get::<i64>(row, 2)?).map_err(Fault::damaged)?,
        key: optional(row, 3)?,
        parent: optional(row, 4)?.map(ProcessId::from),
        state: state(row, 5)?,
        paused: get(row, 6)?,
        parked: optional(row, 7)?,
        status: json_or_empty(row, 8)?,
        position: text(row, 9)?,
        awaiting: json_or_empty(row, 10)?,
        open_children: number(11)?,
        steps: number(12)?,
        ended: optional(row, 13)?,
        created_at: Timestamp::from_millis(get(row, 14)?),
        updated_at: Timestamp::from_millis(get(row, 15)?),
        owner: None,
        hint: None,
        attempts: u32::try_from(get::<i32>(row, 20)?).map_err(Fault::damaged)?,
    })
}

fn whose(row: &Row) -> Result<Whose, Fault> {
    let epoch = |index| get::<i64>(row, index).map(|epoch| Epoch(epoch.cast_unsigned()));
    if get(row, 18)? {
        // Who has acquired the store has all of them, whoever had them before.
        return Ok(Whose { owner: None, writer: Some(epoch(19)?) });
    }
    let alive = get::<Option<bool>>(row, 17)?.unwrap_or_default();
    let owner = Some(epoch(16)?).filter(|owner| owner.0 > 0);
    Ok(Whose { owner: owner.map(|owner| (owner, alive)), writer: owner })
}

/// Ids, steps, and what is said of each.
type Columns = (Vec<Vec<u8>>, Vec<i64>, Vec<Vec<u8>>);

/// The columns of hints.
pub(super) fn columns(hints: &[Hint]) -> Result<Columns, serde_json::Error> {
    let pids = hints.iter().map(|hint| text_of(&hint.pid)).collect();
    let steps = hints.iter().map(|hint| hint.steps.cast_signed()).collect();
    let progress = hints.iter().map(|hint| serde_json::to_vec(&hint.progress)).collect::<Result<_, _>>()?;
    Ok((pids, steps, progress))
}
