//! Calls between runtimes without a broker.
//!
//! Each runtime has a [`Uid`] and a mailbox of any [transport](crate::Transport) that has mailboxes:
//! [`TcpTransport`](crate::tcp::TcpTransport), [`LocalTransport`](crate::LocalTransport). One of them is the *registry*: the others shake
//! hands with it, and it tells each of all others, of those who come, and of those who are lost. What they say to one another goes
//! directly. Each serves the [`Methods`] that it has registered, and those of its [objects](Mesh::register), and nothing else.
//!
//! ```
//! use std::sync::Arc;
//! # use procession_transport as transport;
//! use transport::LocalTransport;
//! use transport::mesh::{Caller, MeshBuilder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Arc::new(LocalTransport::new());
//! let monitor = MeshBuilder::new(transport.clone(), "monitor".parse()?).registry().start().await?;
//! let worker = MeshBuilder::new(transport, "worker:0:0".parse()?)
//!     .with_method("add", |_: Caller, (a, b): (i64, i64)| async move { Ok::<_, std::io::Error>(a + b) })
//!     .join(monitor.address())
//!     .await?;
//! let sum: i64 = monitor.call("worker:0:0", "add", &(1, 2)).await?;
//! assert_eq!(sum, 3);
//! worker.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A call ends: with its result, with the error of the method, with the deadline, or as soon as its peer is known to be lost. A call that
//! failed because the peer was lost may have been carried out. Nothing here is durable: what must survive a crash belongs in a store.

pub mod blocking;
mod builder;
mod calls;
mod core;
mod error;
mod events;
#[doc(hidden)]
pub mod fuzz;
mod handle;
mod heart;
mod membership;
mod methods;
mod protocol;
mod table;
mod uid;

pub use self::builder::{Heartbeat, MeshBuilder};
pub use self::error::{MeshError, MeshErrorKind, MeshResult};
pub use self::events::{MeshEvent, MeshEvents};
pub use self::handle::{Mesh, Object, Peer};
pub use self::methods::{Caller, Methods};
pub use self::uid::Uid;
