use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input first: u32;
    input options {
        second: Vec<std::sync::mpsc::Sender<u8>>;
    }
    output third: u32;
}}

fn main() {}
