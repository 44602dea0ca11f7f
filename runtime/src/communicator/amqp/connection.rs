//! One connection after the other: connect, set up, go on until it fails, wait a little, again.

use lapin::uri::AMQPUri;
use lapin::{ConnectionProperties, ErrorKind};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::link::Link;
use super::session::Session;
use super::shared::{AmqpConnection, Shared, until};
use crate::communicator::{CommunicatorError, CommunicatorResult};
use crate::limits;

/// Who waits for the first connection.
pub(super) type First = oneshot::Sender<CommunicatorResult<()>>;

/// Keeps the communicator connected until it is to end.
pub(super) async fn supervise(shared: Arc<Shared>, uri: AMQPUri, first: First) {
    let pump = {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { shared.publisher.pump().await })
    };
    reconnecting(&shared, &uri, first).await;
    shared.stop.send_replace(true);
    shared.publisher.close();
    shared.replies.close();
    shared.connection.send_replace(AmqpConnection::Closed);
    pump.abort();
}

async fn reconnecting(shared: &Arc<Shared>, uri: &AMQPUri, first: First) {
    let mut first = Some(first);
    let give_up = until(shared.options.connect_within);
    let mut attempt = 0;
    let mut stop = shared.stop.subscribe();
    if shared.options.go_on_trying
        && let Some(first) = first.take()
    {
        // Who made it may have gone.
        let _ = first.send(Ok(()));
    }
    loop {
        let opened = tokio::select! {
            opened = open(shared, uri) => opened,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match opened {
            Ok(session) => {
                let began = Instant::now();
                let connected = AtomicBool::new(false);
                let first = first.take();
                let go_on = serve(shared, session, first, &connected).await;
                if !go_on {
                    return;
                }
                // A connection that fails again and again as soon as it is there is not tried again at once.
                if connected.load(Ordering::Relaxed) && began.elapsed() > limits::LASTING {
                    attempt = 0;
                }
            }
            Err(error) => {
                tracing::warn!(%error, source = source(&error), attempt, "the broker is not reached");
                let hopeless = is_refusal(&error) || Instant::now() >= give_up;
                if hopeless && let Some(first) = first.take() {
                    let _ = first.send(Err(error));
                    return;
                }
            }
        }
        let delay = shared.options.backoff.delay(attempt, random());
        let left = first.as_ref().map(|_| give_up.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = sleep(left.map_or(delay, |left| delay.min(left))) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        attempt = attempt.saturating_add(1);
    }
}

async fn open(shared: &Arc<Shared>, uri: &AMQPUri) -> CommunicatorResult<Session> {
    let mut properties = ConnectionProperties::default()
        .with_client_property("product".into(), "procession".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    if let Some(name) = &shared.options.connection_name {
        properties = properties.with_connection_name(name.as_str().into());
    }
    let link = Link::open(uri.clone(), properties, shared.options.tls()).await?;
    Session::open(shared, link).await
}

/// Goes on with a connection until it fails. False: it is to end.
async fn serve(shared: &Arc<Shared>, mut session: Session, first: Option<First>, connected: &AtomicBool) -> bool {
    let mut watched = shared.connection.subscribe();
    let announce = async {
        // It is there when everything is set up.
        let there =
            |connection: &AmqpConnection| matches!(connection, AmqpConnection::Connected | AmqpConnection::Blocked);
        if watched.wait_for(there).await.is_ok() {
            connected.store(true, Ordering::Relaxed);
            match first {
                Some(first) => drop(first.send(Ok(()))),
                None => shared.statistics.reconnected(),
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = session.run() => ended,
        () = announce => None,
    };
    match &ended {
        Some(why) => tracing::warn!(why, "the connection to the broker is lost"),
        None => session.finish().await,
    }
    shared.connection.send_replace(AmqpConnection::Connecting);
    session.close().await;
    ended.is_some()
}

/// Whether it is of no use to try again at once: the broker is there and does not want us, or is none that is
/// trusted.
fn is_refusal(error: &CommunicatorError) -> bool {
    let CommunicatorError::Broker { source, .. } = error else { return false };
    let error = source.downcast_ref::<lapin::Error>();
    error.is_some_and(|error| match error.kind() {
        ErrorKind::ProtocolError(_) | ErrorKind::AuthProviderError(_) => true,
        // A certificate that nobody vouches for, or another protocol.
        ErrorKind::IOError(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    })
}

fn source(error: &CommunicatorError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

/// Between 0 and 1.
fn random() -> f64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// How long the thread may take to end after everything was said.
pub(super) const END: Duration = Duration::from_secs(2);
