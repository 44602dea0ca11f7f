//! Every bound of the transports, with its reason.

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
/// Items that the only receiver of a local topic takes at once: the lock is then no more than some hundredth of the
/// work.
pub const BATCH: usize = 64;
/// Envelopes that wait at a mailbox: more than a peer has reason to send before it waits for an answer.
pub const MAILBOX: usize = 1_024;
/// Numbers above the lowest missing one that a receiver remembers of a sender: as far as receivers that share a topic
/// run
/// ahead of one another.
pub const SEEN_AHEAD: usize = 65_536;
/// Senders that a receiver remembers; the one not heard from for longest is forgotten first.
pub const SEEN_SENDERS: usize = 4_096;
/// Topics of a local transport that someone has open, or in which something waits for a receiver that never came: more
/// are
/// forgotten ones.
pub const TOPICS: usize = 100_000;
/// Envelopes of one outlet that a broker has not confirmed: as many as keep it busy.
pub const UNCONFIRMED: usize = 1_024;
/// Envelopes that a broker has on the way to one receiver: half of a topic's capacity, and no more than this, which
/// keeps a receiver
/// busy.
pub const PREFETCH: u16 = 500;
/// Acknowledgements that are sent together: most of their cost is the frame.
pub const ACKS: usize = 100;
/// How often the capacity fits into what a broker takes of a pipeline: its senders keep to the capacity by asking how
/// much waits, and only
/// what is given back, or sent by many at the same moment, comes on top. A broker that refuses in the midst would spoil
/// the order.
pub const QUEUE_SLACK: usize = 4;
/// Posts to mailboxes that a transport has on the way at once; each has a channel of the broker to itself.
pub const POSTS: usize = 16;
/// Receivers and senders that a subscriber of a broker tells apart at once; the number of its next message is forgotten
/// for others.
pub const PUBLISHERS: usize = 4_096;
/// How long a connection to a broker may take: seconds where it starts, and no longer than a person waits.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long anything may take that a broker answers at once; it is lost otherwise.
pub const ANSWER: Duration = Duration::from_secs(30);
/// How often broker and client make sure of one another: a connection lost in silence is noticed after two to three of
/// them.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long it waits at least before it connects again: a broker that only closed the connection is back at once.
pub const RECONNECT_LEAST: Duration = Duration::from_millis(50);
/// And at most: a broker that starts is found soon enough.
pub const RECONNECT_MOST: Duration = Duration::from_secs(5);
/// How long a sender waits at most before it asks again whether there is room: less is noticed by the broker, more by
/// the sender.
pub const ROOM: Duration = Duration::from_millis(50);
/// How long acknowledgements gather at most, where nobody waits for anything.
pub const GATHER: Duration = Duration::from_millis(2);
/// How long what is not lasting stays at a broker when nobody uses it: as long as one may take to come back after a
/// crash.
pub const UNUSED: Duration = Duration::from_secs(30 * 60);
/// How often an open end says that it uses what is not lasting; well below [`UNUSED`].
pub const USED: Duration = Duration::from_secs(5 * 60);
/// How long what was sent is waited for when its outlet or transport ends: the time of some round trips on a busy
/// machine.
pub const LEAVE: Duration = Duration::from_secs(5);
/// A connection that lasted less is not made again at once: it may be lost as often.
pub const SHORT: Duration = Duration::from_secs(1);
/// How often in turn a broker closes a channel for what is sent before the outlet gives up: once may be for another reason.
pub const STRIKES: u32 = 3;
/// How long what the broker refuses after a lost connection is tried again: it takes some heartbeats to see that the old one is gone, and
/// to start.
pub const RECLAIM: Duration = Duration::from_secs(60);
/// How long an inlet that is to be alone waits for what a lost one had: its broker is about to put it back.
pub const ALONE: Duration = Duration::from_secs(1);
/// How long what was sent before an outlet was dropped goes on looking for room, and for a connection.
pub const LINGER: Duration = Duration::from_secs(60);
/// Frames of a message at a rendezvous over ZeroMQ that are looked at: its sender, an empty one, the request.
pub const ZMQ_FRAMES: usize = 3;
/// Bytes of a request at a rendezvous over ZeroMQ: names and addresses, with room to spare.
pub const ZMQ_REQUEST_BYTES: i64 = 64 << 10;
/// Messages that wait for a member at the host of a rendezvous; a member with more of them is taken for lost.
pub const ZMQ_TOLD: i32 = 16_384;
/// Members at one rendezvous: as many connections as an OS process has room for.
pub const ZMQ_MEMBERS: usize = 4_096;
/// Ends that one member has open: each is a socket or more of its own.
pub const ZMQ_ENDS: usize = 4_096;
/// Topics at one rendezvous, those included in which only an end waits.
pub const ZMQ_TOPICS: usize = 65_536;
/// Requests of one member that are on their way to the host; whoever asks more waits.
pub const ZMQ_REQUESTS: usize = 64;
/// Addresses that a transport over ZeroMQ keeps a connection to; beyond that one that nobody uses is closed.
pub const ZMQ_POSTS: usize = 1_024;
/// How long the host's last words may take, in milliseconds: they are short, and who does not hear them sees its
/// silence.
pub const ZMQ_LAST_WORDS_MS: i32 = 500;
/// Bytes that the kernel keeps of one connection over ZeroMQ on either side, for each envelope of the topic's capacity:
/// they come on top
/// of it, so as few as short messages need.
pub const ZMQ_KERNEL_BYTES_EACH: usize = 256;
/// The least of them: below, the kernel's windows make it slow.
pub const ZMQ_KERNEL_BYTES_MIN: usize = 16 << 10;
/// The most of them: more did not make it faster.
pub const ZMQ_KERNEL_BYTES_MAX: usize = 256 << 10;
/// Bytes of a body from which on it is handed to ZeroMQ, or taken from it, without being copied; below, copying is
/// cheaper.
pub const ZMQ_COPY_BYTES: usize = 4_096;
/// Bytes of a pickle, and of the value that it stands for: as of an envelope's body.
pub const PICKLE_BYTES: usize = 64 << 20;
/// How deep a pickle's value is: deeper than data that people make, and within any stack.
pub const PICKLE_DEPTH: usize = 128;
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
/// Frames that callers write to a TCP connection themselves before anything comes back; further ones are written
/// together.
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
/// Handlers that a mesh runs at once, unless it is told otherwise: more is refused as busy, so no caller fills a peer's
/// memory.
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
/// How long a member of a shared file may be silent before it is lost: some times what a disk that is busy takes for a
/// flush.
#[cfg(feature = "sqlite")]
pub const SQLITE_LEASE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long another OS process that writes to the file is waited for before what is asked fails: longer than the copy
/// of a long log.
#[cfg(feature = "sqlite")]
pub const SQLITE_BUSY: std::time::Duration = std::time::Duration::from_secs(5);
/// Openings and posts that wait for the writer of a file at once; more of them wait for a place.
#[cfg(feature = "sqlite")]
pub const SQLITE_CALLS: usize = 4_096;
/// Bytes of envelopes of a topic that wait for the writer: what a quick disk takes in about a second.
#[cfg(feature = "sqlite")]
pub const SQLITE_QUEUE_BYTES: usize = 64 << 20;
/// Items that the only receiver of a topic takes out of the file at once: what a sender flushes together is then taken in one
/// transaction, seldom in two.
#[cfg(feature = "sqlite")]
pub const SQLITE_BATCH: usize = 128;
/// Bytes of envelopes that a receiver takes out of the file ahead; one is taken, however large.
#[cfg(feature = "sqlite")]
pub const SQLITE_BATCH_BYTES: usize = 4 << 20;
/// Queues in one file: each pipeline and mailbox has one, and each subscriber. Their numbers are 20 bits of those of
/// the items.
#[cfg(feature = "sqlite")]
pub const SQLITE_LINES: i64 = 1 << 20;
