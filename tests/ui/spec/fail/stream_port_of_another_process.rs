use procession::{Cx, spec};

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: String; stream out lines: u32; } }
hand::process!(Count);

#[derive(Default)]
struct Other;

spec! { Other { stream in texts: String; } }
hand::process!(Other);

impl Count {
    fn step(cx: &mut Cx<Self>) {
        cx.receive(Other::texts);
    }
}

fn main() {
    let _ = Count::step;
}
