use procession::prelude::*;

#[process]
#[derive(Default)]
struct Relax;
spec! { Relax {  } }
outline! { Relax {
    a;
} }
impl Relax {
    async fn a(&mut self) {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
    }
}

fn main() {}
