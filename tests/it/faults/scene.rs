//! A broker, a worker, and the networks between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

use procession::communicator::{AmqpCommunicator, AmqpOptions};

use crate::broker::Broker;
use crate::interop::peers::{Names, Worker};
use crate::network::Network;
use crate::support::Random;

/// Often enough that connections that are lost in silence are found within seconds.
const HEARTBEAT: &str = "heartbeat=3";

/// All that can be disturbed.
pub(crate) struct Scene {
    pub(crate) broker: Broker,
    pub(crate) names: Names,
    /// Of the worker.
    theirs: Network,
    /// Of the callers.
    ours: Network,
    worker: Option<Worker>,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        // The second looks often enough for the first.
        let config = ["consumer_timeout = 5000", "{channel_tick_interval, 1000}"];
        let broker = tokio::task::spawn_blocking(move || Broker::start(&config)).await.expect("a broker starts");
        let names = Names::new(&broker, "faults");
        let theirs = Network::to(broker.port()).await;
        let ours = Network::to(broker.port()).await;
        let folder = tempfile::tempdir().expect("room for a folder");
        let mut scene = Self { broker, names, theirs, ours, worker: None, folder };
        scene.start_worker().await;
        scene
    }

    /// A communicator for callers.
    pub(crate) async fn communicator(&self) -> Arc<AmqpCommunicator> {
        let Names { message_exchange, task_exchange, task_queue, .. } = &self.names;
        let options = AmqpOptions::new().message_exchange(message_exchange).task_exchange(task_exchange);
        let url = through(&self.ours, &self.broker);
        Arc::new(AmqpCommunicator::connect(&url, options.task_queue(task_queue)).await.expect("the broker is there"))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn start_worker(&mut self) {
        let names = Names { url: through(&self.theirs, &self.broker), ..self.names.clone() };
        let store = self.store();
        let worker = tokio::task::spawn_blocking(move || Worker::rust(&names, &store)).await;
        self.worker = Some(worker.expect("a worker starts"));
    }

    /// Kills the worker, and starts another one on its store.
    pub(crate) async fn kill_worker(&mut self, pause: Duration) {
        let worker = self.worker.take().expect("it runs");
        worker.signal("KILL");
        assert!(!worker.ended().await);
        sleep(pause).await;
        self.start_worker().await;
    }

    /// Lets the worker end its work.
    pub(crate) async fn stop_worker(&mut self) {
        let worker = self.worker.take().expect("it runs");
        worker.signal("TERM");
        assert!(worker.ended().await, "the worker stops well");
    }

    /// The network of the worker, of the callers, or both.
    pub(crate) fn links(&self, random: &mut Random) -> (Vec<&Network>, &'static str) {
        match random.below(3) {
            0 => (vec![&self.theirs], "the worker's"),
            1 => (vec![&self.ours], "the callers'"),
            _ => (vec![&self.theirs, &self.ours], "everyone's"),
        }
    }
}

fn through(network: &Network, broker: &Broker) -> String {
    let port = |port: u16| format!(":{port}/");
    format!("{}?{HEARTBEAT}", broker.url().replace(&port(broker.port()), &port(network.port())))
}
