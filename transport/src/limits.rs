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
/// How long a member of a shared file may be silent before it is lost: some times what a disk that is busy takes for a flush.
#[cfg(feature = "sqlite")]
pub const SQLITE_LEASE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long another OS process that writes to the file is waited for before what is asked fails: longer than the copy of a long log.
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
/// Queues in one file: each pipeline and mailbox has one, and each subscriber. Their numbers are 20 bits of those of the items.
#[cfg(feature = "sqlite")]
pub const SQLITE_LINES: i64 = 1 << 20;
