//! The process of W4, W5, W7 and resume: some steps, then a wait or a gate, then its end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use procession::RuntimeBuilder;
use procession::listener::Listener;
use procession::prelude::*;
use procession::process::Transition;
use procession::spec::Launch;

use crate::w2::text;

/// Takes `steps` steps over a context of about `bytes`, then waits if it is told to, then passes the gate.
#[process(needs(Arc<Gate>))]
#[derive(Default)]
pub(crate) struct Small {
    n: u64,
    text: String,
}

spec! { Small {
    input steps: u64 = 1;
    input bytes: usize = 0;
    input rests: bool = false;
    output n: u64;
}}

outline! { Small {
    while_(more) { work }
    if_(rests) { rest }
    gate => n;
}}

impl Small {
    fn more(&self, cx: &Cx<Self>) -> bool {
        self.n < cx.inputs().steps
    }

    fn rests(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().rests
    }

    fn work(&mut self, cx: &mut Cx<Self>) {
        self.n += 1;
        if self.text.is_empty() {
            text(&mut self.text, self.n, cx.inputs().bytes);
        }
    }

    fn rest(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for an answer")
    }

    async fn gate(&mut self, cx: &mut Cx<Self>) -> u64 {
        let gate = cx.resource::<Arc<Gate>>();
        gate.reached.fetch_add(1, Ordering::Release);
        gate.arrived.notify_one();
        if gate.closed.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        self.n
    }
}

/// Where a process says that it is there; a closed one keeps it.
#[derive(Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    reached: AtomicUsize,
    arrived: tokio::sync::Notify,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self { closed: AtomicBool::new(true), ..Self::default() })
    }

    pub(crate) fn open() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until this many have come.
    pub(crate) async fn reached(&self, count: usize) {
        while self.reached.load(Ordering::Acquire) < count {
            self.arrived.notified().await;
        }
    }
}

/// Counts processes that enter a state.
#[derive(Clone)]
pub(crate) struct Entered {
    state: ProcessState,
    count: Arc<AtomicUsize>,
}

impl Entered {
    pub(crate) fn new(state: ProcessState) -> Self {
        Self { state, count: Arc::default() }
    }

    pub(crate) async fn reached(&self, count: usize) {
        while self.count.load(Ordering::Acquire) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Listener for Entered {
    fn on_transition(&self, transition: Transition<'_>, _: &str) {
        if transition.to == self.state {
            self.count.fetch_add(1, Ordering::Release);
        }
    }
}

/// The key of a process that is looked for later.
pub(crate) fn key(number: usize) -> String {
    format!("small-{number}")
}

/// Launches many processes, several at a time, under keys or without.
pub(crate) async fn launch<I: Launch<Small> + Send + 'static>(
    runtime: &Runtime,
    numbers: std::ops::Range<usize>,
    keyed: bool,
    inputs: fn() -> I,
) {
    const AT_ONCE: usize = 64;
    let mut launching = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let (runtime, numbers) = (runtime.clone(), numbers.clone());
        launching.spawn(async move {
            for number in numbers.skip(lane).step_by(AT_ONCE) {
                let launching = runtime.launch(inputs());
                let launching = if keyed { launching.key(key(number)) } else { launching };
                launching.await.expect("launched");
            }
        });
    }
    while let Some(done) = launching.join_next().await {
        done.expect("no panic");
    }
}

pub(crate) fn builder(file: &Path, gate: &Arc<Gate>) -> RuntimeBuilder {
    let store = procession::store::SqliteStore::open(file).expect("a store");
    Runtime::builder().register::<Small>().resource(Arc::clone(gate)).store(store)
}

/// A copy of a store that is at rest.
pub(crate) fn copy(from: &Path, to: &Path) {
    crate::measure::remove_database(to);
    std::fs::copy(from, to).expect("copied");
}
