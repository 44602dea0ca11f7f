//! Plain data to and from channels of plugboard, a library for Python, over ZeroMQ: pipelines that do without its
//! proxy.
//!
//! On this wire a message is two frames, an empty topic and a [pickle], and a channel's end is a certain text in place
//! of an item. Nothing of
//! what is received is executed: a pickle of anything else than [plain data](Plain) is an error. Whoever makes the
//! connector in
//! plugboard binds two sockets at which a sender and its receivers meet; [`PlugboardRendezvous`] is one made here.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use procession_transport as transport;
//! use transport::plugboard::{PlugboardError, PlugboardReceiver, PlugboardRendezvous, PlugboardSender};
//!
//! let rendezvous = PlugboardRendezvous::bind()?;
//! let mut sender = PlugboardSender::<(String, f64)>::connect(rendezvous.sender_address(), 2_000).await?;
//! let mut receiver = PlugboardReceiver::<(String, f64)>::connect(rendezvous.receiver_address(), 2_000).await?;
//! sender.send(&("walltime".to_owned(), 0.5)).await?;
//! assert_eq!(receiver.recv().await?, ("walltime".to_owned(), 0.5));
//! sender.close().await?;
//! assert!(matches!(receiver.recv().await, Err(PlugboardError::Closed)));
//! # Ok(())
//! # }
//! ```

mod de;
mod ends;
pub mod pickle;
mod rendezvous;
mod ser;

pub use self::de::from_plain;
pub use self::ends::{PlugboardReceiver, PlugboardSender};
pub use self::pickle::PickleError;
pub use self::rendezvous::PlugboardRendezvous;
pub use self::ser::to_plain;

use std::fmt;

use crate::TransportError;

/// What closes a channel on this wire (C8); items cannot be this text.
pub const CLOSE: &str = "__PLUGBOARD_CHAN_CLOSE_MSG__";

/// Data without behaviour.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits with a sign.
    Int(i64),
    /// A larger one, of 64 bits without a sign.
    Large(u64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Plain>),
    /// A tuple.
    Tuple(Vec<Plain>),
    /// A dictionary in its order. Where a key is there twice, the last one counts.
    Dict(Vec<(Plain, Plain)>),
}

/// Why a value is not plain data, or plain data not the value that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainError(String);

impl fmt::Display for PlainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlainError {}

impl serde::ser::Error for PlainError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl serde::de::Error for PlainError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Why an item was not exchanged with plugboard.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PlugboardError {
    /// The sender has closed the channel, or this end is closed.
    #[error("the channel is closed")]
    Closed,
    /// The item is the text that closes a channel on this wire.
    #[error("the item is the text that closes a channel on this wire")]
    Sentinel,
    /// What came is no message of such a channel.
    #[error("what came has {frames} frames, not two")]
    Frames {
        /// How many it has.
        frames: usize,
    },
    /// What came was refused, or what was to be sent cannot be written.
    #[error("the item is no pickle of plain data")]
    Pickle(#[from] PickleError),
    /// The item is plain data, but not of its type; or it cannot be plain data.
    #[error("the item is not plain data of its type")]
    Item(#[from] PlainError),
    /// The rendezvous does not take this sender: there is one already.
    #[error("the rendezvous refuses the sender")]
    Refused,
    /// The sockets failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}
