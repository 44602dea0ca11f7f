//! Messages and owed replies in memory: whose they are to send, and what is put right.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Kept;
use crate::process::ProcessId;
use crate::store::{Epoch, Mended, Message, OwedReply, StoreResult, Unsent, rules};

/// Messages that are not known to be sent.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// In the order in which they were written.
    kept: BTreeMap<u64, Posted>,
    places: HashMap<Uuid, u64>,
    last: u64,
}

#[derive(Debug)]
struct Posted {
    sender: Epoch,
    pid: ProcessId,
    message: Message,
}

impl Messages {
    /// The same id again is the same message.
    pub(super) fn add(&mut self, sender: Epoch, pid: &ProcessId, message: Message) {
        if !self.places.contains_key(&message.id) {
            self.last += 1;
            self.places.insert(message.id, self.last);
            self.kept.insert(self.last, Posted { sender, pid: pid.clone(), message });
        }
    }

    pub(super) fn remove(&mut self, id: &Uuid) {
        if let Some(place) = self.places.remove(id) {
            self.kept.remove(&place);
        }
    }
}

impl Kept {
    /// Whether who had something to send writes no more, and is not who asks.
    fn is_left_behind(&self, sender: Epoch, asks: Epoch) -> bool {
        sender != asks && (self.owned || !self.is_alive(sender))
    }

    pub(super) fn unsent(&mut self, epoch: Epoch, most: usize) -> Unsent {
        let left = self.messages.kept.iter().filter(|(_, posted)| self.is_left_behind(posted.sender, epoch));
        let places: Vec<_> = left.take(most).map(|(place, _)| *place).collect();
        let left = self.owed.iter().filter(|(_, (_, sender))| self.is_left_behind(*sender, epoch));
        let keys: Vec<_> = left.take(most).map(|(key, _)| key.clone()).collect();
        let mut unsent = Unsent::default();
        for place in places {
            if let Some(posted) = self.messages.kept.get_mut(&place) {
                posted.sender = epoch;
                unsent.messages.push((posted.pid.clone(), posted.message.clone()));
            }
        }
        for key in keys {
            if let Some((address, sender)) = self.owed.get_mut(&key) {
                *sender = epoch;
                unsent.replies.push(owed(&key.0, &key.1, address));
            }
        }
        unsent
    }

    pub(super) fn mend(&mut self) -> StoreResult<Mended> {
        let parents: Vec<_> =
            self.rows.values().filter(|row| !row.open.is_empty()).map(|row| row.record.pid.clone()).collect();
        let mut mended = Mended::default();
        for parent in parents {
            let children = rules::mend(self, &parent)?;
            if children > 0 {
                mended.children += children;
                self.call_for(&parent);
            }
        }
        Ok(mended)
    }
}

/// A reply as it is given, of a process's id as text.
pub(super) fn owed(pid: &str, id: &str, address: &str) -> (ProcessId, OwedReply) {
    (ProcessId::from(pid), OwedReply { id: id.to_owned(), address: address.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use crate::clock::Timestamp;
    use crate::process::ProcessState;
    use crate::store::{
        AwaitedChild, Awaiting, Commit, Envelope, FORMAT, Mended, NewProcess, Parent, Placement, Store,
    };

    fn process(pid: &str, parent: Option<&str>) -> NewProcess {
        NewProcess {
            pid: pid.into(),
            key: None,
            parent: parent.map(|pid| Parent { pid: pid.into(), awaited: true, follows: false }),
            envelope: Envelope { format: FORMAT, process: "test".to_owned(), version: 1, fingerprint: String::new() },
            position: "{}".to_owned(),
            context: "{}".to_owned(),
            inputs: "{}".into(),
            defaulted: None,
            listeners: None,
            owes: None,
            begun: None,
            placement: Placement::default(),
            messages: Vec::new(),
            at: Timestamp::default(),
        }
    }

    #[tokio::test]
    async fn a_parent_does_not_wait_in_vain() {
        let store = MemoryStore::new();
        let epoch = store.acquire().await.unwrap();
        store.create(epoch, process("parent", None)).await.unwrap();
        let children = ["ended", "gone", "runs"].map(|pid| process(pid, Some("parent")));
        let awaited = |child: &NewProcess| AwaitedChild { pid: child.pid.clone(), allow_failure: false };
        let awaiting = Awaiting { children: children.iter().map(awaited).collect(), ..Awaiting::default() };
        let (from, to) = (ProcessState::Running, ProcessState::Waiting);
        let commit = Commit::new("parent".into(), epoch, Timestamp::default(), from, to);
        store.commit(Commit { children: children.into(), awaiting: Some(awaiting), ..commit }).await.unwrap();
        assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
        {
            let mut kept = store.lock();
            kept.rows.get_mut(&"ended".into()).unwrap().record.state = ProcessState::Finished;
            kept.rows.remove(&"gone".into());
        }
        assert_eq!(store.mend(epoch).await.unwrap(), Mended { children: 2 });
        assert_eq!(store.load(&"parent".into()).await.unwrap().unwrap().open_children, 1);
        assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
    }
}
