//! Connections: made when they are needed, and anew when they were lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::runtime::default_runtime;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

use super::options::{AmqpOptions, place};
use crate::{TransportError, TransportResult, limits};

/// One connection after the other. Who lost it asks for a channel again, and the first one who does connects.
#[derive(Debug)]
pub(super) struct Link {
    options: Arc<AmqpOptions>,
    connection: Mutex<Option<Arc<Connection>>>,
    stop: watch::Receiver<bool>,
}

impl Link {
    pub(super) fn new(options: Arc<AmqpOptions>, stop: watch::Receiver<bool>) -> Self {
        Self { options, connection: Mutex::default(), stop }
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends when the transport is closed.
    pub(super) async fn stopped(&self) {
        // Where its sender is gone, so is the transport.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// A new channel.
    pub(super) async fn channel(&self) -> TransportResult<Channel> {
        tokio::select! {
            channel = self.open() => channel,
            () = self.stopped() => Err(TransportError::Closed),
        }
    }

    async fn open(&self) -> TransportResult<Channel> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.status().connected()) {
            match answered(connection.create_channel()).await {
                Err(Lost::Error(error)) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {
                    return Err(failed("opening a channel", Lost::Error(error)));
                }
                Err(_) => {}
                Ok(channel) => return Ok(channel),
            }
        }
        let connection = self.connect().await?;
        let channel = answered(connection.create_channel()).await.map_err(|lost| failed("opening a channel", lost));
        *slot = Some(Arc::new(connection));
        channel
    }

    async fn connect(&self) -> TransportResult<Connection> {
        let uri = self.options.address()?;
        let place = place(&uri);
        let mut properties = ConnectionProperties::default()
            .with_client_property("product".into(), "procession".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        if let Some(name) = &self.options.connection_name {
            properties = properties.with_connection_name(name.as_str().into());
        }
        let unreached = |why: Lost| TransportError::failed("connecting", Unreached { place: place.clone(), why });
        let runtime = default_runtime().map_err(|error| unreached(Lost::Error(error)))?;
        let connecting = Connection::connect_uri_with_config(uri, properties, self.options.tls(), runtime);
        match timeout(self.options.connect_within, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => match error.kind() {
                // It is there, and does not want us.
                ErrorKind::ProtocolError(_) | ErrorKind::AuthProviderError(_) => {
                    let reason = format!("{place} says: {error}");
                    Err(TransportError::Refused { what: "a connection to the broker", reason })
                }
                _ => Err(unreached(Lost::Error(error))),
            },
            Err(_) => Err(unreached(Lost::Silent(self.options.connect_within))),
        }
    }

    /// Tries again and again, for as long as it may help; `None` when the transport is closed. What it is refused at first may be granted
    /// when the broker has started wholly.
    ///
    /// `short` says how many connections before this one were lost as soon as they were there.
    pub(super) async fn again<T, F>(&self, short: u32, mut open: impl FnMut() -> F) -> Option<TransportResult<T>>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let since = Instant::now();
        for attempt in short.. {
            if attempt > 0 {
                tokio::select! {
                    () = sleep(self.options.delay(attempt - 1)) => {}
                    () = self.stopped() => return None,
                }
            }
            let opened = tokio::select! {
                opened = open() => opened,
                () = self.stopped() => return None,
            };
            match opened {
                Err(TransportError::Closed) => return None,
                Err(error) if is_passing(&error, since.elapsed()) => {
                    tracing::debug!(%error, attempt, "the broker is not reached");
                }
                settled => return Some(settled),
            }
        }
        None
    }

    /// Says good-bye, if the broker listens.
    pub(super) async fn close(&self) {
        let connection = self.connection.lock().await.take();
        if let Some(connection) = connection.filter(|connection| connection.status().connected()) {
            let _ = timeout(Duration::from_secs(1), connection.close(200, "OK".into())).await;
        }
    }
}

/// Whether it may go another time.
fn is_passing(error: &TransportError, after: Duration) -> bool {
    match error {
        TransportError::Disconnected(_) | TransportError::Failed { .. } => true,
        // By the connection that was lost, perhaps, or by a broker that starts.
        TransportError::Taken { .. } | TransportError::Occupied { .. } | TransportError::Refused { .. } => {
            after < limits::RECLAIM
        }
        _ => false,
    }
}

/// The broker was not reached.
#[derive(Debug)]
struct Unreached {
    place: String,
    why: Lost,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker at {} is not reached", self.place)
    }
}

impl std::error::Error for Unreached {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.why)
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Error(#[from] lapin::Error),
    #[error("there was no answer within {0:?}")]
    Silent(Duration),
}

/// The answer of the broker, or that there is none: nothing may wait for ever.
pub(super) async fn answered<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Lost> {
    match timeout(limits::ANSWER, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Lost::Silent(limits::ANSWER)),
    }
}

/// What the broker answered, as the transport says it.
pub(super) fn failed(what: &'static str, lost: Lost) -> TransportError {
    match soft(&lost) {
        Some((_, reason)) => TransportError::Refused { what, reason },
        None => TransportError::Disconnected(Some(Arc::new(lost))),
    }
}

/// As [`failed`], of a topic, which may be open otherwise.
pub(super) fn failed_of(topic: &str, what: &'static str, lost: Lost) -> TransportError {
    match soft(&lost) {
        Some((AMQPSoftError::PRECONDITIONFAILED, reason)) => {
            TransportError::Mismatch { topic: topic.to_owned(), reason }
        }
        _ => failed(what, lost),
    }
}

/// That the broker refuses what was asked, and nothing else is lost.
pub(super) fn soft(lost: &Lost) -> Option<(AMQPSoftError, String)> {
    let Lost::Error(error) = lost else { return None };
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    match error.kind() {
        AMQPErrorKind::Soft(kind) => Some((kind.clone(), error.get_message().to_string())),
        AMQPErrorKind::Hard(_) => None,
    }
}
