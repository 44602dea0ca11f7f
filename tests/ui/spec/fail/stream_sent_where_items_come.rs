use procession::{Cx, spec};

#[derive(Default)]
struct Count;

spec! { Count { stream in texts: String; stream out lines: u32; } }
hand::process!(Count);

impl Count {
    fn step(cx: &mut Cx<Self>) {
        let _ = cx.send(Self::texts, String::new());
    }
}

fn main() {
    let _ = Count::step;
}
