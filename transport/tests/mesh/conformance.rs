//! The TCP transport keeps the contract, as far as it has mailboxes: over connections, where a name is looked up in a table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use procession_transport::conformance::{Subject, conformance};
use procession_transport::tcp::{TcpOptions, TcpTransport};
use procession_transport::{
    BoxFuture, Capabilities, Delivery, Envelope, Inlet, Outlet, Topic, Transport, TransportError, TransportResult,
};

use super::{key, options};

type Names = Arc<Mutex<HashMap<String, String>>>;

/// One of several transports that find each other's mailboxes by name.
#[derive(Debug)]
struct Named(TcpTransport, Names);

/// A mailbox with its name.
#[derive(Debug)]
struct Entered(Box<dyn Inlet>, Names, String);

impl Inlet for Entered {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<Option<Delivery>>> {
        self.0.poll_recv(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<TransportResult<()>> {
        self.0.poll_close(cx)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.1.lock().unwrap().retain(|name, _| *name != self.2);
    }
}

impl Transport for Named {
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
        Box::pin(async move {
            let inlet = self.0.mailbox(address).await?;
            let mut names = self.1.lock().unwrap();
            if names.contains_key(address) {
                return Err(TransportError::Taken { address: address.to_owned() });
            }
            names.insert(address.to_owned(), self.0.address(address));
            Ok(Box::new(Entered(inlet, Arc::clone(&self.1), address.to_owned())) as _)
        })
    }

    fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
        Box::pin(async move {
            // Also after the table has forgotten it, the other side is asked.
            let far = self.1.lock().unwrap().get(address).cloned();
            self.0.post(far.as_deref().unwrap_or(address), envelope).await
        })
    }

    fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
        self.0.close()
    }
}

fn subject(options: TcpOptions) -> Subject {
    let names = Names::default();
    Subject::new(move || {
        let (names, options) = (Arc::clone(&names), options.clone());
        Box::pin(async move { Arc::new(Named(TcpTransport::bind(options).await.unwrap(), names)) as _ })
    })
}

async fn open() -> Subject {
    subject(options())
}

async fn sealed() -> Subject {
    subject(options().with_key(key(1)))
}

conformance!(without_a_key, open);
conformance!(with_a_key, sealed);
