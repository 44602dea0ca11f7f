//! Streams of processes that the command line runs: what carries them goes with the store.

use procession::RuntimeBuilder;
use serde_json::json;

use super::cli_shell::{Program, Shell, serve};
use super::streams::{Collect, Count, up_to};
use super::support::eventually;

fn register(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Count>().register::<Collect>()
}

#[test]
fn program() {
    serve(register);
}

/// A sender and a receiver, one in a worker and one that is run elsewhere, at what these places are.
async fn two_programs_hand_one_another_items(shell: Shell, places: &[&str]) {
    let program =
        |arguments: &[&str]| Program::of("cli_streams::program", shell.folder.path(), &[places, arguments].concat());
    let mut worker = program(&["worker", "start", "--json"]);
    worker.event("ready").await;
    program(&["submit", "it::Collect", "numbers=wire", "--id", "collects"]).ends().await;
    program(&["run", "it::Count", "to=40", "numbers=wire", "--id", "counts"]).ends().await;
    let collects = || async { shell.store.load(&"collects".into()).await.unwrap() };
    eventually(async || collects().await.is_some_and(|record| record.state.is_terminal())).await;
    let outputs: serde_json::Value = serde_json::from_str(&collects().await.unwrap().outputs).unwrap();
    assert_eq!(outputs["all"], json!(up_to(40)));
    worker.signal("TERM");
    worker.event("drained").await;
    worker.ends().await;
}

#[tokio::test]
async fn a_file_of_sqlite_brings_what_carries_them() {
    let shell = Shell::sqlite();
    let places: Vec<String> = shell.places().into_iter().map(str::to_owned).collect();
    two_programs_hand_one_another_items(shell, &places.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[cfg(all(feature = "amqp", feature = "postgres"))]
#[tokio::test]
#[ignore = "needs PostgreSQL and RabbitMQ: cargo xtask test"]
async fn beside_another_store_the_broker_carries_them() {
    let (shell, broker) = (Shell::postgres().await, super::broker::Broker::shared().url());
    let places: Vec<String> =
        shell.places().into_iter().map(str::to_owned).chain(["--amqp".to_owned(), broker]).collect();
    two_programs_hand_one_another_items(shell, &places.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn without_either_they_are_refused() {
    let shell = Shell::sqlite();
    let run = ["--store", "files:here", "run", "it::Count", "to=3", "numbers=wire"];
    let told = Program::fails("cli_streams::program", shell.folder.path(), &run).await;
    assert!(told.contains("`it::Co") && told.contains("has streams"), "{told}");
    assert!(told.contains("next: give it a broker with `--amqp URL`"), "{told}");
}
