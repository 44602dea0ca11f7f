//! Controllers: against fake workers that answer in every way, blocking, and against a runtime.

mod blocking;
mod serving;
mod waiting;

use procession::communicator::{
    Answer, Answered, BroadcastFilter, Communicator, CommunicatorError, Deadlines, Incoming, IncomingRpc,
    LocalCommunicator, Refusal, Task,
};
use procession::message::{Broadcast, Node};
use procession::prelude::*;
use procession::{ControlError, RemoteProcessController};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::life::Sum;
use super::support::eventually;

const PID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
const SHORT: Deadlines = Deadlines { send: Duration::from_secs(1), reply: Duration::from_millis(100) };

/// A worker that answers what the test says, and keeps what it was asked.
#[derive(Clone)]
struct Fake {
    communicator: Arc<LocalCommunicator>,
    asked: Arc<Mutex<Vec<Node>>>,
    tasks: Arc<Mutex<Vec<Incoming>>>,
    answers: Arc<Mutex<VecDeque<(usize, Said)>>>,
}

/// What it says in the end.
type Said = Result<Node, Refusal>;

impl Fake {
    /// A worker, and a controller that talks to it.
    async fn new() -> (Self, RemoteProcessController) {
        Self::beside(&LocalCommunicator::new()).await
    }

    async fn beside(own: &LocalCommunicator) -> (Self, RemoteProcessController) {
        let fake = Self {
            communicator: Arc::new(own.another()),
            asked: Arc::default(),
            tasks: Arc::default(),
            answers: Arc::default(),
        };
        let worker = fake.clone();
        let subscriber = move |task: Incoming| {
            worker.tasks.lock().unwrap().push(task.clone());
            worker.answer(task.body)
        };
        fake.communicator.add_task_subscriber(Arc::new(subscriber), None).await.unwrap();
        (fake, RemoteProcessController::new(Arc::new(own.clone())))
    }

    /// Has a process answer.
    async fn process(&self, pid: &str) {
        let worker = self.clone();
        let subscriber = move |call: IncomingRpc| worker.answer(call.body);
        self.communicator.add_rpc_subscriber(Arc::new(subscriber), Some(pid.to_owned())).await.unwrap();
    }

    /// The next answer comes after so many pendings.
    fn say(&self, pendings: usize, said: Said) {
        self.answers.lock().unwrap().push_back((pendings, said));
    }

    fn answer(&self, body: Node) -> impl Future<Output = Answered> + Send + use<> {
        self.asked.lock().unwrap().push(body);
        let answer = self.answers.lock().unwrap().pop_front();
        async move {
            match answer {
                Some((pendings, said)) => later(pendings, said),
                // Never.
                None => Ok(Answer::Later(Box::pin(std::future::pending()))),
            }
        }
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().map(Value::from).collect()
    }
}

fn later(pendings: usize, said: Said) -> Answered {
    match pendings {
        0 => said.map(Answer::Value),
        _ => Ok(Answer::Later(Box::pin(async move { later(pendings - 1, said) }))),
    }
}

fn failed(text: &str) -> Said {
    Err(Refusal::Failed(text.to_owned()))
}

#[tokio::test]
async fn calls_follow_any_number_of_pendings_and_send_the_bodies_of_plumpy() {
    let (fake, controller) = Fake::new().await;
    fake.process(PID).await;
    for pendings in [0, 1, 2, 5] {
        for truth in [true, false] {
            for _ in 0..5 {
                fake.say(pendings, Ok(truth.into()));
            }
            let pid = ProcessId::from(PID);
            assert_eq!(controller.pause_process(pid.clone(), "held").await.unwrap(), truth);
            assert_eq!(controller.pause_process(PID, "").await.unwrap(), truth);
            assert_eq!(controller.play_process(PID).await.unwrap(), truth);
            assert_eq!(controller.kill_process(PID, "").await.unwrap(), truth);
            assert_eq!(controller.kill_process_force(PID, "now").await.unwrap(), truth);
        }
        fake.say(pendings, Ok(Node::mapping([("state", Node::text("ProcessState.WAITING"))])));
        assert_eq!(controller.get_status(PID).await.unwrap().state, Some(ProcessState::Waiting));
        let bodies = [
            json!({"intent": "pause", "message": "held"}),
            json!({"intent": "pause", "message": null}),
            json!({"intent": "play", "message": null}),
            json!({"intent": "kill", "message": null, "force_kill": false}),
            json!({"intent": "kill", "message": "now", "force_kill": true}),
        ];
        let mut expected = [&bodies[..], &bodies[..]].concat();
        expected.push(json!({"intent": "status", "message": null}));
        assert_eq!(fake.asked(), expected);
    }
}

#[tokio::test]
async fn a_status_is_read_whatever_of_it_is_there() {
    let (fake, controller) = Fake::new().await;
    fake.process(PID).await;
    let full = Node::mapping([
        ("ctime", Node::Float(1_795_196_633.307_791_7)),
        ("paused", true.into()),
        ("process_string", "<WaitChain> (ProcessState.WAITING)".into()),
        ("state", "ProcessState.WAITING".into()),
        ("more", Node::Integer(1)),
    ]);
    fake.say(1, Ok(full));
    let status = controller.get_status(PID).await.unwrap();
    assert_eq!(status.ctime.unwrap().as_millis(), 1_795_196_633_307);
    assert!(status.paused);
    assert_eq!(status.process_string, "<WaitChain> (ProcessState.WAITING)");
    let known = [
        ("ProcessState.FINISHED", Some(ProcessState::Finished)),
        ("killed", Some(ProcessState::Killed)),
        ("Excepted ", Some(ProcessState::Excepted)),
        ("ProcessState.DREAMING", None),
        ("", None),
    ];
    for (text, state) in known {
        fake.say(0, Ok(Node::mapping([("state", Node::text(text))])));
        let status = controller.get_status(PID).await.unwrap();
        assert_eq!((status.state, status.state_text.as_str(), status.paused, status.ctime), (state, text, false, None));
    }
    for times in [Node::text("yesterday"), Node::Float(f64::NAN), Node::Integer(i128::MAX), Node::Null] {
        fake.say(0, Ok(Node::mapping([("ctime", times)])));
        assert_eq!(controller.get_status(PID).await.unwrap().ctime, None);
    }
    fake.say(0, Ok(Node::mapping([("ctime", Node::Integer(3))])));
    assert_eq!(controller.get_status(PID).await.unwrap().ctime.unwrap().as_millis(), 3_000);
}

#[tokio::test]
async fn what_goes_wrong_with_a_call_is_typed() {
    let own = LocalCommunicator::new();
    let (fake, controller) = Fake::beside(&own).await;
    let error = controller.get_status(PID).await.unwrap_err();
    assert!(matches!(&error, ControlError::NotAlive(pid) if pid.to_string() == PID));
    assert_eq!(error.to_string(), format!("process {PID} is not alive: nobody answers under its id"));
    fake.process(PID).await;
    for pendings in [0, 2] {
        fake.say(pendings, failed("Unknown intent"));
        let error = controller.play_process(PID).await.unwrap_err();
        assert!(matches!(&error, ControlError::Remote(text) if text == "Unknown intent"), "{error:?}");
        fake.say(pendings, Err(Refusal::Cancelled("no more".into())));
        let error = controller.play_process(PID).await.unwrap_err();
        assert!(matches!(&error, ControlError::Cancelled { text: Some(text) } if text == "no more"), "{error:?}");
    }
    for odd in [Node::Null, Node::text("x".repeat(1_000)), Node::Integer(1)] {
        fake.say(0, Ok(odd.clone()));
        let error = controller.kill_process(PID, "").await.unwrap_err();
        assert!(matches!(error, ControlError::Reply { expected: "truth value", .. }) && error.to_string().len() < 300);
        fake.say(0, Ok(odd));
        assert!(matches!(controller.get_status(PID).await, Err(ControlError::Reply { expected: "status", .. })));
    }
    // One that never answers.
    let hasty = controller.clone().with_call_deadlines(SHORT);
    let error = hasty.pause_process(PID, "").await.unwrap_err();
    assert!(matches!(error, ControlError::Timeout { within, .. } if within == SHORT.reply), "{error:?}");
    assert!(error.is_retryable());
    // One whose worker goes away meanwhile.
    let asking = tokio::spawn(async move { hasty.get_status(PID).await });
    eventually(async || fake.asked.lock().unwrap().len() >= 12).await;
    fake.communicator.close().await.unwrap();
    assert!(matches!(asking.await.unwrap(), Err(ControlError::Disconnected(_))));
    assert!(matches!(controller.get_status(PID).await, Err(ControlError::NotAlive(_))));
    own.close().await.unwrap();
    let closed = controller.get_status(PID).await.unwrap_err();
    assert!(matches!(closed, ControlError::Communicator(CommunicatorError::Closed)), "{closed:?}");
    assert!(!closed.is_retryable());
}

#[tokio::test]
async fn tasks_are_sent_as_plumpy_sends_them() {
    let (fake, controller) = Fake::new().await;
    let inputs = || json!({"to": 3, "how": "well"});
    let tuple = |args: Value| args;
    let outputs = || Ok(Node::mapping([("total", Node::Integer(3))]));
    for _ in 0..4 {
        fake.say(1, outputs());
    }
    controller.launch_process("worker:Sum", inputs()).await.unwrap();
    controller.launch(Sum::inputs().to(3)).process("worker:Sum").persist().pid(7).await.unwrap();
    controller.launch_process("worker:Sum", Node::Null).init_kwarg("inputs", inputs()).await.unwrap();
    controller.continue_process(PID).tag("before").await.unwrap();
    fake.say(1, Ok(Node::from(&ProcessId::from(PID))));
    assert_eq!(controller.continue_process("text").nowait().await.unwrap(), PID.into());
    let create = |persist: bool, kwargs: Value| {
        tuple(json!({"process_class": "worker:Sum", "persist": persist, "init_args": null, "init_kwargs": kwargs}))
    };
    let launch = |persist, kwargs, nowait: bool| {
        let mut args = create(persist, kwargs);
        args["nowait"] = nowait.into();
        json!({"task": "launch", "args": args})
    };
    let expected = [
        launch(false, json!({"inputs": inputs()}), false),
        launch(true, json!({"inputs": {"to": 3}, "pid": 7}), false),
        launch(false, json!({"inputs": inputs()}), false),
        json!({"task": "continue", "args": {"pid": PID, "nowait": false, "tag": "before"}}),
        json!({"task": "continue", "args": {"pid": "text", "nowait": true, "tag": null}}),
    ];
    let uuid = fake.asked.lock().unwrap()[3].get("args").unwrap().get("pid").unwrap().clone();
    assert_eq!(uuid, Node::from(&ProcessId::from(PID)), "under its tag");
    assert_eq!(fake.asked(), expected);
}

#[tokio::test]
async fn results_are_outputs_ids_or_nothing_by_type() {
    let (fake, controller) = Fake::new().await;
    for pendings in [0, 1, 3] {
        let outputs = Node::mapping([("total", Node::Integer(3))]);
        fake.say(pendings, Ok(outputs.clone()));
        let sum = controller.launch(Sum::inputs().to(3)).await.unwrap();
        assert_eq!((sum.total, sum.note), (3, None));
        fake.say(pendings, Ok(outputs.clone()));
        assert_eq!(controller.continue_process(PID).outputs_of::<Sum>().await.unwrap().total, 3);
        fake.say(pendings, Ok(outputs));
        assert_eq!(Value::Object(controller.continue_process(PID).await.unwrap()), json!({"total": 3}));
        for pid in [Node::from(&ProcessId::from(PID)), Node::text(PID)] {
            fake.say(pendings, Ok(pid));
            assert_eq!(controller.launch(Sum::inputs().to(3)).nowait().await.unwrap(), PID.into());
        }
        fake.say(pendings, Ok(Node::Integer(7)));
        assert_eq!(controller.launch_process("Sum", json!({})).nowait().await.unwrap(), 7.into());
    }
    // A process that lacks an output is told from its reply by this alone (P20).
    fake.say(1, Ok(Node::Mapping(Vec::new())));
    let error = controller.launch(Sum::inputs().to(3)).await.unwrap_err();
    assert!(matches!(&error, ControlError::Outputs(_)), "{error:?}");
    for odd in [Node::Null, Node::text("sum"), Node::Sequence(Vec::new())] {
        fake.say(1, Ok(odd.clone()));
        assert!(matches!(controller.launch(Sum::inputs().to(3)).await, Err(ControlError::Reply { .. })), "{odd}");
        fake.say(1, Ok(odd.clone()));
        let pid = controller.continue_process(PID).nowait().await;
        assert!(odd.as_text().is_some() || matches!(pid, Err(ControlError::Reply { .. })), "{odd}");
    }
    fake.say(1, failed("Great scott!"));
    let error = controller.launch(Sum::inputs().to(3)).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.is_retryable()), ("Great scott!", false));
}

/// In plumpy each of these is an `AssertionError` (S135).
#[tokio::test]
async fn without_a_reply_nothing_is_waited_for() {
    let (fake, controller) = Fake::new().await;
    let () = controller.launch(Sum::inputs().to(3)).no_reply().await.unwrap();
    let () = controller.launch_process("Sum", json!({})).nowait().no_reply().await.unwrap();
    let () = controller.continue_process(PID).no_reply().await.unwrap();
    let task = Task::new(json!({"task": "other"}).into()).no_reply();
    assert_eq!(controller.task_send(task).await.unwrap(), None);
    eventually(async || fake.tasks.lock().unwrap().len() == 4).await;
    fake.say(1, Ok(Node::from(&ProcessId::from(PID))));
    assert_eq!(controller.execute(Sum::inputs().to(3)).no_reply().await.unwrap(), PID.into(), "that is known");
    eventually(async || fake.tasks.lock().unwrap().len() == 6).await;
    let mut wanted: Vec<_> = fake.tasks.lock().unwrap().iter().map(|task| task.reply_to.is_some()).collect();
    wanted.sort_unstable();
    assert_eq!(wanted, [false, false, false, false, false, true]);
}

/// In plumpy it blocks the thread that it waits for (S138, P15).
#[tokio::test]
async fn to_execute_is_to_create_and_to_continue() {
    let (fake, controller) = Fake::new().await;
    let pid = || Ok(Node::from(&ProcessId::from(PID)));
    fake.say(1, pid());
    fake.say(1, Ok(Node::mapping([("total", Node::Integer(3))])));
    let sum = controller.execute(Sum::inputs().to(3)).id("key").queue("special").deadlines(SHORT);
    let queue = fake.communicator.task_queue("special").await.unwrap();
    let worker = fake.clone();
    let sum = tokio::spawn(sum.into_future());
    for _ in 0..2 {
        let task = queue.next_task(Duration::from_secs(20)).await.unwrap().unwrap();
        let (incoming, outcome) = task.process();
        worker.tasks.lock().unwrap().push(incoming.clone());
        let Ok(Answer::Later(answer)) = worker.answer(incoming.body).await else { panic!("one level") };
        let Ok(Answer::Value(node)) = answer.await else { panic!("a value") };
        outcome.finish(Ok(node)).await.unwrap();
    }
    assert_eq!(sum.await.unwrap().unwrap().total, 3);
    let ids: Vec<_> = fake.tasks.lock().unwrap().iter().map(|task| task.id.clone()).collect();
    assert_eq!(ids, ["key", "key:continue"]);
    let create =
        json!({"process_class": "it::Sum", "persist": true, "init_args": null, "init_kwargs": {"inputs": {"to": 3}}});
    let expected = [
        json!({"task": "create", "args": create}),
        json!({"task": "continue", "args": {"pid": PID, "nowait": false, "tag": null}}),
    ];
    assert_eq!(fake.asked(), expected);

    fake.say(1, pid());
    fake.say(0, pid());
    assert_eq!(controller.execute_process("Sum", json!({})).nowait().await.unwrap(), PID.into());
    assert_eq!(fake.asked()[1]["args"]["nowait"], true);
}

#[tokio::test]
async fn an_execution_that_goes_wrong_says_how_far_it_came() {
    let (fake, controller) = Fake::new().await;
    fake.say(1, failed("no such class"));
    let error = controller.execute_process("Sum", json!({})).await.unwrap_err();
    assert!(matches!(&error, ControlError::Remote(text) if text == "no such class"));
    fake.say(1, Ok(Node::Integer(7)));
    fake.say(1, failed("Great scott!"));
    let error = controller.execute_process("Sum", json!({})).await.unwrap_err();
    assert!(matches!(&error, ControlError::Remote(text) if text == "Great scott!"));
    fake.say(1, Ok(Node::Integer(7)));
    let error = controller.execute_process("Sum", json!({})).deadlines(SHORT).await.unwrap_err();
    let ControlError::NotContinued { pid, source } = &error else { panic!("{error:?}") };
    assert_eq!(*pid, 7.into());
    assert!(matches!(**source, ControlError::Timeout { .. }) && error.is_retryable());
}

/// The values of a builder are all there, but one may refuse to be written.
#[tokio::test]
async fn inputs_that_cannot_be_written_are_not_sent() {
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let (fake, controller) = Fake::new().await;
    let mut inputs = procession::spec::InputMap::new();
    inputs.set("to", &Unwritable);
    let error = controller.launch::<Sum>(inputs.clone().unchecked::<Sum>()).await.unwrap_err();
    let ControlError::Inputs(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("not today"), "{error}");
    let error = controller.execute::<Sum>(inputs.unchecked::<Sum>()).nowait().await.unwrap_err();
    assert!(matches!(error, ControlError::Inputs(_)));
    assert_eq!(fake.asked(), Vec::<Value>::new());
}

#[tokio::test]
async fn all_processes_are_told_by_broadcasts() {
    let (fake, controller) = Fake::new().await;
    let told: Arc<Mutex<Vec<Broadcast>>> = Arc::default();
    let hears = Arc::clone(&told);
    let hears = move |broadcast: Arc<Broadcast>| {
        hears.lock().unwrap().push((*broadcast).clone());
        std::future::ready(())
    };
    fake.communicator.add_broadcast_subscriber(Arc::new(hears), BroadcastFilter::all(), None).await.unwrap();
    controller.pause_all("held").await.unwrap();
    controller.pause_all("").await.unwrap();
    controller.play_all().await.unwrap();
    controller.kill_all("enough").await.unwrap();
    eventually(async || told.lock().unwrap().len() == 4).await;
    let told: Vec<_> = told.lock().unwrap().drain(..).collect();
    let expected = [
        ("pause", json!({"intent": "pause", "message": "held"})),
        ("pause", json!({"intent": "pause", "message": null})),
        ("play", Value::Null),
        ("kill", json!({"intent": "kill", "message": "enough", "force_kill": false})),
    ];
    for (broadcast, (subject, body)) in told.into_iter().zip(expected) {
        assert_eq!((broadcast.subject.as_deref(), Value::from(broadcast.body)), (Some(subject), body));
        assert!(broadcast.sender.is_null());
    }
}

#[tokio::test]
async fn any_task_can_be_sent_and_has_a_deadline() {
    let (fake, controller) = Fake::new().await;
    fake.say(2, Ok(Node::text("done")));
    let task = || Task::new(json!({"task": "other"}).into());
    assert_eq!(controller.task_send(task()).await.unwrap(), Some(Node::text("done")));
    let late = controller.task_send(task().deadlines(SHORT)).await;
    assert!(matches!(late, Err(ControlError::Timeout { .. })));
    let late = controller.clone().with_task_deadlines(SHORT).launch_process("Sum", json!({})).await;
    assert!(matches!(late, Err(ControlError::Timeout { within, .. }) if within == SHORT.reply));
}
