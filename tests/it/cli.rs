//! The command line, as a shell runs it: what it prints, and its exit status.

use procession::prelude::*;
use procession::store::{SqliteStore, Store};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::Command;

use super::support::{Gate, World};

/// Launches a child, tells of what it does, and waits at a gate.
#[process(name = "cli::Order", needs(Gate))]
#[derive(Default)]
struct Order {
    item: Child<Item>,
}

spec! { Order { input item: String; output price: u64; } }

outline! { Order {
    begin;
    end => price;
}}

impl Order {
    fn begin(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        cx.report("looks for the item");
        cx.set_status("looking");
        let item = Item::inputs().item(cx.inputs().item.clone());
        self.item = cx.launch(item)?;
        Ok(())
    }

    fn end(&mut self, cx: &mut Cx<Self>) -> Result<u64, StepError> {
        cx.report("has its price");
        Ok(self.item.outputs()?.price)
    }
}

#[process(name = "cli::Item", needs(Gate))]
#[derive(Default)]
struct Item {}

spec! { Item { input item: String; output price: u64; } }

outline! { Item {
    look;
    price => price;
}}

impl Item {
    async fn look(&mut self, cx: &mut Cx<Self>) {
        cx.report("is looked for");
        cx.resource::<Gate>().pass().await;
    }

    fn price(&self) -> u64 {
        12
    }
}

/// A folder with a store, and a runtime that owns it.
struct Shop {
    folder: TempDir,
    world: World,
    runtime: Runtime,
}

impl Shop {
    async fn new() -> Self {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("shop.db")).unwrap());
        // The real clock: what is shown is reckoned from it.
        let builder = Runtime::builder().shared_store(store).resource(world.gate.clone());
        let runtime = builder.register::<Order>().register::<Item>().build().await.unwrap();
        Self { folder, world, runtime }
    }

    /// An order whose item is at the gate.
    async fn order(&self, id: &str) {
        self.runtime.launch(Order::inputs().item("lamp".to_owned())).id(id).await.unwrap();
        self.world.gate.reached().await;
    }

    fn store(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("shop.db").display())
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        run(self.folder.path(), &[&["--store", &self.store()], arguments].concat()).await
    }

    /// What a command prints that does what it should.
    async fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    /// What a command says that fails, and its exit status.
    async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        failed(&self.run(arguments).await)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn failed(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["PROCESSION_STORE", "PROCESSION_SCHEMA", "PROCESSION_CONFIG"] {
        command.env_remove(name);
    }
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().await.unwrap()
}

#[tokio::test]
async fn a_process_is_shown_whole() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let shown = shop.json(&["show", "one"]).await;
    assert_eq!(shown["id"], "one");
    assert_eq!(shown["process"], "cli::Order");
    assert_eq!(shown["state"], "waiting");
    assert_eq!(shown["status"], "looking");
    assert_eq!((&shown["place"], &shown["step"]), (&"after".into(), &"begin".into()));
    assert_eq!(shown["inputs"]["item"], "lamp");
    assert_eq!(shown["ended"], Value::Null);
    let text = shop.prints(&["show", "one"]).await;
    for line in ["process    cli::Order, version 1", "state      waiting", "waits for  children, 0 of 1 ended"] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    shop.world.gate.open(1);
    shop.runtime.attach(&"one".into()).await.unwrap().termination().await.unwrap();
    let shown = shop.json(&["show", "one"]).await;
    assert_eq!((&shown["state"], &shown["outputs"]["price"]), (&"finished".into(), &12.into()));
}

#[tokio::test]
async fn processes_are_listed_by_what_they_are() {
    let shop = Shop::new().await;
    shop.order("one").await;
    shop.order("two").await;
    shop.json(&["pause", "one", "--wait"]).await;
    let listed = |arguments: Vec<&'static str>| {
        let shop = &shop;
        async move {
            let listed = shop.json(&[&["list"], &arguments[..]].concat()).await;
            let ids = listed["processes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|process| process["id"].as_str().unwrap().to_owned());
            (ids.collect::<Vec<_>>(), listed["more"].as_bool().unwrap())
        }
    };
    assert_eq!(listed(vec!["--name", "cli::Order"]).await, (vec!["two".to_owned(), "one".to_owned()], false));
    assert_eq!(listed(vec!["--name", "cli::O*", "--oldest", "--limit", "1"]).await, (vec!["one".to_owned()], true));
    assert_eq!(listed(vec!["--paused"]).await, (vec!["one".to_owned()], false));
    assert_eq!(listed(vec!["--state", "waiting", "--where", "id = t*"]).await, (vec!["two".to_owned()], false));
    assert_eq!(listed(vec!["--where", "input.item = lamp", "--state", "running"]).await.0.len(), 2);
    assert_eq!(listed(vec!["--failed"]).await, (vec![], false));
    assert_eq!(listed(vec!["--since", "1h"]).await.0.len(), 4);
    assert_eq!(shop.prints(&["list", "--count", "--where", "root"]).await, "2\n");
    let text = shop.prints(&["list", "--where", "root"]).await;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PROCESS", "STATE", "UPDATED", "STATUS"]);
    assert_eq!(lines[1][..3], ["two", "cli::Order", "waiting"]);
    let (status, told) = shop.fails(&["list", "--where", "stat = waiting"]).await;
    assert_eq!(status, 2);
    assert!(told.contains("did you mean `state`?") && told.contains("^^^^"), "{told}");
}

#[tokio::test]
async fn a_run_is_drawn_with_how_far_it_is() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let drawn = shop.prints(&["graph", "one"]).await;
    assert!(drawn.contains("cli::Order") && drawn.contains("begin"), "{drawn}");
    assert!(!drawn.contains('\u{1b}'), "no colour where there is no terminal: {drawn}");
    assert!(shop.prints(&["graph", "one", "--format", "mermaid"]).await.starts_with("flowchart"));
    assert!(shop.prints(&["graph", "one", "--format", "svg"]).await.starts_with("<svg"));
    let document: Value = serde_json::from_str(&shop.prints(&["graph", "one", "--json"]).await).unwrap();
    let lines = |text: &str| text.lines().count();
    assert_eq!(document["format"], "text");
    assert_eq!(document["picture"].as_str().map(lines), Some(lines(&drawn)));
    let (status, told) = shop.fails(&["graph", "two"]).await;
    assert_eq!(status, 3);
    assert!(told.starts_with("error: no process of this binary and of sqlite:"), "{told}");
}

#[tokio::test]
async fn a_process_is_named_by_the_beginning_of_its_id() {
    let shop = Shop::new().await;
    shop.order("order-1").await;
    shop.order("order-22").await;
    assert_eq!(shop.json(&["show", "order-2"]).await["id"], "order-22");
    let (status, told) = shop.fails(&["show", "order-"]).await;
    assert_eq!(status, 2);
    assert!(told.contains("`order-22`, `order-1`"), "{told}");
    let done = shop.json(&["pause", "--where", "root", "--yes", "--wait"]).await;
    assert_eq!(done["ids"], serde_json::json!(["order-1", "order-22"]));
}

#[tokio::test]
async fn the_status_is_that_of_all_the_tree() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let text = shop.prints(&["status", "one"]).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("cli::Order one: waiting, after `begin`, waits for children, 0 of 1 ended"), "{text}");
    assert!(lines[0].ends_with(" — looking"), "{text}");
    assert!(lines[1].starts_with("  cli::Item "), "{text}");
    assert!(lines[1].contains(": running, at `look`"), "{text}");
    let tree = shop.json(&["status", "one"]).await;
    let depths = tree["processes"].as_array().unwrap().iter().map(|process| process["depth"].as_u64().unwrap());
    assert_eq!(depths.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(tree["more"], false);
}

#[tokio::test]
async fn the_report_is_that_of_all_the_tree_in_order() {
    let shop = Shop::new().await;
    shop.order("one").await;
    shop.world.gate.open(1);
    shop.runtime.attach(&"one".into()).await.unwrap().termination().await.unwrap();
    let report = shop.json(&["report", "one"]).await;
    let lines = report.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), ["looks for the item", "is looked for", "has its price"]);
    let text = shop.prints(&["report", "one"]).await;
    assert!(text.lines().next().unwrap().ends_with("Z cli::Order one: looks for the item"), "{text}");
}

#[tokio::test]
async fn events_are_the_transitions_with_their_times() {
    let shop = Shop::new().await;
    shop.order("one").await;
    shop.world.gate.open(1);
    shop.runtime.attach(&"one".into()).await.unwrap().termination().await.unwrap();
    let events = shop.json(&["events", "one"]).await;
    let events = events.as_array().unwrap().iter();
    let transitions: Vec<_> =
        events.map(|event| (event["from"].as_str().unwrap(), event["to"].as_str().unwrap())).collect();
    assert_eq!(transitions.first(), Some(&("created", "running")));
    assert_eq!(transitions.last().unwrap().1, "finished");
    assert!(shop.prints(&["events", "one"]).await.contains("created → running"));
}

#[tokio::test]
async fn processes_are_paused_played_and_killed() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let tried = shop.json(&["pause", "one", "--dry-run"]).await;
    assert_eq!((&tried["dry_run"], &tried["done"]), (&true.into(), &false.into()));
    assert_eq!(shop.json(&["show", "one"]).await["paused"], false);
    let paused = shop.json(&["pause", "one", "--reason", "lunch", "--wait"]).await;
    assert_eq!((&paused["ids"], &paused["done"]), (&serde_json::json!(["one"]), &true.into()));
    let shown = shop.json(&["show", "one"]).await;
    assert_eq!((&shown["paused"], &shown["status"]), (&true.into(), &"lunch".into()));
    shop.prints(&["play", "one", "--wait"]).await;
    assert_eq!(shop.json(&["show", "one"]).await["paused"], false);
    let text = shop.prints(&["kill", "one", "--reason", "too dear", "--force", "--wait"]).await;
    assert_eq!(text, "cli::Order one: asked to kill, done\n1 in all\n");
    assert!(shop.prints(&["show", "one"]).await.contains("killed: too dear"));
    let (status, told) = shop.fails(&["pause", "one"]).await;
    assert_eq!(status, 4);
    assert_eq!(
        told,
        "error: process `one` has ended as killed; there is nothing to pause\n  next: procession show one\n"
    );
}

#[tokio::test]
async fn more_than_one_is_not_changed_without_being_asked() {
    let shop = Shop::new().await;
    shop.order("one").await;
    shop.order("two").await;
    let (status, told) = shop.fails(&["pause", "one", "two"]).await;
    assert_eq!(status, 2, "{told}");
    // One that is unknown keeps the others from being changed.
    let (status, told) = shop.fails(&["pause", "one", "two", "three", "--yes"]).await;
    assert_eq!(status, 3);
    assert!(told.starts_with("error: there is no process `three` in sqlite:"), "{told}");
    for id in ["one", "two"] {
        assert_eq!(shop.json(&["show", id]).await["paused"], false);
    }
    shop.prints(&["pause", "one", "two", "one", "--yes", "--wait"]).await;
    for id in ["one", "two"] {
        assert_eq!(shop.json(&["show", id]).await["paused"], true);
    }
}

#[tokio::test]
async fn what_nobody_does_in_time_is_told_and_stays_asked_for() {
    let shop = Shop::new().await;
    shop.order("one").await;
    shop.runtime.shutdown().await.unwrap();
    let (status, told) = shop.fails(&["pause", "one", "--wait", "--within", "0.2"]).await;
    assert_eq!(status, 4);
    assert!(told.contains("it stays asked for"), "{told}");
    let store = SqliteStore::open(shop.folder.path().join("shop.db")).unwrap();
    assert_eq!(store.requests(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn faults_have_an_exit_status_of_their_own() {
    let shop = Shop::new().await;
    let (status, told) = shop.fails(&["show", "one"]).await;
    assert_eq!(status, 3, "{told}");
    let (status, told) = shop.fails(&["shwo", "one"]).await;
    assert_eq!(status, 2);
    assert!(told.contains("'show'"), "{told}");
    let elsewhere = tempfile::tempdir().unwrap();
    let (status, told) = failed(&run(elsewhere.path(), &["show", "one"]).await);
    assert_eq!((status, told.contains("--store ADDRESS")), (2, true), "{told}");
    let (status, told) = failed(&run(elsewhere.path(), &["show", "one", "--store", "none.db"]).await);
    assert_eq!(status, 5, "{told}");
    assert!(!elsewhere.path().join("none.db").exists());
    std::fs::write(elsewhere.path().join("no.db"), "this is no store, however long its text may be").unwrap();
    let (status, told) = failed(&run(elsewhere.path(), &["show", "one", "--store", "no.db"]).await);
    assert_eq!(status, 5, "{told}");
}

#[tokio::test]
async fn flags_come_before_the_environment_and_that_before_the_file() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let folder = shop.folder.path();
    let asking = |name: &str, value: &str| {
        let mut command = command(folder);
        command.args(["show", "one"]).env(name, value);
        command
    };
    std::fs::write(folder.join("procession.toml"), "store = \"sqlite:shop.db\"\n").unwrap();
    assert!(run(folder, &["show", "one"]).await.status.success());
    let output = asking("PROCESSION_STORE", "sqlite:none.db").output().await.unwrap();
    assert_eq!(output.status.code(), Some(5));
    let output = asking("PROCESSION_STORE", "sqlite:none.db").args(["--store", "shop.db"]).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::write(folder.join("other.toml"), "\nstroe = \"sqlite:shop.db\"\n").unwrap();
    let (status, told) = failed(&asking("PROCESSION_CONFIG", "other.toml").output().await.unwrap());
    assert_eq!(status, 2);
    assert!(told.contains("`other.toml`, line 2: unknown field `stroe`"), "{told}");
}

#[tokio::test]
async fn a_secret_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let url = "postgres://me:hush-hush@127.0.0.1:1/base";
    for arguments in [["show", "one"], ["show", "--help"]] {
        let mut command = command(folder.path());
        let output = command.args(arguments).env("PROCESSION_STORE", url).output().await.unwrap();
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("hush"), "{printed}");
    }
    std::fs::write(folder.path().join("procession.toml"), "store = \"hush-hush@base\"\n").unwrap();
    let (status, told) = failed(&run(folder.path(), &["show", "one"]).await);
    assert_eq!(status, 2);
    assert!(!told.contains("hush"), "{told}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_panic() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let mut command = command(shop.folder.path());
    command.args(["show", "one", "--store", "shop.db"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_is_the_matter_is_told_to_scripts_too() {
    let shop = Shop::new().await;
    shop.order("one").await;
    let diagnosis = shop.json(&["doctor"]).await;
    assert_eq!((&diagnosis["healthy"], &diagnosis["diagnosis"]["processes"]), (&true.into(), &2.into()));
    shop.runtime.shutdown().await.unwrap();
    let store = SqliteStore::open(shop.folder.path().join("shop.db")).unwrap();
    let epoch = store.acquire().await.unwrap();
    store.park(epoch, &"one".into(), "it was lost".to_owned()).await.unwrap();
    store.release(epoch).await.unwrap();
    let output = shop.run(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("it was lost"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("next: procession doctor --repair"));
}

#[tokio::test]
async fn shells_complete_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(folder.path(), &["completions", shell]).await;
        assert!(output.status.success() && text(&output.stdout).contains("doctor"), "{shell}");
    }
}
