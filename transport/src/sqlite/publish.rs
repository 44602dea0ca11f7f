//! What is told after a transaction: those who asked get their answers, those who wait are woken.

use std::sync::{Arc, Weak};

use super::inlet::{InEnd, SqliteInlet};
use super::outlet::{OutEnd, Room, SqliteOutlet};
use super::queue::{Opened, Wanted};
use super::topics::OpenEnd;
use super::turn::{Fed, Hunger, Opening, Post, Sending, Settling, Turn};
use super::writer::Writer;
use crate::{Mode, TransportError, TransportResult};

const SENDING: &str = "what was still to be sent";

impl Writer {
    /// A turn is committed. The last one may have left something unsent.
    pub(super) fn publish(&mut self, turn: Turn) -> TransportResult<()> {
        let mut unsent = 0;
        for settling in turn.settlings {
            self.publish_settling(&settling);
        }
        for opening in turn.openings {
            self.publish_opening(opening, turn.is_last);
        }
        for mut post in turn.posts {
            match post.posted.take() {
                Some(posted) => {
                    let _ = post.answer.send(posted);
                }
                None => self.posts.push_back(Post { was_full: true, ..post }),
            }
        }
        for sending in turn.sendings {
            unsent += sending.parcels.len() - sending.put;
            let waiting = turn.rooms.get(&sending.end.topic).copied();
            self.publish_sending(sending, waiting);
        }
        for (topic, waiting) in turn.rooms {
            if let Some(room) = self.rooms.get(&topic).and_then(Weak::upgrade) {
                room.update(Some(waiting), 0, 0);
            } else {
                self.rooms.remove(&topic);
            }
        }
        for hunger in turn.hungers {
            self.publish_hunger(hunger);
        }
        if turn.is_last && unsent > 0 {
            let reason = format!("there is no room for {unsent} envelopes");
            return Err(TransportError::Refused { what: SENDING, reason });
        }
        Ok(())
    }

    fn publish_settling(&mut self, settling: &Settling) {
        let mut state = settling.end.lock();
        if settling.is_leaving {
            state.is_gone = true;
            state.ready.clear();
        }
        if settling.is_settled {
            state.is_settled = true;
            self.ins.remove(&settling.end.of.id);
        }
        if state.is_gone {
            state.wake();
        }
    }

    fn publish_opening(&mut self, opening: Opening, is_last: bool) {
        let opened = opening.opened.unwrap_or(Err(TransportError::Closed));
        let opened = match opened {
            _ if is_last => Err(TransportError::Closed),
            Err(error) => Err(error),
            Ok((of, capacity)) => Ok(match &opening.wanted {
                Wanted::Outlet(_) => {
                    let end = Arc::new(OutEnd::new(of.id, of.topic, self.room(of.topic, capacity)));
                    self.outs.insert(of.id, Arc::clone(&end));
                    Opened::Outlet(SqliteOutlet::new(end, opening.alive))
                }
                Wanted::Inlet(topic) => {
                    let end = self.new_in_end(of, topic.mode() == Mode::PubSub, capacity);
                    Opened::Inlet(SqliteInlet::new(end, opening.alive))
                }
                Wanted::Mailbox(_) => {
                    let end = self.new_in_end(of, true, capacity);
                    Opened::Inlet(SqliteInlet::new(end, opening.alive))
                }
            }),
        };
        // Where nobody waits for it any more, it is dropped, and leaves.
        let _ = opening.answer.send(opened);
    }

    fn new_in_end(&mut self, of: OpenEnd, is_alone: bool, capacity: i64) -> Arc<InEnd> {
        let end = Arc::new(InEnd::new(of, is_alone, capacity));
        self.ins.insert(of.id, Arc::clone(&end));
        end
    }

    fn room(&mut self, topic: i64, capacity: i64) -> Arc<Room> {
        let known = self.rooms.get(&topic).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let room = Arc::new(Room::new(capacity));
            self.rooms.insert(topic, Arc::downgrade(&room));
            room
        })
    }

    fn publish_sending(&mut self, mut sending: Sending, waiting: Option<i64>) {
        let bytes = sending.parcels.drain(..sending.put).map(|parcel| parcel.bytes.len()).sum();
        sending.end.room.update(waiting, sending.put, bytes);
        let mut state = sending.end.lock();
        state.unsafe_count -= sending.put;
        state.is_gone |= sending.is_gone;
        if state.is_gone {
            self.outs.remove(&sending.end.id);
        }
        if state.is_gone || state.unsafe_count == 0 {
            state.wake();
        }
        if !sending.parcels.is_empty() {
            sending.parcels.append(&mut state.queue);
            state.queue = sending.parcels;
            drop(state);
            self.blocked.push(sending.end);
        }
    }

    fn publish_hunger(&mut self, hunger: Hunger) {
        let mut state = hunger.end.lock();
        match hunger.fed {
            None => {
                drop(state);
                self.hungry.push_back(Hunger { is_fresh: false, ..hunger });
                return;
            }
            Some(Fed::Nothing) => return,
            Some(Fed::Items(taken)) => state.ready.extend(taken),
            Some(Fed::End) => state.is_end = true,
        }
        state.wake();
    }

    /// What takes room was refused by the disk: nothing of it is lost, but those who sent are told.
    pub(super) fn refuse_sendings(&mut self, turn: &mut Turn, error: &TransportError) {
        for sending in turn.sendings.drain(..) {
            self.refuse_sending(sending, error);
        }
        for post in turn.posts.drain(..) {
            let _ = post.answer.send(Err(error.clone()));
        }
        for opening in turn.openings.drain(..) {
            let _ = opening.answer.send(Err(error.clone()));
        }
    }

    fn refuse_sending(&mut self, mut sending: Sending, error: &TransportError) {
        let mut state = sending.end.lock();
        if sending.is_dropped {
            // There is nobody who could send it again.
            tracing::warn!(%error, count = sending.parcels.len(), "envelopes of a sender that is gone were not sent");
            let bytes = sending.parcels.drain(..).map(|parcel| parcel.bytes.len()).sum();
            sending.end.room.update(None, state.unsafe_count, bytes);
            state.unsafe_count = 0;
            drop(state);
            self.blocked.push(sending.end);
            return;
        }
        sending.parcels.append(&mut state.queue);
        state.queue = sending.parcels;
        state.error = Some(error.clone());
        state.wake();
        drop(state);
        sending.end.room.wake();
    }

    /// A turn failed, and is as if it had not been; those who wait for something of it are told.
    pub(super) fn refuse(&mut self, mut turn: Turn, error: &TransportError) {
        self.refuse_sendings(&mut turn, error);
        for settling in turn.settlings {
            let mut state = settling.end.lock();
            state.given += settling.given;
            state.acked.splice(0..0, settling.acked);
            state.released.splice(0..0, settling.released);
            if state.is_closing {
                state.error = Some(error.clone());
                state.wake();
            }
            drop(state);
            self.unsettled.push(settling.end);
        }
        for hunger in turn.hungers {
            let mut state = hunger.end.lock();
            state.error = Some(error.clone());
            state.wake();
        }
    }

    /// Others have taken this transport for lost: what its ends had is with others now.
    pub(super) fn lose_all(&mut self, turn: &mut Turn) {
        let reason = "it was not heard from for its lease, and others go on with what it had".to_owned();
        let source = TransportError::Refused { what: "the membership", reason };
        let error = TransportError::Disconnected(Some(Arc::new(source)));
        turn.sendings.clear();
        turn.settlings.clear();
        turn.hungers.clear();
        self.blocked.clear();
        self.unsettled.clear();
        self.rooms.clear();
        self.membership.leave();
        for (_, end) in self.outs.drain() {
            let mut state = end.lock();
            (state.error, state.is_lost) = (Some(error.clone()), true);
            state.queue.clear();
            state.wake();
            drop(state);
            end.room.wake();
        }
        for (_, end) in self.ins.drain() {
            let mut state = end.lock();
            (state.error, state.is_lost) = (Some(error.clone()), true);
            state.ready.clear();
            state.wake();
        }
    }

    /// All who wait look again, and see that it is closed.
    pub(super) fn wake_all(&mut self) {
        for end in self.outs.values() {
            end.lock().wake();
            end.room.wake();
        }
        for end in self.ins.values() {
            end.lock().wake();
        }
        for post in self.posts.drain(..) {
            let _ = post.answer.send(Err(self.shared.refusal().unwrap_or(TransportError::Closed)));
        }
    }
}
