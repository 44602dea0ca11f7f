//! What is told and replied arrives whatever happens to the worker that had to: it is stored with the boundary, sent after it,
//! and sent once more by another where nobody knows whether it was sent.

use procession::communicator::{
    Answer, Answered, Communicator, Incoming, LocalCommunicator, Replied, Reply, ReplyAddress, Task, TaskSubscriber,
};
use procession::launcher::{ProcessLauncher, Worker};
use procession::message::Node;
use procession::prelude::*;
use procession::process::{BoxFuture, Request};
use procession::store::{FileStore, MemoryStore, Store};
use procession::{Mending, RuntimeBuilder, WorkerOptions};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::children::{Leaf, Tree};
use super::control::Rounds;
use super::faulty::Faulty;
use super::remote::{Away, Line};
use super::support::{World, eventually};

/// Long enough for a slow machine to renew it, short enough for a test to wait for its end.
const LEASE: Duration = Duration::from_millis(600);

/// More messages than a runtime takes over at once.
const LEFT: u64 = procession::limits::TRANSITIONS as u64 / 2 + 3_000;

const LEAF: [&str; 3] =
    ["state_changed.None.created", "state_changed.created.running", "state_changed.running.finished"];

fn owner(store: &Arc<dyn Store>, world: &World) -> RuntimeBuilder {
    let builder = Runtime::builder().shared_store(Arc::clone(store)).resource(world.gate.clone());
    builder.register::<Leaf>().register::<Tree>().register::<Rounds>()
}

fn worker(store: &Arc<dyn Store>, world: &World) -> RuntimeBuilder {
    owner(store, world).worker(WorkerOptions::new().lease(LEASE))
}

fn mended(worker: &Runtime) -> (u64, u64) {
    let Mending { messages, replies, .. } = worker.mended();
    (messages, replies)
}

/// How many messages are not known to be sent, by whoever owns the store next.
async fn unsent(store: &dyn Store) -> usize {
    let epoch = store.acquire().await.unwrap();
    let unsent = store.unsent(epoch, 1_000).await.unwrap().messages.len();
    store.release(epoch).await.unwrap();
    unsent
}

/// The broker is away from one worker, which is lost; another one tells.
async fn is_told_by_another(
    store: Arc<dyn Store>,
    told: Arc<dyn Communicator>,
    heard: impl Fn(&ProcessId) -> Vec<String>,
) {
    let world = World::new();
    let cut = Faulty::over(Arc::clone(&store), u64::MAX);
    let cut_off = Arc::clone(&cut) as Arc<dyn Store>;
    let one = worker(&cut_off, &world).communicator(Arc::new(Away { hangs: false })).build().await.unwrap();
    let run = one.launch(Leaf::inputs().n(2)).await.unwrap();
    run.termination().await.unwrap();
    let open = one.launch(Leaf::inputs().n(3).gated(true)).await.unwrap();
    world.gate.reached().await;
    assert_eq!((heard(run.pid()), heard(open.pid())), (Vec::<String>::new(), Vec::<String>::new()));
    cut.full.store(true, Ordering::SeqCst);
    let other = worker(&store, &world).communicator(told).build().await.unwrap();
    world.gate.open(2);
    for pid in [run.pid(), open.pid()] {
        eventually(|| async { heard(pid).len() >= LEAF.len() }).await;
    }
    assert_eq!(heard(run.pid()), LEAF, "each once, in their order");
    let [created, begun, .., ended] = &heard(open.pid())[..] else { panic!("there are three at least") };
    assert_eq!([created, begun, ended], LEAF, "what was told before comes before the rest");
    assert_eq!(mended(&other), (5, 0));
    assert_eq!(other.mended().processes, 1);
    other.shutdown().await.unwrap();
    drop((one, run, open));
    assert_eq!(unsent(&*store).await, 0, "nothing is sent for ever");
}

#[tokio::test]
async fn what_a_lost_worker_had_to_tell_is_told_by_another() {
    let line = Line::new().await;
    is_told_by_another(Arc::new(MemoryStore::new()), line.ours.clone(), |pid| line.subjects(pid)).await;
}

#[cfg(all(unix, feature = "postgres", feature = "amqp"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: cargo xtask test"]
async fn what_a_lost_worker_had_to_tell_is_told_by_another_on_real_parts() {
    use procession::communicator::{AmqpCommunicator, AmqpOptions, BroadcastFilter};
    use procession::message::Broadcast;
    use procession::store::{PostgresOptions, PostgresStore};
    let (url, schema) = (super::postgres::Postgres::shared().url(), super::postgres::Postgres::schema());
    let store = PostgresStore::connect(&url, PostgresOptions::new().with_schema(&*schema)).await.unwrap();
    let broker = super::broker::Broker::shared();
    let options =
        AmqpOptions::new().message_exchange(format!("outbox-{schema}")).task_queue(format!("outbox-{schema}"));
    let connect = || async { AmqpCommunicator::connect(&broker.url(), options.clone()).await.unwrap() };
    let (sends, hears) = (connect().await, connect().await);
    let told: Arc<Mutex<Vec<(Node, String)>>> = Arc::default();
    let hear = {
        let told = Arc::clone(&told);
        move |broadcast: Arc<Broadcast>| {
            assert_eq!(broadcast.id.as_deref().map(str::len), Some(32), "{broadcast:?}");
            let subject = broadcast.subject.clone().unwrap_or_default();
            told.lock().unwrap().push((broadcast.sender.clone(), subject));
            std::future::ready(())
        }
    };
    hears.add_broadcast_subscriber(Arc::new(hear), BroadcastFilter::all(), None).await.unwrap();
    is_told_by_another(Arc::new(store), Arc::new(sends), |pid| {
        let told = told.lock().unwrap();
        told.iter().filter(|(sender, _)| *sender == Node::from(pid)).map(|(_, subject)| subject.clone()).collect()
    })
    .await;
    hears.close().await.unwrap();
}

/// Every store keeps it for the next owner, who tells it before anything new.
#[tokio::test]
async fn what_the_last_owner_had_to_tell_is_told_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileStore::open(folder.path().join("store")).unwrap();
    #[allow(unused_mut)]
    let mut stores: Vec<Arc<dyn Store>> = vec![Arc::new(MemoryStore::new()), Arc::new(file)];
    #[cfg(feature = "sqlite")]
    stores.push(Arc::new(procession::store::SqliteStore::open(folder.path().join("store.db")).unwrap()));
    for store in stores {
        let (world, line) = (World::new(), Line::new().await);
        let first = owner(&store, &world).communicator(Arc::new(Away { hangs: false })).build().await.unwrap();
        let run = first.launch(Tree::inputs()).await.unwrap();
        let pid = run.pid().clone();
        run.termination().await.unwrap();
        let children = store.children(&pid).await.unwrap();
        drop(run);
        first.shutdown().await.unwrap();
        let second = owner(&store, &world).communicator(line.ours.clone()).build().await.unwrap();
        let last = "state_changed.running.finished";
        for pid in children.iter().chain([&pid]) {
            eventually(|| async { line.subjects(pid).last().is_some_and(|subject| subject == last) }).await;
            assert_eq!(line.subjects(pid)[..2], LEAF[..2], "{pid}");
        }
        let told: u64 = children.iter().chain([&pid]).map(|pid| line.subjects(pid).len() as u64).sum();
        assert_eq!(mended(&second), (told, 0));
        second.shutdown().await.unwrap();
        assert_eq!(unsent(&*store).await, 0);
    }
}

/// What is sent twice, since the first worker was lost before it forgot, is heard once.
#[tokio::test]
async fn what_is_told_twice_is_heard_once() {
    let (world, line) = (World::new(), Line::new().await);
    let store = Faulty::over(Arc::clone(&world.store), u64::MAX);
    store.forgets_nothing.store(true, Ordering::SeqCst);
    let cut_off = Arc::clone(&store) as Arc<dyn Store>;
    let first = owner(&cut_off, &world).communicator(line.ours.clone()).build().await.unwrap();
    let run = first.launch(Leaf::inputs().n(2)).await.unwrap();
    let pid = run.pid().clone();
    run.termination().await.unwrap();
    eventually(|| async { line.subjects(&pid).len() == LEAF.len() }).await;
    drop(run);
    first.shutdown().await.unwrap();
    store.forgets_nothing.store(false, Ordering::SeqCst);
    let ours = Arc::new(line.theirs.another());
    let second = owner(&cut_off, &world).communicator(ours).build().await.unwrap();
    assert_eq!(mended(&second), (3, 0), "they are sent again");
    let more = second.launch(Leaf::inputs().n(3)).await.unwrap();
    more.termination().await.unwrap();
    eventually(|| async { line.subjects(more.pid()).len() == LEAF.len() }).await;
    assert_eq!(line.subjects(&pid), LEAF);
    drop(more);
    second.shutdown().await.unwrap();
    assert_eq!(unsent(&*world.store).await, 0);
}

#[tokio::test]
async fn what_could_not_be_forgotten_is_forgotten_later() {
    let (world, line) = (World::new(), Line::new().await);
    let store = Faulty::over(Arc::clone(&world.store), u64::MAX);
    store.refusals.store(2, Ordering::SeqCst);
    let runtime = owner(&(Arc::clone(&store) as Arc<dyn Store>), &world).communicator(line.ours.clone());
    let runtime = runtime.build().await.unwrap();
    runtime.launch(Leaf::inputs().n(2)).await.unwrap().termination().await.unwrap();
    // The second attempt is made though nothing more is told.
    eventually(|| async { store.refusals.load(Ordering::SeqCst) == 0 }).await;
    runtime.shutdown().await.unwrap();
    assert_eq!(unsent(&*world.store).await, 0);
}

/// More than fits at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_owner_takes_over_all_that_is_left() {
    let (world, line) = (World::new(), Line::new().await);
    let first = owner(&world.store, &world).communicator(Arc::new(Away { hangs: false })).build().await.unwrap();
    let runs = LEFT / LEAF.len() as u64 + 1;
    let mut launched = Vec::new();
    for _ in 0..runs {
        launched.push(first.launch(Leaf::inputs().n(2)).await.unwrap());
    }
    for run in launched {
        run.termination().await.unwrap();
    }
    first.shutdown().await.unwrap();
    let second = owner(&world.store, &world).communicator(line.ours.clone()).build().await.unwrap();
    eventually(|| async { mended(&second).0 >= LEFT }).await;
    second.shutdown().await.unwrap();
}

/// A runtime without a communicator has nobody to tell.
#[tokio::test]
async fn without_a_communicator_nothing_is_stored_to_be_told() {
    let world = World::new();
    let runtime = owner(&world.store, &world).build().await.unwrap();
    runtime.launch(Tree::inputs()).await.unwrap().termination().await.unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(unsent(&*world.store).await, 0);
}

/// Takes tasks, and stops when its store is gone.
struct Serving {
    runtime: Runtime,
    communicator: Arc<LocalCommunicator>,
    launcher: ProcessLauncher,
}

impl Serving {
    async fn new(store: &Arc<dyn Store>, world: &World, sender: &LocalCommunicator) -> Self {
        let communicator = Arc::new(sender.another());
        let runtime = worker(store, world).communicator(communicator.clone()).build().await.unwrap();
        let launcher = ProcessLauncher::new(&runtime, communicator.clone());
        assert_eq!(launcher.resume_owed().await.unwrap(), 0);
        Self { runtime, communicator, launcher }
    }

    async fn takes_tasks(&self) -> String {
        self.communicator.add_task_subscriber(Arc::new(self.launcher.clone()), None).await.unwrap()
    }
}

fn task(name: &str, args: Vec<(&str, Node)>) -> Task {
    Task::new(Node::mapping([("task", Node::from(name)), ("args", Node::mapping(args))]))
}

fn launch(n: i64) -> Task {
    let inputs = Node::mapping([("n", Node::from(n)), ("gated", true.into())]);
    let kwargs = Node::mapping([("inputs", inputs)]);
    let args = vec![("process_class", Node::from("it::Leaf")), ("persist", true.into()), ("init_kwargs", kwargs)];
    task("launch", [args, vec![("init_args", Node::Null), ("nowait", false.into())]].concat())
}

fn go_on(pid: &ProcessId) -> Task {
    task("continue", vec![("pid", Node::from(pid)), ("nowait", false.into()), ("tag", Node::Null)])
}

async fn send(sender: &LocalCommunicator, task: Task) -> Reply {
    let reply = sender.task_send(task).await.unwrap().unwrap();
    match tokio::time::timeout(Duration::from_secs(20), reply).await.expect("it is taken").unwrap() {
        Replied::Pending(reply) => reply,
        Replied::Value(value) => panic!("it is over: {value:?}"),
    }
}

async fn square(reply: Reply) -> Option<Node> {
    let reply = tokio::time::timeout(Duration::from_secs(20), reply.last()).await.expect("a reply");
    reply.unwrap().get("square").cloned()
}

#[tokio::test]
async fn a_reply_that_a_lost_worker_owed_is_sent_by_another() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let cut = Faulty::over(Arc::clone(&world.store), u64::MAX);
    let one = Serving::new(&(Arc::clone(&cut) as Arc<dyn Store>), &world, &sender).await;
    one.takes_tasks().await;
    let reply = send(&sender, launch(3)).await;
    world.gate.reached().await;
    cut.full.store(true, Ordering::SeqCst);
    one.communicator.close().await.unwrap();
    let other = Serving::new(&world.store, &world, &sender).await;
    world.gate.open(2);
    assert_eq!(square(reply).await, Some(9.into()));
    assert_eq!(other.runtime.mended().replies, 1);
    eventually(|| async { world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    other.runtime.shutdown().await.unwrap();
}

/// A worker that takes over messages takes over replies: it sends them, if nobody else here does.
#[tokio::test]
async fn a_reply_that_a_lost_worker_owed_is_sent_by_one_without_a_launcher() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let cut = Faulty::over(Arc::clone(&world.store), u64::MAX);
    let one = Serving::new(&(Arc::clone(&cut) as Arc<dyn Store>), &world, &sender).await;
    one.takes_tasks().await;
    let reply = send(&sender, launch(3)).await;
    world.gate.reached().await;
    let other = worker(&world.store, &world).communicator(Arc::new(sender.another())).build().await.unwrap();
    // One that is gone by then.
    let launcher = ProcessLauncher::new(&other, Arc::clone(other.communicator().unwrap()));
    launcher.resume_owed().await.unwrap();
    drop(launcher);
    cut.full.store(true, Ordering::SeqCst);
    one.communicator.close().await.unwrap();
    world.gate.open(2);
    assert_eq!(square(reply).await, Some(9.into()));
    eventually(|| async { world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    assert_eq!(other.mended().replies, 1);
    other.shutdown().await.unwrap();
}

/// One whose process cannot be read now does not keep the others, neither those that come with it nor those that come later.
#[tokio::test]
async fn a_reply_that_cannot_be_sent_yet_keeps_no_other() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let some = Faulty::over(Arc::clone(&world.store), u64::MAX);
    let other = Serving::new(&(Arc::clone(&some) as Arc<dyn Store>), &world, &sender).await;
    let mut replies = Vec::new();
    for round in [3, 5] {
        let cut = Faulty::over(Arc::clone(&world.store), u64::MAX);
        let one = Serving::new(&(Arc::clone(&cut) as Arc<dyn Store>), &world, &sender).await;
        let takes = one.takes_tasks().await;
        for n in [round, round + 1] {
            replies.push((n, send(&sender, launch(n)).await));
            world.gate.reached().await;
        }
        if round == 3 {
            // The first one of all: replies come in the order of their processes.
            let (pid, _) = world.store.owed(None, 1).await.unwrap().remove(0);
            *some.busy.lock().unwrap() = Some(pid);
        }
        one.communicator.remove_task_subscriber(&takes).await.unwrap();
        cut.full.store(true, Ordering::SeqCst);
        one.communicator.close().await.unwrap();
        world.gate.open(4);
        for (n, reply) in replies.extract_if(.., |(n, _)| *n != 3).collect::<Vec<_>>() {
            assert_eq!(square(reply).await, Some((n * n).into()));
        }
    }
    *some.busy.lock().unwrap() = None;
    assert_eq!(square(replies.remove(0).1).await, Some(9.into()));
    other.runtime.shutdown().await.unwrap();
}

/// Its reply is sent and forgotten while another one that came with it is tried again and again.
#[tokio::test]
async fn a_continue_with_a_tag_goes_back_once_also_while_other_replies_cannot_be_sent() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let cut = Faulty::over(Arc::clone(&world.store), u64::MAX);
    let one = Serving::new(&(Arc::clone(&cut) as Arc<dyn Store>), &world, &sender).await;
    let run = one.runtime.launch(Rounds::inputs().rounds(0)).await.unwrap();
    let waits = async || eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    waits().await;
    run.snapshot("here").await.unwrap();
    run.resume("first").await.unwrap();
    run.termination().await.unwrap();
    let Task { body, .. } =
        task("continue", vec![("pid", run.pid().into()), ("nowait", false.into()), ("tag", "here".into())]);
    let mut task = Incoming::new("once", body);
    let (exchange, queue, correlation_id) = ("e".to_owned(), "q".to_owned(), "c".to_owned());
    task.reply_to = Some(ReplyAddress { exchange, queue, correlation_id });
    one.launcher.receive(task.clone()).await.unwrap();
    waits().await;
    one.takes_tasks().await;
    let reply = send(&sender, launch(3)).await;
    world.gate.reached().await;
    let owed = || async { world.store.owed(None, 10).await.unwrap() };
    let busy = owed().await.into_iter().find(|(pid, _)| pid != run.pid()).expect("both are owed").0;

    let some = Faulty::over(Arc::clone(&world.store), u64::MAX);
    *some.busy.lock().unwrap() = Some(busy);
    cut.full.store(true, Ordering::SeqCst);
    one.communicator.close().await.unwrap();
    let other = Serving::new(&(Arc::clone(&some) as Arc<dyn Store>), &world, &sender).await;
    let again = other.runtime.attach(run.pid()).await.unwrap();
    again.resume("second").await.unwrap();
    again.termination().await.unwrap();
    eventually(|| async { owed().await.len() == 1 }).await;
    task.redelivered = true;
    other.launcher.receive(task).await.unwrap();
    let history = world.store.history(run.pid()).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.point.starts_with("restored")).count(), 1);
    *some.busy.lock().unwrap() = None;
    world.gate.open(2);
    assert_eq!(square(reply).await, Some(9.into()));
    other.runtime.shutdown().await.unwrap();
}

/// A task for a process of another worker waits for its end there, and does not take it away.
#[tokio::test]
async fn a_process_of_another_worker_is_waited_for_and_not_taken() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let one = Serving::new(&world.store, &world, &sender).await;
    let other = Serving::new(&world.store, &world, &sender).await;
    other.takes_tasks().await;
    let run = one.runtime.launch(Leaf::inputs().n(4).gated(true)).await.unwrap();
    world.gate.reached().await;
    let held = one.runtime.launch(Leaf::inputs().n(5).gated(true)).unstarted().await.unwrap();
    let (first, second) = (send(&sender, go_on(run.pid())).await, send(&sender, go_on(held.pid())).await);
    // The other one was started, where it is.
    world.gate.reached().await;
    let owned = world.store.workers().await.unwrap().into_iter().map(|worker| worker.owned).max();
    assert_eq!(owned, Some(2));
    world.gate.open(2);
    assert_eq!((square(first).await, square(second).await), (Some(16.into()), Some(25.into())));
    // One that has ended, wherever that was, gives its result.
    let over = sender.task_send(go_on(run.pid())).await.unwrap().unwrap();
    assert_eq!(square(over).await, Some(16.into()));
    assert_eq!((mended(&one.runtime), mended(&other.runtime)), ((0, 0), (0, 0)));
}

/// Keeps where the replies go.
struct Addresses(Arc<Mutex<Vec<ReplyAddress>>>);

impl TaskSubscriber for Addresses {
    fn receive(&self, task: Incoming) -> BoxFuture<'static, Answered> {
        self.0.lock().unwrap().extend(task.reply_to);
        Box::pin(std::future::ready(Ok(Answer::Owed(Box::pin(async {})))))
    }
}

/// Two workers may send the same reply: the second one is nobody's.
#[tokio::test]
async fn a_second_reply_is_harmless() {
    let sender = LocalCommunicator::new();
    let (one, other) = (sender.another(), sender.another());
    let addresses: Arc<Mutex<Vec<ReplyAddress>>> = Arc::default();
    one.add_task_subscriber(Arc::new(Addresses(Arc::clone(&addresses))), None).await.unwrap();
    let first = send(&sender, Task::new(Node::Null)).await;
    let second = send(&sender, Task::new(Node::Null)).await;
    let [to_first, to_second] = &addresses.lock().unwrap().clone()[..] else { panic!("two") };
    one.reply(to_first, Ok(1.into())).await.unwrap();
    other.reply(to_first, Ok(2.into())).await.unwrap();
    other.reply(to_second, Ok(3.into())).await.unwrap();
    assert_eq!((first.last().await.unwrap(), second.last().await.unwrap()), (1.into(), 3.into()));
    other.reply(to_first, Ok(4.into())).await.unwrap();
}

/// A child is a row that was written with its parent's boundary: whoever takes over starts it, wherever its worker was lost.
#[tokio::test]
async fn children_whose_worker_is_lost_after_their_creation_are_started_by_another() {
    for commits in 0..8 {
        let world = World::new();
        let cut = Faulty::over(Arc::clone(&world.store), commits);
        let one = worker(&(Arc::clone(&cut) as Arc<dyn Store>), &world).build().await.unwrap();
        let run = one.launch(Tree::inputs()).await.unwrap();
        let pid = run.pid().clone();
        // The first that is refused cuts the worker off; where none is, all is done by then.
        eventually(|| async {
            cut.full.load(Ordering::SeqCst) || world.store.termination(&pid).await.unwrap().is_some()
        })
        .await;
        drop((run, one));
        let other = worker(&world.store, &world).build().await.unwrap();
        let end = other.attach(&pid).await.unwrap().termination().await.unwrap();
        assert!(end.ended.is_successful(), "after {commits} boundaries: {end:?}");
        for child in world.store.children(&pid).await.unwrap() {
            let end = world.store.termination(&child).await.unwrap();
            assert!(end.is_some_and(|end| end.ended.is_successful()), "{child}");
        }
        other.shutdown().await.unwrap();
    }
}

/// So is what was asked: a row, whoever it reaches.
#[tokio::test]
async fn a_request_whose_worker_is_lost_is_done_by_another() {
    let world = World::new();
    let cut = Faulty::over(Arc::clone(&world.store), u64::MAX);
    let one = worker(&(Arc::clone(&cut) as Arc<dyn Store>), &world).build().await.unwrap();
    let run = one.launch(Leaf::inputs().n(2)).unstarted().await.unwrap();
    cut.full.store(true, Ordering::SeqCst);
    world.store.request(run.pid(), Request::Start).await.unwrap();
    let other = worker(&world.store, &world).build().await.unwrap();
    let end = other.attach(run.pid()).await.unwrap().termination().await.unwrap();
    assert!(end.ended.is_successful());
    assert_eq!(other.mended().processes, 1);
}

/// As it is run: a worker that stops leaves nothing behind, and one that takes tasks says so.
#[tokio::test]
async fn workers_that_stop_leave_nothing_to_be_sent() {
    let world = World::new();
    let sender = LocalCommunicator::new();
    let mut serving = Vec::new();
    for _ in 0..2 {
        let runtime = worker(&world.store, &world).communicator(Arc::new(sender.another())).build().await.unwrap();
        serving.push(Worker::new(runtime).start().await.unwrap());
    }
    let mut replies = Vec::new();
    for n in 0..20 {
        replies.push(send(&sender, launch(n)).await);
    }
    world.gate.open(20);
    for (n, reply) in (0..20).zip(replies) {
        assert_eq!(square(reply).await, Some((n * n).into()));
    }
    for worker in serving {
        worker.stop().await.unwrap();
    }
    assert_eq!((unsent(&*world.store).await, world.store.owed(None, 10).await.unwrap()), (0, Vec::new()));
}
