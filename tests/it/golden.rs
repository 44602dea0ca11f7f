//! Files of every published form still load: `tests/data/checkpoints/<form>/`.
//!
//! The first form has documents of records and a SQLite file. The second has saved listeners, defaulted inputs and
//! snapshots, a SQLite file of version 2, and the folder of a store in files. The third has owed replies, and a SQLite
//! file of version 3.
//!
//! `BLESS=1 cargo test --test it golden` writes those of the present form anew. Only for a form that is not published
//! yet.

use std::path::PathBuf;
use std::sync::Arc;

use procession::clock::Timestamp;
use procession::process::{Ended, Request};
use procession::store::{
    AwaitedChild, Awaiting, Commit, Envelope, Epoch, FORMAT, FileStore, MemoryStore, NewProcess, OwedReply, Parent,
    Record, SqliteStore, StatusText, Store,
};
use procession::{ProcessId, ProcessState};

fn data(form: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/checkpoints", form].iter().collect()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

#[allow(clippy::unnecessary_wraps)] // It is for fields that may be absent.
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn new(pid: &str) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: Envelope {
            format: FORMAT,
            process: "crystals::Relax".to_owned(),
            version: 2,
            fingerprint: "9c1185a5c5e9fc54".to_owned(),
        },
        position: r#"{"at":"setup"}"#.to_owned(),
        context: r#"{"iteration":0,"scf":null}"#.to_owned(),
        inputs: r#"{"steps":10,"structure":{"cell":[1.5,2.0,2.5],"name":"Bi₂Te₃"}}"#.into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: at(0),
    }
}

fn boundary(epoch: Epoch, pid: &str, to: ProcessState) -> Commit {
    let commit = Commit::new(pid.into(), epoch, at(1_000), ProcessState::Running, to);
    Commit { steps: 3, transition: Some("run_scf"), ..commit }
}

const CHILD: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// What the processes did until now, the name of the file first.
fn deeds(epoch: Epoch) -> Vec<(&'static str, NewProcess, Option<Commit>)> {
    let ending = |pid: &str, ended: &str| Commit {
        ended: text(ended),
        outputs: text(r#"{"energy":-3.25}"#),
        ..boundary(epoch, pid, serde_json::from_str::<Ended>(ended).unwrap().state())
    };
    let waiting = Commit {
        position: text(r#"{"at":"run_scf","after":true}"#),
        context: Some(format!(r#"{{"iteration":1,"scf":"{CHILD}"}}"#)),
        awaiting: Some(Awaiting {
            children: vec![AwaitedChild { pid: CHILD.into(), allow_failure: true }],
            wake_at: Some(at(3_600_000)),
            resume: text("is the structure right?"),
            ..Awaiting::default()
        }),
        children: vec![NewProcess {
            parent: Some(Parent { pid: "waiting".into(), awaited: true, follows: false }),
            ..new(CHILD)
        }],
        report: vec!["first".to_owned(), "zwölf\nZeilen".to_owned()],
        ..boundary(epoch, "waiting", ProcessState::Waiting)
    };
    let paused = Commit {
        paused: true,
        status: Some(StatusText { text: text("held by hand"), before_pause: Some(None), progress: None }),
        ..boundary(epoch, "paused", ProcessState::Running)
    };
    let running = Commit { position: text(r#"{"at":"run_scf"}"#), ..boundary(epoch, "42", ProcessState::Running) };
    let plain = Commit {
        position: text(r#"{"at":"after","count":1,"name":"x"}"#),
        ..boundary(epoch, "plain", ProcessState::Running)
    };
    vec![
        ("created", NewProcess { key: text("relax-1"), ..new("created") }, None),
        ("running", new("42"), Some(running)),
        ("waiting", new("waiting"), Some(waiting)),
        ("paused", new("paused"), Some(paused)),
        ("plain", new("plain"), Some(plain)),
        ("finished", new("finished"), Some(ending("finished", r#"{"state":"finished","result":{"a":[1,null]}}"#))),
        ("exited", new("exited"), Some(ending("exited", EXITED))),
        ("excepted", new("excepted"), Some(ending("excepted", EXCEPTED))),
        ("killed", new("killed"), Some(ending("killed", r#"{"state":"killed","text":"no more time"}"#))),
        ("parked", new("parked"), None),
    ]
}

const EXITED: &str = r#"{"state":"exited","exit":{"number":410,"name":"NotConverged","message":"no convergence within the step limit"}}"#;
const EXCEPTED: &str = r#"{"state":"excepted","error":{"message":"cannot read the grid","causes":["no such file"],"panicked":true,"step":"run_scf"}}"#;

/// What is new in the second form: it happens after the deeds of the first.
fn later_deeds(epoch: Epoch) -> Vec<(&'static str, NewProcess, Option<Commit>)> {
    let listeners = text(r#"[{"name":"crystals::Log","state":{"lines":7}}]"#);
    let new = NewProcess {
        defaulted: text(r#"["steps","options","options.queue"]"#),
        listeners: text(r#"[{"name":"crystals::Log","state":{"lines":0}}]"#),
        ..new("listened")
    };
    let mut deeds = deeds(epoch);
    deeds.push(("listened", new, Some(Commit { listeners, ..boundary(epoch, "listened", ProcessState::Running) })));
    deeds
}

/// What happened to a store until now, in this form or the one before.
async fn perform(store: &dyn Store, form: &str) {
    let epoch = store.acquire().await.unwrap();
    for (name, new, commit) in later_deeds(epoch) {
        let pid = new.pid.clone();
        store.create(epoch, new).await.unwrap();
        if let Some(commit) = commit {
            store.commit(commit).await.unwrap();
        }
        if name == "parked" {
            store.put_memo(&pid, epoch, 3, "submit", "17".to_owned()).await.unwrap();
            store.park(epoch, &pid, "the field `old` is unknown".to_owned()).await.unwrap();
        }
    }
    for (pid, tag) in [("waiting", "before supper"), ("waiting", ".."), ("finished", "end")] {
        store.save_snapshot(epoch, &pid.into(), tag, at(2_000)).await.unwrap();
    }
    let request = Request::Kill { text: "enough".to_owned(), force: true };
    store.request(&"paused".into(), request).await.unwrap();
    if form == "3" {
        let reply = |id: &str| OwedReply { id: id.to_owned(), address: ADDRESS.to_owned() };
        let new = NewProcess { owes: Some(reply("3f0c9a")), key: text("task:3f0c9a"), ..new("owing") };
        store.create(epoch, new).await.unwrap();
        store.owe(epoch, &"finished".into(), reply("Ä/1")).await.unwrap();
    }
    store.release(epoch).await.unwrap();
}

const ADDRESS: &str =
    r#"{"exchange":"kiwipy.tasks","queue":"kiwipy.tasks-reply-5ce11889","correlation_id":"b3af98cc"}"#;

async fn bless() {
    let data = data("3");
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).unwrap();
    let store = SqliteStore::open(data.join("store.db")).unwrap();
    perform(&store, "3").await;
    drop(store);
    std::fs::remove_file(data.join("store.db.lock")).unwrap();
    perform(&FileStore::open(data.join("files")).unwrap(), "3").await;
    for lock in ["owner.lock", "change.lock"] {
        std::fs::remove_file(data.join("files").join(lock)).unwrap();
    }
}

/// The present state of the process in each document, built without reading any.
async fn expected() -> Vec<(&'static str, Record)> {
    let store = procession::store::MemoryStore::new();
    let epoch = store.acquire().await.unwrap();
    let mut records = Vec::new();
    for (name, new, commit) in deeds(epoch) {
        let pid = new.pid.clone();
        store.create(epoch, new).await.unwrap();
        if let Some(commit) = commit {
            store.commit(commit).await.unwrap();
        }
        if name == "parked" {
            store.park(epoch, &pid, "the field `old` is unknown".to_owned()).await.unwrap();
        }
        records.push((name, store.load(&pid).await.unwrap().unwrap()));
    }
    records
}

#[tokio::test]
async fn golden_files_of_the_first_format_still_load() {
    let folder = tempfile::tempdir().unwrap();
    let data = || data("1");
    // A copy: opening a file leaves its traces.
    let file = folder.path().join("store.db");
    std::fs::copy(data().join("store.db"), &file).unwrap();
    let store = SqliteStore::open(&file).unwrap();
    let records = expected().await;
    for (name, record) in &records {
        let json = std::fs::read_to_string(data().join(format!("{name}.json"))).unwrap();
        let document: Record = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&document, record, "{name}.json");
        assert_eq!(store.load(&record.pid).await.unwrap().as_ref(), Some(record), "{name} in store.db");
        let ended = store.termination(&record.pid).await.unwrap();
        assert_eq!(ended.map(|end| serde_json::to_value(end.ended).unwrap()), end_of(record), "{name}");
    }
    let documents = std::fs::read_dir(data()).unwrap().count();
    assert_eq!(documents, records.len() + 1, "a document without a test, or the reverse");

    let waiting = ProcessId::from("waiting");
    assert_eq!(store.find("relax-1").await.unwrap(), Some("created".into()));
    assert_eq!(store.children(&waiting).await.unwrap(), [CHILD.into()]);
    assert_eq!(store.history(&waiting).await.unwrap().len(), 1);
    assert_eq!(store.report(&waiting).await.unwrap().len(), 2);
    assert_eq!(store.memo(&"parked".into(), 3, "submit").await.unwrap(), text("17"));
    assert_eq!(store.unfinished(None, 100).await.unwrap().records.len(), 6);
    // And it goes on from there.
    let epoch = store.acquire().await.unwrap();
    let requests = store.requests(None).await.unwrap();
    let Ok(Request::Kill { text, force: true }) = &requests[0].request else { panic!("{requests:?}") };
    let ended = Some(format!(r#"{{"state":"killed","text":"{text}"}}"#));
    let killed = Commit { ended, ..boundary(epoch, CHILD, ProcessState::Killed) };
    assert_eq!(store.commit(killed).await.unwrap().ready_parent, Some(waiting));
}

fn end_of(record: &Record) -> Option<serde_json::Value> {
    record.ended.as_ref().map(|ended| serde_json::from_str(ended).unwrap())
}

/// A store in a copy of the files.
fn copied(folder: &std::path::Path, form: &str, name: &str) -> Arc<dyn Store> {
    let (from, to) = (data(form).join(name), folder.join(name));
    if name == "store.db" {
        std::fs::copy(from, &to).unwrap();
        return Arc::new(SqliteStore::open(&to).unwrap());
    }
    for inner in ["", "processes", "parked", "keys", "snapshots", "requests", "owed"] {
        std::fs::create_dir_all(to.join(inner)).unwrap();
        // An empty folder is none in a repository.
        for entry in std::fs::read_dir(from.join(inner)).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(inner).join(entry.file_name())).unwrap();
            }
        }
    }
    Arc::new(FileStore::open(&to).unwrap())
}

#[tokio::test]
async fn golden_files_of_the_second_form_still_load() {
    still_load("2", 12).await;
}

#[tokio::test]
async fn golden_files_of_the_third_form_still_load() {
    if std::env::var_os("BLESS").is_some() {
        bless().await;
    }
    still_load("3", 13).await;
}

async fn still_load(form: &str, processes: usize) {
    let expected = MemoryStore::new();
    perform(&expected, form).await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["store.db", "files"] {
        let store = copied(folder.path(), form, name);
        let page = store.list(Vec::new(), None, 100).await.unwrap();
        assert_eq!(page, expected.list(Vec::new(), None, 100).await.unwrap(), "{name}");
        assert_eq!(page.records.len(), processes);
        for record in &page.records {
            let pid = &record.pid;
            assert_eq!(store.history(pid).await.unwrap(), expected.history(pid).await.unwrap(), "{name}: {pid}");
            assert_eq!(store.report(pid).await.unwrap(), expected.report(pid).await.unwrap(), "{name}: {pid}");
            assert_eq!(store.children(pid).await.unwrap(), expected.children(pid).await.unwrap(), "{name}: {pid}");
        }
        let snapshots = store.snapshots(None, 100).await.unwrap();
        assert_eq!(snapshots, expected.snapshots(None, 100).await.unwrap(), "{name}");
        for snapshot in snapshots {
            let (pid, tag) = (&snapshot.pid, &snapshot.tag);
            let loaded = store.load_snapshot(pid, tag).await.unwrap();
            assert_eq!(loaded, expected.load_snapshot(pid, tag).await.unwrap(), "{name}: {pid} {tag}");
        }
        assert_eq!(store.find("relax-1").await.unwrap(), Some("created".into()));
        assert_eq!(store.memo(&"parked".into(), 3, "submit").await.unwrap(), text("17"));
        assert_eq!(store.requests(None).await.unwrap(), expected.requests(None).await.unwrap());
        assert_eq!(store.owed(None, 100).await.unwrap(), expected.owed(None, 100).await.unwrap(), "{name}");
        // And it goes on from there.
        let epoch = store.acquire().await.unwrap();
        assert_eq!(epoch, Epoch(2), "{name}");
        let reply = OwedReply { id: "late".to_owned(), address: ADDRESS.to_owned() };
        store.owe(epoch, &"waiting".into(), reply.clone()).await.unwrap();
        assert!(store.owed(None, 100).await.unwrap().contains(&("waiting".into(), reply)));
        let restored = store.restore(epoch, &"waiting".into(), "before supper", at(3_000)).await.unwrap();
        assert_eq!((restored.steps, restored.open_children), (4, 1));
        let ended = text(r#"{"state":"killed","text":"enough"}"#);
        let killed = Commit { ended, ..boundary(epoch, CHILD, ProcessState::Killed) };
        assert_eq!(store.commit(killed).await.unwrap().ready_parent, Some("waiting".into()));
    }
}
