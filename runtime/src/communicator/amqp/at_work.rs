//! What subscribers are at work on: counted, so that it is bounded, and waited for when the communicator is closed.

use std::sync::Arc;
use tokio::sync::watch;

/// How many messages are at subscribers.
#[derive(Clone, Default)]
pub(super) struct AtWork(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
pub(super) struct Place(Arc<watch::Sender<usize>>);

impl AtWork {
    /// One more; none if there are this many.
    pub(super) fn begin(&self, most: usize) -> Option<Place> {
        let mut room = false;
        self.0.send_if_modified(|count| {
            room = *count < most;
            *count += usize::from(room);
            // Only the end is waited for.
            false
        });
        room.then(|| Place(Arc::clone(&self.0)))
    }

    /// Ends when there is none.
    pub(super) async fn ended(&self) {
        // The sender is here: it cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count -= 1;
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_bounded_and_its_end_is_told() {
        let at_work = AtWork::default();
        at_work.ended().await;
        let places: Vec<_> = (0..3).filter_map(|_| at_work.begin(2)).collect();
        assert_eq!(places.len(), 2);
        let waiting = {
            let at_work = at_work.clone();
            tokio::spawn(async move { at_work.ended().await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(places);
        waiting.await.expect("it ends");
        assert!(at_work.begin(1).is_some(), "there is room again");
    }
}
