//! Processes that kill their worker, and those that a worker cannot load: given to others, parked in the end; others go on.

use procession::prelude::*;
use procession::process::{Ended, ProcessId};
use procession::{RuntimeBuilder, WorkerOptions};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{Gate, World, eventually};

/// What some programs can read, and others cannot.
#[derive(Debug, Default, Clone, Serialize)]
struct Picky(String);

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "panics", "what nobody can read");
        if text == "fails" { Err(serde::de::Error::custom("it is for others")) } else { Ok(Self(text)) }
    }
}

#[process(name = "it::Fussy", needs(Gate))]
#[derive(Default)]
struct Fussy {
    text: Picky,
}

spec! { Fussy { input text: String; } }
outline! { Fussy { write; wait; } }

impl Fussy {
    fn write(&mut self, cx: &mut Cx<Self>) {
        self.text = Picky(cx.inputs().text.clone());
    }

    async fn wait(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }
}

/// The same process, as another version of the program has it.
#[process(name = "it::Fussier", needs(Gate))]
#[derive(Default)]
struct Tolerant {
    text: String,
}

spec! { Tolerant { input text: String; } }
outline! { Tolerant { write; wait; } }

impl Tolerant {
    fn write(&mut self, cx: &mut Cx<Self>) {
        self.text.clone_from(&cx.inputs().text);
    }

    async fn wait(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }
}

fn worker(world: &World, attempts: u32) -> RuntimeBuilder {
    Runtime::builder()
        .shared_store(Arc::clone(&world.store))
        .worker(WorkerOptions::new().attempts(attempts))
        .resource(world.gate.clone())
}

/// Leaves processes at their second step, with what other programs cannot read.
async fn left(world: &World, texts: &[&str]) -> Vec<ProcessId> {
    let first = worker(world, 1).register_as::<Tolerant>("it::Fussy").build().await.unwrap();
    let mut pids = Vec::new();
    for text in texts {
        let run = first.launch(Tolerant::inputs().text((*text).to_owned())).await.unwrap();
        pids.push(run.pid().clone());
        world.gate.reached().await;
    }
    first.shutdown_within(Duration::ZERO).await.unwrap();
    pids
}

async fn parked(world: &World, pid: &ProcessId) -> Option<String> {
    world.store.load(pid).await.unwrap().unwrap().parked
}

#[tokio::test]
async fn what_cannot_be_loaded_is_parked_after_its_attempts_and_others_go_on() {
    let world = World::new();
    let pids = left(&world, &["fails", "panics", "well"]).await;
    let began = Instant::now();
    let second = worker(&world, 3).register::<Fussy>().build().await.unwrap();
    world.gate.open(1);
    let end = second.attach(&pids[2]).await.unwrap().termination().await.unwrap();
    assert!(matches!(end.ended, Ended::Finished { .. }), "the other one goes on");
    for (pid, why) in pids.iter().zip(["it is for others", "what nobody can read"]) {
        eventually(|| async { parked(&world, pid).await.is_some() }).await;
        let reason = parked(&world, pid).await.unwrap();
        assert!(reason.contains(why), "{reason}");
    }
    let pauses = procession::limits::LOAD_AGAIN * 7;
    assert!(began.elapsed() >= pauses, "{:?}: one worker alone does not use up the attempts at once", began.elapsed());
    let counted = second.health().await.counted;
    assert_eq!((counted.failed, counted.parked), (6, 2), "three attempts each");
}

#[tokio::test]
async fn what_one_program_cannot_load_goes_on_in_another() {
    let world = World::new();
    let pids = left(&world, &["fails"]).await;
    let old = worker(&world, 1_000).register::<Fussy>().build().await.unwrap();
    eventually(|| async { old.health().await.counted.failed > 0 }).await;
    let new = worker(&world, 1_000).register_as::<Tolerant>("it::Fussy").build().await.unwrap();
    world.gate.reached().await;
    world.gate.open(1);
    let end = new.attach(&pids[0]).await.unwrap().termination().await.unwrap();
    assert!(matches!(end.ended, Ended::Finished { .. }), "{end:?}");
}

#[tokio::test]
async fn a_process_that_no_worker_knows_is_parked_and_says_so() {
    let world = World::new();
    let pids = left(&world, &["well"]).await;
    let other = worker(&world, 2).register_as::<Tolerant>("it::Other").build().await.unwrap();
    eventually(|| async { parked(&world, &pids[0]).await.is_some() }).await;
    let reason = parked(&world, &pids[0]).await.unwrap();
    assert!(reason.starts_with("unknown process: ") && reason.contains("it::Fussy"), "{reason}");
    other.shutdown().await.unwrap();
    // With a program that knows it, it is unparked and goes on.
    let known = worker(&world, 2).register::<Fussy>().build().await.unwrap();
    let repaired = known.doctor().unwrap().repair().await.unwrap();
    assert_eq!((repaired.unparked, repaired.first), (1, pids.clone()));
    world.gate.open(1);
    let end = known.attach(&pids[0]).await.unwrap().termination().await.unwrap();
    assert!(matches!(end.ended, Ended::Finished { .. }));
}

#[cfg(all(unix, feature = "postgres"))]
mod os_processes {
    use super::*;
    use procession::launcher::Worker;
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use tokio::signal::unix::{SignalKind, signal};

    use crate::postgres::Postgres;

    const ATTEMPTS: u32 = 3;
    const SIGABRT: i32 = 6;
    /// A test waits for its end.
    const LEASE: Duration = Duration::from_secs(1);

    /// Where steps note that they began.
    struct Notes(PathBuf);

    impl Notes {
        fn add(&self, line: &str) {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(&self.0);
            file.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }

    /// Ends its worker, if it is the poison; the others take their time.
    #[process(name = "it::Lethal", needs(Notes))]
    #[derive(Default)]
    struct Lethal {}

    spec! { Lethal { input poison: bool = false; } }
    outline! { Lethal { work; } }

    impl Lethal {
        async fn work(&mut self, cx: &mut Cx<Self>) {
            if cx.inputs().poison {
                cx.resource::<Notes>().add("poison");
                std::process::abort();
            }
            cx.resource::<Notes>().add("innocent");
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
    }

    async fn runtime(schema: &str, notes: PathBuf, queues: &[&str], lease: Duration) -> Runtime {
        let options = WorkerOptions::new().lease(lease).attempts(ATTEMPTS);
        let builder = Runtime::builder().shared_store(crate::workers::postgres_at(&url(), schema).await);
        let builder = builder.worker(options.queues(queues.iter().copied())).resource(Notes(notes));
        builder.concurrent(4).register::<Lethal>().build().await.unwrap()
    }

    fn url() -> String {
        std::env::var("PROCESSION_POISON_URL").unwrap_or_else(|_| Postgres::shared().url())
    }

    /// The other OS process of the tests below; nothing by itself.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs PostgreSQL: cargo xtask test"]
    async fn a_worker_of_its_own() {
        let Ok(schema) = std::env::var("PROCESSION_POISON_SCHEMA") else { return };
        let notes = std::env::var("PROCESSION_POISON_NOTES").unwrap().into();
        let lease = std::env::var("PROCESSION_POISON_LEASE").unwrap().parse().unwrap();
        let mut terminated = signal(SignalKind::terminate()).unwrap();
        let runtime = runtime(&schema, notes, &[""], Duration::from_secs(lease)).await;
        // Its starter closes the pipe, or is gone.
        let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let stop = async {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = closed => {}
            }
        };
        Worker::new(runtime).run_until(stop).await.unwrap();
        // The reader of the pipe would be waited for.
        std::process::exit(0);
    }

    struct Killed {
        schema: String,
        notes: PathBuf,
        lease: Duration,
        child: Option<Child>,
        aborted: u32,
    }

    impl Killed {
        fn new(schema: &str, notes: &std::path::Path, lease: Duration) -> Self {
            Self { schema: schema.to_owned(), notes: notes.to_owned(), lease, child: None, aborted: 0 }
        }

        fn start(&mut self) {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "poison::os_processes::a_worker_of_its_own", "--include-ignored", "--nocapture"]);
            command.env("PROCESSION_POISON_SCHEMA", &self.schema).env("PROCESSION_POISON_NOTES", &self.notes);
            command.env("PROCESSION_POISON_LEASE", self.lease.as_secs().to_string());
            command.env("PROCESSION_POISON_URL", url()).stdin(Stdio::piped());
            self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }

        /// Starts another where this one was killed.
        fn see_to(&mut self) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            if let Some(status) = ended {
                assert_eq!(status.signal(), Some(SIGABRT), "{status:?}");
                self.aborted += 1;
                self.start();
            }
        }
    }

    impl Drop for Killed {
        fn drop(&mut self) {
            if let Some(mut child) = self.child.take() {
                drop(child.stdin.take());
                let _ = child.wait();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs PostgreSQL: cargo xtask test"]
    async fn a_process_that_kills_its_workers_is_parked_after_its_attempts_and_no_other() {
        let (schema, folder) = (Postgres::schema(), tempfile::tempdir().unwrap());
        let notes = folder.path().join("notes");
        let creator = runtime(&schema, notes.clone(), &[], LEASE).await;
        let mut innocents = Vec::new();
        innocents.push(creator.launch(Lethal::inputs()).anywhere().await.unwrap());
        let poison = creator.launch(Lethal::inputs().poison(true)).anywhere().await.unwrap();
        for _ in 0..2 {
            innocents.push(creator.launch(Lethal::inputs()).anywhere().await.unwrap());
        }
        let mut workers = [0, 1].map(|_| Killed::new(&schema, &notes, LEASE));
        workers.iter_mut().for_each(Killed::start);
        let store = creator.store().unwrap();
        let began = Instant::now();
        loop {
            workers.iter_mut().for_each(Killed::see_to);
            let parked = store.load(poison.pid()).await.unwrap().unwrap().parked.is_some();
            let mut ended = 0;
            for run in &innocents {
                let record = store.load(run.pid()).await.unwrap().unwrap();
                assert_eq!(record.parked, None, "an innocent one is parked");
                ended += usize::from(record.state.is_terminal());
            }
            if parked && ended == innocents.len() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "parked: {parked}, ended: {ended}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The first time follows no loss; each of its attempts does.
        let notes = std::fs::read_to_string(&notes).unwrap();
        assert_eq!(notes.lines().filter(|line| *line == "poison").count(), 1 + ATTEMPTS as usize);
        assert_eq!(workers.iter().map(|worker| worker.aborted).sum::<u32>(), 1 + ATTEMPTS);
        let reason = store.load(poison.pid()).await.unwrap().unwrap().parked.unwrap();
        assert!(reason.contains(&format!("lost {} times", 1 + ATTEMPTS)), "{reason}");
        for run in innocents {
            assert!(run.outcome().await.unwrap().is_finished());
        }
    }

    /// Nobody waits for the end of its lease, which is longer than the test.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs PostgreSQL: cargo xtask test"]
    async fn a_worker_that_gets_sigterm_lets_its_steps_end_and_loses_nothing() {
        let (schema, folder) = (Postgres::schema(), tempfile::tempdir().unwrap());
        let (notes, long) = (folder.path().join("notes"), Duration::from_secs(600));
        let creator = runtime(&schema, notes.clone(), &[], long).await;
        let mut runs = Vec::new();
        for _ in 0..10 {
            runs.push(creator.launch(Lethal::inputs()).anywhere().await.unwrap());
        }
        let mut worker = Killed::new(&schema, &notes, long);
        worker.start();
        eventually(|| async { std::fs::read_to_string(&notes).is_ok_and(|notes| notes.lines().count() > 0) }).await;
        let mut child = worker.child.take().unwrap();
        let pipe = child.stdin.take();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let mut other = Killed::new(&schema, &notes, long);
        other.start();
        for run in runs {
            let ended = tokio::time::timeout(Duration::from_secs(60), run.outcome()).await.expect("it goes on");
            assert!(ended.unwrap().is_finished());
        }
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status:?}");
        drop(pipe);
        let notes = std::fs::read_to_string(&notes).unwrap();
        assert_eq!(notes.lines().count(), 10, "no step was cut off");
    }
}
