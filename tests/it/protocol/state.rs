//! What there is: the store's rows, the workers' memory, and what is on its way between them.

use super::property::Property;

/// A worker as of one joining; an index of the leases that anything still refers to.
pub(super) type Epoch = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Nobody,
    Epoch(Epoch),
    /// An epoch that has ended, and that nobody writes under any more.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Status {
    Absent,
    Ready,
    Waiting,
    Ended,
}

/// A process in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) status: Status,
    /// The next one to run, or that the wait leads to.
    pub(super) step: u8,
    pub(super) owner: Owner,
    pub(super) attempts: u8,
    /// Those of them that were workers which could not load it.
    pub(super) failures: u8,
    pub(super) parked: bool,
    /// How often its step was run since the last boundary; the protocol does not know it.
    pub(super) runs: u8,
    /// How often its owner was lost since the last boundary; the protocol does not know it.
    pub(super) losses: u8,
}

/// What a worker has of a process in memory, with the step that it believes to be the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Held {
    Not,
    Ready(u8),
    /// The step has run, and its boundary is not committed.
    Ran(u8),
    Waiting(u8),
}

/// Where a worker's courier is between two calls, with the message that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Hand {
    Empty,
    Sending(u8),
    Receiving(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    Down,
    Up,
    /// Claims nothing more and gives up what it has.
    Draining,
    /// It did not hear what became of a call.
    InDoubt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Worker<const P: usize> {
    pub(super) phase: Phase,
    /// The one that it believes to have.
    pub(super) epoch: Option<Epoch>,
    pub(super) held: [Held; P],
    pub(super) hand: Hand,
}

/// A message in the outbox; each process has one, written with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) row: Outbox,
    /// Who wrote it, or took it over; nobody once it is sent.
    pub(super) sender: Owner,
    /// Copies that nobody has acknowledged; two of one message are as one that is delivered twice.
    pub(super) on_the_wire: bool,
    /// How often its receiver did what it says.
    pub(super) handled: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outbox {
    NotWritten,
    Unsent,
    Sent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Request {
    NotFiled,
    Filed,
    Applied,
}

/// A commit, as it goes to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) process: u8,
    pub(super) step: u8,
    pub(super) epoch: Epoch,
    /// Whether the children that it creates belong to nobody.
    pub(super) unowned: bool,
}

/// Which epochs' leases have not lapsed, by the store's clock, and whose each epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Leases {
    known: u8,
    live: u8,
    /// Two bits for each epoch.
    workers: u16,
}

impl Leases {
    pub(super) fn join(&mut self, worker: usize) -> Epoch {
        self.add(worker, true)
    }

    fn add(&mut self, worker: usize, live: bool) -> Epoch {
        let epoch = self.known;
        self.known += 1;
        self.live |= u8::from(live) << epoch;
        self.workers |= u16::try_from(worker).unwrap() << (2 * epoch);
        epoch
    }

    pub(super) fn known(self) -> std::ops::Range<Epoch> {
        0..self.known
    }

    pub(super) fn live(self, epoch: Epoch) -> bool {
        self.live >> epoch & 1 == 1
    }

    pub(super) fn end(&mut self, epoch: Epoch) {
        self.live &= !(1 << epoch);
    }

    pub(super) fn worker(self, epoch: Epoch) -> usize {
        usize::from(self.workers >> (2 * epoch) & 3)
    }
}

/// How many of each may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Faults {
    /// Workers killed.
    pub(super) crashes: u8,
    /// Leases lapsed of workers that run and do not know it: stopped, starved, or cut off.
    pub(super) lapses: u8,
    /// Workers told to end.
    pub(super) drains: u8,
    /// Commits and claims whose answer is lost.
    pub(super) doubts: u8,
    /// Workers that cannot load a process.
    pub(super) failures: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State<const W: usize, const P: usize> {
    pub(super) workers: [Worker<P>; W],
    pub(super) rows: [Row; P],
    pub(super) messages: [Message; P],
    /// What a client asks of process 1.
    pub(super) request: Request,
    pub(super) leases: Leases,
    /// A commit on its way whose writer does not wait for it any more.
    pub(super) late: Option<Write>,
    pub(super) faults: Faults,
    pub(super) broken: Option<Property>,
}

impl<const W: usize, const P: usize> State<W, P> {
    /// All workers have joined, and a client has created the first process.
    pub(super) fn new(faults: Faults) -> Self {
        let absent = Row {
            status: Status::Absent,
            step: 0,
            owner: Owner::Nobody,
            attempts: 0,
            failures: 0,
            parked: false,
            runs: 0,
            losses: 0,
        };
        let down = Worker { phase: Phase::Down, epoch: None, held: [Held::Not; P], hand: Hand::Empty };
        let mut state = Self {
            workers: [down; W],
            rows: [absent; P],
            messages: [Message { row: Outbox::NotWritten, sender: Owner::Nobody, on_the_wire: false, handled: 0 }; P],
            request: Request::NotFiled,
            leases: Leases::default(),
            late: None,
            faults,
            broken: None,
        };
        state.rows[0].status = Status::Ready;
        for (worker, place) in state.workers.iter_mut().enumerate() {
            (place.phase, place.epoch) = (Phase::Up, Some(state.leases.join(worker)));
        }
        state
    }

    pub(super) fn breaks(&mut self, property: Property) {
        self.broken.get_or_insert(property);
    }

    /// The one of many equal states by which they are all known: workers in an order of what they do, epochs numbered by
    /// who refers to them, and none to which nobody refers.
    pub(super) fn tidy(mut self) -> Self {
        let mut order: [usize; W] = std::array::from_fn(|worker| worker);
        order.sort_by_key(|&worker| {
            let worker = &self.workers[worker];
            (worker.phase, worker.hand, worker.held)
        });
        self.workers = order.map(|worker| self.workers[worker]);
        let refers = |epoch| {
            let late = self.late.is_some_and(|write| write.epoch == epoch);
            late || self.workers.iter().any(|worker| worker.epoch == Some(epoch))
        };
        let senders = self.messages.iter_mut().map(|message| &mut message.sender);
        for owner in self.rows.iter_mut().map(|row| &mut row.owner).chain(senders) {
            if matches!(*owner, Owner::Epoch(epoch) if !self.leases.live(epoch) && !refers(epoch)) {
                *owner = Owner::Lost;
            }
        }
        let writers = self.workers.iter_mut().filter_map(|worker| worker.epoch.as_mut());
        let late = self.late.as_mut().map(|write| &mut write.epoch);
        let senders = self.messages.iter_mut().map(|message| &mut message.sender);
        let owners = self.rows.iter_mut().map(|row| &mut row.owner).chain(senders).filter_map(|owner| match owner {
            Owner::Epoch(epoch) => Some(epoch),
            Owner::Nobody | Owner::Lost => None,
        });
        let mut numbers = [None; 8];
        let mut leases = Leases::default();
        for epoch in writers.chain(late).chain(owners) {
            *epoch = *numbers[usize::from(*epoch)].get_or_insert_with(|| {
                let worker = order.iter().position(|&worker| worker == self.leases.worker(*epoch)).unwrap();
                leases.add(worker, self.leases.live(*epoch))
            });
        }
        self.leases = leases;
        self
    }
}
