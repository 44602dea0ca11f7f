//! Every bound of this transport, with its reason.

use std::time::Duration;

/// Items that go to or come from the actor in one call: a call takes some milliseconds, whatever it carries.
pub const BATCH: usize = 256;
/// Bytes of the items of one call, unless a single item has more: what Ray moves without the calls of others waiting
/// for it.
pub const BATCH_BYTES: usize = 4 << 20;
/// Items that a sender holds on their way to the actor, on top of the topic's capacity; no more than the capacity
/// itself. Twice a batch: one is under way while the next gathers.
pub const WINDOW: usize = 2 * BATCH;
/// Bytes of the items that a sender holds on their way, but for the last one.
pub const WINDOW_BYTES: usize = 2 * BATCH_BYTES;
/// Calls of one transport that wait for its thread: more means that Python does not keep up, and who calls waits.
pub const CALLS: usize = 256;
/// Calls that wait in one actor: two for each end of a topic, of which there are far fewer.
pub const ACTOR_CALLS: usize = 10_000;
/// How long an end may be silent until the actor takes its process for lost. Longer than a process stands still under
/// load.
pub const LEASE: Duration = Duration::from_secs(45);
/// The shortest lease: a call takes its time, and the actor looks once a second.
pub const LEASE_MIN: Duration = Duration::from_secs(3);
/// How long the actor may take to answer, beyond what it was asked to wait: a worker that starts imports Ray first.
pub const ANSWER: Duration = Duration::from_secs(60);
/// How long it takes to join a cluster: Ray itself tries a dead one for minutes.
pub const CONNECT: Duration = Duration::from_secs(60);
/// How long a connection to the address of the cluster may take before it is joined.
pub const REACH: Duration = Duration::from_secs(5);
/// How long a topic is asked for whose actor is about to go, before it is taken for lost.
pub const OPEN: Duration = Duration::from_secs(30);
/// The pause between two such requests.
pub const OPEN_PAUSE: Duration = Duration::from_millis(20);
