//! What a worker had when it was lost, and how long it took until it went on elsewhere.

use procession::ProcessId;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

use super::eye::Eye;
use super::report::Times;

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
    /// Rows of these.
    owned: HashSet<i64>,
    /// Rows of those that could go on.
    able: Vec<i64>,
    /// When the first of them had its next boundary.
    first: Option<i64>,
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
        let mut loss =
            Self { at, steps: HashMap::new(), effects, owned: HashSet::new(), able: Vec::new(), first: None };
        for row in rows {
            let (pid, steps): (String, i64) = (row.get(1), row.get(2));
            loss.steps.insert(pid.into(), u64::try_from(steps).unwrap_or_default());
            loss.owned.insert(row.get(0));
            if row.get(3) {
                loss.able.push(row.get(0));
            }
        }
        loss
    }

    /// When the first of what could go on had its next boundary; none where there was nothing.
    async fn gone_on(&self, eye: &Eye) -> Option<i64> {
        if self.able.is_empty() {
            return None;
        }
        let until = Instant::now() + TAKEN;
        let first = "SELECT min(updated_at) FROM checkpoint WHERE id = ANY ($1) AND updated_at > $2";
        loop {
            let first: Option<i64> = eye.rows(first, &[&self.able, &self.at]).await[0].get(0);
            if first.is_some() {
                return first;
            }
            assert!(Instant::now() < until, "nothing of what a lost worker had goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// All workers that were lost, and when what they had went on.
#[derive(Default)]
pub(crate) struct Losses {
    waiting: JoinSet<(Option<i64>, Loss)>,
    known: Vec<(Option<i64>, Loss)>,
    /// Times without a worker that had joined.
    empty: Vec<(i64, Option<i64>)>,
    /// Times of other faults.
    disturbed: Vec<(i64, i64)>,
}

impl Losses {
    pub(crate) fn add(&mut self, eye: &Eye, losses: Vec<Loss>) {
        for loss in losses {
            let eye = eye.clone();
            self.waiting.spawn(async move { (loss.gone_on(&eye).await, loss) });
        }
    }

    pub(crate) fn count(&self) -> u64 {
        (self.waiting.len() + self.known.len()) as u64
    }

    /// How many workers have joined now.
    pub(crate) fn ready(&mut self, ready: usize) {
        match (self.empty.last_mut(), ready) {
            (Some((_, end @ None)), 1..) => *end = Some(now()),
            (None | Some((_, Some(_))), 0) => self.empty.push((now(), None)),
            _ => {}
        }
    }

    /// Waits until all goes on.
    pub(crate) async fn settle(&mut self) -> Vec<Loss> {
        while let Some(done) = self.waiting.join_next().await {
            self.known.push(done.expect("it goes on"));
        }
        std::mem::take(&mut self.known).into_iter().map(|(first, loss)| Loss { first, ..loss }).collect()
    }

    /// Another fault struck from then on, and is over.
    pub(crate) fn disturbed_since(&mut self, from: i64) {
        self.disturbed.push((from, now()));
    }

    /// How long it took, without the times in which nobody was there to take over; and how long where another fault struck
    /// meanwhile. What was taken over by a worker that was lost, too, before it had done anything is left out: it counts for that
    /// one.
    pub(crate) fn times(&self, losses: &[Loss], lease: Duration) -> (Times, Times) {
        let (mut calm, mut disturbed) = (Times::default(), Times::default());
        // Workers that were not heard from join again.
        let after = i64::try_from(lease.as_millis()).unwrap_or_default();
        for loss in losses {
            let Some(first) = loss.first else { continue };
            let takes_it =
                |other: &Loss| loss.at < other.at && other.at < first && !loss.owned.is_disjoint(&other.owned);
            if losses.iter().any(takes_it) {
                continue;
            }
            let within = |(from, to): &(i64, Option<i64>)| (to.unwrap_or(first).min(first) - from.max(&loss.at)).max(0);
            let nobody: i64 = self.empty.iter().map(within).sum();
            let struck = self.disturbed.iter().any(|(from, to)| *from < first && loss.at < to + after);
            let times = if struck { &mut disturbed } else { &mut calm };
            times.add(Duration::from_millis(u64::try_from(first - loss.at - nobody).unwrap_or_default()));
        }
        (calm, disturbed)
    }
}
