//! What the store does, each call as one.

use super::property::{Property, Protocol, Scope};
use super::state::{Epoch, Message, Outbox, Owner, Request, Row, State, Status, Write};

/// The parent of all others, which waits for them after its first step.
pub(super) const PARENT: usize = 0;
/// The child that waits for a request after its first step.
pub(super) const ASKED: usize = 1;

/// Losses since the last boundary from which on a process is a suspect.
const SUSPECT: u8 = 2;

/// The step with which a process ends. The parent and the child that is asked have two; others have one.
pub(super) fn last_step(process: usize) -> u8 {
    u8::from(process <= ASKED)
}

impl<const W: usize, const P: usize> State<W, P> {
    /// Whether what a process waits for, if it does, has come.
    pub(super) fn can_go_on(&self, process: usize) -> bool {
        let row = &self.rows[process];
        match row.status {
            Status::Absent | Status::Ended => false,
            Status::Ready => true,
            Status::Waiting if process == PARENT => {
                self.rows[PARENT + 1..].iter().all(|child| child.status == Status::Ended)
            }
            Status::Waiting => self.request == Request::Filed,
        }
    }

    pub(super) fn accepts(&self, protocol: Protocol, epoch: Epoch, process: usize) -> bool {
        let row = &self.rows[process];
        if protocol == Protocol::NoFence {
            return row.status != Status::Ended;
        }
        let Owner::Epoch(owner) = row.owner else { return false };
        let (may, live) = match protocol {
            Protocol::FenceWithoutLease => (owner == epoch, true),
            Protocol::FenceByWorker => {
                let worker = self.leases.worker(epoch);
                let mut epochs = self.leases.known().filter(|&other| self.leases.worker(other) == worker);
                (self.leases.worker(owner) == worker, epochs.any(|other| self.leases.live(other)))
            }
            _ => (owner == epoch, self.leases.live(epoch)),
        };
        may && live && row.status != Status::Ended
    }

    /// Whether the write was accepted.
    pub(super) fn write(&mut self, scope: Scope, write: Write) -> bool {
        let (process, epoch) = (usize::from(write.process), write.epoch);
        if !self.accepts(scope.protocol, epoch, process) {
            return false;
        }
        let follows = self.rows[process].step == write.step;
        if scope.protocol == Protocol::StepCompared && !follows {
            return false;
        }
        if !self.accepts(Protocol::Sound, epoch, process) {
            self.breaks(Property::StaleWritesNothing);
        }
        if !follows {
            self.breaks(Property::StepCommittedOnce);
        }
        let ends = write.step == last_step(process);
        if process == PARENT && !ends {
            let owner = if write.unowned { Owner::Nobody } else { Owner::Epoch(epoch) };
            for child in self.rows[PARENT + 1..].iter_mut().filter(|child| child.status == Status::Absent) {
                (child.status, child.owner) = (Status::Ready, owner);
            }
        }
        if process == ASKED && ends {
            self.request = Request::Applied;
        }
        if ends {
            (self.messages[process].row, self.messages[process].sender) = (Outbox::Unsent, Owner::Epoch(epoch));
        }
        let row = &mut self.rows[process];
        row.status = if ends { Status::Ended } else { Status::Waiting };
        (row.step, row.runs, row.losses) = (write.step + 1, 0, 0);
        if ends {
            row.owner = Owner::Nobody;
        }
        if scope.protocol != Protocol::AttemptsKept || ends {
            (row.attempts, row.failures) = (0, 0);
        }
        true
    }

    pub(super) fn claimable(&self, protocol: Protocol, process: usize) -> bool {
        let row = &self.rows[process];
        let free = match row.owner {
            Owner::Nobody => true,
            _ if protocol == Protocol::ClaimOnlyUnowned => false,
            Owner::Lost => true,
            Owner::Epoch(epoch) => protocol == Protocol::ClaimFromLiving || !self.leases.live(epoch),
        };
        let known = protocol != Protocol::ParentNotClaimed || row.status != Status::Waiting || process != PARENT;
        free && known && !row.parked && self.can_go_on(process)
    }

    /// Whether a worker may have a process beside those that it has: of suspects, one at work.
    pub(super) fn has_room(&self, protocol: Protocol, epoch: Epoch, process: usize) -> bool {
        let losses = |row: &Row| row.attempts - row.failures;
        let row = &self.rows[process];
        let suspect = losses(row) + u8::from(row.owner != Owner::Nobody) >= SUSPECT;
        let mut own = (0..P).filter(|&other| self.rows[other].owner == Owner::Epoch(epoch));
        let at_work = |other: usize| {
            let rests = match protocol {
                Protocol::SuspectsTogether => true,
                // A row says so until the next boundary.
                Protocol::WokenIsAtRest => self.rows[other].status == Status::Waiting,
                _ => !self.can_go_on(other),
            };
            !rests && losses(&self.rows[other]) >= SUSPECT
        };
        !suspect || !own.any(at_work)
    }

    /// A worker gives up what it cannot load.
    pub(super) fn fail(&mut self, scope: Scope, epoch: Epoch, process: usize) {
        if self.accepts(scope.protocol, epoch, process) {
            let row = &mut self.rows[process];
            (row.attempts, row.failures, row.owner) = (row.attempts + 1, row.failures + 1, Owner::Nobody);
            row.parked = row.attempts >= scope.attempts;
        }
    }

    /// Whether the worker has the process now.
    pub(super) fn claim(&mut self, scope: Scope, epoch: Epoch, process: usize) -> bool {
        let row = &mut self.rows[process];
        let before = std::mem::replace(&mut row.owner, Owner::Epoch(epoch));
        row.attempts += u8::from(before != Owner::Nobody);
        let excused = row.attempts <= row.losses + row.failures;
        let parked = row.attempts > scope.attempts;
        let innocent = scope.killer.is_some_and(|killer| killer != process);
        if parked {
            (row.parked, row.owner) = (true, Owner::Nobody);
        }
        if matches!(before, Owner::Epoch(owner) if self.leases.live(owner)) {
            self.breaks(Property::OwnedIsNotGiven);
        }
        if !excused && before != Owner::Nobody {
            self.breaks(Property::AttemptIsLoss);
        }
        if parked && innocent {
            self.breaks(Property::InnocentGoesOn);
        }
        !parked
    }

    pub(super) fn hand_over(&mut self, protocol: Protocol, epoch: Epoch, process: usize) {
        if self.accepts(protocol, epoch, process) {
            let lost = protocol == Protocol::HandOverIsLoss;
            self.rows[process].owner = if lost { Owner::Lost } else { Owner::Nobody };
        }
    }

    /// A lease lapses, or is given up by a worker that does not know any more what it owns.
    pub(super) fn lapse(&mut self, epoch: Epoch) {
        self.leases.end(epoch);
        for row in self.rows.iter_mut().filter(|row| row.owner == Owner::Epoch(epoch)) {
            row.losses += 1;
        }
    }

    pub(super) fn release(&mut self, epoch: Epoch) {
        self.leases.end(epoch);
        for row in self.rows.iter_mut().filter(|row| row.owner == Owner::Epoch(epoch)) {
            row.owner = Owner::Nobody;
        }
    }

    /// Whether a message is given to whoever asks what nobody sends.
    pub(super) fn is_unsent(&self, protocol: Protocol, message: usize) -> bool {
        let Message { row, sender, .. } = self.messages[message];
        let sent = match sender {
            Owner::Nobody | Owner::Lost => false,
            Owner::Epoch(epoch) => protocol != Protocol::TakenFromLiving && self.leases.live(epoch),
        };
        row == Outbox::Unsent && !sent && protocol != Protocol::NotTakenOver
    }

    /// What a receiver does with a message.
    pub(super) fn handle(&mut self, protocol: Protocol, message: usize) {
        let received = &mut self.messages[message];
        if received.handled == 0 || protocol == Protocol::NotDeduplicated {
            received.handled += 1;
        }
        let (again, stored) = (received.handled > 1, received.row != Outbox::NotWritten);
        if again {
            self.breaks(Property::ReceivedOnce);
        }
        if !stored {
            self.breaks(Property::ReceivedIsStored);
        }
    }
}
