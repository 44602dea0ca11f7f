//! Every bound of the runtime, with its reason.

use std::time::Duration;

/// Steps that a volatile process runs before it lets others run: a yield costs as much as some twenty steps.
pub const STEPS_PER_TURN: u32 = 64;
/// Steps that a volatile process runs before it gives its slot to others that wait for one.
pub const STEPS_PER_BURST: u32 = 4_096;
/// How deep JSON values of ports and results may be nested: the parser stops at 128, and they stand in others.
pub const JSON_DEPTH: usize = 100;
/// Rounds of a loop in an outline without any step: nothing can change in them, so more would never end.
pub const ROUNDS_WITHOUT_STEP: u32 = 1_000;
/// Processes that run a step at the same time: enough to fill a group commit, few enough to keep their contexts in memory.
pub const CONCURRENT: usize = 1_024;
/// Waiting processes that are kept in memory; others are loaded again when their wait ends. At about 1 KiB each.
pub const RESIDENT: usize = 100_000;
/// Ended processes of a runtime without a store that are still found by their key.
pub const VOLATILE_KEYS: usize = 10_000;
/// Commits that may queue at a store: as many as processes that run, and some for control.
pub const COMMIT_QUEUE: usize = 4_096;
/// Records read at once when unfinished processes are found at start: a few MiB.
pub const SCAN_PAGE: usize = 1_000;
/// How often requests of other OS processes are looked for: what a person feels as at once.
pub const REQUEST_POLL: Duration = Duration::from_millis(100);
/// How long a sleep trusts the system's clock not to be set.
pub const CLOCK_RECHECK: Duration = Duration::from_secs(60);
/// How long a shutdown waits for steps that run.
pub const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long a call to a store waits for others who use it: far more than any of their calls takes, unless they were
/// stopped, and no longer than a person waits for an answer.
pub const BUSY: Duration = Duration::from_secs(5);
/// Transitions of a process that a store keeps by default: enough to see what happened, bounded for loops.
pub const HISTORY: u64 = 1_000;
/// Lines of report that a store keeps of a process by default.
pub const REPORTS: u64 = 1_000;
/// Transitions of a process that a store in files keeps by default: each boundary writes all of them.
pub const FILE_HISTORY: u64 = 100;
/// Lines of report that a store in files keeps of a process by default.
pub const FILE_REPORTS: u64 = 100;
/// Snapshots of a process: each is a whole copy of it.
pub const SNAPSHOTS: usize = 100;
/// How often a process is read anew, where it changed while it was exported: more than that, and it changes all the time.
pub const EXPORT_TRIES: u32 = 10;
/// Bytes of a snapshot's tag: a name for people, which stands in listings.
pub const TAG_BYTES: usize = 256;
/// Replies that one process may owe: more than anyone has reason to wait for it from elsewhere.
pub const OWED: usize = 100;
/// Bytes of an owed reply's id and address: an address is three short names.
pub const OWED_BYTES: usize = 64 << 10;
/// Requests that may wait at one process: more than anyone asks in earnest.
pub const MAIL: usize = 1_024;
/// Processes whose rows the writer of a SQLite store remembers: as many as are kept in memory, at about 150 bytes each.
pub const KNOWN_PROCESSES: usize = RESIDENT;
/// Connections of a SQLite store that read at the same time: reading is bound by the processor, and few have more to
/// spare than this beside the steps.
pub const READERS: usize = 4;
/// Bytes of a process's texts in one boundary: SQLite takes 1 GB in a row, with what stands beside them.
pub const RECORD_BYTES: usize = 900_000_000;
/// Listeners that are stored with one process: they are told one after the other at each transition.
pub const LISTENERS: usize = 100;
/// Cleanups that a process may have: they run one after the other when it ends.
pub const CLEANUPS: usize = 1_000;
/// Futures that run beside the steps of one process: each is a task.
pub const CALLS: usize = 1_000;
/// How long a message may take until it is on its way: long enough for a broker that restarts.
pub const SEND: Duration = Duration::from_secs(30);
/// How long a reply to a call is waited for: a pause and a kill wait for the step that runs.
pub const RPC_REPLY: Duration = Duration::from_secs(600);
/// How long a reply to a task is waited for: as long as a task may wait in its queue.
pub const TASK_REPLY: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often the other side may say that its reply follows: each unfinished attempt of a task is one more.
pub const REPLY_LEVELS: u32 = 1_000;
/// How long a task that every subscriber rejected is held before it goes back: it may be for another worker, and this
/// one would get it again at once.
pub const REJECTED: Duration = Duration::from_secs(1);
/// Bytes of an identifier, and of the name of a task queue: with `[rpc].` before it, it is a routing key, which has at most 255.
pub const IDENTIFIER_BYTES: usize = 240;
/// Bytes of a message's body: far more than inputs that are sent by message should have.
pub const BODY_BYTES: usize = 64 << 20;
/// Values in the body of a message, aliases expanded: a body of a few bytes can stand for billions.
pub const BODY_NODES: usize = 4_000_000;
/// How deep the values in the body of a message may be nested.
pub const BODY_DEPTH: usize = JSON_DEPTH;
/// Transitions that wait to be told over a communicator: a minute of a busy runtime, at about 40 bytes each. Beyond,
/// the oldest are dropped; those that are stored are told by whoever takes over.
pub const TRANSITIONS: usize = 65_536;
/// Transitions that are told before it is looked who may leave: enough to make the look cheap.
pub const TRANSITIONS_BATCH: usize = 256;
/// Processes whose subscriptions are made or removed at the same time: each is a round trip to the broker.
pub const SUBSCRIBING: usize = 256;
/// How long a launch waits until its process can be reached: more than a broker takes that is there, and no longer
/// than a launch may be delayed by one that is not.
pub const REACHABLE: Duration = Duration::from_secs(1);
/// How long the answer to a call waits for what was to be told before it.
pub const TOLD: Duration = Duration::from_secs(5);
/// How long after a subscription failed it is tried again.
pub const RESUBSCRIBE: Duration = Duration::from_secs(1);
/// How long a shutdown waits until its subscriptions are removed.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// Requests of one broadcast that are filed at the same time: a store takes them together.
pub const FILING: usize = 256;
/// Tasks that wait in the queues of a communicator in this process: they are in memory, at about 500 bytes each and
/// their bodies.
pub const TASKS_WAITING: usize = 100_000;
/// Tasks that a communicator in this process has been given and has not answered: more than run at the same time, and
/// few enough to leave some to others.
pub const TASKS_AT_ONCE: usize = 10_000;
/// Calls that the subscribers of a communicator are answering: each is a task of tokio, and most wait for a step.
pub const CALLS_AT_ONCE: usize = 20_000;
/// Replies that a communicator waits for: at about 500 bytes each.
pub const REPLIES: usize = 1_000_000;
/// Subscribers of a communicator: every process that is kept in memory answers calls, and may have some others.
pub const SUBSCRIBERS: usize = 10 * RESIDENT;
/// Broadcasts that wait for one subscriber: one that is so far behind does not catch up.
pub const BROADCASTS_WAITING: usize = 10_000;
/// Tasks that went back to a snapshot and are remembered, so that a repetition does not do it again: 1 MB of ids.
pub const RESTORED_TASKS: usize = 10_000;
/// How long after a reply was not sent it is tried again; doubled each time.
pub const REPLY_AGAIN: Duration = Duration::from_millis(100);
/// The longest such pause: no longer than a person waits for an answer once the broker is back.
pub const REPLY_AGAIN_MOST: Duration = Duration::from_secs(5);
/// Tasks that a communicator over a broker holds unacknowledged by default: enough to keep a worker busy while acknowledgements travel,
/// few enough that other workers get their share.
pub const PREFETCH: u16 = 256;
/// Calls and broadcasts that a broker sends ahead of their acknowledgement.
pub const MESSAGE_PREFETCH: u16 = 1_000;
/// How long to wait before the first attempt to reconnect to a broker.
pub const RECONNECT_LEAST: Duration = Duration::from_millis(50);
/// How long to wait at most between attempts to reconnect to a broker: it shall be found soon after it is back.
pub const RECONNECT_MOST: Duration = Duration::from_secs(2);
/// How long a connection must have lasted for the next attempt to be a first one: one that fails as soon as it is there
/// is not set up again at once.
pub const LASTING: Duration = Duration::from_secs(1);
/// How long one attempt to connect to a broker, or to set things up on it, may take.
pub const CONNECT: Duration = Duration::from_secs(10);
/// Routes of calls that are made or removed together: few enough that a slow broker answers within [`CONNECT`], enough that one
/// round trip more does not matter.
pub const BINDINGS: usize = 1_000;
/// Messages that were sent and are not confirmed: as many as a broker confirms in some milliseconds.
pub const UNCONFIRMED: usize = 1_024;
/// Broadcasts that wait for a connection or for confirmation: what 1,000 processes say in ten steps.
pub const BROADCASTS_UNSENT: usize = 10_000;
/// Replies that wait for a connection: one for each process that may end meanwhile.
pub const REPLIES_WAITING: usize = 100_000;
/// Tasks that were finished and are known when they come again, since their acknowledgement was lost or their sender repeats them; as
/// many as a communicator holds unacknowledged where that is more.
pub const FINISHED_TASKS: usize = 4_096;
/// Bytes of the answers to these, which are sent again to a sender that repeats its task: 4 KiB each.
pub const FINISHED_BYTES: usize = 16 << 20;
/// Senders of one task who wait for its answer: one that repeats it after each lost connection is another each time.
pub const TASK_SENDERS: usize = 1_000;
/// Bytes of the name of an exchange: the names of reply queues are built of it, with 43 more, and have at most 255.
pub const EXCHANGE_NAME_BYTES: usize = 200;
/// How long closing waits for subscribers that are at work, and then for what was sent to be confirmed.
pub const CLOSE: Duration = Duration::from_secs(5);
/// How often an empty queue is asked for a task that is pulled: a question costs a broker less than a message.
pub const PULL: Duration = Duration::from_millis(50);
/// How often the status of a process elsewhere is asked for while its end is waited for: seldom, since the end is announced.
pub const STATUS_POLL: Duration = Duration::from_secs(10);
/// How long an announcement may take that was made before something else was seen: many times what a broker takes.
pub const ANNOUNCED: Duration = Duration::from_secs(1);
/// Calls of a blocking controller that may be outstanding: each is a small task on its thread.
pub const BLOCKING_CALLS: usize = 10_000;
/// Broadcasts that are remembered, so that one that is sent again after a lost connection is heard once: as many as several
/// senders may have had on their way.
pub const HEARD: usize = 16 * UNCONFIRMED;
/// How often a broker and its client make sure of each other where nobody says otherwise: a connection that was lost in
/// silence is noticed within half a minute. RabbitMQ's own minute would make that two or three.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a reply is kept for a sender whose queue is not there: kiwipy connects again after five seconds, or some
/// times that where its broker takes long to start.
pub const SENDER_AWAY: Duration = Duration::from_secs(30);
/// After which pause such a reply is sent again for the first time; the pauses grow.
pub const SENDER_AGAIN: Duration = Duration::from_millis(500);
/// Connections of a PostgreSQL store beside those that commit: reading is bound by the server's processors, and a server
/// has 100 connections for all its clients.
pub const POSTGRES_CONNECTIONS: usize = 8;
/// How long one statement may take on a server: many times what any of ours takes, and no longer than a person waits.
pub const STATEMENT: Duration = Duration::from_secs(30);
/// How long a transaction may stand still on a server between two statements: one of a worker that was stopped in between
/// keeps others from its rows for so long.
pub const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// How long a call goes on trying while its server is away: longer than a server takes to start again after a crash.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long the tables of a store may take to be brought up to date, those that others are at included.
pub const MIGRATION: Duration = Duration::from_secs(600);
/// Bytes of a schema's name: PostgreSQL cuts off what is longer.
pub const SCHEMA_BYTES: usize = 63;
/// Boundaries that are written to a server at once: beyond some hundreds, the next ones wait longer than they gain.
pub const POSTGRES_BATCH: usize = 1_000;
/// Bytes of texts that are written to a server at once: PostgreSQL takes 1 GB in a message, and keeps several copies.
pub const POSTGRES_BATCH_BYTES: usize = 32 << 20;
/// Bytes of a process's texts in one boundary on PostgreSQL: a row that is read has up to seven such texts, and no more
/// than 1 GB.
pub const POSTGRES_RECORD_BYTES: usize = 128 << 20;
/// How long before a call to a server is tried again; doubled each time.
pub const SERVER_AGAIN: Duration = Duration::from_millis(10);
/// The longest such pause: no longer than a server shall stand idle once it is back.
pub const SERVER_AGAIN_MOST: Duration = Duration::from_millis(500);
/// The longest of these pauses: a sender that has been away for some seconds can wait as long once more.
pub const SENDER_AGAIN_MOST: Duration = Duration::from_secs(5);
/// How often the broker's confirmations are looked at that nobody waits for: often enough that a reply to a sender who is away is tried
/// again soon, seldom enough that it costs nothing.
pub const CONFIRMED: Duration = Duration::from_millis(20);
/// How often confirmations are looked at while many messages are on their way: each by itself would be a switch of threads.
pub const CONFIRMED_MANY: Duration = Duration::from_millis(1);
/// Messages on their way from which on confirmations and acknowledgements gather, and are dealt with together.
pub const MANY_SENT: usize = 8;

/// Claims of a process after its worker was lost, without a boundary since, beyond which it is parked: a process that kills whoever
/// runs it must not go round for ever, and one that was met by some restarts must not be parked.
pub const ATTEMPTS: u32 = 5;
/// Workers that a process was lost with, without a boundary since, from which on it is run apart from others of this kind:
/// once is chance.
pub const SUSPECT: u32 = 2;
/// How long a worker keeps a process that it cannot load, before it leaves it to others; doubled with each attempt.
pub const LOAD_AGAIN: Duration = Duration::from_millis(100);
/// The longest such pause: by then a new version of the program may have been started.
pub const LOAD_AGAIN_MOST: Duration = Duration::from_secs(10);
/// How long a worker lets others go first after it left a process to them: as long as they take to hear of it and to claim it.
pub const OTHERS_FIRST: Duration = Duration::from_millis(50);
/// Processes that a worker keeps for such a pause: a program that lacks a type meets many of them at once.
pub const FAILED: usize = 1_000;
/// How long a question for a worker's health may take: whoever asks does so every few seconds, and gives up after some.
pub const HEALTH: Duration = Duration::from_secs(1);
/// How long a process that can go on may take to its next boundary before it is looked at as stuck: most steps take less.
pub const STUCK: Duration = Duration::from_secs(3600);
/// Findings of each kind that a diagnosis has in memory: enough to see what is wrong; all of them are counted.
pub const FINDINGS: usize = 100;
/// How long a repair has the store as one worker among others.
pub const REPAIR: Duration = Duration::from_secs(60);
/// The largest message that a boundary sends, in bytes: what goes over a broker in one piece.
pub const MESSAGE_BYTES: usize = 1 << 20;
/// Messages of one boundary, or of one creation: a state that is left and entered is one or two.
pub const MESSAGES: usize = 100;
/// Messages that a runtime has stored and that are not known to be sent, beyond which what it tells is not stored any more: a
/// broker that is away for days must not fill the disk. Each is about 200 bytes.
pub const MESSAGES_STORED: usize = 1_000_000;
/// How long messages that are confirmed gather before they are forgotten together: short, since each that is not forgotten when
/// a worker is lost is sent once more.
pub const FORGET: Duration = Duration::from_millis(50);
/// Messages that are forgotten together.
pub const FORGET_BATCH: usize = 1_000;
/// Messages, and replies, that are taken over at a time from those who are lost.
pub const TAKE_OVER: usize = 1_000;
/// How often a worker looks for messages and replies that nobody sends any more: as soon as others go on with the processes.
pub const RECONCILE: Duration = Duration::from_secs(1);
/// Processes that a worker looks at, of those whose ends are waited for here, each time it looks whether they are parked: each is
/// read as a whole. Where more are waited for, they are looked at in turn.
pub const LOOK_ASIDE: usize = 100;
/// How often a worker looks for parents that wait in vain, which nothing should bring about: it looks at all that wait.
pub const MEND: Duration = Duration::from_secs(60);
/// Processes that a worker claims at a time.
pub const CLAIM: usize = 256;
/// Processes whose ends a worker asks for at a time, of those that are waited for here and run elsewhere: some thousand are few
/// statements, and an answer with all their outputs is not large.
pub const ENDS: usize = 256;
/// Processes whose time has come that a claim looks at, of each queue, to find those of the greatest priority: more than come due
/// between two claims, as a rule, and few enough that a claim is quick when very many come due at once.
pub const WOKEN: usize = 1_024;
/// How often a worker looks for processes to claim where nothing tells it of them: for timers that have come, and workers that are lost.
pub const CLAIM_POLL: Duration = Duration::from_millis(500);
/// How long the lease of a worker lasts after each renewal: short enough that others take over soon, long enough that a worker
/// on a busy machine does not lose it.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long a worker is listed after its lease has lapsed: long enough to find out what became of it.
pub const LAPSED_WORKER: Duration = Duration::from_secs(24 * 3600);
/// How long a renewal may take before its connection is given up: within a lease there is time for others.
pub const RENEWAL: Duration = Duration::from_secs(2);
/// How often work is looked for that nobody announces: a time that comes, a lease that lapses, and what was announced while
/// it could not be heard.
pub const WORK: Duration = Duration::from_secs(1);
/// How often a worker on a SQLite file looks whether others have written something for it: sooner than anyone notices, and a
/// look costs some microseconds.
pub const SQLITE_WORK_POLL: Duration = Duration::from_millis(20);
/// How often a writer looks whether the transaction of another OS process on its SQLite file is over: about as long as a short
/// one takes.
pub const SQLITE_TURN: Duration = Duration::from_micros(500);
/// How long a SQLite log that others go on writing holds them up while the rest of it is copied: some times what that takes.
pub const SQLITE_RESTART: Duration = Duration::from_millis(500);
/// Processes that one search looks at: some ten milliseconds of a database. Who wants more asks for the next page.
pub const SEARCHED: usize = 10_000;
/// Processes on one page of a search: more than anyone reads at once, and some hundred KiB.
pub const SUMMARIES: usize = 1_000;
/// Bytes of a filter's text, and of each text in it: what a person writes in a line, many times.
pub const FILTER_BYTES: usize = 4_096;
/// How deep a filter may be nested: each level is a call.
pub const FILTER_DEPTH: usize = 64;
/// Conditions of a filter: each is looked at for each process.
pub const FILTER_CONDITIONS: usize = 100;
/// Bytes of an error in a list: a line of a wide terminal.
pub const SUMMARY_ERROR_BYTES: usize = 200;
/// Bytes of what is stored of an end beyond which a list does not read its error: far more than errors have, and a page of
/// them fits into memory.
pub const SUMMARY_ENDED_BYTES: usize = 64 << 10;
/// Characters of a name, a documentation or a reason in a picture: nobody reads more in a box, and the whole is elsewhere.
pub const PICTURE_TEXT: usize = 500;
/// How deep blocks of an outline are drawn: each level takes its room on both sides, and nobody finds a way through more.
pub const PICTURE_DEPTH: usize = 64;
/// Bytes of the inputs that a command reads from a file: as many as a process may be sent by message.
pub const INPUTS_BYTES: usize = BODY_BYTES;
/// How often a worker writes how far its steps say that they are, at most: as often as people look, and one small write for all.
pub const HINTS_EVERY: Duration = Duration::from_secs(1);
/// Steps of which a worker tells how far they are: more than anyone watches, in a write of some hundred KiB.
pub const HINTS: usize = 1_000;
/// Processes that are looked at in one call: more than fit on a screen, at about 1 KiB each and what they wait for.
pub const LOOKED_AT: usize = 500;
/// How long an owner waits for the lock of its store: far longer than a program needs that starts another one, and no longer than a
/// person notices.
pub const OWN: Duration = Duration::from_millis(200);
/// Items that a step receives of one stream at most: they are stored with the process before it runs.
pub const STREAM_RECEIVED: usize = 1_024;
/// Items of one stream that have come and are not waited for: as many as make a boundary worth while, few enough for memory.
pub const STREAM_BUFFER: usize = 256;
/// Items that a step sends: they are stored with the process.
pub const STREAM_SENT: usize = 1_024;
/// Bytes of the items that a step sends: they are written with each boundary until the transport has them.
pub const STREAM_BYTES: usize = 16 << 20;
/// Items of one stream that the transport has not taken yet, after which a process waits: they are written with each boundary.
pub const STREAM_AHEAD: usize = 256;
/// How long after the transport of a stream failed it is tried again; doubled each time.
pub const STREAM_AGAIN: Duration = Duration::from_millis(50);
/// The longest such pause: no longer than a person waits once the broker is back.
pub const STREAM_AGAIN_MOST: Duration = Duration::from_secs(5);
/// How long a kill waits until the ends of the streams of a process are told: more than a transport takes that is there.
pub const STREAM_FAREWELL: Duration = Duration::from_secs(1);
/// Communicators of a mesh that are asked or told something at once: a mesh of thousands must not wait for one after the other, nor fill
/// a runtime with calls.
pub const MESH_AT_ONCE: usize = 64;
/// Identifiers of which a communicator of a mesh remembers who has them; then it asks anew.
pub const MESH_KNOWN: usize = RESIDENT;
/// Broadcasts that go to a communicator of a mesh in one message.
pub const MESH_BATCH: usize = 256;
/// Bytes of broadcasts after which such a message is full: a small part of what a transport takes.
pub const MESH_BATCH_BYTES: usize = 1 << 20;
/// How long a runtime of a mesh that is busy is left alone, at first.
pub const MESH_AGAIN: Duration = Duration::from_millis(2);
/// And at most: it is asked again until the deadline.
pub const MESH_AGAIN_MOST: Duration = Duration::from_millis(100);
