//! Many subscribers over a slow network: setting them up anew takes longer than any one answer of the broker.

use super::{options, soon};
use crate::broker::Broker;
use crate::support::eventually;
use procession::communicator::{AmqpCommunicator, Answer, Communicator, IncomingRpc, Rpc};
use procession::message::Node;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Bytes that are carried at a time when the network is slow, and how often.
const CARRIED: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(100);
/// Subscribers whose routes take longer than the broker has for one answer, with long identifiers.
const SUBSCRIBERS: usize = 5_000;

/// A way to the broker. While it is slow, what is sent there takes its time.
struct Way {
    port: u16,
    slow: Arc<AtomicU64>,
}

impl Way {
    async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (port, slow) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
        let carried = Arc::clone(&slow);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else { continue };
                tokio::spawn(carry(client, server, Arc::clone(&carried)));
            }
        });
        Self { port, slow }
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }
}

async fn carry(client: TcpStream, server: TcpStream, slow: Arc<AtomicU64>) {
    let ((mut client_in, mut client_out), (mut server_in, mut server_out)) = (client.into_split(), server.into_split());
    let there = async {
        let mut buffer = vec![0; CARRIED];
        while let Ok(read @ 1..) = client_in.read(&mut buffer).await {
            if slow.load(Ordering::Relaxed) > 0 && read == CARRIED {
                sleep(PAUSE).await;
            }
            if server_out.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut server_in, &mut client_out) => {}
    }
}

/// A communicator with many subscribers, over a way that is slow from now on.
async fn crowd(broker: &Broker) -> (Way, AmqpCommunicator) {
    let way = Way::to(broker.port()).await;
    let communicator = AmqpCommunicator::connect(&way.url(), options()).await.unwrap();
    let communicator = Arc::new(communicator);
    let echo = Arc::new(|call: IncomingRpc| async move { Ok(Answer::Value(call.body)) });
    let mut adding = JoinSet::new();
    for number in 0..SUBSCRIBERS {
        let (communicator, echo) = (Arc::clone(&communicator), Arc::clone(&echo));
        adding.spawn(async move { communicator.add_rpc_subscriber(echo, Some(identifier(number))).await.unwrap() });
    }
    let added = soon("the additions", adding.join_all()).await;
    assert_eq!(added.len(), SUBSCRIBERS);
    way.slow.store(1, Ordering::Relaxed);
    (way, Arc::into_inner(communicator).unwrap())
}

fn identifier(number: usize) -> String {
    format!("{number:0>200}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn many_subscribers_are_set_up_anew_however_long_that_takes() {
    let broker = Broker::start(&[]);
    let (_way, communicator) = crowd(&broker).await;
    broker.close_all_connections().await;
    eventually(|| async { !communicator.is_connected() }).await;
    let again = async {
        let mut changes = communicator.connection_changes();
        changes.wait_for(|_| communicator.is_connected()).await.unwrap();
    };
    soon("the connection", again).await;
    eventually(|| async { communicator.statistics().reconnects == 1 }).await;
    for number in [0, SUBSCRIBERS / 2, SUBSCRIBERS - 1] {
        let reply = communicator.rpc_send(Rpc::new(identifier(number), Node::from("hello"))).await.unwrap();
        assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from("hello"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_communicator_closes_while_many_subscribers_are_set_up() {
    let broker = Broker::start(&[]);
    let (_way, communicator) = crowd(&broker).await;
    broker.close_all_connections().await;
    eventually(|| async { !communicator.is_connected() }).await;
    // As soon as the new connection is being set up.
    let binding = || async {
        broker.list("list_bindings", &["routing_key"]).await.iter().flatten().any(|key| key.starts_with("[rpc]."))
    };
    eventually(binding).await;
    assert!(!communicator.is_connected());
    let closed = timeout(Duration::from_secs(5), communicator.close()).await;
    assert!(closed.is_ok(), "it waits for all of them");
}
