//! What is told over a broker while workers are killed.

use procession::communicator::{AmqpCommunicator, AmqpOptions, BroadcastFilter, BroadcastSubscriber, Communicator};
use procession::message::{Broadcast, Node};
use procession::process::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::report::{say, seed};
use super::run::Run;
use super::scene::Scene;
use crate::broker::Broker;

/// How many kills.
const KILLS: u64 = 12;

/// Hears of ends, and keeps how often each was told of.
#[derive(Debug, Default)]
struct Ear(Mutex<HashMap<String, u64>>);

impl BroadcastSubscriber for Ear {
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()> {
        let sender = match &broadcast.sender {
            Node::Tagged(tagged) => tagged.node.clone(),
            other => other.clone(),
        };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *heard.entry(sender.as_text().unwrap_or_default().to_owned()).or_default() += 1;
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: cargo xtask test"]
async fn an_end_is_told_once_however_many_workers_are_killed() {
    let seed = seed();
    say(&format!("chaos: over a broker, seed {seed}"));
    let broker = tokio::task::spawn_blocking(|| Broker::start(&[])).await.expect("a broker starts");
    let ear = Arc::new(Ear::default());
    let communicator = AmqpCommunicator::connect(&broker.url(), AmqpOptions::new()).await.expect("it is there");
    for end in ["finished", "excepted", "killed"] {
        let filter = BroadcastFilter::all().subject(format!("state_changed.*.{end}"));
        let ear: Arc<dyn BroadcastSubscriber> = Arc::clone(&ear) as _;
        communicator.add_broadcast_subscriber(ear, filter, None).await.expect("broadcasts can be heard");
    }
    let mut scene = Scene::new().await;
    scene.start.more = vec!["--amqp".to_owned(), broker.url()];
    let mut run = Run::of(scene, seed).await;
    run.load();
    while run.losses.count() < KILLS {
        run.work_for_some_time().await;
        run.strike(Fault::WorkersKilled).await;
    }
    let (balance, _) = run.end().await;
    let heard = ear.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let again: Vec<_> = heard.iter().filter(|(_, times)| **times > 1).collect();
    let unheard = balance.processes - heard.len();
    say(&format!("chaos: the ends of {} processes were told, and of {unheard} not", heard.len()));
    assert!(again.is_empty(), "told more than once: {again:?}");
    tokio::time::timeout(Duration::from_secs(10), communicator.close()).await.expect("in time").expect("it closes");
}
