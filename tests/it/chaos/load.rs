//! A steady load of ledgers, launched from outside of the workers.

use procession::{ProcessId, Runtime, WorkerOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

use super::scene::{LEASE, Scene};
use crate::points::ledger::{Effects, Ledger, hash};
use crate::support::Random;

/// How long the last of them may take to end.
const LANDING: Duration = Duration::from_secs(120);

/// What was launched, and what it must come to.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) steps: u64,
    pub(crate) children: u64,
    seed: u64,
    takes: u64,
    waits: u64,
    /// Who was launched, and what its end said to who waited for it.
    pub(crate) pid: Option<ProcessId>,
    pub(crate) told: Vec<u64>,
}

/// The last hash of a ledger's chain, worked out without running it.
pub(crate) fn chain(name: &str, steps: u64, children: u64, seed: u64) -> u64 {
    let start = name.bytes().fold(hash(0, seed), |chain, byte| hash(chain, byte.into()));
    let booked = (1..steps).fold(start, hash);
    let joined = (0..children).fold(booked, |sum, index| hash(sum, chain(&format!("{name}/{index}"), steps, 0, seed)));
    hash(joined, steps)
}

impl Order {
    /// Some are quick, some take long, some wait, some have children.
    fn any(index: usize, random: &mut Random) -> Self {
        let children = random.below(6).saturating_sub(2);
        Self {
            name: format!("ledger-{index}"),
            steps: 4 + random.below(28),
            children,
            seed: random.below(1_000),
            takes: [0, 5, 20, 60][random.index(4)],
            waits: [0, 0, 50, 300][random.index(4)],
            pid: None,
            told: Vec::new(),
        }
    }

    /// One that waits most of its time.
    pub(crate) fn waiting(index: usize, steps: u64, waits: u64) -> Self {
        Self { steps, waits, takes: 0, children: 0, ..Self::any(index, &mut Random::new(1)) }
    }

    pub(crate) fn chain(&self) -> u64 {
        chain(&self.name, self.steps, self.children, self.seed)
    }

    pub(crate) fn chain_of_child(&self, index: u64) -> u64 {
        chain(&format!("{}/{index}", self.name), self.steps, 0, self.seed)
    }
}

/// Everything that was ordered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Vec<Order>>>);

impl Book {
    pub(crate) fn orders(&self) -> Vec<Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Order>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.with(|orders| orders.iter().filter(|order| order.told.is_empty()).count())
    }
}

/// A client: it launches, and waits for ends, and runs nothing itself.
pub(crate) struct Client {
    runtime: Runtime,
    pub(crate) book: Book,
    stop: Arc<AtomicBool>,
    loading: Option<JoinHandle<JoinSet<()>>>,
}

impl Client {
    pub(crate) async fn new(scene: &Scene) -> Self {
        let effects = Effects::open(Path::new("/dev/null")).expect("it is there");
        let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
        let runtime = Runtime::builder().shared_store(scene.store().await).worker(nothing).resource(effects);
        let runtime = runtime.register_as::<Ledger>("ledger::Ledger").build().await.expect("it joins");
        Self { runtime, book: Book::default(), stop: Arc::default(), loading: None }
    }

    /// Keeps this many in flight until [`Self::land`].
    pub(crate) fn load(&mut self, most: usize, mut random: Random) {
        let (runtime, book, stop) = (self.runtime.clone(), self.book.clone(), Arc::clone(&self.stop));
        self.loading = Some(tokio::spawn(async move {
            let mut waiting = JoinSet::new();
            while !stop.load(Ordering::Relaxed) {
                if book.in_flight() < most {
                    let index = book.with(|orders| orders.len());
                    let order = Order::any(index, &mut random);
                    book.with(|orders| orders.push(order.clone()));
                    waiting.spawn(follow(runtime.clone(), book.clone(), index, order));
                } else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            waiting
        }));
    }

    /// Orders these at once.
    pub(crate) fn order(&mut self, orders: impl IntoIterator<Item = Order>) {
        let mut waiting = JoinSet::new();
        for order in orders {
            let index = self.book.with(|orders| {
                orders.push(order.clone());
                orders.len() - 1
            });
            waiting.spawn(follow(self.runtime.clone(), self.book.clone(), index, order));
        }
        self.loading = Some(tokio::spawn(async move { waiting }));
    }

    /// Launches nothing more, and waits until all has ended, and all who wait are told; those that are not are missing in the book.
    pub(crate) async fn land(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(loading) = self.loading.take() else { return };
        let mut waiting = loading.await.expect("no panic");
        let all = async { while waiting.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LANDING, all).await;
    }

    pub(crate) async fn leave(self) {
        self.runtime.shutdown().await.expect("the server is there");
    }
}

/// Launches one, however often that takes, and waits for its end.
async fn follow(runtime: Runtime, book: Book, index: usize, order: Order) {
    loop {
        let inputs = Ledger::inputs().name(&order.name).steps(order.steps).children(order.children);
        let inputs = inputs.seed(order.seed).takes(order.takes).waits(order.waits);
        // Nobody knows whether one that failed is there: the key does.
        if let Ok(run) = runtime.launch(inputs).key(&order.name).anywhere().await {
            book.with(|orders| orders[index].pid = Some(run.pid().clone()));
            if let Ok(end) = run.termination().await {
                let chain = end.outputs.get("chain").and_then(serde_json::Value::as_u64).unwrap_or_default();
                return book.with(|orders| orders[index].told.push(chain));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
