use procession::{Cx, spec};

#[derive(Default)]
struct Count;

struct Text;

spec! { Count { stream in texts: Text; stream out lines: u32; } }
hand::process!(Count);

impl Count {
    fn step(cx: &mut Cx<Self>) {
        cx.receive(Self::texts);
        let _: Option<Text> = cx.received(Self::texts).ok().flatten();
    }
}

fn main() {
    let _ = Count::step;
}
