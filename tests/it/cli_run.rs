//! Processes that are run and submitted from a shell, by a binary that has those of the examples.

use procession::prelude::*;
use procession::store::{SqliteStore, Store};
use procession::{WorkerOptions, process::Ended};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::interop::worker::AddProcess;
use super::support::eventually;

/// The example, which cargo builds beside the tests.
pub(crate) fn every() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let every = own.ancestors().nth(2).unwrap().join("examples/every");
    assert!(every.exists(), "`every` is not there; build it: cargo build --all-features --example every");
    every
}

/// A folder in which commands are given.
pub(crate) struct Shell {
    folder: TempDir,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(every());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        for name in ["PROCESSION_STORE", "PROCESSION_SCHEMA", "PROCESSION_CONFIG", "PROCESSION_AMQP"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// With something on the standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).await.unwrap();
        child.wait_with_output().await.unwrap()
    }

    /// What a command prints that does what it should.
    pub(crate) async fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    /// What a command says that fails, and its exit status.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments).await;
        (output.status.code().unwrap(), text(&output.stderr))
    }

    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path("procession.db")).unwrap()
    }

    /// Runs in the background until the process has made so many steps.
    pub(crate) async fn begins(&self, arguments: &[&str], id: &str, steps: u64) -> Child {
        let child = self.command(arguments).spawn().unwrap();
        eventually(|| async { self.path("procession.db").is_file() }).await;
        let store = self.store();
        let pid = ProcessId::from(id);
        eventually(|| async { store.load(&pid).await.is_ok_and(|row| row.is_some_and(|row| row.steps >= steps)) })
            .await;
        child
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
}

#[tokio::test]
async fn a_process_is_run_and_its_outputs_printed() {
    let shell = Shell::new();
    let outputs = shell.prints(&["run", "AddProcess", "a=2"]).await;
    assert_eq!(serde_json::from_str::<Value>(&outputs).unwrap(), json!({ "sum": 3 }));
    assert!(shell.path("procession.db").is_file(), "the store was made");
    let told = shell.json(&["run", "procession_examples:AddProcess", "a=2", "b=-5"]).await;
    assert_eq!(
        (&told["state"], &told["exit_code"], &told["outputs"]),
        (&"finished".into(), &0.into(), &json!({ "sum": -3 }))
    );
    assert_eq!(shell.json(&["show", told["id"].as_str().unwrap()]).await["state"], "finished");
    // With children.
    let outputs = shell.prints(&["run", "Converge", "tolerance=1e-2", "energy.decay=9"]).await;
    assert!(serde_json::from_str::<Value>(&outputs).unwrap()["cutoff"].is_u64(), "{outputs}");
}

#[tokio::test]
async fn a_process_that_fails_is_exit_status_1_with_its_own_exit_code() {
    let shell = Shell::new();
    let (status, told) = shell.fails(&["run", "Converge", "tolerance=0", "rounds=1"]).await;
    assert_eq!(status, 1, "{told}");
    assert!(told.contains("NotConverged (401)") && told.contains("next: every report "), "{told}");
    let output = shell.run(&["run", "Fail", "text=boom", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["state"], &told["exit_code"]), (&"excepted".into(), &Value::Null));
    assert!(told["error"].as_str().unwrap().contains("boom"), "{told}");
}

#[tokio::test]
async fn all_faults_of_the_inputs_are_told_at_once_and_nothing_is_launched() {
    let shell = Shell::new();
    let faulty = ["Converge", "widh=3", "step=0", "tolerance=small", "rounds=1", "rounds=2", "decay=9", "start"];
    for command in ["run", "submit"] {
        let (status, told) = shell.fails(&[&[command], &faulty[..]].concat()).await;
        assert_eq!(status, 2, "{told}");
        for fault in [
            "the inputs of `every::Converge` are not valid",
            "  `widh`: no such port; did you mean `width`?",
            "  `step`: must be positive",
            "  `tolerance`: expected `f64`, got `small`",
            "  `rounds`: given twice",
            "  `decay`: no such port; did you mean `energy.decay`?",
            "  `start` is no `port=value`",
        ] {
            assert!(told.contains(fault), "{fault}: {told}");
        }
        assert!(told.contains(&format!("next: every {command} every::Converge --help")), "{told}");
    }
    assert!(!shell.path("procession.db").exists());
    let (status, told) = shell.fails(&["run", "AddProces", "a=1"]).await;
    assert_eq!((status, told.contains("AddProcess")), (3, true), "{told}");
    let (status, told) = shell.fails(&["run"]).await;
    assert_eq!((status, told.contains("needs the name of a process")), (2, true), "{told}");
}

#[tokio::test]
async fn inputs_come_from_files_and_the_standard_input() {
    let shell = Shell::new();
    std::fs::write(shell.path("inputs.json"), r#"{"a": 1, "b": 10}"#).unwrap();
    let sum = |text: String| serde_json::from_str::<Value>(&text).unwrap()["sum"].clone();
    assert_eq!(sum(shell.prints(&["run", "AddProcess", "--inputs", "inputs.json", "a=5"]).await), 15);
    let output = shell.run_with(&["run", "AddProcess", "--inputs", "-"], br#"{"a": 2}"#).await;
    assert_eq!(sum(text(&output.stdout)), 3, "{}", text(&output.stderr));
    let output = shell.run_with(&["run", "AddProcess", "--inputs", "-"], b"[1]").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the standard input has no inputs as a JSON object"));
    let (status, told) = shell.fails(&["run", "AddProcess", "--inputs", "none.json"]).await;
    assert_eq!((status, told.contains("`none.json` cannot be read")), (2, true), "{told}");
    let large = std::fs::File::create(shell.path("large.json")).unwrap();
    large.set_len(procession::limits::INPUTS_BYTES as u64 + 1).unwrap();
    let (status, told) = shell.fails(&["run", "AddProcess", "--inputs", "large.json"]).await;
    assert_eq!((status, told.contains("has more than")), (2, true), "{told}");
}

#[tokio::test]
async fn the_help_of_a_process_lists_its_ports() {
    let shell = Shell::new();
    for command in ["run", "submit"] {
        let help = shell.prints(&[command, "Converge", "--help"]).await;
        let has = |words: &[&str]| {
            help.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&words.join(" ")))
        };
        assert!(has(&["tolerance", "f64", "0.001", "The largest change that counts as none."]), "{help}");
        assert!(has(&["energy.exact", "f64", "-12.5"]), "{help}");
        assert!(help.contains("--inputs") && help.contains("--store"), "{help}");
    }
    assert!(shell.prints(&["run", "AddProcess", "-h"]).await.contains("(required)"));
    assert!(shell.prints(&["run", "--help"]).await.contains("--continue"));
    assert_eq!(shell.fails(&["run", "None", "--help"]).await.0, 3);
}

#[tokio::test]
async fn an_example_of_inputs_is_taken_by_every_process() {
    let shell = Shell::new();
    let processes = shell.json(&["spec"]).await;
    let names = processes.as_array().unwrap().iter().map(|process| process["process"].as_str().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names {
        let example = shell.prints(&["spec", name, "--example"]).await;
        let output = shell.run_with(&["submit", name, "--inputs", "-", "--dry-run"], example.as_bytes()).await;
        assert!(output.status.success(), "{name}: {example}: {}", text(&output.stderr));
    }
}

#[tokio::test]
async fn the_same_id_is_the_same_process() {
    let shell = Shell::new();
    assert_eq!(shell.json(&["run", "AddProcess", "a=2", "--id", "two"]).await["id"], "two");
    let again = shell.run(&["run", "AddProcess", "a=3", "--id", "two"]).await;
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), json!({ "sum": 3 }), "the inputs of the first");
    assert!(text(&again.stderr).contains("process two is there already"), "{}", text(&again.stderr));
    let (status, told) = shell.fails(&["run", "WaitForever", "--id", "two"]).await;
    assert_eq!((status, told.contains("`procession_examples:AddProcess`")), (4, true), "{told}");
    assert_eq!(shell.prints(&["submit", "AddProcess", "a=1", "--id", "three"]).await, "three\n");
    let again = shell.run(&["submit", "AddProcess", "a=9", "--id", "three"]).await;
    assert_eq!(text(&again.stdout), "three\n");
    assert!(text(&again.stderr).contains("nothing was submitted"), "{}", text(&again.stderr));
    let again = shell.json(&["submit", "AddProcess", "a=9", "--id", "three"]).await;
    assert_eq!(again, json!({ "id": "three", "process": "procession_examples:AddProcess", "new": false }));
    assert_eq!(shell.prints(&["list", "--count"]).await, "2\n");
    // What was submitted can be run here.
    let outputs = shell.prints(&["run", "--continue", "thr"]).await;
    assert_eq!(serde_json::from_str::<Value>(&outputs).unwrap(), json!({ "sum": 2 }));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let shell = Shell::new();
    for command in ["run", "submit"] {
        let told = shell.json(&[command, "AddProcess", "a=2", "--id", "two", "--dry-run"]).await;
        assert_eq!(
            (&told["dry_run"], &told["inputs"], &told["known"]),
            (&true.into(), &json!({ "a": 2 }), &Value::Null)
        );
        assert!(shell.prints(&[command, "AddProcess", "a=2", "--dry-run"]).await.contains("sqlite:procession.db"));
        assert_eq!(shell.fails(&[command, "AddProcess", "--dry-run"]).await.0, 2);
        assert!(!shell.path("procession.db").exists());
    }
    shell.prints(&["submit", "AddProcess", "a=2", "--id", "two"]).await;
    assert_eq!(shell.json(&["run", "AddProcess", "a=2", "--id", "two", "--dry-run"]).await["known"], "two");
    assert!(shell.prints(&["run", "--continue", "two", "--dry-run"]).await.contains("would go on with it"));
    assert_eq!(shell.json(&["show", "two"]).await["state"], "created");
}

#[tokio::test]
async fn a_process_that_runs_is_looked_at_and_controlled_from_elsewhere() {
    let shell = Shell::new();
    let running = shell.begins(&["run", "WaitForever", "--id", "one"], "one", 1).await;
    assert_eq!(shell.json(&["list"]).await["processes"][0]["id"], "one");
    assert!(shell.prints(&["status", "one"]).await.contains("waiting"));
    // Another one beside it, on the same store.
    shell.prints(&["run", "AddProcess", "a=1"]).await;
    shell.prints(&["pause", "one", "--wait"]).await;
    assert_eq!(shell.json(&["show", "one"]).await["paused"], true);
    shell.prints(&["play", "one", "--wait"]).await;
    shell.prints(&["kill", "one", "--reason", "enough", "--wait"]).await;
    let output = running.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("killed: enough"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_is_submitted_is_left_to_workers() {
    let shell = Shell::new();
    let id = shell.prints(&["submit", "AddProcess", "a=1"]).await;
    // A run takes nothing but its own, nor does one that only tells again how it ended.
    let ended = shell.prints(&["run", "AddProcess", "a=1", "--id", "ended"]).await;
    assert_eq!(shell.prints(&["run", "AddProcess", "a=1", "--id", "ended"]).await, ended);
    assert_eq!(shell.prints(&["run", "--continue", "ended"]).await, ended);
    assert!(shell.json(&["worker", "list"]).await.as_array().unwrap().is_empty());
    assert_eq!(shell.json(&["show", id.trim()]).await["state"], "created");
}

#[tokio::test]
async fn one_that_was_interrupted_is_gone_on_with() {
    let shell = Shell::new();
    let begun = ["run", "WaitChain", "n=30", "delay=0.02", "--id", "chain"];
    let running = shell.begins(&begun, "chain", 2).await;
    signal(&running, "INT");
    let output = running.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("every run --continue chain"), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let outputs = shell.prints(&["run", "--continue", "chain"]).await;
    assert_eq!(serde_json::from_str::<Value>(&outputs).unwrap()["rounds"], 30);
    // One that has ended is told of once more.
    assert_eq!(shell.json(&["run", "--continue", "chain"]).await["exit_code"], 0);
    assert_eq!(shell.fails(&["run", "--continue", "none"]).await.0, 3);
}

#[tokio::test]
async fn one_that_was_killed_with_its_os_process_is_gone_on_with() {
    let shell = Shell::new();
    let begun = ["run", "WaitChain", "n=30", "delay=0.02", "--id", "chain"];
    let running = shell.begins(&begun, "chain", 3).await;
    signal(&running, "KILL");
    running.wait_with_output().await.unwrap();
    let before = shell.json(&["show", "chain"]).await["steps"].as_u64().unwrap();
    assert!((3..30).contains(&before), "{before}");
    let outputs = shell.prints(&["run", "--continue", "chain"]).await;
    assert_eq!(serde_json::from_str::<Value>(&outputs).unwrap()["rounds"], 30);
    assert_eq!(shell.json(&["show", "chain"]).await["steps"], 31, "no step counts twice");
}

#[tokio::test]
async fn a_worker_goes_on_with_what_was_killed_with_its_os_process_and_takes_what_was_submitted() {
    let shell = Shell::new();
    let begun = ["run", "WaitChain", "n=30", "delay=0.02", "--id", "chain"];
    let running = shell.begins(&begun, "chain", 3).await;
    signal(&running, "KILL");
    running.wait_with_output().await.unwrap();
    shell.prints(&["submit", "AddProcess", "a=2", "--id", "sum"]).await;
    let worker = shell.command(&["worker", "start"]).spawn().unwrap();
    let store = shell.store();
    let has_ended = async |id: &str| store.load(&id.into()).await.unwrap().unwrap().state == ProcessState::Finished;
    eventually(async || has_ended("chain").await && has_ended("sum").await).await;
    signal(&worker, "TERM");
    assert!(worker.wait_with_output().await.unwrap().status.success());
    assert_eq!(shell.json(&["run", "--continue", "sum"]).await["outputs"], json!({ "sum": 3 }));
    assert_eq!(shell.json(&["show", "chain"]).await["steps"], 31, "no step counts twice");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn one_that_runs_is_reached_over_the_broker() {
    use super::interop::peers::Names;

    let (shell, elsewhere) = (Shell::new(), Shell::new());
    let names = Names::new(&super::broker::Broker::shared(), "cli-run");
    let asked = |arguments: &[&'static str]| [arguments, &names.arguments()].concat();
    let running = shell.begins(&asked(&["run", "WaitForever", "--id", "one"]), "one", 1).await;
    assert_eq!(elsewhere.json(&asked(&["status", "one"])).await["state"], "waiting");
    elsewhere.prints(&asked(&["kill", "one", "--reason", "enough"])).await;
    let output = running.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("killed: enough"), "{}", text(&output.stderr));
    let (status, told) = shell.fails(&["run", "AddProcess", "a=1", "--amqp", "amqp://guest@127.0.0.1:1"]).await;
    assert_eq!((status, told.contains("is not reached")), (5, true), "{told}");
}

/// Interrupts twice; the exit status.
async fn interrupted_twice(mut running: Child) -> Option<i32> {
    let mut told = BufReader::new(running.stderr.take().unwrap()).lines();
    signal(&running, "TERM");
    while !told.next_line().await.unwrap().unwrap().starts_with("interrupted: waits") {}
    signal(&running, "INT");
    running.wait().await.unwrap().code()
}

#[tokio::test]
async fn a_second_interrupt_cuts_off_the_step_that_runs() {
    let shell = Shell::new();
    std::fs::write(shell.path("words"), "some words\n").unwrap();
    // Its step takes longer than the test may.
    let count = ["run", "CountWords", "file=words", "delay=600000", "--id", "one"];
    let running = shell.begins(&count, "one", 1).await;
    assert_eq!(interrupted_twice(running).await, Some(130));
    // Others have it at once.
    let page = shell.store().standing(None, 10).await.unwrap();
    assert_eq!(page.standings[0].owner, None);
}

#[tokio::test]
async fn a_second_interrupt_leaves_a_step_that_blocks_its_thread() {
    let shell = Shell::new();
    let running = shell.begins(&["run", "Busy", "seconds=600", "--id", "one"], "one", 0).await;
    assert_eq!(interrupted_twice(running).await, Some(130));
    assert_eq!(shell.json(&["show", "one"]).await["ended"], Value::Null);
}

#[tokio::test]
async fn one_that_others_may_have_since_its_os_process_was_held_up_is_gone_on_with() {
    let shell = Shell::new();
    let begun = ["run", "WaitChain", "n=40", "delay=0.02", "--id", "chain"];
    let running = shell.begins(&begun, "chain", 3).await;
    signal(&running, "STOP");
    let store = shell.store();
    eventually(|| async { store.workers().await.unwrap().iter().all(|worker| !worker.alive) }).await;
    signal(&running, "CONT");
    let output = running.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("held up for too long"), "{}", text(&output.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["rounds"], 40);
}

#[tokio::test]
async fn one_that_is_parked_is_refused_with_the_reason() {
    let shell = Shell::new();
    shell.prints(&["submit", "AddProcess", "a=1", "--id", "one"]).await;
    let store = shell.store();
    let epoch = store.acquire().await.unwrap();
    store.park(epoch, &"one".into(), "it was lost".to_owned()).await.unwrap();
    store.release(epoch).await.unwrap();
    drop(store);
    for arguments in [&["run", "--continue", "one"][..], &["run", "AddProcess", "a=1", "--id", "one"]] {
        let (status, told) = shell.fails(arguments).await;
        assert_eq!((status, told.contains("parked: it was lost")), (4, true), "{told}");
    }
}

#[tokio::test]
async fn a_folder_of_documents_has_one_owner() {
    let shell = Shell::new();
    let outputs = shell.prints(&["run", "AddProcess", "a=1", "--store", "files:store"]).await;
    assert_eq!(serde_json::from_str::<Value>(&outputs).unwrap(), json!({ "sum": 2 }));
    let (status, told) = shell.fails(&["submit", "AddProcess", "a=1", "--store", "files:store"]).await;
    assert_eq!((status, told.contains("one owner")), (4, true), "{told}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_panic() {
    let shell = Shell::new();
    let mut child = shell.command(&["run", "AddProcess", "a=1"]).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let status = child.wait().await.unwrap();
    assert_ne!(status.code(), Some(101));
    assert_eq!(shell.json(&["list"]).await["processes"][0]["state"], "finished");
}

/// A worker in this OS process takes what was submitted with such options.
async fn is_taken(store: Arc<dyn Store>, pid: &ProcessId, queue: &str) {
    let options = WorkerOptions::new().queues([queue]);
    let runtime =
        Runtime::builder().shared_store(store).worker(options).register::<AddProcess>().build().await.unwrap();
    let end = runtime.attach(pid).await.unwrap().termination().await.unwrap();
    assert!(matches!(end.ended, Ended::Finished { .. }), "{end:?}");
    assert_eq!(Value::from(end.outputs), json!({ "sum": 3 }));
    runtime.shutdown().await.unwrap();
}

/// Its queue and its priority.
async fn placed(store: &dyn Store, pid: &ProcessId) -> (String, i32) {
    let page = store.standing(None, 100).await.unwrap();
    let found = page.standings.into_iter().find(|process| process.pid == *pid).unwrap();
    (found.queue, found.priority)
}

#[tokio::test]
async fn a_worker_takes_what_is_submitted() {
    let shell = Shell::new();
    let id = shell.prints(&["submit", "AddProcess", "a=2", "--queue", "sums", "--priority", "-3"]).await;
    let (pid, store) = (ProcessId::from(id.trim()), Arc::new(shell.store()));
    assert_eq!(placed(&*store, &pid).await, ("sums".to_owned(), -3));
    is_taken(store, &pid, "sums").await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_worker_takes_what_is_submitted_to_postgres() {
    use procession::store::{PostgresOptions, PostgresStore};

    let (shell, url) = (Shell::new(), super::postgres::Postgres::shared().url());
    let schema = super::postgres::Postgres::schema();
    let place = ["--store", &url, "--schema", &schema];
    let submit = ["submit", "AddProcess", "a=2", "--id", "two", "--queue", "sums", "--priority", "7"];
    for _ in 0..2 {
        assert_eq!(shell.prints(&[&submit[..], &place].concat()).await, "two\n");
    }
    let options = PostgresOptions::new().with_schema(&schema);
    let (store, pid) = (Arc::new(PostgresStore::connect(&url, options).await.unwrap()), ProcessId::from("two"));
    assert_eq!(placed(&*store, &pid).await, ("sums".to_owned(), 7));
    is_taken(store, &pid, "sums").await;
    let told = shell.json(&[&["run", "AddProcess", "a=5"][..], &place].concat()).await;
    assert_eq!(told["outputs"], json!({ "sum": 6 }));
    let (status, told) = shell.fails(&[&["run", "Fail", "text=boom"][..], &place].concat()).await;
    assert_eq!((status, told.contains("boom")), (1, true), "{told}");
}
