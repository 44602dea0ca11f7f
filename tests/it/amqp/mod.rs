//! The communicator over RabbitMQ.

mod alarm;
mod broadcasts;
mod calls;
mod closing;
mod crowd;
mod life;
pub(crate) mod peer;
mod pull;
mod recovery;
mod refused;
mod tasks;
#[cfg(feature = "amqp-tls")]
mod tls;
mod wire;

use crate::broker::Broker;
use procession::communicator::conformance::{Subject, conformance};
use procession::communicator::{
    AmqpCommunicator, AmqpOptions, Answer, BroadcastFilter, Communicator, Incoming, IncomingRpc, Rpc, Task,
};
use procession::message::{Broadcast, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc};

/// A medium of its own for each property of the suite: a virtual host, since the properties name queues.
async fn medium() -> Subject {
    let url = url_of_next_host().await;
    Subject::new(move || {
        let url = url.clone();
        Box::pin(async move {
            let connected =
                AmqpCommunicator::connect(&url, AmqpOptions::new().sender_away(Duration::from_millis(100))).await;
            Arc::new(connected.expect("the broker is there")) as Arc<dyn Communicator>
        })
    })
}

/// More than there are properties.
const HOSTS: u32 = 100;

async fn url_of_next_host() -> String {
    static MADE: OnceCell<()> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let broker = Broker::shared();
    let make = format!(
        "[begin Name = list_to_binary(\"host-\" ++ integer_to_list(Number)), \
           rabbit_vhost:add(Name, <<\"test\">>), \
           rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, Name, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>) \
         end || Number <- lists:seq(0, {HOSTS})]."
    );
    MADE.get_or_init(|| async { drop(broker.ctl(&["eval", &make]).await) }).await;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < HOSTS, "there are more properties than hosts");
    broker.url().replace("%2f", &format!("host-{number}"))
}

conformance!(keeps, medium, ignore = "needs RabbitMQ: cargo xtask test");

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Exchanges and a queue of one's own.
fn options() -> AmqpOptions {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    AmqpOptions::new()
        .message_exchange(format!("{name}.messages"))
        .task_exchange(format!("{name}.tasks"))
        .task_queue(format!("{name}.queue"))
        .reconnect_backoff(Duration::from_millis(20), Duration::from_millis(200))
}

/// The name of the queue of tasks in these.
fn task_queue_of(options: &AmqpOptions) -> String {
    let shown = format!("{options:?}");
    let (_, rest) = shown.split_once("task_queue: \"").expect("it is shown");
    rest.split('"').next().expect("it has an end").to_owned()
}

/// The subjects of broadcasts.
type Hears = mpsc::Receiver<Option<String>>;

/// Hears all broadcasts.
async fn hears(communicator: &AmqpCommunicator) -> Hears {
    let (told, hears) = mpsc::channel(100_000);
    let hear = move |broadcast: Arc<Broadcast>| {
        let told = told.clone();
        async move { drop(told.send(broadcast.subject.clone()).await) }
    };
    communicator.add_broadcast_subscriber(Arc::new(hear), BroadcastFilter::all(), None).await.unwrap();
    hears
}

/// Answers calls with what they say.
async fn echoes(communicator: &AmqpCommunicator, identifier: &str) {
    let echo = |call: IncomingRpc| async move { Ok(Answer::Value(call.body)) };
    communicator.add_rpc_subscriber(Arc::new(echo), Some(identifier.to_owned())).await.unwrap();
}

async fn connect(broker: &Broker, options: &AmqpOptions) -> AmqpCommunicator {
    AmqpCommunicator::connect(&broker.url(), options.clone()).await.expect("the broker is there")
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn tasks_calls_and_broadcasts_arrive() {
    let broker = Broker::shared();
    let options = options();
    let (sender, worker) = (connect(&broker, &options).await, connect(&broker, &options).await);
    let double = |task: Incoming| async move {
        Ok(Answer::Later(Box::pin(
            async move { Ok(Answer::Value(Node::Sequence(vec![task.body.clone(), task.body]))) },
        )))
    };
    worker.add_task_subscriber(Arc::new(double), None).await.unwrap();
    let reply = sender.task_send(Task::new(Node::from(3))).await.unwrap().unwrap();
    let expected = Node::Sequence(vec![Node::from(3), Node::from(3)]);
    assert_eq!(soon("a reply", reply.last()).await.unwrap(), expected);
    echoes(&worker, "echo").await;
    let reply = sender.rpc_send(Rpc::new("echo", Node::from("hello"))).await.unwrap();
    assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from("hello"));
    let mut heard = hears(&worker).await;
    sender.broadcast_send(Broadcast::new(Node::Null).subject("told")).await.unwrap();
    assert_eq!(soon("a broadcast", heard.recv()).await.unwrap(), Some("told".to_owned()));
    sender.close().await.unwrap();
    worker.close().await.unwrap();
}
