use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { output last: optional<std::rc::Rc<u8>>; } }

fn main() {}
