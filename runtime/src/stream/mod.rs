//! Streams between processes: typed ports through which they hand one another items while they run.
//!
//! `spec!` declares them, `stream in texts: String;` and `stream out lines: String;`. Both are inputs of the process, whose values
//! are [`Wire`]s: the two ends of one wire are joined. What steps do with them is on [`Cx`](crate::Cx):
//!
//! - [`cx.send(Self::lines, item)`](crate::Cx::send) sends when the step is committed, [`cx.close(Self::lines)`](crate::Cx::close) ends.
//! - [`cx.receive(Self::texts)`](crate::Cx::receive) lets the process wait for an item after the step, without a slot;
//!   the step after takes it with [`cx.received(Self::texts)`](crate::Cx::received).
//!
//! What this keeps to:
//!
//! - An item is sent if its step is committed, and not otherwise. It is numbered, and kept with the process until the transport
//!   has it; after a crash what is kept is sent again under its number, and the receiver drops what it knows.
//! - Received items are stored with the receiver's boundary, and acknowledged after it: a step that runs again sees the same items, and
//!   none comes a second time. What was not stored comes again.
//! - A process that ends, however it ends, closes what it sends on: its receivers get what was sent, and then the end. Unless it is
//!   killed, it waits for the transport to take all of it first.
//! - A sender waits, without a slot, while more than [some items](crate::limits::STREAM_AHEAD) are on their way into a full topic.
//! - What one process sends comes in its order, also where its receiver is killed and goes on elsewhere.
//!
//! A wire has one receiver at a time, and as many senders as [it is told](Wire::with_senders). What is in a topic is as safe as the
//! [transport](crate::RuntimeBuilder::channels) makes it. A SQLite store brings one along that is as safe as itself; with another store
//! that outlives the OS process, a runtime that has processes with streams wants to be given one.

mod error;
mod leaving;
mod port;
mod state;
mod step;

pub use self::error::StreamError;
pub use self::port::{Carries, Incoming, Outgoing, Stream, StreamItem, Wire, Wired};

pub(crate) use self::leaving::Out;
pub(crate) use self::port::Line;
pub(crate) use self::state::{Came, In, Saved, Streams, Wanted};
