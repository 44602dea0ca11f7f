//! Hearts and beats: how one that is silent is found to be lost.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::core::{Core, lock};
use super::membership::Gone;
use super::protocol::HEART;
use super::table::Known;
use crate::{Content, Envelope, Kind};

impl Core {
    /// The registry listens to all its peers, these to the registry (M34).
    pub(super) fn watch_over(self: &Arc<Self>, known: &Arc<Known>) {
        if self.options.heartbeat.is_some() {
            self.spawn(Arc::clone(self).listen_to(Arc::clone(known)));
        }
    }

    async fn listen_to(self: Arc<Self>, known: Arc<Known>) {
        let Some(heartbeat) = self.options.heartbeat else { return };
        while known.is_live() {
            let quiet = known.heard() + heartbeat.interval;
            if quiet > Instant::now() {
                sleep_until(quiet).await;
            } else if !self.hearts(&known).await {
                return self.lose(&known, Gone::Lost("it does not answer"));
            }
        }
    }

    /// Asks a silent peer as often as it may be asked; whether it was heard (M35).
    async fn hearts(&self, known: &Known) -> bool {
        let Some(heartbeat) = self.options.heartbeat else { return true };
        known.await_beat();
        for attempt in 1..=heartbeat.attempts {
            let until = Instant::now() + heartbeat.wait(attempt);
            let sender = Arc::clone(&self.who.address);
            // A call, so that it is answered; nobody waits for just this answer.
            let heart = Envelope {
                subject: HEART.into(),
                deadline: Some(heartbeat.wait(attempt)),
                ..Envelope::new(Kind::Call, sender, Content::Json, Bytes::new())
            };
            let asked = async {
                let _ = self.post(&known.who.address, heart).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = asked => {}
                is_beat = known.beat_by(until) => {
                    if is_beat {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// How many calls wait, and how many peers are there.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.calls.len(), lock(&self.table).len())
    }
}
