//! What members and the host of a rendezvous say to each other: JSON, after an empty frame as REQ sockets send it.

use serde::{Deserialize, Serialize};

use crate::{Mode, Topic, TransportError};

/// Of what the two sides understand.
pub(super) const VERSION: u32 = 1;

/// A request with its member's number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) n: u64,
    pub(super) ask: Ask,
}

/// What a member asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// To be known from now on.
    Hello { version: u32 },
    /// It is still there. Not answered by its number.
    Beat {},
    /// What was told under this number has been heeded. Not answered.
    Heeded { token: u64 },
    /// A way into a topic.
    Outlet { topic: Shape },
    /// A way out of a topic, which is bound.
    Inlet {
        topic: Shape,
        at: String,
        #[serde(default)]
        alone: bool,
    },
    /// No more comes from an outlet. `ends`: it was closed. `holds`: it has what nobody was there for.
    Finish { outlet: u64, ends: bool, holds: bool },
    /// An inlet is gone. `told`: it had told the end.
    Leave { inlet: u64, told: bool },
    /// To own an address.
    Mailbox { address: String, at: String },
    /// To give it up.
    GiveUp { mailbox: u64 },
    /// Where an address is.
    Find { address: String },
    /// The member leaves with all that it has.
    Bye {},
}

/// A topic on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) capacity: usize,
    pub(super) lasting: bool,
}

impl Shape {
    pub(super) fn of(topic: &Topic) -> Self {
        Self {
            name: topic.name().to_owned(),
            mode: topic.mode(),
            capacity: topic.capacity(),
            lasting: topic.is_lasting(),
        }
    }

    /// In what it differs from one that is open.
    pub(super) fn differs(&self, open: &Self) -> Option<String> {
        if open.mode != self.mode {
            return Some(format!("its mode is {:?}, not {:?}", open.mode, self.mode));
        }
        if open.capacity != self.capacity {
            return Some(format!("its capacity is {}, not {}", open.capacity, self.capacity));
        }
        (open.lasting != self.lasting)
            .then(|| if open.lasting { "it is lasting".to_owned() } else { "it is not lasting".to_owned() })
    }
}

/// An inlet, and where it is bound.
pub(super) type Place = (u64, String);

/// What the host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tell {
    /// A request was granted.
    Granted { n: u64, answer: Answer },
    /// A request was not granted; 0: it could not even be read.
    Refused { n: u64, refusal: Refusal },
    /// An outlet is to send to this inlet, too.
    Add { token: u64, outlet: u64, place: Place },
    /// An outlet is not to send to this inlet any more.
    Remove { outlet: u64, inlet: u64 },
    /// All senders have closed, and these send their end to the inlet.
    Over { inlet: u64, senders: Vec<u64> },
    /// Nobody has the address any more.
    Gone { token: u64, address: String },
    /// The host is there.
    Beat {},
    /// The host is going.
    Closing {},
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Welcome {
        silence_ms: u64,
    },
    Outlet {
        id: u64,
        topic: Shape,
        places: Vec<Place>,
    },
    Inlet {
        id: u64,
        over: Option<Vec<u64>>,
    },
    /// Where the end is to be sent to; `waits`: to the inlet that comes next.
    Finished {
        outlet: u64,
        places: Vec<Place>,
        waits: bool,
    },
    Mailbox {
        id: u64,
    },
    Found {
        id: u64,
        at: String,
        address: String,
    },
    Done {},
}

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    Ended {
        topic: String,
    },
    Mismatch {
        topic: String,
        reason: String,
    },
    Taken {
        address: String,
    },
    Occupied {
        topic: String,
    },
    NoSuchAddress {
        address: String,
    },
    /// It cannot be read, or makes no sense.
    Bad {
        reason: String,
    },
    /// The host does not know who asks: it has not said hello, or was not heard of for too long.
    Stranger {},
}

impl From<Refusal> for TransportError {
    fn from(refusal: Refusal) -> Self {
        let what = "a request at the rendezvous";
        match refusal {
            Refusal::Ended { topic } => Self::Ended { topic },
            Refusal::Mismatch { topic, reason } => Self::Mismatch { topic, reason },
            Refusal::Taken { address } => Self::Taken { address },
            Refusal::Occupied { topic } => Self::Occupied { topic },
            Refusal::NoSuchAddress { address } => Self::NoSuchAddress { address },
            Refusal::Bad { reason } => Self::Refused { what, reason },
            Refusal::Stranger {} => Self::Refused { what, reason: "the host does not know this member".to_owned() },
        }
    }
}
