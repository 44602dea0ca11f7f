use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input steps: u32; input options.queue: String; } }
hand::process!(Relax);

fn step(cx: &mut procession::Cx<Relax>) {
    cx.inputs().steps = 3;
    cx.inputs().options.queue.push('a');
}

fn main() {  }
