//! What is told over a broker while workers are killed.

use procession::communicator::{AmqpCommunicator, AmqpOptions, BroadcastFilter, BroadcastSubscriber, Communicator};
use procession::message::{Broadcast, Node};
use procession::process::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use super::fault::Fault;
use super::report::{say, seed};
use super::run::Run;
use super::scene::Scene;
use crate::broker::Broker;

/// How many kills.
const KILLS: u64 = 12;

/// What is said after all else.
const LAST: &str = "all is said";
/// How long it may take until that is heard.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hears of ends, and keeps by what messages each was told of.
#[derive(Debug, Default)]
struct Ear {
    ends: Mutex<HashMap<String, Vec<String>>>,
    last: Notify,
}

impl BroadcastSubscriber for Ear {
    fn receive(&self, broadcast: Arc<Broadcast>) -> BoxFuture<'static, ()> {
        if broadcast.subject.as_deref() == Some(LAST) {
            self.last.notify_one();
            return Box::pin(std::future::ready(()));
        }
        let sender = match &broadcast.sender {
            Node::Tagged(tagged) => tagged.node.clone(),
            other => other.clone(),
        };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = ends.entry(sender.as_text().unwrap_or_default().to_owned()).or_default();
        messages.push(broadcast.id.clone().unwrap_or_default());
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
    for subject in ["state_changed.*.finished", "state_changed.*.excepted", "state_changed.*.killed", LAST] {
        let filter = BroadcastFilter::all().subject(subject);
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
    communicator.broadcast_send(Broadcast::new(Node::Null).subject(LAST)).await.expect("it is there");
    tokio::time::timeout(PATIENCE, ear.last.notified()).await.expect("all is heard");
    let ends = ear.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let again: Vec<_> = ends.iter().filter(|(_, messages)| messages.len() > 1).collect();
    assert!(again.is_empty(), "told more than once: {again:?}");
    // Each end is stored with its message: none is left out, whoever was killed when.
    let unheard: Vec<_> = balance.ended.iter().filter(|pid| !ends.contains_key(&pid.to_string())).collect();
    assert!(unheard.is_empty(), "of {} ends, these were not told: {unheard:?}", balance.ended.len());
    assert_eq!(ends.len(), balance.ended.len(), "nobody else has ended");
    say(&format!("chaos: the ends of {} processes were told, each once", ends.len()));
    tokio::time::timeout(Duration::from_secs(10), communicator.close()).await.expect("in time").expect("it closes");
}
