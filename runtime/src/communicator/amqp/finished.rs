//! Tasks that were done lately, and what was answered: one that comes again is not done again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::communicator::ReplyAddress;
use crate::limits;

/// A task that was done.
pub(super) struct Done {
    /// Who was answered.
    pub(super) senders: Vec<ReplyAddress>,
    /// Its subscriber answers himself, and does so whenever the task comes again.
    pub(super) owed: bool,
    /// What was answered, as it was sent. None if that is owed, if nobody waited, or if it is not remembered.
    pub(super) answer: Option<Arc<[u8]>>,
}

/// The latest tasks, by id.
pub(super) struct Finished {
    most: usize,
    known: HashMap<String, Done>,
    order: VecDeque<String>,
    /// How many of the oldest have lost their answer, and how many bytes the other answers have.
    stripped: usize,
    bytes: usize,
}

impl Finished {
    /// Remembers as many as may be unacknowledged at the same time: all of them may come again after a lost connection.
    pub(super) fn new(prefetch: u16) -> Self {
        let most = limits::FINISHED_TASKS.max(usize::from(prefetch));
        Self { most, known: HashMap::new(), order: VecDeque::new(), stripped: 0, bytes: 0 }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Done> {
        self.known.get(id)
    }

    pub(super) fn add(&mut self, id: &str, done: Done) {
        if let Some(before) = self.known.get_mut(id) {
            // It was done again for others, whose answer is owed as well.
            before.senders.extend(done.senders);
            let excess = before.senders.len().saturating_sub(limits::TASK_SENDERS);
            before.senders.drain(..excess);
            return;
        }
        self.bytes += done.answer.as_ref().map_or(0, |answer| answer.len());
        self.known.insert(id.to_owned(), done);
        self.order.push_back(id.to_owned());
        if self.order.len() > self.most {
            self.forget();
        }
        while self.bytes > limits::FINISHED_BYTES && self.strip() {}
    }

    /// Forgets the oldest.
    fn forget(&mut self) {
        let Some(done) = self.order.pop_front().and_then(|id| self.known.remove(&id)) else { return };
        self.bytes -= done.answer.map_or(0, |answer| answer.len());
        self.stripped = self.stripped.saturating_sub(1);
    }

    /// Forgets the oldest answer. Its task is still known: it must not be done again.
    fn strip(&mut self) -> bool {
        let Some(done) = self.order.get(self.stripped).and_then(|id| self.known.get_mut(id)) else { return false };
        self.bytes -= done.answer.take().map_or(0, |answer| answer.len());
        self.stripped += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(bytes: usize) -> Done {
        Done { senders: Vec::new(), owed: false, answer: Some(vec![0; bytes].into()) }
    }

    fn answer(finished: &Finished, id: usize) -> Option<usize> {
        finished.get(&id.to_string())?.answer.as_ref().map(|answer| answer.len())
    }

    #[test]
    fn as_many_are_remembered_as_may_come_again() {
        for (prefetch, most) in [(1, limits::FINISHED_TASKS), (u16::MAX, usize::from(u16::MAX))] {
            let mut finished = Finished::new(prefetch);
            for id in 0..=most {
                finished.add(&id.to_string(), answered(1));
            }
            assert!(finished.get("0").is_none(), "forgotten");
            assert_eq!((answer(&finished, 1), answer(&finished, most)), (Some(1), Some(1)));
            assert_eq!((finished.known.len(), finished.order.len(), finished.bytes), (most, most, most));
        }
    }

    #[test]
    fn answers_beyond_the_bytes_are_forgotten_and_their_tasks_are_not() {
        let mut finished = Finished::new(1);
        let quarter = limits::FINISHED_BYTES / 4;
        for id in 0..6 {
            finished.add(&id.to_string(), answered(quarter));
        }
        let kept: Vec<_> = (0..6).map(|id| answer(&finished, id).is_some()).collect();
        assert_eq!(kept, [false, false, true, true, true, true]);
        finished.add("6", answered(limits::FINISHED_BYTES + 1));
        assert!((0..7).all(|id| finished.get(&id.to_string()).is_some() && answer(&finished, id).is_none()));
        assert_eq!(finished.bytes, 0);
        for id in 7..7 + limits::FINISHED_TASKS {
            finished.add(&id.to_string(), answered(1));
        }
        assert_eq!((finished.stripped, finished.bytes), (0, limits::FINISHED_TASKS));
    }

    #[test]
    fn those_who_were_answered_are_bounded() {
        let mut finished = Finished::new(1);
        let sender = |number: usize| ReplyAddress {
            exchange: String::new(),
            queue: String::new(),
            correlation_id: number.to_string(),
        };
        for number in 0..=limits::TASK_SENDERS {
            finished.add("task", Done { senders: vec![sender(number)], owed: true, answer: None });
        }
        let senders = &finished.get("task").expect("it is known").senders;
        assert_eq!((senders.len(), senders.first()), (limits::TASK_SENDERS, Some(&sender(1))));
    }
}
