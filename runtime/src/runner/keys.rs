//! Keys of a runtime without a store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits;
use crate::process::Slot;

/// Keys that are looked at for one to forget when another comes: two for one keeps their number at the limit.
const LOOKS: usize = 2;

/// The processes that were launched under a key: all that have not ended, and some that have.
#[derive(Default)]
pub(crate) struct Keys(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_key: HashMap<String, (Arc<Slot>, &'static str)>,
    order: VecDeque<String>,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process with this key, and its type's name.
    pub(crate) fn get(&self, key: &str) -> Option<(Arc<Slot>, &'static str)> {
        self.lock().by_key.get(key).cloned()
    }

    /// Gives the key to a process, unless another has it.
    pub(crate) fn take(
        &self,
        key: String,
        slot: &Arc<Slot>,
        process: &'static str,
    ) -> Option<(Arc<Slot>, &'static str)> {
        let mut known = self.lock();
        if let Some(holder) = known.by_key.get(&key) {
            return Some(holder.clone());
        }
        for _ in 0..LOOKS {
            if known.order.len() >= limits::VOLATILE_KEYS {
                known.forget_if_ended();
            }
        }
        known.order.push_back(key.clone());
        known.by_key.insert(key, (Arc::clone(slot), process));
        None
    }
}

impl Known {
    /// Forgets the key that was looked at longest ago, or keeps it for another round.
    fn forget_if_ended(&mut self) {
        let Some(key) = self.order.pop_front() else { return };
        if self.by_key.get(&key).is_some_and(|(slot, _)| slot.get().is_none()) {
            self.order.push_back(key);
        } else {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessId;
    use crate::runner::RunError;

    #[test]
    fn ended_ones_are_forgotten_beyond_the_limit_and_others_are_kept() {
        let keys = Keys::default();
        let take = |number: usize| {
            let slot = Slot::new(ProcessId::from(i64::try_from(number).unwrap()));
            assert!(keys.take(number.to_string(), &slot, "p").is_none());
            slot
        };
        let unfinished: Vec<_> = (0..100).map(take).collect();
        for number in 100..3 * limits::VOLATILE_KEYS {
            take(number).fill(Err(RunError::Closed));
        }
        {
            let known = keys.lock();
            assert!(known.order.len() <= limits::VOLATILE_KEYS + 1, "{}", known.order.len());
            assert_eq!(known.by_key.len(), known.order.len());
        }
        for (number, slot) in unfinished.iter().enumerate() {
            assert!(keys.get(&number.to_string()).is_some_and(|(holder, _)| Arc::ptr_eq(&holder, slot)));
            let again = keys.take(number.to_string(), &Slot::new(ProcessId::default()), "p");
            assert!(again.is_some_and(|(holder, _)| Arc::ptr_eq(&holder, slot)), "it goes to none but its holder");
        }
    }
}
