use procession::prelude::*;

#[process]
struct Relax {
    count: u32,
}
spec! { Relax {} }
outline! { Relax {
    a;
    b;
} }
impl Relax {
    fn a(&mut self) {}
    async fn b(&mut self, _: &mut Cx<Self>) {
        self.count += 1;
    }
}

async fn launch(runtime: &Runtime) -> procession::Result<()> {
    runtime.launch(Relax::inputs()).await?;
    Ok(())
}

fn main() {
    drop(launch);
}
