//! What is to hold, and the protocols of which it is asked.

use super::state::Faults;

/// What a search finds not to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Property {
    /// Of each process there is one worker at most whose writes are accepted.
    OneOwner,
    /// What is written under an epoch that has ended, or is not the owner's, changes nothing.
    StaleWritesNothing,
    /// A process that a live epoch owns is given to nobody else.
    OwnedIsNotGiven,
    /// Each step is committed once, the one that ends the process, too.
    StepCommittedOnce,
    /// A step runs again only if its owner was lost: without faults, effects come about once.
    RunsAgainForLoss,
    /// Nothing counts as an attempt, and so nothing is parked, but for lost owners.
    AttemptIsLoss,
    /// A process that kills its workers lets no other be parked.
    InnocentGoesOn,
    /// Of each message there is one worker at most that sends it and may write.
    OneSender,
    /// A message is received only if what it tells is in the store.
    ReceivedIsStored,
    /// A message is received once.
    ReceivedOnce,
    /// While a worker lives there is something to be done until all have ended, all messages are received and all outbox
    /// rows marked: nothing is lost, and no parent waits in vain.
    NothingStuck,
    /// Nothing goes round for ever without faults.
    NothingRound,
}

/// The protocol, and ways to get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// As the contract of `Store` has it; a worker that does not know what became of a call joins anew.
    Sound,
    /// A worker goes on under its epoch after it did not hear of a commit.
    EpochKeptInDoubt,
    /// The same, and a commit that does not follow on the row's step is refused.
    StepCompared,
    /// A worker goes on under its epoch after it did not hear what it claimed.
    ClaimForgotten,
    /// Whoever writes is let.
    NoFence,
    /// Who owns a process may write, whether its lease has lapsed or not.
    FenceWithoutLease,
    /// The owner is a worker, under whatever epoch.
    FenceByWorker,
    /// A claim does not look whether the owner's lease has lapsed.
    ClaimFromLiving,
    /// A claim gives what was never owned, or was handed over.
    ClaimOnlyUnowned,
    /// A claim does not give a parent whose children have ended.
    ParentNotClaimed,
    /// A worker is not told of the ends of children elsewhere.
    ParentNotWoken,
    /// A worker that is to end does not wait for the end of a step.
    HandOverInStep,
    /// A worker gives up what it has claimed and not begun, while it goes on claiming.
    HandOverAtWill,
    /// What was handed over is as if its worker was lost.
    HandOverIsLoss,
    /// A worker is given suspects, however many it has at work.
    SuspectsTogether,
    /// What has waited counts as at rest until its next boundary.
    WokenIsAtRest,
    /// A process that cannot be loaded stays with its worker.
    FailureKept,
    /// A boundary does not start the attempts anew.
    AttemptsKept,
    /// A request is removed when a step takes it up, not with its boundary.
    RequestTakenFirst,
    /// A receiver acknowledges, and then stores.
    AcknowledgedFirst,
    /// The outbox row is marked, and then its message sent.
    MarkedFirst,
    /// A message is taken over while its sender may write.
    TakenFromLiving,
    /// A message whose sender is lost is nobody's.
    NotTakenOver,
    /// A message is sent when its step has run.
    SentBeforeCommit,
    /// A receiver does not look whether it knows the message.
    NotDeduplicated,
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) protocol: Protocol,
    pub(super) faults: Faults,
    /// Attempts beyond which a process is parked.
    pub(super) attempts: u8,
    /// The process that kills each worker that runs it.
    pub(super) killer: Option<usize>,
}
