use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { output structure: String; output energy: optional<f64>; output forces { x: f64; } } }

const _: () = procession::__private::assert_set(<__ProcessionRelax as procession::spec::OutputTable>::OUTPUTS, "Relax", &["structure"], &["structure"], "while_(a) → return_");

fn main() {}
