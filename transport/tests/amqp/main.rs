//! The transport over RabbitMQ keeps the contract, and what only a broker has.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[allow(dead_code)]
#[path = "../../../tests/it/broker.rs"]
mod broker;
mod idle;
mod lost;
#[allow(dead_code)]
#[path = "../../../tests/it/private.rs"]
mod private;
mod seen;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use procession_transport::conformance::{Subject, conformance};
use procession_transport::{AmqpOptions, AmqpTransport, BoxFuture, Capabilities, Envelope, Inlet, Outlet, Topic};
use procession_transport::{Transport, TransportResult};
use tokio::sync::OnceCell;

use self::broker::Broker;

/// So many tests have a virtual host of their own.
const HOSTS: usize = 120;

/// A virtual host on which there is nothing.
async fn host() -> String {
    let (broker, host) = place().await;
    format!("{}{host}", broker.url().strip_suffix("%2f").unwrap())
}

/// The same, with the broker that has it.
async fn place() -> (Broker, String) {
    static MADE: OnceCell<Broker> = OnceCell::const_new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let broker = MADE.get_or_init(async || {
        // A body of a megabyte goes through, one that is a little larger does not.
        let start = || Broker::start(&["max_message_size = 2000000"]);
        let broker = tokio::task::spawn_blocking(start).await.unwrap();
        let make = format!(
            "[begin V = list_to_binary(\"t\" ++ integer_to_list(N)), rabbit_vhost:add(V, <<\"test\">>), \
             rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>) \
             end || N <- lists:seq(0, {})].",
            HOSTS - 1
        );
        broker.ctl(&["eval", &make]).await;
        broker
    });
    let broker = broker.await;
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(next < HOSTS, "more tests than virtual hosts");
    (broker.clone(), format!("t{next}"))
}

async fn connect(url: &str) -> AmqpTransport {
    AmqpTransport::connect(AmqpOptions::new(url)).await.unwrap()
}

async fn transient() -> Subject {
    let url = host().await;
    Subject::new(move || {
        let url = url.clone();
        Box::pin(async move { Arc::new(connect(&url).await) as _ })
    })
}

/// The same with every topic lasting.
#[derive(Debug)]
struct Lasting(AmqpTransport);

impl Transport for Lasting {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
        Box::pin(async move { self.0.outlet(&topic.clone().lasting()).await })
    }

    fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        Box::pin(async move { self.0.inlet(&topic.clone().lasting()).await })
    }

    fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
        self.0.mailbox(address)
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        self.0.post(address, envelope)
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        self.0.close()
    }
}

async fn lasting() -> Subject {
    let url = host().await;
    Subject::new(move || {
        let url = url.clone();
        Box::pin(async move { Arc::new(Lasting(connect(&url).await)) as _ })
    })
}

conformance!(keeps_transient, transient, ignore = "needs RabbitMQ: cargo xtask test");
conformance!(keeps_lasting, lasting, ignore = "needs RabbitMQ: cargo xtask test");
