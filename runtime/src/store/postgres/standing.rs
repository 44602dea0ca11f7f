//! How the processes stand that have not ended, in pages.

use tokio_postgres::Row;

use super::error::Fault;
use super::read::{bound, get, json_or_empty, optional, page_limit, pid, state, text};
use super::server::Server;
use crate::clock::Timestamp;
use crate::process::{ProcessId, ProcessState};
use crate::store::{Awaiting, Epoch, Standing, StandingPage, StoreResult};

/// Two indexes have them together, each in order.
const STANDING: &str = "WITH open AS MATERIALIZED (
        SELECT id FROM (
            (SELECT id FROM checkpoint WHERE ended IS NULL AND parked IS NULL AND id > $1 ORDER BY id LIMIT $2)
            UNION ALL
            (SELECT id FROM checkpoint WHERE ended IS NULL AND parked IS NOT NULL AND id > $1 ORDER BY id LIMIT $2)
        ) AS both_of_them ORDER BY id LIMIT $2
    ) SELECT p.pid, c.process, (SELECT up.pid FROM process AS up WHERE up.id = p.parent), c.state, c.paused, c.parked,
        c.queue, c.priority, c.owner,
        (SELECT clock_timestamp() < w.lapses_at FROM worker AS w WHERE w.epoch = c.owner),
        c.attempts, (SELECT count(*) FROM open_child AS o WHERE o.parent = c.id),
        (SELECT count(*) FROM open_child AS o LEFT JOIN checkpoint AS k ON k.id = o.child
            WHERE o.parent = c.id AND (k.id IS NULL OR k.parked IS NOT NULL)),
        c.awaiting, p.created_at, c.updated_at, c.id, (SELECT owned FROM store)
    FROM open JOIN checkpoint AS c ON c.id = open.id JOIN process AS p ON p.id = c.id ORDER BY c.id";

impl Server {
    pub(super) async fn standing(&self, after: Option<u64>, most: usize) -> StoreResult<StandingPage> {
        const OPERATION: &str = "look over the processes in";
        let (after, limit) = (after.map_or(0, bound), page_limit(most));
        let rows = self.query(OPERATION, STANDING, &[&after, &limit]).await?;
        page(&rows, most).map_err(|fault| self.error(OPERATION, fault))
    }
}

fn page(rows: &[Row], most: usize) -> Result<StandingPage, Fault> {
    let most = most.max(1);
    let mut page = StandingPage::default();
    for row in rows.iter().take(most) {
        match standing(row) {
            Ok(standing) => page.standings.push(standing),
            Err(fault) => page.unreadable.push((pid(row, 0)?, fault.to_string())),
        }
    }
    if rows.len() > most
        && let Some(last) = rows.get(most - 1)
    {
        page.next = Some(get::<i64>(last, 16)?.cast_unsigned());
    }
    Ok(page)
}

fn standing(row: &Row) -> Result<Standing, Fault> {
    let count = |index| get::<i64>(row, index).map(i64::cast_unsigned);
    let state = state(row, 3)?;
    let awaiting: Awaiting = if state == ProcessState::Waiting { json_or_empty(row, 13)? } else { Awaiting::default() };
    // Who has acquired the store has all of them, whoever had them before.
    let owner = Some(count(8)?).filter(|owner| *owner > 0).filter(|_| !get::<bool>(row, 17).unwrap_or_default());
    let alive = get::<Option<bool>>(row, 9)?.unwrap_or_default();
    Ok(Standing {
        pid: pid(row, 0)?,
        process: text(row, 1)?,
        parent: optional(row, 2)?.map(ProcessId::from),
        state,
        paused: get(row, 4)?,
        parked: optional(row, 5)?,
        queue: text(row, 6)?,
        priority: get(row, 7)?,
        owner: owner.map(|owner| (Epoch(owner), alive)),
        attempts: u32::try_from(get::<i32>(row, 10)?).map_err(Fault::damaged)?,
        open_children: count(11)?,
        vain_children: count(12)?,
        wake_at: awaiting.wake_at,
        resume: awaiting.resume.is_some(),
        streams: !awaiting.streams.is_empty(),
        created_at: Timestamp::from_millis(get(row, 14)?),
        updated_at: Timestamp::from_millis(get(row, 15)?),
    })
}
