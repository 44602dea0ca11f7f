//! The conformance suite: properties for each sentence of the [contract](crate::Transport), to be run on any transport.
//!
//! ```text
//! mod my_transport {
//!     use procession::transport::conformance::{Subject, conformance};
//!
//!     async fn medium() -> Subject {
//!         let address = MyMedium::with_names_of_its_own();
//!         Subject::new(move || {
//!             let address = address.clone();
//!             Box::pin(async move { Arc::new(MyTransport::connect(address).await) as _ })
//!         })
//!     }
//!     conformance!(keeps, medium);
//! }
//! ```
//! makes one `#[test]` per property. A property takes a medium on which there is nothing, connects as many transports to it as it needs,
//! and panics where it does not hold. What a transport's [`Capabilities`](crate::Capabilities) lack it has to refuse, which is the property then. None
//! sleeps for a fixed time to see that something has happened, so a broker may be as slow as it is.

// Properties panic, that is how they tell; the test harness shows where.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]
// The files of the suite are one list of properties.
#![allow(clippy::wildcard_imports, clippy::similar_names)]

mod acks;
mod cancelling;
mod channels;
mod closing;
mod ending;
mod exclusive;
mod mailboxes;
mod pipelines;
mod pubsub;

pub use self::acks::*;
pub use self::cancelling::*;
pub use self::channels::*;
pub use self::closing::*;
pub use self::ending::*;
pub use self::exclusive::*;
pub use self::mailboxes::*;
pub use self::pipelines::*;
pub use self::pubsub::*;
#[doc(inline)]
pub use crate::__transport_conformance as conformance;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    BoxFuture, Content, Delivery, Envelope, Inlet, Kind, Mode, Outlet, Topic, Transport, TransportErrorKind,
    TransportResult,
};

/// How a transport is connected.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Transport>> + Send + Sync>;

/// A medium under test.
pub struct Subject {
    connect: Connect,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

impl Subject {
    /// A medium without any topic and mailbox. Every call connects one transport more to it.
    pub fn new(connect: impl Fn() -> BoxFuture<'static, Arc<dyn Transport>> + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect) }
    }

    async fn connect(&self) -> Arc<dyn Transport> {
        soon("a connection", (self.connect)()).await
    }

    /// Two transports, for those who send and those who receive, if they have topics of this mode; otherwise they have to say so.
    async fn pair(&self, mode: Mode) -> Option<(Arc<dyn Transport>, Arc<dyn Transport>)> {
        let (one, other) = (self.connect().await, self.connect().await);
        let topic = topic("topic", mode);
        if one.capabilities().has(mode).is_ok() {
            return Some((one, other));
        }
        let outlet = one.outlet(&topic).await.unwrap_err();
        let inlet = other.inlet(&topic).await.unwrap_err();
        assert_eq!((outlet.kind(), inlet.kind()), (TransportErrorKind::Unsupported, TransportErrorKind::Unsupported));
        None
    }

    /// As [`pair`](Self::pair) of pipelines, if they acknowledge.
    async fn acking(&self) -> Option<(Arc<dyn Transport>, Arc<dyn Transport>)> {
        let pair = self.pair(Mode::Pipeline).await?;
        pair.0.capabilities().acks.then_some(pair)
    }
}

/// Runs a property on a new medium.
pub fn check<S: Future<Output = Subject>, P: Future<Output = ()>>(
    factory: impl FnOnce() -> S,
    property: impl FnOnce(Subject) -> P,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { soon("the property", property(factory().await)).await });
}

/// How long anything may take on a busy machine with a broker that starts.
const PATIENCE: Duration = Duration::from_secs(60);
/// The deadline of what must not come.
const BRIEF: Duration = Duration::from_millis(300);

/// What comes, if it does.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} did not come in {PATIENCE:?}"))
}

/// What must not come.
async fn never<T: fmt::Debug>(what: &str, future: impl Future<Output = T>) {
    if let Ok(came) = tokio::time::timeout(BRIEF, future).await {
        panic!("{what} came: {came:?}");
    }
}

fn topic(name: &str, mode: Mode) -> Topic {
    Topic::new(name, mode).unwrap()
}

fn pipeline() -> Topic {
    topic("a.out..b.in_1", Mode::Pipeline)
}

fn narrow(capacity: usize) -> Topic {
    pipeline().with_capacity(NonZeroUsize::new(capacity).unwrap()).unwrap()
}

/// An item with a number, which is also its body.
fn item(sender: &str, number: u64) -> Envelope {
    let body = Bytes::from(number.to_string());
    Envelope { number, ..Envelope::new(Kind::Data, sender.into(), Content::Json, body) }
}

async fn outlet(transport: &Arc<dyn Transport>, topic: &Topic) -> Box<dyn Outlet> {
    soon("an outlet", transport.outlet(topic)).await.unwrap()
}

async fn inlet(transport: &Arc<dyn Transport>, topic: &Topic) -> Box<dyn Inlet> {
    soon("an inlet", transport.inlet(topic)).await.unwrap()
}

async fn send(outlet: &mut Box<dyn Outlet>, envelope: Envelope) {
    soon("room", outlet.send(envelope)).await.unwrap();
}

/// Sends items with these numbers, and waits until they are safe.
async fn send_all(outlet: &mut Box<dyn Outlet>, sender: &str, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        send(outlet, item(sender, number)).await;
    }
    soon("a flush", outlet.flush()).await.unwrap();
}

async fn close(outlet: &mut Box<dyn Outlet>) {
    soon("a close", outlet.close()).await.unwrap();
}

async fn next(inlet: &mut Box<dyn Inlet>) -> Option<Delivery> {
    soon("an item or the end", inlet.recv()).await.unwrap()
}

/// The next envelope, acknowledged.
async fn take(inlet: &mut Box<dyn Inlet>) -> Option<Envelope> {
    let Delivery { envelope, receipt, .. } = next(inlet).await?;
    receipt.ack();
    Some(envelope)
}

/// The number of the next envelope, acknowledged.
async fn number(inlet: &mut Box<dyn Inlet>) -> Option<u64> {
    take(inlet).await.map(|envelope| envelope.number)
}

/// All up to the end, acknowledged.
async fn rest(inlet: &mut Box<dyn Inlet>) -> Vec<Envelope> {
    let mut all = Vec::new();
    while let Some(envelope) = take(inlet).await {
        all.push(envelope);
    }
    all
}

fn numbers(envelopes: &[Envelope]) -> Vec<u64> {
    envelopes.iter().map(|envelope| envelope.number).collect()
}

/// Those of one sender.
fn of<'a>(envelopes: &'a [Envelope], sender: &'a str) -> Vec<u64> {
    envelopes.iter().filter(|envelope| &*envelope.sender == sender).map(|envelope| envelope.number).collect()
}

/// A refusal for this reason.
fn refused<T: fmt::Debug>(result: TransportResult<T>, kind: TransportErrorKind) {
    let error = result.expect_err("it was to be refused");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Tests of all properties, in a module; what follows the factory becomes attributes of the tests:
/// `conformance!(keeps, medium, ignore = "needs a broker")`.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_conformance {
    (@list $name:ident, $factory:expr, $attributes:tt; $($property:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $($crate::__transport_conformance! { @one $property, $factory, $attributes })*
        }
    };
    (@one $property:ident, $factory:expr, [$(#[$attribute:meta])*]) => {
        #[test]
        $(#[$attribute])*
        fn $property() {
            $crate::conformance::check($factory, $crate::conformance::$property);
        }
    };
    ($name:ident, $factory:expr $(, $attribute:meta)*) => {
        $crate::__transport_conformance! { @list $name, $factory, [$(#[$attribute])*];
            items_come_in_the_order_of_their_sender
            every_part_of_an_envelope_arrives
            each_item_is_taken_by_one_receiver
            what_is_sent_early_waits
            a_sender_waits_when_it_is_full
            a_sender_that_waits_goes_on_once_there_is_room
            several_senders_are_merged
            large_bodies_arrive
            names_that_cannot_be_are_refused
            a_topic_is_open_in_one_way
            topics_do_not_leak
            every_subscriber_gets_everything
            several_publishers_reach_every_subscriber
            subscribers_get_what_comes_after_they_came
            a_slow_subscriber_loses_nothing
            a_subscriber_that_leaves_holds_up_nobody
            the_end_comes_after_everything
            every_receiver_is_told_the_end
            every_subscriber_is_told_the_end
            the_end_waits_for_the_last_sender
            the_end_stays
            a_closed_sender_sends_nothing
            a_sender_that_is_gone_ends_nothing
            what_looks_like_an_end_is_an_item
            a_late_receiver_gets_everything_and_the_end
            what_has_ended_takes_nothing
            what_is_given_back_comes_again_first
            what_a_lost_receiver_had_comes_to_another
            what_is_acknowledged_does_not_come_again
            acknowledgements_come_in_any_order
            what_is_held_does_not_hold_up_the_rest
            what_is_dealt_with_beside_comes_in_order
            a_receiver_that_waits_gets_what_another_gives_back
            an_exclusive_receiver_is_alone
            what_an_exclusive_receiver_had_comes_first_to_the_next
            a_cancelled_receiver_loses_nothing
            a_cancelled_sender_sends_nothing_twice
            an_address_has_one_owner
            what_is_posted_comes_in_order
            nobody_is_told
            a_close_wakes_who_waits
            what_is_closed_refuses
            what_lasts_outlives_its_transports
            typed_items_arrive_and_then_the_end
            what_is_sent_twice_is_received_once
            channels_are_merged
            what_is_no_item_is_told_and_passed
        }
    };
}
