//! The one thread that has the connection: it takes all that is asked, does it in one transaction with one flush, and
//! answers.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::SqliteTransportOptions;
use super::error::{code, engine, is_busy, is_passing};
use super::inlet::{GRACE, InEnd};
use super::ledger::Ledger;
use super::members::Membership;
use super::outlet::{OutEnd, Room};
use super::queue::{Ask, Call, End, Found, LATER, Shared};
use super::turn::{Hunger, Opening, Post, Sending, Settling, Turn};
use crate::{TransportError, TransportResult};

/// How often it looks whether the transaction of another OS process is over: about as long as a short one takes.
const TURN: Duration = Duration::from_micros(500);
/// How often it looks whether other OS processes have written, at first and after a while.
const POLL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// What a transaction that failed was to settle is tried again after this time.
const RETRY: Duration = Duration::from_millis(100);
const ACTION: &str = "writing to a file of channels";

pub(super) struct Writer {
    pub(super) connection: Connection,
    path: PathBuf,
    busy: Duration,
    pub(super) shared: Arc<Shared>,
    pub(super) membership: Membership,
    pub(super) outs: HashMap<i64, Arc<OutEnd>>,
    pub(super) ins: HashMap<i64, Arc<InEnd>>,
    pub(super) rooms: HashMap<i64, Weak<Room>>,
    /// What waits for others: for items, for room, or for what was given out.
    pub(super) hungry: VecDeque<Hunger>,
    pub(super) blocked: Vec<Arc<OutEnd>>,
    pub(super) posts: VecDeque<Post>,
    leaving: Vec<Arc<InEnd>>,
    /// Inlets with something to settle, and when it is to be done.
    pub(super) unsettled: Vec<Arc<InEnd>>,
    settle_at: Option<Instant>,
    /// Changes when others have written.
    version: i64,
    poll: Duration,
    look_at: Instant,
    waited: bool,
}

/// How a transaction ended.
enum Ended {
    Done,
    /// Others took this transport for lost.
    Lost,
}

/// Writes until all handles are gone, or it is closed, or it fails.
pub(super) fn run(connection: Connection, path: PathBuf, options: &SqliteTransportOptions, shared: &Arc<Shared>) {
    let membership = Membership::new(path.clone(), options.lease);
    let mut writer = Writer {
        connection,
        path,
        busy: options.busy,
        shared: Arc::clone(shared),
        membership,
        outs: HashMap::new(),
        ins: HashMap::new(),
        rooms: HashMap::new(),
        hungry: VecDeque::new(),
        blocked: Vec::new(),
        posts: VecDeque::new(),
        leaving: Vec::new(),
        unsettled: Vec::new(),
        settle_at: None,
        version: 0,
        poll: POLL.0,
        look_at: Instant::now(),
        waited: false,
    };
    if catch_unwind(AssertUnwindSafe(|| writer.serve())).is_err() {
        let reason = "the thread that writes panicked".to_owned();
        shared.shut(Some(TransportError::Refused { what: ACTION, reason }));
        writer.wake_all();
    }
    shared.shut(None);
    shared.end();
}

impl Writer {
    fn serve(&mut self) {
        loop {
            let mut found = self.shared.take(self.until());
            let mut turn = Turn::default();
            let mut closes = self.sort(&mut found, &mut turn);
            if turn.is_last {
                self.shared.shut(None);
                self.take_all(&mut turn);
            }
            if !self.wants_turn(&turn) {
                continue;
            }
            self.gather(&mut turn);
            let is_last = turn.is_last;
            let result = self.turn(turn);
            if is_last || result.is_err() {
                for close in closes.drain(..) {
                    let _ = close.send(result.clone());
                }
                self.wake_all();
                return;
            }
            if self.waited {
                // Lets others have their turn, who look for it now and then; what is asked gathers meanwhile.
                std::thread::sleep(2 * TURN);
            }
        }
    }

    /// When it is to wake up though nobody asks for anything.
    fn until(&self) -> Option<Instant> {
        let leaves = self.leaving.iter().filter_map(|end| end.lock().dropped).min().map(|dropped| dropped + GRACE);
        let looks = self.waits().then_some(self.look_at);
        self.membership.beat_at().into_iter().chain(leaves).chain(looks).chain(self.settle_at).min()
    }

    /// Whether something waits for what other OS processes may do.
    fn waits(&self) -> bool {
        !self.hungry.is_empty()
            || !self.blocked.is_empty()
            || !self.posts.is_empty()
            || self.rooms.values().any(|room| room.upgrade().is_some_and(|room| room.is_wanted()))
    }

    /// Makes of what was found what is to be done; returns who closes the transport.
    fn sort(&mut self, found: &mut Found, turn: &mut Turn) -> Vec<oneshot::Sender<TransportResult<()>>> {
        let mut closes = Vec::new();
        for Call { ask, place } in found.calls.drain(..) {
            match ask {
                Ask::Open { wanted, alive, answer } => {
                    turn.openings.push(Opening { wanted, alive, answer, _place: place, opened: None });
                }
                Ask::Post { address, bytes, answer } => self.posts.push_back(Post::new(address, bytes, answer, place)),
                Ask::Close { answer } => closes.push(answer),
            }
        }
        turn.posts.extend(self.posts.drain(..).filter(|post| !post.answer.is_closed()));
        // Only what is new, or may go on, is a reason for a transaction.
        if turn.posts.iter().all(|post| post.was_full) {
            self.posts.append(&mut turn.posts);
        }
        let mut waiting = std::mem::take(&mut self.leaving);
        for end in found.marked.drain(..) {
            match end {
                End::Out(end) => self.sort_out(&end, turn),
                End::In(end) => {
                    end.mark.clear();
                    if !waiting.iter().any(|other| Arc::ptr_eq(other, &end)) {
                        waiting.push(end);
                    }
                }
            }
        }
        turn.is_last = found.is_left || !closes.is_empty();
        for end in waiting {
            self.sort_in(end, turn);
        }
        closes
    }

    fn sort_out(&mut self, end: &Arc<OutEnd>, turn: &mut Turn) {
        end.mark.clear();
        self.blocked.retain(|other| !Arc::ptr_eq(other, end));
        match sending(end) {
            Some(sending) => turn.sendings.push(sending),
            // It waits for room: others may have made some since it was looked at.
            None => self.look_at_room(end.topic),
        }
    }

    fn sort_in(&mut self, end: Arc<InEnd>, turn: &mut Turn) {
        let mut state = end.lock();
        if state.is_settled || state.is_lost {
            state.wake();
            return;
        }
        let is_leaving = state.is_leaving(end.is_alone, turn.is_last);
        if is_leaving {
            self.hungry.retain(|hunger| !Arc::ptr_eq(&hunger.end, &end));
        } else if state.dropped.is_some() && !state.is_gone {
            self.leaving.push(Arc::clone(&end));
        } else if std::mem::take(&mut state.is_hungry) && !state.is_gone {
            match self.hungry.iter_mut().find(|hunger| Arc::ptr_eq(&hunger.end, &end)) {
                Some(hunger) => hunger.is_fresh = true,
                None => self.hungry.push_back(Hunger { end: Arc::clone(&end), is_fresh: true, fed: None }),
            }
        }
        if state.is_written() && !is_leaving {
            if state.is_closing {
                state.wake();
            }
            return;
        }
        // What is acknowledged can wait for something that cannot.
        let can_wait = !is_leaving && !state.is_gone && state.released.is_empty();
        drop(state);
        let at = Instant::now() + if can_wait { LATER } else { Duration::ZERO };
        self.settle_at = Some(self.settle_at.map_or(at, |before| before.min(at)));
        if !self.unsettled.iter().any(|other| Arc::ptr_eq(other, &end)) {
            self.unsettled.push(end);
        }
    }

    /// Everything that is open is to be closed.
    fn take_all(&mut self, turn: &mut Turn) {
        self.blocked.clear();
        for end in self.outs.values() {
            if !turn.sendings.iter().any(|other| Arc::ptr_eq(&other.end, end)) {
                turn.sendings.extend(sending(end));
            }
        }
        turn.posts.append(&mut self.posts);
        self.hungry.clear();
        self.leaving.clear();
    }

    /// Whether there is something to write, or may be as others have written.
    fn wants_turn(&mut self, turn: &Turn) -> bool {
        let is_due = self.membership.is_due() || self.settle_at.is_some_and(|at| at <= Instant::now());
        // What cannot be read is told by the transaction.
        if !turn.is_empty() || is_due || self.look_at_fresh().unwrap_or(true) {
            self.poll = POLL.0;
            return true;
        }
        if self.look_at > Instant::now() || !self.waits() {
            return false;
        }
        self.poll = (self.poll * 2).min(POLL.1);
        self.look_at = Instant::now() + self.poll;
        // What cannot be read is told by the transaction.
        self.look().unwrap_or(true)
    }

    /// What waits has its part in every transaction.
    fn gather(&mut self, turn: &mut Turn) {
        turn.posts.append(&mut self.posts);
        turn.hungers.append(&mut self.hungry);
        // Who waits comes before who has just come, and before all who is gone: another may go on under its name, whose
        // numbers would otherwise be taken for all that there are.
        let new = std::mem::take(&mut turn.sendings);
        turn.sendings.extend(self.blocked.drain(..).filter_map(|end| sending(&end)));
        turn.sendings.extend(new);
        turn.sendings.sort_by_key(|sending| if sending.is_dropped { sending.end.id } else { i64::MAX });
        self.settle_at = None;
        turn.settlings.extend(self.unsettled.drain(..).filter_map(|end| settling(&end, turn.is_last)));
    }

    /// Does a turn; an error is one after which nothing goes on.
    fn turn(&mut self, mut turn: Turn) -> TransportResult<()> {
        let (mut is_left_out, is_last) = (false, turn.is_last);
        loop {
            let error = match self.transact(&mut turn) {
                Ok(Ended::Done) => {
                    self.look_at = Instant::now() + self.poll;
                    return self.publish(turn);
                }
                Ok(Ended::Lost) => {
                    self.lose_all(&mut turn);
                    continue;
                }
                Err(error) => error,
            };
            let rolled_back = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
            self.membership.has_beaten();
            let (is_passing, is_full) =
                (rolled_back && is_passing(&error), code(&error) == Some(rusqlite::ErrorCode::DiskFull));
            let told = engine(ACTION, &self.path, error);
            if is_passing && is_full && !is_left_out {
                // What takes room is left out, so that what makes room can be done.
                is_left_out = true;
                self.refuse_sendings(&mut turn, &told);
                continue;
            }
            if !is_passing {
                self.shared.shut(Some(told.clone()));
            }
            self.refuse(turn, &told);
            self.settle_at = (!self.unsettled.is_empty()).then(|| Instant::now() + RETRY);
            return if is_passing && !is_last { Ok(()) } else { Err(told) };
        }
    }

    fn transact(&mut self, turn: &mut Turn) -> rusqlite::Result<Ended> {
        self.begin()?;
        // Nobody else writes from here on.
        let version = self.data_version()?;
        let mut ledger = Ledger::new(&self.connection);
        if !self.membership.is_known(&ledger)? {
            drop(ledger);
            self.connection.execute_batch("ROLLBACK")?;
            return Ok(Ended::Lost);
        }
        let is_due = self.membership.is_due();
        if is_due {
            self.membership.beat(&mut ledger)?;
        } else if !turn.openings.is_empty() {
            // One who goes on for another that was killed finds it gone.
            self.membership.bury(&mut ledger)?;
        }
        let member = match self.membership.id {
            Some(member) => member,
            None if turn.openings.is_empty() => 0,
            None => self.membership.join(&ledger)?,
        };
        turn.run(&mut ledger, member, version != self.version)?;
        if turn.is_last {
            ledger.lose(member)?;
        }
        // A subscriber that has left leaves room, though its line is no more.
        let mut topics = ledger.left.clone();
        ledger.vanish()?;
        ledger.write()?;
        turn.rooms.clear();
        topics.append(&mut ledger.touched());
        topics.extend(turn.opened_topics());
        if version != self.version {
            topics.extend(self.rooms.keys());
        }
        for topic in topics {
            turn.rooms.insert(topic, ledger.waiting(topic)?);
        }
        drop(ledger);
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.version = version;
        self.membership.id = (member != 0).then_some(member);
        if turn.is_last {
            self.membership.leave();
        }
        if is_due || self.membership.id.is_some() && self.membership.beat_at() < Some(Instant::now()) {
            self.membership.has_beaten();
        }
        Ok(Ended::Done)
    }

    /// SQLite's own way to wait sleeps longer and longer, and one that others keep from writing would not get its turn.
    fn begin(&mut self) -> rusqlite::Result<()> {
        let mut since = None;
        loop {
            match self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])) {
                Err(error) if is_busy(&error) && since.get_or_insert_with(Instant::now).elapsed() < self.busy => {
                    std::thread::sleep(TURN);
                }
                begun => {
                    self.waited = since.is_some();
                    return begun.map(drop);
                }
            }
        }
    }

    fn data_version(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// Whether there is something for those who have just become hungry.
    fn look_at_fresh(&mut self) -> rusqlite::Result<bool> {
        let mut ledger = Ledger::new(&self.connection);
        let mut is_there = false;
        for hunger in self.hungry.iter_mut().filter(|hunger| hunger.is_fresh) {
            let of = hunger.end.of;
            hunger.is_fresh = ledger.has_more(of.line)? || ledger.is_end(of.id, of.line)?;
            is_there |= hunger.is_fresh;
        }
        Ok(is_there)
    }

    /// Whether others have written something that someone here waits for.
    fn look(&mut self) -> rusqlite::Result<bool> {
        let version = self.data_version()?;
        if version == self.version {
            return Ok(false);
        }
        let mut ledger = Ledger::new(&self.connection);
        for (topic, room) in &self.rooms {
            if let Some(room) = room.upgrade().filter(|room| room.is_wanted()) {
                room.update(Some(ledger.waiting(*topic)?), 0, 0);
            }
        }
        let mut is_there = !self.posts.is_empty() || self.membership_is_gone()?;
        for end in &self.blocked {
            is_there |= ledger.waiting(end.topic)? < ledger.topic(end.topic)?.capacity;
        }
        for hunger in &self.hungry {
            let of = hunger.end.of;
            is_there = is_there || ledger.has_more(of.line)? || ledger.is_end(of.id, of.line)?;
        }
        drop(ledger);
        if !is_there {
            self.version = version;
            self.poll = POLL.0;
        }
        Ok(is_there)
    }

    fn membership_is_gone(&self) -> rusqlite::Result<bool> {
        Ok(!self.membership.is_known(&Ledger::new(&self.connection))?)
    }

    fn look_at_room(&self, topic: i64) {
        let Some(room) = self.rooms.get(&topic).and_then(Weak::upgrade) else { return };
        if let Ok(waiting) = Ledger::new(&self.connection).waiting(topic) {
            room.update(Some(waiting), 0, 0);
        }
    }
}

/// What an outlet wants to be done.
fn sending(end: &Arc<OutEnd>) -> Option<Sending> {
    let mut state = end.lock();
    if state.is_gone || (state.queue.is_empty() && !state.is_closing && !state.is_dropped) {
        return None;
    }
    Some(Sending {
        parcels: std::mem::take(&mut state.queue),
        is_closing: state.is_closing,
        is_dropped: state.is_dropped,
        put: 0,
        is_gone: false,
        end: Arc::clone(end),
    })
}

/// What an inlet has to settle.
fn settling(end: &Arc<InEnd>, is_last: bool) -> Option<Settling> {
    let mut state = end.lock();
    let is_leaving = state.is_leaving(end.is_alone, is_last);
    if state.is_settled || state.is_lost || (state.is_written() && !is_leaving) {
        return None;
    }
    Some(Settling {
        given: std::mem::take(&mut state.given),
        acked: std::mem::take(&mut state.acked),
        released: std::mem::take(&mut state.released),
        was_gone: state.is_gone,
        is_leaving,
        is_settled: false,
        end: Arc::clone(end),
    })
}
