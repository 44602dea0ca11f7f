//! Which messages have come lately: one that was sent again after a lost connection may come twice.

use lapin::types::ShortString;
use std::collections::{HashSet, VecDeque};

use crate::limits;

/// The ids of the latest messages.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: HashSet<ShortString>,
    order: VecDeque<ShortString>,
}

impl Heard {
    /// Whether a message comes for the first time, as far as is remembered. One without an id always does.
    pub(super) fn first(&mut self, id: Option<&ShortString>) -> bool {
        let Some(id) = id.filter(|id| !id.as_str().is_empty()) else { return true };
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > limits::HEARD
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_id_until_many_others_have_come() {
        let mut heard = Heard::default();
        let id = |number: usize| ShortString::from(number.to_string());
        assert!(heard.first(Some(&id(0))));
        assert!(!heard.first(Some(&id(0))));
        for number in 1..=limits::HEARD {
            assert!(heard.first(Some(&id(number))));
        }
        assert!(heard.first(Some(&id(0))), "forgotten");
        assert_eq!((heard.known.len(), heard.order.len()), (limits::HEARD, limits::HEARD));
    }

    #[test]
    fn a_message_without_an_id_is_never_known() {
        let mut heard = Heard::default();
        for id in [None, Some(ShortString::default())] {
            assert!(heard.first(id.as_ref()) && heard.first(id.as_ref()));
        }
    }
}
