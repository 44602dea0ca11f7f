//! How a transport over ZeroMQ is made.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::ZmqTransport;
use crate::{TransportError, TransportResult};

/// How to host a rendezvous, or to join one.
#[derive(Debug, Clone)]
pub struct ZmqOptions {
    pub(super) endpoint: String,
    pub(super) interface: IpAddr,
    pub(super) silence: Duration,
    pub(super) patience: Duration,
    pub(super) linger: Duration,
}

impl ZmqOptions {
    /// For the rendezvous at an endpoint, `tcp://127.0.0.1:5570` say. To host one, the port may be `*`: then it is one
    /// that is free.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            interface: Ipv4Addr::LOCALHOST.into(),
            silence: Duration::from_secs(10),
            patience: Duration::from_secs(10),
            linger: Duration::from_secs(5),
        }
    }

    /// Where inlets are bound, and reached by the other members; 127.0.0.1 by default, so that nobody outside of this
    /// machine reaches
    /// them (C37 cured). Nothing of what is carried is encrypted, and nobody is asked who they are: another interface
    /// is for networks
    /// on which everyone is trusted, and for data alone: a [mesh](crate::mesh) over it is refused.
    #[must_use]
    pub fn with_interface(self, interface: IpAddr) -> Self {
        Self { interface, ..self }
    }

    /// How long the host and a member may be silent until they are taken for lost, as the host says; 10 s by default.
    /// They speak four
    /// times as often.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Self {
        Self { silence: silence.max(Duration::from_millis(40)), ..self }
    }

    /// How long the host is waited for when joining; 10 s by default.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How long a close waits for what is still to be sent; 5 s by default.
    #[must_use]
    pub fn with_linger(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// Binds the rendezvous, and takes part in it.
    ///
    /// # Errors
    ///
    /// As of [`ZmqTransport::host`].
    pub async fn host(self) -> TransportResult<ZmqTransport> {
        self.check(true)?;
        ZmqTransport::start(self, true).await
    }

    /// Takes part in the rendezvous that another transport hosts, in this or another OS process.
    ///
    /// # Errors
    ///
    /// As of [`ZmqTransport::join`].
    pub async fn join(self) -> TransportResult<ZmqTransport> {
        self.check(false)?;
        ZmqTransport::start(self, false).await
    }

    /// Whether these can be used. A host is on the loopback interface unless it is told of another.
    fn check(&self, hosts: bool) -> TransportResult<()> {
        let wrong = |what, name: &dyn ToString, reason: &str| {
            Err(TransportError::Name { name: name.to_string(), what, reason: reason.to_owned() })
        };
        if self.interface.is_unspecified() || self.interface.is_multicast() {
            return wrong("an interface", &self.interface, "others do not reach it under this address");
        }
        let place = self.endpoint.strip_prefix("tcp://").and_then(|place| place.rsplit_once(':'));
        let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
            return wrong("an endpoint", &self.endpoint, "one is `tcp://` and an address, `:` and a port");
        };
        if !(hosts && port == "*") && port.parse::<u16>().map_or(true, |port| port == 0) {
            return wrong("an endpoint", &self.endpoint, "its port is none");
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if hosts && self.interface.is_loopback() && !host.is_ok_and(|host| host.is_loopback()) {
            let reason = "it is not a loopback address, and no other interface was allowed: see `with_interface`";
            return wrong("an endpoint", &self.endpoint, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TransportErrorKind;

    #[test]
    fn what_is_bound_is_on_this_machine_unless_it_is_said_otherwise() {
        let host = |endpoint: &str| ZmqOptions::new(endpoint).check(true).map_err(|error| error.kind());
        let invalid = Err(TransportErrorKind::Invalid);
        for endpoint in ["tcp://127.0.0.1:*", "tcp://127.0.0.1:5570", "tcp://[::1]:5570"] {
            assert_eq!(host(endpoint), Ok(()), "{endpoint}");
        }
        for endpoint in [
            "tcp://*:5570",
            "tcp://0.0.0.0:*",
            "tcp://192.0.2.1:5570",
            "tcp://eth0:1",
            "tcp://127.0.0.1:0",
            "tcp://:1",
            "tcp://127.0.0.1:65536",
            "ipc:///tmp/a",
            "inproc://a",
            "tcp://127.0.0.1",
            "127.0.0.1:1",
            "",
        ] {
            assert_eq!(host(endpoint), invalid, "{endpoint}");
        }
        let open = ZmqOptions::new("tcp://192.0.2.1:5570").with_interface(Ipv4Addr::new(192, 0, 2, 1).into());
        assert!(open.check(true).is_ok());
        let nowhere = ZmqOptions::new("tcp://127.0.0.1:1").with_interface(Ipv4Addr::UNSPECIFIED.into());
        assert!(nowhere.check(true).is_err());
        assert!(ZmqOptions::new("tcp://127.0.0.1:*").check(false).is_err(), "no one port to join");
    }
}
