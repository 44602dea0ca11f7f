//! Which sequences there are: what is known while one is made up, and what may come next.

use std::collections::BTreeMap;
use std::ops::Range;

use procession::ProcessState;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use super::call::{Call, Change, KEYS, Name, New, PROCESSES, Placed, QUEUES, REPLIES, TAGS, Wake};

/// What has been named so far. It only leads to calls that mean something: what each of them gives is said by the store in
/// memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    epochs: usize,
    requests: usize,
    /// Processes that were created, and the epoch that created, changed or claimed each last.
    writers: BTreeMap<Name, usize>,
}

/// Sequences for a store that workers share, or for one that has one owner.
pub(super) struct Sequences<const SHARED: bool>;

impl<const SHARED: bool> ReferenceStateMachine for Sequences<SHARED> {
    type State = Plan;
    type Transition = Call;

    fn init_state() -> BoxedStrategy<Plan> {
        Just(Plan::default()).boxed()
    }

    fn transitions(plan: &Plan) -> BoxedStrategy<Call> {
        if plan.epochs == 0 {
            let first = Just(Call::Acquire).boxed();
            return if SHARED { prop_oneof![1 => first, 4 => join()].boxed() } else { first };
        }
        let of_processes = of_a_process(plan, SHARED);
        if plan.writers.is_empty() {
            return create(plan.epochs - 1, process(), SHARED);
        }
        let all = prop_oneof![30 => of_processes, 4 => of_many(plan), 2 => of_owners()];
        if SHARED { prop_oneof![3 => all, 1 => of_workers(plan)].boxed() } else { all.boxed() }
    }

    fn preconditions(plan: &Plan, call: &Call) -> bool {
        call.epoch().is_none_or(|epoch| epoch < plan.epochs)
            && call.requests().iter().all(|request| *request < plan.requests)
    }

    fn apply(mut plan: Plan, call: &Call) -> Plan {
        match call {
            Call::Acquire | Call::Join { .. } => plan.epochs += 1,
            Call::Request { .. } => plan.requests += 1,
            Call::Create { epoch, process, .. } | Call::Restore { epoch, process, .. } => {
                plan.writers.insert(*process, *epoch);
            }
            Call::Commit { epoch, process, with, .. } => {
                plan.writers.insert(*process, *epoch);
                for change in with {
                    if let Change::Child { process, .. } = change {
                        plan.writers.insert(*process, *epoch);
                    }
                }
            }
            // Who claims has most of them, as likely as not.
            Call::Claim { epoch, .. } => plan.writers.values_mut().for_each(|writer| *writer = *epoch),
            _ => {}
        }
        plan
    }
}

fn join() -> BoxedStrategy<Call> {
    prop_oneof![3 => Just(1), 1 => Just(2)].prop_map(|queues| Call::Join { queues }).boxed()
}

fn process() -> BoxedStrategy<Name> {
    (0..PROCESSES.len()).boxed()
}

/// An epoch, most often a late one.
fn epoch(plan: &Plan) -> BoxedStrategy<usize> {
    let last = plan.epochs - 1;
    prop_oneof![6 => Just(last), 2 => Just(last.saturating_sub(1)), 1 => 0..plan.epochs].boxed()
}

fn of_owners() -> BoxedStrategy<Call> {
    Just(Call::Acquire).boxed()
}

fn of_workers(plan: &Plan) -> BoxedStrategy<Call> {
    let claim = (epoch(plan), 1..5_usize, 1..3_u32);
    let hand_over = (epoch(plan), vec(process(), 0..4));
    prop_oneof![
        3 => join(),
        1 => (epoch(plan), 0..9_u32).prop_map(|(epoch, slots_used)| Call::Renew { epoch, slots_used }),
        5 => claim.prop_map(|(epoch, most, attempts)| Call::Claim { epoch, most, attempts }),
        2 => hand_over.prop_map(|(epoch, processes)| Call::HandOver { epoch, processes }),
        3 => epoch(plan).prop_map(|epoch| Call::Lapse { epoch }),
    ]
    .boxed()
}

fn of_many(plan: &Plan) -> BoxedStrategy<Call> {
    let look = (1..4_usize).prop_map(|most| Call::Look { most });
    let release = epoch(plan).prop_map(|epoch| Call::Release { epoch });
    if plan.requests == 0 {
        return prop_oneof![look, release].boxed();
    }
    let requests = vec(0..plan.requests, 1..3);
    let discard = (epoch(plan), requests).prop_map(|(epoch, requests)| Call::Discard { epoch, requests });
    prop_oneof![look, release, discard].boxed()
}

/// Of a process that is known, as a rule, under the epoch that has it, as a rule.
fn of_a_process(plan: &Plan, shared: bool) -> BoxedStrategy<Call> {
    let known: Vec<(Name, usize)> = plan.writers.iter().map(|(process, writer)| (*process, *writer)).collect();
    let any = (process(), epoch(plan)).boxed();
    let aimed = if known.is_empty() {
        any.clone()
    } else {
        let other = (select(known.clone()), epoch(plan)).prop_map(|((process, _), epoch)| (process, epoch));
        prop_oneof![12 => select(known), 3 => other, 1 => any].boxed()
    };
    let requests = plan.requests;
    let (create_in, commit) = (epoch(plan), aimed.clone());
    prop_oneof![
        4 => create_in.prop_flat_map(move |epoch| create(epoch, process(), shared)),
        10 => commit.prop_flat_map(move |(process, epoch)| boundary(epoch, process, requests, shared)),
        7 => aimed.prop_flat_map(|(process, epoch)| plain(process, epoch)),
    ]
    .boxed()
}

fn plain(process: Name, epoch: usize) -> BoxedStrategy<Call> {
    let tag = || 0..TAGS.len();
    let reply = || 0..REPLIES.len();
    prop_oneof![
        2 => Just(Call::Park { epoch, process }),
        2 => (0..2_usize).prop_map(move |name| Call::PutMemo { epoch, process, name }),
        4 => any::<bool>().prop_map(move |kill| Call::Request { process, kill }),
        2 => reply().prop_map(move |reply| Call::Owe { epoch, process, reply }),
        1 => reply().prop_map(move |reply| Call::Settle { epoch, process, reply }),
        4 => tag().prop_map(move |tag| Call::Save { epoch, process, tag }),
        4 => tag().prop_map(move |tag| Call::Restore { epoch, process, tag }),
        1 => tag().prop_map(move |tag| Call::DeleteSnapshot { epoch, process, tag }),
        1 => Just(Call::DeleteSnapshots { epoch, process }),
        2 => Just(Call::Delete { epoch, process }),
    ]
    .boxed()
}

fn some(bits: Range<usize>, of: BoxedStrategy<New>) -> BoxedStrategy<Vec<New>> {
    vec(of, bits).boxed()
}

fn placed() -> BoxedStrategy<Placed> {
    let unowned = prop::bool::weighted(0.6);
    let all = (0..QUEUES.len(), -1..2_i32, unowned);
    all.prop_map(|(queue, priority, unowned)| Placed { queue, priority, unowned }).boxed()
}

fn create(epoch: usize, process: BoxedStrategy<Name>, shared: bool) -> BoxedStrategy<Call> {
    let parent = (0..PROCESSES.len(), any::<bool>(), any::<bool>());
    let new = prop_oneof![
        3 => (0..KEYS.len()).prop_map(New::Key),
        3 => parent.prop_map(|(parent, awaited, follows)| New::ChildOf { parent, awaited, follows }),
        2 => Just(New::Begun),
        1 => (0..REPLIES.len()).prop_map(New::Owes),
        1 => Just(New::Listeners),
        1 => Just(New::Defaulted),
    ];
    let new = if shared { prop_oneof![2 => new, 1 => placed().prop_map(New::Placed)].boxed() } else { new.boxed() };
    let all = (process, some(0..3, new));
    all.prop_map(move |(process, with)| Call::Create { epoch, process, with }).boxed()
}

fn boundary(epoch: usize, process: Name, requests: usize, shared: bool) -> BoxedStrategy<Call> {
    use ProcessState::{Created, Excepted, Finished, Killed, Running, Waiting};
    let to = prop_oneof![
        6 => Just(Running), 6 => Just(Waiting), 3 => Just(Finished), 1 => Just(Excepted), 1 => Just(Killed),
        1 => Just(Created),
    ];
    let all = (to, vec(change(requests, shared), 0..4));
    all.prop_map(move |(to, with)| Call::Commit { epoch, process, to, with }).boxed()
}

fn change(requests: usize, shared: bool) -> BoxedStrategy<Change> {
    let wake = prop_oneof![4 => Just(None), 1 => Just(Some(Wake::LongAgo)), 1 => Just(Some(Wake::InAges))];
    let awaiting = (vec(process(), 0..3), wake, prop::bool::weighted(0.2));
    let placement = if shared { vec(placed().prop_map(New::Placed), 0..2).boxed() } else { Just(vec![]).boxed() };
    let key = vec((0..KEYS.len()).prop_map(New::Key), 0..2);
    let with = (placement, key).prop_map(|(placement, key)| [placement, key].concat());
    let child = (process(), prop::bool::weighted(0.7), any::<bool>(), with);
    let texts = [Change::Envelope, Change::Position, Change::Context, Change::Outputs];
    let request =
        if requests == 0 { Just(Change::Transition).boxed() } else { (0..requests).prop_map(Change::Apply).boxed() };
    prop_oneof![
        1 => Just(Change::Paused),
        2 => Just(Change::Transition),
        3 => select(texts.to_vec()),
        1 => any::<bool>().prop_map(|covered| Change::Status { covered }),
        1 => any::<bool>().prop_map(|some| Change::Listeners { some }),
        5 => awaiting.prop_map(|(children, wake, resume)| Change::Await { children, wake, resume }),
        5 => child.prop_map(|(process, awaited, follows, with)| Change::Child { process, awaited, follows, with }),
        2 => (1..5_usize).prop_map(Change::Report),
        3 => request,
        1 => Just(Change::ForgetMemos),
        1 => Just(Change::WrongEnd),
    ]
    .boxed()
}
