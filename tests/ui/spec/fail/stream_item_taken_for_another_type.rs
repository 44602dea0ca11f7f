use procession::{Cx, spec};

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: String; stream out lines: u32; } }
hand::process!(Count);

impl Count {
    fn step(cx: &mut Cx<Self>) {
        let _: Result<Option<u32>, _> = cx.received(Self::texts);
    }
}

fn main() {
    let _ = Count::step;
}
