//! Random sequences of calls, on each store and on the one in memory: each call gives the same, and at the end all that can
//! be seen is the same.
//!
//! The sequences are the same in every run, unless `PROCESSION_SEED` says otherwise; `PROCESSION_SEQUENCES` is how many. One that
//! fails is made as short as it can be, and printed.
//!
//! Not called are `work`, which waits, and what stores have answers of their own to: damaged rows, limits.

mod call;
mod place;
mod plan;
mod side;
mod sight;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use procession::clock::{ManualClock, Timestamp};
use procession::store::MemoryStore;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use call::Call;
use place::Place;
use plan::Sequences;
use side::Side;
use sight::Seen;

/// How many there are for each store.
const SEQUENCES: u32 = 1_000;
/// How long one is at most.
const CALLS: usize = 24;
/// How many transitions and lines of report each store keeps.
const KEPT: u64 = 3;
/// How long leases are in the reference, whose clock stands still; lapsed workers are not forgotten.
const LEASE: Duration = Duration::from_secs(1);

/// The store in memory, with time that only a lapse moves.
struct Reference {
    side: Side,
    clock: Arc<ManualClock>,
}

impl Reference {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let store = MemoryStore::with_retention(KEPT, KEPT).with_clock(clock.clone());
        Self { side: Side::new(vec![Arc::new(store)], LEASE), clock }
    }

    /// The lease of one worker lapses: time goes by in which all others renew theirs.
    async fn lapse(&self, epoch: usize) {
        let (store, lapsed) = (self.side.read(), self.side.epochs[epoch]);
        for _ in 0..2 {
            for row in store.workers().await.unwrap() {
                if row.alive && row.epoch != lapsed {
                    store.renew(row.epoch, row.slots_used).await.unwrap();
                }
            }
            self.clock.advance(LEASE / 2 + Duration::from_millis(1));
        }
    }
}

async fn play(place: &mut dyn Place, calls: &[Call], seen: Option<&AtomicUsize>) -> Result<(), TestCaseError> {
    let mut reference = Reference::new();
    let mut tested = place.empty().await;
    for (number, call) in calls.iter().enumerate() {
        if let Some(seen) = seen {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        let (expected, given) = (reference.side.call(call).await, tested.call(call).await);
        if expected != given {
            let fault = format!("call {number}, {call:?}:\n  in memory {expected:?}\n  here      {given:?}");
            return Err(TestCaseError::fail(fault));
        }
        match call {
            Call::Lapse { epoch } => {
                reference.lapse(*epoch).await;
                place.lapse(tested.epochs[*epoch]).await;
            }
            Call::Look { most } => {
                let shared = place.is_shared();
                compare(&reference.side.listings(*most, shared).await, &tested.listings(*most, shared).await)?;
            }
            _ => {}
        }
    }
    let shared = place.is_shared();
    compare(&reference.side.sight(shared).await, &tested.sight(shared).await)
}

fn compare(expected: &[Seen], given: &[Seen]) -> Result<(), TestCaseError> {
    for ((question, expected), (_, given)) in expected.iter().zip(given) {
        if expected != given {
            let fault = format!("{question}:\n  in memory {expected}\n  here      {given}");
            return Err(TestCaseError::fail(fault));
        }
    }
    Ok(())
}

fn agrees<const SHARED: bool>(place: impl Place) {
    let cases = std::env::var("PROCESSION_SEQUENCES").map_or(SEQUENCES, |number| number.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let seed = std::env::var("PROCESSION_SEED").map_or(0, |number| number.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let scheduler = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = RefCell::new(place);
    let result = runner.run(&Sequences::<SHARED>::sequential_strategy(1..=CALLS), |(_, calls, seen)| {
        scheduler.block_on(play(&mut *place.borrow_mut(), &calls, seen.as_deref()))
    });
    if let Err(proptest::test_runner::TestError::Fail(reason, (_, calls, _))) = &result {
        let calls: Vec<_> = calls.iter().enumerate().map(|(number, call)| format!("{number}: {call:?}")).collect();
        panic!("{reason}\nin\n{}", calls.join("\n"));
    }
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

#[test]
fn a_thousand_sequences_in_files_are_as_in_memory() {
    agrees::<false>(place::Files::default());
}

#[cfg(feature = "sqlite")]
#[test]
fn a_thousand_sequences_in_sqlite_are_as_in_memory() {
    agrees::<false>(place::Sqlite::default());
}

#[cfg(all(unix, feature = "postgres"))]
#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_thousand_sequences_in_postgres_are_as_in_memory() {
    agrees::<true>(place::Server::default());
}
