use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax { input n: u8; exit 410 Failed "no"; } }
outline! { Relax {
    a;
    if p { return_(Failed) }
} }
impl Relax {
    fn a(&mut self) {}
    fn p(&self) -> bool { true }
}

async fn launch(runtime: &Runtime) -> procession::Result<()> {
    let run = runtime.launch(Relax::inputs().n(1)).await?;
    drop(run.outcome().await?.finished());
    let _ = RelaxPoint::A;
    Ok(())
}

fn main() {
    drop(launch);
}
