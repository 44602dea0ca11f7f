//! A runtime on a SQLite file that others read, and append requests to.

use procession::prelude::*;
use procession::process::Request;
use procession::store::{SqliteStore, Store};
use procession::{Result, RunError};

use super::control::Rounds;
use super::support::{World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_someone_who_owns_nothing_reaches_the_process() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let world = World::new();
    let owner = SqliteStore::open(&path)?;
    let runtime = Runtime::builder().store(owner).resource(world.gate.clone()).register::<Rounds>().build().await?;
    let run = runtime.launch(Rounds::inputs().rounds(0)).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;

    // As another OS process would: its own connection, no ownership.
    let other = SqliteStore::open(&path)?;
    assert_eq!(other.load(run.pid()).await?.expect("readable").state, ProcessState::Waiting);
    other.request(run.pid(), Request::Pause { text: Some("from afar".into()) }).await?;
    eventually(async || run.status().await.unwrap().paused).await;
    assert_eq!(run.status().await?.text.as_deref(), Some("from afar"));
    other.request(run.pid(), Request::Kill { text: "from afar".into(), force: false }).await?;
    assert_eq!(run.termination().await?.ended.to_string(), "killed: from afar");
    assert!(other.requests(None).await?.is_empty(), "applied");

    let Err(RunError::Store(error)) = Runtime::builder().store(SqliteStore::open(&path)?).build().await else {
        panic!("two owners")
    };
    assert_eq!(error.kind(), procession::store::StoreErrorKind::InUse);
    assert!(error.to_string().contains("shared.db"), "{error}");
    runtime.shutdown().await?;
    Runtime::builder().store(SqliteStore::open(&path)?).build().await?.shutdown().await
}

/// Blocks its thread until another process has run.
#[process(name = "it::Blocker", needs(Meeting))]
#[derive(Debug, Default)]
struct Blocker {}

/// The other process.
#[process(name = "it::Other", needs(Meeting))]
#[derive(Debug, Default)]
struct Other {}

struct Meeting(std::sync::Mutex<std::sync::mpsc::Receiver<()>>, std::sync::mpsc::Sender<()>);

spec! { Blocker { output met: bool; } }
outline! { Blocker { blocking wait => met; } }
spec! { Other {} }
outline! { Other { call; } }

impl Blocker {
    fn wait(&mut self, cx: &mut Cx<Self>) -> bool {
        let meeting = cx.resource::<Meeting>();
        let other = meeting.0.lock().unwrap();
        other.recv_timeout(std::time::Duration::from_secs(20)).is_ok()
    }
}

impl Other {
    async fn call(&mut self, cx: &mut Cx<Self>) -> std::result::Result<(), StepError> {
        tokio::task::yield_now().await;
        Ok(cx.resource::<Meeting>().1.send(())?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_blocking_step_leaves_its_thread_to_others() -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let builder = Runtime::volatile().resource(Meeting(receiver.into(), sender));
    let runtime = builder.register::<Blocker>().register::<Other>().build().await?;
    let blocker = runtime.launch(Blocker::inputs()).await?;
    runtime.launch(Other::inputs()).await?.outcome().await?;
    assert!(blocker.outcome().await?.finished().expect("finished").met);
    Ok(())
}
