//! Ours: a worker with its launcher in another OS process, a controller in this one.

use std::path::Path;
use std::sync::Arc;

use procession::RuntimeBuilder;
use procession::communicator::{AmqpCommunicator, AmqpOptions, Communicator};
use procession::controller::RemoteProcessController;
use procession::launcher::ProcessLauncher;
use procession::prelude::*;
use procession::store::SqliteStore;

use super::worker::{Worker, ready};
use crate::measure::Bench;
use crate::w2::SHORT;

/// One step, as the process that plumpy is measured with.
#[process]
#[derive(Default)]
pub(crate) struct Add {}

spec! { Add {
    input a: u64;
    input b: u64 = 1;
    output sum: u64;
}}

outline! { Add {
    add => sum;
}}

impl Add {
    fn add(&mut self, cx: &mut Cx<Self>) -> u64 {
        cx.inputs().a + cx.inputs().b
    }
}

/// Adds one in every step, and ends with the last.
#[process]
#[derive(Default)]
pub(crate) struct Long {
    sum: u64,
    steps: u64,
}

spec! { Long {
    input a: u64;
    output sum: u64;
}}

outline! { Long {
    while_(more) { add }
    end => sum;
}}

impl Long {
    fn more(&self) -> bool {
        self.steps + 1 < SHORT
    }

    fn add(&mut self) {
        self.steps += 1;
        self.sum += 1;
    }

    fn end(&mut self, cx: &mut Cx<Self>) -> u64 {
        self.add();
        cx.inputs().a + self.sum
    }
}

/// Waits for ever; answers calls meanwhile.
#[process]
#[derive(Default)]
pub(crate) struct Rest {}

spec! { Rest {} }

outline! { Rest {
    rest;
}}

impl Rest {
    fn rest(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for ever")
    }
}

/// What a worker does beside running processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Processes answer no calls and tell nothing, as those that plumpy's launcher makes.
    Bare,
    /// Processes answer calls and tell of their transitions.
    Controlled,
    /// As [`Bare`](Self::Bare), and every step is on the disk before it counts.
    Durable,
    /// As [`Controlled`](Self::Controlled), durable: what a user gets who says nothing else.
    DurableControlled,
}

impl Kind {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Bare, "bare"),
        (Self::Controlled, "controlled"),
        (Self::Durable, "durable"),
        (Self::DurableControlled, "durable-controlled"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    pub(crate) fn of(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == word).expect("a kind").0
    }

    pub(crate) fn is_durable(self) -> bool {
        matches!(self, Self::Durable | Self::DurableControlled)
    }

    fn is_controlled(self) -> bool {
        matches!(self, Self::Controlled | Self::DurableControlled)
    }
}

pub(super) async fn connect(url: &str) -> Arc<dyn Communicator> {
    let options =
        AmqpOptions::new().message_exchange("ours.messages").task_exchange("ours.tasks").task_queue("ours.tasks");
    Arc::new(AmqpCommunicator::connect(url, options).await.expect("a connection"))
}

/// Works in another OS process. What it tells when it is ready is the id of a process that answers calls.
pub(crate) async fn serve(url: &str, kind: Kind, file: &Path) {
    let communicator = connect(url).await;
    let builder: RuntimeBuilder = if kind.is_durable() {
        Runtime::builder().store(SqliteStore::open(file).expect("a store"))
    } else {
        Runtime::volatile()
    };
    let builder = builder.register::<Add>().register::<Long>().register::<Rest>();
    let builder = if kind.is_controlled() { builder.communicator(Arc::clone(&communicator)) } else { builder };
    let runtime = builder.build().await.expect("a runtime");
    let launcher = ProcessLauncher::new(&runtime, Arc::clone(&communicator));
    communicator.add_task_subscriber(Arc::new(launcher), None).await.expect("subscribed");
    let rest = runtime.launch(Rest::inputs()).await.expect("launched");
    while rest.status().await.expect("a status").state != ProcessState::Waiting {
        tokio::task::yield_now().await;
    }
    ready(&rest.pid().to_string());
    std::future::pending::<()>().await;
}

/// Controls the worker.
pub(crate) struct Client {
    _worker: Worker,
    controller: RemoteProcessController,
    resting: ProcessId,
}

impl Client {
    pub(crate) async fn start(bench: &Bench, url: &str, kind: Kind) -> Self {
        let file = bench.file("remote.db");
        let worker = Worker::start(&["ours", kind.word(), url, file.to_str().expect("a path that is text")]);
        let controller = RemoteProcessController::new(connect(url).await);
        let resting = ProcessId::from(worker.told.as_str());
        Self { _worker: worker, controller, resting }
    }

    /// Launches a process, and waits for what it gives.
    pub(crate) async fn launch(self: Arc<Self>, number: u64) {
        let outputs = self.controller.launch(Add::inputs().a(number)).await.expect("a result");
        assert_eq!(outputs.sum, number + 1);
    }

    /// The same with a process of many steps.
    pub(crate) async fn launch_long(self: Arc<Self>, number: u64) {
        let outputs = self.controller.launch(Long::inputs().a(number)).await.expect("a result");
        assert_eq!(outputs.sum, number + SHORT);
    }

    /// Asks a process how it stands.
    pub(crate) async fn status(self: Arc<Self>) {
        let status = self.controller.get_status(self.resting.clone()).await.expect("a status");
        assert_eq!(status.state, Some(ProcessState::Waiting));
    }

    pub(crate) async fn close(&self) {
        self.controller.communicator().close().await.expect("closed");
    }
}
