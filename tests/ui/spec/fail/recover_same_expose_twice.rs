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
    expose inputs of Scf as scf;
    expose inputs of Scf as scf;
}}
hand::process!(Relax);

fn main() {
    let scf = Relax::inputs().scf(|scf| scf.structure("Si").cutoff(1.0).options(|options| options.walltime(1)));
    hand::launch(scf);
}
