//! duroxide, on SQLite: a history of events per orchestration, with what each step was given and gave. A step is four commits,
//! none of which is flushed: its provider asks for `synchronous = WAL`, which SQLite does not know, and takes for `NORMAL`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{STEPS, State};
use duroxide::providers::sqlite::SqliteProvider;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::runtime::{ObservabilityConfig, Runtime, RuntimeOptions};
use duroxide::{ActivityContext, Client, OrchestrationContext, OrchestrationRegistry, OrchestrationStatus};
use tokio::sync::oneshot;

/// Longer than a run.
const LONG: Duration = Duration::from_secs(600);

/// Processes whose last step has not run.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

fn text(state: &State) -> String {
    serde_json::to_string(state).expect("a state is JSON")
}

/// What was best of some that were tried. It looks for work ten times a second by default. Its transactions read before
/// they write, so that SQLite refuses one of two that meet; who was refused waits for 200 ms and longer, and others go on. One
/// process at a time needs no others.
fn options(in_flight: usize) -> RuntimeOptions {
    let (loops, poll) = if in_flight == 1 { (1, 1) } else { (4, 25) };
    RuntimeOptions {
        orchestration_concurrency: loops,
        worker_concurrency: loops,
        dispatcher_min_poll_interval: Duration::from_millis(poll),
        // By default it writes some lines about each process.
        observability: ObservabilityConfig { log_level: "error".to_owned(), ..ObservabilityConfig::default() },
        ..RuntimeOptions::default()
    }
}

#[tokio::main]
async fn main() {
    let (folder, pace) = common::arguments();
    let file = Path::new(&folder).join("duroxide.db");
    std::fs::File::create(&file).expect("a file");
    let store = SqliteProvider::new(&format!("sqlite:{}", file.display()), None).await.expect("a store");
    let store = Arc::new(store);
    let waiting = Waiting::default();
    let given = Arc::clone(&waiting);
    let work = move |_: ActivityContext, state: String| {
        let given = Arc::clone(&given);
        async move {
            let state: State = serde_json::from_str(&state).map_err(|error| error.to_string())?;
            let state = state.step();
            if state.steps == STEPS {
                let waiting = given.lock().expect("no panic").remove(&state.process);
                // It may run a step twice: the second time nobody waits.
                let _ = waiting.map(|waiting| waiting.send(()));
            }
            Ok(text(&state))
        }
    };
    let three = |context: OrchestrationContext, mut state: String| async move {
        for _ in 0..STEPS {
            state = context.schedule_activity("work", state).await?;
        }
        Ok::<_, String>(state)
    };
    let activities = ActivityRegistry::builder().register("work", work).build();
    let orchestrations = OrchestrationRegistry::builder().register("three", three).build();
    let runtime = Runtime::start_with_options(store.clone(), activities, orchestrations, options(pace.in_flight)).await;
    let client = Arc::new(Client::new(store));
    let run = move |process: u64| {
        let (client, waiting) = (Arc::clone(&client), Arc::clone(&waiting));
        async move {
            let id = process.to_string();
            let (given, last) = oneshot::channel();
            waiting.lock().expect("no panic").insert(process, given);
            client.start_orchestration(&*id, "three", text(&State::new(process))).await.expect("started");
            // Its client asks the database again and again; a thousand that ask leave no connection to those who work.
            last.await.expect("the last step runs");
            match client.wait_for_orchestration(&id, LONG).await.expect("an end") {
                OrchestrationStatus::Completed { output, .. } => {
                    serde_json::from_str::<State>(&output).expect("a state").check(process);
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let paced = pace.keep(run).await;
    runtime.shutdown(None).await;
    // It logs to where the figures go, which are the last line.
    common::tell(&paced);
}
