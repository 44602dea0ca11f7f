//! What `status` and `watch` need of memory: processes are told of without what they have in them.

use procession::clock::Timestamp;
use procession::store::{
    AwaitedChild, Awaiting, Bundle, Creation, Envelope, FORMAT, Placement, Record, StatusText, Store,
};
use procession::{ProcessId, ProcessState};
use serde_json::{Value, json};

use super::cli_shell::{Shell, on_each_shared_store, text};

on_each_shared_store! {
    a_tree_with_much_in_it_is_told_of_in_little_memory,
}

const CHILDREN: usize = 200;

/// A process that has 1 MiB in it, and some more that goes in and comes out.
fn bundle(pid: &str, parent: Option<&str>, state: ProcessState) -> Bundle {
    let long = |letter: &str, kib: usize| letter.repeat(kib << 10);
    let record = Record {
        pid: pid.into(),
        envelope: Envelope { format: FORMAT, process: "it::Large".into(), version: 1, fingerprint: String::new() },
        key: None,
        parent: parent.map(ProcessId::from),
        follows: false,
        state,
        paused: false,
        status: StatusText { text: Some(format!("{pid} is large")), ..StatusText::default() },
        position: r#"{"after":{"step":"grow"}}"#.into(),
        context: format!(r#"{{"grown":"{}"}}"#, long("c", 1024)),
        inputs: format!(r#"{{"of":"{pid}","in":"{}"}}"#, long("i", 64)).into(),
        defaulted: None,
        outputs: format!(r#"{{"of":"{pid}","out":"{}"}}"#, long("o", 64)),
        awaiting: Awaiting::default(),
        listeners: None,
        open_children: 0,
        steps: 1,
        ended: state.is_terminal().then(|| format!(r#"{{"state":"finished","result":"{}"}}"#, long("r", 256))),
        parked: None,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        updated_at: Timestamp::from_millis(1_700_000_060_000),
    };
    let (history, report, memos, snapshots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Bundle { record, placement: Placement::default(), history, report, memos, snapshots }
}

/// A parent that has ended, half of whose children have.
async fn grow(store: &dyn Store) {
    let pids: Vec<String> = (0..CHILDREN).map(|number| format!("child-{number}")).collect();
    let mut bundles = vec![bundle("root", None, ProcessState::Finished)];
    for (number, pid) in pids.iter().enumerate() {
        let state = if number % 2 == 0 { ProcessState::Finished } else { ProcessState::Waiting };
        let mut child = bundle(pid, Some("root"), state);
        child.record.awaiting.resume = (!state.is_terminal()).then(|| "a word".to_owned());
        bundles.push(child);
    }
    let waits = |pid: &String| AwaitedChild { pid: pid.as_str().into(), allow_failure: false };
    bundles[0].record.awaiting.children = pids.iter().map(waits).collect();
    let epoch = store.acquire().await.unwrap();
    assert_eq!(store.import(epoch, bundles).await.unwrap(), Creation::Created);
    store.release(epoch).await.unwrap();
}

/// What a command prints that takes little memory, whatever they have.
async fn bounded(shell: &Shell, arguments: &[&str]) -> String {
    let output = super::cli_store::bounded(shell, arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

async fn a_tree_with_much_in_it_is_told_of_in_little_memory(shell: Shell) {
    grow(&*shell.store).await;
    let told = bounded(&shell, &["status", "root"]).await;
    assert_eq!(told.lines().count(), 1 + CHILDREN);
    assert!(
        told.starts_with("it::Large root: finished, took 1m — root is large\n  it::Large child-0: finished"),
        "{told}"
    );
    assert!(told.contains("  it::Large child-1: waiting, after `grow`, waits for a resume: a word"), "{told}");
    let told = bounded(&shell, &["watch", "root"]).await;
    assert_eq!(told.lines().count(), 1 + CHILDREN);
    // A program is told all that `show` tells.
    let told: Value = serde_json::from_str(&bounded(&shell, &["status", "root", "--json"]).await).unwrap();
    let processes = told["processes"].as_array().unwrap();
    assert_eq!((processes.len(), &told["more"]), (1 + CHILDREN, &json!(false)));
    let shown = shell.json(&["show", "child-2"]).await;
    assert_eq!(shown["ended"]["result"].as_str().unwrap().len(), 256 << 10);
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&processes[3][name], value, "{name}");
    }
    let told = bounded(&shell, &["watch", "root", "--json"]).await;
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["id"], &last["inputs"]["of"], &last["ended"]),
        (&json!("child-199"), &json!("child-199"), &Value::Null)
    );
}
