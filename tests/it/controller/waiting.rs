//! Waiting for the end of a process elsewhere.

use std::time::Instant;

use super::*;
use procession::limits;

const LONG: Duration = Duration::from_secs(100_000);

fn status(state: &str) -> Node {
    Node::mapping([("state", Node::text(format!("ProcessState.{state}")))])
}

async fn announce(fake: &Fake, sender: impl Into<Node>, subject: &str) {
    let broadcast = Broadcast::new(Node::Null).sender(sender).subject(subject);
    fake.communicator.broadcast_send(broadcast).await.unwrap();
}

/// Waits until the controller has asked for the status so often.
async fn asked(fake: &Fake, times: usize) {
    eventually(async || fake.asked.lock().unwrap().len() >= times).await;
}

#[tokio::test]
async fn an_end_that_is_announced_is_heard_at_once() {
    for (name, state) in
        [("finished", ProcessState::Finished), ("killed", ProcessState::Killed), ("excepted", ProcessState::Excepted)]
    {
        let (fake, controller) = Fake::new().await;
        fake.process(PID).await;
        fake.say(1, Ok(status("RUNNING")));
        let other = if name == "killed" { "finished" } else { "killed" };
        let waiting = tokio::spawn(async move { controller.wait_for_end(PID, LONG).await });
        asked(&fake, 1).await;
        announce(&fake, &ProcessId::from(PID), "state_changed.running.waiting").await;
        // Ends, but none of its own.
        announce(&fake, &ProcessId::from(7), &format!("state_changed.waiting.{other}")).await;
        announce(&fake, Node::Null, &format!("state_changed.waiting.{other}")).await;
        announce(&fake, &ProcessId::from(PID), &format!("paused.waiting.{other}")).await;
        announce(&fake, &ProcessId::from(PID), &format!("state_changed.waiting.{name}")).await;
        assert_eq!(waiting.await.unwrap().unwrap(), state);
    }
}

#[tokio::test]
async fn an_end_that_was_not_heard_is_found_by_asking() {
    let (fake, controller) = Fake::new().await;
    fake.process(PID).await;
    fake.say(0, Ok(status("FINISHED")));
    assert_eq!(controller.wait_for_end(PID, LONG).await.unwrap(), ProcessState::Finished, "before it listened");
    let often = controller.clone().with_status_poll(Duration::from_millis(20));
    for state in ["RUNNING", "WAITING", "KILLED"] {
        fake.say(1, Ok(status(state)));
    }
    assert_eq!(often.wait_for_end(PID, LONG).await.unwrap(), ProcessState::Killed, "an announcement that is lost");
    assert_eq!(fake.asked().len(), 4);
    // A process that does not answer just now, as in a blocking step of Python, is asked again.
    let waiting = tokio::spawn(async move { often.wait_for_end(PID, LONG).await });
    asked(&fake, 3).await;
    announce(&fake, PID, "state_changed.running.finished").await;
    assert_eq!(waiting.await.unwrap().unwrap(), ProcessState::Finished, "also from a sender that is a text");
    // And heard while it is being asked.
    let waiting = tokio::spawn(async move { controller.wait_for_end(PID, LONG).await });
    fake.asked();
    asked(&fake, 1).await;
    let began = Instant::now();
    announce(&fake, PID, "state_changed.running.excepted").await;
    assert_eq!(waiting.await.unwrap().unwrap(), ProcessState::Excepted);
    assert!(began.elapsed() < limits::STATUS_POLL);
}

#[tokio::test]
async fn a_process_that_nobody_answers_for_is_not_waited_for() {
    let (fake, controller) = Fake::new().await;
    let gone = controller.wait_for_end(PID, LONG).await;
    assert!(matches!(gone, Err(ControlError::NotAlive(pid)) if pid == PID.into()));
    // Its last words are waited for, since they may be on their way.
    let late = async {
        // It has been asked for by now.
        tokio::time::sleep(limits::ANNOUNCED / 10).await;
        announce(&fake, &ProcessId::from(PID), "state_changed.running.finished").await;
    };
    let (end, ()) = tokio::join!(controller.wait_for_end(PID, LONG), late);
    assert_eq!(end.unwrap(), ProcessState::Finished);
}

/// As a worker refuses a call that comes after the process has left, and before the broker has heard of that.
#[tokio::test]
async fn a_refusal_does_not_hide_an_end_that_is_on_its_way() {
    let (fake, controller) = Fake::new().await;
    fake.process(PID).await;
    let refusal = || failed("nobody is reached any more");
    fake.say(0, refusal());
    let late = async {
        asked(&fake, 1).await;
        // It has been refused by now.
        tokio::time::sleep(limits::ANNOUNCED / 10).await;
        announce(&fake, &ProcessId::from(PID), "state_changed.waiting.killed").await;
    };
    let (end, ()) = tokio::join!(controller.wait_for_end(PID, LONG), late);
    assert_eq!(end.unwrap(), ProcessState::Killed);
    fake.say(0, refusal());
    let refused = controller.wait_for_end(PID, LONG).await;
    assert!(matches!(&refused, Err(ControlError::Remote(text)) if text == "nobody is reached any more"), "{refused:?}");
}

#[tokio::test]
async fn a_wait_ends_in_time_and_leaves_no_subscriber() {
    let own = LocalCommunicator::new();
    let (fake, controller) = Fake::beside(&own).await;
    fake.process(PID).await;
    for within in [Duration::ZERO, Duration::from_millis(100)] {
        let began = Instant::now();
        let late = controller.wait_for_end(PID, within).await;
        assert!(matches!(late, Err(ControlError::Timeout { within: given, .. }) if given == within));
        assert!(began.elapsed() >= within);
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    for _ in 0..5 {
        let dropped = tokio::time::timeout(Duration::from_millis(1), controller.wait_for_end(PID, LONG)).await;
        assert!(dropped.is_err());
    }
    // A subscriber of broadcasts is a task, and each call that is never answered.
    eventually(async || metrics.num_alive_tasks() <= tasks + 5).await;
    let waiting = tokio::spawn(async move { controller.wait_for_end(PID, LONG).await });
    fake.asked();
    asked(&fake, 1).await;
    own.close().await.unwrap();
    let closed = waiting.await.unwrap();
    assert!(matches!(closed, Err(ControlError::Communicator(CommunicatorError::Closed))), "{closed:?}");
}
