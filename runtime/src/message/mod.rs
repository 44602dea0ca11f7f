//! What travels between processes, workers and controllers: values, and the bodies built of them.
//!
//! [`Node`] is a value of a message. [`encode`] and [`decode`] turn it into the bytes that a Python peer reads and
//! writes: YAML, of which JSON is nearly a part. [`Intent`], [`TaskBody`], [`ReplyBody`] and [`Broadcast`] are the bodies of the
//! protocol, each with its way to and from a [`Node`].

mod broadcast;
mod error;
#[cfg(test)]
mod fuzz;
mod intent;
mod node;
mod python;
mod read;
mod reply;
mod task;
mod write;

pub use broadcast::Broadcast;
pub use error::MessageError;
pub use intent::Intent;
pub use node::{Node, STANDARD, Tagged, UUID};
pub use read::decode;
pub use reply::{Host, ReplyBody};
pub use task::{Create, TaskBody, TaskEnvelope};
pub use write::encode;
