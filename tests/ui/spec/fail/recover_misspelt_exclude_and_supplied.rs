use procession::spec;

#[derive(Default)]
struct Relax;

#[derive(Default)]
struct Scf;

spec! { Scf {
    input structure: String;
    input cutoff: f64;
    input options { walltime: u64; queue: String = "normal"; }
    output energy: f64;
}}
hand::process!(Scf);

spec! { Relax {
    expose inputs of Scf as scf { exclude: structur };
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().scf(|scf| scf.cutoff(1.0).options(|options| options.walltime(1))));
}

fn child(inputs: &RelaxInputs) {
    hand::launch(Scf::inputs_from(&inputs.scf).structure("Si"));
}
