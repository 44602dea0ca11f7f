use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input first: dynamic<std::sync::mpsc::Sender<u8>>;
}}

fn main() {}
