//! Sentence 33.

use super::{AT, Subject, boundary, child, end, launch, load, process, refused};
use crate::process::{ProcessId, ProcessState};
use crate::store::{
    AwaitedChild, Awaiting, Bundle, Commit, Creation, FORMAT, Memo, MemoryStore, NewProcess, SavedSnapshot, StatusText,
    Store, StoreErrorKind,
};

/// A parent that waits for two children, one of which has ended, and that has all that a process can have; as another store
/// gives it.
pub(super) async fn family() -> Vec<Bundle> {
    let store = MemoryStore::new();
    let epoch = store.acquire().await.unwrap();
    let all = NewProcess {
        key: Some("its key".to_owned()),
        defaulted: Some(r#"["steps"]"#.to_owned()),
        listeners: Some(r#"[{"name":"suite::Ear","state":null}]"#.to_owned()),
        ..process("parent")
    };
    let parent = launch(&store, epoch, all).await;
    store.save_snapshot(epoch, &parent, "created", AT).await.unwrap();
    let pids = ["done", "open"].map(ProcessId::from);
    let awaited = pids.clone().map(|pid| AwaitedChild { pid, allow_failure: false }).to_vec();
    let commit = Commit {
        transition: Some("setup"),
        steps: 1,
        paused: true,
        report: vec!["one \u{0} line".to_owned(), "another".to_owned()],
        outputs: Some(r#"{"a":1.50}"#.to_owned()),
        status: Some(StatusText { text: Some("waits".to_owned()), before_pause: Some(None), progress: None }),
        awaiting: Some(Awaiting { children: awaited, ..Awaiting::default() }),
        children: pids.each_ref().map(|pid| child(pid.clone(), &parent, true)).to_vec(),
        ..boundary(&parent, epoch, ProcessState::Waiting)
    };
    store.commit(commit).await.unwrap();
    store.put_memo(&parent, epoch, 1, "effect", r#""done""#.to_owned()).await.unwrap();
    end(&store, epoch, &pids[0]).await;
    store.save_snapshot(epoch, &parent, "waits", AT).await.unwrap();
    store.park(epoch, &pids[1], "why".to_owned()).await.unwrap();
    let mut bundles = Vec::new();
    for pid in [&parent, &pids[0], &pids[1]] {
        bundles.push(store.export(pid).await.unwrap().unwrap());
    }
    assert_eq!((bundles[0].snapshots.len(), bundles[0].memos.len(), bundles[0].record.open_children), (2, 1, 1));
    bundles
}

/// With its history, report, memos and snapshots; and it goes on from there.
pub async fn a_process_is_taken_as_another_store_gave_it(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let family = family().await;
    assert_eq!(store.import(epoch, family.clone()).await.unwrap(), Creation::Created);
    let (store, epoch) = subject.reopen(store).await;
    for bundle in &family {
        assert_eq!(store.export(&bundle.record.pid).await.unwrap().as_ref(), Some(bundle));
    }
    let [parent, done, open] = ["parent", "done", "open"].map(ProcessId::from);
    assert_eq!(store.children(&parent).await.unwrap(), [done, open.clone()]);
    assert_eq!(store.find("its key").await.unwrap(), Some(parent.clone()));
    assert_eq!(store.export(&"nobody".into()).await.unwrap(), None);
    // As any other: the end of its last child lets it go on.
    assert!(store.unpark(epoch, &open).await.unwrap());
    assert_eq!(end(&*store, epoch, &open).await.ready_parent, Some(parent.clone()));
    let back = store.restore(epoch, &parent, "created", AT).await.unwrap();
    assert_eq!((back.state, back.outputs.as_str()), (ProcessState::Created, "{}"));
    end(&*store, epoch, &parent).await;
    assert!(store.delete(epoch, &parent).await.unwrap());
}

/// And what is wrong with one is told.
pub async fn bundles_are_taken_together_or_not_at_all(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let family = family().await;
    let with = |change: &dyn Fn(&mut Vec<Bundle>)| {
        let mut bundles = family.clone();
        change(&mut bundles);
        bundles
    };
    let twice = with(&|bundles| bundles.push(bundles[1].clone()));
    let wrong: [(Vec<Bundle>, StoreErrorKind); 9] = [
        // A parent that comes later, a child that does not come.
        (with(&|bundles| bundles.rotate_left(1)), StoreErrorKind::NotFound),
        (with(&|bundles| drop(bundles.pop())), StoreErrorKind::NotFound),
        (twice, StoreErrorKind::Other),
        (with(&|bundles| bundles[2].record.context.push('[')), StoreErrorKind::Corrupt),
        (with(&|bundles| bundles[2].record.state = ProcessState::Finished), StoreErrorKind::Corrupt),
        (with(&|bundles| bundles[1].record.state = ProcessState::Killed), StoreErrorKind::Corrupt),
        (with(&|bundles| bundles[2].record.envelope.format = FORMAT + 1), StoreErrorKind::NewerFormat),
        (with(&|bundles| bundles[0].snapshots[1].record.pid = "other".into()), StoreErrorKind::Corrupt),
        (
            with(&|bundles| bundles[0].memos.push(Memo { step: 1, name: "effect".to_owned(), value: "1".to_owned() })),
            StoreErrorKind::Corrupt,
        ),
    ];
    for (bundles, kind) in wrong {
        refused(store.import(epoch, bundles).await, kind);
    }
    let many = with(&|bundles| {
        let saved = bundles[0].snapshots[0].clone();
        let copy = |number| SavedSnapshot { tag: format!("{number}"), ..saved.clone() };
        bundles[0].snapshots = (0..=crate::limits::SNAPSHOTS).map(copy).collect();
    });
    refused(store.import(epoch, many).await, StoreErrorKind::Limit);
    for pid in ["parent", "done", "open"] {
        assert_eq!(store.load(&pid.into()).await.unwrap(), None, "{pid}");
    }
    assert_eq!(store.snapshots(None, 10).await.unwrap(), []);
    // One that is known by its id, or by its key, is left as it is, and keeps the others back.
    let known = launch(&*store, epoch, NewProcess { key: Some("its key".to_owned()), ..process("other") }).await;
    let before = load(&*store, &known).await;
    for bundles in [family.clone(), with(&|bundles| bundles[2].record.pid = "other".into())] {
        let bundles = if bundles[2].record.pid == known { bundles[2..].to_vec() } else { bundles };
        let bundles: Vec<_> = bundles
            .into_iter()
            .map(|mut bundle| {
                bundle.record.parent = bundle.record.parent.filter(|_| bundle.record.pid != known);
                bundle
            })
            .collect();
        let creation = store.import(epoch, bundles).await.unwrap();
        assert!(matches!(creation, Creation::Exists { pid, .. } if pid == known));
    }
    assert_eq!(load(&*store, &known).await, before);
    assert_eq!(store.load(&"parent".into()).await.unwrap(), None);
}

/// As any other write.
pub async fn a_stale_import_is_refused(subject: Subject) {
    let (store, stale) = subject.own().await;
    let epoch = store.acquire().await.unwrap();
    refused(store.import(stale, family().await).await, StoreErrorKind::Stale);
    assert_eq!(store.load(&"parent".into()).await.unwrap(), None);
    assert_eq!(store.import(epoch, family().await).await.unwrap(), Creation::Created);
}
