//! Who works on the file, and how the processes stand.

use rusqlite::{Connection, Row, params};

use super::read::{names, optional_json, pid, state};
use crate::clock::Timestamp;
use crate::process::ProcessId;
use crate::store::{Awaiting, Epoch, Standing, StandingPage, Worker, WorkerRow};

const WORKERS: &str = "SELECT epoch, host, os_process, version, queues, slots, slots_used, joined_at, heard_at,
    (SELECT count(*) FROM share WHERE owner = epoch AND owner <> 0), lapsed = 0 AND lapses_at > ?1,
    drains FROM worker ORDER BY epoch";

pub(super) fn workers(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<WorkerRow>> {
    let worker = |row: &Row<'_>| {
        let queues: String = row.get(4)?;
        Ok(WorkerRow {
            epoch: Epoch(row.get::<_, i64>(0)?.cast_unsigned()),
            worker: Worker {
                host: row.get(1)?,
                os_process: row.get(2)?,
                version: row.get(3)?,
                queues: names(&queues)?,
                slots: row.get(5)?,
            },
            slots_used: row.get(6)?,
            joined_at: Timestamp::from_millis(row.get(7)?),
            heard_at: Timestamp::from_millis(row.get(8)?),
            owned: row.get::<_, i64>(9)?.cast_unsigned(),
            alive: row.get(10)?,
            drains: row.get(11)?,
        })
    };
    connection.prepare_cached(WORKERS)?.query_map([now.as_millis()], worker)?.collect()
}

const STANDING: &str = "SELECT process.pid, process.process,
    (SELECT up.pid FROM process AS up WHERE up.id = process.parent), state, paused, parked,
    coalesce(placement.queue, ''), coalesce(placement.priority, 0), share.owner,
    EXISTS (SELECT 1 FROM worker WHERE epoch = share.owner AND lapsed = 0 AND lapses_at > ?3),
    coalesce(share.attempts, 0), open_children,
    (SELECT count(*) FROM open_child AS o LEFT JOIN process AS c ON c.id = o.child
        WHERE o.parent = process.id AND (c.id IS NULL OR c.parked IS NOT NULL)),
    awaiting, created_at, updated_at, process.id
    FROM process CROSS JOIN checkpoint ON checkpoint.id = process.id
    LEFT JOIN placement ON placement.id = process.id LEFT JOIN share ON share.id = process.id
    WHERE process.ended IS NULL AND process.id > ?1 ORDER BY process.id LIMIT ?2";

pub(super) fn standing(
    connection: &Connection,
    after: Option<u64>,
    most: usize,
    now: Timestamp,
) -> rusqlite::Result<StandingPage> {
    let most = most.max(1);
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
    // One more than asked for, to know whether there is one.
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let mut query = connection.prepare_cached(STANDING)?;
    let mut rows = query.query(params![after, limit, now.as_millis()])?;
    let mut page = StandingPage::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.standings.len() + page.unreadable.len() == most {
            page.next = last;
            break;
        }
        match one(row) {
            Ok(standing) => page.standings.push(standing),
            Err(error) => page.unreadable.push((pid(row, 0)?, error.to_string())),
        }
        last = Some(row.get::<_, i64>(16)?.cast_unsigned());
    }
    Ok(page)
}

fn one(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let owner = row.get::<_, Option<i64>>(8)?.filter(|owner| *owner != super::sharing::NOBODY);
    let alive = row.get(9)?;
    let awaiting: Awaiting = optional_json(row, 13)?;
    Ok(Standing {
        pid: pid(row, 0)?,
        process: row.get(1)?,
        parent: row.get::<_, Option<String>>(2)?.map(ProcessId::from),
        state: state(row, 3)?,
        paused: row.get(4)?,
        parked: row.get(5)?,
        queue: row.get(6)?,
        priority: row.get(7)?,
        owner: owner.map(|owner| (Epoch(owner.cast_unsigned()), alive)),
        attempts: row.get(10)?,
        open_children: row.get::<_, i64>(11)?.cast_unsigned(),
        vain_children: row.get::<_, i64>(12)?.cast_unsigned(),
        wake_at: awaiting.wake_at,
        resume: awaiting.resume.is_some(),
        streams: !awaiting.streams.is_empty(),
        created_at: Timestamp::from_millis(row.get(14)?),
        updated_at: Timestamp::from_millis(row.get(15)?),
    })
}
