//! What a TCP transport can be told.

use std::fmt;
use std::time::Duration;

use crate::{TransportError, TransportResult, limits};

/// What all runtimes of a network share, and nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// 32 bytes from a source of random ones; a phrase that people can remember is no key.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Of 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
    ///
    /// # Errors
    ///
    /// [`Refused`](TransportError::Refused) where the text is something else; it is not in the error.
    pub fn from_hex(text: &str) -> TransportResult<Self> {
        let digits: Option<Vec<u8>> =
            text.trim().chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let bytes = digits.filter(|digits| digits.len() == 64).map(|digits| {
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
                *byte = pair[0] << 4 | pair[1];
            }
            bytes
        });
        let refused =
            || TransportError::Refused { what: "a key", reason: "it is not 64 hexadecimal digits".to_owned() };
        bytes.map(Self).ok_or_else(refused)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows nothing of it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// How a connection that cannot be made, or was lost, is made anew by who posts next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// So often it is tried for one envelope.
    pub attempts: u32,
    /// So long it waits after the first attempt; then twice as long each time.
    pub first: Duration,
    /// It waits no longer than this.
    pub longest: Duration,
}

impl Default for Reconnect {
    /// Three attempts within a fifth of a second: one who was killed is known as such soon.
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_millis(50), longest: Duration::from_secs(2) }
    }
}

impl Reconnect {
    /// How long it waits after so many attempts.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX)).min(self.longest)
    }
}

/// What a [`TcpTransport`](super::TcpTransport) is made with.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    pub(super) bind: String,
    pub(super) advertise: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) reconnect: Reconnect,
    pub(super) connect_deadline: Duration,
    pub(super) handshake_deadline: Duration,
    pub(super) keepalive: Duration,
    pub(super) connections: usize,
    pub(super) queue_bytes: usize,
}

impl Default for TcpOptions {
    /// A free port of this machine, that only this machine reaches, without a key.
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:0".to_owned(),
            advertise: None,
            key: None,
            reconnect: Reconnect::default(),
            connect_deadline: Duration::from_secs(5),
            handshake_deadline: Duration::from_secs(5),
            keepalive: Duration::from_secs(15),
            connections: limits::TCP_CONNECTIONS,
            queue_bytes: limits::TCP_QUEUE_BYTES,
        }
    }
}

impl TcpOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens at `host:port`; with port 0 at a free one. Beyond the loopback interface only with a [key](Self::with_key).
    #[must_use]
    pub fn with_bind(self, address: impl Into<String>) -> Self {
        Self { bind: address.into(), ..self }
    }

    /// Where others reach it, `host:port`, if that is not where it listens; port 0 is the port it listens at.
    #[must_use]
    pub fn with_advertised(self, address: impl Into<String>) -> Self {
        Self { advertise: Some(address.into()), ..self }
    }

    /// Connections are encrypted, and made only with those who have the same key.
    #[must_use]
    pub fn with_key(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// How lost connections are made anew.
    #[must_use]
    pub fn with_reconnect(self, reconnect: Reconnect) -> Self {
        Self { reconnect, ..self }
    }

    /// How long one attempt to connect may take; 5 seconds by default.
    #[must_use]
    pub fn with_connect_deadline(self, connect_deadline: Duration) -> Self {
        Self { connect_deadline, ..self }
    }

    /// How long the other side may take for its part of the handshake; 5 seconds by default.
    #[must_use]
    pub fn with_handshake_deadline(self, handshake_deadline: Duration) -> Self {
        Self { handshake_deadline, ..self }
    }

    /// After so much silence the system asks whether the other machine is there, and after as much again three times gives it up; 15
    /// seconds by default.
    #[must_use]
    pub fn with_keepalive(self, keepalive: Duration) -> Self {
        Self { keepalive, ..self }
    }

    /// So many connections, made and accepted together; [`limits::TCP_CONNECTIONS`] by default.
    #[must_use]
    pub fn with_connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// So many bytes wait for each connection before those who post wait; [`limits::TCP_QUEUE_BYTES`] by default.
    #[must_use]
    pub fn with_queue_bytes(self, queue_bytes: usize) -> Self {
        Self { queue_bytes, ..self }
    }
}
