//! Every bound of the transports, with its reason.

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
/// How long the host's last words may take, in milliseconds: they are short, and who does not hear them sees its silence.
pub const ZMQ_LAST_WORDS_MS: i32 = 500;
/// Bytes that the kernel keeps of one connection over ZeroMQ on either side, for each envelope of the topic's capacity: they come on top
/// of it, so as few as short messages need.
pub const ZMQ_KERNEL_BYTES_EACH: usize = 256;
/// The least of them: below, the kernel's windows make it slow.
pub const ZMQ_KERNEL_BYTES_MIN: usize = 16 << 10;
/// The most of them: more did not make it faster.
pub const ZMQ_KERNEL_BYTES_MAX: usize = 256 << 10;
/// Bytes of a body from which on it is handed to ZeroMQ, or taken from it, without being copied; below, copying is cheaper.
pub const ZMQ_COPY_BYTES: usize = 4_096;
/// Bytes of a pickle, and of the value that it stands for: as of an envelope's body.
pub const PICKLE_BYTES: usize = 64 << 20;
/// How deep a pickle's value is: deeper than data that people make, and within any stack.
pub const PICKLE_DEPTH: usize = 128;
