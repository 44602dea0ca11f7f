//! The communicator over a mesh: the conformance suite without tasks, and what only this one promises.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use procession_runtime::communicator::conformance::{Subject, conformance};
use procession_runtime::communicator::{
    Answered, BroadcastFilter, Communicator, CommunicatorError, Deadlines, IncomingRpc, MeshCommunicator,
    MeshCommunicatorOptions, Rpc,
};
use procession_runtime::message::{Broadcast, Node};
use procession_transport::mesh::{Mesh, MeshBuilder};
use procession_transport::tcp::{TcpOptions, TcpTransport};
use procession_transport::{
    BoxFuture, Capabilities, Envelope, Inlet, LocalTransport, Outlet, Topic, Transport, TransportError, TransportResult,
};
use tokio::sync::mpsc;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mesh that any number can join.
struct Net {
    /// Shared where all are in this process; otherwise each has one of its own.
    shared: Option<Arc<dyn Transport>>,
    registry: Mesh,
    last: AtomicU32,
}

impl Net {
    async fn new(is_local: bool) -> Self {
        Self::over(is_local.then(|| Arc::new(LocalTransport::new()) as _)).await
    }

    async fn over(shared: Option<Arc<dyn Transport>>) -> Self {
        let transport = transport(shared.as_ref()).await;
        let registry = MeshBuilder::new(transport, "registry".parse().unwrap()).registry().start().await.unwrap();
        Self { shared, registry, last: AtomicU32::new(0) }
    }

    /// Another runtime.
    async fn mesh(&self) -> Mesh {
        let uid = format!("runtime:{}", self.last.fetch_add(1, Ordering::Relaxed));
        let builder = MeshBuilder::new(transport(self.shared.as_ref()).await, uid.parse().unwrap());
        builder.join(self.registry.address()).await.unwrap()
    }

    /// Another communicator, on a runtime of its own.
    async fn communicator(&self) -> MeshCommunicator {
        MeshCommunicator::join(self.mesh().await, MeshCommunicatorOptions::new()).await.unwrap()
    }
}

async fn transport(shared: Option<&Arc<dyn Transport>>) -> Arc<dyn Transport> {
    match shared {
        Some(shared) => Arc::clone(shared),
        None => Arc::new(TcpTransport::bind(TcpOptions::new()).await.unwrap()),
    }
}

async fn medium(is_local: bool) -> Subject {
    let net = Arc::new(Net::new(is_local).await);
    let connect = move || {
        let net = Arc::clone(&net);
        Box::pin(async move { Arc::new(net.communicator().await) as Arc<dyn Communicator> }) as _
    };
    Subject::new(connect).without_tasks()
}

mod local {
    use super::{Subject, conformance};

    async fn medium() -> Subject {
        super::medium(true).await
    }

    conformance!(keeps, medium, without tasks);
}

mod tcp {
    use super::{Subject, conformance};

    async fn medium() -> Subject {
        super::medium(false).await
    }

    conformance!(keeps, medium, without tasks);
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Answers with a name.
async fn answers(communicator: &MeshCommunicator, identifier: &str, name: &'static str) {
    let subscriber = Arc::new(move |_: IncomingRpc| async move { Ok(Node::text(name).into()) });
    communicator.add_rpc_subscriber(subscriber, Some(identifier.to_owned())).await.unwrap();
}

async fn ask(communicator: &MeshCommunicator, identifier: &str) -> Result<Node, CommunicatorError> {
    soon("a reply", communicator.rpc_send(Rpc::new(identifier, Node::Null)).await?.last()).await
}

/// What a communicator hears through a filter: its name, and the body.
async fn hears(
    communicator: &MeshCommunicator,
    name: &'static str,
    filter: BroadcastFilter,
    heard: &mpsc::Sender<(&'static str, Node)>,
) {
    let heard = heard.clone();
    let subscriber = Arc::new(move |broadcast: Arc<Broadcast>| {
        let heard = heard.clone();
        async move { heard.send((name, broadcast.body.clone())).await.unwrap() }
    });
    communicator.add_broadcast_subscriber(subscriber, filter, None).await.unwrap();
}

#[tokio::test]
async fn tasks_are_refused_when_it_is_built() {
    let net = Net::new(true).await;
    let mesh = net.mesh().await;
    let options = MeshCommunicatorOptions::new().with_task_queue("tasks");
    let refused = MeshCommunicator::join(mesh.clone(), options).await.unwrap_err();
    assert!(matches!(refused, CommunicatorError::Unsupported { .. }), "{refused:?}");
    assert_eq!((refused.to_string().as_str(), refused.is_retryable()), ("the mesh carries no tasks", false));
    // Nothing of it is left: there is room for one that asks for none.
    MeshCommunicator::join(mesh, MeshCommunicatorOptions::new()).await.unwrap();
}

#[tokio::test]
async fn a_runtime_has_one_of_each_name() {
    let net = Net::new(true).await;
    let mesh = net.mesh().await;
    let join = |name: &str| MeshCommunicator::join(mesh.clone(), MeshCommunicatorOptions::new().with_name(name));
    let first = join("one").await.unwrap();
    let refused = join("one").await.unwrap_err();
    assert!(matches!(refused, CommunicatorError::Mesh { .. }) && !refused.is_retryable(), "{refused:?}");
    let other = join("other").await.unwrap();
    answers(&first, "asked", "first").await;
    // Those of another name are another medium.
    let unroutable = ask(&other, "asked").await;
    assert!(matches!(unroutable, Err(CommunicatorError::Unroutable { .. })), "{unroutable:?}");
    first.close().await.unwrap();
    let again = join("one").await.unwrap();
    answers(&again, "asked", "again").await;
    assert_eq!(ask(&again, "asked").await.unwrap(), Node::text("again"));
    mesh.stop().await;
    soon("the close", again.closed()).await;
    let closed = join("late").await.unwrap_err();
    assert!(matches!(closed, CommunicatorError::Closed), "{closed:?}");
}

#[tokio::test]
async fn a_runtime_that_is_lost_fails_its_calls() {
    for is_local in [true, false] {
        let net = Net::new(is_local).await;
        let (caller, lost, other) = (net.communicator().await, net.communicator().await, net.communicator().await);
        let (begun, mut begins) = mpsc::channel(1);
        let silent = move |_: IncomingRpc| {
            let begun = begun.clone();
            async move {
                begun.send(()).await.unwrap();
                std::future::pending::<Answered>().await
            }
        };
        lost.add_rpc_subscriber(Arc::new(silent), Some("silent".to_owned())).await.unwrap();
        answers(&other, "other", "other").await;
        let deadlines = Deadlines { reply: PATIENCE * 10, ..Deadlines::RPC };
        let reply = caller.rpc_send(Rpc::new("silent", Node::Null).deadlines(deadlines)).await.unwrap();
        soon("that it has begun", begins.recv()).await.unwrap();
        lost.mesh().stop().await;
        let failed = soon("the end", reply.last()).await.unwrap_err();
        assert!(matches!(failed, CommunicatorError::Disconnected(Some(_))), "{failed:?}");
        soon("the close", lost.closed()).await;
        assert!(!lost.is_connected());
        let unroutable = ask(&caller, "silent").await;
        assert!(matches!(unroutable, Err(CommunicatorError::Unroutable { .. })), "{unroutable:?}");
        assert_eq!(ask(&caller, "other").await.unwrap(), Node::text("other"));
        soon("the broadcast", caller.broadcast_send(Broadcast::new(Node::Null))).await.unwrap();
    }
}

#[tokio::test]
async fn an_identifier_moves_to_another() {
    let net = Net::new(true).await;
    let (caller, first, second) = (net.communicator().await, net.communicator().await, net.communicator().await);
    for round in 0..10 {
        let (has, name) = if round % 2 == 0 { (&first, "first") } else { (&second, "second") };
        answers(has, "moving", name).await;
        // Once found out, and once remembered.
        for _ in 0..2 {
            assert_eq!(ask(&caller, "moving").await.unwrap(), Node::text(name));
        }
        has.remove_rpc_subscriber("moving").await.unwrap();
        if round % 3 == 0 {
            let unroutable = ask(&caller, "moving").await;
            assert!(matches!(unroutable, Err(CommunicatorError::Unroutable { .. })), "{unroutable:?}");
        }
    }
    // With its communicator, too.
    answers(&first, "moving", "first").await;
    assert_eq!(ask(&caller, "moving").await.unwrap(), Node::text("first"));
    first.close().await.unwrap();
    answers(&second, "moving", "second").await;
    assert_eq!(ask(&caller, "moving").await.unwrap(), Node::text("second"));
    // Who calls is asked first.
    answers(&caller, "moving", "caller").await;
    assert_eq!(ask(&caller, "moving").await.unwrap(), Node::text("caller"));
}

#[tokio::test]
async fn one_that_comes_back_is_found_again() {
    let net = Net::new(true).await;
    let caller = net.communicator().await;
    let mesh = net.mesh().await;
    for name in ["first", "second", "third"] {
        let comes = MeshCommunicator::join(mesh.clone(), MeshCommunicatorOptions::new()).await.unwrap();
        answers(&comes, "asked", name).await;
        let (outbox, mut heard) = mpsc::channel(10);
        hears(&comes, name, BroadcastFilter::all(), &outbox).await;
        assert_eq!(ask(&caller, "asked").await.unwrap(), Node::text(name));
        caller.broadcast_send(Broadcast::new(Node::text(name))).await.unwrap();
        assert_eq!(soon("a broadcast", heard.recv()).await.unwrap(), (name, Node::text(name)));
        comes.close().await.unwrap();
    }
}

#[tokio::test]
async fn one_that_was_given_up_is_known_again_when_it_is_met() {
    let net = Net::new(true).await;
    let (first, second) = (net.communicator().await, net.communicator().await);
    answers(&first, "first", "first").await;
    answers(&second, "second", "second").await;
    assert_eq!(ask(&first, "second").await.unwrap(), Node::text("second"));
    first.mesh().disconnect(second.mesh().uid().as_str(), false).await.unwrap();
    let unroutable = ask(&first, "second").await;
    assert!(matches!(unroutable, Err(CommunicatorError::Unroutable { .. })), "{unroutable:?}");
    // It knows nothing of that until it asks for something, and is met.
    assert_eq!(ask(&second, "first").await.unwrap(), Node::text("first"));
    let known = async {
        while ask(&first, "second").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("that it is known again", known).await;
    let (outbox, mut heard) = mpsc::channel(10);
    hears(&second, "second", BroadcastFilter::all(), &outbox).await;
    first.broadcast_send(Broadcast::new(Node::Null)).await.unwrap();
    assert_eq!(soon("a broadcast", heard.recv()).await.unwrap(), ("second", Node::Null));
}

#[tokio::test]
async fn broadcasts_reach_all_and_filters_choose() {
    for is_local in [true, false] {
        let net = Net::new(is_local).await;
        let all = [net.communicator().await, net.communicator().await, net.communicator().await];
        let (outbox, mut heard) = mpsc::channel(1_000);
        for (communicator, name) in all.iter().zip(["first", "second", "third"]) {
            hears(communicator, name, BroadcastFilter::all(), &outbox).await;
        }
        hears(&all[1], "even", BroadcastFilter::all().subject("even.*"), &outbox).await;
        for (sender, communicator) in (0_i64..).zip(&all) {
            let mut confirmed = Vec::new();
            for index in 0..20_i64 {
                let subject = if index % 2 == 0 { "even.number" } else { "odd.number" };
                let broadcast = Broadcast::new(sender * 100 + index).subject(subject);
                confirmed.push(communicator.broadcast_hand_over(broadcast).await.unwrap());
            }
            for confirmed in confirmed {
                soon("that it is confirmed", confirmed).await.unwrap();
            }
            let mut came = Vec::new();
            for _ in 0..70 {
                came.push(soon("a broadcast", heard.recv()).await.unwrap());
            }
            for name in ["first", "second", "third", "even"] {
                let of_name: Vec<_> = came.iter().filter(|(of, _)| *of == name).map(|(_, body)| body.clone()).collect();
                let expected = (0..20_i64).filter(|index| name != "even" || index % 2 == 0);
                let expected: Vec<_> = expected.map(|index| Node::from(sender * 100 + index)).collect();
                assert_eq!(of_name, expected, "{name}");
            }
        }
        assert!(heard.try_recv().is_err(), "more has come");
    }
}

#[tokio::test]
async fn the_mesh_goes_on_when_its_communicator_was_closed() {
    let net = Net::new(true).await;
    let mesh = net.mesh().await;
    let communicator = MeshCommunicator::join(mesh.clone(), MeshCommunicatorOptions::new()).await.unwrap();
    communicator.close().await.unwrap();
    drop(communicator);
    assert!(!mesh.is_stopped());
    // Another of this name finds its place free.
    MeshCommunicator::join(mesh, MeshCommunicatorOptions::new()).await.unwrap();
}

/// A transport that takes short messages only.
#[derive(Debug)]
struct Short(LocalTransport);

/// What is longer is refused.
const SHORT: usize = 4_096;

impl Transport for Short {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        self.0.outlet(topic)
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        self.0.inlet(topic)
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        self.0.mailbox(address)
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        if envelope.body.len() > SHORT {
            let refused = TransportError::TooLarge { what: "an envelope", size: envelope.body.len(), limit: SHORT };
            return Box::pin(std::future::ready(Err(refused)));
        }
        self.0.post(address, envelope)
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        self.0.close()
    }
}

#[tokio::test]
async fn a_message_that_the_transport_refuses_is_an_error() {
    let net = Net::over(Some(Arc::new(Short(LocalTransport::new())))).await;
    let (caller, worker) = (net.communicator().await, net.communicator().await);
    let long = || Node::text("x".repeat(SHORT + 1));
    let subscriber = move |_: IncomingRpc| async move { Ok(long().into()) };
    worker.add_rpc_subscriber(Arc::new(subscriber), Some("long".to_owned())).await.unwrap();
    let refused = caller.rpc_send(Rpc::new("long", long())).await;
    assert!(matches!(refused, Err(CommunicatorError::Refused { .. })), "{refused:?}");
    let refused = caller.broadcast_send(Broadcast::new(long())).await;
    assert!(matches!(refused, Err(CommunicatorError::Refused { .. })), "{refused:?}");
    let told = ask(&caller, "long").await;
    assert!(matches!(&told, Err(CommunicatorError::Remote(text)) if text.contains("refuse")), "{told:?}");
    // What is short still goes.
    answers(&worker, "short", "short").await;
    assert_eq!(ask(&caller, "short").await.unwrap(), Node::text("short"));
}
