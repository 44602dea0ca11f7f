use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32;
}}
hand::process!(Relax);

fn read(inputs: &RelaxInputs) -> u32 {
    inputs.step
}

fn main() { drop(read); }
