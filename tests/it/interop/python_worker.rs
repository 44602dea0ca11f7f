//! Our controllers with workers of plumpy, whose processes have their communicator bare or wrapped: a wrapped one says
//! once more that its reply follows.

use procession::ProcessState;
use procession::communicator::{BroadcastFilter, Rpc};
use procession::controller::{ControlError, RemoteExecute, RemoteProcessController, blocking};
use procession::message::{Broadcast, Node};
use procession::prelude::ProcessId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::worker::{AddProcess, MissingOutput, WaitChain};
use super::{Scene, named, ours};

/// How long the end of a process may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn controller(scene: &Scene) -> RemoteProcessController {
    RemoteProcessController::new(Arc::new(ours(&scene.names).await))
}

/// A process that waits, and can be controlled: one that is launched has no communicator in a worker of plumpy.
async fn waiting(controller: &RemoteProcessController) -> ProcessId {
    let executed = controller.execute_process(named("WaitForever"), Node::Null).nowait().await;
    let pid = executed.expect("it is created and runs");
    for _ in 0..500 {
        let status = controller.get_status(pid.clone()).await.expect("it is alive");
        if status.state == Some(ProcessState::Waiting) {
            return pid;
        }
    }
    panic!("it never waits");
}

async fn until_paused(controller: &RemoteProcessController, pid: &ProcessId, paused: bool) {
    for _ in 0..500 {
        if controller.get_status(pid.clone()).await.expect("it is alive").paused == paused {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never is paused: {paused}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn we_launch_create_and_continue() {
    let scene = Scene::python("python-launch", "bare");
    let controller = controller(&scene).await;
    let sum = controller.launch::<AddProcess>(AddProcess::inputs().a(2).b(3)).await.expect("it adds");
    assert_eq!(sum.sum, 5);
    let sum = controller.launch_process(named("AddProcess"), json!({ "a": 2 })).persist().await.expect("it adds");
    assert_eq!(Value::from(sum), json!({ "sum": 3 }));
    let rounds = controller.execute::<WaitChain>(WaitChain::inputs().n(2).delay(0.05)).await.expect("it ends");
    assert_eq!((rounds.rounds, rounds.note), (2, None));
    let pid = controller.launch_process(named("AddProcess"), json!({ "a": 5 })).persist().nowait().await;
    let pid = pid.expect("it is launched");
    // It goes on from the checkpoint of its beginning, and adds once more.
    let sum = controller.continue_process(pid).outputs_of::<AddProcess>().await.expect("it adds");
    assert_eq!(sum.sum, 6);
    let chosen: ProcessId = "6ce11889-4c3c-4070-b141-6a751fc498b9".into();
    let launch = controller.launch_process(named("AddProcess"), json!({ "a": 5 })).pid(chosen.clone()).nowait().await;
    assert_eq!(launch.expect("it is launched"), chosen);
    controller.launch_process(named("AddProcess"), json!({ "a": 1 })).no_reply().await.expect("it is sent");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn we_hear_why_a_launch_fails() {
    let scene = Scene::python("python-failures", "bare");
    let controller = controller(&scene).await;
    let refused = async |process: &str, inputs: Value| {
        let refused = controller.launch_process(named(process), inputs).await;
        match refused.expect_err("it fails") {
            ControlError::Remote(text) => text,
            error => panic!("{error:?}"),
        }
    };
    for text in ["Great scott!", "two\nlines: 'of' \"all\" #kinds\t\u{1f600}\u{7f}é", "null", "1.0", " "] {
        assert_eq!(refused("Fail", json!({ "text": text })).await, text);
    }
    assert!(refused("AddProcess", json!({ "a": "x" })).await.contains("inputs.a"));
    assert!(refused("AddProcess", json!({ "a": 1, "c": 1 })).await.contains("'c'"));
    assert!(refused("Nowhere", json!({})).await.contains("Nowhere"));
    let missing = controller.launch_process(named("MissingOutput"), Node::Null).await;
    assert_eq!(missing.expect("a missing output cannot be told from a reply (P20)"), serde_json::Map::new());
    let missing = controller.launch::<MissingOutput>(MissingOutput::inputs()).await;
    assert!(matches!(missing, Err(ControlError::Outputs(_))), "{missing:?}");
    let unknown: ProcessId = "5ce11889-4c3c-4070-b141-6a751fc498b9".into();
    let told = controller.get_status(unknown.clone()).await;
    assert!(matches!(&told, Err(ControlError::NotAlive(pid)) if *pid == unknown), "{told:?}");
    let told = controller.continue_process(unknown).await;
    assert!(matches!(told, Err(ControlError::Remote(_))), "{told:?}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn we_pause_play_and_kill() {
    for processes in ["bare", "wrapped"] {
        let scene = Scene::python(&format!("python-control-{processes}"), processes);
        let controller = controller(&scene).await;
        // Broadcasts arrive here from now on, so that the wait for the end hears an end that follows at once.
        let deaf = |_: Arc<Broadcast>| async {};
        let listens = controller.communicator().add_broadcast_subscriber(Arc::new(deaf), BroadcastFilter::all(), None);
        listens.await.expect("it listens");
        let pid = waiting(&controller).await;
        let status = controller.get_status(pid.clone()).await.expect("it is alive");
        assert_eq!(status.process_string, "<WaitForever> (ProcessState.WAITING)");
        assert_eq!((status.paused, status.state_text.as_str()), (false, "ProcessState.WAITING"));
        assert!(status.ctime.is_some());
        assert!(controller.pause_process(pid.clone(), "hold it").await.expect("it is alive"));
        until_paused(&controller, &pid, true).await;
        assert!(controller.play_process(pid.clone()).await.expect("it is alive"));
        until_paused(&controller, &pid, false).await;
        let dance = Node::mapping([("intent", Node::text("dance"))]);
        for (body, said) in [(dance, "Unknown intent"), (Node::mapping([("a", Node::Null)]), "'intent'")] {
            let reply = controller.communicator().rpc_send(Rpc::new(pid.to_string(), body)).await.expect("it is alive");
            assert_eq!(reply.last().await.expect_err("it refuses").to_string(), said);
        }
        let (ended, killed) = tokio::join!(
            controller.wait_for_end(pid.clone(), PATIENCE),
            controller.kill_process(pid.clone(), "enough")
        );
        assert!(killed.expect("it is alive"));
        assert_eq!(ended.expect("it ends"), ProcessState::Killed);

        let pid = waiting(&controller).await;
        assert!(controller.kill_process_force(pid, "at once").await.expect("it is alive"));
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn we_control_all_and_hear_what_passes_the_filter() {
    let scene = Scene::python("python-all", "bare");
    let controller = controller(&scene).await;
    let (hear, mut heard) = mpsc::unbounded_channel();
    let listener = move |broadcast: Arc<Broadcast>| {
        let _ = hear.send(broadcast);
        async {}
    };
    let filter = BroadcastFilter::all().subject("state_changed.*.killed");
    let added = controller.communicator().add_broadcast_subscriber(Arc::new(listener), filter, None).await;
    added.expect("it listens");
    let pids = [waiting(&controller).await, waiting(&controller).await];
    controller.pause_all("everybody freeze").await.expect("it is told");
    for pid in &pids {
        until_paused(&controller, pid, true).await;
    }
    controller.play_all().await.expect("it is told");
    for pid in &pids {
        until_paused(&controller, pid, false).await;
    }
    controller.kill_all("bang").await.expect("it is told");
    let mut ended = Vec::new();
    for _ in &pids {
        let said = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("it is heard").expect("it listens");
        assert_eq!(said.subject.as_deref(), Some("state_changed.waiting.killed"));
        assert_eq!((&said.body, &said.correlation_id), (&Node::Null, &Node::Null));
        ended.push(said.sender.clone());
    }
    for pid in &pids {
        assert!(ended.contains(&Node::from(pid)), "{pid}: {ended:?}");
    }
    assert!(heard.try_recv().is_err(), "the others did not pass");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn the_blocking_controller_does_the_same() {
    let scene = Scene::python("python-blocking", "bare");
    let names = scene.names.clone();
    let work = move || {
        let connected = blocking::RemoteProcessController::connect(move || async move { Ok(ours(&names).await) });
        let controller = connected.expect("the broker is there");
        let executed = controller.execute_process(named("AddProcess"), json!({ "a": 2 })).wait().expect("it adds");
        assert_eq!(Value::from(executed), json!({ "sum": 3 }));
        let executed = controller.execute_process(named("WaitForever"), Node::Null).with(RemoteExecute::nowait).wait();
        let pid = executed.expect("it runs");
        assert!(!controller.get_status(pid.clone()).expect("it is alive").paused);
        assert!(controller.pause_process(pid.clone(), "").expect("it is alive"));
        assert!(controller.play_process(pid.clone()).expect("it is alive"));
        assert!(controller.kill_process(pid, "enough").expect("it is alive"));
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
}
