//! Messages and owed replies: kept with what they belong to, and taken over from who sends no more.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::error::Fault;
use super::ledger::{Id, Ledger};
use super::sharing::NOBODY;
use crate::clock::{Clock, SystemClock};
use crate::process::ProcessId;
use crate::store::{Epoch, Mended, Message, OwedReply, Unsent};

/// Whose sender writes no more and is not who asks, in a table: the senders are read off its index, one look for each. Where
/// one owns the store there are no workers: it is any other.
macro_rules! left_behind {
    ($table:literal) => {
        concat!(
            "WITH RECURSIVE one (epoch) AS (
                SELECT min(sender) FROM ",
            $table,
            " UNION ALL SELECT (SELECT min(sender) FROM ",
            $table,
            " WHERE sender > one.epoch) FROM one WHERE one.epoch IS NOT NULL
            ) SELECT epoch FROM one WHERE epoch IS NOT NULL AND epoch <> ?1
            AND epoch NOT IN (SELECT epoch FROM worker WHERE lapsed = 0)"
        )
    };
}

pub(super) const POSTING: &str = left_behind!("message");
pub(super) const OWING: &str = left_behind!("owed");
pub(super) const POSTED: &str = "SELECT ordinal FROM message WHERE sender = ?1 ORDER BY ordinal LIMIT ?2";
const TAKE_POSTED: &str = "UPDATE message SET sender = ?1 WHERE ordinal = ?2 RETURNING id, pid, body";
pub(super) const TAKE_OWED: &str = "UPDATE owed SET sender = ?1
    WHERE (pid, id) IN (SELECT pid, id FROM owed WHERE sender = ?2 LIMIT ?3) RETURNING pid, id, address";

impl Ledger<'_> {
    /// Keeps messages after all others, unless they are there.
    pub(super) fn post(&self, sender: Epoch, pid: &ProcessId, messages: &[Message]) -> rusqlite::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let (pid, sender) = (pid.to_string(), sender.0.cast_signed());
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO message (id, pid, sender, body) VALUES (?1, ?2, ?3, ?4)")?;
        for message in messages {
            insert.execute(params![message.id.as_bytes(), pid, sender, message.body])?;
        }
        Ok(())
    }

    pub(super) fn unsent(&mut self, epoch: Epoch, most: usize) -> Result<Unsent, Fault> {
        self.fence(epoch)?;
        self.find_lapsed(SystemClock.now())?;
        let sender = epoch.0.cast_signed();
        Ok(Unsent { messages: self.take_posted(sender, most)?, replies: self.take_owed(sender, most)? })
    }

    /// The first ones of all.
    fn take_posted(&self, sender: i64, most: usize) -> rusqlite::Result<Vec<(ProcessId, Message)>> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut ordinals: Vec<i64> = Vec::new();
        for other in self.left_behind(POSTING, sender)? {
            let mut query = self.connection.prepare_cached(POSTED)?;
            for ordinal in query.query_map([other, limit], |row| row.get(0))? {
                ordinals.push(ordinal?);
            }
        }
        ordinals.sort_unstable();
        ordinals.truncate(most);
        let mut messages = Vec::new();
        let mut update = self.connection.prepare_cached(TAKE_POSTED)?;
        for ordinal in ordinals {
            whole(update.query([sender, ordinal])?, message, &mut messages)?;
        }
        Ok(messages)
    }

    fn take_owed(&self, sender: i64, most: usize) -> rusqlite::Result<Vec<(ProcessId, OwedReply)>> {
        let mut replies = Vec::new();
        let mut update = self.connection.prepare_cached(TAKE_OWED)?;
        for other in self.left_behind(OWING, sender)? {
            let rest = i64::try_from(most.saturating_sub(replies.len())).unwrap_or(i64::MAX);
            whole(update.query([sender, other, rest])?, reply, &mut replies)?;
        }
        Ok(replies)
    }

    fn left_behind(&self, sql: &str, sender: i64) -> rusqlite::Result<Vec<i64>> {
        self.connection.prepare_cached(sql)?.query_map([sender], |row| row.get(0))?.collect()
    }

    pub(super) fn sent(&mut self, epoch: Epoch, messages: &[Uuid]) -> Result<(), Fault> {
        self.fence(epoch)?;
        let mut delete = self.connection.prepare_cached("DELETE FROM message WHERE id = ?1")?;
        for id in messages {
            delete.execute([id.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn mend(&mut self, epoch: Epoch) -> Result<Mended, Fault> {
        self.fence(epoch)?;
        let mut query = self.connection.prepare_cached(
            "DELETE FROM open_child WHERE NOT EXISTS (SELECT 1 FROM process WHERE id = child AND ended IS NULL)
            RETURNING parent",
        )?;
        let parents: Vec<Id> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut count = self.connection.prepare_cached(
            "UPDATE checkpoint SET open_children = (SELECT count(*) FROM open_child WHERE parent = ?1) WHERE id = ?1",
        )?;
        for parent in &parents {
            count.execute([parent])?;
            if self.owned.is_none() {
                self.look_when_due(*parent)?;
            }
        }
        if !parents.is_empty() {
            // What is remembered of them is no more true.
            self.known.clear();
            self.news.tell(NOBODY);
        }
        Ok(Mended { children: parents.len() as u64 })
    }
}

/// Reads rows; one that is damaged keeps none of the others, and stays where it is.
fn whole<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    all: &mut Vec<T>,
) -> rusqlite::Result<()> {
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(one) => all.push(one),
            Err(error) if super::error::is_damaged(&error) => {
                tracing::warn!(%error, "a damaged row of what is to be sent is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn message(row: &Row<'_>) -> rusqlite::Result<(ProcessId, Message)> {
    let id = Uuid::from_bytes(row.get(0)?);
    Ok((row.get::<_, String>(1)?.into(), Message { id, body: row.get(2)? }))
}

fn reply(row: &Row<'_>) -> rusqlite::Result<(ProcessId, OwedReply)> {
    Ok((row.get::<_, String>(0)?.into(), OwedReply { id: row.get(1)?, address: row.get(2)? }))
}
