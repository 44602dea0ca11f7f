//! The command line with a live worker over RabbitMQ, of this library and of Python's plumpy.

use procession::RemoteProcessController;
use procession::communicator::Communicator;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

use super::broker::Broker;
use super::cli_shell::{Program, Shell, failed, run, text};
use super::interop::ours;
use super::interop::peers::{Names, Worker};
use super::support::eventually;

/// A shell that knows a broker and no store.
struct Remote {
    folder: TempDir,
    names: Names,
}

impl Remote {
    fn new(test: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), names: Names::new(&Broker::shared(), test) }
    }

    async fn prints(&self, arguments: &[&str]) -> String {
        let output = run(self.folder.path(), &[&self.names.arguments(), arguments].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        failed(&run(self.folder.path(), &[&self.names.arguments(), arguments].concat()).await)
    }

    /// Launches by a task, for whoever takes it.
    async fn launch(&self, process: &str, inputs: Value) -> String {
        let communicator: Arc<dyn Communicator> = Arc::new(ours(&self.names).await);
        let controller = RemoteProcessController::new(communicator);
        controller.launch_process(process, inputs).persist().nowait().await.unwrap().to_string()
    }

    /// Submits a process that the binary does not have.
    async fn submit(&self, arguments: &[&str]) -> String {
        self.prints(&[&["submit"], arguments].concat()).await.trim().to_owned()
    }

    /// Whether its status is this, soon.
    async fn comes_to(&self, id: &str, field: &str, value: Value) {
        eventually(async || self.json(&["status", id]).await[field] == value).await;
    }

    /// Pauses, plays and kills a process that waits.
    async fn control(&self, id: &str) {
        self.comes_to(id, "state", json!("waiting")).await;
        let tried = self.json(&["pause", id, "--dry-run"]).await;
        assert_eq!((&tried["dry_run"], &tried["done"]), (&json!(true), &json!(false)));
        assert_eq!(self.json(&["show", id]).await["paused"], false);
        let paused = self.json(&["pause", id, "--reason", "lunch"]).await;
        assert_eq!(paused, json!({"request": "pause", "ids": [id], "dry_run": false, "done": true}));
        assert_eq!(self.json(&["status", id]).await["paused"], true);
        assert!(self.prints(&["status", id]).await.contains(&format!("{id}: waiting, paused")));
        self.prints(&["play", id]).await;
        assert_eq!(self.json(&["status", id]).await["paused"], false);
        assert_eq!(
            self.prints(&["kill", id, "--reason", "enough"]).await,
            format!("{id}: asked to kill, done\n1 in all\n")
        );
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_worker_is_controlled_over_the_broker_alone() {
    let remote = Remote::new("cli-rust");
    let arguments = [&["--store", "sqlite:work.db"], &remote.names.arguments()[..], &["worker", "start", "--json"]];
    let mut worker = Program::start(remote.folder.path(), &arguments.concat());
    let ready = worker.event("ready").await;
    assert!(ready["broker"].as_str().unwrap().starts_with("amqp://guest@127.0.0.1"), "{ready}");
    let id = remote.launch("shell::Hold", json!({"name": "there"})).await;
    remote.control(&id).await;
    let tried = remote.json(&["submit", "shell::Hold", "name=tried", "--dry-run"]).await;
    assert_eq!((&tried["inputs"], &tried["dry_run"]), (&json!({"name": "tried"}), &json!(true)));
    let submitted = remote.submit(&["shell::Hold", "name=sent", "--id", "once"]).await;
    assert_eq!(remote.submit(&["shell::Hold", "name=sent", "--id", "once"]).await, submitted, "it is the same task");
    remote.control(&submitted).await;
    for wrong in [
        &["submit", "shell::Hold", "name"][..],
        &["submit", "shell::Hold", "a.b=1"],
        &["submit", "shell::Hold", "name:=["],
    ] {
        assert_eq!(remote.fails(wrong).await.0, 2, "{wrong:?}");
    }
    let two = [remote.launch("shell::Hold", json!({})).await, remote.launch("shell::Hold", json!({})).await];
    for id in &two {
        remote.comes_to(id, "state", json!("waiting")).await;
    }
    let told = remote.json(&["status", &two[0], &two[1], &two[0]]).await;
    let ids: Vec<_> = told.as_array().unwrap().iter().map(|told| &told["id"]).collect();
    assert_eq!(ids, [&two[0], &two[1]], "each once");
    let told = remote.prints(&["show", &two[0], &two[1]]).await;
    assert_eq!((told.lines().count(), told.contains(&format!("{}: waiting", two[1]))), (2, true), "{told}");
    let (status, told) = remote.fails(&["status", &two[0], "nobody"]).await;
    assert_eq!((status, told.contains("under the id `nobody`")), (3, true), "{told}");
    let (status, told) = remote.fails(&["kill", &two[0], &two[1]]).await;
    assert_eq!((status, told.contains("nothing was changed")), (2, true), "{told}");
    let done = remote.json(&["kill", &two[0], &two[1], "--yes"]).await;
    assert_eq!(done["ids"], json!(two));
    // Nobody is there any more who would answer.
    for command in ["status", "pause", "play", "kill"] {
        let (status, told) = remote.fails(&[command, &id]).await;
        assert_eq!((status, told.contains("nobody answers under the id")), (3, true), "{told}");
    }
    for unknown in [&["pause", "--tree", &id][..], &["status", "--where", "root"], &["show", "--tree", &id]] {
        let (status, told) = remote.fails(unknown).await;
        assert_eq!((status, told.contains("named by their ids")), (2, true), "{told}");
        assert!(told.ends_with("next: give ids, or `--store ADDRESS`\n"), "{told}");
    }
    for unknown in [&["report", &id][..], &["events", "--where", "root"], &["graph", "--where", "root"]] {
        let (status, told) = remote.fails(unknown).await;
        assert_eq!((status, told.contains("this needs a store")), (2, true), "{told}");
    }
    worker.signal("TERM");
    worker.event("drained").await;
    worker.ends().await;
}

/// What is asked is in the store: a broker need not even be there.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn with_a_store_what_is_asked_of_processes_is_written_there() {
    let (shell, remote) = (Shell::sqlite(), Remote::new("cli-both"));
    let mut worker = shell.program(&[&remote.names.arguments()[..], &["worker", "start", "--json"]].concat());
    worker.event("ready").await;
    let id = remote.launch("shell::Hold", json!({"name": "both"})).await;
    let nobody = ["--amqp", "amqp://guest@127.0.0.1:1"];
    let paused = shell.json(&[&nobody[..], &["pause", &id, "--wait"]].concat()).await;
    assert_eq!(paused["done"], true);
    assert_eq!(remote.json(&["status", &id]).await["paused"], true);
    assert_eq!(shell.json(&[&nobody[..], &["list", "--paused"]].concat()).await["processes"][0]["id"], *id);
    shell.json(&["kill", &id[..8], "--wait"]).await;
    assert_eq!(shell.json(&["show", &id]).await["state"], "killed");
    worker.signal("INT");
    worker.event("drained").await;
    worker.ends().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_process_of_plumpy_is_controlled_over_the_broker() {
    let remote = Remote::new("cli-python");
    let checkpoints = tempfile::tempdir().unwrap();
    let worker = Worker::python(&remote.names, checkpoints.path(), "wrapped", &[]);
    let id = remote.submit(&["procession_examples:WaitForever"]).await;
    remote.control(&id).await;
    let (status, told) = remote.fails(&["submit", "procession_examples:Nothing"]).await;
    assert_eq!((status, told.contains("refused `procession_examples:Nothing`")), (4, true), "{told}");
    worker.signal("TERM");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_worker_without_its_broker_is_not_started() {
    let remote = Remote::new("cli-none");
    let arguments = ["--store", "new.db", "--amqp", "amqp://guest:hush@127.0.0.1:1", "worker", "start"];
    let mut worker = Program::start(remote.folder.path(), &arguments);
    worker.says("test result: FAILED").await;
}
