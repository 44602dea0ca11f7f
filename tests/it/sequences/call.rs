//! What is called, in names that are short to read: a sequence that fails is printed as it is here.

use procession::ProcessState;

/// A process, by its place in [`PROCESSES`].
pub(super) type Name = usize;

/// The ids that there are. One is a number, one a prefix of another, and their order as texts is not this one.
pub(super) const PROCESSES: [&str; 6] = ["b", "ab", "7", "a", "b/1", "Ä"];
pub(super) const KEYS: [&str; 2] = ["key", "Key"];
pub(super) const TAGS: [&str; 2] = ["tag", "tag 2"];
pub(super) const REPLIES: [&str; 2] = ["task", "another"];
pub(super) const QUEUES: [&str; 2] = ["", "other"];

/// A call under an epoch names it by its place among those that were given, the first being 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Acquire,
    Release {
        epoch: usize,
    },
    Join {
        queues: usize,
    },
    Renew {
        epoch: usize,
        slots_used: u32,
    },
    Claim {
        epoch: usize,
        most: usize,
        attempts: u32,
    },
    HandOver {
        epoch: usize,
        processes: Vec<Name>,
    },
    /// A lease lapses, of all leases only this one.
    Lapse {
        epoch: usize,
    },
    Create {
        epoch: usize,
        process: Name,
        with: Vec<New>,
    },
    Commit {
        epoch: usize,
        process: Name,
        to: ProcessState,
        with: Vec<Change>,
    },
    Park {
        epoch: usize,
        process: Name,
    },
    PutMemo {
        epoch: usize,
        process: Name,
        name: usize,
    },
    Request {
        process: Name,
        kill: bool,
    },
    /// Requests by their places among those that were given.
    Discard {
        epoch: usize,
        requests: Vec<usize>,
    },
    Owe {
        epoch: usize,
        process: Name,
        reply: usize,
    },
    Settle {
        epoch: usize,
        process: Name,
        reply: usize,
    },
    Save {
        epoch: usize,
        process: Name,
        tag: usize,
    },
    Restore {
        epoch: usize,
        process: Name,
        tag: usize,
    },
    DeleteSnapshot {
        epoch: usize,
        process: Name,
        tag: usize,
    },
    DeleteSnapshots {
        epoch: usize,
        process: Name,
    },
    Delete {
        epoch: usize,
        process: Name,
    },
    /// All listings, in pages of this many.
    Look {
        most: usize,
    },
}

/// What a new process has that others have not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum New {
    Key(usize),
    ChildOf { parent: Name, awaited: bool, follows: bool },
    Begun,
    Owes(usize),
    Placed(Placed),
    Listeners,
    Defaulted,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    pub(super) queue: usize,
    pub(super) priority: i32,
    pub(super) unowned: bool,
}

/// What a boundary changes beside the state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Paused,
    Transition,
    Envelope,
    Position,
    Context,
    Outputs,
    Status {
        covered: bool,
    },
    Listeners {
        some: bool,
    },
    Await {
        children: Vec<Name>,
        wake: Option<Wake>,
        resume: bool,
    },
    Child {
        process: Name,
        awaited: bool,
        follows: bool,
        with: Vec<New>,
    },
    Report(usize),
    Apply(usize),
    ForgetMemos,
    /// An end without a terminal state, or the reverse.
    WrongEnd,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wake {
    LongAgo,
    InAges,
}

impl Call {
    /// The epoch under which it is called.
    pub(super) fn epoch(&self) -> Option<usize> {
        use Call::{
            Acquire, Claim, Commit, Create, Delete, DeleteSnapshot, DeleteSnapshots, Discard, HandOver, Join, Lapse,
            Look, Owe, Park, PutMemo, Release, Renew, Request, Restore, Save, Settle,
        };
        match self {
            Acquire | Join { .. } | Request { .. } | Look { .. } => None,
            Release { epoch }
            | Renew { epoch, .. }
            | Claim { epoch, .. }
            | HandOver { epoch, .. }
            | Lapse { epoch }
            | Create { epoch, .. }
            | Commit { epoch, .. }
            | Park { epoch, .. }
            | PutMemo { epoch, .. }
            | Discard { epoch, .. }
            | Owe { epoch, .. }
            | Settle { epoch, .. }
            | Save { epoch, .. }
            | Restore { epoch, .. }
            | DeleteSnapshot { epoch, .. }
            | DeleteSnapshots { epoch, .. }
            | Delete { epoch, .. } => Some(*epoch),
        }
    }

    /// The requests that it names.
    pub(super) fn requests(&self) -> Vec<usize> {
        match self {
            Self::Discard { requests, .. } => requests.clone(),
            Self::Commit { with, .. } => {
                let applied = with.iter().filter_map(|change| match change {
                    Change::Apply(request) => Some(*request),
                    _ => None,
                });
                applied.collect()
            }
            _ => Vec::new(),
        }
    }
}
