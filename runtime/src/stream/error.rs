//! What can go wrong with a stream.

use std::sync::Arc;

use procession_transport::TransportError;

/// Why an item was not sent or received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// What came is not of the port's type: the wire leads to a port of another type. The item is taken out.
    #[error("what came on stream `{port}` is no `{item}`")]
    Malformed {
        /// The port.
        port: &'static str,
        /// The type that was expected.
        item: &'static str,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// What came is not written as JSON: whoever sent it was no process.
    #[error("what came on stream `{port}` is not JSON")]
    NoJson {
        /// The port.
        port: &'static str,
    },
    /// The item cannot be written.
    #[error("an item cannot be written to stream `{port}`")]
    Unwritable {
        /// The port.
        port: &'static str,
        /// Why not.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The process has closed the stream.
    #[error("stream `{port}` is closed")]
    Closed {
        /// The port.
        port: &'static str,
    },
    /// A step sends more than it may.
    #[error("a step sends more {what} than it may, which is {most}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// The process does not tell of the port in [`Spec::streams`](crate::spec::Spec::streams).
    #[error("the process has no stream `{port}`")]
    NoSuchPort {
        /// The port.
        port: &'static str,
    },
    /// A connector cannot be a wire.
    #[error("the connector `{connector}` cannot be a wire: what is published to many is not kept for one")]
    PubSub {
        /// Its id.
        connector: String,
    },
    /// The transport failed, and not for a while only.
    #[error("stream `{port}` failed")]
    Transport {
        /// The port.
        port: &'static str,
        /// How.
        #[source]
        source: TransportError,
    },
}
