use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input options {
        queue: String = "a", check(|queue| queue.is_empti(), "b");
    }
}}

fn main() {}
