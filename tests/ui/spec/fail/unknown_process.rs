use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relex { input steps: u32; exit 410 First "first"; } }

fn main() {}
