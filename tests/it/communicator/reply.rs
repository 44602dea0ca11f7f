//! Replies and errors, as whoever implements a communicator fills and gives them.

use procession::communicator::{CommunicatorError, Deadlines, Refusal, Replied, Replier, Reply, check_identifier};
use procession::limits;
use procession::message::{Node, ReplyBody};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// A reply, what fills it, and how often it was said that nobody awaits it.
fn reply() -> (Replier, Reply, Arc<AtomicUsize>) {
    let (replier, reply) = Reply::new(LONG);
    let forgotten = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&forgotten);
    replier.on_forgotten(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (replier, reply, forgotten)
}

fn poll(reply: &mut Reply) -> Poll<Result<Replied, CommunicatorError>> {
    Pin::new(reply).poll(&mut Context::from_waker(Waker::noop()))
}

fn level(reply: &mut Reply) -> Reply {
    match poll(reply) {
        Poll::Ready(Ok(Replied::Pending(next))) => next,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_is_what_was_sent_last() {
    let cases = [
        (ReplyBody::Value(Node::from(5)), Ok(Node::from(5))),
        (ReplyBody::Exception("it failed".to_owned()), Err("it failed")),
        (ReplyBody::Cancelled(None), Err("the other side was cancelled")),
        (ReplyBody::Cancelled(Some("enough".to_owned())), Err("the other side was cancelled: enough")),
    ];
    for (body, expected) in cases {
        let (replier, mut reply, _) = reply();
        assert!(poll(&mut reply).is_pending());
        assert!(!replier.receive(ReplyBody::Pending), "more follows");
        assert!(replier.receive(body), "that was the last");
        assert!(replier.receive(ReplyBody::Value(Node::from("too late"))));
        let mut last = level(&mut reply);
        match (poll(&mut last), expected) {
            (Poll::Ready(Ok(Replied::Value(node))), Ok(expected)) => assert_eq!(node, expected),
            (Poll::Ready(Err(error)), Err(expected)) => assert_eq!(error.to_string(), expected),
            (got, expected) => panic!("{expected:?}: {got:?}"),
        }
    }
}

#[test]
fn a_reply_is_forgotten_once_when_its_last_level_is_dropped() {
    let (replier, mut first, forgotten) = reply();
    replier.pending();
    replier.pending();
    let mut second = level(&mut first);
    let third = level(&mut second);
    drop(first);
    drop(third);
    assert_eq!(forgotten.load(Ordering::SeqCst), 0, "one level is there still");
    drop(second);
    assert_eq!(forgotten.load(Ordering::SeqCst), 1);
    replier.end(Ok(Node::Null));
    drop(replier);
    assert_eq!(forgotten.load(Ordering::SeqCst), 1);
}

#[test]
fn a_reply_that_was_dropped_before_is_forgotten_at_once() {
    let (replier, reply) = Reply::new(LONG);
    drop(reply);
    let forgotten = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&forgotten);
    replier.on_forgotten(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(forgotten.load(Ordering::SeqCst), 1);
}

#[test]
fn a_level_is_given_once() {
    let (replier, mut reply, _) = reply();
    replier.pending();
    let below = level(&mut reply);
    let again = poll(&mut reply);
    assert!(matches!(again, Poll::Ready(Err(CommunicatorError::Limit(_)))), "{again:?}");
    drop(below);
}

#[test]
fn a_reply_whose_replier_is_dropped_is_closed() {
    let (replier, mut reply, _) = reply();
    drop(replier);
    let closed = poll(&mut reply);
    assert!(matches!(closed, Poll::Ready(Err(CommunicatorError::Closed))), "{closed:?}");
}

#[tokio::test]
async fn levels_are_bounded() {
    let (replier, reply, _) = reply();
    for _ in 0..limits::REPLY_LEVELS {
        assert!(!replier.pending());
    }
    assert!(replier.pending(), "one too many");
    assert!(replier.pending());
    let failed = reply.last().await.unwrap_err();
    assert!(matches!(failed, CommunicatorError::Limit(_)), "{failed:?}");
}

#[tokio::test]
async fn the_deadline_is_one_for_all_levels() {
    let within = Duration::from_secs(1);
    let (_replier, earlier) = Reply::new(within);
    let (replier, mut first) = Reply::new(within);
    let failed = earlier.last().await.unwrap_err();
    assert!(matches!(failed, CommunicatorError::Timeout { within: of, .. } if of == within), "{failed:?}");
    assert_eq!(failed.to_string(), "the reply took longer than 1 s");
    replier.pending();
    let begin = std::time::Instant::now();
    let failed = level(&mut first).last().await.unwrap_err();
    assert!(matches!(failed, CommunicatorError::Timeout { within: of, .. } if of == within), "{failed:?}");
    assert!(begin.elapsed() < within, "the second level has no deadline of its own: {:?}", begin.elapsed());
}

#[test]
fn a_reply_that_is_there_is_no_timeout() {
    let (replier, reply, _) = reply();
    let mut late = reply.within(Duration::ZERO);
    replier.end(Ok(Node::from(1)));
    let there = poll(&mut late);
    assert!(matches!(&there, Poll::Ready(Ok(Replied::Value(node))) if *node == Node::from(1)), "{there:?}");
}

#[test]
fn a_deadline_is_seen_without_a_runtime_when_it_is_polled() {
    let (replier, reply) = Reply::new(LONG);
    let mut brief = reply.within(Duration::ZERO);
    let late = poll(&mut brief);
    assert!(matches!(late, Poll::Ready(Err(CommunicatorError::Timeout { .. }))), "{late:?}");
    drop(replier);
    let (replier, mut endless) = Reply::new(Duration::MAX);
    assert!(poll(&mut endless).is_pending());
    replier.end(Ok(Node::Null));
    assert!(poll(&mut endless).is_ready());
}

#[test]
fn a_reply_is_awaited_on_another_runtime_than_before() {
    let single = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (replier, mut reply) = single().block_on(async { Reply::new(LONG) });
    assert!(poll(&mut reply).is_pending());
    let waiting = std::thread::spawn(move || single().block_on(reply.last()));
    replier.end(Ok(Node::from("there")));
    assert_eq!(waiting.join().unwrap().unwrap(), Node::from("there"));
}

#[test]
fn what_a_subscriber_refuses_becomes_a_reply() {
    let cases = [
        (Err(Refusal::Rejected("not for me".to_owned())), ReplyBody::Exception("not for me".to_owned())),
        (Err(Refusal::failed("it failed")), ReplyBody::Exception("it failed".to_owned())),
        (Err(Refusal::Cancelled("enough".to_owned())), ReplyBody::Cancelled(Some("enough".to_owned()))),
        (Err(Refusal::Cancelled(String::new())), ReplyBody::Cancelled(None)),
        (Ok(Node::from(5)), ReplyBody::Value(Node::from(5))),
    ];
    for (answer, expected) in cases {
        assert_eq!(ReplyBody::from(answer), expected);
    }
}

#[test]
fn errors_tell_what_failed_and_whether_to_try_again() {
    let source = || Arc::new(std::io::Error::other("reset by peer")) as Arc<dyn Error + Send + Sync>;
    let cases = [
        (CommunicatorError::Closed, "the communicator is closed", false),
        (
            CommunicatorError::Disconnected(Some(source())),
            "the connection was lost; whether the message arrived is not known",
            true,
        ),
        (CommunicatorError::DeliveryFailed { reason: "full".to_owned() }, "the message was not delivered: full", true),
        (CommunicatorError::Unroutable { recipient: "7".to_owned() }, "nobody is reached under `7`", false),
        (CommunicatorError::Remote("Great scott!".to_owned()), "Great scott!", false),
        (CommunicatorError::Duplicate("7".to_owned()), "a subscriber has the identifier `7` already", false),
        (CommunicatorError::Unknown("7".to_owned()), "no subscriber has the identifier `7`", false),
        (
            CommunicatorError::Timeout { what: "the sending", within: Duration::from_millis(1500) },
            "the sending took longer than 1.5s",
            true,
        ),
        (check_identifier("").unwrap_err(), "`` cannot be an identifier or a name: it is empty", false),
        (
            CommunicatorError::Broker { action: "connecting", source: source() },
            "the broker failed while connecting",
            true,
        ),
        (
            CommunicatorError::Unsupported { what: "tasks", communicator: "the mesh" },
            "the mesh carries no tasks",
            false,
        ),
        (
            CommunicatorError::Mesh { action: "taking part", source: source() },
            "the mesh failed while taking part",
            false,
        ),
    ];
    for (error, text, retryable) in cases {
        assert_eq!((error.to_string().as_str(), error.is_retryable()), (text, retryable));
        let repeated = error.source().is_some_and(|source| text.contains(&source.to_string()));
        assert!(!repeated, "{error:?}: the source says it already");
    }
    assert_eq!(Deadlines::TASK.reply, limits::TASK_REPLY);
}
