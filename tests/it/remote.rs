//! Processes over a communicator: what they answer, what they tell, and that nothing of it is in their way.

use procession::communicator::{
    BroadcastFilter, BroadcastSubscriber, Communicator, CommunicatorError, CommunicatorResult, LocalCommunicator,
    Refusal, Replied, Reply, ReplyAddress, Rpc, RpcSubscriber, Task, TaskQueue, TaskSubscriber,
};
use procession::message::{Broadcast, Node};
use procession::prelude::*;
use procession::process::BoxFuture;
use procession::{AnyHandle, RuntimeBuilder};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::control::{Family, Rounds};
use super::support::{World, eventually};

/// A communicator on a thread of its own, as one over a broker is, and another one beside it.
pub(super) struct Line {
    pub(super) ours: Arc<LocalCommunicator>,
    pub(super) theirs: LocalCommunicator,
    /// Sender and subject of all that was told.
    told: Arc<Mutex<Vec<(Node, String)>>>,
    thread: Option<tokio::runtime::Runtime>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.shutdown_background();
        }
    }
}

impl Line {
    pub(super) async fn new() -> Self {
        let thread = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ours = Arc::new(LocalCommunicator::on(thread.handle().clone()));
        let theirs = ours.another_on(thread.handle().clone());
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let hears = move |broadcast: Arc<Broadcast>| {
            let subject = broadcast.subject.clone().unwrap_or_default();
            hears.lock().unwrap().push((broadcast.sender.clone(), subject));
            std::future::ready(())
        };
        let filter = BroadcastFilter::all().subject("state_changed.*");
        theirs.add_broadcast_subscriber(Arc::new(hears), filter, None).await.unwrap();
        Self { ours, theirs, told, thread: Some(thread) }
    }

    async fn call(&self, pid: &ProcessId, body: Node) -> Result<Reply, CommunicatorError> {
        self.theirs.rpc_send(Rpc::new(pid.to_string(), body)).await
    }

    /// The answer to a call, with the levels of pending before it.
    async fn ask(&self, pid: &ProcessId, body: Node) -> (u32, Result<Node, CommunicatorError>) {
        levels(self.call(pid, body).await.unwrap()).await
    }

    async fn intent(&self, pid: &ProcessId, intent: &str, message: Node) -> (u32, Result<Node, CommunicatorError>) {
        self.ask(pid, Node::mapping([("intent", intent.into()), ("message", message)])).await
    }

    async fn state(&self, pid: &ProcessId) -> (String, bool) {
        let (pendings, status) = self.intent(pid, "status", Node::Null).await;
        let status = status.unwrap();
        assert_eq!(pendings, 0);
        let keys: Vec<_> = status.as_mapping().unwrap().iter().map(|(key, _)| key.as_text().unwrap()).collect();
        assert_eq!(keys, ["ctime", "paused", "process_string", "state"]);
        (status.get("state").unwrap().as_text().unwrap().to_owned(), status.get("paused").unwrap().as_bool().unwrap())
    }

    /// Nobody answers under an id any more.
    async fn gone(&self, pid: &ProcessId) {
        let status = || Node::mapping([("intent", "status".into())]);
        eventually(async || matches!(self.call(pid, status()).await, Err(CommunicatorError::Unroutable { .. }))).await;
    }

    pub(super) fn subjects(&self, pid: &ProcessId) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|(sender, _)| *sender == Node::from(pid)).map(|(_, subject)| subject.clone()).collect()
    }

    async fn tell_all(&self, subject: &str, body: Node) {
        self.theirs.broadcast_send(Broadcast::new(body).subject(subject)).await.unwrap();
    }
}

async fn levels(reply: Reply) -> (u32, Result<Node, CommunicatorError>) {
    let (mut reply, mut pendings) = (reply, 0);
    loop {
        match reply.await {
            Ok(Replied::Pending(next)) => (reply, pendings) = (next, pendings + 1),
            Ok(Replied::Value(node)) => return (pendings, Ok(node)),
            Err(error) => return (pendings, Err(error)),
        }
    }
}

fn builder(world: &World, line: &Line, stored: bool) -> RuntimeBuilder {
    let builder = if stored { world.builder() } else { world.volatile() };
    builder.communicator(line.ours.clone()).register::<Rounds>().register::<Family>()
}

/// Runs the same test without and with a store.
async fn on_both(test: impl AsyncFn(World, Line, Runtime)) {
    for stored in [false, true] {
        let (world, line) = (World::new(), Line::new().await);
        let runtime = builder(&world, &line, stored).build().await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), test(world, line, runtime)).await.expect("no hang");
    }
}

async fn launch(runtime: &Runtime, rounds: u32) -> AnyHandle {
    runtime.launch(Rounds::inputs().rounds(rounds)).await.unwrap().any().clone()
}

async fn until(run: &AnyHandle, state: ProcessState) {
    eventually(async || run.status().await.unwrap().state == state).await;
}

#[tokio::test]
async fn a_process_answers_each_intent_with_its_number_of_pendings() {
    on_both(async |_, line, runtime| {
        let run = launch(&runtime, 0).await;
        until(&run, ProcessState::Waiting).await;
        let pid = run.pid();
        let (pendings, status) = line.intent(pid, "status", Node::Null).await;
        let expected = Node::mapping([
            ("ctime", Node::Float(1_000.0)),
            ("paused", false.into()),
            ("process_string", "<Rounds> (ProcessState.WAITING)".into()),
            ("state", "ProcessState.WAITING".into()),
        ]);
        assert_eq!((pendings, status.unwrap()), (0, expected));

        let done = |(pendings, answer): (u32, Result<Node, CommunicatorError>)| (pendings, answer.unwrap());
        assert_eq!(done(line.intent(pid, "play", Node::Null).await), (1, true.into()), "it was not paused");
        assert_eq!(done(line.intent(pid, "pause", "hold it".into()).await), (1, true.into()));
        let status = run.status().await.unwrap();
        assert_eq!((status.paused, status.text.as_deref()), (true, Some("hold it")));
        assert_eq!(line.state(pid).await, ("ProcessState.WAITING".to_owned(), true));
        assert_eq!(done(line.intent(pid, "play", Node::Null).await), (1, true.into()));
        // Old senders leave keys out; unknown ones are ignored.
        let bare = Node::mapping([("intent", Node::from("pause")), ("colour", 1.into())]);
        assert_eq!(done(line.ask(pid, bare).await), (1, true.into()));

        let text =
            |(pendings, answer): (u32, Result<Node, CommunicatorError>)| (pendings, answer.unwrap_err().to_string());
        assert_eq!(text(line.intent(pid, "dance", Node::Null).await), (0, "Unknown intent".to_owned()));
        assert_eq!(text(line.ask(pid, Node::mapping([("message", Node::Null)])).await), (0, "'intent'".to_owned()));

        assert_eq!(done(line.intent(pid, "kill", "enough".into()).await), (1, true.into()));
        assert_eq!(run.termination().await.unwrap().ended.to_string(), "killed: enough");
        line.gone(pid).await;
    })
    .await;
}

#[tokio::test]
async fn a_process_that_has_not_started_can_be_paused_played_and_killed() {
    on_both(async |world, line, runtime| {
        let create = || async { runtime.launch(Rounds::inputs().rounds(1)).unstarted().await.unwrap() };
        let (run, other) = (create().await, create().await);
        let created = |paused| ("ProcessState.CREATED".to_owned(), paused);
        assert_eq!(line.state(run.pid()).await, created(false));
        for (intent, paused) in [("play", false), ("pause", true), ("play", false), ("pause", true)] {
            assert_eq!(line.intent(run.pid(), intent, Node::Null).await.1.unwrap(), true.into(), "{intent}");
            assert_eq!(line.state(run.pid()).await, created(paused), "{intent} starts nothing");
        }
        let (pendings, killed) = line.intent(other.pid(), "kill", Node::Null).await;
        assert_eq!((pendings, killed.unwrap()), (1, true.into()));
        assert_eq!(other.termination().await.unwrap().ended.state(), ProcessState::Killed);
        assert!(run.start().await.unwrap());
        assert_eq!(line.state(run.pid()).await, created(true), "paused, it does not begin");
        run.play().await.unwrap();
        world.gate.reached().await;
        assert_eq!(line.state(run.pid()).await, ("ProcessState.RUNNING".to_owned(), false));
        assert!(run.start().await.unwrap(), "again is no matter");
    })
    .await;
}

#[tokio::test]
async fn transitions_are_told_in_their_order_and_a_kill_before_its_reply() {
    on_both(async |world, line, runtime| {
        world.gate.open(2);
        let run = launch(&runtime, 2).await;
        until(&run, ProcessState::Waiting).await;
        let expected = [
            "state_changed.None.created",
            "state_changed.created.running",
            "state_changed.running.running",
            "state_changed.running.running",
            "state_changed.running.waiting",
        ];
        eventually(async || line.subjects(run.pid()).len() >= expected.len()).await;
        assert_eq!(line.subjects(run.pid()), expected);
        run.resume("go").await.unwrap();
        run.termination().await.unwrap();
        let expected = ["state_changed.waiting.running", "state_changed.running.finished"];
        eventually(async || line.subjects(run.pid()).len() == 7).await;
        assert_eq!(line.subjects(run.pid())[5..], expected);

        let run = launch(&runtime, 0).await;
        until(&run, ProcessState::Waiting).await;
        // A filter is asked as a broadcast arrives; a subscriber has a task of its own, which may come later than the reply.
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&arrived);
        let filter = BroadcastFilter::all().subject_if(move |subject| {
            sink.lock().unwrap().push(subject.to_owned());
            false
        });
        let hears = |_: Arc<Broadcast>| std::future::ready(());
        line.theirs.add_broadcast_subscriber(Arc::new(hears), filter, None).await.unwrap();
        let (_, killed) = line.intent(run.pid(), "kill", Node::Null).await;
        assert_eq!(killed.unwrap(), true.into());
        let last = arrived.lock().unwrap().pop();
        assert_eq!(last.as_deref(), Some("state_changed.waiting.killed"), "it is told before the reply");
    })
    .await;
}

/// What is told is stored by then: the store of whoever hears it has it.
#[tokio::test]
async fn a_transition_is_stored_before_it_is_told() {
    let (world, line) = (World::new(), Line::new().await);
    let (behind, looked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let (store, sink, looks) = (Arc::clone(&world.store), Arc::clone(&behind), Arc::clone(&looked));
    let hears = move |broadcast: Arc<Broadcast>| {
        let (store, sink, looks) = (Arc::clone(&store), Arc::clone(&sink), Arc::clone(&looks));
        async move {
            let subject = broadcast.subject.clone().unwrap();
            let pid = serde_json::Value::from(broadcast.sender.clone());
            let record = store.load(&pid.as_str().unwrap().into()).await.unwrap();
            let told = ProcessState::from_name(subject.rsplit('.').next().unwrap()).unwrap();
            let order = |state: ProcessState| ProcessState::ALL.iter().position(|known| *known == state);
            if record.is_none_or(|record| order(record.state) < order(told)) {
                sink.lock().unwrap().push(subject);
            }
            *looks.lock().unwrap() += 1;
        }
    };
    let filter = BroadcastFilter::all().subject("state_changed.*");
    line.theirs.add_broadcast_subscriber(Arc::new(hears), filter, None).await.unwrap();
    let runtime = builder(&world, &line, true).build().await.unwrap();
    let run = launch(&runtime, 0).await;
    until(&run, ProcessState::Waiting).await;
    run.kill("").await.unwrap();
    line.gone(run.pid()).await;
    // Whoever listens hears what was told before, a moment later.
    eventually(|| async { *looked.lock().unwrap() == 4 }).await;
    assert_eq!(*behind.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_process_answers_before_anything_is_told_of_it_and_until_all_of_it_is() {
    on_both(async |_, line, runtime| {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (sink, theirs) = (Arc::clone(&answers), line.theirs.clone());
        let hears = move |broadcast: Arc<Broadcast>| {
            let (sink, theirs) = (Arc::clone(&sink), theirs.clone());
            async move {
                let pid = serde_json::Value::from(broadcast.sender.clone());
                let call = Rpc::new(pid.as_str().unwrap(), Node::mapping([("intent", Node::from("status"))]));
                let answer = match theirs.rpc_send(call).await {
                    Ok(reply) => reply.last().await,
                    Err(error) => Err(error),
                };
                sink.lock().unwrap().push(answer.map(drop));
            }
        };
        let filter = BroadcastFilter::all().subject("state_changed.None.created");
        line.theirs.add_broadcast_subscriber(Arc::new(hears), filter, None).await.unwrap();
        for _ in 0..20 {
            let run = launch(&runtime, 0).await;
            assert!(line.state(run.pid()).await.0.starts_with("ProcessState."), "at once after the launch");
        }
        let family = runtime.launch(Family::inputs()).await.unwrap();
        until(family.any(), ProcessState::Waiting).await;
        // The family and its four children too.
        eventually(async || answers.lock().unwrap().len() == 25).await;
        assert!(answers.lock().unwrap().iter().all(Result::is_ok), "{answers:?}");
        line.tell_all("kill", Node::Null).await;
        let pids: Vec<_> = line.told.lock().unwrap().iter().map(|(sender, _)| sender.clone()).collect();
        for pid in pids {
            line.gone(&serde_json::Value::from(pid).as_str().unwrap().into()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn broadcasts_reach_every_process_also_children_and_those_not_started() {
    on_both(async |_, line, runtime| {
        let held = runtime.launch(Rounds::inputs().rounds(0)).unstarted().await.unwrap();
        let family = runtime.launch(Family::inputs()).await.unwrap();
        until(family.any(), ProcessState::Waiting).await;
        let mut runs = vec![held.any().clone(), family.any().clone()];
        let children: Vec<_> = {
            let told = line.told.lock().unwrap();
            let created = told.iter().filter(|(_, subject)| subject == "state_changed.None.created");
            created
                .map(|(sender, _)| ProcessId::from(serde_json::Value::from(sender.clone()).as_str().unwrap()))
                .collect()
        };
        for pid in children {
            if runs.iter().all(|run| *run.pid() != pid) {
                runs.push(runtime.attach(&pid).await.unwrap());
            }
        }
        let paused = async |expected: bool, text: Option<&str>| {
            eventually(async || {
                let mut all = true;
                for run in &runs {
                    let status = run.status().await.unwrap();
                    all &= status.paused == expected && (!expected || text.is_none() || status.text.as_deref() == text);
                }
                all
            })
            .await;
        };
        let body = |intent: &str, text: Node| Node::mapping([("intent", Node::from(intent)), ("message", text)]);
        line.tell_all("pause", body("pause", "everybody freeze".into())).await;
        paused(true, Some("everybody freeze")).await;
        line.tell_all("play", Node::Null).await;
        paused(false, None).await;
        line.tell_all("pause", "hold".into()).await;
        paused(true, Some("hold")).await;
        line.tell_all("state_changed.running.killed", Node::Null).await;
        line.tell_all("dance", Node::Null).await;
        line.tell_all("play", Node::Null).await;
        paused(false, None).await;
        line.tell_all("pause", Node::Null).await;
        paused(true, None).await;
        line.tell_all("kill", body("kill", "bang".into())).await;
        for run in &runs {
            assert_eq!(run.termination().await.unwrap().ended.state(), ProcessState::Killed);
        }
    })
    .await;
}

#[tokio::test]
async fn processes_that_come_from_the_store_answer_again() {
    let (world, line) = (World::new(), Line::new().await);
    let runtime = builder(&world, &line, true).build().await.unwrap();
    let waiting = launch(&runtime, 0).await;
    until(&waiting, ProcessState::Waiting).await;
    let paused = launch(&runtime, 0).await;
    paused.pause("later").await.unwrap();
    let held = runtime.launch(Rounds::inputs().rounds(1)).unstarted().await.unwrap();
    let pids = [waiting.pid().clone(), paused.pid().clone(), held.pid().clone()];
    runtime.shutdown().await.unwrap();
    for pid in &pids {
        let gone = line.call(pid, Node::Null).await;
        assert!(matches!(gone, Err(CommunicatorError::Unroutable { .. })), "a shutdown leaves nothing behind");
    }
    let runtime = builder(&world, &line, true).build().await.unwrap();
    let state = async |place: usize| line.state(&pids[place]).await;
    assert_eq!(state(0).await, ("ProcessState.WAITING".to_owned(), false));
    assert!(state(1).await.1);
    assert_eq!(state(2).await, ("ProcessState.CREATED".to_owned(), false), "nobody has started it");
    assert!(runtime.attach(&pids[2]).await.unwrap().start().await.unwrap());
    world.gate.reached().await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
    // One that was dropped goes as well.
    let runtime = builder(&world, &line, true).build().await.unwrap();
    assert_eq!(state(2).await.0, "ProcessState.RUNNING", "it stays started");
    drop(runtime);
    world.gate.open(5);
    for pid in &pids {
        line.gone(pid).await;
    }
}

/// Blocks its thread until it is told to go on.
#[process(name = "it::Blocks", needs(Latch))]
#[derive(Default)]
struct Blocks {}

spec! { Blocks {} }

outline! { Blocks { block; } }

impl Blocks {
    fn block(&mut self, cx: &mut Cx<Self>) {
        let latch = cx.resource::<Latch>();
        latch.reached.lock().unwrap().send(()).unwrap();
        let _ = latch.open.lock().unwrap().recv();
    }
}

struct Latch {
    reached: Mutex<std::sync::mpsc::Sender<()>>,
    open: Mutex<std::sync::mpsc::Receiver<()>>,
}

#[tokio::test]
async fn a_step_that_blocks_every_thread_stops_neither_status_nor_what_is_told() {
    for stored in [false, true] {
        let line = Line::new().await;
        let (sends_reached, reached) = std::sync::mpsc::channel();
        let (open, waits_open) = std::sync::mpsc::channel();
        let latch = Latch { reached: Mutex::new(sends_reached), open: Mutex::new(waits_open) };
        let communicator = line.ours.clone();
        let (sends_pid, pid) = tokio::sync::oneshot::channel();
        let (has_answer, answered) = tokio::sync::oneshot::channel();
        // The user's runtime has this one thread.
        let user = std::thread::spawn(move || {
            let user = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            user.block_on(async move {
                let world = World::new();
                let builder = if stored { world.builder() } else { world.volatile() };
                let builder = builder.communicator(communicator).resource(latch).register::<Blocks>();
                let runtime = builder.build().await.unwrap();
                let waits = runtime.launch(Blocks::inputs()).unstarted().await.unwrap();
                sends_pid.send(waits.pid().clone()).unwrap();
                assert!(waits.start().await.unwrap());
                waits.outcome().await.unwrap();
                // Who asks while it closes is told that it does.
                answered.await.unwrap();
                runtime.shutdown().await.unwrap();
            });
        });
        let pid = pid.await.unwrap();
        tokio::task::spawn_blocking(move || reached.recv().unwrap()).await.unwrap();
        for _ in 0..10 {
            assert_eq!(line.state(&pid).await, ("ProcessState.RUNNING".to_owned(), false));
        }
        eventually(async || line.subjects(&pid).len() == 2).await;
        let pausing = line.call(&pid, Node::mapping([("intent", Node::from("pause"))])).await.unwrap();
        let Replied::Pending(pausing) = pausing.await.unwrap() else { panic!("it waits for the step") };
        open.send(()).unwrap();
        assert_eq!(pausing.last().await.unwrap(), false.into(), "it ended with the step");
        has_answer.send(()).unwrap();
        tokio::task::spawn_blocking(move || user.join().unwrap()).await.unwrap();
        line.gone(&pid).await;
    }
}

/// A communicator whose broker is away: every call hangs, or fails.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) hangs: bool,
}

impl Away {
    fn answer<T: Send + 'static>(&self) -> BoxFuture<'static, CommunicatorResult<T>> {
        let hangs = self.hangs;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Err(CommunicatorError::Disconnected(None))
        })
    }
}

impl Communicator for Away {
    fn task_send(&self, _: Task) -> BoxFuture<'_, CommunicatorResult<Option<Reply>>> {
        self.answer()
    }

    fn rpc_send(&self, _: Rpc) -> BoxFuture<'_, CommunicatorResult<Reply>> {
        self.answer()
    }

    fn broadcast_send(&self, _: Broadcast) -> BoxFuture<'_, CommunicatorResult<()>> {
        self.answer()
    }

    fn add_task_subscriber(
        &self,
        _: Arc<dyn TaskSubscriber>,
        _: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.answer()
    }

    fn remove_task_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.answer()
    }

    fn add_rpc_subscriber(
        &self,
        _: Arc<dyn RpcSubscriber>,
        _: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.answer()
    }

    fn remove_rpc_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.answer()
    }

    fn add_broadcast_subscriber(
        &self,
        _: Arc<dyn BroadcastSubscriber>,
        _: BroadcastFilter,
        _: Option<String>,
    ) -> BoxFuture<'_, CommunicatorResult<String>> {
        self.answer()
    }

    fn remove_broadcast_subscriber<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.answer()
    }

    fn task_queue<'a>(&'a self, _: &'a str) -> BoxFuture<'a, CommunicatorResult<Arc<dyn TaskQueue>>> {
        self.answer()
    }

    fn reply<'a>(&'a self, _: &'a ReplyAddress, _: Result<Node, Refusal>) -> BoxFuture<'a, CommunicatorResult<()>> {
        self.answer()
    }

    fn close(&self) -> BoxFuture<'_, CommunicatorResult<()>> {
        self.answer()
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_broker_that_is_away_neither_fails_nor_holds_up_a_process() {
    for (hangs, stored) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let builder = builder.communicator(Arc::new(Away { hangs })).register::<Rounds>();
        let work = async {
            let runtime = builder.build().await.unwrap();
            let mut ends = Vec::new();
            for _ in 0..50 {
                world.gate.open(3);
                let run = launch(&runtime, 3).await;
                until(&run, ProcessState::Waiting).await;
                run.resume("go").await.unwrap();
                ends.push(run.termination().await.unwrap());
            }
            assert!(ends.iter().all(|end| end.ended.is_successful()));
            runtime.shutdown().await.unwrap();
        };
        // At most the first of the launches waits, a second, and the shutdown, five.
        tokio::time::timeout(Duration::from_secs(30), work).await.expect("nothing waits for the broker");
    }
}
