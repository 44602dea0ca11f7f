//! The way to the broker, and what is said on it: as a communicator of this library hears it, and as it is on the wire.

use lapin::message::Delivery;
use lapin::options::BasicGetOptions;
use procession::WorkerOptions;
use procession::communicator::{AmqpCommunicator, BroadcastFilter, Communicator, Reply, Task};
use procession::message::{Broadcast, Node, ReplyBody, decode};
use procession::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::part::{Start, Stays, builder, exchanges, names};
use crate::amqp::peer::Peer;
use crate::broker::Broker;
use crate::children::Leaf;
use crate::network::Network;
use crate::os_process::Other;
use crate::support::{Gate, eventually};
use crate::workers::{Place, Team};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is said after all else.
const LAST: &str = "all is said";

/// By what task a process is begun.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Launch,
    Continue,
}

/// Sender, id and subject.
type Heard = Arc<Mutex<Vec<(Node, String, String)>>>;

pub(super) struct Line {
    name: String,
    broker: Broker,
    /// Between the broker and the worker that is killed.
    pub(super) network: Network,
    communicator: AmqpCommunicator,
    heard: Heard,
    /// Hears all, tasks and replies, too.
    peer: Peer,
    seen: Mutex<Vec<Delivery>>,
}

impl Line {
    pub(super) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("between-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let broker = tokio::task::spawn_blocking(Broker::shared).await.unwrap();
        let network = Network::to(broker.port()).await;
        let communicator = AmqpCommunicator::connect(&broker.url(), names(&name)).await.unwrap();
        let heard = Heard::default();
        let hear = {
            let heard = Arc::clone(&heard);
            move |broadcast: Arc<Broadcast>| {
                let Broadcast { sender, id, subject, .. } = (*broadcast).clone();
                heard.lock().unwrap().push((sender, id.unwrap_or_default(), subject.unwrap_or_default()));
                std::future::ready(())
            }
        };
        communicator.add_broadcast_subscriber(Arc::new(hear), BroadcastFilter::all(), None).await.unwrap();
        let peer = Peer::new(&broker).await;
        let (messages, tasks) = exchanges(&name);
        peer.bind(&messages, "[broadcast]").await;
        peer.bind(&tasks, "#").await;
        Self { name, broker, network, communicator, heard, peer, seen: Mutex::default() }
    }

    /// A worker: at the end of the network, or beside it.
    pub(super) fn worker(&self, place: &Place, through: bool) -> Other {
        let url = self.broker.url();
        let own = url.replace(&format!(":{}/", self.broker.port()), &format!(":{}/", self.network.port()));
        let broker = if through { &own } else { &url };
        Start { place, stays_at: "", broker: Some((broker, &self.name)) }.start()
    }

    /// Has a process begun that comes to a gate, and is to reply at its end.
    pub(super) async fn ask(&self, team: &Team, asked: Asked) -> (ProcessId, Reply) {
        let pid = ProcessId::new();
        let inputs = Node::mapping([("n", Node::from(3)), ("gated", true.into())]);
        let (name, args) = match asked {
            Asked::Launch => {
                let kwargs = Node::mapping([("inputs", inputs), ("pid", Node::from(&pid))]);
                let args = [("process_class", Node::from("it::Leaf")), ("init_args", Node::Null)];
                ("launch", [args, [("init_kwargs", kwargs), ("persist", true.into())]].concat())
            }
            Asked::Continue => {
                let client = builder(team.worker().await, &Stays::default(), &Gate::new());
                let client = client.worker(WorkerOptions::new().queues(["of nobody"])).build().await.unwrap();
                let inputs = Leaf::inputs().n(3).gated(true);
                client.launch(inputs).id(pid.clone()).anywhere().unstarted().await.unwrap();
                client.shutdown().await.unwrap();
                ("continue", vec![("pid", Node::from(&pid)), ("tag", Node::Null)])
            }
        };
        let args = Node::mapping([args, vec![("nowait", false.into())]].concat());
        let task = Task::new(Node::mapping([("task", Node::from(name)), ("args", args)]));
        let reply = self.communicator.task_send(task).await.unwrap();
        (pid, reply.expect("one follows"))
    }

    /// The last reply.
    pub(super) async fn result(&self, reply: Reply) -> Node {
        tokio::time::timeout(PATIENCE, reply.last()).await.expect("a reply").unwrap()
    }

    /// Ids and subjects of what was heard of a process.
    pub(super) fn heard(&self, pid: &ProcessId) -> Vec<(String, String)> {
        let heard = self.heard.lock().unwrap();
        let own = heard.iter().filter(|(sender, ..)| *sender == Node::from(pid));
        own.map(|(_, id, subject)| (id.clone(), subject.clone())).collect()
    }

    /// Waits until all that was said so far is heard.
    pub(super) async fn all_is_heard(&self) {
        self.communicator.broadcast_send(Broadcast::new(Node::Null).subject(LAST)).await.unwrap();
        let last = |heard: &[(Node, String, String)]| heard.iter().any(|(_, _, subject)| subject == LAST);
        eventually(|| async { last(&self.heard.lock().unwrap()) }).await;
    }

    async fn look(&self) {
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self.peer.channel.basic_get(self.peer.queue.clone(), options).await.unwrap() {
            self.seen.lock().unwrap().push(message.delivery);
        }
    }

    /// The ids of the broadcasts with this subject, as they are on the wire.
    pub(super) async fn wire(&self, subject: &str) -> Vec<String> {
        self.look().await;
        let seen = self.seen.lock().unwrap();
        let told = seen.iter().filter(|delivery| delivery.routing_key.as_str() == "[broadcast]");
        let told = told.filter(|delivery| {
            decode(&delivery.data).unwrap().get("subject").and_then(Node::as_text).is_some_and(|told| told == subject)
        });
        told.map(|delivery| delivery.properties.message_id().as_ref().unwrap().to_string()).collect()
    }

    /// How many last replies are on the wire.
    pub(super) async fn replies(&self) -> usize {
        self.look().await;
        let (_, tasks) = exchanges(&self.name);
        let seen = self.seen.lock().unwrap();
        let replies =
            seen.iter().filter(|delivery| delivery.routing_key.as_str().starts_with(&format!("{tasks}-reply-")));
        let last = replies.map(|delivery| ReplyBody::try_from(decode(&delivery.data).unwrap()).unwrap());
        last.filter(|body| *body != ReplyBody::Pending).count()
    }

    /// Waits until so many broadcasts with this subject are on the wire.
    pub(super) async fn came(&self, subject: &str, count: usize) {
        eventually(|| async { self.wire(subject).await.len() == count }).await;
    }

    /// Waits until so many last replies are on the wire.
    pub(super) async fn replied(&self, count: usize) {
        eventually(|| async { self.replies().await == count }).await;
    }

    pub(super) async fn close(&self) {
        self.communicator.close().await.unwrap();
    }
}
