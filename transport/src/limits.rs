//! Every bound of the transports, with its reason.

#[cfg(feature = "mesh")]
use std::time::Duration;

/// Items that a topic holds for its receivers, unless it is told otherwise: enough that a sender and a receiver on two
/// cores seldom wait for one another, few enough to be kept in memory.
pub const CAPACITY: usize = 1_024;
/// The largest capacity of a topic: more than that belongs in a store.
pub const CAPACITY_MAX: usize = 1 << 20;
/// Bytes of an envelope with its body: brokers of the field refuse 128 MiB and more.
pub const ENVELOPE_BYTES: usize = 64 << 20;
/// Bytes of the name of a sender and of a subject: short names, which stand in every envelope.
pub const NAME_BYTES: usize = 1_024;
/// Bytes of the name of a topic and of an address: a broker's names have 255 bytes, of which it adds some.
pub const TOPIC_BYTES: usize = 200;
/// Headers of an envelope: what traces need, not data.
pub const HEADERS: usize = 32;
/// Bytes of a header's name and of its value.
pub const HEADER_BYTES: usize = 4_096;
/// Items that the only receiver of a local topic takes at once: the lock is then no more than some hundredth of the work.
pub const BATCH: usize = 64;
/// Envelopes that wait at a mailbox: more than a peer has reason to send before it waits for an answer.
pub const MAILBOX: usize = 1_024;
/// Numbers above the lowest missing one that a receiver remembers of a sender: as far as receivers that share a topic run
/// ahead of one another.
pub const SEEN_AHEAD: usize = 65_536;
/// Senders that a receiver remembers; the one not heard from for longest is forgotten first.
pub const SEEN_SENDERS: usize = 4_096;
/// Topics of a local transport that someone has open, or in which something waits for a receiver that never came: more are
/// forgotten ones.
pub const TOPICS: usize = 100_000;
/// Bytes of a frame on a TCP connection: the largest envelope, and its head and address.
#[cfg(feature = "mesh")]
pub const FRAME_BYTES: usize = ENVELOPE_BYTES + (2 << 20);
/// Bytes of a frame of a TCP handshake: a key and an address; nobody is authenticated yet.
#[cfg(feature = "mesh")]
pub const HANDSHAKE_BYTES: usize = 1_024;
/// TCP connections of one transport, unless it is told otherwise: a file descriptor and some buffers each.
#[cfg(feature = "mesh")]
pub const TCP_CONNECTIONS: usize = 1_024;
/// Bytes that wait to be written to one TCP connection before those who post wait: some round trips of a fast network.
#[cfg(feature = "mesh")]
pub const TCP_QUEUE_BYTES: usize = 4 << 20;
/// Bytes that are read from a TCP connection at once: a system call is then a small part of what is done with them.
#[cfg(feature = "mesh")]
pub const TCP_READ_BYTES: usize = 64 << 10;
/// Frames that callers write to a TCP connection themselves before anything comes back; further ones are written together.
#[cfg(feature = "mesh")]
pub const TCP_DIRECT: u8 = 2;
/// Names of mailboxes that a TCP connection remembers of the other side; then it asks anew.
#[cfg(feature = "mesh")]
pub const TCP_NAMES: usize = 4_096;
/// Pairs of a mailbox and one it had traffic with that a TCP connection remembers to tell them of its loss.
#[cfg(feature = "mesh")]
pub const TCP_TRAFFIC: usize = 4_096;
/// How long closing a TCP transport waits for what is still to be written.
#[cfg(feature = "mesh")]
pub const TCP_CLOSING: Duration = Duration::from_secs(2);
/// How long another runtime may take to say whether it has a mailbox.
#[cfg(feature = "mesh")]
pub const TCP_ASKING: Duration = Duration::from_secs(10);
/// Runtimes that a mesh knows: each of them is told of each other.
#[cfg(feature = "mesh")]
pub const MESH_PEERS: usize = 4_096;
/// Calls that a mesh waits for at once, unless it is told otherwise.
#[cfg(feature = "mesh")]
pub const MESH_CALLS: usize = 65_536;
/// Handlers that a mesh runs at once, unless it is told otherwise: more is refused as busy, so no caller fills a peer's memory.
#[cfg(feature = "mesh")]
pub const MESH_HANDLERS: usize = 1_024;
/// Handshakes and other work on its membership that a mesh does at once, beside its handlers.
#[cfg(feature = "mesh")]
pub const MESH_CHORES: usize = 256;
/// Events of a mesh that wait for one who listens; then the oldest are missed, and it is told how many.
#[cfg(feature = "mesh")]
pub const MESH_EVENTS: usize = 1_024;
/// Bytes of the text of an error that goes back to a caller: what a person reads.
#[cfg(feature = "mesh")]
pub const MESH_TEXT_BYTES: usize = 4_096;
/// Methods and objects a mesh takes: names that people wrote, or ids of what it serves.
#[cfg(feature = "mesh")]
pub const MESH_OBJECTS: usize = 1 << 20;
