//! What is asked of a process, in every state and in every order, against a small model of the rules.

mod reference;
mod stage;

use procession::ProcessState;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use reference::{Ask, Event, Way};
use stage::{Place, Stage};

/// A state in words, and how a process that was created while another had the slot gets there.
fn situations() -> Vec<(String, Vec<Event>)> {
    use Event::{FreeSlot, Step, TakeSlot};
    const PAUSE: Event = Event::Ask(Ask::Pause { text: false });
    let started = |more: &[Event]| [&[FreeSlot], more].concat();
    let mut situations = vec![("created".to_owned(), vec![]), ("created, paused".to_owned(), vec![PAUSE])];
    let in_step = [started(&[]), started(&[Step(Way::WaitForTimer), Event::Timer])];
    situations.extend(in_step.map(|events| ("in a step".to_owned(), events)));
    situations.push(("between steps, paused".to_owned(), started(&[PAUSE, Step(Way::Go)])));
    // Paused while the other takes the slot, then played: it waits for the slot.
    let waits_for_slot = [PAUSE, Step(Way::Go), TakeSlot, Event::Ask(Ask::Play)];
    situations.push(("between steps".to_owned(), started(&waits_for_slot)));
    for way in [Way::WaitForResume, Way::WaitForTimer, Way::WaitForChild] {
        situations.push((format!("{way:?}"), started(&[Step(way)])));
        situations.push((format!("{way:?}, paused"), started(&[Step(way), PAUSE])));
    }
    for way in [Way::Finish, Way::Exit, Way::Fail, Way::KillItself] {
        situations.push((format!("after {way:?}"), started(&[Step(way)])));
    }
    situations.push(("killed, paused".to_owned(), vec![PAUSE, Event::Ask(Ask::Kill)]));
    situations
}

/// Up to three requests, in every order.
fn asks() -> Vec<Vec<Ask>> {
    let more = |all: &[Vec<Ask>]| -> Vec<Vec<Ask>> {
        all.iter().flat_map(|asks| Ask::ALL.map(|ask| [&asks[..], &[ask]].concat())).collect()
    };
    let one = more(&[vec![]]);
    let two = more(&one);
    let three = more(&two);
    [one, two, three].concat()
}

/// What happens after the requests, so that those that wait for it are answered, in a way that the number picks.
fn afterwards(number: usize) -> Vec<Event> {
    const WAYS: [Way; 6] = [Way::Go, Way::Finish, Way::Fail, Way::WaitForResume, Way::KillItself, Way::WaitForTimer];
    let way = WAYS[number % WAYS.len()];
    vec![
        Event::Step(way),
        Event::FreeSlot,
        Event::Child { killed: number.is_multiple_of(2) },
        Event::Timer,
        Event::Step(way),
    ]
}

thread_local! {
    static SCHEDULER: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
}

/// On one thread, where nothing happens but what the sequence makes happen.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    SCHEDULER.with(|scheduler| scheduler.block_on(future))
}

/// Plays sequences, one process each, in a runtime that lasts until one fails.
struct Player {
    place: Place,
    stage: Option<Stage>,
}

impl Player {
    fn new(place: Place) -> Self {
        Self { place, stage: None }
    }

    fn play(&mut self, events: &[(Event, bool)]) {
        let stage = self.stage.take();
        self.stage = Some(block_on(async {
            let mut stage = match stage {
                Some(stage) => stage,
                None => Stage::new(self.place).await,
            };
            stage.play(events).await;
            stage.end().await;
            stage
        }));
    }

    fn end(self) {
        block_on(self.stage.expect("something was played").close());
    }
}

fn every_triple(place: Place) {
    let mut player = Player::new(place);
    for (situation, before) in situations() {
        for (number, asks) in asks().into_iter().enumerate() {
            let asks = asks.into_iter().map(Event::Ask);
            let events: Vec<_> = before.iter().copied().chain(asks).chain(afterwards(number)).collect();
            // One by one, then at once (S53 without its quirk).
            for at_once in [false, true] {
                let events: Vec<_> = events
                    .iter()
                    .enumerate()
                    .map(|(place, event)| (*event, at_once && place >= before.len()))
                    .collect();
                let result = catch_unwind(AssertUnwindSafe(|| player.play(&events)));
                assert!(result.is_ok(), "{place:?}, {situation}: {events:?}");
            }
        }
    }
    player.end();
}

#[test]
fn every_triple_of_requests_in_every_state_without_a_store() {
    every_triple(Place::Quiet);
    every_triple(Place::Watched);
}

#[test]
fn every_triple_of_requests_in_every_state_with_a_store() {
    every_triple(Place::Stored);
}

#[test]
fn the_situations_are_what_they_are_called() {
    for place in Place::ALL {
        for (situation, events) in situations() {
            let events: Vec<_> = events.into_iter().map(|event| (event, false)).collect();
            let model = block_on(async {
                let mut stage = Stage::new(place).await;
                stage.play(&events).await;
                stage.model
            });
            let expected = match situation.split(',').next().unwrap() {
                "created" => ProcessState::Created,
                "in a step" | "between steps" => ProcessState::Running,
                "after Finish" | "after Exit" => ProcessState::Finished,
                "after Fail" => ProcessState::Excepted,
                "after KillItself" | "killed" => ProcessState::Killed,
                _ => ProcessState::Waiting,
            };
            assert_eq!((model.state, model.paused), (expected, situation.ends_with("paused")), "{situation}");
            assert_eq!(model.stepping, situation == "in a step");
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let asks = prop_oneof![
        3 => any::<bool>().prop_map(|text| Ask::Pause { text }),
        3 => Just(Ask::Play),
        1 => Just(Ask::Kill),
        2 => Just(Ask::Resume),
    ];
    let ends = prop_oneof![Just(Ask::KillForce), Just(Ask::Fail)];
    let ways = prop_oneof![
        4 => Just(Way::Go),
        2 => Just(Way::WaitForResume),
        2 => Just(Way::WaitForTimer),
        2 => Just(Way::WaitForChild),
    ];
    let last = prop_oneof![Just(Way::Finish), Just(Way::Exit), Just(Way::Fail), Just(Way::KillItself)];
    prop_oneof![
        16 => asks.prop_map(Event::Ask),
        1 => ends.prop_map(Event::Ask),
        12 => ways.prop_map(Event::Step),
        1 => last.prop_map(Event::Step),
        3 => Just(Event::Timer),
        3 => Just(Event::Child { killed: false }),
        1 => Just(Event::Child { killed: true }),
        2 => Just(Event::TakeSlot),
        5 => Just(Event::FreeSlot),
    ]
}

/// The same sequences in every run: what fails for one fails for all.
fn random(cases: u32, place: Place) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let sequences = proptest::collection::vec((event(), any::<bool>()), 1..24);
    let player = RefCell::new(Player::new(place));
    let result = runner.run(&sequences, |events| {
        player.borrow_mut().play(&events);
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
    player.into_inner().end();
}

#[test]
fn ten_thousand_random_sequences_without_a_store() {
    random(5_000, Place::Quiet);
    random(5_000, Place::Watched);
}

#[test]
fn two_thousand_random_sequences_with_a_store() {
    random(2_000, Place::Stored);
}
