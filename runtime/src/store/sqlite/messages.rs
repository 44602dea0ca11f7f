//! Messages and owed replies: kept with what they belong to, and taken over from who sends no more.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::error::Fault;
use super::ledger::{Id, Ledger};
use super::sharing::NOBODY;
use crate::clock::{Clock, SystemClock};
use crate::process::ProcessId;
use crate::store::{Epoch, Mended, Message, OwedReply, Unsent};

/// Whose sender, a column of this name, writes no more and is not who asks. Where one owns the store there are no workers: it is any
/// other.
const LEFT_BEHIND: &str = "sender <> ?1 AND sender NOT IN (SELECT epoch FROM worker WHERE lapsed = 0)";

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
        let (sender, most) = (epoch.0.cast_signed(), i64::try_from(most).unwrap_or(i64::MAX));
        let mut unsent = Unsent::default();
        let sql = format!("SELECT id, pid, body FROM message WHERE {LEFT_BEHIND} ORDER BY ordinal LIMIT ?2");
        let mut query = self.connection.prepare_cached(&sql)?;
        for message in query.query_map([sender, most], message)? {
            unsent.messages.push(message?);
        }
        let mut update = self.connection.prepare_cached("UPDATE message SET sender = ?1 WHERE id = ?2")?;
        for (_, message) in &unsent.messages {
            update.execute(params![sender, message.id.as_bytes()])?;
        }
        let sql = format!("SELECT pid, id, address FROM owed WHERE {LEFT_BEHIND} LIMIT ?2");
        let mut query = self.connection.prepare_cached(&sql)?;
        for reply in query.query_map([sender, most], reply)? {
            unsent.replies.push(reply?);
        }
        let mut update = self.connection.prepare_cached("UPDATE owed SET sender = ?1 WHERE pid = ?2 AND id = ?3")?;
        for (pid, reply) in &unsent.replies {
            update.execute(params![sender, pid.to_string(), reply.id])?;
        }
        Ok(unsent)
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

fn message(row: &Row<'_>) -> rusqlite::Result<(ProcessId, Message)> {
    let id = Uuid::from_bytes(row.get(0)?);
    Ok((row.get::<_, String>(1)?.into(), Message { id, body: row.get(2)? }))
}

fn reply(row: &Row<'_>) -> rusqlite::Result<(ProcessId, OwedReply)> {
    Ok((row.get::<_, String>(0)?.into(), OwedReply { id: row.get(1)?, address: row.get(2)? }))
}
