//! What ends in the middle: the store is cut off before every operation on the disk, and on a disk that is full.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use super::disk::Operation;
use super::*;
use crate::store::{AwaitedChild, Awaiting, Envelope, FORMAT, Parent};

/// What befalls a disk.
#[derive(Debug, Default)]
pub(super) struct Fault {
    inner: Mutex<Befalls>,
}

#[derive(Debug, Default)]
struct Befalls {
    log: Vec<(Operation, String)>,
    fails: Option<(usize, Fails)>,
}

/// Which operations fail, from one on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fails {
    /// All: the OS process is gone.
    Crash,
    /// That one.
    Full,
    /// All, until there is space again.
    StaysFull,
    /// All: none may write.
    Forbidden,
}

impl Fault {
    pub(super) fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        inner.log.push((operation, name));
        let at = inner.log.len() - 1;
        match inner.fails {
            Some((from, Fails::Crash)) if at >= from => Err(io::Error::other("crashed")),
            Some((from, Fails::StaysFull)) if at >= from && operation != Operation::Remove => Err(full()),
            Some((from, Fails::Full)) if at == from => Err(full()),
            Some((from, Fails::Forbidden)) if at >= from => Err(io::Error::from(ErrorKind::PermissionDenied)),
            _ => Ok(()),
        }
    }

    fn set(&self, fails: Option<(usize, Fails)>) {
        *self.inner.lock().unwrap() = Befalls { log: Vec::new(), fails };
    }

    fn log(&self) -> Vec<(Operation, String)> {
        self.inner.lock().unwrap().log.clone()
    }
}

fn full() -> io::Error {
    io::Error::from(ErrorKind::StorageFull)
}

fn open(root: &Path) -> FileStore {
    FileStore::open_with(root, FileOptions::new().with_history(3).with_reports(3)).unwrap()
}

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn new(pid: &str) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: Some(format!("key of {pid}")),
        parent: None,
        envelope: Envelope { format: FORMAT, process: "files::Relax".into(), version: 1, fingerprint: "f00d".into() },
        position: "{}".into(),
        context: r#"{"x":1}"#.into(),
        inputs: "{}".into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: crate::store::Placement::default(),
        messages: Vec::new(),
        at: AT,
    }
}

fn child(pid: &str) -> NewProcess {
    NewProcess { parent: Some(Parent { pid: "parent".into(), awaited: true, follows: false }), ..new(pid) }
}

fn reply(id: &str) -> OwedReply {
    OwedReply { id: id.into(), address: "there".into() }
}

fn step(epoch: Epoch, pid: &str) -> Commit {
    let commit = Commit::new(pid.into(), epoch, AT, ProcessState::Running, ProcessState::Waiting);
    Commit { transition: Some("step"), report: vec!["line".into()], context: Some(r#"{"x":2}"#.into()), ..commit }
}

fn ending(epoch: Epoch, pid: &str) -> Commit {
    let commit = Commit::new(pid.into(), epoch, AT, ProcessState::Running, ProcessState::Finished);
    Commit { ended: Some(r#"{"state":"finished"}"#.into()), transition: Some("step"), ..commit }
}

/// All that a store has, as text.
fn told(store: &FileStore) -> String {
    let page = store.inner.page(&Wanted::In(Vec::new()), None, 100).unwrap();
    assert_eq!(page.unreadable, []);
    let mut told = Vec::new();
    let rows = |view: &View<'_>, _: &State| {
        for record in &page.records {
            let key = record.key.as_deref().unwrap();
            assert_eq!(view.holder(key)?.as_ref(), Some(&record.pid));
            told.push(format!("{:?}", view.row(&record.pid)?.unwrap().0));
        }
        assert_eq!(view.list("keys").unwrap().len(), page.records.len());
        for snapshot in snapshots::snapshots(view, None, 100)? {
            let record = Record::from(view.snapshot(&snapshot.pid, &snapshot.tag)?.unwrap().process);
            told.push(format!("{snapshot:?} {record:?}"));
        }
        told.push(format!("{:?} {:?}", view.list("parked").unwrap(), requests::requests(view, None)?));
        told.push(format!("{:?}", owed::owed(view, None, 100)?));
        Ok(())
    };
    store.inner.read("read", rows).unwrap();
    told.join("\n")
}

/// A parent that waits for two children, one of them parked, with requests, a memo and a snapshot.
async fn template() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let epoch = store.acquire().await.unwrap();
    store.create(epoch, new("parent")).await.unwrap();
    store.create(epoch, new("ended")).await.unwrap();
    store.commit(ending(epoch, "ended")).await.unwrap();
    let awaited = |pid: &str| AwaitedChild { pid: pid.into(), allow_failure: false };
    let awaiting = Some(Awaiting { children: vec![awaited("a"), awaited("b")], ..Awaiting::default() });
    let children = vec![child("a"), child("b")];
    store.commit(Commit { awaiting, children, ..step(epoch, "parent") }).await.unwrap();
    store.park(epoch, &"b".into(), "why".into()).await.unwrap();
    for pid in ["parent", "parent", "ended"] {
        store.request(&pid.into(), Request::Play).await.unwrap();
    }
    store.put_memo(&"parent".into(), epoch, 1, "effect", "1".into()).await.unwrap();
    for pid in ["parent", "ended"] {
        store.save_snapshot(epoch, &pid.into(), "tag", AT).await.unwrap();
        store.owe(epoch, &pid.into(), reply("1")).await.unwrap();
    }
    folder
}

/// The changes that a store can be asked for.
const DEEDS: [&str; 16] = [
    "create",
    "create what owes",
    "boundary",
    "boundary with child",
    "end of a child",
    "commit of a parked",
    "memo",
    "park",
    "request",
    "discard",
    "owe",
    "settle",
    "snapshot",
    "restore",
    "delete",
    "own",
];

async fn deed(store: &FileStore, epoch: Epoch, deed: &str) -> StoreResult<()> {
    match deed {
        "create" => store.create(epoch, child("c")).await.map(drop),
        "create what owes" => store.create(epoch, NewProcess { owes: Some(reply("task")), ..new("c") }).await.map(drop),
        "boundary" => store.commit(step(epoch, "a")).await.map(drop),
        "boundary with child" => {
            let applied = vec![RequestId(1), RequestId(2)];
            let commit = Commit { children: vec![child("c"), child("d")], applied, ..step(epoch, "parent") };
            store.commit(Commit { forget_memos: true, ..commit }).await.map(drop)
        }
        "end of a child" => store.commit(ending(epoch, "a")).await.map(drop),
        "commit of a parked" => store.commit(step(epoch, "b")).await.map(drop),
        "memo" => store.put_memo(&"a".into(), epoch, 1, "effect", "2".into()).await,
        "park" => store.park(epoch, &"a".into(), "reason".into()).await,
        "request" => store.request(&"a".into(), Request::Play).await.map(drop),
        "discard" => store.discard_requests(epoch, vec![RequestId(1), RequestId(3)]).await,
        "owe" => store.owe(epoch, &"a".into(), reply("task")).await,
        "settle" => store.settle(epoch, vec![("parent".into(), "1".into()), ("ended".into(), "1".into())]).await,
        "snapshot" => store.save_snapshot(epoch, &"a".into(), "other", AT).await,
        "restore" => store.restore(epoch, &"parent".into(), "tag", AT).await.map(drop),
        "delete" => store.delete(epoch, &"ended".into()).await.map(drop),
        "own" => store.acquire().await.map(drop),
        other => panic!("no deed {other}"),
    }
}

/// A copy of a prepared folder, opened and owned.
async fn prepared(template: &tempfile::TempDir) -> (tempfile::TempDir, FileStore, Epoch) {
    let folder = tempfile::tempdir().unwrap();
    for inner in [""].iter().chain(&FOLDERS) {
        let (from, to) = (template.path().join(inner), folder.path().join(inner));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let store = open(folder.path());
    let epoch = store.acquire().await.unwrap();
    (folder, store, epoch)
}

#[tokio::test]
async fn a_crash_before_any_operation_leaves_all_of_a_change_or_nothing() {
    let template = template().await;
    for name in DEEDS {
        let (mut operations, mut before_seen, mut after_seen) = (0, 0, 0);
        let (_folder, store, epoch) = prepared(&template).await;
        deed(&store, epoch, name).await.unwrap();
        let after = told(&store);
        loop {
            let (folder, store, epoch) = prepared(&template).await;
            let before = told(&store);
            assert_eq!(name == "own", before == after, "{name}");
            store.inner.disk.fault.set(Some((operations, Fails::Crash)));
            let result = deed(&store, epoch, name).await;
            let crashed = store.inner.disk.fault.log().len() > operations;
            drop(store);
            // As another reads it that does not own it; and as the next owner does.
            let reader = open(folder.path());
            let seen = told(&reader);
            let next = open(folder.path());
            assert!(next.acquire().await.unwrap() > epoch, "{name}");
            assert_eq!(told(&next), seen, "{name}, before operation {operations}");
            assert!(seen == before || seen == after, "{name}, before operation {operations}:\n{seen}");
            assert!(result.is_err() || seen == after, "{name}: what was confirmed is there");
            before_seen += u32::from(seen == before);
            after_seen += u32::from(seen == after);
            if !crashed {
                result.unwrap();
                break;
            }
            operations += 1;
        }
        assert!(operations >= 4 && before_seen > 0 && after_seen > 0, "{name}: {operations} operations");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_a_change_whole_and_later_ones_succeed() {
    let template = template().await;
    for (name, fails) in DEEDS.iter().flat_map(|name| [(*name, Fails::Full), (*name, Fails::StaysFull)]) {
        let (_folder, store, epoch) = prepared(&template).await;
        deed(&store, epoch, name).await.unwrap();
        let after = told(&store);
        let mut operation = 0;
        loop {
            let (folder, store, epoch) = prepared(&template).await;
            let before = told(&store);
            store.inner.disk.fault.set(Some((operation, fails)));
            let result = deed(&store, epoch, name).await;
            let log = store.inner.disk.fault.log();
            let expected = if result.is_ok() { &after } else { &before };
            let mut fail = log.iter().skip(operation).map(|(operation, _)| *operation);
            let failed = fail.find(|operation| fails == Fails::Full || *operation != Operation::Remove);
            if failed == Some(Operation::SyncFolder) {
                // The name may be on the disk or not: nothing more is written before the folder is opened again.
                assert!(result.is_err() || told(&store) == after, "{name}: what was confirmed is there");
                store.inner.disk.fault.set(None);
                assert_eq!(deed(&store, epoch, name).await.unwrap_err().kind(), StoreErrorKind::Closed);
            } else {
                assert!(
                    result.as_ref().is_ok_and(|()| true) || result.as_ref().unwrap_err().kind() == StoreErrorKind::Full
                );
                assert_eq!(&told(&store), expected, "{name}, operation {operation}, {fails:?}");
                assert_eq!(&told(&open(folder.path())), expected, "{name}, seen by another");
                // There is space again.
                store.inner.disk.fault.set(None);
                let epoch = store.acquire().await.unwrap();
                if result.is_err() {
                    deed(&store, epoch, name).await.unwrap();
                }
                let again = told(&store);
                // The number of a request that was refused is not given again.
                assert!(again == after || (name == "request" && again.len() == after.len()), "{name}, {operation}");
                assert!(!folder.path().join("journal.json").exists());
            }
            if log.len() <= operation {
                break;
            }
            operation += 1;
        }
    }
}

/// A rename is of what is on the disk, and nothing is told before the folder is. What a journal is carried out with is flushed
/// before that goes, each folder once.
#[tokio::test]
async fn everything_is_flushed_before_it_is_relied_on() {
    let template = template().await;
    for name in DEEDS {
        let (_folder, store, epoch) = prepared(&template).await;
        store.inner.disk.fault.set(None);
        deed(&store, epoch, name).await.unwrap();
        let log = store.inner.disk.fault.log();
        let gone = log.iter().position(|done| *done == (Operation::Remove, "journal.json".to_owned()));
        for (at, (operation, path)) in log.iter().enumerate() {
            let next = log.get(at + 1).map(|(operation, _)| *operation);
            match operation {
                Operation::Write => assert_eq!(next, Some(Operation::Sync), "{name}: {log:?}"),
                Operation::Sync => assert_eq!(next, Some(Operation::Rename), "{name}: {log:?}"),
                Operation::Rename | Operation::Remove if gone.is_some() && path != "journal.json" => {
                    assert_eq!(gone.map(|gone| log[gone - 1].0), Some(Operation::SyncFolder), "{name}: {log:?}");
                }
                Operation::Rename | Operation::Remove => {
                    assert_eq!(next, Some(Operation::SyncFolder), "{name}: {log:?}");
                }
                Operation::SyncFolder => {}
            }
        }
        let mut flushed: Vec<_> =
            log[..gone.unwrap_or(0)].iter().filter(|done| done.0 == Operation::SyncFolder).collect();
        let all = flushed.len();
        flushed.sort_unstable_by_key(|done| &done.1);
        flushed.dedup();
        assert_eq!(flushed.len(), all, "{name}: {log:?}");
        let journal: Vec<_> = log.iter().filter(|(_, name)| name == "journal.json").map(|(done, _)| *done).collect();
        assert!(journal.is_empty() || journal == [Operation::Rename, Operation::Remove], "{name}: {log:?}");
    }
}

#[tokio::test]
async fn a_folder_whose_making_was_cut_off_is_made_by_the_next() {
    for operation in 0..7 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().to_owned());
        disk.fault.set(Some((operation, Fails::Crash)));
        let made = FileStore::open_on(disk, FileOptions::new());
        assert_eq!(made.is_ok(), operation >= 6, "{operation}");
        let store = open(folder.path());
        assert!(store.acquire().await.is_ok());
    }
}

/// What is written now would be put aside or discarded by an earlier version of this library: it is to refuse the folder.
#[tokio::test]
async fn a_folder_of_an_earlier_version_is_brought_up_to_date_by_those_who_write() {
    let folder = tempfile::tempdir().unwrap();
    let (root, mark) = (folder.path(), folder.path().join("store.json"));
    let version = || serde_json::from_str::<document::StoreDocument>(&std::fs::read_to_string(&mark).unwrap());
    let version = || version().unwrap().version;
    {
        let store = open(root);
        let epoch = store.acquire().await.unwrap();
        store.create(epoch, new("one")).await.unwrap();
    }
    assert_eq!(version(), document::VERSION);
    std::fs::write(&mark, r#"{"store":"procession","version":1}"#).unwrap();
    std::fs::remove_dir(root.join("owed")).unwrap();
    let is_there = async |store: FileStore| store.load(&"one".into()).await.unwrap().is_some();
    assert!(is_there(FileStore::open_with(root, FileOptions::new().with_read_only(true)).unwrap()).await);
    for fails in [Fails::Forbidden, Fails::Crash] {
        let disk = Disk::new(root.to_owned());
        disk.fault.set(Some((0, fails)));
        assert_eq!(FileStore::open_on(disk, FileOptions::new()).is_ok(), fails == Fails::Forbidden);
        assert_eq!(version(), 1, "{fails:?}");
    }
    let store = open(root);
    assert_eq!(version(), document::VERSION);
    assert!(root.join("owed").exists());
    let epoch = store.acquire().await.unwrap();
    store.owe(epoch, &"one".into(), reply("task")).await.unwrap();
    assert!(is_there(store).await);
}

#[tokio::test]
async fn a_journal_whose_removal_is_not_flushed_closes_the_store() {
    let template = template().await;
    let deed = async |store: &FileStore, epoch| deed(store, epoch, "boundary with child").await.unwrap();
    let (_folder, store, epoch) = prepared(&template).await;
    store.inner.disk.fault.set(None);
    deed(&store, epoch).await;
    let last = store.inner.disk.fault.log().len() - 1;
    let after = told(&store);

    let (folder, store, epoch) = prepared(&template).await;
    store.inner.disk.fault.set(Some((last - 1, Fails::Crash)));
    deed(&store, epoch).await;
    let journal = std::fs::read_to_string(folder.path().join("journal.json")).unwrap();

    let (folder, store, epoch) = prepared(&template).await;
    store.inner.disk.fault.set(Some((last, Fails::Full)));
    deed(&store, epoch).await;
    store.inner.disk.fault.set(None);
    assert_eq!(told(&store), after, "it is read still");
    assert_eq!(store.commit(step(epoch, "parent")).await.unwrap_err().kind(), StoreErrorKind::Closed);
    // The power fails: the removal was never on the disk.
    drop(store);
    std::fs::write(folder.path().join("journal.json"), journal).unwrap();
    let again = open(folder.path());
    again.acquire().await.unwrap();
    assert_eq!(told(&again), after, "nothing that was confirmed is lost");
}

#[test]
fn every_folder_that_is_made_is_flushed_into_the_one_above() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path().join("a/b/c"));
    let store = FileStore::open_on(disk, FileOptions::new()).unwrap();
    let above = folder.path().file_name().unwrap().to_str().unwrap();
    let log = store.inner.disk.fault.log();
    for name in [above, "a", "b", "c"] {
        assert!(log.contains(&(Operation::SyncFolder, name.to_owned())), "{name}: {log:?}");
    }
}

#[test]
fn a_document_of_a_missing_folder_is_removed_already_and_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let disk = &store.inner.disk;
    std::fs::remove_dir(folder.path().join("keys")).unwrap();
    disk.remove("keys/key.json").unwrap();
    disk.fault.set(None);
    disk.replace("keys/key.json", "{}").unwrap();
    let root = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(disk.fault.log()[0], (Operation::SyncFolder, root), "the folder is on the disk before the document");
    assert_eq!(disk.list("keys").unwrap(), ["key"]);
}
