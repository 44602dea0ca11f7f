//! How to reach the broker, and the names used on it.

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::communicator::subscription::check_exchange_name;
use crate::communicator::{CommunicatorError, CommunicatorResult, check_queue_name};
use crate::limits;

/// How an [`AmqpCommunicator`](super::AmqpCommunicator) uses its broker. The names are those of kiwipy unless others are given.
#[derive(Debug, Clone)]
pub struct AmqpOptions {
    pub(super) message_exchange: String,
    pub(super) task_exchange: String,
    pub(super) task_queue: String,
    pub(super) prefetch: u16,
    pub(super) heartbeat: Option<Duration>,
    pub(super) backoff: Backoff,
    pub(super) connect_within: Duration,
    pub(super) go_on_trying: bool,
    pub(super) connection_name: Option<String>,
    pub(super) host_name: Option<String>,
    pub(super) parking: Option<String>,
    pub(super) sender_away: Duration,
    ca_certificates: Option<String>,
}

/// How long to wait before the next attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self {
            message_exchange: "kiwipy.messages".to_owned(),
            task_exchange: "kiwipy.tasks".to_owned(),
            task_queue: "kiwipy.tasks".to_owned(),
            prefetch: limits::PREFETCH,
            heartbeat: None,
            backoff: Backoff { least: limits::RECONNECT_LEAST, most: limits::RECONNECT_MOST },
            connect_within: limits::SEND,
            go_on_trying: false,
            connection_name: None,
            host_name: None,
            parking: None,
            sender_away: limits::SENDER_AWAY,
            ca_certificates: None,
        }
    }
}

impl AmqpOptions {
    /// The names that kiwipy uses by default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The exchange of calls and broadcasts.
    pub fn message_exchange(mut self, name: impl Into<String>) -> Self {
        self.message_exchange = name.into();
        self
    }

    /// The exchange of tasks.
    pub fn task_exchange(mut self, name: impl Into<String>) -> Self {
        self.task_exchange = name.into();
        self
    }

    /// The queue of tasks.
    pub fn task_queue(mut self, name: impl Into<String>) -> Self {
        self.task_queue = name.into();
        self
    }

    /// How many tasks this communicator holds that are not acknowledged; at least one. Without it [`limits::PREFETCH`].
    pub fn prefetch(mut self, tasks: u16) -> Self {
        self.prefetch = tasks.max(1);
        self
    }

    /// How often the broker and this communicator make sure of each other, in whole seconds; without it what the address
    /// says, or [`limits::HEARTBEAT`]. A connection that was lost in silence is noticed after two to three of them.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = Some(every);
        self
    }

    /// How long to wait before it is tried to connect again: at least and at most.
    pub fn reconnect_backoff(mut self, least: Duration, most: Duration) -> Self {
        self.backoff = Backoff { least: least.max(Duration::from_millis(1)), most: most.max(least) };
        self
    }

    /// How long the first connection may take.
    pub fn connect_within(mut self, within: Duration) -> Self {
        self.connect_within = within;
        self
    }

    /// Goes on trying where the broker cannot be reached at first, as it does later, instead of failing.
    pub fn go_on_trying(mut self) -> Self {
        self.go_on_trying = true;
        self
    }

    /// What the broker shows this connection as.
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.connection_name = Some(name.into());
        self
    }

    /// What replies to tasks say about where they come from; without it the name of this machine.
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_name = Some(name.into());
        self
    }

    /// Puts tasks whose body cannot be read into a durable queue of this name. Without it they are rejected without being put back:
    /// the broker drops them, or dead-letters them where a policy says so.
    pub fn parking_queue(mut self, name: impl Into<String>) -> Self {
        self.parking = Some(name.into());
        self
    }

    /// How long a reply is kept for a sender whose queue is not there: one whose connection was lost comes back under the same name
    /// in Python. Without it [`limits::SENDER_AWAY`].
    pub fn sender_away(mut self, within: Duration) -> Self {
        self.sender_away = within;
        self
    }

    /// Trusts these certificates of authorities, too, beside those that the system trusts: in PEM form, one or several. A broker behind an
    /// `amqps` address needs one that such an authority vouches for, for the host of the address.
    #[cfg(feature = "amqp-tls")]
    pub fn ca_certificates(mut self, pem: impl Into<String>) -> Self {
        self.ca_certificates = Some(pem.into());
        self
    }

    /// Whom to trust where the address is one of `amqps`.
    pub(super) fn tls(&self) -> OwnedTLSConfig {
        OwnedTLSConfig { identity: None, cert_chain: self.ca_certificates.clone() }
    }

    /// The address with what these options say about it.
    pub(super) fn address(&self, url: &str) -> CommunicatorResult<AMQPUri> {
        let mut uri: AMQPUri = url.parse().map_err(|reason: String| address_error(url, &reason))?;
        if uri.scheme == AMQPScheme::AMQPS && cfg!(not(feature = "amqp-tls")) {
            return Err(address_refused(io::ErrorKind::Unsupported, "`amqps` needs the feature `amqp-tls`".to_owned()));
        }
        if self.ca_certificates.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            let reason = "there is no certificate in PEM form among those that are to be trusted";
            return Err(address_refused(io::ErrorKind::InvalidInput, reason.to_owned()));
        }
        if let Some(every) = self.heartbeat {
            let seconds = u16::try_from(every.as_secs()).unwrap_or(u16::MAX);
            uri.query.heartbeat = Some(seconds.max(1));
        } else if uri.query.heartbeat.is_none() {
            uri.query.heartbeat = u16::try_from(limits::HEARTBEAT.as_secs()).ok();
        }
        check_exchange_name(&self.message_exchange)?;
        check_exchange_name(&self.task_exchange)?;
        check_queue_name(&self.task_queue)?;
        self.parking.as_deref().map_or(Ok(()), check_queue_name)?;
        Ok(uri)
    }
}

/// An address may hold a password: it is not shown.
fn address_error(url: &str, reason: &str) -> CommunicatorError {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let reason = if matches!(scheme, "amqp" | "amqps") {
        reason.replace(url, "…")
    } else {
        "an address begins with `amqp://` or `amqps://`".to_owned()
    };
    address_refused(io::ErrorKind::InvalidInput, reason)
}

fn address_refused(kind: io::ErrorKind, reason: String) -> CommunicatorError {
    CommunicatorError::Broker { action: "reading its address", source: Arc::new(io::Error::new(kind, reason)) }
}

impl Backoff {
    /// How long to wait before an attempt, the first being 0: it doubles up to the most, and is drawn from its upper half, so that many who
    /// lost the same broker do not come back at once.
    pub(super) fn delay(self, attempt: u32, random: f64) -> Duration {
        let doubled = self.least.saturating_mul(2_u32.saturating_pow(attempt.min(30)));
        let whole = doubled.min(self.most);
        whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_with_jitter_up_to_its_most() {
        let backoff = Backoff { least: Duration::from_millis(50), most: Duration::from_secs(5) };
        assert_eq!(backoff.delay(0, 1.0), Duration::from_millis(50));
        assert_eq!(backoff.delay(0, 0.0), Duration::from_millis(25));
        assert_eq!(backoff.delay(3, 1.0), Duration::from_millis(400));
        for attempt in [7, 40, u32::MAX] {
            assert_eq!(backoff.delay(attempt, 1.0), Duration::from_secs(5), "{attempt}");
        }
    }

    #[test]
    fn address_takes_heartbeat_and_hides_the_password() {
        let options = AmqpOptions::new().heartbeat(Duration::from_secs(7));
        let uri = options.address("amqp://user:secret@host:5/vhost?heartbeat=30").expect("an address");
        assert_eq!((uri.query.heartbeat, uri.authority.port, uri.vhost.as_str()), (Some(7), 5, "vhost"));
        let heartbeat = |url| AmqpOptions::new().address(url).expect("an address").query.heartbeat;
        assert_eq!((heartbeat("amqp://host"), heartbeat("amqp://host?heartbeat=0")), (Some(10), Some(0)));
        for wrong in ["http://user:secret@host", "amqp://user:secret@host:port", "secret"] {
            let error = options.address(wrong).expect_err("no address");
            let shown = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[cfg(not(feature = "amqp-tls"))]
    #[test]
    fn an_address_of_tls_needs_its_feature() {
        let refused = AmqpOptions::new().address("amqps://localhost").expect_err("there is no TLS");
        assert!(matches!(refused, CommunicatorError::Broker { .. }), "{refused:?}");
    }

    #[test]
    fn names_are_checked_before_anything_is_sent() {
        let refused = |options: AmqpOptions, wrong: &str| {
            let refused = options.address("amqp://localhost");
            assert!(matches!(refused, Err(CommunicatorError::Identifier { .. })), "{wrong}");
        };
        let (queue, exchange) = ("q".repeat(limits::IDENTIFIER_BYTES), "e".repeat(limits::EXCHANGE_NAME_BYTES));
        let options = AmqpOptions::new().task_queue(&queue).parking_queue(&queue).message_exchange(&exchange);
        assert!(options.task_exchange(&exchange).address("amqp://localhost").is_ok());
        for wrong in ["", "amq.topic", "a.#", "two\nlines", &format!("{queue}q")] {
            refused(AmqpOptions::new().task_queue(wrong), wrong);
            refused(AmqpOptions::new().parking_queue(wrong), wrong);
        }
        for wrong in ["", "amq.topic", "two\r", &format!("{exchange}e")] {
            refused(AmqpOptions::new().task_exchange(wrong), wrong);
            refused(AmqpOptions::new().message_exchange(wrong), wrong);
        }
    }
}
