//! What whoever watches processes is told, and the hints that workers give.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::error::Fault;
use super::fence::{fence, holds};
use super::read::{LOOK, get, pid, record, text_of};
use super::same::same;
use super::server::Server;
use crate::process::{ProcessId, Progress};
use crate::store::{Epoch, Hint, Look, Looks, StoreResult};

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
        let rows = self.query(OPERATION, LOOK, &[&pids]).await?;
        let mut hints = self.hints(&pids).await;
        let mut looks = Looks::default();
        for row in &rows {
            let pid = pid(row, 0).map_err(|fault| self.error(OPERATION, fault))?;
            match (record(row), whose(row)) {
                (Ok(record), Ok(Whose { owner, writer })) => {
                    let told = hints.remove(&pid).unwrap_or_default().into_iter();
                    let mut present = told.filter(|told| told.steps == record.steps && Some(told.epoch) == writer);
                    let hint = present.next().map(|told| told.progress);
                    looks.processes.push(Look::new(record, owner, hint));
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

fn whose(row: &Row) -> Result<Whose, Fault> {
    let epoch = |index| get::<i64>(row, index).map(|epoch| Epoch(epoch.cast_unsigned()));
    if get(row, 28)? {
        // Who has acquired the store has all of them, whoever had them before.
        return Ok(Whose { owner: None, writer: Some(epoch(29)?) });
    }
    let alive = get::<Option<bool>>(row, 27)?.unwrap_or_default();
    let owner = Some(epoch(26)?).filter(|owner| owner.0 > 0);
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
