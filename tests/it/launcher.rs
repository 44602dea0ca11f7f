//! Tasks: what a launcher does with each, what it replies, and that a task that comes twice is one process.

mod owed;

use procession::communicator::{
    Answer, Answered, Communicator, CommunicatorError, Incoming, LocalCommunicator, Refusal, Replied, Reply, Task,
    TaskSubscriber,
};
use procession::launcher::{ProcessLauncher, ServingWorker, Worker, WorkerError};
use procession::message::Node;
use procession::prelude::*;
#[cfg(feature = "sqlite")]
use procession::store::{Durability, SqliteOptions, SqliteStore};
use procession::{AnyHandle, RunError, RuntimeBuilder};
use std::sync::Arc;
use std::time::Duration;

use super::children::{Leaf, Tree};
use super::control::Rounds;
use super::life::Sum;
use super::support::{World, eventually};

fn builder(world: &World, stored: bool) -> RuntimeBuilder {
    let builder = if stored { world.builder() } else { world.volatile() };
    builder.register::<Rounds>().register::<Leaf>().register::<Sum>().register::<Tree>()
}

/// A worker, and someone who sends it tasks.
struct Yard {
    world: World,
    sender: LocalCommunicator,
    worker: Option<ServingWorker>,
    stored: bool,
    _folder: Option<tempfile::TempDir>,
}

impl Yard {
    async fn new(stored: bool) -> Self {
        Self::of(World::new(), stored, None).await
    }

    #[cfg(feature = "sqlite")]
    async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().with_durability(Durability::Normal);
        let store = Arc::new(SqliteStore::open_with(folder.path().join("store.db"), options).unwrap());
        Self::of(World { store, ..World::new() }, true, Some(folder)).await
    }

    async fn of(world: World, stored: bool, folder: Option<tempfile::TempDir>) -> Self {
        let sender = LocalCommunicator::new();
        let mut yard = Self { world, sender, worker: None, stored, _folder: folder };
        yard.start().await;
        yard
    }

    /// A worker on the same store, with a communicator of its own.
    async fn start(&mut self) {
        let communicator = Arc::new(self.sender.another());
        let runtime = builder(&self.world, self.stored).communicator(communicator).build().await.unwrap();
        self.worker = Some(Worker::new(runtime).drain(Duration::ZERO).start().await.unwrap());
    }

    async fn stop(&mut self) {
        self.worker.take().unwrap().stop().await.unwrap();
    }

    fn runtime(&self) -> &Runtime {
        self.worker.as_ref().unwrap().runtime()
    }

    async fn send(&self, task: Task) -> Reply {
        self.sender.task_send(task).await.unwrap().unwrap()
    }

    async fn launch(&self, process: &str, inputs: Vec<(&str, Node)>, nowait: bool) -> (u32, Result<Node, String>) {
        levels(self.send(Task::new(launch(process, inputs, nowait, self.stored))).await).await
    }

    async fn only(&self) -> AnyHandle {
        let page = self.world.store.list(Vec::new(), None, 10).await.unwrap();
        let [record] = &page.records[..] else { panic!("{} processes", page.records.len()) };
        self.runtime().attach(&record.pid).await.unwrap()
    }
}

async fn levels(reply: Reply) -> (u32, Result<Node, String>) {
    let (mut reply, mut pendings) = (reply, 0);
    loop {
        match tokio::time::timeout(Duration::from_secs(20), reply).await.expect("a reply") {
            Ok(Replied::Pending(next)) => (reply, pendings) = (next, pendings + 1),
            Ok(Replied::Value(node)) => return (pendings, Ok(node)),
            Err(CommunicatorError::Remote(text)) => return (pendings, Err(text)),
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn task(name: &str, args: Vec<(&str, Node)>) -> Node {
    Node::mapping([("task", Node::from(name)), ("args", Node::mapping(args))])
}

fn create(process: &str, inputs: Vec<(&str, Node)>, persist: bool) -> Vec<(&'static str, Node)> {
    vec![
        ("process_class", process.into()),
        ("persist", persist.into()),
        ("init_args", Node::Null),
        ("init_kwargs", Node::mapping([("inputs", Node::mapping(inputs))])),
    ]
}

fn launch(process: &str, inputs: Vec<(&str, Node)>, nowait: bool, persist: bool) -> Node {
    let mut args = create(process, inputs, persist);
    args.push(("nowait", nowait.into()));
    task("launch", args)
}

fn launch_as(process: &str, inputs: Vec<(&str, Node)>, pid: &ProcessId, nowait: bool, persist: bool) -> Node {
    let mut args = create(process, Vec::new(), persist);
    args.retain(|(name, _)| *name != "init_kwargs");
    let kwargs = [("inputs", Node::mapping(inputs)), ("pid", Node::from(pid))];
    args.extend([("nowait", nowait.into()), ("init_kwargs", Node::mapping(kwargs))]);
    task("launch", args)
}

fn go_on(pid: &ProcessId, nowait: bool, tag: Option<&str>) -> Node {
    task("continue", vec![("pid", pid.into()), ("nowait", nowait.into()), ("tag", tag.into())])
}

/// Waits for a resume at once.
fn waiting() -> Vec<(&'static str, Node)> {
    vec![("rounds", 0.into())]
}

/// What it gives when it was told to go.
fn went() -> Node {
    Node::mapping([("resumed", Node::from("go")), ("rounds", Node::Integer(0))])
}

fn pid_of(node: &Node) -> ProcessId {
    let Node::Tagged(tagged) = node else { panic!("{node} is no uuid") };
    assert_eq!(tagged.tag, "!uuid");
    tagged.node.as_text().unwrap().into()
}

async fn until(run: &AnyHandle, state: ProcessState) {
    eventually(async || run.status().await.unwrap().state == state).await;
}

/// Runs a test without a store, and with every kind of one.
async fn on_all(test: impl AsyncFn(Yard)) {
    within(test(Yard::new(false).await)).await;
    on_stores(test).await;
}

async fn on_stores(test: impl AsyncFn(Yard)) {
    within(test(Yard::new(true).await)).await;
    #[cfg(feature = "sqlite")]
    within(test(Yard::on_sqlite().await)).await;
}

async fn within(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("no hang");
}

#[tokio::test]
async fn a_launch_replies_with_outputs_an_exception_or_the_id() {
    on_all(async |yard| {
        let leaf = |end: &str| vec![("n", 3.into()), ("end", end.into())];
        let outputs = Node::mapping([("n", Node::Integer(3)), ("square", Node::Integer(9))]);
        assert_eq!(yard.launch("it::Leaf", leaf("well"), false).await, (1, Ok(outputs)));
        let failed = "it was told to fail".to_owned();
        assert_eq!(yard.launch("it::Leaf", leaf("fail"), false).await, (1, Err(failed)), "the exact text, no more");
        // Unsuccessful ends do not show in a reply (P20).
        assert_eq!(yard.launch("it::Leaf", leaf("exit"), false).await, (1, Ok(Node::Mapping(Vec::new()))));
        let forgets = vec![("to", 3.into()), ("how", "forget".into())];
        assert_eq!(yard.launch("it::Sum", forgets, false).await, (1, Ok(Node::Mapping(Vec::new()))));
        let (pendings, pid) = yard.launch("it::Leaf", leaf("well"), true).await;
        let run = yard.runtime().attach(&pid_of(&pid.unwrap())).await;
        assert_eq!(pendings, 1);
        if yard.stored {
            assert!(run.unwrap().termination().await.unwrap().ended.is_successful());
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_launched_is_refused_with_its_name() {
    on_all(async |yard| {
        let (pendings, text) = yard.launch("it::Lief", vec![], false).await;
        assert_eq!(
            (pendings, text.unwrap_err().as_str()),
            (1, "no process `it::Lief` is registered; the nearest is `it::Leaf`")
        );
        let (_, text) = yard.launch("it::Leaf", vec![("n", "three".into())], false).await;
        let text = text.unwrap_err();
        assert!(text.contains("inputs.n") || text.contains("`n`"), "{text}");
        let body = task("launch", vec![("process_class", "it::Leaf".into())]);
        let (_, text) = levels(yard.send(Task::new(body)).await).await;
        assert_eq!(
            text.unwrap_err(),
            "ProcessLauncher._launch() missing 2 required positional arguments: 'persist' and 'nowait'"
        );
        let (_, text) = levels(yard.send(Task::new(Node::mapping([("args", Node::Null)]))).await).await;
        assert_eq!(text.unwrap_err(), "'task'");
        let pid = ProcessId::new();
        if yard.stored {
            let (pendings, text) = levels(yard.send(Task::new(go_on(&pid, false, None))).await).await;
            assert_eq!((pendings, text.unwrap_err()), (1, format!("there is no process {pid}")));
        }
        assert!(yard.world.store.list(Vec::new(), None, 10).await.unwrap().records.is_empty(), "nothing was created");
    })
    .await;
}

/// The answer of a launcher itself.
async fn answer(launcher: &ProcessLauncher, body: Node) -> Answered {
    launcher.receive(Incoming::new("1", body)).await
}

#[tokio::test]
async fn what_another_worker_may_do_is_rejected() {
    let world = World::new();
    let rejected = async |launcher: &ProcessLauncher, body: Node| {
        let answered = answer(launcher, body).await;
        assert!(matches!(answered, Err(Refusal::Rejected(_))), "{answered:?}");
    };
    let runtime = builder(&world, false).build().await.unwrap();
    let launcher = ProcessLauncher::new(&runtime, Arc::new(LocalCommunicator::new()));
    rejected(&launcher, task("dance", vec![])).await;
    rejected(&launcher, launch("it::Rounds", waiting(), false, true)).await;
    rejected(&launcher, task("create", create("it::Rounds", waiting(), true))).await;
    rejected(&launcher, go_on(&ProcessId::new(), false, None)).await;
    rejected(&launcher, go_on(&ProcessId::new(), false, Some("tag"))).await;
    runtime.shutdown().await.unwrap();
    rejected(&launcher, launch("it::Rounds", waiting(), false, false)).await;

    let runtime = builder(&world, true).build().await.unwrap();
    let launcher = ProcessLauncher::new(&runtime, Arc::new(LocalCommunicator::new()));
    rejected(&launcher, task("dance", vec![])).await;
    runtime.shutdown().await.unwrap();
    rejected(&launcher, launch("it::Rounds", waiting(), false, true)).await;
    assert!(world.store.list(Vec::new(), None, 10).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn a_killed_process_replies_with_the_text_of_its_kill() {
    on_all(async |yard| {
        for text in ["enough", ""] {
            let (_, pid) = yard.launch("it::Rounds", waiting(), true).await;
            let run = yard.runtime().attach(&pid_of(&pid.unwrap())).await.unwrap();
            until(&run, ProcessState::Waiting).await;
            let joined = yard.send(Task::new(go_on(run.pid(), false, None))).await;
            let Replied::Pending(joined) = joined.await.unwrap() else { panic!("it waits") };
            run.kill(text).await.unwrap();
            assert_eq!(levels(joined).await, (0, Err(text.to_owned())));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_created_starts_when_it_is_continued_and_not_before() {
    on_stores(async |mut yard| {
        let (pendings, pid) =
            levels(yard.send(Task::new(task("create", create("it::Rounds", waiting(), true)))).await).await;
        let pid = pid_of(&pid.unwrap());
        assert_eq!(pendings, 1);
        // A worker that starts again leaves it as it is.
        yard.stop().await;
        yard.start().await;
        let run = yard.runtime().attach(&pid).await.unwrap();
        assert_eq!(run.status().await.unwrap().state, ProcessState::Created);
        assert_eq!(levels(yard.send(Task::new(go_on(&pid, true, None))).await).await, (1, Ok(Node::from(&pid))));
        until(&run, ProcessState::Waiting).await;
        // A second one joins it, and a third one, after the end, has the result.
        let joined = yard.send(Task::new(go_on(&pid, false, None))).await;
        let Replied::Pending(joined) = joined.await.unwrap() else { panic!("it waits") };
        run.resume("go").await.unwrap();
        let outputs = went();
        assert_eq!(levels(joined).await, (0, Ok(outputs.clone())));
        assert_eq!(levels(yard.send(Task::new(go_on(&pid, false, None))).await).await, (1, Ok(outputs)));
        assert_eq!(yard.only().await.pid(), &pid, "it is one process");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_comes_twice_is_one_process_with_one_result() {
    on_all(async |yard| {
        let pid = ProcessId::from("given");
        let body = Task::new(launch_as("it::Rounds", waiting(), &pid, false, yard.stored)).id("the same");
        let mut replies = Vec::new();
        for _ in 0..3 {
            let Replied::Pending(reply) = yard.send(body.clone()).await.await.unwrap() else { panic!("it waits") };
            replies.push(reply);
        }
        let run = yard.runtime().attach(&pid).await.unwrap();
        until(&run, ProcessState::Waiting).await;
        run.resume("go").await.unwrap();
        let outputs = went();
        for reply in replies {
            assert_eq!(levels(reply).await, (0, Ok(outputs.clone())));
        }
        // And once more when it has ended.
        assert_eq!(levels(yard.send(body).await).await, (1, Ok(outputs)));
        if yard.stored {
            assert_eq!(yard.only().await.pid(), &pid);
        }
    })
    .await;
}

/// A task is acknowledged as soon as it is stored: no time that a broker allows for it can pass (P1), and the worker
/// that has it may go.
#[tokio::test]
async fn a_reply_that_is_owed_comes_from_the_next_worker() {
    on_stores(async |mut yard| {
        let reply = yard.send(Task::new(launch("it::Rounds", waiting(), false, true))).await;
        let Replied::Pending(reply) = reply.await.unwrap() else { panic!("it waits") };
        assert_eq!(yard.world.store.owed(None, 10).await.unwrap().len(), 1, "it is stored before it is acknowledged");
        yard.stop().await;
        yard.start().await;
        assert_eq!(yard.worker.as_ref().unwrap().owed(), 1);
        let run = yard.only().await;
        until(&run, ProcessState::Waiting).await;
        // Stopped while nobody works on it, too.
        yard.stop().await;
        yard.start().await;
        let run = yard.only().await;
        until(&run, ProcessState::Waiting).await;
        run.resume("go").await.unwrap();
        assert_eq!(levels(reply).await, (0, Ok(went())), "no level more");
        eventually(async || yard.world.store.owed(None, 10).await.unwrap().is_empty()).await;
        let history = yard.world.store.history(run.pid()).await.unwrap();
        assert_eq!(history.iter().filter(|entry| entry.to == ProcessState::Waiting).count(), 1, "it ran once");
    })
    .await;
}

/// One that had ended before its worker could reply: the next worker does.
#[tokio::test]
async fn a_reply_of_a_process_that_ended_is_owed_until_it_is_sent() {
    on_stores(async |mut yard| {
        let reply = yard.send(Task::new(launch("it::Rounds", waiting(), false, true))).await;
        let Replied::Pending(reply) = reply.await.unwrap() else { panic!("it waits") };
        // Its communicator is gone when the process ends.
        let old = yard.worker.take().unwrap();
        old.runtime().communicator().unwrap().close().await.unwrap();
        let runtime = old.runtime().clone();
        yard.worker = Some(old);
        let run = yard.only().await;
        until(&run, ProcessState::Waiting).await;
        run.resume("go").await.unwrap();
        run.termination().await.unwrap();
        runtime.shutdown().await.unwrap();
        assert_eq!(yard.world.store.owed(None, 10).await.unwrap().len(), 1);
        yard.worker = None;
        yard.start().await;
        assert_eq!(levels(reply).await, (0, Ok(went())));
        eventually(async || yard.world.store.owed(None, 10).await.unwrap().is_empty()).await;
    })
    .await;
}

/// Without a store the broker keeps the task: a worker that goes leaves it to the next.
#[tokio::test]
async fn a_task_that_nobody_stored_is_begun_again_by_the_next_worker() {
    let mut yard = Yard::new(false).await;
    let reply = yard.send(Task::new(launch("it::Rounds", vec![("rounds", 1.into())], false, false))).await;
    let Replied::Pending(reply) = reply.await.unwrap() else { panic!("it waits") };
    yard.world.gate.reached().await;
    yard.stop().await;
    yard.start().await;
    let Replied::Pending(reply) = reply.await.unwrap() else { panic!("one level more for each run") };
    yard.world.gate.reached().await;
    yard.sender.broadcast_send(procession::message::Broadcast::new("over").subject("kill")).await.unwrap();
    yard.world.gate.open(2);
    assert_eq!(levels(reply).await, (0, Err("over".to_owned())));
}

#[tokio::test]
async fn processes_that_wait_hold_no_slot() {
    for stored in [false, true] {
        let world = World::new();
        let sender = LocalCommunicator::new();
        let runtime = builder(&world, stored).concurrent(1).communicator(Arc::new(sender.another()));
        let worker = Worker::new(runtime.build().await.unwrap()).start().await.unwrap();
        let mut waits = Vec::new();
        for _ in 0..30 {
            let reply = sender.task_send(Task::new(launch("it::Rounds", waiting(), false, stored))).await;
            waits.push(reply.unwrap().unwrap());
        }
        let leaf = launch("it::Leaf", vec![("n", 2.into())], false, stored);
        let (_, outputs) = levels(sender.task_send(Task::new(leaf)).await.unwrap().unwrap()).await;
        assert_eq!(outputs.unwrap().get("square"), Some(&4.into()), "there is one slot, and thirty wait");
        worker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_continue_with_a_tag_goes_back_once_per_task() {
    on_stores(async |yard| {
        let (_, pid) = yard.launch("it::Rounds", waiting(), true).await;
        let pid = pid_of(&pid.unwrap());
        let run = yard.runtime().attach(&pid).await.unwrap();
        until(&run, ProcessState::Waiting).await;
        run.snapshot("here").await.unwrap();
        let back = |id: &str, tag: &str| Task::new(go_on(&pid, true, Some(tag))).id(id);
        let (_, refused) = levels(yard.send(back("early", "here")).await).await;
        assert_eq!(refused.unwrap_err(), format!("process {pid} is waiting: cannot restore"));
        run.resume(Some("first")).await.unwrap();
        run.termination().await.unwrap();
        let (_, missing) = levels(yard.send(back("none", "hare")).await).await;
        assert_eq!(missing.unwrap_err(), format!("process {pid} has no snapshot `hare`; the nearest is `here`"));
        assert_eq!(levels(yard.send(back("once", "here")).await).await, (1, Ok(Node::from(&pid))));
        let run = yard.runtime().attach(&pid).await.unwrap();
        assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting);
        assert_eq!(
            levels(yard.send(back("once", "here")).await).await,
            (1, Ok(Node::from(&pid))),
            "a repetition joins"
        );
        run.resume(Some("second")).await.unwrap();
        run.termination().await.unwrap();
        let again = Task::new(go_on(&pid, false, Some("here"))).id("once");
        let (_, outputs) = levels(yard.send(again).await).await;
        assert_eq!(outputs.unwrap().get("resumed"), Some(&"second".into()), "also after the end");
    })
    .await;
}

/// Its process is someone else's: it owes nothing to whoever wanted another one.
#[tokio::test]
async fn a_launch_with_the_id_of_another_process_is_refused_and_nothing_is_owed() {
    on_stores(async |mut yard| {
        let pid = ProcessId::from("taken");
        let (_, taken) = levels(yard.send(Task::new(launch_as("it::Rounds", waiting(), &pid, true, true))).await).await;
        assert_eq!(taken.unwrap(), Node::from(&pid));
        let joined = yard.send(Task::new(go_on(&pid, false, None))).await;
        let Replied::Pending(joined) = joined.await.unwrap() else { panic!("it waits") };
        for _ in 0..3 {
            let refused = yard.send(Task::new(launch_as("it::Leaf", vec![("n", 2.into())], &pid, false, true))).await;
            let (pendings, text) = levels(refused).await;
            assert_eq!(pendings, 1);
            let text = text.unwrap_err();
            assert!(text.contains("it::Rounds"), "{text}");
        }
        let owed = yard.world.store.owed(None, 10).await.unwrap();
        assert_eq!(owed.len(), 1, "but to the one who joined it: {owed:?}");
        yard.stop().await;
        yard.start().await;
        yard.runtime().attach(&pid).await.unwrap().resume("go").await.unwrap();
        assert_eq!(levels(joined).await, (0, Ok(went())));
    })
    .await;
}

#[tokio::test]
async fn a_task_without_a_reply_is_done_and_answered_by_nothing() {
    on_all(async |yard| {
        let body = launch("it::Leaf", vec![("n", 2.into()), ("gated", true.into())], false, yard.stored);
        assert!(yard.sender.task_send(Task::new(body).no_reply()).await.unwrap().is_none());
        yard.world.gate.reached().await;
        yard.world.gate.open(1);
        if yard.stored {
            assert!(yard.world.store.owed(None, 10).await.unwrap().is_empty());
            assert!(yard.only().await.termination().await.unwrap().ended.is_successful());
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_stops_after_the_steps_that_run_and_leaves_the_rest_to_the_next() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let start = async || {
        let runtime = builder(&world, true).communicator(Arc::new(sender.another())).build().await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(Worker::new(runtime).run_until(async { drop(stopped.await) }));
        (stop, serving)
    };
    let (stop, serving) = start().await;
    let body = launch("it::Rounds", vec![("rounds", 2.into())], false, true);
    let reply = sender.task_send(Task::new(body.clone())).await.unwrap().unwrap();
    world.gate.reached().await;
    stop.send(()).unwrap();
    // What comes now is for the next worker.
    let later = sender.task_send(Task::new(body)).await.unwrap().unwrap();
    assert!(!serving.is_finished(), "it waits for the step");
    world.gate.open(1);
    serving.await.unwrap().unwrap();
    let records = world.store.list(Vec::new(), None, 10).await.unwrap().records;
    assert!(records.iter().any(|record| record.steps == 1), "the step was not cut off: {records:?}");

    let (stop, serving) = start().await;
    world.gate.open(3);
    eventually(async || world.store.list(vec![ProcessState::Waiting], None, 10).await.unwrap().records.len() == 2)
        .await;
    sender.broadcast_send(procession::message::Broadcast::new("bye").subject("kill")).await.unwrap();
    for reply in [reply, later] {
        assert_eq!(levels(reply).await, (1, Err("bye".to_owned())));
    }
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();

    let runtime = builder(&world, true).build().await.unwrap();
    let refused = Worker::new(runtime).start().await.unwrap_err();
    assert!(matches!(refused, WorkerError::NoCommunicator), "{refused}");
}

#[tokio::test]
async fn a_launcher_takes_over_what_it_stored_and_holds_what_it_did_not() {
    for stored in [false, true] {
        let world = World::new();
        let runtime = builder(&world, stored).build().await.unwrap();
        let launcher = ProcessLauncher::new(&runtime, Arc::new(LocalCommunicator::new()));
        let mut task = Incoming::new("1", launch("it::Rounds", waiting(), false, stored));
        task.reply_to = Some(procession::communicator::ReplyAddress {
            exchange: "e".to_owned(),
            queue: "q".to_owned(),
            correlation_id: "c".to_owned(),
        });
        let answered = launcher.receive(task).await.unwrap();
        match (stored, answered) {
            (true, Answer::Owed(_)) | (false, Answer::Later(_)) => {}
            (_, answered) => panic!("{answered:?}"),
        }
        assert_eq!(
            runtime.find("task/1").await.unwrap().map(|run| run.process().to_owned()).as_deref(),
            Some("it::Rounds")
        );
        runtime.shutdown().await.unwrap();
        let end = runtime.find("task/1").await;
        assert!(matches!(end, Ok(_) | Err(RunError::Store(_) | RunError::Closed)));
    }
}
