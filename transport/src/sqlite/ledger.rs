//! What one transaction reads and writes of queues and their items.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::error::damaged;
use crate::limits;

/// The number of an item is that of its line, and below it that within the line: rows of a line lie together, without
/// an index.
const SHIFT: u32 = 43;
/// Of a tag: the item was given back before.
const FROM_BACK: u64 = 1 << 63;

/// An item that was taken out.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its number, and whether it was given back before.
    pub(super) tag: u64,
    pub(super) again: bool,
    pub(super) bytes: Bytes,
}

/// What is sent, in bytes.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) sender: Arc<str>,
    /// 0: it has none, and is never known.
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pipeline,
    PubSub,
    Mailbox,
}

impl Kind {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Pipeline => 0,
            Self::PubSub => 1,
            Self::Mailbox => 2,
        }
    }
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) topic: i64,
    tail: i64,
    cursor: i64,
    pub(super) waiting: i64,
    pub(super) held: i64,
    backs: i64,
    is_changed: bool,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct TopicRow {
    pub(super) kind: Kind,
    pub(super) capacity: i64,
    pub(super) is_lasting: bool,
    pub(super) is_over: bool,
    pub(super) is_told: bool,
    is_changed: bool,
}

#[derive(Debug)]
struct Last {
    number: u64,
    is_new: bool,
    is_changed: bool,
}

/// One transaction. Counts are written once, at its end.
#[derive(Debug)]
pub(super) struct Ledger<'c> {
    connection: &'c Connection,
    lines: HashMap<i64, Line>,
    topics: HashMap<i64, TopicRow>,
    /// The lines of topics.
    ways: HashMap<i64, Arc<[i64]>>,
    senders: HashMap<(i64, Arc<str>), Last>,
    /// Items that ends hold, and whether that has changed.
    held: HashMap<i64, (i64, bool)>,
    /// Topics that someone has left.
    pub(super) left: BTreeSet<i64>,
}

pub(super) fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A number of a sender as SQLite has it, which knows no unsigned ones.
fn stored(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

fn restored(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

fn item(line: i64, number: i64) -> i64 {
    (line << SHIFT) + number
}

fn line_of(item: i64) -> i64 {
    item >> SHIFT
}

fn split(tag: u64) -> (i64, bool) {
    (stored(tag & !FROM_BACK), tag & FROM_BACK != 0)
}

impl<'c> Ledger<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            lines: HashMap::new(),
            topics: HashMap::new(),
            ways: HashMap::new(),
            senders: HashMap::new(),
            held: HashMap::new(),
            left: BTreeSet::new(),
        }
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// The number that a query gives, if it gives one.
    pub(super) fn number(&self, sql: &str, params: impl Params) -> rusqlite::Result<Option<i64>> {
        self.connection.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()
    }

    pub(super) fn numbers(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<i64>> {
        self.connection.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
    }

    pub(super) fn pairs(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<(i64, i64)>> {
        self.connection.prepare_cached(sql)?.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    pub(super) fn inserted(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// A line that is read only.
    pub(super) fn look(&mut self, id: i64) -> rusqlite::Result<&mut Line> {
        if !self.lines.contains_key(&id) {
            let sql = "SELECT topic, tail, cursor, waiting, held, backs FROM line WHERE id = ?1";
            let line = self.connection.prepare_cached(sql)?.query_row([id], |row| {
                Ok(Line {
                    topic: row.get(0)?,
                    tail: row.get(1)?,
                    cursor: row.get(2)?,
                    waiting: row.get(3)?,
                    held: row.get(4)?,
                    backs: row.get(5)?,
                    is_changed: false,
                })
            });
            let line = line.optional()?.ok_or_else(|| damaged("a queue is not there"))?;
            self.lines.insert(id, line);
        }
        self.lines.get_mut(&id).ok_or_else(|| damaged("a queue is not there"))
    }

    /// A line that is changed.
    pub(super) fn line(&mut self, id: i64) -> rusqlite::Result<&mut Line> {
        let line = self.look(id)?;
        line.is_changed = true;
        Ok(line)
    }

    pub(super) fn topic(&mut self, id: i64) -> rusqlite::Result<&mut TopicRow> {
        if !self.topics.contains_key(&id) {
            let sql = "SELECT kind, capacity, is_lasting, is_over, is_told FROM topic WHERE id = ?1";
            let topic = self.connection.prepare_cached(sql)?.query_row([id], |row| {
                let kind = match row.get(0)? {
                    0 => Kind::Pipeline,
                    1 => Kind::PubSub,
                    2 => Kind::Mailbox,
                    other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
                };
                Ok(TopicRow {
                    kind,
                    capacity: row.get(1)?,
                    is_lasting: row.get(2)?,
                    is_over: row.get(3)?,
                    is_told: row.get(4)?,
                    is_changed: false,
                })
            });
            let topic = topic.optional()?.ok_or_else(|| damaged("a topic is not there"))?;
            self.topics.insert(id, topic);
        }
        self.topics.get_mut(&id).ok_or_else(|| damaged("a topic is not there"))
    }

    /// Whether all its senders have closed, and whether that was told; who waits at its lines is to look.
    pub(super) fn set_over(&mut self, id: i64, is_over: bool, is_told: bool) -> rusqlite::Result<()> {
        let topic = self.topic(id)?;
        if (topic.is_over, topic.is_told) != (is_over, is_told) {
            (topic.is_over, topic.is_told, topic.is_changed) = (is_over, is_told, true);
            for line in self.lines_of(id)?.iter() {
                self.line(*line)?;
            }
        }
        Ok(())
    }

    pub(super) fn lines_of(&mut self, topic: i64) -> rusqlite::Result<Arc<[i64]>> {
        if let Some(lines) = self.ways.get(&topic) {
            return Ok(Arc::clone(lines));
        }
        let lines: Arc<[i64]> = self.numbers("SELECT id FROM line WHERE topic = ?1 ORDER BY id", [topic])?.into();
        self.ways.insert(topic, Arc::clone(&lines));
        Ok(lines)
    }

    /// Forgets what is known of a line, or of all that a topic has, as it is about to be removed.
    pub(super) fn forget(&mut self, topic: i64, line: i64) {
        self.lines.remove(&line);
        self.ways.remove(&topic);
    }

    pub(super) fn forget_topic(&mut self, topic: i64) {
        self.topics.remove(&topic);
        self.ways.remove(&topic);
        self.senders.retain(|(of, _), _| *of != topic);
    }

    /// So many wait at the fullest line of a topic.
    pub(super) fn waiting(&mut self, topic: i64) -> rusqlite::Result<i64> {
        let mut most = 0;
        for line in self.lines_of(topic)?.iter() {
            most = most.max(self.look(*line)?.waiting);
        }
        Ok(most)
    }

    pub(super) fn is_touched(&self, line: i64) -> bool {
        self.lines.get(&line).is_some_and(|line| line.is_changed)
    }

    /// Topics whose lines have changed.
    pub(super) fn touched(&self) -> BTreeSet<i64> {
        self.lines.values().filter(|line| line.is_changed).map(|line| line.topic).collect()
    }

    /// Puts an item into all lines of a topic, unless it is there already; whether there was room.
    pub(super) fn put(&mut self, topic: i64, parcel: &Parcel) -> rusqlite::Result<bool> {
        if parcel.number > 0 && self.last(topic, &parcel.sender)?.number >= parcel.number {
            return Ok(true);
        }
        if self.waiting(topic)? >= self.topic(topic)?.capacity {
            return Ok(false);
        }
        for line in self.lines_of(topic)?.iter() {
            let row = self.line(*line)?;
            row.tail += 1;
            row.waiting += 1;
            let id = item(*line, row.tail);
            self.run("INSERT INTO item (id, envelope) VALUES (?1, ?2)", params![id, &parcel.bytes[..]])?;
        }
        if parcel.number > 0 {
            let last = self.last(topic, &parcel.sender)?;
            (last.number, last.is_changed) = (parcel.number, true);
        }
        Ok(true)
    }

    fn last(&mut self, topic: i64, sender: &Arc<str>) -> rusqlite::Result<&mut Last> {
        let key = (topic, Arc::clone(sender));
        if !self.senders.contains_key(&key) {
            let sql = "SELECT last FROM sender WHERE topic = ?1 AND name = ?2";
            let known = self.number(sql, params![topic, &**sender])?;
            let number = known.map_or(0, restored);
            self.senders.insert(key.clone(), Last { number, is_new: known.is_none(), is_changed: false });
        }
        self.senders.get_mut(&key).ok_or_else(|| damaged("a sender is not there"))
    }

    /// Takes items out for an end: first what was given back.
    pub(super) fn claim(&mut self, end: i64, line: i64, most: usize) -> rusqlite::Result<Vec<Taken>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        if self.look(line)?.backs > 0 {
            self.claim_backs(end, line, most, &mut taken, &mut bytes)?;
        }
        let row = self.look(line)?;
        let (cursor, tail) = (row.cursor, row.tail);
        let most = int(most - taken.len()).min(tail - cursor);
        if most <= 0 || bytes >= limits::SQLITE_BATCH_BYTES {
            return Ok(taken);
        }
        let (first, last) = (item(line, cursor + 1), item(line, cursor + most));
        let mut at = first;
        let sql = "SELECT id, envelope FROM item WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        let mut select = self.connection.prepare_cached(sql)?;
        let mut rows = select.query([first, last])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(0)? != at {
                break;
            }
            at += 1;
            let envelope = Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?);
            bytes += envelope.len();
            taken.push(Taken { tag: restored(at - 1), again: false, bytes: envelope });
            if bytes >= limits::SQLITE_BATCH_BYTES {
                break;
            }
        }
        drop(rows);
        drop(select);
        let count = at - first;
        if count == 0 {
            return Err(damaged("an item of a queue is not there"));
        }
        let sql = "INSERT INTO hold (first, last, holder, left) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, [first, at - 1, end, count])?;
        self.line(line)?.cursor += count;
        Ok(taken)
    }

    fn claim_backs(
        &mut self,
        end: i64,
        line: i64,
        most: usize,
        taken: &mut Vec<Taken>,
        bytes: &mut usize,
    ) -> rusqlite::Result<()> {
        let sql = "SELECT b.id, b.again, i.envelope FROM back b JOIN item i ON i.id = b.id
                   WHERE b.id BETWEEN ?1 AND ?2 AND b.holder IS NULL ORDER BY b.id LIMIT ?3";
        let mut select = self.connection.prepare_cached(sql)?;
        let mut rows = select.query([item(line, 0), item(line + 1, 0) - 1, int(most)])?;
        while *bytes < limits::SQLITE_BATCH_BYTES
            && let Some(row) = rows.next()?
        {
            let envelope = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
            *bytes += envelope.len();
            taken.push(Taken { tag: restored(row.get(0)?) | FROM_BACK, again: row.get(1)?, bytes: envelope });
        }
        drop(rows);
        drop(select);
        for one in taken.iter() {
            self.run("UPDATE back SET holder = ?2 WHERE id = ?1", [split(one.tag).0, end])?;
        }
        self.line(line)?.backs -= int(taken.len());
        Ok(())
    }

    /// What an end has given out since the last time, has of it acknowledged and given back.
    pub(super) fn settle(
        &mut self,
        (end, line): (i64, i64),
        given: usize,
        acked: &mut [u64],
        released: &[u64],
    ) -> rusqlite::Result<()> {
        let settled = int(acked.len() + released.len());
        let row = self.line(line)?;
        row.waiting += int(released.len()) - int(given);
        row.held += int(given) - settled;
        self.hold_more(end, int(given) - settled)?;
        acked.sort_unstable();
        let mut rest = &acked[..];
        while let Some(&first) = rest.first() {
            let run = rest.iter().zip(first..).take_while(|(tag, expected)| **tag == *expected).count();
            rest = &rest[run..];
            let (first, from_back) = split(first);
            let last = first + int(run) - 1;
            if self.run("DELETE FROM item WHERE id BETWEEN ?1 AND ?2", [first, last])? != run {
                return Err(damaged("an item that was taken is not there"));
            }
            if from_back {
                self.run("DELETE FROM back WHERE id BETWEEN ?1 AND ?2", [first, last])?;
            } else {
                self.let_go(first, last)?;
            }
        }
        released.iter().try_for_each(|tag| self.give_back(*tag, true))
    }

    /// An item goes back to where it was taken.
    pub(super) fn give_back(&mut self, tag: u64, again: bool) -> rusqlite::Result<()> {
        let (id, from_back) = split(tag);
        if from_back {
            self.run("UPDATE back SET holder = NULL, again = ?2 WHERE id = ?1", params![id, again])?;
        } else {
            self.run("INSERT INTO back (id, again, holder) VALUES (?1, ?2, NULL)", params![id, again])?;
            self.let_go(id, id)?;
        }
        self.line(line_of(id))?.backs += 1;
        Ok(())
    }

    /// Items that were taken for the first time are held no longer.
    fn let_go(&mut self, mut first: i64, last: i64) -> rusqlite::Result<()> {
        let sql = "SELECT first, last, left FROM hold WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        while first <= last {
            let found = self
                .connection
                .prepare_cached(sql)?
                .query_row([first], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
            let found = found.optional()?.filter(|(_, to, _)| *to >= first);
            let (from, to, left) = found.ok_or_else(|| damaged("what was taken is not noted"))?;
            let count = last.min(to) - first + 1;
            if left <= count {
                self.run("DELETE FROM hold WHERE first = ?1", [from])?;
            } else {
                self.run("UPDATE hold SET left = left - ?2 WHERE first = ?1", [from, count])?;
            }
            first = to + 1;
        }
        Ok(())
    }

    /// What an end that is lost had comes again.
    pub(super) fn give_back_all(&mut self, end: i64, line: i64) -> rusqlite::Result<()> {
        let mut backs = 0;
        for (first, last) in self.pairs("SELECT first, last FROM hold WHERE holder = ?1", [end])? {
            backs += self.run(
                "INSERT INTO back (id, again, holder) SELECT id, 1, NULL FROM item
                 WHERE id BETWEEN ?1 AND ?2 AND id NOT IN (SELECT id FROM back WHERE id BETWEEN ?1 AND ?2)",
                [first, last],
            )?;
        }
        self.run("DELETE FROM hold WHERE holder = ?1", [end])?;
        backs += self.run(
            "UPDATE back SET holder = NULL, again = 1 WHERE id BETWEEN ?1 AND ?2 AND holder = ?3",
            [item(line, 0), item(line + 1, 0) - 1, end],
        )?;
        let held = self.held(end)?;
        let row = self.line(line)?;
        row.held -= held;
        row.waiting += held;
        row.backs += int(backs);
        self.held.remove(&end);
        Ok(())
    }

    /// So many items an end has given out that are not acknowledged.
    pub(super) fn held(&mut self, end: i64) -> rusqlite::Result<i64> {
        if let Some((held, _)) = self.held.get(&end) {
            return Ok(*held);
        }
        let held = self.number("SELECT held FROM end WHERE id = ?1", [end])?.unwrap_or(0);
        self.held.insert(end, (held, false));
        Ok(held)
    }

    fn hold_more(&mut self, end: i64, more: i64) -> rusqlite::Result<()> {
        if more != 0 {
            let held = self.held(end)?;
            self.held.insert(end, (held + more, true));
        }
        Ok(())
    }

    /// Whether there is something that can be taken out.
    pub(super) fn has_more(&mut self, line: i64) -> rusqlite::Result<bool> {
        let row = self.look(line)?;
        Ok(row.backs > 0 || row.tail > row.cursor)
    }

    /// Whether nothing comes any more to this end.
    pub(super) fn is_end(&mut self, end: i64, line: i64) -> rusqlite::Result<bool> {
        let row = self.look(line)?;
        let (topic, waiting, held) = (row.topic, row.waiting, row.held);
        // What others hold may come back.
        Ok(waiting == 0 && self.topic(topic)?.is_over && held == self.held(end)?)
    }

    /// Removes a line with all that is in it.
    pub(super) fn remove_line(&mut self, topic: i64, line: i64) -> rusqlite::Result<()> {
        let range = [item(line, 0), item(line + 1, 0) - 1];
        self.run("DELETE FROM item WHERE id BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM back WHERE id BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM hold WHERE first BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM line WHERE id = ?1", [line])?;
        self.forget(topic, line);
        Ok(())
    }

    /// Writes the counts.
    pub(super) fn write(&mut self) -> rusqlite::Result<()> {
        let sql = "UPDATE line SET tail = ?2, cursor = ?3, waiting = ?4, held = ?5, backs = ?6 WHERE id = ?1";
        for (id, line) in self.lines.iter().filter(|(_, line)| line.is_changed) {
            self.run(sql, [*id, line.tail, line.cursor, line.waiting, line.held, line.backs])?;
        }
        for (id, topic) in self.topics.iter().filter(|(_, topic)| topic.is_changed) {
            let sql = "UPDATE topic SET is_over = ?2, is_told = ?3 WHERE id = ?1";
            self.run(sql, params![id, topic.is_over, topic.is_told])?;
        }
        for (end, (held, _)) in self.held.iter().filter(|(_, (_, is_changed))| *is_changed) {
            self.run("UPDATE end SET held = ?2 WHERE id = ?1", [end, held])?;
        }
        self.write_senders()
    }

    fn write_senders(&self) -> rusqlite::Result<()> {
        // Only for the order of those that are forgotten: a clock that goes back does no harm.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let turn = i64::try_from(now).unwrap_or(i64::MAX);
        for ((topic, name), last) in self.senders.iter().filter(|(_, last)| last.is_changed) {
            let number = stored(last.number);
            if !last.is_new {
                let sql = "UPDATE sender SET last = ?3, turn = ?4 WHERE topic = ?1 AND name = ?2";
                self.run(sql, params![topic, &**name, number, turn])?;
                continue;
            }
            let known = self.number("SELECT count(*) FROM sender WHERE topic = ?1", [topic])?.unwrap_or(0);
            let too_many = known + 1 - int(limits::SEEN_SENDERS);
            if too_many > 0 {
                let sql = "DELETE FROM sender WHERE topic = ?1 AND name IN
                           (SELECT name FROM sender WHERE topic = ?1 ORDER BY turn, name LIMIT ?2)";
                self.run(sql, [*topic, too_many])?;
            }
            let sql = "INSERT INTO sender (topic, name, last, turn) VALUES (?1, ?2, ?3, ?4)";
            self.run(sql, params![topic, &**name, number, turn])?;
        }
        Ok(())
    }
}
