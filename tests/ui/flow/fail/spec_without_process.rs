use procession::prelude::*;

#[derive(Default)]
struct Relax;
spec! { Relax { input n: u8; } }

async fn launch(runtime: &Runtime) -> procession::Result<()> {
    runtime.launch(Relax::inputs().n(1)).await?;
    Ok(())
}

fn main() {
    drop(launch);
}
