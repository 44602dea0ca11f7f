//! The account itself: what would be a fault of the library is done on purpose, and must be found.

use procession::communicator::{
    Answer, Answered, Communicator, Deadlines, Incoming, LocalCommunicator, TaskSubscriber,
};
use procession::controller::RemoteProcessController;
use procession::launcher::ProcessLauncher;
use procession::message::{Broadcast, Node};
use procession::process::BoxFuture;
use procession::store::{MemoryStore, Store};
use procession::{ProcessId, Runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::account::{Account, Balance};
use super::load::{Callers, Load, Way, Work};
use crate::interop::worker;
use crate::support::Random;

/// What is done wrong, to the third task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    Nothing,
    /// It is acknowledged, and nothing is done.
    Swallowed,
    /// It is done twice.
    Repeated,
    /// Its sender gets an answer, and nothing is done.
    Invented,
}

/// Stands before a launcher.
struct Saboteur {
    launcher: Arc<ProcessLauncher>,
    sabotage: Sabotage,
    tasks: AtomicU64,
}

impl TaskSubscriber for Saboteur {
    fn receive(&self, task: Incoming) -> BoxFuture<'static, Answered> {
        let third = self.tasks.fetch_add(1, Ordering::Relaxed) == 2;
        let sabotage = if third { self.sabotage } else { Sabotage::Nothing };
        let launcher = Arc::clone(&self.launcher);
        Box::pin(async move {
            match sabotage {
                Sabotage::Nothing => launcher.receive(task).await,
                Sabotage::Swallowed => Ok(Answer::Owed(Box::pin(std::future::pending()))),
                Sabotage::Repeated => {
                    let mut again = task.clone();
                    (again.id, again.reply_to) = (format!("{} again", task.id), None);
                    launcher.receive(again).await?;
                    launcher.receive(task).await
                }
                Sabotage::Invented => Ok(Answer::Value(Node::mapping([("sum", Node::Integer(4))]))),
            }
        })
    }
}

/// What 10 processes come to.
async fn balance(sabotage: Sabotage, way: Way) -> (Balance, Arc<Account>, Arc<dyn Store>) {
    let communicator = Arc::new(LocalCommunicator::new());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let builder = Runtime::builder().shared_store(Arc::clone(&store)).communicator(communicator.clone());
    let builder = builder.register::<worker::AddProcess>().register::<worker::WaitChain>();
    let runtime = builder.register::<worker::WaitForever>().build().await.unwrap();
    let launcher = Arc::new(ProcessLauncher::new(&runtime, communicator.clone()));
    let saboteur = Saboteur { launcher, sabotage, tasks: AtomicU64::new(0) };
    communicator.add_task_subscriber(Arc::new(saboteur), None).await.unwrap();
    let account = Arc::new(Account::default());
    account.listen(&*communicator).await;
    let deadlines = Deadlines { send: Duration::from_secs(5), reply: Duration::from_secs(2) };
    let controller = RemoteProcessController::new(communicator.clone()).with_task_deadlines(deadlines);
    let callers = Callers::new(controller, Arc::clone(&account));
    for _ in 0..4 {
        callers.run(Work::Add, way).await;
    }
    if sabotage == Sabotage::Nothing {
        callers.run(Work::Chain { rounds: 3, delay: 0.01 }, way).await;
        callers.run(Work::Forever { after: Duration::from_millis(50) }, way).await;
    }
    runtime.shutdown().await.unwrap();
    communicator.close().await.unwrap();
    (account.balance(&*store).await, account, store)
}

fn counts(balance: &Balance) -> [usize; 4] {
    let Balance { lost, doubled, wrong, unanswered, .. } = balance;
    [lost, doubled, wrong, unanswered].map(Vec::len)
}

#[tokio::test]
async fn the_account_is_even_where_nothing_is_wrong() {
    for way in [Way::Launch, Way::Execute, Way::Nowait] {
        let (balance, ..) = balance(Sabotage::Nothing, way).await;
        assert!(balance.is_even() && (balance.jobs, balance.processes) == (6, 6), "{way:?}: {balance}");
    }
}

#[tokio::test]
async fn the_account_finds_a_task_that_is_swallowed() {
    let (balance, ..) = balance(Sabotage::Swallowed, Way::Launch).await;
    assert_eq!(counts(&balance), [1, 0, 0, 1], "{balance}");
}

#[tokio::test]
async fn the_account_finds_a_process_that_nobody_asked_for() {
    let (balance, ..) = balance(Sabotage::Repeated, Way::Nowait).await;
    assert_eq!((counts(&balance), balance.processes), ([0, 1, 0, 0], 5), "{balance}");
}

#[tokio::test]
async fn the_account_finds_an_answer_without_a_process() {
    let (balance, ..) = balance(Sabotage::Invented, Way::Launch).await;
    assert_eq!(counts(&balance), [1, 0, 0, 0], "{balance}");
}

#[tokio::test]
async fn the_account_finds_a_process_that_is_gone_and_ends_that_are_told_twice() {
    let (_, account, store) = balance(Sabotage::Nothing, Way::Launch).await;
    let records = store.list(Vec::new(), None, 10).await.unwrap().records;
    let epoch = store.acquire().await.unwrap();
    store.delete(epoch, &records[1].pid).await.unwrap();

    let communicator = LocalCommunicator::new();
    account.listen(&communicator).await;
    let pid: ProcessId = records[2].pid.clone();
    let again = Broadcast::new(Node::Null).subject("state_changed.running.finished").sender(&pid);
    communicator.broadcast_send(again).await.unwrap();
    crate::support::eventually(|| async { !account.balance(&*store).await.doubled.is_empty() }).await;
    let balance = account.balance(&*store).await;
    assert_eq!(counts(&balance), [1, 1, 0, 0], "{balance}");
}

#[tokio::test]
async fn a_load_keeps_processes_in_flight_until_it_lands() {
    let (communicator, account) = (Arc::new(LocalCommunicator::new()), Arc::new(Account::default()));
    let store = Arc::new(MemoryStore::new());
    let builder = Runtime::builder().shared_store(store.clone()).communicator(communicator.clone());
    let builder = builder.register::<worker::AddProcess>().register::<worker::WaitChain>();
    let runtime = builder.register::<worker::WaitForever>().build().await.unwrap();
    let serving = procession::launcher::Worker::new(runtime).start().await.unwrap();
    let callers = Callers::new(RemoteProcessController::new(communicator), Arc::clone(&account));
    let load = Load::start(&callers, 10, Random::new(1), |random| match random.below(3) {
        0 => Work::Forever { after: Duration::from_millis(50) },
        _ => Work::Chain { rounds: 3, delay: 0.02 },
    });
    crate::support::eventually(|| async { account.in_flight() >= 8 }).await;
    load.land().await;
    serving.stop().await.unwrap();
    let balance = account.balance(&*store).await;
    assert!(balance.is_even() && balance.jobs >= 10, "{balance}");
}
