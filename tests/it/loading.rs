//! What a checkpoint holds, and by what it is loaded again: names, types, resources (S90 to S98, S102, S103).

use procession::prelude::*;
use procession::process::{Ended, ErrorInfo, Saved};
use procession::registry::RegistryError;
use procession::store::{Commit, FileStore, NewProcess, Record, Store};
use procession::{AnyHandle, Result, RunError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::time::Duration;

use super::life::Sum;
use super::resume::Sleeper;
use super::support::{Gate, World, eventually};

/// A type of the user's own, with all that serde can say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Crystal {
    name: String,
    cell: [f64; 3],
    sites: Vec<Site>,
    #[serde(with = "as_millis")]
    age: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Box<Crystal>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Site {
    Vacancy,
    Atom { element: String, charge: i8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Axis {
    X,
    Y,
}

mod as_millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Fills its context, waits at the gate, and shows what is there.
#[process(name = "it::Grower", needs(Gate, String))]
#[derive(Debug, Default)]
struct Grower {
    crystal: Crystal,
    by_axis: HashMap<Axis, (u64, Option<char>)>,
    /// What people attach to it: the counterpart of plumpy's custom metadata.
    labels: BTreeMap<String, serde_json::Value>,
    #[serde(with = "as_millis")]
    patience: Duration,
    #[process(skip)]
    scratch: Option<String>,
}

spec! { Grower {
    output shown: String;
    output scratch: String;
    output tools: Vec<String>;
}}

outline! { Grower { fill; show => shown, scratch, tools; } }

fn grown() -> Crystal {
    let core = Crystal { age: Duration::from_millis(1), ..Crystal::default() };
    Crystal {
        name: "Bi₂Te₃ \"x\"\n".into(),
        cell: [0.1, -2.5e-300, f64::MAX],
        sites: vec![Site::Vacancy, Site::Atom { element: "Bi".into(), charge: -3 }],
        age: Duration::from_millis(5),
        note: Some(Box::new(core)),
    }
}

impl Grower {
    fn fill(&mut self, cx: &mut Cx<Self>) {
        self.crystal = grown();
        self.by_axis = [(Axis::X, (u64::MAX, Some('ä'))), (Axis::Y, (0, None))].into();
        self.labels.insert("project".into(), serde_json::json!({ "grant": 17, "who": ["Ada"] }));
        self.labels.insert("tool".into(), cx.resource::<String>().as_str().into());
        self.patience = Duration::from_secs(3);
        self.scratch = Some("not saved".into());
    }

    async fn show(&mut self, cx: &mut Cx<Self>) -> (String, String, Vec<String>) {
        cx.resource::<Gate>().pass().await;
        assert_eq!(self.crystal, grown());
        let by_axis: BTreeMap<_, _> = self.by_axis.iter().collect();
        let shown = format!("{by_axis:?} {:?} {:?}", self.labels["project"], self.patience);
        let tools =
            vec![self.labels["tool"].as_str().unwrap_or_default().to_owned(), cx.resource::<String>().to_string()];
        (shown, format!("{:?}", self.scratch), tools)
    }
}

#[tokio::test]
async fn a_context_of_the_users_own_types_is_there_in_another_runtime() -> Result<()> {
    let world = World::new();
    let build = |tool: &str| world.builder().resource(tool.to_owned()).register::<Grower>().build();
    let first = build("first").await?;
    let run = first.launch(Grower::inputs()).key("grower").await?;
    world.gate.reached().await;
    first.shutdown_within(Duration::ZERO).await?;
    let record = world.store.load(run.pid()).await?.expect("it is there");
    assert!(record.context.contains(r#"{"kind":"atom","element":"Bi","charge":-3}"#), "{}", record.context);
    assert!(!record.context.contains("scratch"), "{}", record.context);

    // S93, S98: the runtime gives what is not saved, by its type.
    let second = build("second").await?;
    let run = second.launch(Grower::inputs()).key("grower").await?;
    world.gate.open(1);
    let outputs = run.outcome().await?.finished().expect("finished");
    let expected = r#"{X: (18446744073709551615, Some('ä')), Y: (0, None)} Object {"grant": Number(17), "who": Array [String("Ada")]} 3s"#;
    assert_eq!(outputs.shown, expected);
    assert_eq!(outputs.tools, ["first", "second"], "saved as it was, and reached as it is");
    assert_eq!(outputs.scratch, "None", "a skipped field starts from its default");
    Ok(())
}

#[tokio::test]
async fn without_its_resources_a_process_is_not_loaded_but_the_runtime_refused() {
    let world = World::new();
    let error = world.builder().register::<Grower>().build().await.expect_err("there is no tool");
    let RunError::Registry(error) = error else { panic!("{error}") };
    assert!(matches!(error, RegistryError::MissingResource { process: "it::Grower", .. }), "{error}");
    assert!(error.to_string().contains("String"), "{error}");
}

/// A process as it was first called.
mod before {
    use procession::prelude::*;

    use crate::support::Gate;

    #[process(name = "it::Relaxer", needs(Gate))]
    #[derive(Debug, Default)]
    pub(super) struct Relaxer {
        rounds: u32,
    }
    spec! { Relaxer { output rounds: u32; } }
    outline! { Relaxer { one; two => rounds; } }
    impl Relaxer {
        async fn one(&mut self, cx: &mut Cx<Self>) {
            self.rounds += 1;
            cx.resource::<Gate>().pass().await;
        }
        async fn two(&mut self, cx: &mut Cx<Self>) -> u32 {
            cx.resource::<Gate>().pass().await;
            self.rounds
        }
    }
}

/// And as it is called now; also known to Python peers.
#[process(name = "it::Minimizer", also = ["it::Relaxer", "crystals.relax:RelaxWorkChain"], needs(Gate))]
#[derive(Debug, Default)]
struct Minimizer {
    rounds: u32,
    added: Option<u32>,
}
spec! { Minimizer { output rounds: u32; } }
outline! { Minimizer { one; two => rounds; } }
impl Minimizer {
    async fn one(&mut self, cx: &mut Cx<Self>) {
        self.rounds += 1;
        cx.resource::<Gate>().pass().await;
    }
    async fn two(&mut self, cx: &mut Cx<Self>) -> u32 {
        cx.resource::<Gate>().pass().await;
        self.rounds + 10 + self.added.unwrap_or_default()
    }
}

#[tokio::test]
async fn a_checkpoint_under_an_old_name_loads_as_the_renamed_type_and_is_renamed() -> Result<()> {
    let world = World::new();
    let old = world.builder().register::<before::Relaxer>().build().await?;
    let run = old.launch(before::Relaxer::inputs()).key("relax").await?;
    world.gate.reached().await;
    run.snapshot("old").await?;
    old.shutdown_within(Duration::ZERO).await?;
    let name = async || world.store.load(run.pid()).await.unwrap().unwrap().envelope;
    assert_eq!(name().await.process, "it::Relaxer");
    let fingerprint = name().await.fingerprint;

    let new = world.builder().register::<Minimizer>().build().await?;
    let again = new.launch(Minimizer::inputs()).key("relax").await?;
    assert_eq!(again.pid(), run.pid());
    world.gate.reached().await;
    assert_eq!(name().await.process, "it::Relaxer", "nothing was written yet");
    world.gate.open(1);
    world.gate.reached().await;
    assert_eq!(name().await.process, "it::Minimizer", "the next boundary writes the present name");
    assert_ne!(name().await.fingerprint, fingerprint);
    world.gate.open(1);
    assert_eq!(again.outcome().await?.finished().expect("finished").rounds, 11);

    // A snapshot under the old name, too.
    let restored = new.restore(run.pid(), "old").await?;
    assert_eq!(name().await.process, "it::Relaxer");
    world.gate.open(2);
    assert_eq!(restored.termination().await?.outputs["rounds"], 11);
    assert_eq!(name().await.process, "it::Minimizer");

    // Any of its names launches it.
    for name in ["it::Minimizer", "it::Relaxer", "crystals.relax:RelaxWorkChain"] {
        world.gate.open(2);
        let run = new.launch_by_name(name, serde_json::Map::new()).await?;
        assert_eq!((run.process(), run.termination().await?.ended.is_successful()), ("it::Minimizer", true));
    }
    Ok(())
}

/// A process with a parameter.
#[process(name = "it::Fit", needs(Gate))]
#[derive(Debug, Default)]
struct Fit<T: Saved + Debug + Default + Clone + Sync> {
    best: T,
}
spec! { <T: Saved + Debug + Default + Clone + Sync> Fit<T> { input start: T; output best: T; } }
outline! { <T: Saved + Debug + Default + Clone + Sync> Fit<T> { take; give => best; } }
impl<T: Saved + Debug + Default + Clone + Sync> Fit<T> {
    fn take(&mut self, cx: &mut Cx<Self>) {
        self.best = cx.inputs().start.clone();
    }
    async fn give(&mut self, cx: &mut Cx<Self>) -> T {
        cx.resource::<Gate>().pass().await;
        self.best.clone()
    }
}

#[tokio::test]
async fn every_instantiation_of_a_generic_process_is_loaded_by_a_name_of_its_own() -> Result<()> {
    let world = World::new();
    let error = world.builder().register::<Fit<u32>>().register::<Fit<String>>().build().await;
    let RunError::Registry(error) = error.expect_err("one name for two") else { panic!("no registry error") };
    let RegistryError::Duplicate { name, first, second } = &error else { panic!("{error}") };
    assert_eq!(name, "it::Fit");
    assert!(first.ends_with("Fit<u32>") && second.contains("Fit<") && second.contains("String"), "{error}");
    assert!(error.to_string().contains("register_as"), "{error}");

    let build = async || {
        let builder = world.builder().register_as::<Fit<u32>>("fit/count").register_as::<Fit<String>>("fit/text");
        builder.build().await
    };
    let runtime = build().await?;
    let count = runtime.launch(Fit::<u32>::inputs().start(5)).key("count").await?;
    let text = runtime.launch(Fit::<String>::inputs().start("five".to_owned())).key("text").await?;
    let inputs = serde_json::json!({ "start": "six" }).as_object().unwrap().clone();
    let named = runtime.launch_by_name("fit/text", inputs).await?;
    for _ in 0..3 {
        world.gate.reached().await;
    }
    runtime.shutdown_within(Duration::ZERO).await?;
    for (pid, name) in [(count.pid(), "fit/count"), (text.pid(), "fit/text"), (named.pid(), "fit/text")] {
        assert_eq!(world.store.load(pid).await?.expect("stored").envelope.process, name);
    }
    let runtime = build().await?;
    world.gate.open(3);
    let count = runtime.launch(Fit::<u32>::inputs().start(5)).key("count").await?;
    let text = runtime.launch(Fit::<String>::inputs().start("five".to_owned())).key("text").await?;
    assert_eq!(count.outcome().await?.finished().expect("finished").best, 5);
    assert_eq!(text.outcome().await?.finished().expect("finished").best, "five");
    assert_eq!(runtime.attach(named.pid()).await?.termination().await?.outputs["best"], "six");
    let error = runtime.launch_by_name("fit/txt", serde_json::Map::new()).await.expect_err("unknown");
    assert_eq!(error.to_string(), "no process `fit/txt` is registered; the nearest is `fit/text`");
    assert!(runtime.launch_by_name("it::Fit", serde_json::Map::new()).await.is_err(), "by its new name alone");
    Ok(())
}

#[tokio::test]
async fn a_type_is_registered_once_and_the_last_name_counts() -> Result<()> {
    let world = World::new();
    let builder = world.builder().register::<Minimizer>().register::<Minimizer>().register_as::<Minimizer>("mini");
    let runtime = builder.register::<Minimizer>().build().await?;
    world.gate.open(2);
    let run = runtime.launch(Minimizer::inputs()).await?;
    assert_eq!(run.process(), "mini");
    run.outcome().await?;
    Ok(())
}

#[tokio::test]
async fn two_types_of_one_name_are_refused_also_where_it_is_an_old_one() {
    for builder in [
        World::new().builder().register::<Minimizer>().register::<before::Relaxer>(),
        World::new().builder().register::<before::Relaxer>().register::<Minimizer>(),
        World::new().builder().register::<Minimizer>().register_as::<Sum>("it::Relaxer"),
    ] {
        let RunError::Registry(error) = builder.build().await.expect_err("refused") else {
            panic!("no registry error")
        };
        let RegistryError::Duplicate { name, first, second } = error else { panic!("{error}") };
        assert_eq!(name, "it::Relaxer");
        assert_ne!(first, second);
    }
}

/// A process as `change` makes it of one that waits, in another store.
async fn moved(world: &World, to: &dyn Store, change: impl Fn(&mut Record)) -> ProcessId {
    let runtime = world.builder().register::<Sleeper>().build().await.unwrap();
    let run = runtime.launch(Sleeper::inputs()).await.unwrap();
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    run.pause("held").await.unwrap();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    runtime.shutdown().await.unwrap();
    // The bundle: a text that anything can carry.
    let bundle = serde_json::to_string(&record).unwrap();
    let mut record: Record = serde_json::from_str(&bundle).unwrap();
    change(&mut record);
    let epoch = to.acquire().await.unwrap();
    let pid = record.pid.clone();
    let new = NewProcess {
        pid: pid.clone(),
        key: record.key,
        parent: None,
        envelope: record.envelope,
        position: record.position.clone(),
        context: record.context,
        inputs: record.inputs,
        defaulted: record.defaulted,
        listeners: record.listeners,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: record.created_at,
    };
    to.create(epoch, new).await.unwrap();
    let commit = Commit::new(pid.clone(), epoch, record.updated_at, ProcessState::Created, record.state);
    let commit = Commit {
        paused: record.paused,
        steps: record.steps,
        status: Some(record.status),
        awaiting: Some(record.awaiting),
        ..commit
    };
    to.commit(commit).await.unwrap();
    to.release(epoch).await.unwrap();
    pid
}

/// S94: a record is a bundle: one text, from which another store and runtime go on.
#[tokio::test]
async fn a_record_is_a_bundle_from_which_another_store_goes_on() -> Result<()> {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let other = FileStore::open(folder.path().join("other"))?;
    let pid = moved(&world, &other, |_| {}).await;
    let builder = Runtime::builder().store(other).clock(world.clock.clone()).register::<Sleeper>();
    let runtime = builder.build().await?;
    let run = runtime.attach(&pid).await?;
    let status = run.status().await?;
    assert_eq!((status.state, status.paused, status.text.as_deref()), (ProcessState::Waiting, true, Some("held")));
    world.clock.advance(Duration::from_secs(60));
    assert!(run.play().await?);
    assert_eq!(run.status().await?.text, None, "the covered status is back");
    assert!(run.termination().await?.ended.is_successful());
    Ok(())
}

/// S92, S102: a name that is missing, wrong or of another form is told, and the process left as it is.
#[tokio::test]
async fn a_checkpoint_of_an_unknown_name_is_told_with_the_nearest_and_left_alone() -> Result<()> {
    for (name, told) in [
        ("it::Sleper", "no process `it::Sleper` is registered; the nearest is `it::Sleeper`"),
        ("", "no process `` is registered"),
        ("no colons at all", "no process `no colons at all` is registered"),
    ] {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        let other = std::sync::Arc::new(FileStore::open(folder.path().join("other"))?);
        let pid = moved(&world, &*other, |record| record.envelope.process = name.to_owned()).await;
        let before = other.load(&pid).await?;
        let builder = Runtime::builder().shared_store(other.clone()).clock(world.clock.clone());
        let runtime = builder.register::<Sleeper>().build().await?;
        assert_eq!(runtime.attach(&pid).await.expect_err("unknown").to_string(), told);
        runtime.shutdown().await?;
        assert_eq!(other.load(&pid).await?, before, "it is there for a runtime that knows it");
    }
    Ok(())
}

/// S97: what is stored as created starts.
#[tokio::test]
async fn a_process_that_is_stored_as_created_starts() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Sum>().build().await?;
    let pattern = runtime.launch(Sum::inputs().to(1)).await?;
    pattern.outcome().await?;
    let record = world.store.load(pattern.pid()).await?.expect("stored");
    runtime.shutdown().await?;
    let epoch = world.store.acquire().await?;
    let new = NewProcess {
        pid: "new".into(),
        key: None,
        parent: None,
        envelope: record.envelope,
        position: r#""start""#.into(),
        context: r#"{"n":0}"#.into(),
        inputs: r#"{"to":3,"how":"well"}"#.into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: record.created_at,
    };
    world.store.create(epoch, new).await?;
    let runtime = world.builder().register::<Sum>().build().await?;
    assert_eq!(runtime.attach(&"new".into()).await?.termination().await?.outputs["total"], 3);
    Ok(())
}

/// S96, S98: how a process ended is had again, whole, in a runtime that did not see it.
#[tokio::test]
async fn an_end_is_had_again_in_another_runtime() -> Result<()> {
    let world = World::new();
    let first = world.builder().register::<Sum>().register::<Sleeper>().build().await?;
    let mut ends = Vec::new();
    for how in ["well", "refuse", "fail", "panic", "kill", "forget"] {
        let run = first.launch(Sum::inputs().to(5).how(how)).await?;
        ends.push((run.pid().clone(), run.termination().await?));
    }
    let failed = first.launch(Sleeper::inputs()).await?;
    let error = ErrorInfo::new("the disk is on fire");
    eventually(async || failed.status().await.unwrap().state == ProcessState::Waiting).await;
    failed.any().fail(error.clone()).await?;
    ends.push((failed.pid().clone(), failed.termination().await?));
    let pending = first.launch(Sleeper::inputs()).await?;
    eventually(async || pending.status().await.unwrap().state == ProcessState::Waiting).await;
    first.shutdown().await?;

    let second = world.builder().register::<Sum>().register::<Sleeper>().build().await?;
    for (pid, end) in &ends {
        let run: AnyHandle = second.attach(pid).await?;
        assert_eq!(run.termination().await?, *end);
        assert_eq!(run.status().await?.state, end.ended.state());
    }
    assert!(matches!(&ends[6].1.ended, Ended::Excepted { error: found } if found.message == error.message));
    let states: Vec<_> = ends.iter().map(|(_, end)| end.ended.state()).collect();
    let (finished, excepted, killed) = (ProcessState::Finished, ProcessState::Excepted, ProcessState::Killed);
    assert_eq!(states, [finished, finished, excepted, excepted, killed, finished, excepted]);
    // A pending one is pending again.
    let pending = second.attach(pending.pid()).await?;
    assert_eq!(pending.status().await?.state, ProcessState::Waiting);
    world.clock.advance(Duration::from_secs(60));
    assert!(pending.termination().await?.ended.is_successful());
    Ok(())
}

/// S95: what a checkpoint holds of a process, beside the context.
#[tokio::test]
async fn a_checkpoint_holds_all_that_a_process_is() -> Result<()> {
    let world = World::new();
    let runtime = world.builder().register::<Sleeper>().register::<Sum>().build().await?;
    let run = runtime.launch(Sleeper::inputs()).key("key").await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    run.pause("held").await?;
    let record = world.store.load(run.pid()).await?.expect("stored");
    assert_eq!((&record.pid, record.key.as_deref()), (run.pid(), Some("key")));
    assert_eq!((record.state, record.paused, record.steps), (ProcessState::Waiting, true, 1));
    assert_eq!(record.status.text.as_deref(), Some("held"));
    assert_eq!(record.status.before_pause, Some(None), "the status before the pause was none");
    assert!(record.awaiting.wake_at.is_some() && record.ended.is_none());
    assert_eq!(record.created_at.as_millis(), 1_000_000);
    let sum = runtime.launch(Sum::inputs().to(2)).await?;
    sum.outcome().await?;
    let record = world.store.load(sum.pid()).await?.expect("stored");
    assert_eq!(&*record.inputs, r#"{"how":"well","to":2}"#, "with defaults");
    assert_eq!(record.outputs, r#"{"total":2}"#);
    assert_eq!(record.ended.as_deref(), Some(r#"{"state":"finished"}"#));
    Ok(())
}
