//! What a worker had when it was lost, and how long it took until it went on elsewhere.

use procession::ProcessId;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::eye::Eye;

/// How long it may take at most until something of a lost worker goes on; the aim is its lease and a second.
const TAKEN: Duration = Duration::from_secs(60);
/// How long the server may take to see that a client is gone.
const GONE: Duration = Duration::from_secs(10);

/// Milliseconds by the clock that workers on this machine have.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// A worker that was killed.
pub(crate) struct Loss {
    pub(crate) at: i64,
    /// Committed steps of each process that it owned.
    pub(crate) steps: HashMap<ProcessId, u64>,
    /// How much of the effects file there was then.
    pub(crate) effects: u64,
    /// Rows of those that could go on.
    able: Vec<i64>,
}

impl Loss {
    /// Of a worker that has just been killed.
    pub(crate) async fn of(eye: &Eye, os_process: u32, name: &str, at: i64, effects: impl Fn() -> u64) -> Self {
        let until = Instant::now() + GONE;
        let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        // What it had sent may still be written.
        while eye.number(connected, &[&name]).await > 0 {
            assert!(Instant::now() < until, "the server does not see that `{name}` is gone");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let effects = effects();
        let owned = "SELECT c.id, convert_from(p.pid, 'UTF8'), c.steps, due <= $2 AND (due >= 0
                OR due = -1) AND NOT EXISTS (SELECT FROM open_child AS o WHERE o.parent = c.id)
            FROM checkpoint AS c JOIN process AS p ON p.id = c.id
            WHERE ended IS NULL AND parked IS NULL AND owner <> 0
            AND owner IN (SELECT epoch FROM worker WHERE os_process = $1)";
        let rows = eye.rows(owned, &[&i64::from(os_process), &at]).await;
        let mut loss = Self { at, steps: HashMap::new(), effects, able: Vec::new() };
        for row in rows {
            let (pid, steps): (String, i64) = (row.get(1), row.get(2));
            loss.steps.insert(pid.into(), u64::try_from(steps).unwrap_or_default());
            if row.get(3) {
                loss.able.push(row.get(0));
            }
        }
        loss
    }

    /// How long it took from the loss until the first boundary of what could go on; none where there was nothing.
    ///
    /// Where no worker was left, from when one had joined.
    pub(crate) async fn taken_over(&self, eye: &Eye, alone: bool) -> Option<Duration> {
        if self.able.is_empty() {
            return None;
        }
        let until = Instant::now() + TAKEN;
        let first = "SELECT min(updated_at) FROM checkpoint WHERE id = ANY ($1) AND updated_at > $2";
        loop {
            if let Some(first) = eye.rows(first, &[&self.able, &self.at]).await[0].get::<_, Option<i64>>(0) {
                let mut since = self.at;
                if alone {
                    let joined = "SELECT coalesce(min((extract(epoch FROM joined_at) * 1000)::bigint), $1)
                        FROM worker WHERE (extract(epoch FROM joined_at) * 1000)::bigint >= $1
                        AND queues = ARRAY[''::bytea]";
                    since = eye.number(joined, &[&self.at]).await;
                }
                return Some(Duration::from_millis(u64::try_from(first - since).unwrap_or_default()));
            }
            assert!(Instant::now() < until, "nothing of what a lost worker had goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
