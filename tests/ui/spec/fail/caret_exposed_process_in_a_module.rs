use procession::spec;

pub mod inner {
    pub use super::Scf;
}

#[derive(Default)]
struct Relax;

#[derive(Default)]
pub struct Scf;

spec! { Scf {
    input structure: String;
    input cutoff: f64;
    input options { walltime: u64; queue: String = "normal"; }
    output energy: f64;
}}
hand::process!(Scf);

spec! { Relax {
    expose inputs of inner::Scv as scf;
}}

fn main() {}
