//! What is asked of the processes of a store, and what is told of them, on each store that workers share.

use procession::prelude::*;
use procession::store::{NewProcess, Record};
use serde_json::{Value, json};
use std::ops::Range;

use super::cli_shell::{Hold, Parent, Shell, on_each_shared_store};
use super::support::eventually;

on_each_shared_store! {
    processes_are_listed_shown_and_reported,
    a_tree_is_selected_by_its_root,
    processes_are_paused_played_and_killed_by_what_they_are,
    events_tell_what_took_and_what_waited,
    what_changed_since_a_checkpoint_is_told,
    a_store_is_looked_over_and_repaired,
    a_page_of_many_needs_little_memory,
    a_process_is_run_watched_and_gone_on_with,
}

/// A parent, whose two children hold, and one that holds alone.
pub(crate) async fn three(shell: &Shell) -> Runtime {
    let runtime = shell.runtime().await;
    runtime.launch(Parent::inputs().name("a")).id("parent").await.unwrap();
    runtime.launch(Hold::inputs().name("alone")).id("alone").await.unwrap();
    eventually(async || {
        shell.store.count("state = waiting".parse_filter(), 10).await.unwrap() == 4
            && shell.store.load(&"parent".into()).await.unwrap().is_some_and(|record| record.open_children == 2)
    })
    .await;
    runtime
}

trait ParseFilter {
    fn parse_filter(&self) -> procession::store::Filter;
}

impl ParseFilter for str {
    fn parse_filter(&self) -> procession::store::Filter {
        procession::store::Filter::parse(self, procession::clock::Timestamp::default()).unwrap()
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

async fn processes_are_listed_shown_and_reported(shell: Shell) {
    let runtime = three(&shell).await;
    assert_eq!(shell.listed(&["--where", "root"]).await, ["alone", "parent"]);
    assert_eq!(shell.listed(&["--name", "shell::Hold", "--oldest", "--limit", "2"]).await.len(), 2);
    assert_eq!(shell.listed(&["--where", "input.name = a-1"]).await.len(), 1);
    assert_eq!(shell.prints(&["list", "--count"]).await, "4\n");
    let shown = shell.json(&["show", "alo"]).await;
    assert_eq!(
        (&shown["id"], &shown["state"], &shown["inputs"]["name"]),
        (&json!("alone"), &json!("waiting"), &json!("alone"))
    );
    let report = shell.json(&["report", "parent"]).await;
    let lines: Vec<_> = report.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&"holds a-0") && lines.contains(&"holds a-1"), "{lines:?}");
    assert!(shell.prints(&["graph", "parent"]).await.contains("shell::Parent"));
    let (status, told) = shell.fails(&["show", "nobody"]).await;
    assert_eq!(status, 3, "{told}");
    runtime.shutdown().await.unwrap();
}

async fn a_tree_is_selected_by_its_root(shell: Shell) {
    let runtime = three(&shell).await;
    let tree = shell.listed(&["--tree", "parent"]).await;
    assert_eq!((tree.len(), tree.contains(&"alone".to_owned()), &tree[2]), (3, false, &"parent".to_owned()));
    assert_eq!(shell.listed(&["--tree", "par", "--oldest", "--limit", "1"]).await, ["parent"]);
    assert_eq!(shell.prints(&["list", "--tree", "parent", "--count", "--name", "shell::Hold"]).await, "2\n");
    assert_eq!(shell.listed(&["--tree", "alone"]).await, ["alone"]);
    let (status, told) = shell.fails(&["list", "--tree", "nobody"]).await;
    assert_eq!((status, told.contains("there is no process `nobody`")), (3, true), "{told}");
    let (status, told) = shell.fails(&["pause", "parent", "--tree", "parent"]).await;
    assert_eq!(status, 2, "{told}");
    let (status, told) = shell.fails(&["pause"]).await;
    assert_eq!(status, 2, "{told}");
    for none in [&["watch", "--tree", "nobody"][..], &["watch", "--where", "id = nobody"]] {
        assert_eq!(shell.fails(none).await.0, 3, "{none:?}");
    }
    // Below it, only those that are like that.
    let paused = shell.json(&["pause", "--tree", "parent", "--where", "input.name = a-1", "--wait"]).await;
    assert_eq!(strings(&paused["ids"]).len(), 1);
    assert_eq!(shell.listed(&["--paused"]).await, strings(&paused["ids"]));
    runtime.shutdown().await.unwrap();
}

async fn processes_are_paused_played_and_killed_by_what_they_are(shell: Shell) {
    let runtime = three(&shell).await;
    let tried = shell.json(&["pause", "--where", "name = shell::Hold", "--dry-run"]).await;
    assert_eq!((strings(&tried["ids"]).len(), &tried["done"]), (3, &json!(false)));
    assert_eq!(shell.listed(&["--paused"]).await, [""; 0]);
    let (status, told) = shell.fails(&["pause", "--where", "name = shell::Hold"]).await;
    assert_eq!((status, told.contains("nothing was changed")), (2, true), "{told}");
    shell.json(&["pause", "--where", "name = shell::Hold", "--yes", "--wait"]).await;
    assert_eq!(shell.listed(&["--paused"]).await.len(), 3);
    shell.json(&["play", "--where", "paused", "--yes", "--wait"]).await;
    assert_eq!(shell.listed(&["--paused"]).await, [""; 0]);
    shell.json(&["kill", "--tree", "parent", "--reason", "enough", "--yes", "--wait"]).await;
    assert_eq!(shell.listed(&["--tree", "parent", "--state", "killed"]).await.len(), 3);
    let watched = shell.run(&["watch", "--tree", "parent", "--json"]).await;
    assert_eq!(watched.status.code(), Some(1), "they were killed");
    assert_eq!(super::cli_shell::text(&watched.stdout).lines().count(), 3, "all of the tree");
    // What has ended is left out where it is not named.
    let none = shell.json(&["kill", "--tree", "parent"]).await;
    assert_eq!(none["ids"], json!([]));
    let (status, told) = shell.fails(&["kill", "parent"]).await;
    assert_eq!((status, told.contains("has ended as killed")), (4, true), "{told}");
    assert_eq!(shell.json(&["show", "alone"]).await["state"], "waiting");
    runtime.shutdown().await.unwrap();
}

async fn events_tell_what_took_and_what_waited(shell: Shell) {
    let runtime = three(&shell).await;
    runtime.attach(&"alone".into()).await.unwrap().snapshot("before").await.unwrap();
    shell.json(&["kill", "alone", "--wait"]).await;
    let events = shell.json(&["events", "alone"]).await;
    let events = events.as_array().unwrap();
    for event in events {
        let running = event["from"] == "running";
        assert_eq!((event["took_ms"].is_u64(), event["waited_ms"].is_u64()), (running, !running), "{event}");
        assert_eq!(event["attempt"], 1);
    }
    assert_eq!(events.last().unwrap()["to"], "killed");
    let text = shell.prints(&["events", "alone"]).await;
    let head: Vec<_> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["AT", "TRANSITION", "POINT", "ATTEMPT", "STEPS", "TOOK", "WAITED"]);
    let text = shell.prints(&["events", "parent"]).await;
    assert!(text.lines().last().unwrap().starts_with("waiting for "), "{text}");
    runtime.shutdown().await.unwrap();
    // A life that begins anew is another attempt.
    let epoch = shell.store.acquire().await.unwrap();
    shell.store.restore(epoch, &"alone".into(), "before", procession::clock::Timestamp::default()).await.unwrap();
    let events = shell.json(&["events", "alone"]).await;
    assert_eq!(events.as_array().unwrap().last().unwrap()["attempt"], 2);
}

async fn what_changed_since_a_checkpoint_is_told(shell: Shell) {
    let runtime = three(&shell).await;
    let run = runtime.attach(&"alone".into()).await.unwrap();
    run.snapshot("before").await.unwrap();
    assert_eq!(shell.prints(&["checkpoint", "diff", "alone", "before"]).await, "nothing changed\n");
    shell.json(&["pause", "alone", "--reason", "lunch", "--wait"]).await;
    run.snapshot("after").await.unwrap();
    shell.json(&["kill", "alone", "--reason", "enough", "--wait"]).await;
    let told = shell.json(&["checkpoint", "diff", "alone", "before", "after"]).await;
    assert_eq!((&told["from"], &told["to"]), (&json!("before"), &json!("after")));
    let changes = told["changes"].as_array().unwrap();
    let change = |path: &str| changes.iter().find(|change| change["path"] == path).cloned().unwrap_or_default();
    assert_eq!(change("paused"), json!({"path": "paused", "old": false, "new": true}));
    assert_eq!(change("status"), json!({"path": "status", "old": null, "new": "lunch"}));
    let text = shell.prints(&["checkpoint", "diff", "alone", "before"]).await;
    assert!(text.lines().any(|line| line == r#"state: "waiting" → "killed""#), "{text}");
    let (status, told) = shell.fails(&["checkpoint", "diff", "alone", "never"]).await;
    assert_eq!(status, 3);
    assert!(told.ends_with("next: procession checkpoint list alone\n"), "{told}");
    runtime.shutdown().await.unwrap();
}

async fn a_store_is_looked_over_and_repaired(shell: Shell) {
    let runtime = three(&shell).await;
    runtime.shutdown().await.unwrap();
    let epoch = shell.store.acquire().await.unwrap();
    shell.store.park(epoch, &"alone".into(), "it was lost".to_owned()).await.unwrap();
    shell.store.release(epoch).await.unwrap();
    let output = shell.run(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    shell.run(&["doctor", "--repair", "--dry-run"]).await;
    let parked = async |shell: &Shell| shell.store.load(&"alone".into()).await.unwrap().unwrap().parked;
    assert!(parked(&shell).await.is_some());
    shell.prints(&["doctor", "--repair"]).await;
    assert_eq!(parked(&shell).await, None);
}

fn one_of_many(template: &Record, number: usize) -> NewProcess {
    NewProcess {
        pid: format!("many-{number}").as_str().into(),
        key: None,
        parent: None,
        envelope: template.envelope.clone(),
        position: template.position.clone(),
        context: template.context.clone(),
        inputs: template.inputs.clone(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: template.created_at,
    }
}

/// Adds processes like this one, as `many-0`.
pub(crate) async fn create_many(shell: &Shell, template: &Record, numbers: Range<usize>) {
    let epoch = shell.store.acquire().await.unwrap();
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(1_000) {
        let creations: Vec<_> = some
            .iter()
            .map(|number| {
                let (store, process) = (shell.store.clone(), one_of_many(template, *number));
                tokio::spawn(async move { store.create(epoch, process).await.map(drop) })
            })
            .collect();
        for creation in creations {
            creation.await.unwrap().unwrap();
        }
    }
    shell.store.release(epoch).await.unwrap();
}

/// The command with these arguments, on the store of a shell: it fails where it takes more memory than it should.
pub(crate) fn bounded(shell: &Shell, arguments: &[&str]) -> tokio::process::Command {
    let mut bounded = tokio::process::Command::new("sh");
    let script = "ulimit -d 65536 && exec \"$0\" \"$@\"";
    bounded.args(["-c", script, env!("CARGO_BIN_EXE_procession")]).args(&shell.place).args(arguments);
    // On a busy machine there are many threads that wait, and each has a stack, and by default a heap, of its own. What the
    // command keeps is bounded, not they.
    bounded.env("MALLOC_ARENA_MAX", "1").env("RUST_MIN_STACK", "524288");
    bounded.current_dir(shell.folder.path()).kill_on_drop(true);
    bounded
}

/// Whatever a store has: `ulimit` would have the command fail.
async fn a_page_of_many_needs_little_memory(shell: Shell) {
    const MANY: usize = 100_000;
    let runtime = three(&shell).await;
    let template = shell.store.load(&"alone".into()).await.unwrap().unwrap();
    runtime.shutdown().await.unwrap();
    create_many(&shell, &template, 0..MANY).await;
    let page = shell.listed(&["--limit", "20"]).await;
    assert_eq!((page.len(), &*page[0]), (20, &*format!("many-{}", MANY - 1)));
    assert_eq!(shell.prints(&["list", "--count"]).await, format!("{}\n", MANY + 4));
    let output = bounded(&shell, &["list", "--where", "id = many-*", "--limit", "5", "--json"]).output().await.unwrap();
    let told = super::cli_shell::text(&output.stderr);
    assert!(output.status.success(), "{told}");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((listed["processes"].as_array().unwrap().len(), &listed["more"]), (5, &json!(true)));
}

async fn a_process_is_run_watched_and_gone_on_with(shell: Shell) {
    let mut quick = shell.program(&["run", "shell::Quick", "--id", "quick"]);
    quick.says("\"answer\": 42").await;
    quick.ends().await;
    assert_eq!(shell.json(&["show", "quick"]).await["outputs"], json!({"answer": 42}));
    for (format, begin) in [("text", "shell::Quick"), ("mermaid", "flowchart"), ("svg", "<svg")] {
        assert!(shell.prints(&["graph", "quick", "--format", format]).await.starts_with(begin), "{format}");
    }
    let waits = async || {
        let shown = shell.run(&["show", "held", "--json"]).await;
        serde_json::from_slice::<Value>(&shown.stdout).is_ok_and(|held| held["state"] == "waiting")
    };
    let first = shell.program(&["run", "shell::Hold", "--id", "held"]);
    eventually(waits).await;
    let mut watching = shell.program(&["watch", "held"]);
    watching.says("shell::Hold held: waiting").await;
    first.signal("KILL");
    watching.says("shell::Hold held: waiting, worker lost").await;
    // What waits is taken over as soon as something is to be done with it.
    let _second = shell.program(&["run", "--continue", "held"]);
    shell.prints(&["kill", "held", "--wait"]).await;
    watching.says("shell::Hold held: killed").await;
}
