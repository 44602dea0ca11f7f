//! Names under which processes are found and stored.

use procession::RunError;
use procession::prelude::*;
use serde_json::{Map, json};

use super::life::Sum;
use super::support::{World, eventually};

#[tokio::test]
async fn a_process_runs_under_the_name_it_is_registered_as() {
    let world = World::new();
    let runtime = world.builder().register_as::<Sum>("sums, of any kind").build().await.unwrap();
    let inputs: Map<_, _> = serde_json::from_value(json!({ "to": 3 })).unwrap();
    let by_name = runtime.launch_by_name("sums, of any kind", inputs.clone()).await.unwrap();
    assert_eq!(by_name.termination().await.unwrap().outputs["total"], 3);
    let typed = runtime.launch(Sum::inputs().to(4)).await.unwrap();
    assert_eq!(typed.outcome().await.unwrap().finished().unwrap().total, 4);
    for run in [&by_name, typed.any()] {
        assert_eq!(run.process(), "sums, of any kind");
        let record = world.store.load(run.pid()).await.unwrap().unwrap();
        assert_eq!(record.envelope.process, "sums, of any kind");
    }
    let unknown = runtime.launch_by_name("it::Sum", inputs).await;
    assert!(matches!(unknown, Err(RunError::UnknownProcess { .. })), "its own name is free");
}

/// The same process before and after it was renamed.
macro_rules! renamed {
    ($name:ident, $($options:tt)*) => {
        #[process($($options)*)]
        #[derive(Default)]
        struct $name {
            rounds: u32,
        }

        spec! { $name { output rounds: u32; } }

        outline! { $name { hold; finish => rounds; } }

        impl $name {
            fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
                self.rounds += 1;
                cx.wait("for anyone")
            }

            fn finish(&mut self) -> u32 {
                self.rounds
            }
        }
    };
}

renamed!(Before, name = "it::Before");
renamed!(After, name = "it::After", also = ["it::Before"]);

#[tokio::test]
async fn a_process_goes_on_under_the_new_name_of_its_type() {
    let world = World::new();
    let runtime = world.builder().register::<Before>().build().await.unwrap();
    let run = runtime.launch(Before::inputs()).await.unwrap();
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    runtime.shutdown().await.unwrap();

    let runtime = world.builder().register::<After>().build().await.unwrap();
    let again = runtime.attach(run.pid()).await.unwrap();
    assert!(again.resume(()).await.unwrap());
    assert_eq!(again.termination().await.unwrap().outputs["rounds"], 1);
}
