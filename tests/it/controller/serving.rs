//! Against workers with a runtime and a store.

use procession::Runtime;
use procession::launcher::{ServingWorker, Worker};

use super::super::control::Rounds;
use super::super::support::World;
use super::*;

/// A worker over the store of a world, on a communicator of its own over the same queues.
async fn worker(world: &World, queues: &LocalCommunicator) -> ServingWorker {
    let communicator = Arc::new(queues.another());
    let builder = world.builder().communicator(communicator).register::<Rounds>().register::<Sum>();
    let runtime: Runtime = builder.build().await.unwrap();
    Worker::new(runtime).drain(Duration::from_millis(50)).start().await.unwrap()
}

async fn state(controller: &RemoteProcessController, pid: &ProcessId, state: ProcessState) {
    eventually(async || controller.get_status(pid.clone()).await.is_ok_and(|status| status.state == Some(state))).await;
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_worker_is_controlled_from_elsewhere() {
    let (world, queues) = (World::new(), LocalCommunicator::new());
    let serving = worker(&world, &queues).await;
    let controller = RemoteProcessController::new(Arc::new(queues.clone()));
    assert_eq!(controller.launch(Sum::inputs().to(3)).await.unwrap().total, 3);
    assert_eq!(controller.launch_process("it::Sum", json!({"to": 4})).persist().await.unwrap()["total"], 4);
    assert_eq!(controller.execute(Sum::inputs().to(5)).await.unwrap().total, 5);
    let failed = controller.launch(Sum::inputs().to(5).how("fail")).await.unwrap_err();
    assert!(matches!(&failed, ControlError::Remote(text) if text.contains("disk on fire")), "{failed:?}");
    let refused = controller.launch(Sum::inputs().to(5_000)).await.unwrap_err();
    assert!(matches!(&refused, ControlError::Remote(text) if text.contains("must be below 1000")), "{refused:?}");
    let unsuccessful = controller.launch(Sum::inputs().to(1).how("exit")).await.unwrap_err();
    assert!(matches!(unsuccessful, ControlError::Outputs(_)), "{unsuccessful:?}");

    // Paused, played and killed by its id, and its end told by whoever waits for it.
    let pid = controller.launch(Rounds::inputs().rounds(1)).nowait().await.unwrap();
    world.gate.reached().await;
    let status = controller.get_status(pid.clone()).await.unwrap();
    assert_eq!((status.state, status.paused), (Some(ProcessState::Running), false));
    assert_eq!(status.process_string, "<Rounds> (ProcessState.RUNNING)");
    assert!(status.ctime.is_some());
    world.gate.open(1);
    state(&controller, &pid, ProcessState::Waiting).await;
    assert!(controller.pause_process(pid.clone(), "held").await.unwrap());
    assert!(controller.get_status(pid.clone()).await.unwrap().paused);
    assert!(controller.play_process(pid.clone()).await.unwrap());
    let waiting = controller.clone();
    let ended = pid.clone();
    let waiting = tokio::spawn(async move { waiting.wait_for_end(ended, LONG).await });
    assert!(controller.kill_process(pid.clone(), "enough").await.unwrap());
    let end = waiting.await.unwrap();
    assert!(matches!(end, Ok(ProcessState::Killed) | Err(ControlError::NotAlive(_))), "{end:?}");
    let killed = controller.continue_process(pid.clone()).await.unwrap_err();
    assert!(matches!(&killed, ControlError::Remote(text) if text == "enough"), "{killed:?}");

    // All of them.
    let pid = controller.launch(Rounds::inputs().rounds(0)).nowait().await.unwrap();
    state(&controller, &pid, ProcessState::Waiting).await;
    controller.pause_all("").await.unwrap();
    eventually(async || controller.get_status(pid.clone()).await.unwrap().paused).await;
    controller.play_all().await.unwrap();
    eventually(async || !controller.get_status(pid.clone()).await.unwrap().paused).await;
    controller.kill_all("all").await.unwrap();
    eventually(async || matches!(controller.get_status(pid.clone()).await, Err(ControlError::NotAlive(_)))).await;
    serving.stop().await.unwrap();
}

#[tokio::test]
async fn a_result_comes_though_the_worker_was_replaced_meanwhile() {
    let (world, queues) = (World::new(), LocalCommunicator::new());
    let serving = worker(&world, &queues).await;
    let controller = RemoteProcessController::new(Arc::new(queues.clone()));
    let launch = controller.launch(Rounds::inputs().rounds(1)).persist().pid("job").into_future();
    let launch = tokio::spawn(launch);
    world.gate.reached().await;
    serving.stop().await.unwrap();
    assert!(matches!(controller.get_status("job").await, Err(ControlError::NotAlive(_))));
    let serving = worker(&world, &queues).await;
    assert_eq!(serving.owed(), 1);
    world.gate.open(2);
    state(&controller, &"job".into(), ProcessState::Waiting).await;
    // Who asks a second time joins.
    let joined = controller.clone();
    let joined = tokio::spawn(async move { joined.continue_process("job").outputs_of::<Rounds>().await });
    let handle = serving.runtime().attach(&"job".into()).await.unwrap();
    assert!(handle.resume("done").await.unwrap());
    assert_eq!(launch.await.unwrap().unwrap().rounds, 1);
    assert_eq!(joined.await.unwrap().unwrap().resumed.as_deref(), Some("done"));
    assert_eq!(controller.continue_process("job").await.unwrap()["rounds"], 1, "also after the end");
    serving.stop().await.unwrap();
}

/// The same task again is the same process, also when the sender does not know whether the first one arrived.
#[tokio::test]
async fn a_task_that_is_repeated_under_its_id_is_done_once() {
    let (world, queues) = (World::new(), LocalCommunicator::new());
    let serving = worker(&world, &queues).await;
    let controller = RemoteProcessController::new(Arc::new(queues.clone()));
    let launch = || controller.launch(Sum::inputs().to(3)).persist().id("sum-3").nowait();
    let first = launch().await.unwrap();
    assert_eq!(launch().await.unwrap(), first);
    let execute = || controller.execute(Sum::inputs().to(4)).id("sum-4").nowait();
    let second = execute().await.unwrap();
    assert_eq!(execute().await.unwrap(), second);
    assert_eq!(world.store.list(Vec::new(), None, 10).await.unwrap().records.len(), 2);
    serving.stop().await.unwrap();
}
