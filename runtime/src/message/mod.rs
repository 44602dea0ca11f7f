//! What travels between processes, workers and controllers: values, and the bodies built of them.
//!
//! [`Node`] is a value of a message. [`encode`] and [`decode`] turn it into the bytes that a Python peer reads and
//! writes. [`Intent`], [`TaskBody`], [`ReplyBody`] and [`Broadcast`] are the bodies of the protocol, each with its way to and
//! from a [`Node`]; [`TaskEnvelope`] is round each task.
//!
//! # What is read
//! All that `yaml.load(…, Loader=yaml.FullLoader)` of PyYAML 6 reads, as the same values, for that is how kiwipy reads: YAML 1.1,
//! where `yes` is true, `017` is fifteen, `1:30` is ninety and `1e16` is a text; with anchors, merges, folding, tags and keys that
//! are no texts. The last of several equal keys counts. Beyond that:
//!
//! - An object that only Python can make stays a value under its tag, where `FullLoader` refuses it.
//! - A UUID may be `!uuid`, or `!!python/object:uuid.UUID`, as plumpy wrote it before 0.25.
//! - A pair of surrogates, as JSON writes characters beyond U+FFFF, is one character; half a pair is U+FFFD.
//!
//! # What is written
//! JSON, which is YAML where a few rules are kept: every text is in double quotes, floats have a point and a sign in the exponent
//! (`1.0e+16`, `.inf`), characters that YAML takes for line breaks or refuses are escaped as it escapes them, and keys beyond what
//! PyYAML searches for a `:` are announced by `?`. Tagged values are written under their tags, a UUID as `!uuid "…"`.
//!
//! ```
//! # use procession_runtime::message::{decode, encode, Node};
//! let node = decode(b"inputs: {a: 0x1F, b: &b [1.5, ~]}\nagain: *b\n")?;
//! assert_eq!(encode(&node)?, br#"{"inputs": {"a": 31, "b": [1.5, null]}, "again": [1.5, null]}"#);
//! # Ok::<(), procession_runtime::message::MessageError>(())
//! ```
//!
//! # Where it ends
//! A message has at most [`BODY_BYTES`](crate::limits::BODY_BYTES), [`BODY_NODES`](crate::limits::BODY_NODES) values and
//! [`BODY_DEPTH`](crate::limits::BODY_DEPTH) levels, its aliases expanded; an integer 4,300 digits, as in Python. More than that is a
//! [`MessageError`], and so is a second document, a list as a key, and a mapping that contains itself.
//!
//! The rules come from PyYAML's own source, and are held against it: by messages that plumpy and kiwipy made, by random values in both
//! directions, and by messages changed at random (`cargo xtask fuzz`).

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
