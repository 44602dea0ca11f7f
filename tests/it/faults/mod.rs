//! Faults under load: the broker, the network and the worker fail at random instants while 200 processes are in flight.
//!
//! Whatever fails, no process is lost, none ends twice, and every caller has the right answer in the end. `cargo xtask
//! faults` runs more of them.

mod account;
mod fault;
mod load;
mod report;
mod sabotage;
mod scene;

use procession::communicator::Deadlines;
use procession::controller::RemoteProcessController;
use procession::store::SqliteStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

use crate::support::{Random, eventually};
use account::Account;
use fault::Fault;
use load::{Callers, Lighthouse, Load, any_work, resumed};
use report::{Numbers, Report, say};
use scene::Scene;

/// How long it may take at most until all goes on after a fault; 10 s is the aim.
const RESUME: Duration = Duration::from_secs(60);
/// How long a caller waits for the reply to a call, which may be lost with the worker's connection, before he calls again.
const CALLS: Deadlines = Deadlines { send: Duration::from_secs(30), reply: Duration::from_secs(10) };
/// How long for the reply to a task: it comes, or fails. Who is still without one then is without an answer.
const TASKS: Deadlines = Deadlines { send: Duration::from_secs(60), reply: Duration::from_secs(100) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn no_process_is_lost_and_none_ends_twice_whatever_fails() {
    let numbers = Numbers::from_environment();
    say(&format!("faults: {numbers:?}"));
    let mut random = Random::new(numbers.seed);
    let mut scene = Scene::new().await;
    let communicator = scene.communicator().await;
    let account = Arc::new(Account::default());
    account.listen(&*communicator).await;
    let controller = RemoteProcessController::new(communicator).with_call_deadlines(CALLS);
    let callers = Callers::new(controller.with_task_deadlines(TASKS), Arc::clone(&account));

    // It shines until the end: whoever can ask for its status reaches the worker.
    let lighthouse = Lighthouse::light(&callers).await;
    let load = Load::start(&callers, numbers.processes, random.fork(), any_work);
    eventually(|| async { account.in_flight() as u64 >= u64::from(numbers.processes) }).await;
    let mut report = Report::default();
    for (place, fault) in Fault::plan(numbers.count, &mut random).into_iter().enumerate() {
        sleep(Duration::from_millis(random.below(2_000))).await;
        let flying = account.in_flight();
        let what = fault.strike(&mut scene, &mut random).await;
        let resumed = resumed(&callers, &lighthouse, RESUME).await;
        report.add(&format!("{} of {}", place + 1, numbers.count), fault, &what, flying, resumed);
    }
    load.land().await;
    lighthouse.put_out(&callers).await;
    scene.stop_worker().await;
    let balance = account.balance(&SqliteStore::open(scene.store()).expect("the store opens")).await;
    say(&format!("{report}faults: callers met {:?}\nfaults: {balance}", callers.met()));
    assert!(balance.is_even(), "{balance}");
}
