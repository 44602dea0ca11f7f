//! Hooks of a process and listeners of a runtime: what is told, and in which order.

use procession::listener::Listener;
use procession::prelude::*;
use procession::process::{BoxError, Hooks, Transition};
use serde_json::Value;
use std::sync::{Arc, Mutex};

use super::support::{World, eventually};

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down what its hooks are called with.
#[process(name = "it::Hooked", hooks, needs(Log))]
#[derive(Debug, Default)]
pub(crate) struct Hooked {
    #[process(skip)]
    log: Option<Log>,
}

spec! { Hooked {
    input fail_at: String = "";
    output said: u32;
}}

outline! { Hooked {
    start;
    hold;
    say => said;
}}

impl Hooked {
    fn start(&mut self, cx: &mut Cx<Self>) {
        self.log = Some(Arc::clone(&cx.resource::<Log>()));
        self.note("start");
        self.note(&format!("fail at {}", cx.inputs().fail_at));
    }

    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for the test")
    }

    fn say(&mut self, cx: &mut Cx<Self>) -> u32 {
        cx.report("said it");
        1
    }

    fn note(&self, what: &str) {
        if let Some(log) = &self.log {
            log.lock().unwrap().push(what.to_owned());
        }
    }

    fn fails(&self, at: &str) -> Result<(), BoxError> {
        let told = self.log.as_ref().is_some_and(|log| log.lock().unwrap().contains(&format!("fail at {at}")));
        if told { Err(format!("hook {at}").into()) } else { Ok(()) }
    }
}

impl Hooks for Hooked {
    fn on_exiting(&mut self, transition: Transition<'_>) -> Result<(), BoxError> {
        self.note(&format!("exiting {}", transition.from.unwrap()));
        Ok(())
    }

    fn on_entering(&mut self, transition: Transition<'_>) -> Result<(), BoxError> {
        self.note(&format!("entering {}", transition.to));
        self.fails(transition.to.as_str())
    }

    fn on_entered(&mut self, transition: Transition<'_>) {
        self.note(&format!("entered {}", transition.to));
    }

    fn on_output_emitting(&mut self, port: &str, _: &Value) -> Result<(), BoxError> {
        self.note(&format!("emitting {port}"));
        Ok(())
    }

    fn on_output_emitted(&mut self, port: &str, _: &Value) {
        self.note(&format!("emitted {port}"));
    }

    fn on_paused(&mut self) {
        self.note("paused");
    }

    fn on_played(&mut self) {
        self.note("played");
    }

    fn on_terminated(&mut self) {
        self.note("terminated");
    }
}

struct Observer(Log);

impl Listener for Observer {
    fn on_transition(&self, transition: Transition<'_>, point: &str) {
        self.0.lock().unwrap().push(format!("L {} at {point}", transition.to));
    }

    fn on_paused(&self, _: &ProcessId) {
        self.0.lock().unwrap().push("L paused".into());
        panic!("a listener's panic is its own affair");
    }

    fn on_played(&self, _: &ProcessId) {
        self.0.lock().unwrap().push("L played".into());
    }

    fn on_output_emitted(&self, _: &ProcessId, port: &str, value: &Value) {
        self.0.lock().unwrap().push(format!("L emitted {port} {value}"));
    }

    fn on_report(&self, _: &ProcessId, line: &str) {
        self.0.lock().unwrap().push(format!("L report {line}"));
    }
}

async fn watched(fail_at: &str) -> (Vec<String>, procession::process::Termination) {
    let (world, log) = (World::new(), Log::default());
    let builder = world.builder().resource(Arc::clone(&log)).listener(Observer(Arc::clone(&log)));
    let runtime = builder.register::<Hooked>().build().await.unwrap();
    let run = runtime.launch(Hooked::inputs().fail_at(fail_at)).await.unwrap();
    eventually(async || run.status().await.is_ok_and(|s| s.state == ProcessState::Waiting || s.state.is_terminal()))
        .await;
    run.pause("").await.unwrap();
    run.play().await.unwrap();
    let _ = run.resume(()).await;
    let termination = run.termination().await.unwrap();
    runtime.shutdown().await.unwrap();
    let told = log.lock().unwrap().clone();
    (told, termination)
}

#[tokio::test]
async fn hooks_come_before_and_after_the_commit_and_listeners_after_hooks() {
    let (told, termination) = watched("never").await;
    assert!(termination.ended.is_successful());
    let expected = [
        "L running at start",
        "start",
        "fail at never",
        "exiting running",
        "entering running",
        "entered running",
        "L running at hold",
        "exiting running",
        "entering waiting",
        "entered waiting",
        "L waiting at hold",
        "paused",
        "L paused",
        "played",
        "L played",
        "exiting waiting",
        "entering running",
        "entered running",
        "L running at say",
        "emitting said",
        "exiting running",
        "entering finished",
        "entered finished",
        "L finished at say",
        "emitted said",
        "L emitted said 1",
        "L report said it",
        "terminated",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_hook_that_fails_before_the_commit_makes_the_process_excepted() {
    for at in ["running", "waiting", "finished"] {
        let (told, termination) = watched(at).await;
        assert_eq!(termination.ended.state(), ProcessState::Excepted, "{at}: {told:?}");
        assert!(termination.ended.to_string().contains(&format!("hook {at}")), "{}", termination.ended);
        assert!(termination.outputs.is_empty(), "the step's outputs are dropped with it");
        assert!(told.contains(&"entered excepted".to_owned()) && told.contains(&"terminated".to_owned()), "{told:?}");
    }
}
