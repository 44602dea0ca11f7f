//! The conformance suite: a property for each sentence of the [contract](super), to be run on any communicator.
//!
//! ```text
//! mod my_communicator {
//!     use procession::communicator::conformance::{Subject, conformance};
//!
//!     async fn medium() -> Subject {
//!         let address = MyMedium::with_names_of_its_own();
//!         Subject::new(move || {
//!             let address = address.clone();
//!             Box::pin(async move { Arc::new(MyCommunicator::connect(address).await) as _ })
//!         })
//!     }
//!     conformance!(keeps, medium);
//! }
//! ```
//! makes one `#[test]` per property. A property takes a medium on which there is nothing, connects as many communicators to it
//! as it needs, and panics where it does not hold. None sleeps for a fixed time to see that something has happened, so a
//! broker may be as slow as it is.

// Properties panic, that is how they tell; the test harness shows where.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]
// Results are checked as they come, and answers are made as subscribers return them.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

mod answers;
mod bounds;
mod broadcasts;
mod calls;
mod closing;
mod identifiers;
mod queues;
mod refusing;
mod removal;
mod taking;
mod tasks;

pub use self::answers::*;
pub use self::bounds::*;
pub use self::broadcasts::*;
pub use self::calls::*;
pub use self::closing::*;
pub use self::identifiers::*;
pub use self::queues::*;
pub use self::refusing::*;
pub use self::removal::*;
pub use self::taking::*;
pub use self::tasks::*;
#[doc(inline)]
pub use crate::__communicator_conformance as conformance;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

use super::{
    Answer, Answered, BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorError, CommunicatorResult,
    Deadlines, Incoming, Reply, Rpc, RpcSubscriber, Task, TaskSubscriber,
};
use crate::message::{Broadcast, Node};
use crate::process::BoxFuture;

/// How a communicator is connected.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Communicator>> + Send + Sync>;

/// A medium under test.
pub struct Subject {
    connect: Connect,
    /// Whether it carries tasks.
    tasks: bool,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

impl Subject {
    /// A medium without any task and subscriber. Every call connects one communicator more to it.
    pub fn new(connect: impl Fn() -> BoxFuture<'static, Arc<dyn Communicator>> + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect), tasks: true }
    }

    /// A medium that carries no tasks, for `conformance!(keeps, medium, without tasks)`.
    pub fn without_tasks(self) -> Self {
        Self { tasks: false, ..self }
    }

    /// What can be asked: tasks, if it carries them, and calls.
    fn ways(&self) -> &'static [bool] {
        if self.tasks { &[true, false] } else { &[false] }
    }

    /// The kinds of subscribers.
    fn kinds(&self) -> &'static [&'static str] {
        if self.tasks { &["task", "rpc", "broadcast"] } else { &["rpc", "broadcast"] }
    }

    async fn connect(&self) -> Arc<dyn Communicator> {
        soon("a connection", (self.connect)()).await
    }

    /// Two communicators: who sends and who works.
    async fn pair(&self) -> (Arc<dyn Communicator>, Arc<dyn Communicator>) {
        (self.connect().await, self.connect().await)
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

/// What subscribers tell a property.
struct Inbox<T>(mpsc::Receiver<T>);

fn inbox<T>() -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(100_000);
    (Outbox(sender), Inbox(receiver))
}

impl<T> Inbox<T> {
    async fn next(&mut self) -> T {
        soon("what a subscriber hears", self.0.recv()).await.unwrap()
    }

    /// What has come and was not looked at.
    fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

struct Outbox<T>(mpsc::Sender<T>);

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Outbox<T> {
    fn put(&self, item: T) {
        // The property may have ended.
        let _ = self.0.try_send(item);
    }
}

/// What holds subscribers until a property lets them go.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

impl Gate {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    fn open(&self, times: usize) {
        self.0.add_permits(times);
    }
}

fn value(node: impl Into<Node>) -> Answered {
    Ok(Answer::Value(node.into()))
}

fn later(future: impl Future<Output = Answered> + Send + 'static) -> Answered {
    Ok(Answer::Later(Box::pin(future)))
}

fn task(body: impl Into<Node>) -> Task {
    Task::new(body.into())
}

fn text_of(node: &Node) -> String {
    node.as_text().unwrap_or_else(|| panic!("{node} is no text")).to_owned()
}

async fn works(communicator: &Arc<dyn Communicator>, subscriber: impl TaskSubscriber) -> String {
    soon("a subscription", communicator.add_task_subscriber(Arc::new(subscriber), None)).await.unwrap()
}

async fn answers(communicator: &Arc<dyn Communicator>, identifier: &str, subscriber: impl RpcSubscriber) {
    let identifier = Some(identifier.to_owned());
    soon("a subscription", communicator.add_rpc_subscriber(Arc::new(subscriber), identifier)).await.unwrap();
}

async fn hears(
    communicator: &Arc<dyn Communicator>,
    filter: BroadcastFilter,
    subscriber: impl BroadcastSubscriber,
) -> String {
    let added = communicator.add_broadcast_subscriber(Arc::new(subscriber), filter, None);
    soon("a subscription", added).await.unwrap()
}

async fn send(communicator: &Arc<dyn Communicator>, task: Task) -> Reply {
    let sent = soon("the sending of a task", communicator.task_send(task)).await.unwrap();
    sent.expect("a reply is wanted")
}

async fn call(communicator: &Arc<dyn Communicator>, identifier: &str, body: impl Into<Node>) -> Reply {
    soon("the sending of a call", communicator.rpc_send(Rpc::new(identifier, body.into()))).await.unwrap()
}

async fn tell(communicator: &Arc<dyn Communicator>, broadcast: Broadcast) {
    soon("the sending of a broadcast", communicator.broadcast_send(broadcast)).await.unwrap();
}

async fn last(reply: Reply) -> CommunicatorResult<Node> {
    soon("a reply", reply.last()).await
}

/// A subscriber that does every task at once, tells of it, and answers with its body.
fn echo(outbox: &Outbox<Incoming>) -> impl TaskSubscriber + use<> {
    let outbox = outbox.clone();
    move |task: Incoming| {
        let outbox = outbox.clone();
        async move {
            outbox.put(task.clone());
            value(task.body)
        }
    }
}

/// Shows that no task is waiting but those that come: sends one more, and waits until it was done.
async fn nothing_else_waits(sender: &Arc<dyn Communicator>, done: &mut Inbox<Incoming>) {
    let reply = send(sender, task("the last one")).await;
    let next = done.next().await;
    assert_eq!(text_of(&next.body), "the last one", "a task came that was not expected");
    assert_eq!(last(reply).await.unwrap(), Node::text("the last one"));
}

fn deadline(reply: Duration) -> Deadlines {
    Deadlines { reply, ..Deadlines::RPC }
}

/// Makes one test per property, in a module of this name, with what the factory, an `async fn() -> Subject`, gives. What follows
/// becomes attributes of the tests: `conformance!(keeps, medium, ignore = "needs a broker")`.
///
/// `conformance!(keeps, medium, without tasks)` is for a communicator that refuses tasks as
/// [`Unsupported`](CommunicatorError::Unsupported), and a medium that [says so](Subject::without_tasks).
#[doc(hidden)]
#[macro_export]
macro_rules! __communicator_conformance {
    (@list $name:ident, $factory:expr, $attributes:tt; $($property:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $($crate::__communicator_conformance! { @one $property, $factory, $attributes })*
        }
    };
    (@one $property:ident, $factory:expr, [$(#[$attribute:meta])*]) => {
        #[test]
        $(#[$attribute])*
        fn $property() {
            $crate::communicator::conformance::check($factory, $crate::communicator::conformance::$property);
        }
    };
    (@all $name:ident, $factory:expr, $attributes:tt; $($more:ident)*) => {
        $crate::__communicator_conformance! { @list $name, $factory, $attributes;
            $($more)*
            a_call_reaches_the_subscriber_of_its_identifier
            a_call_to_nobody_is_unroutable
            calls_are_answered_beside_one_another
            a_subscriber_may_call_another
            a_call_whose_subscriber_is_lost_fails
            a_subscriber_that_never_answers_holds_up_nobody
            a_broadcast_reaches_everybody_as_it_was_sent
            a_broadcast_that_comes_again_is_heard_once
            broadcasts_that_are_handed_over_are_confirmed
            a_broadcast_that_nobody_hears_is_no_error
            broadcasts_are_heard_in_order
            a_panic_in_a_broadcast_subscriber_harms_nobody
            filters_choose_by_subject_and_sender
            every_kind_of_value_arrives
            an_error_arrives_with_its_text
            a_cancellation_arrives
            a_panic_arrives_as_an_error
            a_rejection_that_nobody_else_can_take_is_a_failure
            an_owed_answer_to_a_call_is_a_failure
            each_answer_that_follows_is_one_level_more
            an_answer_that_only_ever_follows_ends
            deep_answers_arrive
            replies_that_nobody_awaits_harm_nobody
            a_second_subscriber_under_an_identifier_is_refused
            the_removal_of_an_unknown_identifier_is_refused
            identifiers_that_cannot_be_are_refused
            odd_identifiers_are_identifiers
            an_identifier_is_made_where_none_is_given
            what_is_sent_after_a_subscription_arrives
            no_call_arrives_after_a_removal
            no_broadcast_arrives_after_a_removal
            what_had_arrived_before_a_removal_goes_on
            a_subscriber_may_remove_itself
            after_a_close_everything_is_refused
            a_close_ends_the_replies_that_are_waited_for
            who_waits_is_told_of_a_close
            a_close_in_the_middle_of_everything_hangs_nothing
            a_reply_has_a_deadline
            a_deadline_is_for_all_levels_and_can_be_changed
            an_answer_after_the_deadline_harms_nobody
            a_body_that_is_nested_too_deep_is_refused
            an_answer_that_cannot_be_sent_is_an_error
            a_long_body_arrives
        }
    };
    ($name:ident, $factory:expr, without tasks $(, $attribute:meta)*) => {
        $crate::__communicator_conformance! { @all $name, $factory, [$(#[$attribute])*];
            tasks_are_refused_where_nothing_keeps_them
        }
    };
    ($name:ident, $factory:expr $(, $attribute:meta)*) => {
        $crate::__communicator_conformance! { @all $name, $factory, [$(#[$attribute])*];
            a_task_goes_to_one_subscriber
            a_task_has_an_id_that_tells_a_repetition
            a_rejected_task_goes_to_the_next_subscriber
            a_task_that_all_reject_comes_back_after_a_while
            a_task_that_one_communicator_rejects_is_taken_by_another
            tasks_wait_for_a_subscriber
            a_task_without_a_reply_is_done
            tasks_of_a_lost_worker_are_given_to_another
            tasks_of_a_dropped_communicator_are_given_to_another
            tasks_are_done_beside_one_another
            a_task_whose_sender_has_gone_is_done
            a_task_that_was_answered_is_not_given_again
            a_task_that_was_taken_over_is_not_given_again
            an_owed_reply_is_sent_by_anyone
            a_reply_to_who_has_gone_is_no_error
            no_task_arrives_after_a_removal_and_none_is_lost
            tasks_wait_while_there_is_no_subscriber
            a_close_gives_back_what_was_pulled
            a_pulled_task_is_answered
            a_pulled_task_that_fails_is_removed_and_both_are_told
            a_pulled_task_that_is_dropped_goes_back
            an_empty_queue_gives_nothing
            a_pull_waits_for_a_task
            queues_are_told_apart_by_their_names
            tasks_that_were_only_looked_at_stay
            a_pulled_task_can_be_taken_over
        }
    };
}

#[cfg(test)]
mod tests {
    /// A property that is not in the list would never run.
    #[test]
    fn every_property_is_in_the_list() {
        let sources = [
            include_str!("answers.rs"),
            include_str!("bounds.rs"),
            include_str!("broadcasts.rs"),
            include_str!("calls.rs"),
            include_str!("closing.rs"),
            include_str!("identifiers.rs"),
            include_str!("queues.rs"),
            include_str!("refusing.rs"),
            include_str!("removal.rs"),
            include_str!("taking.rs"),
            include_str!("tasks.rs"),
        ];
        let listed = include_str!("mod.rs");
        let names = sources.iter().flat_map(|source| source.split("pub async fn ").skip(1));
        let names: Vec<_> = names.filter_map(|rest| rest.split('(').next()).collect();
        assert!(names.len() > 40, "{}", names.len());
        for name in names {
            assert!(listed.lines().any(|line| line.trim() == name), "`{name}` is not in the list");
        }
    }
}
