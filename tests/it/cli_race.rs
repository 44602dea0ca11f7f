//! The same id launched twice at the very same time: both have looked and found nothing, and one of them is faster.

use procession::RuntimeBuilder;
use procession::prelude::*;
use procession::process::{BoxError, Hooks};
use serde_json::json;
use std::io::Read;
use tokio::net::{UnixListener, UnixStream};

use super::cli_shell::{Program, Shell, on_each_shared_store, serve};
use super::support::eventually;

on_each_shared_store! {
    the_second_of_two_runs_takes_over_when_the_first_is_killed,
    the_second_of_two_runs_prints_what_came_of_the_first,
    one_of_two_that_submit_has_made_the_process,
}

/// Where who launches waits, after it has looked.
const LAUNCH: &str = "launch";
/// Where the step waits.
const WORK: &str = "work";

/// Waits for the test before it is stored, and in its step.
#[process(name = "race::Errand", hooks)]
#[derive(Default)]
struct Errand {}

spec! { Errand { input who: String; output done_for: String; } }
outline! { Errand { work => done_for; } }

impl Errand {
    async fn work(&mut self, cx: &mut Cx<Self>) -> Result<String, StepError> {
        let place = UnixStream::connect(WORK).await?;
        place.readable().await?;
        Ok(cx.inputs().who.clone())
    }
}

impl Hooks for Errand {
    fn on_create(&mut self, _: &Cx<Self>) -> Result<(), BoxError> {
        let mut place = std::os::unix::net::UnixStream::connect(LAUNCH)?;
        Ok(place.read_to_end(&mut Vec::new()).map(drop)?)
    }
}

fn register(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Errand>()
}

#[test]
fn program() {
    serve(register);
}

struct Race {
    shell: Shell,
    launches: UnixListener,
    works: UnixListener,
}

impl Race {
    fn on(shell: Shell) -> Self {
        let place = |name: &str| UnixListener::bind(shell.folder.path().join(name)).unwrap();
        Self { launches: place(LAUNCH), works: place(WORK), shell }
    }

    /// A program that has looked, and launches as soon as the other half is dropped.
    async fn begins(&self, verb: &str, who: &str) -> (Program, UnixStream) {
        let who = format!("who={who}");
        let arguments = [&self.shell.places()[..], &[verb, "race::Errand", &who, "--id", "one", "--json"]].concat();
        let program = Program::of("cli_race::program", self.shell.folder.path(), &arguments);
        (program, arrival(&self.launches).await)
    }
}

async fn arrival(place: &UnixListener) -> UnixStream {
    let arrival = tokio::time::timeout(std::time::Duration::from_secs(60), place.accept()).await;
    arrival.expect("someone comes").unwrap().0
}

/// Two that run: the first has the process in its step, and the second has found that it is there.
async fn two_that_run(race: &Race) -> (Program, UnixStream, Program) {
    let ((first, go), (second, wait)) = (race.begins("run", "the first").await, race.begins("run", "the second").await);
    drop(go);
    let work = arrival(&race.works).await;
    drop(wait);
    // One that only launches takes nothing; one that goes on with a process takes what is in its queue.
    eventually(async || {
        let workers = race.shell.store.workers().await.unwrap();
        workers.iter().any(|row| row.worker.queues == [""])
    })
    .await;
    (first, work, second)
}

async fn the_second_of_two_runs_takes_over_when_the_first_is_killed(shell: Shell) {
    let race = Race::on(shell);
    let (first, work, mut second) = two_that_run(&race).await;
    first.signal("KILL");
    drop(arrival(&race.works).await);
    second.says("\"done_for\": \"the first\"").await;
    second.ends().await;
    drop((first, work));
    assert_eq!(race.shell.prints(&["list", "--count"]).await, "1\n");
}

async fn the_second_of_two_runs_prints_what_came_of_the_first(shell: Shell) {
    let race = Race::on(shell);
    let (mut first, work, mut second) = two_that_run(&race).await;
    drop(work);
    for program in [&mut first, &mut second] {
        program.says("\"done_for\": \"the first\"").await;
    }
    first.ends().await;
    second.ends().await;
    assert_eq!(race.shell.prints(&["list", "--count"]).await, "1\n");
}

async fn one_of_two_that_submit_has_made_the_process(shell: Shell) {
    let race = Race::on(shell);
    let ((mut first, go), (mut second, wait)) =
        (race.begins("submit", "the first").await, race.begins("submit", "the second").await);
    drop(go);
    assert!(first.says("\"new\": ").await.contains("true"));
    first.ends().await;
    drop(wait);
    assert!(second.says("\"new\": ").await.contains("false"));
    second.ends().await;
    let shown = race.shell.json(&["status", "one"]).await;
    assert_eq!(shown["processes"][0]["inputs"], json!({ "who": "the first" }));
}
