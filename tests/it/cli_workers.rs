//! Workers, as they are started and stopped in a shell: each in an OS process of its own.

use procession::WorkerOptions;
use procession::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

use super::cli_shell::{Hold, Quick, Shell, command, failed, on_each_shared_store, run, text};
use super::support::eventually;

on_each_shared_store! {
    a_worker_works_until_it_is_terminated,
    a_worker_is_drained_from_elsewhere,
    a_worker_serves_the_queues_that_it_names,
    what_is_submitted_runs_in_a_worker_and_is_controlled_from_elsewhere,
    workers_that_are_not_there_cannot_be_drained,
}

/// Stores processes for others: it has no queue, and keeps nothing when it is gone.
async fn launched(shell: &Shell, id: &str, queue: &str) {
    let builder = Runtime::builder().shared_store(shell.store.clone()).worker(WorkerOptions::new().queues([""; 0]));
    let runtime = super::cli_shell::register(builder).build().await.unwrap();
    runtime.launch(Quick::inputs()).id(id).queue(queue).anywhere().await.unwrap();
    runtime.shutdown().await.unwrap();
}

async fn has_ended(shell: &Shell, id: &str) {
    eventually(async || shell.store.load(&id.into()).await.unwrap().unwrap().state.is_terminal()).await;
}

async fn workers(shell: &Shell) -> Vec<Value> {
    shell.json(&["worker", "list"]).await.as_array().unwrap().clone()
}

async fn a_worker_works_until_it_is_terminated(shell: Shell) {
    launched(&shell, "one", "").await;
    let mut worker = shell.program(&["worker", "start", "--slots", "3", "--json"]);
    let ready = worker.event("ready").await;
    assert_eq!(ready["queues"], json!([""]));
    assert_eq!(ready["processes"], json!(["shell::Hold", "shell::Parent", "shell::Quick"]));
    has_ended(&shell, "one").await;
    let listed = workers(&shell).await;
    assert_eq!((listed.len(), &listed[0]["slots"], &listed[0]["pid"]), (1, &json!(3), &ready["pid"]));
    assert_eq!((&listed[0]["alive"], &listed[0]["drains"]), (&json!(true), &json!(false)));
    worker.signal("TERM");
    worker.event("drained").await;
    worker.ends().await;
    assert_eq!(workers(&shell).await, [Value::Null; 0]);
}

async fn a_worker_is_drained_from_elsewhere(shell: Shell) {
    let start = ["worker", "start", "--lease", "1.5", "--json"];
    let (mut one, mut other) = (shell.program(&start), shell.program(&start));
    let pid = one.event("ready").await["pid"].clone();
    other.event("ready").await;
    let listed = workers(&shell).await;
    let row = listed.iter().find(|row| row["pid"] == pid).unwrap();
    let (epoch, name) = (row["epoch"].to_string(), format!("{}:{pid}", row["host"].as_str().unwrap()));
    let tried = shell.json(&["worker", "drain", &epoch, "--dry-run"]).await;
    assert_eq!((&tried["workers"], &tried["done"]), (&json!([row["epoch"]]), &json!(false)));
    assert!(workers(&shell).await.iter().all(|row| row["drains"] == false));
    let (status, told) = shell.fails(&["worker", "drain", "--all"]).await;
    assert_eq!((status, told.contains("nothing was changed")), (2, true), "{told}");
    let done = shell.json(&["worker", "drain", &name, "--wait"]).await;
    assert_eq!((&done["workers"], &done["done"]), (&json!([row["epoch"]]), &json!(true)));
    one.event("drained").await;
    one.ends().await;
    assert_eq!(workers(&shell).await.len(), 1, "the other goes on");
    let text = shell.prints(&["worker", "drain", "--all", "--wait"]).await;
    assert!(text.ends_with("asked to drain, done\n1 in all\n"), "{text}");
    other.event("drained").await;
    other.ends().await;
}

async fn a_worker_serves_the_queues_that_it_names(shell: Shell) {
    for queue in ["", "gpu", "big"] {
        launched(&shell, &format!("in-{queue}"), queue).await;
    }
    let mut worker = shell.program(&["worker", "start", "--queue", "gpu", "--queue", "big"]);
    let line = worker.says("worker shell").await;
    assert!(line.contains("is ready") && line.contains("queues gpu big"), "{line}");
    has_ended(&shell, "in-gpu").await;
    has_ended(&shell, "in-big").await;
    assert_eq!(shell.json(&["show", "in-"]).await["id"], "in-");
    assert_eq!(shell.json(&["show", "in-"]).await["state"], "created");
    worker.signal("INT");
    let line = worker.says("worker shell").await;
    assert!(line.contains("has drained"), "{line}");
    worker.ends().await;
}

/// Three OS processes: one that submits, one that works, and others that look and ask.
async fn what_is_submitted_runs_in_a_worker_and_is_controlled_from_elsewhere(shell: Shell) {
    shell.program(&["submit", "shell::Hold", "name=sent", "--id", "held"]).ends().await;
    assert_eq!(shell.json(&["show", "held"]).await["state"], "created");
    let mut worker = shell.program(&["worker", "start", "--json"]);
    worker.event("ready").await;
    eventually(async || shell.json(&["show", "held"]).await["state"] == "waiting").await;
    let status = shell.json(&["status", "held"]).await;
    assert_eq!(status["processes"][0]["inputs"], json!({"name": "sent"}));
    shell.prints(&["pause", "held", "--wait"]).await;
    shell.prints(&["play", "held", "--wait"]).await;
    shell.prints(&["kill", "held", "--wait"]).await;
    assert_eq!(shell.json(&["show", "held"]).await["state"], "killed");
    worker.signal("TERM");
    worker.ends().await;
}

async fn workers_that_are_not_there_cannot_be_drained(shell: Shell) {
    let (status, told) = shell.fails(&["worker", "drain", "7"]).await;
    assert_eq!((status, told.contains("there is no worker `7`")), (3, true), "{told}");
    assert!(told.ends_with("next: procession worker list\n"), "{told}");
    let (status, told) = shell.fails(&["worker", "drain"]).await;
    assert_eq!(status, 2, "{told}");
    let none = shell.json(&["worker", "drain", "--all"]).await;
    assert_eq!(none["workers"], json!([]));
    // One that does not hear of it in time stays asked.
    let runtime = shell.runtime().await;
    runtime.launch(Hold::inputs()).await.unwrap();
    let (status, told) = shell.fails(&["worker", "drain", "--all", "--wait", "--within", "0"]).await;
    assert_eq!((status, told.contains("it stays asked to")), (4, true), "{told}");
    runtime.asked_to_drain().await;
    assert_eq!(workers(&shell).await[0]["drains"], true);
    runtime.shutdown().await.unwrap();
}

/// Of a lost worker nothing more is heard.
#[tokio::test]
async fn a_lost_worker_is_not_asked() {
    let shell = Shell::sqlite();
    let worker = procession::store::Worker {
        host: "gone.example".to_owned(),
        os_process: 1,
        version: String::new(),
        queues: Vec::new(),
        slots: 1,
    };
    let epoch = shell.store.join(worker.clone(), Duration::from_millis(1)).await.unwrap();
    eventually(async || !shell.store.workers().await.unwrap()[0].alive).await;
    let (status, told) = shell.fails(&["worker", "drain", &epoch.0.to_string()]).await;
    assert_eq!((status, told.contains("is lost")), (4, true), "{told}");
    let output = shell.prints(&["worker", "list"]).await;
    assert!(output.contains("lost, "), "{output}");
    // Where none of them tells its version, there is no empty column.
    let mut columns: Vec<_> = output.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["EPOCH", "WORKER", "QUEUES", "SLOTS", "PROCESSES", "HEARD"]);
    let other = procession::store::Worker { version: "2.1".to_owned(), ..worker };
    shell.store.join(other, Duration::from_millis(1)).await.unwrap();
    let output = shell.prints(&["worker", "list"]).await;
    columns.insert(2, "VERSION");
    let mut lines = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), columns);
    assert!(lines.any(|cells| cells[2] == "2.1"), "{output}");
}

#[tokio::test]
async fn a_worker_that_has_nothing_to_do_is_not_started() {
    let shell = Shell::sqlite();
    let (status, told) = shell.fails(&["worker", "start"]).await;
    assert_eq!(status, 2);
    assert!(told.contains("has no processes of its own") && told.contains("procession::cli::main"), "{told}");
    // A store with one owner, and nobody who would send a task.
    let mut worker =
        super::cli_shell::Program::start(shell.folder.path(), &["--store", "files:here", "worker", "start"]);
    worker.says("test result: FAILED").await;
    assert!(!shell.folder.path().join("here").exists());
    // Nothing is done that is only tried.
    let tried = super::cli_shell::Program::start(
        shell.folder.path(),
        &["--store", "new.db", "worker", "start", "--dry-run", "--json"],
    );
    let mut tried = tried;
    assert_eq!(tried.event("would_start").await["store"], "sqlite:new.db");
    tried.ends().await;
    assert!(!shell.folder.path().join("new.db").exists());
}

#[tokio::test]
async fn a_store_with_one_owner_has_no_workers() {
    let folder = tempfile::tempdir().unwrap();
    drop(procession::store::FileStore::open(folder.path().join("files")).unwrap());
    let (status, told) = failed(&run(folder.path(), &["--store", "files:files", "worker", "drain", "--all"]).await);
    assert_eq!(status, 4, "{told}");
}

#[tokio::test]
async fn a_secret_of_the_broker_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there; and what is no address may be a password.
    for url in ["amqp://me:hush-hush@127.0.0.1:1/%2f", "hush-hush@host"] {
        for arguments in [&["status", "one"][..], &["status", "--help"], &["list"], &["worker", "start"]] {
            let output = command(folder.path()).args(arguments).env("PROCESSION_AMQP", url).output().await.unwrap();
            let printed = text(&output.stdout) + &text(&output.stderr);
            assert!(!printed.contains("hush"), "{printed}");
        }
        let printed = failed(&run(folder.path(), &["status", "one", "--amqp", url]).await);
        assert!(!printed.1.contains("hush"), "{printed:?}");
    }
    let (status, told) = failed(&run(folder.path(), &["status", "one", "--store", "hush-hush@base"]).await);
    assert_eq!((status, told.contains("hush")), (2, false), "{told}");
    std::fs::write(folder.path().join("procession.toml"), "amqp = \"hush-hush\"\n").unwrap();
    let (status, told) = failed(&run(folder.path(), &["status", "one"]).await);
    assert_eq!((status, told.contains("hush")), (2, false), "{told}");
}

#[tokio::test]
async fn the_broker_is_taken_from_flags_then_the_environment_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("procession.toml"), "amqp = \"amqp://file@127.0.0.1:1\"\n").unwrap();
    let asked = async |environment: Option<&str>, arguments: &[&str]| {
        let mut command = command(folder.path());
        command.args(["status", "one"]).args(arguments);
        command.envs(environment.map(|url| ("PROCESSION_AMQP", url)));
        let (status, told) = failed(&command.output().await.unwrap());
        assert_eq!(status, 5, "{told}");
        told
    };
    assert!(asked(None, &[]).await.contains("amqp://file@"));
    let environment = Some("amqp://environment@127.0.0.1:1");
    assert!(asked(environment, &[]).await.contains("amqp://environment@"));
    assert!(asked(environment, &["--amqp", "amqp://flag@127.0.0.1:1"]).await.contains("amqp://flag@"));
}

#[tokio::test]
async fn what_only_a_store_has_is_refused_without_one() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["list"][..], &["report", "one"], &["events", "one"], &["worker", "list"], &["doctor"]] {
        let arguments = [&["--amqp", "amqp://guest@127.0.0.1:1"], arguments].concat();
        let (status, told) = failed(&run(folder.path(), &arguments).await);
        assert_eq!((status, told.contains("this needs a store")), (2, true), "{told}");
        assert!(told.contains("--store ADDRESS"), "{told}");
    }
    let (status, told) = failed(&run(folder.path(), &["--amqp", "amqp://guest@127.0.0.1:1", "status", "one"]).await);
    assert_eq!((status, told.contains("amqp://guest@127.0.0.1:1 is not reached")), (5, true), "{told}");
}
