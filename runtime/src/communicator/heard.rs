//! Which messages have come lately: one that is sent at least once may come twice.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::limits;

/// The ids of the latest messages.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Heard {
    /// Whether a message comes for the first time, as far as is remembered. One without an id always does.
    pub(super) fn first(&mut self, id: Option<&str>) -> bool {
        let Some(id) = id.filter(|id| !id.is_empty()) else { return true };
        if self.known.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.known.insert(Arc::clone(&id));
        self.order.push_back(id);
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
        assert!(heard.first(Some("0")));
        assert!(!heard.first(Some("0")));
        for number in 1..=limits::HEARD {
            assert!(heard.first(Some(&number.to_string())));
        }
        assert!(heard.first(Some("0")), "forgotten");
        assert_eq!((heard.known.len(), heard.order.len()), (limits::HEARD, limits::HEARD));
    }

    #[test]
    fn a_message_without_an_id_is_never_known() {
        let mut heard = Heard::default();
        for id in [None, Some("")] {
            assert!(heard.first(id) && heard.first(id));
        }
    }
}
