use procession::spec;

#[derive(Default)]
struct Scf;

spec! { Scf { input structure: String = "a".to_owned() exit 410 Failed "it failed"; } }
hand::process!(Scf);

#[derive(Default)]
struct Relax;

spec! { Relax {
    input steps: u32
    /// Where the waves end.
    input cutoff: f64 = 1.0, check(|cutoff| *cutoff > 0.0, "too small")
    expose inputs of Scf as scf
    exit 410 Failed "it failed"
    output energy: f64
    input last: u32 =
    input behind: u32;
}}
hand::process!(Relax);

fn main() {
    let _ = (ScfExit::Failed, RelaxExit::Failed);
    hand::launch(Relax::inputs().steps(1).cutoff(1.0).scf(|scf| scf.structure("a")).last(1).behind(2));
}
