// The program whose build `cargo xtask compile-time` measures: the smallest that uses what most programs use.

use procession::prelude::*;
use procession::store::SqliteStore;

/// Greets a few times.
#[process]
#[derive(Default)]
pub struct Hello {
    greeted: u32,
}

spec! { Hello {
    /// Whom to greet.
    input name: String;
    /// How often.
    input times: u32 = 3;
    /// How often it was.
    output greeted: u32;
}}

outline! { Hello {
    while_(unsatisfied) { greet }
    finish => greeted;
}}

impl Hello {
    fn unsatisfied(&self, cx: &Cx<Self>) -> bool {
        self.greeted < cx.inputs().times
    }

    async fn greet(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.greeted += 1;
        println!("hello, {}", cx.inputs().name);
        Ok(())
    }

    fn finish(&self) -> u32 {
        self.greeted
    }
}

#[tokio::main]
async fn main() -> procession::Result<()> {
    let runtime = Runtime::builder().register::<Hello>().store(SqliteStore::open("hello.db")?).build().await?;
    let run = runtime.launch(Hello::inputs().name("world".to_owned())).await?;
    if let Outcome::Finished(outputs) = run.outcome().await? {
        println!("greeted {} times", outputs.greeted);
    }
    runtime.shutdown().await
}
