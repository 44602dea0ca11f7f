//! The mesh and the TCP transport; the names of the tests say which rule of the mesh (M…) they hold.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

mod calls;
mod conformance;
mod heart;
mod membership;
mod processes;
mod tcp;
mod wire;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "zmq")]
use procession_transport::ZmqTransport;
use procession_transport::mesh::{Caller, Mesh, MeshBuilder, MeshEvent, MeshEvents};
use procession_transport::tcp::{Key, Reconnect, TcpOptions, TcpTransport};
use procession_transport::{LocalTransport, Transport};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes, if it does.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn options() -> TcpOptions {
    let reconnect = Reconnect { attempts: 2, first: Duration::from_millis(10), longest: Duration::from_millis(20) };
    TcpOptions::new().with_reconnect(reconnect)
}

fn key(byte: u8) -> Key {
    Key::new([byte; 32])
}

async fn tcp() -> Arc<TcpTransport> {
    Arc::new(TcpTransport::bind(options()).await.unwrap())
}

/// What the runtimes of a test are over.
#[derive(Clone)]
enum Net {
    Local(Arc<LocalTransport>),
    Tcp,
    Sealed,
    /// Each joins the rendezvous of the first.
    #[cfg(feature = "zmq")]
    Zmq(Arc<tokio::sync::OnceCell<ZmqTransport>>),
}

impl Net {
    fn local() -> Self {
        Self::Local(Arc::new(LocalTransport::new()))
    }

    /// Each kind.
    fn all() -> Vec<Self> {
        vec![
            Self::local(),
            Self::Tcp,
            Self::Sealed,
            #[cfg(feature = "zmq")]
            Self::Zmq(Arc::default()),
        ]
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        match self {
            Self::Local(transport) => Arc::<LocalTransport>::clone(transport),
            Self::Tcp => tcp().await,
            Self::Sealed => Arc::new(TcpTransport::bind(options().with_key(key(7))).await.unwrap()),
            #[cfg(feature = "zmq")]
            Self::Zmq(host) => {
                let host = host.get_or_init(async || ZmqTransport::host("tcp://127.0.0.1:*").await.unwrap()).await;
                Arc::new(ZmqTransport::join(host.endpoint()).await.unwrap())
            }
        }
    }

    async fn builder(&self, uid: &str) -> MeshBuilder {
        let builder = MeshBuilder::new(self.transport().await, uid.parse().unwrap());
        methods(builder).with_rejoin(Duration::from_millis(300)).with_deadline(PATIENCE)
    }

    async fn monitor(&self) -> Mesh {
        self.builder("monitor").await.registry().start().await.unwrap()
    }

    async fn join(&self, uid: &str, monitor: &Mesh) -> Mesh {
        soon("a join", self.builder(uid).await.join(monitor.address())).await.unwrap()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::io::Error);

/// Methods that tests call.
fn methods(builder: MeshBuilder) -> MeshBuilder {
    builder
        .with_method("add", |_: Caller, (a, b): (i64, i64)| async move { Ok::<_, std::io::Error>(a + b) })
        .with_method("echo", |_: Caller, text: String| async move { Ok::<_, std::io::Error>(text) })
        .with_method("who", |caller: Caller, (): ()| async move { Ok::<_, std::io::Error>(caller.uid) })
        .with_method("fail", |_: Caller, (): ()| async move { Err::<(), _>(Outer(std::io::Error::other("inner"))) })
        .with_method("panic", |_: Caller, (): ()| async move {
            assert!(std::env::args().count() == 0, "as it is asked to");
            Ok::<_, std::io::Error>(())
        })
        .with_method("never", |_: Caller, (): ()| std::future::pending::<Result<(), std::io::Error>>())
}

async fn call_add(from: &Mesh, to: &str) -> i64 {
    soon("a sum", from.call(to, "add", &(1, 2))).await.unwrap()
}

async fn shaken(mesh: &Mesh, uid: &str) {
    mesh.wait_for(uid, PATIENCE).await.unwrap();
}

/// Events up to this one.
async fn event(events: &mut MeshEvents, is_it: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
    loop {
        let event = soon("an event", events.recv()).await.expect("the mesh goes on");
        if is_it(&event) {
            return event;
        }
    }
}

async fn lost(events: &mut MeshEvents, uid: &str) {
    event(events, |event| matches!(event, MeshEvent::Lost { uid: lost, .. } if lost.as_str() == uid)).await;
}
