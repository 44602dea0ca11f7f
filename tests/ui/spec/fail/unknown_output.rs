use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { output structure: String; output energy: f64; } }

fn main() {
    let _ = __procession_outputs_Relax::structur;
}
