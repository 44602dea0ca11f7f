//! What once went wrong in a shell, and does not any more.

use procession::WorkerOptions;
use procession::prelude::*;
use procession::store::Store;
use serde_json::Value;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::cli_run::{Shell, signal, text};
use super::faulty::Faulty;
use super::support::{Gate, eventually};

/// Ends as soon as it is let through.
#[process(name = "mends::Last", needs(Gate))]
#[derive(Default)]
struct Last {}

spec! { Last { input fails: bool; } }
outline! { Last { work; } }

impl Last {
    async fn work(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        cx.resource::<Gate>().pass().await;
        if cx.inputs().fails { Err("it failed".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_worker_whose_standard_error_nobody_reads_goes_on() {
    let shell = Shell::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut worker = shell.command(&["worker", "start", "--json"]).stderr(writer).spawn().unwrap();
    let mut told = BufReader::new(worker.stdout.take().unwrap()).lines();
    let mut event = async || serde_json::from_str::<Value>(&told.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(event().await["event"], "ready");
    shell.prints(&["submit", "AddProcess", "a=1", "--id", "one"]).await;
    eventually(async || shell.json(&["show", "one"]).await["state"] == "finished").await;
    signal(&worker, "TERM");
    assert_eq!(event().await["event"], "drained");
    assert!(worker.wait().await.unwrap().success());
    assert!(shell.json(&["worker", "list"]).await.as_array().unwrap().is_empty(), "it has left");
}

#[tokio::test]
async fn a_run_that_is_drained_leaves_and_its_process_stays() {
    let shell = Shell::new();
    let running = shell.begins(&["run", "WaitForever", "--id", "one"], "one", 1).await;
    let told = shell.prints(&["worker", "drain", "--all", "--wait"]).await;
    assert!(told.ends_with("asked to drain, done\n1 in all\n"), "{told}");
    let output = running.wait_with_output().await.unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("process `one` stays in sqlite:procession.db"), "{told}");
    assert!(told.ends_with("next: every run --continue one\n"), "{told}");
    assert_eq!(shell.json(&["show", "one"]).await["state"], "waiting");
    assert!(shell.json(&["worker", "list"]).await.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn what_ends_otherwise_while_it_is_waited_for_is_not_told_as_done() {
    let shell = Shell::new();
    let (store, gate) = (Arc::new(shell.store()) as Arc<dyn Store>, Gate::new());
    // The worker hears of nothing that is asked.
    let deaf = Faulty::over(Arc::clone(&store), u64::MAX);
    deaf.asks_nothing.store(true, Ordering::SeqCst);
    let builder = Runtime::builder().shared_store(deaf).worker(WorkerOptions::new()).resource(gate.clone());
    let runtime = builder.register::<Last>().build().await.unwrap();
    for (number, (asked, fails, ended)) in
        [("pause", false, "finished"), ("kill", false, "finished"), ("kill", true, "excepted")].into_iter().enumerate()
    {
        let id = format!("one-{number}");
        let run = runtime.launch(Last::inputs().fails(fails)).id(id.as_str()).await.unwrap();
        gate.reached().await;
        let asking = shell.command(&[asked, &id, "--wait"]).stdout(Stdio::piped()).spawn().unwrap();
        eventually(async || store.requests(None).await.unwrap().iter().any(|row| row.pid == *run.pid())).await;
        gate.open(1);
        let output = asking.wait_with_output().await.unwrap();
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(4), true), "{told}");
        assert!(told.contains(&format!("process `{id}` has ended as {ended} before it was to {asked}")), "{told}");
        assert!(told.ends_with(&format!("next: procession show {id}\n")), "{told}");
    }
    runtime.shutdown().await.unwrap();
}

/// Exit status 0 says that nothing is left to be done.
#[tokio::test]
async fn a_repair_that_leaves_something_to_people_is_exit_status_1() {
    let shell = Shell::new();
    let park = async |id: &str| {
        shell.prints(&["submit", "AddProcess", "a=1", "--id", id]).await;
        let store = shell.store();
        let epoch = store.acquire().await.unwrap();
        store.park(epoch, &id.into(), "it was lost".to_owned()).await.unwrap();
        store.release(epoch).await.unwrap();
    };
    park("parked").await;
    let running = shell.begins(&["run", "WaitChain", "n=30", "delay=0.02", "--id", "lost"], "lost", 3).await;
    signal(&running, "KILL");
    running.wait_with_output().await.unwrap();
    let store = shell.store();
    eventually(async || store.workers().await.unwrap().iter().all(|worker| !worker.alive)).await;
    let doctor = async |arguments: &[&str], status: i32, next: &str| {
        let output = shell.run(&[&["doctor"], arguments].concat()).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{told}{}", text(&output.stdout));
        assert!(status == 0 || told.contains("something is the matter in sqlite:procession.db"), "{told}");
        assert!(told.contains(next), "{told}");
        text(&output.stdout)
    };
    let told = doctor(&[], 1, "next: procession doctor --repair").await;
    assert!(told.starts_with("2 processes that have not ended"), "{told}");
    let told = doctor(&["--repair", "--dry-run"], 1, "next: what to do is told of each").await;
    assert!(told.contains("a repair would deal with 1 of them"), "{told}");
    // What was lost goes on where a worker is started, which no repair does.
    let told = doctor(&["--repair"], 1, "next: what to do is told of each").await;
    assert!(told.contains("lost: ") && told.contains("unparked 1, mended 0"), "{told}");
    assert!(doctor(&["--repair"], 1, "next: ").await.contains("unparked 0"));
    shell.prints(&["run", "--continue", "lost"]).await;
    park("again").await;
    // Nothing else is the matter any more.
    let told = doctor(&["--repair"], 0, "").await;
    assert!(told.starts_with("1 process that has not ended") && told.contains("unparked 1"), "{told}");
}
