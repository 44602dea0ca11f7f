//! What carries data between running processes: one [envelope](Envelope), one [trait](Transport) that each way to
//! carry it implements, and typed [channels](channel) above any of them.
//!
//! A transport has *topics*, which carry items from senders to receivers, and *mailboxes*, to which anyone posts. What a
//! topic and a mailbox keep to is the contract of [`Transport`], a sentence for each property; the `conformance` suite holds
//! every transport to it. Where a transport has not all of it, its [`Capabilities`] say so, and what needs more is refused when
//! it is built.

#[cfg(feature = "amqp")]
mod amqp;
pub mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
mod envelope;
mod error;
#[cfg(test)]
mod fuzzing;
pub mod limits;
mod local;
#[cfg(feature = "mesh")]
pub mod mesh;
#[cfg(all(unix, feature = "plugboard"))]
pub mod plugboard;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "mesh")]
pub mod tcp;
mod transport;
#[cfg(all(unix, feature = "zmq"))]
mod zeromq;

#[cfg(feature = "amqp")]
pub use self::amqp::{AmqpOptions, AmqpTransport};
pub use self::envelope::{Content, Envelope, Kind};
pub use self::error::{Source, TransportError, TransportErrorKind, TransportResult};
pub use self::local::LocalTransport;
pub use self::transport::{Capabilities, Delivery, Inlet, Keeper, Mode, Outlet, Receipt, Taker, Topic, Transport};

#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteTransport, SqliteTransportOptions};
#[cfg(all(unix, feature = "zmq"))]
pub use self::zeromq::{ZmqOptions, ZmqTransport};

/// A future in a box, as the methods of [`Transport`] return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What benchmarks measure against: the same crate in the same version.
#[doc(hidden)]
pub mod __private {
    #[cfg(all(unix, feature = "zmq"))]
    pub use zmq;
}
