//! Who waits for a process that is parked.

use procession::communicator::{Communicator, CommunicatorError, LocalCommunicator, Task};
use procession::launcher::Worker;
use procession::message::Node;
use procession::prelude::*;
use procession::process::Request;
use procession::store::StoreErrorKind;
use procession::{RunError, RuntimeBuilder, WorkerOptions};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::doubt::client;
use super::requests::{join, within};
use super::{Counted, LEASE, Team, on_each_store};
use crate::children::Leaf;
use crate::faulty::Faulty;
use crate::support::eventually;

on_each_store! {
    who_waits_for_a_process_that_is_parked_elsewhere_is_told,
    a_launcher_replies_that_a_process_is_parked,
    a_launcher_replies_that_a_process_cannot_be_read,
    who_waits_for_an_end_that_cannot_be_read_is_told,
    a_parent_waits_on_for_a_child_that_is_parked,
    a_parent_goes_on_when_its_child_has_ended_elsewhere,
}

/// What cannot be read now, by what is in it.
static BROKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

#[derive(Debug, Default, Clone, Serialize)]
struct Brittle(String);

impl<'de> Deserialize<'de> for Brittle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if BROKEN.lock().unwrap().contains(&text) {
            Err(serde::de::Error::custom("it is broken"))
        } else {
            Ok(Self(text))
        }
    }
}

/// Waits, and is read again when it goes on.
#[process(name = "it::Fragile")]
#[derive(Default)]
struct Fragile {
    part: Brittle,
}

spec! { Fragile { output n: u64; } }
outline! { Fragile {
    wait;
    end => n;
}}

impl Fragile {
    fn wait(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        self.part = Brittle(cx.pid().to_string());
        cx.wait("for a resume")
    }

    fn end(&self) -> u64 {
        3
    }
}

#[process(name = "it::Patient")]
#[derive(Default)]
struct Patient {
    child: Child<Fragile>,
}

spec! { Patient { output n: u64; } }
outline! { Patient {
    launch;
    end => n;
}}

impl Patient {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.child = cx.launch(Fragile::inputs())?;
        Ok(())
    }

    fn end(&self) -> Result<u64, StepError> {
        Ok(self.child.outputs()?.n)
    }
}

/// A worker that parks what it cannot go on with at once, and does not know `Counted`.
async fn strict(team: &Team) -> RuntimeBuilder {
    let options = WorkerOptions::new().lease(LEASE).attempts(1);
    let builder = Runtime::builder().shared_store(team.store().await).worker(options);
    builder.resource(team.world.gate.clone()).register::<Leaf>()
}

async fn unpark(team: &Team, pid: &ProcessId) {
    let epoch = join(&*team.world.store).await;
    assert!(team.world.store.unpark(epoch, pid).await.unwrap());
    team.world.store.release(epoch).await.unwrap();
}

/// Whatever worker parks it; and when it was unparked, who asks again waits for its end.
async fn who_waits_for_a_process_that_is_parked_elsewhere_is_told(team: Team) {
    let client = client(&team).await.build().await.unwrap();
    let run = client.launch(Counted::inputs()).anywhere().await.unwrap();
    let again = run.clone();
    let waiting = tokio::spawn(async move { again.outcome().await });
    let again = run.clone();
    let asking = tokio::spawn(async move { again.play().await });
    eventually(|| async { !team.world.store.requests(None).await.unwrap().is_empty() }).await;
    let parker = strict(&team).await.build().await.unwrap();
    for told in [within(run.termination()).await.unwrap_err(), within(waiting).await.unwrap().unwrap_err()] {
        let RunError::Parked { pid, reason } = &told else { panic!("{told:?}") };
        assert!(pid == run.pid() && reason.starts_with("unknown process"), "{told}");
    }
    let told = within(asking).await.unwrap();
    assert!(matches!(told, Err(RunError::Parked { .. })), "so is who asks something of it: {told:?}");
    let told = within(run.outcome()).await;
    assert!(matches!(told, Err(RunError::Parked { .. })), "it still is: {told:?}");
    parker.shutdown().await.unwrap();
    unpark(&team, run.pid()).await;
    let worker = team.worker().await.build().await.unwrap();
    assert_eq!(within(run.outcome()).await.unwrap().finished().unwrap().rounds, 3);
    worker.shutdown().await.unwrap();
}

/// As where one has the store for itself: the sender hears of the reason, and nothing is owed any more.
async fn a_launcher_replies_that_a_process_is_parked(team: Team) {
    let sender = LocalCommunicator::new();
    let launcher = client(&team).await.communicator(Arc::new(sender.another())).build().await.unwrap();
    let launcher = Worker::new(launcher).start().await.unwrap();
    let run = launcher.runtime().launch(Counted::inputs()).anywhere().await.unwrap();
    let args = [("pid", Node::from(run.pid())), ("nowait", false.into()), ("tag", Node::Null)];
    let task = Task::new(Node::mapping([("task", "continue".into()), ("args", Node::mapping(args))]));
    let reply = sender.task_send(task).await.unwrap().unwrap();
    eventually(|| async { !team.world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    let parker = strict(&team).await.build().await.unwrap();
    let told = within(reply.last()).await;
    let Err(CommunicatorError::Remote(text)) = &told else { panic!("{told:?}") };
    assert!(text.contains("is parked: unknown process"), "{text}");
    eventually(|| async { team.world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    parker.shutdown().await.unwrap();
    launcher.stop().await.unwrap();
}

/// While this worker lives, no other is told that it owes the reply.
async fn a_launcher_replies_that_a_process_cannot_be_read(team: Team) {
    let (sender, store) = (LocalCommunicator::new(), Faulty::over(team.store().await, u64::MAX));
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let launcher = team.worker_on(store.clone()).worker(nothing).communicator(Arc::new(sender.another()));
    let launcher = Worker::new(launcher.build().await.unwrap()).start().await.unwrap();
    let run = launcher.runtime().launch(Counted::inputs()).anywhere().await.unwrap();
    let args = [("pid", Node::from(run.pid())), ("nowait", false.into()), ("tag", Node::Null)];
    let task = Task::new(Node::mapping([("task", "continue".into()), ("args", Node::mapping(args))]));
    let reply = sender.task_send(task).await.unwrap().unwrap();
    eventually(|| async { !team.world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    *store.damaged.lock().unwrap() = Some(run.pid().clone());
    let told = within(reply.last()).await;
    let Err(CommunicatorError::Remote(text)) = &told else { panic!("{told:?}") };
    assert!(text.contains("it is damaged"), "{text}");
    eventually(|| async { team.world.store.owed(None, 10).await.unwrap().is_empty() }).await;
    launcher.stop().await.unwrap();
}

fn is_corrupt(told: &RunError) -> bool {
    matches!(told, RunError::Store(error) if error.kind() == StoreErrorKind::Corrupt)
}

/// Whoever has it, or had it.
async fn who_waits_for_an_end_that_cannot_be_read_is_told(team: Team) {
    let store = Faulty::over(team.store().await, u64::MAX);
    let nothing = WorkerOptions::new().queues(["of nobody"]).lease(LEASE);
    let client = team.worker_on(store.clone()).worker(nothing).build().await.unwrap();
    let run = client.launch(Counted::inputs()).anywhere().await.unwrap();
    let again = run.clone();
    let waiting = tokio::spawn(async move { again.outcome().await });
    *store.unreadable.lock().unwrap() = Some(run.pid().clone());
    for told in [within(run.termination()).await.unwrap_err(), within(waiting).await.unwrap().unwrap_err()] {
        assert!(is_corrupt(&told), "{told:?}");
    }
    client.shutdown().await.unwrap();
}

/// In the same worker, where parent and handles look at the same slot.
async fn a_parent_waits_on_for_a_child_that_is_parked(team: Team) {
    let worker = strict(&team).await.resident(0).register::<Patient>().register::<Fragile>().build().await.unwrap();
    let store = &team.world.store;
    let run = worker.launch(Patient::inputs()).await.unwrap();
    eventually(|| async { run.status().await.unwrap().state == ProcessState::Waiting }).await;
    let child = worker.attach(&store.children(run.pid()).await.unwrap()[0]).await.unwrap();
    eventually(|| async { child.status().await.unwrap().state == ProcessState::Waiting }).await;
    let broken = child.pid().to_string();
    BROKEN.lock().unwrap().insert(broken.clone());
    store.request(child.pid(), Request::Resume { value: serde_json::Value::Null }).await.unwrap();
    let told = within(child.termination()).await.unwrap_err();
    assert!(matches!(&told, RunError::Parked { reason, .. } if reason.contains("it is broken")), "{told}");
    BROKEN.lock().unwrap().remove(&broken);
    unpark(&team, child.pid()).await;
    assert_eq!(within(run.outcome()).await.unwrap().finished().unwrap().n, 3);
    assert!(within(child.termination()).await.unwrap().ended.is_successful());
    worker.shutdown().await.unwrap();
}

/// The same process, as another version of the program has it.
#[process(name = "it::Sturdy")]
#[derive(Default)]
struct Sturdy {
    part: String,
}

spec! { Sturdy { output n: u64; } }
outline! { Sturdy {
    wait;
    end => n;
}}

impl Sturdy {
    fn wait(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for a resume")
    }

    fn end(&self) -> u64 {
        self.part.len() as u64
    }
}

/// The worker of the parent cannot go on with the child, and another can: the parent stays where it is.
async fn a_parent_goes_on_when_its_child_has_ended_elsewhere(team: Team) {
    let one = team.worker().await.resident(0).register::<Patient>().register::<Fragile>();
    let one = one.worker(WorkerOptions::new().lease(LEASE).attempts(1_000)).build().await.unwrap();
    let store = &team.world.store;
    let run = one.launch(Patient::inputs()).await.unwrap();
    eventually(|| async { run.status().await.unwrap().state == ProcessState::Waiting }).await;
    let child = store.children(run.pid()).await.unwrap().remove(0);
    eventually(|| async { store.load(&child).await.unwrap().unwrap().state == ProcessState::Waiting }).await;
    BROKEN.lock().unwrap().insert(child.to_string());
    store.request(&child, Request::Resume { value: serde_json::Value::Null }).await.unwrap();
    eventually(|| async { one.health().await.counted.failed > 0 }).await;
    let options = WorkerOptions::new().lease(LEASE).attempts(1_000);
    let other = Runtime::builder().shared_store(team.store().await).worker(options);
    let _other = other.register_as::<Sturdy>("it::Fragile").build().await.unwrap();
    let outputs = within(run.outcome()).await.unwrap().finished().unwrap();
    assert_eq!(outputs.n, child.to_string().len() as u64, "as the other one ends it");
}
