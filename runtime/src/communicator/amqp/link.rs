//! One connection, with a thread of its own for its socket and its heartbeats: whatever blocks elsewhere does not stop them, and when the
//! thread ends nothing of the connection is left, however it hung.

use lapin::runtime::default_runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::wire;
use crate::communicator::{CommunicatorError, CommunicatorResult};
use crate::limits;

pub(super) struct Link {
    connection: Arc<Connection>,
    /// Dropped, it ends the thread.
    _alive: oneshot::Sender<()>,
}

impl Link {
    pub(super) async fn open(
        uri: AMQPUri,
        properties: ConnectionProperties,
        tls: OwnedTLSConfig,
    ) -> CommunicatorResult<Self> {
        let (started, handle) = oneshot::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let run = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            // Who started this may have gone.
            let _ = started.send(runtime.handle().clone());
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("procession-amqp-io".to_owned()).spawn(run).map_err(failed)?;
        let handle = handle.await.map_err(|_| failed(io::Error::other("no runtime could be made")))?;
        let connecting = handle
            .spawn(async move { Connection::connect_uri_with_config(uri, properties, tls, default_runtime()?).await });
        match timeout(limits::CONNECT, connecting).await {
            Ok(Ok(connected)) => {
                let connection = connected.map_err(wire::broker("connecting"))?;
                Ok(Self { connection: Arc::new(connection), _alive: alive })
            }
            Ok(Err(error)) => Err(failed(io::Error::other(error))),
            Err(_) => Err(CommunicatorError::Timeout { what: "connecting", within: limits::CONNECT }),
        }
    }

    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Says good-bye, if the broker listens.
    pub(super) async fn close(self) {
        let closing = self.connection.close(200, "OK".into());
        let _ = timeout(Duration::from_secs(1), closing).await;
    }
}

fn failed(error: io::Error) -> CommunicatorError {
    CommunicatorError::Broker { action: "connecting", source: Arc::new(error) }
}
