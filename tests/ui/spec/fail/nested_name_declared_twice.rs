use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input options.queue: String; input options { walltime: u64; queue: u8; } } }

fn main() {  }
