//! The controller that blocks: in programs without tokio, and in contexts that have one.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;
use procession::blocking;

/// A fake worker on a runtime of its own, as in another OS process, with a controller.
fn elsewhere() -> (tokio::runtime::Runtime, Fake, blocking::RemoteProcessController) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (fake, controller) = runtime.block_on(async {
        let (fake, controller) = Fake::new().await;
        fake.process(PID).await;
        (fake, controller)
    });
    let controller = blocking::RemoteProcessController::new(Arc::clone(controller.communicator())).unwrap();
    (runtime, fake, controller)
}

#[test]
fn every_call_has_a_blocking_twin() {
    let (_runtime, fake, controller) = elsewhere();
    for pendings in [0, 1, 2] {
        for _ in 0..4 {
            fake.say(pendings, Ok(true.into()));
        }
        assert!(controller.pause_process(PID, "held").unwrap());
        assert!(controller.play_process(PID).unwrap());
        assert!(controller.kill_process(PID, "").unwrap());
        assert!(controller.kill_process_force(PID, "").unwrap());
        fake.say(pendings, Ok(Node::mapping([("state", "ProcessState.FINISHED".into())])));
        assert_eq!(controller.get_status(PID).unwrap().state, Some(ProcessState::Finished));
        fake.say(pendings, Ok(Node::mapping([("state", "ProcessState.FINISHED".into())])));
        assert_eq!(controller.wait_for_end(PID, Duration::from_secs(20)).unwrap(), ProcessState::Finished);
        let outputs = || Ok(Node::mapping([("total", Node::Integer(3))]));
        let pid = || Ok(Node::Integer(7));
        fake.say(pendings, outputs());
        assert_eq!(controller.launch(Sum::inputs().to(3)).wait().unwrap().total, 3);
        fake.say(pendings, pid());
        let launch = controller.launch_process("Sum", json!({"to": 3}));
        assert_eq!(launch.with(|launch| launch.persist().nowait()).wait().unwrap(), 7.into());
        fake.say(pendings, outputs());
        assert_eq!(controller.continue_process(PID).wait().unwrap()["total"], 3);
        fake.say(pendings, pid());
        fake.say(pendings, outputs());
        assert_eq!(controller.execute(Sum::inputs().to(3)).wait().unwrap().total, 3);
        fake.say(pendings, pid());
        fake.say(pendings, outputs());
        assert_eq!(controller.execute_process("Sum", json!({"to": 3})).wait().unwrap()["total"], 3);
        fake.say(pendings, Ok(Node::text("done")));
        assert_eq!(controller.task_send(Task::new(Node::Null)).unwrap(), Some(Node::text("done")));
        controller.pause_all("").unwrap();
        controller.play_all().unwrap();
        controller.kill_all("").unwrap();
    }
    let gone = controller.get_status("nobody").unwrap_err();
    assert!(matches!(gone, ControlError::NotAlive(_)));
}

#[test]
fn the_deadlines_of_blocking_calls_hold() {
    let (_runtime, _fake, controller) = elsewhere();
    let short = Deadlines { reply: Duration::from_millis(50), ..SHORT };
    let hasty = controller.clone().with_call_deadlines(short).with_task_deadlines(short);
    let began = Instant::now();
    assert!(matches!(hasty.kill_process(PID, ""), Err(ControlError::Timeout { .. })));
    assert!(matches!(hasty.launch(Sum::inputs().to(3)).wait(), Err(ControlError::Timeout { .. })));
    let end = controller.wait_for_end(PID, Duration::from_millis(50));
    assert!(matches!(end, Err(ControlError::Timeout { .. })));
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// Python's controller for threads gives futures (S136).
#[test]
fn calls_that_are_begun_are_waited_for_later() {
    let (_runtime, fake, controller) = elsewhere();
    let begun = controller.begin(|controller| async move { controller.play_process(PID).await });
    let begun = begun.wait_for(Duration::from_millis(1)).expect_err("nobody has answered yet");
    drop(begun);
    while fake.asked.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    let many: Vec<_> = (0..50)
        .map(|number| {
            fake.say(2, Ok(Node::mapping([("total", Node::Integer(number))])));
            controller.launch(Sum::inputs().to(3)).begin()
        })
        .collect();
    let mut totals: Vec<_> = many.into_iter().map(|begun| begun.wait().unwrap().total).collect();
    totals.sort_unstable();
    assert_eq!(totals, (0..50).collect::<Vec<_>>());
    fake.say(0, Ok(true.into()));
    let begun = controller.begin(|controller| async move { controller.play_process(PID).await });
    assert!(begun.wait_for(Duration::from_secs(20)).expect("it is answered").unwrap());
}

/// What blocks inside of a runtime panics in tokio, as a rule.
#[test]
fn blocking_calls_work_in_every_context_and_drop_there() {
    let (_runtime, fake, controller) = elsewhere();
    let call = move || {
        fake.say(1, Ok(true.into()));
        controller.play_process(PID).unwrap()
    };
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(current.block_on(async { call() }));
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let call = Arc::new(call);
    let again = Arc::clone(&call);
    assert!(several.block_on(async move { tokio::spawn(async move { again() }).await.unwrap() }));
    let again = Arc::clone(&call);
    assert!(several.block_on(async move { tokio::task::spawn_blocking(move || again()).await.unwrap() }));
    assert!(
        thread::spawn({
            let call = Arc::clone(&call);
            move || call()
        })
        .join()
        .unwrap()
    );
    let last = several.block_on(async move { Arc::into_inner(call).map(drop) });
    assert!(last.is_some(), "the controller was dropped in an async context");
}

#[test]
fn a_communicator_can_live_on_the_thread_of_the_controller() {
    let controller = blocking::RemoteProcessController::connect(|| async { Ok(LocalCommunicator::new()) }).unwrap();
    let (tell, told) = mpsc::channel();
    // A subscriber runs on that thread, too: it would wait for itself.
    let inner = controller.clone();
    let subscriber = move |_: IncomingRpc| {
        tell.send(inner.get_status("nobody").unwrap_err()).unwrap();
        std::future::ready(Ok(Answer::from(true)))
    };
    let subscribe = controller.begin(|controller| async move {
        let communicator = controller.communicator();
        Ok(communicator.add_rpc_subscriber(Arc::new(subscriber), Some(PID.to_owned())).await?)
    });
    subscribe.wait().unwrap();
    assert!(controller.play_process(PID).unwrap());
    assert!(matches!(told.recv().unwrap(), ControlError::OwnThread));
    let refused = blocking::RemoteProcessController::connect::<LocalCommunicator, _>(|| async {
        Err(CommunicatorError::DeliveryFailed { reason: "no broker".into() })
    });
    assert!(matches!(refused, Err(ControlError::Communicator(CommunicatorError::DeliveryFailed { .. }))));
}

#[test]
fn a_panic_in_a_call_is_an_error_of_that_call_alone() {
    let (_runtime, fake, controller) = elsewhere();
    let lost = controller.begin(|_| async move { panic!("in the middle") });
    let lost: Result<(), _> = lost.wait();
    assert!(matches!(lost, Err(ControlError::Thread(None))), "{lost:?}");
    fake.say(0, Ok(true.into()));
    assert!(controller.play_process(PID).unwrap());
}
