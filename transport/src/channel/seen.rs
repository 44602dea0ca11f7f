//! What was received before.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Envelope, limits};

/// Remembers the numbers that were received of each sender, so that what a sender sends twice is taken once.
///
/// Numbers may be missing, as other receivers of a pipeline have them; how far beyond a missing one it remembers, and of how many
/// senders, is [bounded](limits::SEEN_AHEAD).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    senders: HashMap<Arc<str>, Numbers>,
    turn: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Numbers {
    /// All up to this one are taken as received.
    up_to: u64,
    /// Others.
    beyond: BTreeSet<u64>,
    /// When it was heard from.
    turn: u64,
}

impl Seen {
    /// Whether an envelope is new, and notes it. One that its transport delivers [again](crate::Delivery::again) is new in any case: it was
    /// given back, or lost with the receiver that had it.
    pub fn is_new(&mut self, envelope: &Envelope, again: bool) -> bool {
        if envelope.number == 0 {
            return true;
        }
        self.note(&envelope.sender, envelope.number) || again
    }

    /// Whether this number of a sender is new, and notes it.
    pub fn note(&mut self, sender: &Arc<str>, number: u64) -> bool {
        self.turn += 1;
        if let Some(numbers) = self.senders.get_mut(sender) {
            numbers.turn = self.turn;
            return numbers.note(number);
        }
        self.make_room();
        let numbers = self.senders.entry(Arc::clone(sender)).or_default();
        numbers.turn = self.turn;
        numbers.note(number)
    }

    fn make_room(&mut self) {
        if self.senders.len() >= limits::SEEN_SENDERS
            && let Some(oldest) = self.senders.iter().min_by_key(|(_, numbers)| numbers.turn)
        {
            let oldest = Arc::clone(oldest.0);
            self.senders.remove(&oldest);
        }
    }
}

impl Numbers {
    fn note(&mut self, number: u64) -> bool {
        // What mostly comes: the next one.
        if self.beyond.is_empty() && number == self.up_to.wrapping_add(1) {
            self.up_to = number;
            return true;
        }
        if number <= self.up_to || !self.beyond.insert(number) {
            return false;
        }
        if self.beyond.len() > limits::SEEN_AHEAD
            && let Some(lowest) = self.beyond.first()
        {
            self.up_to = self.up_to.max(lowest - 1);
        }
        // After the last number that there is comes none.
        while self.beyond.remove(&self.up_to.wrapping_add(1)) {
            self.up_to += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_in_any_order() {
        let (mut seen, sender, other) = (Seen::default(), Arc::from("a"), Arc::from("b"));
        for number in [1, 2, 5, 3, 7, 4] {
            assert!(seen.note(&sender, number), "{number}");
            assert!(!seen.note(&sender, number), "{number}");
        }
        assert!(seen.note(&other, 1), "numbers are of their sender");
        assert_eq!(seen.senders[&sender].up_to, 5);
        assert_eq!(seen.senders[&sender].beyond, BTreeSet::from([7]));
        assert!(seen.note(&sender, 6));
        assert!(seen.senders[&sender].beyond.is_empty());
    }

    #[test]
    fn it_remembers_no_more_than_its_bounds() {
        let (mut seen, sender) = (Seen::default(), Arc::from("a"));
        let far = u64::try_from(limits::SEEN_AHEAD).unwrap() + 100;
        for number in (2..2 * far).step_by(2) {
            assert!(seen.note(&sender, number));
        }
        assert!(seen.senders[&sender].beyond.len() <= limits::SEEN_AHEAD);
        assert!(!seen.note(&sender, 1), "too long ago to be told from one that was received");
        for index in 0..2 * limits::SEEN_SENDERS {
            seen.note(&format!("s{index}").into(), 1);
            seen.note(&sender, 2 * far + u64::try_from(index).unwrap());
        }
        assert!(seen.senders.len() <= limits::SEEN_SENDERS);
        assert!(!seen.note(&sender, 2 * far), "the one heard from lately is not forgotten");
    }

    #[test]
    fn the_last_number_that_there_is_does_no_harm() {
        let (mut seen, sender) = (Seen::default(), Arc::from("a"));
        let far = u64::try_from(limits::SEEN_AHEAD).unwrap() + 10;
        for number in u64::MAX - far..=u64::MAX {
            assert!(seen.note(&sender, number), "{number}");
        }
        for number in [1, u64::MAX - far, u64::MAX] {
            assert!(!seen.note(&sender, number), "{number}");
        }
    }

    #[test]
    fn what_is_delivered_again_is_new() {
        let mut seen = Seen::default();
        let envelope = |number| Envelope {
            number,
            ..Envelope::new(crate::Kind::Data, "a".into(), crate::Content::Json, bytes::Bytes::new())
        };
        assert!(seen.is_new(&envelope(1), false));
        assert!(!seen.is_new(&envelope(1), false));
        assert!(seen.is_new(&envelope(1), true));
        assert!(
            seen.is_new(&envelope(0), false) && seen.is_new(&envelope(0), false),
            "without a number nothing is known"
        );
    }
}
