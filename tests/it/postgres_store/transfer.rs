//! Processes that are added whole, many at a time.

use procession::clock::Timestamp;
use procession::store::{
    AwaitedChild, Bundle, Creation, Envelope, FORMAT, HistoryEntry, Memo, MemoryStore, Placement, Record, ReportLine,
    SavedSnapshot, StatusText, Store, StoreErrorKind,
};
use procession::{ProcessId, ProcessState};

use super::statements::{Counted, counted, telling};
use super::{Place, refused};
use crate::postgres::Postgres;

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A process with something of all that is kept of one.
fn bundle(pid: &str, parent: Option<&str>, state: ProcessState) -> Bundle {
    let record = Record {
        pid: pid.into(),
        envelope: Envelope { format: FORMAT, process: "it::Relax".into(), version: 3, fingerprint: "f00d".into() },
        key: Some(format!("the key of {pid}")),
        parent: parent.map(ProcessId::from),
        follows: parent.is_some(),
        state,
        paused: !state.is_terminal(),
        status: StatusText { text: Some(format!("{pid} \u{0} 'mixes'")), ..StatusText::default() },
        position: r#"{"at":{"step":"setup"}}"#.into(),
        context: format!(r#"{{"of":"{pid}"}}"#),
        inputs: r#"{"ä":1.50}"#.into(),
        defaulted: Some(r#"["ä"]"#.into()),
        outputs: r#"{"energy":-1.0}"#.into(),
        awaiting: procession::store::Awaiting::default(),
        listeners: Some(r#"[{"name":"it::Ear","state":null}]"#.into()),
        open_children: 0,
        steps: 7,
        ended: state.is_terminal().then(|| r#"{"state":"finished"}"#.to_owned()),
        parked: (pid.ends_with('7') && !state.is_terminal()).then(|| "why".to_owned()),
        created_at: AT,
        updated_at: Timestamp::from_millis(AT.as_millis() + 1),
    };
    let saved = Record { state: ProcessState::Created, ended: None, parked: None, paused: false, ..record.clone() };
    let running = ProcessState::Running;
    let entry = |steps| HistoryEntry { at: AT, from: running, to: running, steps, point: format!("step {steps}") };
    let line = |text: &str| ReportLine { at: AT, text: format!("{pid} {text}") };
    Bundle {
        placement: Placement { queue: "gpu".to_owned(), priority: -3, unowned: false },
        history: (1..=3).map(entry).collect(),
        report: vec![line("one"), line("two")],
        memos: vec![Memo { step: 7, name: "effect".to_owned(), value: format!(r#""{pid}""#) }],
        snapshots: vec![SavedSnapshot { tag: "tag".to_owned(), at: AT, record: saved }],
        record,
    }
}

/// A parent that waits for `width` children, each of which waits for as many, every third of which has ended.
fn tree(root: &str, width: usize) -> Vec<Bundle> {
    let waits = |bundle: &mut Bundle, children: &[String]| {
        let child = |pid: &String| AwaitedChild { pid: pid.as_str().into(), allow_failure: true };
        bundle.record.awaiting.children = children.iter().map(child).collect();
    };
    let named = |above: &str| (0..width).map(|child| format!("{above}.{child}")).collect::<Vec<_>>();
    let mut bundles = vec![bundle(root, None, ProcessState::Waiting)];
    let children = named(root);
    waits(&mut bundles[0], &children);
    for child in &children {
        let grandchildren = named(child);
        let mut parent = bundle(child, Some(root), ProcessState::Waiting);
        waits(&mut parent, &grandchildren);
        bundles.push(parent);
        for (index, pid) in grandchildren.iter().enumerate() {
            let state = if index % 3 == 0 { ProcessState::Finished } else { ProcessState::Running };
            bundles.push(bundle(pid, Some(child), state));
        }
    }
    bundles
}

async fn exported(store: &dyn Store, bundles: &[Bundle]) -> Vec<Bundle> {
    let mut exported = Vec::new();
    for Bundle { record, .. } in bundles {
        exported.push(store.export(&record.pid).await.unwrap().unwrap());
    }
    exported
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_import_takes_as_many_statements_for_many_processes_as_for_few() {
    let (server, _place, store, epoch) = telling().await;
    for width in [1, 15] {
        let tree = tree(&format!("tree {width}"), width);
        let before = server.log().len();
        assert_eq!(store.import(epoch, tree).await.unwrap(), Creation::Created);
        let counted = counted(&server.log()[before..]);
        // One for each of seven tables; that others hear of it; and that it may still be written.
        assert_eq!(counted, Counted { writes: 1, begins: 1, commits: 1, others: 9 }, "width {width}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_tree_of_two_thousand_processes_comes_back_as_it_was() {
    let tree = tree("root", 45);
    assert_eq!(tree.len(), 1 + 45 + 45 * 45);
    let memory = MemoryStore::new();
    let epoch = memory.acquire().await.unwrap();
    assert_eq!(memory.import(epoch, tree.clone()).await.unwrap(), Creation::Created);
    let given = exported(&memory, &tree).await;
    assert_eq!((given[0].record.open_children, given[1].record.open_children), (45, 30));

    let (server, _place, store, epoch) = telling().await;
    let before = server.log().len();
    assert_eq!(store.import(epoch, given.clone()).await.unwrap(), Creation::Created);
    let counted = counted(&server.log()[before..]);
    assert!((counted.begins, counted.commits) == (1, 1) && counted.others < 40, "{counted:?}");
    assert!(exported(&store, &given).await == given, "each as it was");
    assert_eq!(store.children(&"root.3".into()).await.unwrap().len(), 45);
    assert_eq!(store.find("the key of root.44.44").await.unwrap(), Some("root.44.44".into()));
}

/// Also by the command, which looks at first whether any of them is there.
#[cfg(all(feature = "cli", feature = "sqlite"))]
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_file_is_imported_with_as_many_statements_for_many_processes_as_for_few() {
    let (server, place, _store, _) = telling().await;
    let url = format!("{}?application_name=counted", place.url);
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for width in [1, 15] {
        let mut lines = vec![r#"{"procession":"export","format":1,"version":"0"}"#.to_owned()];
        for mut bundle in tree(&format!("tree {width}"), width) {
            // Keys are looked for one by one.
            bundle.record.key = None;
            lines.push(serde_json::to_string(&bundle).unwrap());
        }
        let file = folder.path().join("exported.jsonl");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let before = server.log().len();
        let arguments = ["--store", &url, "--schema", &place.schema, "import", file.to_str().unwrap(), "--yes"];
        let output = crate::cli_shell::run(folder.path(), &arguments).await;
        assert!(output.status.success(), "{}", crate::cli_shell::text(&output.stderr));
        all.push(counted(&server.log()[before..]));
    }
    assert!(all[0].commits > 0, "{all:?}");
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_import_that_the_server_refuses_at_its_end_leaves_nothing() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let (store, epoch) = place.own().await;
    let check = format!("ALTER TABLE {}.snapshot ADD CHECK (tag <> 'poison')", place.schema);
    server.client().await.batch_execute(&check).await.unwrap();
    let mut tree = tree("root", 3);
    tree[12].snapshots[0].tag = "poison".to_owned();
    refused(store.import(epoch, tree.clone()).await, StoreErrorKind::Other);
    for Bundle { record, .. } in &tree {
        assert_eq!(store.load(&record.pid).await.unwrap(), None);
    }
    tree[12].snapshots[0].tag = "tag".to_owned();
    assert_eq!(store.import(epoch, tree.clone()).await.unwrap(), Creation::Created);
    assert_eq!(exported(&store, &tree[12..]).await.len(), 1);
}
