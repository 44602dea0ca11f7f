//! The protocol by which workers share a store, as a model of which every state is looked at.
//!
//! What is modelled is the contract of [`Store`](procession::Store), sentences 1 to 9, 18 to 25, 27 and 28, and what a worker does
//! with it. A parent creates its children, waits for them and ends; the first child waits for a client's request. Each
//! end writes a message into the outbox, which workers send and receive. Workers are killed, their leases lapse while
//! they go on, they are told to end, they cannot load a process, and the answers to their calls are lost.
//!
//! A worker that is stopped by a signal is one that does nothing for a while, which the search tries anyway. A message
//! is delivered twice where its sender dies before it has marked the row, its receiver before it has acknowledged, or two
//! send or receive it at once. The reconciler is whoever claims what an ended epoch owned, and takes over what it has not sent.
//!
//! The search is our own. What matters most is that from each state on all comes to an end once the faults cease. The
//! checker `stateright` 0.31 says of its `eventually` that it is not right where ways meet again or go round, keeps no
//! graph in which one could look, and brings 14 more crates, a web server among them.

mod moves;
mod property;
mod search;
mod state;
mod store;

use property::{Property, Protocol, Scope};
use search::Search;
use state::{Faults, Request, State, Status};

/// More than there are faults: nothing is parked.
const PLENTY: u8 = 9;
const NONE: Faults = Faults { crashes: 0, lapses: 0, drains: 0, doubts: 0, failures: 0 };

#[track_caller]
fn sound<const W: usize, const P: usize>(scope: Scope) -> Vec<State<W, P>> {
    let states = Search::<W, P>::run(scope).unwrap();
    println!("{W} workers, {P} processes, {scope:?}: {} states", states.len());
    assert!(states.iter().any(State::is_settled), "the search must get to an end");
    states
}

#[test]
fn two_workers_share_two_processes_through_two_crashes_and_a_lapse() {
    let faults = Faults { crashes: 2, lapses: 1, ..NONE };
    let states = sound::<2, 2>(Scope { protocol: Protocol::Sound, faults, attempts: PLENTY, killer: None });
    let ended = |state: &State<2, 2>| state.rows.iter().all(|row| row.status == Status::Ended);
    assert!(states.iter().filter(|state| state.is_settled()).all(ended));
    assert!(states.iter().filter(|state| ended(state)).all(|state| state.request == Request::Applied));
    assert!(states.iter().all(|state| state.rows.iter().all(|row| !row.parked)));
    // What makes the search worth its name has come about: stale writes on their way, and workers that do not know.
    let stale = |state: &State<2, 2>| state.late.is_some_and(|write| !state.leases.live(write.epoch));
    assert!(states.iter().any(stale));
    assert!(states.iter().any(|state| state.rows.iter().any(|row| row.runs > 2)));
    assert!(states.iter().any(|state| state.rows.iter().any(|row| row.losses > 2)));
}

/// `cargo xtask model` has it with two faults.
#[test]
fn three_workers_share_three_processes_through_crashes() {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let crashes = number("PROCESSION_PROTOCOL_CRASHES", 1);
    let faults = Faults { crashes, lapses: number("PROCESSION_PROTOCOL_LAPSES", 0), ..NONE };
    sound::<3, 3>(Scope { protocol: Protocol::Sound, faults, attempts: PLENTY, killer: None });
}

#[test]
fn two_workers_share_two_processes_through_a_drain_and_a_lost_answer() {
    for faults in [
        Faults { crashes: 1, drains: 1, doubts: 1, ..NONE },
        Faults { lapses: 1, drains: 1, doubts: 1, ..NONE },
        Faults { drains: 2, ..NONE },
    ] {
        sound::<2, 2>(Scope { protocol: Protocol::Sound, faults, attempts: PLENTY, killer: None });
    }
}

#[test]
fn only_a_process_whose_worker_was_lost_too_often_is_parked() {
    let faults = Faults { crashes: 2, ..NONE };
    let states = sound::<2, 2>(Scope { protocol: Protocol::Sound, faults, attempts: 1, killer: None });
    let parked = |process: usize| states.iter().filter(move |state| state.rows[process].parked);
    for process in 0..2 {
        assert!(parked(process).next().is_some());
        assert!(parked(process).all(|state| state.rows[process].losses == 2 && state.rows[process].attempts == 2));
    }
}

#[test]
fn a_process_that_cannot_be_loaded_is_given_to_others_and_parked_in_the_end() {
    let faults = Faults { failures: 2, crashes: 1, ..NONE };
    let states = sound::<2, 2>(Scope { protocol: Protocol::Sound, faults, attempts: 2, killer: None });
    let parked = |process: usize| states.iter().filter(move |state| state.rows[process].parked);
    for process in 0..2 {
        assert!(parked(process).any(|state| state.rows[process].failures == 2));
        assert!(parked(process).all(|state| state.rows[process].attempts >= 2));
    }
}

/// The last child kills each worker that runs it, as often as it is let.
#[test]
fn a_process_that_kills_its_workers_is_parked_and_no_other() {
    let scope = Scope { protocol: Protocol::Sound, faults: NONE, attempts: 3, killer: Some(2) };
    let states = sound::<2, 3>(scope);
    assert!(states.iter().any(|state| state.is_settled() && state.rows[2].parked));
    assert!(states.iter().any(|state| state.rows[1].attempts == 2), "it takes others with it");
    for protocol in [Protocol::SuspectsTogether, Protocol::WokenIsAtRest] {
        let found = Search::<2, 3>::run(Scope { protocol, ..scope });
        let found = found.err().unwrap_or_else(|| panic!("{protocol:?} is not found out"));
        assert_eq!(found.property, Property::InnocentGoesOn, "{protocol:?}: {found:?}");
    }
}

#[test]
fn every_mistake_in_the_protocol_is_found() {
    use Property as Broken;
    let lost = Faults { crashes: 2, ..NONE };
    let lapsed = Faults { lapses: 1, ..NONE };
    let drained = Faults { drains: 1, ..NONE };
    let unloadable = Faults { failures: 1, ..NONE };
    let in_doubt = Faults { doubts: 1, ..NONE };
    let mistakes = [
        (Protocol::NoFence, lapsed, Broken::OneOwner),
        (Protocol::FenceWithoutLease, lapsed, Broken::StaleWritesNothing),
        (Protocol::FenceByWorker, lapsed, Broken::StaleWritesNothing),
        (Protocol::EpochKeptInDoubt, in_doubt, Broken::StepCommittedOnce),
        // The worker is refused, and does not know of the children that its commit has created in its name.
        (Protocol::StepCompared, in_doubt, Broken::NothingStuck),
        (Protocol::ClaimForgotten, in_doubt, Broken::NothingStuck),
        (Protocol::ClaimFromLiving, NONE, Broken::OwnedIsNotGiven),
        (Protocol::ClaimOnlyUnowned, lost, Broken::NothingStuck),
        (Protocol::ParentNotClaimed, lost, Broken::NothingStuck),
        (Protocol::ParentNotWoken, NONE, Broken::NothingStuck),
        (Protocol::HandOverInStep, drained, Broken::RunsAgainForLoss),
        (Protocol::HandOverAtWill, NONE, Broken::NothingRound),
        (Protocol::HandOverIsLoss, drained, Broken::AttemptIsLoss),
        (Protocol::FailureKept, unloadable, Broken::NothingStuck),
        (Protocol::AttemptsKept, lost, Broken::AttemptIsLoss),
        (Protocol::RequestTakenFirst, lost, Broken::NothingStuck),
        (Protocol::AcknowledgedFirst, lost, Broken::NothingStuck),
        (Protocol::MarkedFirst, lost, Broken::NothingStuck),
        (Protocol::TakenFromLiving, NONE, Broken::OneSender),
        (Protocol::NotTakenOver, lost, Broken::NothingStuck),
        (Protocol::SentBeforeCommit, NONE, Broken::ReceivedIsStored),
        (Protocol::NotDeduplicated, NONE, Broken::ReceivedOnce),
    ];
    for (protocol, faults, broken) in mistakes {
        let found = Search::<2, 2>::run(Scope { protocol, faults, attempts: PLENTY, killer: None });
        let found = found.err().unwrap_or_else(|| panic!("{protocol:?} is not found out"));
        assert_eq!(found.property, broken, "{protocol:?}: {found:?}");
    }
}
