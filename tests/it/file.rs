//! What only the store in files promises: its folder, its documents, its owner, and what is damaged.

use procession::clock::Timestamp;
use procession::prelude::*;
use procession::process::{Progress, Request};
use procession::store::{
    AwaitedChild, Awaiting, Commit, Envelope, Epoch, FORMAT, FileOptions, FileStore, Hint, NewProcess, OwedReply,
    Parent, Store, StoreErrorKind,
};
use procession::{Result, RunError};
use serde_json::{Value, json};
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use super::control::Rounds;
use super::faulty::Faulty;
use super::resume::{Path, Sleeper};
use super::support::{World, eventually};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn process(pid: impl Into<ProcessId>) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: Envelope { format: FORMAT, process: "it::Any".into(), version: 1, fingerprint: String::new() },
        position: r#"{"at":{"step":"run"}}"#.into(),
        context: r#"{"energy": -1.50,"text":"ä"}"#.into(),
        inputs: r#"{"steps":10}"#.into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

async fn one(store: &FileStore) -> (Epoch, ProcessId) {
    let epoch = store.acquire().await.unwrap();
    store.create(epoch, process("one")).await.unwrap();
    (epoch, "one".into())
}

fn step(epoch: Epoch, pid: &ProcessId) -> Commit {
    let at = Timestamp::from_millis(1_700_000_000_001);
    let commit = Commit::new(pid.clone(), epoch, at, ProcessState::Running, ProcessState::Running);
    Commit { transition: Some("run"), ..commit }
}

fn documents(folder: &FilePath) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_document_is_json_that_people_can_read_and_its_texts_are_kept_byte_for_byte() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&store).await;
    store.commit(Commit { context: Some(r#"{"energy": -2.00}"#.into()), ..step(epoch, &pid) }).await.unwrap();
    let text = std::fs::read_to_string(path.join("processes/one.json")).unwrap();
    assert!(text.contains(r#"    "context": {"energy": -2.00},"#), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["process"]["state"], "running");
    assert_eq!(document["process"]["envelope"]["process"], "it::Any");
    assert_eq!(document["history"][0]["point"], "run");
    assert_eq!(store.load(&pid).await.unwrap().unwrap().context, r#"{"energy": -2.00}"#);
}

#[tokio::test]
async fn how_far_a_step_is_is_seen_by_others_until_its_boundary_or_another_owner() {
    let (_folder, path) = folder();
    let (store, other) = (FileStore::open(&path).unwrap(), FileStore::open(&path).unwrap());
    let (epoch, pid) = one(&store).await;
    store.commit(Commit { steps: 1, ..step(epoch, &pid) }).await.unwrap();
    let at = Timestamp::from_millis(1_700_000_000_002);
    let progress = Progress { done: 3, total: Some(10), at, first: 0, since: at };
    let hint = |steps| vec![Hint { pid: "one".into(), steps, progress }];
    let seen = async || {
        let looks = other.look(vec!["one".into(), "two".into()]).await.unwrap();
        assert_eq!((looks.processes.len(), looks.unreadable), (1, Vec::new()));
        looks.processes[0].hint
    };
    store.hint(epoch, hint(1)).await.unwrap();
    assert_eq!(seen().await, Some(progress));
    // What is damaged, or gone, is none.
    for damage in ["{", "{}"] {
        std::fs::write(path.join("hints.json"), damage).unwrap();
        assert_eq!(seen().await, None);
    }
    store.hint(epoch, hint(1)).await.unwrap();
    store.commit(Commit { steps: 2, ..step(epoch, &pid) }).await.unwrap();
    assert_eq!(seen().await, None);
    store.hint(epoch, hint(2)).await.unwrap();
    assert_eq!(seen().await, Some(progress));
    let next = store.acquire().await.unwrap();
    assert_eq!(seen().await, None);
    assert_eq!(store.hint(epoch, hint(2)).await.unwrap_err().kind(), StoreErrorKind::Stale);
    store.hint(next, hint(2)).await.unwrap();
    // What cannot be read keeps none of the others back.
    std::fs::write(path.join("processes/two.json"), "{").unwrap();
    let looks = other.look(vec!["two".into(), "one".into()]).await.unwrap();
    assert_eq!((looks.processes[0].hint, &looks.unreadable[0].0), (Some(progress), &"two".into()));
}

#[tokio::test]
async fn every_id_key_and_tag_has_a_safe_file_name() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let epoch = store.acquire().await.unwrap();
    let long = "very/long/".repeat(1_000);
    let texts =
        ["", ".", "..", "../../etc/passwd", "A", "a", "con", "nul", "x.json", "ä€😀", "a\0b", " ", "-rf", &long];
    for text in texts {
        let key = Some(format!("{text}{text}"));
        store.create(epoch, NewProcess { key, ..process(text) }).await.unwrap();
        let tag = &text[..text.len().min(200)];
        store.save_snapshot(epoch, &text.into(), tag, Timestamp::from_millis(5)).await.unwrap();
        store.request(&text.into(), Request::Play).await.unwrap();
        let reply = OwedReply { id: text.to_owned(), address: text.to_owned() };
        store.owe(epoch, &text.into(), reply).await.unwrap();
    }
    drop(store);
    let mut number = 0;
    for inner in ["processes", "keys", "snapshots", "requests", "owed"] {
        let names = documents(&path.join(inner));
        assert_eq!(names.len(), texts.len(), "{inner}");
        let mut folded: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        folded.dedup();
        assert_eq!(folded.len(), names.len(), "also where `A` is `a`");
        for name in &names {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "%-_~@.".contains(c);
            assert!(name.len() <= 255 && name.chars().all(plain) && !name.starts_with(['.', '-']), "{name}");
            number += 1;
        }
    }
    assert_eq!(number, 5 * texts.len());
    let store = FileStore::open(&path).unwrap();
    for text in texts {
        let pid = ProcessId::from(text);
        assert_eq!(store.load(&pid).await.unwrap().expect("it is there").pid, pid);
        assert_eq!(store.find(&format!("{text}{text}")).await.unwrap(), Some(pid.clone()));
        assert_eq!(store.snapshots_of(&pid).await.unwrap().len(), 1);
    }
    let requests = store.requests(None).await.unwrap();
    assert_eq!(requests.iter().map(|row| row.pid.to_string()).collect::<Vec<_>>(), texts);
}

#[tokio::test]
async fn a_folder_that_is_no_store_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("letter.txt"), "dear").unwrap();
    let error = FileStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert_eq!(documents(&path), ["letter.txt"]);
    std::fs::remove_file(path.join("letter.txt")).unwrap();
    let cases = [
        (r#"{"store":"procession","version":3}"#, StoreErrorKind::NewerFormat),
        (r#"{"store":"procession","version":0}"#, StoreErrorKind::Corrupt),
        (r#"{"store":"another","version":1}"#, StoreErrorKind::Corrupt),
        ("{", StoreErrorKind::Corrupt),
    ];
    for (mark, kind) in cases {
        std::fs::write(path.join("store.json"), mark).unwrap();
        assert_eq!(FileStore::open(&path).unwrap_err().kind(), kind, "{mark}");
    }
    std::fs::remove_file(path.join("store.json")).unwrap();
    assert!(FileStore::open(&path).is_ok(), "an empty folder becomes a store");
    assert_eq!(FileStore::open(path.join("store.json")).unwrap_err().kind(), StoreErrorKind::Io, "a file is no folder");
}

#[test]
fn many_may_make_the_folder_at_the_same_time() {
    for _ in 0..30 {
        let (_folder, path) = folder();
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    FileStore::open(&path).unwrap();
                });
            }
        });
    }
}

/// As a reader of another OS process that was stopped in the midst of a listing.
fn stopped_reader(path: &FilePath) -> std::fs::File {
    let file = std::fs::File::open(path.join("change.lock")).unwrap();
    file.lock_shared().unwrap();
    file
}

#[tokio::test]
async fn a_reader_that_stays_away_too_long_is_told_as_busy_and_the_store_goes_on() {
    let (_folder, path) = folder();
    let options = FileOptions::new().with_busy_timeout(Duration::from_millis(200));
    let store = FileStore::open_with(&path, options).unwrap();
    let (epoch, pid) = one(&store).await;
    let reader = stopped_reader(&path);
    assert!(store.load(&pid).await.unwrap().is_some(), "others may read");
    let start = std::time::Instant::now();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (store, commit) = (store.clone(), step(epoch, &pid));
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}");
        assert!(error.is_retryable());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "those that queue do not wait one after the other");
    assert_eq!(store.load(&pid).await.unwrap().unwrap().steps, 0);
    reader.unlock().unwrap();
    store.commit(step(epoch, &pid)).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_another_is_making_is_waited_for_and_then_told_as_busy() {
    let (_folder, path) = folder();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("change.lock"), "").unwrap();
    let maker = stopped_reader(&path);
    let options = FileOptions::new().with_busy_timeout(Duration::from_millis(20));
    assert_eq!(FileStore::open_with(&path, options).unwrap_err().kind(), StoreErrorKind::Busy);
    maker.unlock().unwrap();
    assert!(FileStore::open_with(&path, options).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_though_the_folder_is_held() -> Result<()> {
    let (_folder, path) = folder();
    let world = World::new();
    let store = FileStore::open_with(&path, FileOptions::new().with_busy_timeout(Duration::from_millis(50)))?;
    let runtime = Runtime::builder().store(store).clock(world.clock.clone()).register::<Sleeper>().build().await?;
    let run = runtime.launch(Sleeper::inputs()).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let reader = stopped_reader(&path);
    let launched = runtime.launch(Sleeper::inputs()).await.expect_err("it cannot be stored");
    assert!(matches!(&launched, RunError::Store(error) if error.kind() == StoreErrorKind::Busy), "{launched:?}");
    let down = runtime.shutdown_within(Duration::from_millis(200));
    tokio::time::timeout(Duration::from_secs(20), down).await.expect("it ends")?;
    reader.unlock().unwrap();
    Ok(())
}

#[tokio::test]
async fn one_owns_the_folder_and_others_read_and_ask() {
    let (_folder, path) = folder();
    let owner = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&owner).await;
    let other = FileStore::open(&path).unwrap();
    let error = other.acquire().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse, "{error}");
    assert!(error.to_string().contains("store"), "{error}");
    assert_eq!(other.create(epoch, process("two")).await.unwrap_err().kind(), StoreErrorKind::Stale);
    assert!(other.load(&pid).await.unwrap().is_some());
    assert_eq!(other.unfinished(None, 10).await.unwrap().records.len(), 1);
    let id = other.request(&pid, Request::Play).await.unwrap();
    assert_eq!(owner.requests(None).await.unwrap()[0].id, id);
    owner.release(epoch).await.unwrap();
    assert!(other.acquire().await.unwrap() > epoch);
    assert_eq!(owner.commit(step(epoch, &pid)).await.unwrap_err().kind(), StoreErrorKind::Stale);
}

#[tokio::test]
async fn an_owner_whose_lock_file_was_removed_is_refused_by_its_epoch() {
    let (_folder, path) = folder();
    let first = FileStore::open(&path).unwrap();
    let (stale, pid) = one(&first).await;
    std::fs::remove_file(path.join("owner.lock")).unwrap();
    let second = FileStore::open(&path).unwrap();
    let epoch = second.acquire().await.unwrap();
    assert!(epoch > stale);
    assert_eq!(first.commit(step(stale, &pid)).await.unwrap_err().kind(), StoreErrorKind::Stale);
    second.commit(step(epoch, &pid)).await.unwrap();
    assert_eq!(second.history(&pid).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_only_read_refuses_to_write() {
    let (_folder, path) = folder();
    let options = FileOptions::new().with_read_only(true);
    assert_eq!(FileStore::open_with(&path, options).unwrap_err().kind(), StoreErrorKind::Io, "there is none");
    let owner = FileStore::open(&path).unwrap();
    let reader = FileStore::open_with(&path, options).unwrap();
    assert_eq!(reader.unfinished(None, 10).await.unwrap().records, []);
    let (epoch, pid) = one(&owner).await;
    assert!(reader.load(&pid).await.unwrap().is_some());
    let kinds = [
        reader.acquire().await.unwrap_err().kind(),
        reader.create(epoch, process("two")).await.unwrap_err().kind(),
        reader.commit(step(epoch, &pid)).await.unwrap_err().kind(),
        reader.request(&pid, Request::Play).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [StoreErrorKind::ReadOnly; 4]);
}

#[tokio::test]
async fn a_torn_document_beside_its_place_is_no_document() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&store).await;
    for inner in ["", "processes", "snapshots", "requests", "keys", "parked", "owed"] {
        std::fs::write(path.join(inner).join(".tmp"), r#"{"order": 1, "proc"#).unwrap();
    }
    drop(store);
    let store = FileStore::open(&path).unwrap();
    assert_eq!(store.unfinished(None, 10).await.unwrap().records.len(), 1);
    assert_eq!((store.snapshots(None, 10).await.unwrap(), store.requests(None).await.unwrap()), (vec![], vec![]));
    assert_eq!(store.owed(None, 10).await.unwrap(), []);
    let next = store.acquire().await.unwrap();
    store.commit(step(next, &pid)).await.unwrap();
    assert!(next > epoch);
}

/// Damages that a document can suffer.
const DAMAGES: [fn(&str) -> Vec<u8>; 5] = [
    |text| text.as_bytes()[..text.len() / 2].to_vec(),
    |_| Vec::new(),
    |text| text.replace("waiting", "dreaming").into_bytes(),
    |text| {
        text.replace("it::Sleeper", "\u{fffd}")
            .into_bytes()
            .into_iter()
            .map(|b| if b == 0xef { 0xff } else { b })
            .collect()
    },
    |text| text.replace("\"context\"", "\"contxt\"").into_bytes(),
];

#[tokio::test]
async fn a_damaged_document_is_parked_with_the_reason_and_harms_no_other() -> Result<()> {
    for damage in DAMAGES {
        let (_folder, path) = folder();
        let world = World::new();
        let build = async || {
            let store = FileStore::open(&path).unwrap();
            let builder = Runtime::builder().store(store).clock(world.clock.clone());
            builder.register::<Sleeper>().build().await
        };
        let runtime = build().await?;
        let bad = runtime.launch(Sleeper::inputs()).id("bad").await?;
        let good = runtime.launch(Sleeper::inputs()).id("good").key("good").await?;
        for run in [&bad, &good] {
            eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        }
        runtime.shutdown().await?;
        let document = path.join("processes/bad.json");
        let damaged = damage(&std::fs::read_to_string(&document).unwrap());
        std::fs::write(&document, &damaged).unwrap();

        let runtime = build().await?;
        let told = runtime.attach(&"bad".into()).await.expect_err("it cannot be read");
        assert!(matches!(&told, RunError::Store(error) if error.kind() == StoreErrorKind::Corrupt), "{told:?}");
        assert_eq!(std::fs::read(&document).unwrap(), damaged, "every byte is kept");
        let parked: Value = serde_json::from_slice(&std::fs::read(path.join("parked/bad.json")).unwrap()).unwrap();
        assert_eq!(parked["pid"], "bad");
        assert!(parked["reason"].as_str().unwrap().starts_with("its row cannot be read: "), "{parked}");
        world.clock.advance(Duration::from_secs(60));
        let again = runtime.launch(Sleeper::inputs()).key("good").await?;
        assert!(again.outcome().await?.is_finished());
        runtime.shutdown().await?;
        // It stays aside, without being looked at again.
        let page = FileStore::open(&path)?.unfinished(None, 10).await?;
        assert_eq!((page.records, page.unreadable), (vec![], vec![]));
    }
    Ok(())
}

/// A folder with two processes that wait, of which one has this id; and how a runtime over it is built.
async fn two_that_wait(id: &str, world: &World) -> Result<(tempfile::TempDir, PathBuf)> {
    let (folder, path) = folder();
    let runtime = sleepers(&path, world).await?;
    for pid in [id, "other"] {
        let run = runtime.launch(Sleeper::inputs()).id(pid).await?;
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    }
    runtime.shutdown().await?;
    Ok((folder, path))
}

async fn sleepers(path: &FilePath, world: &World) -> Result<Runtime> {
    let builder = Runtime::builder().store(FileStore::open(path)?).clock(world.clock.clone());
    builder.register::<Sleeper>().build().await
}

#[tokio::test]
async fn a_damaged_document_of_a_long_id_is_parked_under_its_name() -> Result<()> {
    let (id, world) = ("experiment/sample/".repeat(10), World::new());
    let (_folder, path) = two_that_wait(&id, &world).await?;
    let name = documents(&path.join("processes")).into_iter().find(|name| name.contains('~')).expect("a short name");
    std::fs::write(path.join("processes").join(&name), "{").unwrap();
    for _ in 0..2 {
        let runtime = sleepers(&path, &world).await?;
        assert_eq!(runtime.attach(&"other".into()).await?.status().await?.state, ProcessState::Waiting);
        let told = runtime.attach(&id.as_str().into()).await.expect_err("it cannot be read");
        assert!(matches!(&told, RunError::Store(error) if error.kind() == StoreErrorKind::Corrupt), "{told:?}");
        runtime.shutdown().await?;
        assert_eq!(documents(&path.join("parked")), [name.as_str()]);
    }
    let page = FileStore::open(&path)?.unfinished(None, 10).await?;
    assert_eq!((page.records.len(), page.unreadable), (1, vec![]), "it stays aside");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_process_is_left_alone() -> Result<()> {
    let world = World::new();
    let (_folder, path) = two_that_wait("one", &world).await?;
    let one = std::fs::read(path.join("processes/one.json")).unwrap();
    for (name, text) in
        [("Notes.json", &b"{}"[..]), ("%.bak.json", b"{"), ("one.bak.json", &one), ("a copy.json", &one)]
    {
        std::fs::write(path.join("processes").join(name), text).unwrap();
    }
    let runtime = sleepers(&path, &world).await?;
    let page = FileStore::open(&path)?.unfinished(None, 10).await?;
    assert_eq!((page.records.len(), page.unreadable), (2, vec![]));
    runtime.shutdown().await?;
    assert_eq!(documents(&path.join("parked")), [""; 0]);
    assert_eq!(documents(&path.join("processes")).len(), 6);
    Ok(())
}

#[tokio::test]
async fn a_copy_of_a_document_is_told_under_its_own_name_and_harms_no_process() -> Result<()> {
    let world = World::new();
    let (_folder, path) = two_that_wait("one", &world).await?;
    std::fs::copy(path.join("processes/one.json"), path.join("processes/a-copy.json")).unwrap();
    let page = FileStore::open(&path)?.unfinished(None, 10).await?;
    assert_eq!(page.unreadable, [("a-copy".into(), "it is the document of process `one`".to_owned())]);
    let runtime = sleepers(&path, &world).await?;
    assert_eq!(runtime.attach(&"one".into()).await?.status().await?.state, ProcessState::Waiting);
    runtime.shutdown().await?;
    assert_eq!(documents(&path.join("parked")), ["a-copy.json"]);
    Ok(())
}

#[tokio::test]
async fn one_that_cannot_be_put_aside_keeps_nobody_from_going_on() -> Result<()> {
    let world = World::new();
    let (_folder, path) = two_that_wait("one", &world).await?;
    std::fs::write(path.join("processes/one.json"), "{").unwrap();
    let store = Faulty::over(std::sync::Arc::new(FileStore::open(&path)?), u64::MAX);
    store.full.store(true, std::sync::atomic::Ordering::SeqCst);
    let builder = Runtime::builder().shared_store(store).clock(world.clock.clone());
    let runtime = builder.register::<Sleeper>().build().await?;
    assert_eq!(runtime.attach(&"other".into()).await?.status().await?.state, ProcessState::Waiting);
    Ok(())
}

#[tokio::test]
async fn a_folder_that_is_missing_is_empty_and_is_made_again() -> Result<()> {
    let (_folder, path) = folder();
    let store = FileStore::open(&path)?;
    let (epoch, pid) = one(&store).await;
    for inner in ["snapshots", "parked", "keys", "requests", "owed"] {
        std::fs::remove_dir(path.join(inner)).unwrap();
    }
    let reader = FileStore::open_with(&path, FileOptions::new().with_read_only(true))?;
    assert_eq!(reader.unfinished(None, 10).await?.records.len(), 1);
    assert_eq!((reader.snapshots_of(&pid).await?, reader.requests(None).await?), (vec![], vec![]));
    let key = Some("key".to_owned());
    store.create(epoch, NewProcess { key, ..process("two") }).await?;
    store.save_snapshot(epoch, &pid, "tag", Timestamp::from_millis(5)).await?;
    store.request(&pid, Request::Play).await?;
    assert_eq!(reader.owed(None, 10).await?, []);
    store.owe(epoch, &pid, OwedReply { id: "task".into(), address: "there".into() }).await?;
    store.park(epoch, &pid, "why".into()).await?;
    assert_eq!(store.owed(None, 10).await?.len(), 1);
    assert_eq!(store.snapshots_of(&pid).await?.len(), 1);
    assert_eq!(store.find("key").await?, Some("two".into()));
    Ok(())
}

#[tokio::test]
async fn a_damaged_document_keeps_neither_children_nor_parents_from_going_on() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, parent) = one(&store).await;
    let child = |pid: &str| {
        let parent = Some(Parent { pid: parent.clone(), awaited: true, follows: false });
        NewProcess { parent, ..process(pid) }
    };
    for pid in ["two", "three"] {
        store.create(epoch, child(pid)).await.unwrap();
    }
    let damage = |pid: &str| std::fs::write(path.join(format!("processes/{pid}.json")), "{").unwrap();
    damage("three");
    let awaited = |pid: &str| AwaitedChild { pid: pid.into(), allow_failure: false };
    let awaiting = Awaiting { children: vec![awaited("two"), awaited("three")], ..Awaiting::default() };
    store.commit(Commit { awaiting: Some(awaiting), ..step(epoch, &parent) }).await.unwrap();
    assert_eq!(store.load(&parent).await.unwrap().unwrap().open_children, 1, "one that is damaged never ends");
    damage("one");
    let at = Timestamp::from_millis(1_700_000_000_001);
    let end = Commit::new("two".into(), epoch, at, ProcessState::Running, ProcessState::Finished);
    let end = Commit { ended: Some(r#"{"state":"finished"}"#.into()), ..end };
    assert_eq!(store.commit(end).await.unwrap().ready_parent, None);
    assert!(store.termination(&"two".into()).await.unwrap().is_some());
    assert_eq!(std::fs::read_to_string(path.join("processes/one.json")).unwrap(), "{", "it is left as it is");
}

#[tokio::test]
async fn damaged_requests_snapshots_and_a_misplaced_document_are_told() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&store).await;
    store.create(epoch, process("two")).await.unwrap();
    let request = store.request(&pid, Request::Play).await.unwrap();
    store.save_snapshot(epoch, &pid, "tag", Timestamp::from_millis(5)).await.unwrap();
    std::fs::write(path.join("requests/0000000000000000001@one.json"), "{").unwrap();
    std::fs::write(path.join("snapshots/one@tag.json"), "{").unwrap();
    for id in ["task", "other"] {
        store.owe(epoch, &pid, OwedReply { id: id.into(), address: "there".into() }).await.unwrap();
    }
    std::fs::write(path.join("owed/one@task.json"), "{").unwrap();
    assert_eq!(store.owed(None, 1).await.unwrap()[0].1.id, "other", "one that is damaged keeps no other back");
    store.settle(epoch, vec![(pid.clone(), "task".into())]).await.unwrap();
    std::fs::copy(path.join("processes/two.json"), path.join("processes/three.json")).unwrap();
    let rows = store.requests(None).await.unwrap();
    assert_eq!((rows.len(), rows[0].id, &rows[0].pid), (1, request, &pid));
    assert!(rows[0].request.is_err());
    store.discard_requests(epoch, vec![request]).await.unwrap();
    assert_eq!(store.requests(None).await.unwrap(), []);
    assert_eq!(store.load_snapshot(&pid, "tag").await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let at = Timestamp::from_millis(6);
    assert_eq!(store.restore(epoch, &pid, "tag", at).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(store.delete_snapshots(epoch, &pid).await.unwrap(), 1, "a damaged one can be deleted");
    let error = store.load(&"three".into()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it is the document of process `two`");
    drop(store);
    let page = FileStore::open(&path).unwrap().list(Vec::new(), None, 10).await.unwrap();
    assert_eq!((page.records.len(), page.unreadable.len()), (2, 1), "{:?}", page.unreadable);
}

#[tokio::test]
async fn a_damaged_journal_is_told_and_nothing_is_written_over_it() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&store).await;
    std::fs::write(path.join("journal.json"), "{").unwrap();
    assert_eq!(store.commit(step(epoch, &pid)).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(store.load(&pid).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let journal = json!({ "processes/one.json": null }).to_string();
    std::fs::write(path.join("journal.json"), journal).unwrap();
    assert_eq!(store.load(&pid).await.unwrap(), None, "as if it were carried out");
    assert_eq!(store.commit(step(epoch, &pid)).await.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert!(!path.join("journal.json").exists() && !path.join("processes/one.json").exists(), "it was carried out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_someone_who_owns_nothing_reaches_the_process() -> Result<()> {
    let (_folder, path) = folder();
    let world = World::new();
    let owner = FileStore::open(&path)?;
    let runtime = Runtime::builder().store(owner).resource(world.gate.clone()).register::<Rounds>().build().await?;
    let run = runtime.launch(Rounds::inputs().rounds(0)).await?;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let other = FileStore::open(&path)?;
    assert_eq!(other.load(run.pid()).await?.expect("readable").state, ProcessState::Waiting);
    other.request(run.pid(), Request::Pause { text: Some("from afar".into()) }).await?;
    eventually(async || run.status().await.unwrap().paused).await;
    other.request(run.pid(), Request::Kill { text: "from afar".into(), force: false }).await?;
    assert_eq!(run.termination().await?.ended.to_string(), "killed: from afar");
    assert!(other.requests(None).await?.is_empty(), "applied");
    runtime.shutdown().await
}

/// Writers and readers at the same time: who reads sees a parent and its children of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_never_sees_half_of_a_change() {
    let (_folder, path) = folder();
    let store = FileStore::open(&path).unwrap();
    let (epoch, pid) = one(&store).await;
    let reading = tokio::spawn({
        let (path, pid) = (path.clone(), pid.clone());
        async move {
            let mut seen = 0;
            while seen < 20 {
                // Opened anew, as another OS process would.
                let reader = FileStore::open(&path).unwrap();
                let listed = reader.list(Vec::new(), None, 100).await.unwrap();
                assert_eq!(listed.unreadable, []);
                let parent = listed.records.iter().find(|record| record.pid == pid).unwrap();
                assert_eq!(parent.open_children, listed.records.len() as u64 - 1);
                seen = listed.records.len() - 1;
            }
        }
    });
    for number in 0..20 {
        let parent = Parent { pid: pid.clone(), awaited: true, follows: false };
        let child = NewProcess { parent: Some(parent), ..process(number) };
        store.commit(Commit { children: vec![child], ..step(epoch, &pid) }).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("no hang").unwrap();
}

/// The whole runtime over a folder: every step of a process is a boundary from which it goes on.
#[tokio::test]
async fn a_process_goes_on_from_its_document_at_every_program_point() {
    const STEPS: usize = 9;
    for crash in 0..STEPS {
        let (_folder, path) = folder();
        let world = World::new();
        let build = async || {
            let builder = Runtime::builder().store(FileStore::open(&path).unwrap()).resource(world.gate.clone());
            builder.register::<Path>().build().await.unwrap()
        };
        let runtime = build().await;
        runtime.launch(Path::inputs()).key("path").await.unwrap();
        for _ in 0..crash {
            world.gate.reached().await;
            world.gate.open(1);
        }
        world.gate.reached().await;
        runtime.shutdown_within(Duration::ZERO).await.unwrap();
        let runtime = build().await;
        let run = runtime.launch(Path::inputs()).key("path").await.unwrap();
        world.gate.open(STEPS - crash);
        assert_eq!(run.outcome().await.unwrap().finished().expect("finished").visited.len(), STEPS, "{crash}");
        runtime.shutdown().await.unwrap();
    }
}
