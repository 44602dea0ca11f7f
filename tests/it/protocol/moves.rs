//! What can happen next, and what it leads to.

use super::property::{Property, Protocol, Scope};
use super::state::{Epoch, Hand, Held, Outbox, Owner, Phase, Request, Row, State, Status, Worker, Write};
use super::store::{ASKED, PARENT, last_step};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Claim {
        worker: usize,
        process: usize,
    },
    Run {
        worker: usize,
        process: usize,
    },
    Commit {
        worker: usize,
        process: usize,
        unowned: bool,
    },
    /// A worker is woken, or looks by itself, and sees that what a process of its own waited for has come.
    Wake {
        worker: usize,
        process: usize,
    },
    /// A worker learns that its lease is gone, or gives it up; what it had begun to write may still arrive.
    Rejoin {
        worker: usize,
        late: Option<usize>,
    },
    HandOver {
        worker: usize,
        process: usize,
    },
    Leave {
        worker: usize,
    },
    /// A message that nobody sends is a worker's from now on.
    TakeOver {
        worker: usize,
        message: usize,
    },
    /// A worker sends a message of its own: the first half, and the second.
    Send {
        worker: usize,
        message: usize,
    },
    Receive {
        worker: usize,
        message: usize,
    },
    FinishHand {
        worker: usize,
    },
    /// The client asks.
    File,
    /// The lease of an epoch that nobody has any more lapses.
    Lapse {
        epoch: Epoch,
    },
    LateArrives,
    LateVanishes,
    /// A worker's program is started again.
    Start {
        worker: usize,
    },
    Crash {
        worker: usize,
        late: Option<usize>,
    },
    /// A lease lapses while its worker lives and does not know it.
    LapseUnknown {
        epoch: Epoch,
    },
    Drain {
        worker: usize,
    },
    /// What a worker was given it cannot load.
    Fail {
        worker: usize,
        process: usize,
    },
    /// The answer to a commit is lost; it arrives, before what follows or after it, or never.
    DoubtCommit {
        worker: usize,
        process: usize,
    },
    /// The answer to a claim is lost; the store has made it.
    DoubtClaim {
        worker: usize,
        process: usize,
    },
}

/// Whether a move has to come some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Progress,
    /// It needs no fault, and must not be needed.
    Optional,
    Fault,
}

impl Move {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Start { .. } => Kind::Optional,
            Self::Crash { .. }
            | Self::LapseUnknown { .. }
            | Self::Drain { .. }
            | Self::Fail { .. }
            | Self::DoubtCommit { .. }
            | Self::DoubtClaim { .. } => Kind::Fault,
            _ => Kind::Progress,
        }
    }
}

impl<const W: usize, const P: usize> State<W, P> {
    pub(super) fn moves(&self, scope: Scope) -> Vec<Move> {
        let mut moves = Vec::new();
        for worker in 0..W {
            match self.workers[worker].phase {
                Phase::Down => moves.push(Move::Start { worker }),
                Phase::InDoubt => self.rejoins(worker, &mut moves),
                Phase::Up | Phase::Draining => self.moves_of(worker, scope, &mut moves),
            }
            if self.faults.crashes > 0 && self.workers[worker].phase != Phase::Down {
                moves.extend(self.left_behind(worker).map(|late| Move::Crash { worker, late }));
            }
        }
        for epoch in self.leases.known().filter(|&epoch| self.leases.live(epoch)) {
            if !self.workers.iter().any(|worker| worker.epoch == Some(epoch)) {
                moves.push(Move::Lapse { epoch });
            } else if self.faults.lapses > 0 {
                moves.push(Move::LapseUnknown { epoch });
            }
        }
        if self.late.is_some() {
            moves.extend([Move::LateArrives, Move::LateVanishes]);
        }
        if P > ASKED && self.request == Request::NotFiled && self.rows[ASKED].status != Status::Absent {
            moves.push(Move::File);
        }
        moves
    }

    /// Which of the commits that a worker was about to make is on its way when it stops.
    fn left_behind(&self, worker: usize) -> impl Iterator<Item = Option<usize>> {
        let held = self.workers[worker].held;
        let free = self.late.is_none();
        let writes = (0..P).filter(move |&process| free && matches!(held[process], Held::Ran(_)));
        std::iter::once(None).chain(writes.map(Some))
    }

    fn rejoins(&self, worker: usize, moves: &mut Vec<Move>) {
        moves.extend(self.left_behind(worker).map(|late| Move::Rejoin { worker, late }));
    }

    fn moves_of(&self, number: usize, scope: Scope, moves: &mut Vec<Move>) {
        let worker = &self.workers[number];
        let live = worker.epoch.is_some_and(|epoch| self.leases.live(epoch));
        if !live {
            self.rejoins(number, moves);
        }
        for process in 0..P {
            self.moves_with(number, process, live, scope.protocol, moves);
        }
        let up = worker.phase == Phase::Up;
        match worker.hand {
            Hand::Empty if up => {
                for (message, place) in self.messages.iter().enumerate() {
                    let early = scope.protocol == Protocol::SentBeforeCommit
                        && worker.held[message] == Held::Ran(last_step(message));
                    let own = live && place.row == Outbox::Unsent && place.sender == Owner::Epoch(self.epoch(number));
                    if own || early && !place.on_the_wire {
                        moves.push(Move::Send { worker: number, message });
                    } else if live && self.is_unsent(scope.protocol, message) {
                        moves.push(Move::TakeOver { worker: number, message });
                    }
                    if place.on_the_wire {
                        moves.push(Move::Receive { worker: number, message });
                    }
                }
            }
            Hand::Sending(_) if live => moves.push(Move::FinishHand { worker: number }),
            Hand::Receiving(_) => moves.push(Move::FinishHand { worker: number }),
            // A mark that is refused shows that the lease is gone.
            Hand::Empty | Hand::Sending(_) => {}
        }
        if up && live && self.faults.drains > 0 {
            moves.push(Move::Drain { worker: number });
        }
        let rests = worker.hand == Hand::Empty && worker.held.iter().all(|held| *held == Held::Not);
        if !up && live && rests {
            moves.push(Move::Leave { worker: number });
        }
    }

    fn moves_with(&self, worker: usize, process: usize, live: bool, protocol: Protocol, moves: &mut Vec<Move>) {
        let draining = self.workers[worker].phase == Phase::Draining;
        let told = protocol != Protocol::ParentNotWoken || process != PARENT;
        match self.workers[worker].held[process] {
            Held::Not
                if live
                    && !draining
                    && self.claimable(protocol, process)
                    && self.has_room(protocol, self.epoch(worker), process) =>
            {
                moves.push(Move::Claim { worker, process });
                if self.faults.doubts > 0 {
                    moves.push(Move::DoubtClaim { worker, process });
                }
            }
            Held::Ready(_) | Held::Waiting(_) if draining => moves.push(Move::HandOver { worker, process }),
            Held::Ready(_) => {
                moves.push(Move::Run { worker, process });
                if self.faults.failures > 0 {
                    moves.push(Move::Fail { worker, process });
                }
                if protocol == Protocol::HandOverAtWill {
                    moves.push(Move::HandOver { worker, process });
                }
            }
            Held::Waiting(_) if told && self.can_go_on(process) => moves.push(Move::Wake { worker, process }),
            Held::Not | Held::Waiting(_) => {}
            Held::Ran(step) => {
                if draining && protocol == Protocol::HandOverInStep {
                    moves.push(Move::HandOver { worker, process });
                }
                moves.push(Move::Commit { worker, process, unowned: false });
                if process == PARENT && step == 0 && P > 1 {
                    moves.push(Move::Commit { worker, process, unowned: true });
                }
                if self.faults.doubts > 0 && self.late.is_none() {
                    moves.push(Move::DoubtCommit { worker, process });
                }
            }
        }
    }

    pub(super) fn after(mut self, next: Move, scope: Scope) -> Self {
        match next {
            Move::Claim { worker, process } => self.claims(worker, process, scope),
            Move::Run { worker, process } if scope.killer == Some(process) => self.stop(worker),
            Move::Run { worker, process } => self.runs(worker, process, scope.protocol),
            Move::Commit { worker, process, unowned } => self.commits(worker, process, unowned, scope),
            Move::Wake { worker, process } => {
                if let Held::Waiting(step) = self.workers[worker].held[process] {
                    self.workers[worker].held[process] = Held::Ready(step);
                }
            }
            Move::Rejoin { worker, late } => self.rejoin(worker, late),
            Move::HandOver { worker, process } => {
                self.workers[worker].held[process] = Held::Not;
                self.hand_over(scope.protocol, self.epoch(worker), process);
            }
            Move::Leave { worker } => {
                self.release(self.epoch(worker));
                self.stop(worker);
            }
            Move::TakeOver { worker, message } => self.messages[message].sender = Owner::Epoch(self.epoch(worker)),
            Move::Send { worker, message } => self.send(worker, message, scope.protocol),
            Move::Receive { worker, message } => self.receive(worker, message, scope.protocol),
            Move::FinishHand { worker } => self.finish_hand(worker, scope.protocol),
            Move::File => self.request = Request::Filed,
            Move::Lapse { epoch } => self.lapse(epoch),
            Move::LateArrives => {
                if let Some(write) = self.late.take() {
                    self.write(scope, write);
                }
            }
            Move::LateVanishes => self.late = None,
            Move::Start { worker } => self.join(worker),
            Move::Crash { worker, late } => {
                self.faults.crashes -= 1;
                self.leave_behind(worker, late);
                self.stop(worker);
            }
            Move::LapseUnknown { epoch } => {
                self.faults.lapses -= 1;
                self.lapse(epoch);
            }
            Move::Drain { worker } => {
                self.faults.drains -= 1;
                self.workers[worker].phase = Phase::Draining;
            }
            Move::Fail { worker, process } => {
                self.faults.failures -= 1;
                self.workers[worker].held[process] = Held::Not;
                if scope.protocol != Protocol::FailureKept {
                    self.fail(scope, self.epoch(worker), process);
                }
            }
            Move::DoubtCommit { worker, process } => self.doubt_commit(worker, process, scope.protocol),
            Move::DoubtClaim { worker, process } => {
                self.faults.doubts -= 1;
                self.claim(scope, self.epoch(worker), process);
                if scope.protocol != Protocol::ClaimForgotten {
                    self.workers[worker].phase = Phase::InDoubt;
                }
            }
        }
        self.check_owners(scope.protocol);
        self.tidy()
    }

    fn epoch(&self, worker: usize) -> Epoch {
        self.workers[worker].epoch.unwrap()
    }

    fn stop(&mut self, worker: usize) {
        self.workers[worker] = Worker { phase: Phase::Down, epoch: None, held: [Held::Not; P], hand: Hand::Empty };
    }

    fn join(&mut self, worker: usize) {
        let epoch = self.leases.join(worker);
        self.workers[worker].phase = Phase::Up;
        self.workers[worker].epoch = Some(epoch);
    }

    fn leave_behind(&mut self, worker: usize, process: Option<usize>) {
        if let Some(process) = process {
            self.late = Some(self.write_of(worker, process, false));
        }
    }

    fn write_of(&self, worker: usize, process: usize, unowned: bool) -> Write {
        let Held::Ran(step) = self.workers[worker].held[process] else { unreachable!("only what has run is written") };
        Write { process: u8::try_from(process).unwrap(), step, epoch: self.epoch(worker), unowned }
    }

    fn rejoin(&mut self, worker: usize, late: Option<usize>) {
        let epoch = self.epoch(worker);
        let ends = self.workers[worker].phase == Phase::Draining;
        self.leave_behind(worker, late);
        if self.leases.live(epoch) {
            self.lapse(epoch);
        }
        self.stop(worker);
        if !ends {
            self.join(worker);
        }
    }

    fn claims(&mut self, worker: usize, process: usize, scope: Scope) {
        if self.claim(scope, self.epoch(worker), process) {
            self.workers[worker].held[process] = Held::Ready(self.rows[process].step);
        }
    }

    fn runs(&mut self, worker: usize, process: usize, protocol: Protocol) {
        let Held::Ready(step) = self.workers[worker].held[process] else { return };
        self.workers[worker].held[process] = Held::Ran(step);
        if protocol == Protocol::RequestTakenFirst && process == ASKED && step == last_step(ASKED) {
            self.request = Request::Applied;
        }
        let row = &mut self.rows[process];
        if row.step == step {
            row.runs += 1;
            if row.runs > 1 + row.losses {
                self.breaks(Property::RunsAgainForLoss);
            }
        }
    }

    fn commits(&mut self, worker: usize, process: usize, unowned: bool, scope: Scope) {
        let write = self.write_of(worker, process, unowned);
        let before = self.rows;
        let accepted = self.write(scope, write);
        let held = &mut self.workers[worker].held;
        held[process] = match self.rows[process].status {
            // Whoever is refused drops the process.
            Status::Waiting if accepted => Held::Waiting(write.step + 1),
            _ => Held::Not,
        };
        for child in PARENT + 1..P {
            if before[child].status == Status::Absent && self.rows[child].owner == Owner::Epoch(write.epoch) {
                held[child] = Held::Ready(0);
            }
        }
    }

    fn doubt_commit(&mut self, worker: usize, process: usize, protocol: Protocol) {
        self.faults.doubts -= 1;
        self.late = Some(self.write_of(worker, process, false));
        self.workers[worker].held[process] = Held::Not;
        if matches!(protocol, Protocol::EpochKeptInDoubt | Protocol::StepCompared) {
            // It reads the process again, and goes on from there.
            self.hand_over(protocol, self.epoch(worker), process);
            self.rows[process].losses += 1;
        } else {
            self.workers[worker].phase = Phase::InDoubt;
        }
    }

    fn send(&mut self, worker: usize, message: usize, protocol: Protocol) {
        let place = &mut self.messages[message];
        if place.row == Outbox::NotWritten {
            // Sent before its commit; it stays with that.
            place.on_the_wire = true;
            return;
        }
        if protocol == Protocol::MarkedFirst {
            (place.row, place.sender) = (Outbox::Sent, Owner::Nobody);
        } else {
            place.on_the_wire = true;
        }
        self.workers[worker].hand = Hand::Sending(u8::try_from(message).unwrap());
    }

    fn receive(&mut self, worker: usize, message: usize, protocol: Protocol) {
        if protocol == Protocol::AcknowledgedFirst {
            self.messages[message].on_the_wire = false;
        } else {
            self.handle(protocol, message);
        }
        self.workers[worker].hand = Hand::Receiving(u8::try_from(message).unwrap());
    }

    fn finish_hand(&mut self, worker: usize, protocol: Protocol) {
        match std::mem::replace(&mut self.workers[worker].hand, Hand::Empty) {
            Hand::Empty => {}
            Hand::Sending(message) if protocol == Protocol::MarkedFirst => {
                self.messages[usize::from(message)].on_the_wire = true;
            }
            Hand::Sending(message) => {
                let place = &mut self.messages[usize::from(message)];
                (place.row, place.sender) = (Outbox::Sent, Owner::Nobody);
            }
            Hand::Receiving(message) if protocol == Protocol::AcknowledgedFirst => {
                self.handle(protocol, usize::from(message));
            }
            Hand::Receiving(message) => self.messages[usize::from(message)].on_the_wire = false,
        }
    }

    fn check_owners(&mut self, protocol: Protocol) {
        for process in 0..P {
            let holders = self.workers.iter().filter(|worker| worker.held[process] != Held::Not);
            let accepted =
                holders.filter(|worker| worker.epoch.is_some_and(|epoch| self.accepts(protocol, epoch, process)));
            if accepted.count() > 1 {
                self.breaks(Property::OneOwner);
            }
            let sending = Hand::Sending(u8::try_from(process).unwrap());
            let senders = self.workers.iter().filter(|worker| worker.hand == sending);
            let live = senders.filter(|worker| worker.epoch.is_some_and(|epoch| self.leases.live(epoch)));
            if live.count() > 1 {
                self.breaks(Property::OneSender);
            }
        }
    }

    pub(super) fn someone_lives(&self) -> bool {
        self.workers.iter().any(|worker| worker.phase != Phase::Down)
    }

    /// Whether all is done: ended, or parked, or waiting for what is parked, and every message received and marked.
    pub(super) fn is_settled(&self) -> bool {
        let parked = self.rows.iter().any(|row| row.parked);
        let done = |(process, row): (usize, &Row)| match row.status {
            Status::Ended => true,
            Status::Ready => row.parked,
            Status::Waiting => row.parked || process == PARENT && parked,
            Status::Absent => self.rows[PARENT].parked,
        };
        self.rows.iter().enumerate().all(done)
            && self.rows.iter().zip(&self.messages).all(|(row, message)| match row.status {
                Status::Ended => message.row == Outbox::Sent && message.handled == 1 && !message.on_the_wire,
                _ => message.row == Outbox::NotWritten,
            })
    }
}
