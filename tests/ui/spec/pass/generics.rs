#![deny(warnings)]

use procession::spec;
use procession::spec::PortType;

pub struct Scf<T>(Option<T>);
pub struct Relax<T: PortType, const N: usize>([Option<T>; N]);
#[derive(Default)]
pub struct Top;

impl<T> Default for Scf<T> {
    fn default() -> Self {
        Self(None)
    }
}
impl<T: PortType, const N: usize> Default for Relax<T, N> {
    fn default() -> Self {
        Self([const { None }; N])
    }
}

spec! { <T: PortType + Default> Scf<T> {
    input start: T = T::default();
    input target: T;
    input options { names: Vec<T>; steps: usize = 3; }
    input rest: dynamic<T>;
    output found: T;
    exit 300 Lost "lost";
}}
hand::process!([T: PortType + Default] Scf<T>);

spec! { <T: PortType, const N: usize> Relax<T, N> where T: Default {
    input count: usize = N;
    expose inputs of Scf<T> as scf { exclude: target };
    expose outputs of Scf<T> as last;
}}
hand::process!([T: PortType + Default, const N: usize] Relax<T, N>);

spec! { Top {
    expose inputs of Relax<f64, 3> as relax;
    expose inputs of Scf<u8> as scf;
}}
hand::process!(Top);

fn run<T: PortType + Default>(inputs: &RelaxInputs<T, 3>) {
    hand::launch(Scf::<T>::inputs_from(&inputs.scf).target(T::default()).rest("a", T::default()));
}

fn main() {
    hand::launch(Scf::<u8>::inputs().target(1).options(|options| options.names(vec![1])));
    hand::launch(Relax::<f64, 2>::inputs().scf(|scf| scf.start(1.0).options(|options| options.names(vec![]))));
    hand::launch(
        Top::inputs()
            .scf(|scf| scf.target(1).options(|options| options.names(vec![])))
            .relax(|relax| relax.scf(|scf| scf.options(|options| options.names(vec![])))),
    );
    let _ = (run::<f64>, ScfExit::Lost);
}
