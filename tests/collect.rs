//! Processes that nobody named to the runtime: a binary of its own, since all its processes are collected.

use procession::prelude::*;

mod inner {
    use procession::prelude::*;

    /// Is not registered by anyone.
    #[process]
    #[derive(Debug, Default)]
    pub(super) struct Hidden {}

    spec! { Hidden { output found: bool; } }

    outline! { Hidden { find => found; } }

    impl Hidden {
        fn find(&mut self) -> bool {
            true
        }
    }
}

#[tokio::test]
async fn every_process_of_the_binary_is_registered() -> procession::Result<()> {
    let runtime = Runtime::volatile().register_collected().build().await?;
    let run = runtime.launch_by_name("collect::Hidden", serde_json::Map::new()).await?;
    assert_eq!(run.termination().await?.outputs["found"], true);
    let typed = runtime.launch(inner::Hidden::inputs()).await?;
    assert!(typed.outcome().await?.is_finished());
    assert_eq!(<inner::Hidden as Process>::NAME, "collect::Hidden");
    Ok(())
}
