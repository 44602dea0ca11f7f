//! Who has topics and mailboxes open, and what that means for them.

use rusqlite::params;

use super::ledger::{Kind, Ledger, Parcel, int};
use crate::{Mode, Topic, TransportError, limits};

/// What was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is refused, before it has written anything.
    Refused(TransportError),
    /// SQLite failed; what the transaction has written is rolled back.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

/// An end that was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenEnd {
    pub(super) id: i64,
    pub(super) topic: i64,
    /// Of one that receives.
    pub(super) line: i64,
}

/// What an end of a topic is for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Sends = 0,
    Receives = 1,
    /// It has left, and items that it gave out are not acknowledged.
    Holds = 2,
    /// It receives, and nobody else does.
    ReceivesAlone = 3,
}

fn kind_of(mode: Mode) -> Kind {
    match mode {
        Mode::Pipeline => Kind::Pipeline,
        Mode::PubSub => Kind::PubSub,
    }
}

impl Ledger<'_> {
    pub(super) fn open_outlet(&mut self, member: i64, asked: &Topic) -> Result<OpenEnd, Fault> {
        let topic = self.find_or_make(asked)?;
        if self.topic(topic)?.is_over {
            // What has ended begins anew once the end was told and nobody receives any more.
            let is_told = self.topic(topic)?.is_told || asked.mode() == Mode::PubSub;
            if !is_told || self.receivers(topic)? > 0 {
                return Err(Fault::Refused(TransportError::Ended { topic: asked.name().to_owned() }));
            }
            self.set_over(topic, false, false)?;
        }
        let id = self.new_end(member, topic, None, Role::Sends)?;
        Ok(OpenEnd { id, topic, line: 0 })
    }

    pub(super) fn open_inlet(&mut self, member: i64, asked: &Topic) -> Result<OpenEnd, Fault> {
        let topic = self.find_or_make(asked)?;
        let line = match asked.mode() {
            Mode::Pipeline => self.lines_of(topic)?.first().copied(),
            Mode::PubSub => None,
        };
        let line = match line {
            Some(line) => line,
            None => self.new_line(topic)?,
        };
        let (role, others) = if asked.is_exclusive() {
            (Role::ReceivesAlone, self.receivers(topic)? + self.count(topic, Role::Holds)?)
        } else {
            (Role::Receives, self.count(topic, Role::ReceivesAlone)?)
        };
        if others > 0 {
            return Err(Fault::Refused(TransportError::Occupied { topic: asked.name().to_owned() }));
        }
        let id = self.new_end(member, topic, Some(line), role)?;
        Ok(OpenEnd { id, topic, line })
    }

    pub(super) fn open_mailbox(&mut self, member: i64, address: &str) -> Result<OpenEnd, Fault> {
        if self.mailbox(address)?.is_some() {
            return Err(Fault::Refused(TransportError::Taken { address: address.to_owned() }));
        }
        let topic = self.new_topic(address, Kind::Mailbox, limits::MAILBOX, false)?;
        let line = self.new_line(topic)?;
        let id = self.new_end(member, topic, Some(line), Role::Receives)?;
        Ok(OpenEnd { id, topic, line })
    }

    fn mailbox(&self, address: &str) -> rusqlite::Result<Option<i64>> {
        self.number("SELECT id FROM topic WHERE is_mailbox = 1 AND name = ?1", [address])
    }

    /// Puts an envelope into a mailbox; whether there was room.
    pub(super) fn post(&mut self, address: &str, parcel: &Parcel) -> Result<bool, Fault> {
        let Some(topic) = self.mailbox(address)? else {
            return Err(Fault::Refused(TransportError::NoSuchAddress { address: address.to_owned() }));
        };
        Ok(self.put(topic, parcel)?)
    }

    fn find_or_make(&mut self, asked: &Topic) -> Result<i64, Fault> {
        let Some(id) = self.number("SELECT id FROM topic WHERE is_mailbox = 0 AND name = ?1", [asked.name()])? else {
            let topic = self.new_topic(asked.name(), kind_of(asked.mode()), asked.capacity(), asked.is_lasting())?;
            if asked.mode() == Mode::Pipeline {
                self.new_line(topic)?;
            }
            return Ok(topic);
        };
        let open = self.topic(id)?;
        let reason = if open.kind != kind_of(asked.mode()) {
            format!("its mode is {:?}, not {:?}", open.kind, asked.mode())
        } else if open.capacity != int(asked.capacity()) {
            format!("its capacity is {}, not {}", open.capacity, asked.capacity())
        } else if open.is_lasting != asked.is_lasting() {
            (if open.is_lasting { "it is lasting" } else { "it is not lasting" }).to_owned()
        } else {
            return Ok(id);
        };
        Err(Fault::Refused(TransportError::Mismatch { topic: asked.name().to_owned(), reason }))
    }

    fn new_topic(&self, name: &str, kind: Kind, capacity: usize, is_lasting: bool) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO topic (is_mailbox, name, kind, capacity, is_lasting) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.run(sql, params![kind == Kind::Mailbox, name, kind.code(), int(capacity), is_lasting])?;
        Ok(self.inserted())
    }

    /// The lowest number that is free, as there are not so many.
    fn new_line(&mut self, topic: i64) -> Result<i64, Fault> {
        let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM line WHERE id = 1)
                   UNION ALL
                   SELECT min(id) + 1 FROM line l WHERE NOT EXISTS (SELECT 1 FROM line WHERE id = l.id + 1)
                   LIMIT 1";
        let id = self.number(sql, [])?.unwrap_or(1);
        if id >= limits::SQLITE_LINES {
            let limit = usize::try_from(limits::SQLITE_LINES).unwrap_or(usize::MAX);
            let what = "a file of channels in queues";
            return Err(Fault::Refused(TransportError::TooLarge { what, size: limit, limit: limit - 1 }));
        }
        self.run("INSERT INTO line (id, topic) VALUES (?1, ?2)", [id, topic])?;
        self.forget(topic, id);
        Ok(id)
    }

    fn new_end(&self, member: i64, topic: i64, line: Option<i64>, role: Role) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO end (member, topic, line, kind) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![member, topic, line, role as i64])?;
        Ok(self.inserted())
    }

    fn count(&self, topic: i64, role: Role) -> rusqlite::Result<i64> {
        let sql = "SELECT count(*) FROM end WHERE topic = ?1 AND kind = ?2";
        Ok(self.number(sql, [topic, role as i64])?.unwrap_or(0))
    }

    /// How many receive from a topic.
    pub(super) fn receivers(&self, topic: i64) -> rusqlite::Result<i64> {
        Ok(self.count(topic, Role::Receives)? + self.count(topic, Role::ReceivesAlone)?)
    }

    /// It does not send any more; whether that is the end, if it was the last, is said by `ends`.
    pub(super) fn close_outlet(&mut self, end: i64, topic: i64, ends: bool) -> rusqlite::Result<()> {
        self.run("DELETE FROM end WHERE id = ?1", [end])?;
        if ends && self.count(topic, Role::Sends)? == 0 {
            self.set_over(topic, true, false)?;
        }
        self.left.insert(topic);
        Ok(())
    }

    /// It receives no more; items that were taken for it and not given out go back. Whether it still holds others.
    pub(super) fn close_inlet(
        &mut self,
        of: OpenEnd,
        unused: impl Iterator<Item = (u64, bool)>,
    ) -> rusqlite::Result<bool> {
        self.left.insert(of.topic);
        if self.topic(of.topic)?.kind != Kind::Pipeline {
            self.remove_alone(of)?;
            return Ok(false);
        }
        for (tag, again) in unused {
            self.give_back(tag, again)?;
        }
        // One who waits for the end looks again.
        self.line(of.line)?;
        let holds = self.held(of.id)? > 0;
        if holds {
            self.run("UPDATE end SET kind = ?2 WHERE id = ?1", [of.id, Role::Holds as i64])?;
        } else {
            self.end_inlet(of)?;
        }
        Ok(holds)
    }

    /// All that it gave out is settled.
    pub(super) fn end_inlet(&mut self, of: OpenEnd) -> rusqlite::Result<()> {
        self.run("DELETE FROM end WHERE id = ?1", [of.id])?;
        self.left.insert(of.topic);
        Ok(())
    }

    /// The line of a subscriber or of a mailbox ends with the one who has it.
    fn remove_alone(&mut self, of: OpenEnd) -> rusqlite::Result<()> {
        self.remove_line(of.topic, of.line)?;
        self.run("DELETE FROM end WHERE id = ?1", [of.id])?;
        if self.topic(of.topic)?.kind == Kind::Mailbox {
            self.run("DELETE FROM topic WHERE id = ?1", [of.topic])?;
            self.forget_topic(of.topic);
        }
        Ok(())
    }

    /// All ends of a member that is gone leave.
    pub(super) fn lose(&mut self, member: i64) -> rusqlite::Result<()> {
        for (id, topic) in self.pairs("SELECT id, topic FROM end WHERE member = ?1", [member])? {
            match self.number("SELECT line FROM end WHERE id = ?1 AND line IS NOT NULL", [id])? {
                None => self.close_outlet(id, topic, false)?,
                Some(line) if self.topic(topic)?.kind == Kind::Pipeline => {
                    self.give_back_all(id, line)?;
                    self.end_inlet(OpenEnd { id, topic, line })?;
                }
                Some(line) => {
                    self.remove_alone(OpenEnd { id, topic, line })?;
                    self.left.insert(topic);
                }
            }
        }
        self.run("DELETE FROM member WHERE id = ?1", [member]).map(drop)
    }

    /// Topics that someone has left vanish where nobody has them open, and nothing waits in them, not even an end.
    pub(super) fn vanish(&mut self) -> rusqlite::Result<()> {
        for topic in std::mem::take(&mut self.left) {
            if self.number("SELECT 1 FROM topic WHERE id = ?1 AND is_lasting = 0", [topic])?.is_none()
                || self.number("SELECT 1 FROM end WHERE topic = ?1 LIMIT 1", [topic])?.is_some()
            {
                continue;
            }
            let row = self.topic(topic)?;
            let is_spent = row.kind == Kind::PubSub || row.is_told || !row.is_over;
            if !is_spent {
                continue;
            }
            let lines = self.lines_of(topic)?;
            let mut rest = 0;
            for line in lines.iter() {
                let row = self.look(*line)?;
                rest += row.waiting + row.held;
            }
            if rest > 0 {
                continue;
            }
            for line in lines.iter() {
                self.remove_line(topic, *line)?;
            }
            self.run("DELETE FROM sender WHERE topic = ?1", [topic])?;
            self.run("DELETE FROM topic WHERE id = ?1", [topic])?;
            self.forget_topic(topic);
        }
        Ok(())
    }
}
