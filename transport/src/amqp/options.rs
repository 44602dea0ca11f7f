//! How to reach the broker.

use std::fmt;
use std::io;
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::{TransportError, TransportResult, limits};

/// How an [`AmqpTransport`](super::AmqpTransport) reaches its broker. Nothing of it that is shown has a password in it.
#[derive(Clone)]
pub struct AmqpOptions {
    url: String,
    heartbeat: Option<Duration>,
    pub(super) connect_within: Duration,
    backoff: (Duration, Duration),
    pub(super) connection_name: Option<String>,
    pub(super) mailbox_prefix: String,
    ca_certificates: Option<String>,
}

impl AmqpOptions {
    /// The broker at an address, `amqp://user:password@host:port/vhost`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            heartbeat: None,
            connect_within: limits::CONNECT,
            backoff: (limits::RECONNECT_LEAST, limits::RECONNECT_MOST),
            connection_name: None,
            mailbox_prefix: "procession.mailbox.".to_owned(),
            ca_certificates: None,
        }
    }

    /// How often broker and client make sure of one another, in whole seconds; without it what the address says, or
    /// [`limits::HEARTBEAT`].
    #[must_use]
    pub fn with_heartbeat(self, every: Duration) -> Self {
        Self { heartbeat: Some(every), ..self }
    }

    /// How long a connection may take.
    #[must_use]
    pub fn with_connect_within(self, within: Duration) -> Self {
        Self { connect_within: within, ..self }
    }

    /// How long to wait before it is tried to connect again: at least and at most.
    #[must_use]
    pub fn with_backoff(self, least: Duration, most: Duration) -> Self {
        let least = least.max(Duration::from_millis(1));
        Self { backoff: (least, most.max(least)), ..self }
    }

    /// What the broker shows its connections as.
    #[must_use]
    pub fn with_connection_name(self, name: impl Into<String>) -> Self {
        Self { connection_name: Some(name.into()), ..self }
    }

    /// What stands before an address in the name of its mailbox's queue. All who post to one another must agree on it.
    #[must_use]
    pub fn with_mailbox_prefix(self, prefix: impl Into<String>) -> Self {
        Self { mailbox_prefix: prefix.into(), ..self }
    }

    /// Trusts these certificates of authorities, too, beside those that the system trusts: in PEM form, one or several.
    #[cfg(feature = "amqp-tls")]
    #[must_use]
    pub fn with_ca_certificates(self, pem: impl Into<String>) -> Self {
        Self { ca_certificates: Some(pem.into()), ..self }
    }

    pub(super) fn tls(&self) -> OwnedTLSConfig {
        OwnedTLSConfig { identity: None, cert_chain: self.ca_certificates.clone() }
    }

    /// The address with what these options say about it.
    pub(super) fn address(&self) -> TransportResult<AMQPUri> {
        // What the parser says may repeat the address, and so a password.
        let mut uri: AMQPUri = self
            .url
            .parse()
            .map_err(|_: String| refused("an address is `amqp://user:password@host:port/vhost`".to_owned()))?;
        if uri.scheme == AMQPScheme::AMQPS && cfg!(not(feature = "amqp-tls")) {
            return Err(refused("`amqps` needs the feature `amqp-tls`".to_owned()));
        }
        if let Some(every) = self.heartbeat {
            uri.query.heartbeat = Some(u16::try_from(every.as_secs()).unwrap_or(u16::MAX).max(1));
        } else if uri.query.heartbeat.is_none() {
            uri.query.heartbeat = u16::try_from(limits::HEARTBEAT.as_secs()).ok();
        }
        Ok(uri)
    }

    /// How long to wait before an attempt, the first being 0: it doubles, and is drawn from its upper half, so that many who lost the
    /// same broker do not come back at once.
    pub(super) fn delay(&self, attempt: u32) -> Duration {
        let (least, most) = self.backoff;
        let whole = least.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(most);
        let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
        let share = f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        whole.mul_f64(0.5 + share / 2.0)
    }
}

/// Where it is, without who one is there.
pub(super) fn place(uri: &AMQPUri) -> String {
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

fn refused(reason: String) -> TransportError {
    TransportError::failed("reading the broker's address", io::Error::new(io::ErrorKind::InvalidInput, reason))
}

impl fmt::Display for AmqpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(uri) => f.write_str(&place(&uri)),
            Err(_) => f.write_str("an address that cannot be read"),
        }
    }
}

impl fmt::Debug for AmqpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpOptions").field("broker", &self.to_string()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        for url in
            ["amqp://user:secret@host:5/vhost", "http://user:secret@host", "amqp://user:secret@host:port", "secret"]
        {
            let options = AmqpOptions::new(url);
            let error = options.address().err();
            let shown = format!("{options} {options:?} {options:#?} {error:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        assert_eq!(AmqpOptions::new("amqp://user:secret@host:5/vhost").to_string(), "host:5");
    }

    #[test]
    fn the_heartbeat_is_what_was_asked_for() {
        let heartbeat = |options: AmqpOptions| options.address().unwrap().query.heartbeat;
        assert_eq!(heartbeat(AmqpOptions::new("amqp://host")), Some(10));
        assert_eq!(heartbeat(AmqpOptions::new("amqp://host?heartbeat=3")), Some(3));
        assert_eq!(
            heartbeat(AmqpOptions::new("amqp://host?heartbeat=3").with_heartbeat(Duration::from_secs(7))),
            Some(7)
        );
    }

    #[test]
    fn the_delay_doubles_up_to_its_most() {
        let (least, most) = (Duration::from_millis(50), Duration::from_secs(5));
        let options = AmqpOptions::new("amqp://host").with_backoff(least, most);
        for attempt in [0, 3, 7, 40, u32::MAX] {
            let whole = least.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(most);
            let delay = options.delay(attempt);
            assert!(delay >= whole / 2 && delay <= whole, "{attempt}: {delay:?}");
        }
    }

    #[cfg(not(feature = "amqp-tls"))]
    #[test]
    fn an_address_of_tls_needs_its_feature() {
        assert!(AmqpOptions::new("amqps://localhost").address().is_err());
    }
}
