//! Typed channels between running processes, over any [transport](Transport).
//!
//! A [`ConnectorSpec`] says which [sockets](Socket) are joined and how; a [`ConnectorBuilder`] makes [`Connector`]s of such
//! specs over one transport; [`Connector::connect_send`] and [`Connector::connect_recv`] are the two ends.
//!
//! ```
//! use std::sync::Arc;
//! # use procession_transport as transport;
//! use transport::LocalTransport;
//! use transport::channel::{ChannelError, ConnectorBuilder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = ConnectorBuilder::new(Arc::new(LocalTransport::new()));
//! let connector = builder.build::<u32>(&"reader.lines..counter.texts".parse()?)?;
//! let mut sender = connector.connect_send().await?;
//! let mut receiver = connector.connect_recv().await?;
//! sender.send(1).await?;
//! sender.close().await?;
//! assert_eq!(receiver.recv().await?, 1);
//! assert!(matches!(receiver.recv().await, Err(ChannelError::Closed { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! Over a [local transport](crate::LocalTransport) the items of a pipeline are carried as they are; otherwise they are written as JSON.

mod connector;
mod error;
mod merged;
mod receiver;
mod seen;
mod sender;
mod socket;
mod spec;

pub use self::connector::{BuildError, Connector, ConnectorBuilder, job_id};
pub use self::error::{ChannelError, ChannelErrorKind, ChannelResult};
pub use self::merged::Merged;
pub use self::receiver::{Item, Receiver};
pub use self::seen::Seen;
pub use self::sender::Sender;
pub use self::socket::Socket;
pub use self::spec::{ConnectorSpec, SpecError};
#[doc(no_inline)]
pub use crate::{Mode, Transport};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What channels carry: anything that can be written and read. Implemented for all such types.
pub trait Carried: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Carried for T {}
