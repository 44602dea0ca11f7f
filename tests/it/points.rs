//! Going on at every program point: each process is stopped behind each of its boundaries, and must end as if it had not been.
//!
//! The store lets a number of commits through and then fails, so that the next runtime finds exactly that state.

use procession::prelude::*;
use procession::store::{Durability, FileStore, MemoryStore, Record, SqliteOptions, SqliteStore, Store};
use procession::{AnyHandle, RuntimeBuilder};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path as File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::by_hand::{hand, quickstart};
use super::chains::{convergence, restart, stages};
use super::children::{Courier, Late, Leaf, Tree};
use super::control::{Family, Rounds};
use super::faulty::Faulty;
use super::life::{Greet, Sum};
use super::position::{Chill, Leaver};
use super::resume::{Path, Payer, Sleeper, Till};
use super::robust::{Relay, Spawner};
use super::support::World;
use super::walk::{self, Outputs};

#[path = "../../examples/ledger.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod ledger;

/// Registers what a process needs, with a folder for its files.
type Build = dyn Fn(RuntimeBuilder, &File) -> RuntimeBuilder;

/// A process to stop, and the world it needs.
struct Subject {
    name: &'static str,
    inputs: Value,
    build: Box<Build>,
    /// What is answered to those that wait for a resume.
    answer: Value,
}

impl Subject {
    fn of<P: Process>(inputs: Value) -> Self {
        let build = Box::new(|builder: RuntimeBuilder, _: &File| builder.register::<P>());
        Self { name: P::NAME, inputs, build, answer: json!("yes") }
    }

    fn with(self, more: impl Fn(RuntimeBuilder, &File) -> RuntimeBuilder + 'static) -> Self {
        let build = self.build;
        Self { build: Box::new(move |builder, folder| more(build(builder, folder), folder)), ..self }
    }

    fn and<P: Process>(self) -> Self {
        self.with(|builder, _| builder.register::<P>())
    }

    fn answered(self, answer: Value) -> Self {
        Self { answer, ..self }
    }
}

/// All that is kept of a process and of its children, without times.
#[derive(Debug, PartialEq)]
struct Kept {
    process: String,
    state: ProcessState,
    steps: u64,
    ended: Option<String>,
    outputs: Value,
    context: Value,
    history: Vec<String>,
    report: Vec<String>,
    children: Vec<Kept>,
}

async fn kept(store: &dyn Store, pid: &ProcessId) -> Kept {
    let Record { envelope, state, steps, ended, outputs, context, .. } = store.load(pid).await.unwrap().unwrap();
    let history = store.history(pid).await.unwrap();
    let mut children = Vec::new();
    for child in store.children(pid).await.unwrap() {
        children.push(Box::pin(kept(store, &child)).await);
    }
    Kept {
        process: envelope.process,
        state,
        steps,
        ended,
        outputs: serde_json::from_str(&outputs).unwrap(),
        context: serde_json::from_str(&context).unwrap(),
        history: history.iter().map(|row| format!("{} {}>{} {}", row.steps, row.from, row.to, row.point)).collect(),
        report: store.report(pid).await.unwrap().into_iter().map(|line| line.text).collect(),
        children,
    }
}

/// What steps wrote beside the store, in the order of the steps. One whose body ran again wrote the same line again.
fn effects(folder: &File) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("effects")).unwrap_or_default();
    let lines: BTreeSet<&str> = text.lines().collect();
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.split(' ').nth(1).and_then(|step| step.parse::<u64>().ok()));
    lines
}

/// Where a process is kept.
#[derive(Clone, Copy)]
enum Place {
    Memory,
    File,
    Documents,
}

/// One life of a process in a folder of its own, in as many runtimes as it needs.
struct Life<'a> {
    subject: &'a Subject,
    place: Place,
    world: World,
    folder: tempfile::TempDir,
}

impl<'a> Life<'a> {
    fn new(subject: &'a Subject, place: Place) -> Self {
        let mut world = World::new();
        let folder = tempfile::tempdir().unwrap();
        // Nobody holds a step up.
        world.gate.open(10_000);
        world.store = Arc::new(MemoryStore::new());
        Self { subject, place, world, folder }
    }

    /// The store as a new owner finds it.
    fn open(&mut self) -> Arc<dyn Store> {
        // The file has one owner.
        let place = self.folder.path();
        match self.place {
            Place::Memory => {}
            Place::File => {
                self.world.store = Arc::new(MemoryStore::new());
                // What is tested is not the disk.
                let options = SqliteOptions::new().with_durability(Durability::Normal);
                self.world.store = Arc::new(SqliteStore::open_with(place.join("store.db"), options).unwrap());
            }
            Place::Documents => {
                self.world.store = Arc::new(MemoryStore::new());
                self.world.store = Arc::new(FileStore::open(place.join("store")).unwrap());
            }
        }
        Arc::clone(&self.world.store)
    }

    /// A runtime whose store fails after this many commits. Gives the number of those that succeeded.
    async fn run(&mut self, commits: u64) -> u64 {
        let faulty = Faulty::over(self.open(), commits);
        let builder = self.world.builder().shared_store(Arc::clone(&faulty) as Arc<dyn Store>);
        let runtime = (self.subject.build)(builder, self.folder.path()).build().await.unwrap();
        let inputs: Map<String, Value> = self.subject.inputs.as_object().cloned().unwrap();
        // A process that is there already goes on.
        let root = runtime.launch_by_name(self.subject.name, inputs).id("root").await.unwrap();
        let live = async {
            while !faulty.full.load(Ordering::SeqCst) && self.help(&runtime).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), live).await;
        assert!(in_time.is_ok(), "{root:?} hangs, {commits} commits after it was launched: {:?}", root.status().await);
        runtime.shutdown_within(Duration::ZERO).await.unwrap();
        commits - faulty.commits.load(Ordering::SeqCst)
    }

    /// Lets time pass, and answers who waits. Whether a process is unfinished.
    async fn help(&self, runtime: &Runtime) -> bool {
        let unfinished = self.world.store.unfinished(None, 1_000).await.unwrap().records;
        for record in unfinished.iter().filter(|record| record.open_children == 0) {
            if record.awaiting.wake_at.is_some() {
                self.world.clock.advance(Duration::from_secs(3_600));
            }
            let asked = self.world.store.requests(None).await.unwrap().iter().any(|row| row.pid == record.pid);
            if record.awaiting.resume.is_some() && !asked {
                self.resume(runtime.attach(&record.pid).await.ok()).await;
            }
        }
        !unfinished.is_empty()
    }

    async fn resume(&self, run: Option<AnyHandle>) {
        if let Some(run) = run {
            // It fails with the store.
            let _ = run.resume(&self.subject.answer).await;
        }
    }

    async fn end(self) -> (Kept, Vec<String>) {
        (kept(&*self.world.store, &"root".into()).await, effects(self.folder.path()))
    }
}

/// Stops the process behind each boundary and compares with one that was not stopped.
async fn goes_on_everywhere(subject: Subject, place: Place) {
    let mut undisturbed = Life::new(&subject, place);
    let boundaries = undisturbed.run(u64::MAX).await;
    let expected = undisturbed.end().await;
    assert!(boundaries >= 2, "{expected:?}");
    for stop in 0..boundaries {
        let mut life = Life::new(&subject, place);
        let committed = life.run(stop).await;
        assert_eq!(committed, stop, "of {boundaries} boundaries of `{}`", subject.name);
        life.run(u64::MAX).await;
        assert_eq!(life.end().await, expected, "`{}` stopped behind boundary {stop}", subject.name);
    }
}

/// A test per process.
macro_rules! go_on {
    ($place:ident: $($name:ident: $subject:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                goes_on_everywhere($subject, Place::$place).await;
            }
        )*
    };
}

fn count_words(name: &'static str) -> Subject {
    let subject = if name == <hand::CountWords as Process>::NAME {
        Subject::of::<hand::CountWords>(Value::Null)
    } else {
        Subject::of::<quickstart::CountWords>(Value::Null)
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT");
    Subject { inputs: json!({ "file": file, "chunk": 4, "rank": { "most": 3 } }), ..subject }
}

fn book() -> Subject {
    let inputs = json!({ "name": "ledger", "steps": 6, "children": 2, "seed": 7 });
    Subject::of::<ledger::Ledger>(inputs).with(|builder, folder| {
        let effects = ledger::Effects::open(&folder.join("effects"));
        builder.resource(effects.unwrap())
    })
}

/// Waits for children, a time and a resume.
fn all_waits() -> Subject {
    Subject::of::<Waiter>(json!({})).and::<Rounds>().and::<Sleeper>().answered(json!("go"))
}

/// Every handler acts, and one failure is not handled.
const RESTART: &str =
    r#"{ "max_iterations": 12, "finest": 1e-5, "calculation": { "cycles": 6, "trouble": ["", "", "crash"] } }"#;
const FAILS_TWICE: &str = r#"{ "calculation": { "trouble": ["crash", "crash"] } }"#;

mod in_memory {
    use super::*;

    go_on! { Memory:
        quickstart: count_words(<quickstart::CountWords as Process>::NAME);
        by_hand: count_words(<hand::CountWords as Process>::NAME);
        ledger: book();
        restart: Subject::of::<restart::Restart>(RESTART.parse().unwrap());
        restart_without_success: Subject::of::<restart::Restart>(FAILS_TWICE.parse().unwrap());
        convergence: Subject::of::<convergence::Converge>(json!({ "rounds": 4, "energy": { "decay": 9.0 } }));
        stages: Subject::of::<stages::Pipeline>(json!({ "chain": [0, 0.5, 2, 3], "vibrate": {}, "relax": {} }));
        waits: all_waits();
        sum: Subject::of::<Sum>(json!({ "to": 3 }));
        sum_with_exit: Subject::of::<Sum>(json!({ "to": 2, "how": "refuse" }));
        sum_without_output: Subject::of::<Sum>(json!({ "to": 2, "how": "forget" }));
        sum_that_fails: Subject::of::<Sum>(json!({ "to": 5, "how": "fail" }));
        sum_with_bad_predicate: Subject::of::<Sum>(json!({ "to": 5, "how": "bad predicate" }));
        sum_that_panics: Subject::of::<Sum>(json!({ "to": 5, "how": "panic" }));
        sum_that_kills_itself: Subject::of::<Sum>(json!({ "to": 2, "how": "kill" }));
        greet: Subject::of::<Greet>(json!({ "name": "Ada" })).answered(json!({ "text": "hi" }));
        sleeper: Subject::of::<Sleeper>(json!({}));
        path: Subject::of::<Path>(json!({}));
        payer: Subject::of::<Payer>(json!({})).with(|builder, _| builder.resource(Arc::<Till>::default()));
        tree: Subject::of::<Tree>(json!({ "leaf": {} }));
        tree_with_a_failed_leaf: Subject::of::<Tree>(json!({ "leaf": {}, "end": "fail" }));
        tree_that_allows_it: Subject::of::<Tree>(json!({ "leaf": {}, "end": "fail", "tolerant": true }));
        late: Subject::of::<Late>(json!({})).and::<Leaf>();
        leaver: Subject::of::<Leaver>(json!({})).and::<Leaf>();
        courier: Subject::of::<Courier>(json!({})).and::<Leaf>().answered(json!(4));
        rounds: Subject::of::<Rounds>(json!({}));
        family: Subject::of::<Family>(json!({})).and::<Rounds>();
        spawner: Subject::of::<Spawner>(json!({})).and::<Sum>();
        relay: Subject::of::<Relay>(json!({})).and::<Sum>();
        outputs: Subject::of::<Outputs>(json!({})).and::<walk::Leaf>();
        chill: Subject::of::<Chill>(json!({ "rounds": 3 }));
        chill_with_return: Subject::of::<Chill>(json!({ "rounds": 1, "branch": 2 }));
    }
}

mod in_a_file {
    use super::*;

    go_on! { File:
        quickstart: count_words(<quickstart::CountWords as Process>::NAME);
        ledger: book();
        restart: Subject::of::<restart::Restart>(RESTART.parse().unwrap());
        convergence: Subject::of::<convergence::Converge>(json!({ "rounds": 4, "energy": { "decay": 9.0 } }));
        stages: Subject::of::<stages::Pipeline>(json!({ "chain": [0, 0.5, 2, 3], "vibrate": {}, "relax": {} }));
        waits: all_waits();
        greet: Subject::of::<Greet>(json!({ "name": "Ada" })).answered(json!({ "text": "hi" }));
        tree: Subject::of::<Tree>(json!({ "leaf": {} }));
        courier: Subject::of::<Courier>(json!({})).and::<Leaf>().answered(json!(4));
    }
}

mod in_documents {
    use super::*;

    go_on! { Documents:
        sleeper: Subject::of::<Sleeper>(json!({}));
        courier: Subject::of::<Courier>(json!({})).and::<Leaf>().answered(json!(4));
        stages: Subject::of::<stages::Pipeline>(json!({ "chain": [0, 0.5, 2], "vibrate": {}, "relax": {} }));
    }
}

// The harness itself: `Walk` keeps what its predicates ask in a field that is not saved.
#[tokio::test]
#[should_panic(expected = "stopped behind boundary")]
async fn a_process_that_does_not_save_what_it_needs_is_found_out() {
    goes_on_everywhere(Subject::of::<walk::Walk>(json!({ "answers": "nyy" })), Place::Memory).await;
}

/// Waits for children, a time and a resume, one by one and all at once, and reports what it has seen.
#[process(name = "it::Waiter")]
#[derive(Default)]
struct Waiter {
    children: Vec<Child<Rounds>>,
    sleeper: Child<Sleeper>,
    round: u32,
}

spec! { Waiter {
    output rounds: Vec<u32>;
    expose outputs of Sleeper as sleeper;
}}

outline! { Waiter {
    while_(again) {
        launch;
        if_(all_ended) { sleep; ask } else_ { never }
        everything;
    }
    finish => rounds, sleeper from sleeper;
}}

impl Waiter {
    fn again(&self) -> bool {
        self.round < 2
    }

    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.round += 1;
        for rounds in 1..3 {
            self.children.push(cx.launch(Rounds::inputs().rounds(rounds))?);
        }
        Ok(())
    }

    fn all_ended(&self) -> bool {
        self.children.iter().all(Child::is_finished)
    }

    fn never(&mut self) -> Result<(), StepError> {
        Err("a child has not ended".into())
    }

    fn sleep(&mut self, cx: &mut Cx<Self>) {
        cx.report(format!("sleeps in round {}", self.round));
        cx.sleep(Duration::from_secs(60));
    }

    fn ask(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for a go")
    }

    fn everything(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        let resumed: Option<String> = cx.resumed()?;
        cx.report(format!("resumed with {resumed:?}"));
        self.sleeper = cx.launch(Sleeper::inputs())?;
        cx.sleep(Duration::from_secs(10_000));
        Ok(cx.wait("for all"))
    }

    fn finish(&mut self) -> Result<Vec<u32>, StepError> {
        self.children.iter().map(|child| Ok(child.outputs()?.rounds)).collect()
    }
}
