//! Nested names, shared namespaces and values beside ports, as a library of strict habits would use them.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, clippy::pedantic)]

use procession::spec;

/// One calculation.
#[derive(Debug, Default)]
pub struct Scf;
/// Another.
#[derive(Debug, Default)]
pub struct Phonon;
/// Many.
#[derive(Debug, Default)]
pub struct Relax<T>(std::marker::PhantomData<T>);

spec! { Scf { input structure: String; input cutoff: f64 = 40.0; input grid.r#type: u8 = 1; output energy: f64; } }
hand::process!(Scf);
spec! { Phonon { input structure: String; input modes { count: u8; dynamic<f64>; } output frequencies: dynamic<f64>; } }
hand::process!(Phonon);

spec! { <T: Default + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static> Relax<T> {
    /// How long.
    input machine.options.walltime: u64;
    input machine.options { queue: String = "normal"; }
    input value.of.a.kind: T;
    expose inputs of Scf as work.shared { exclude: structure };
    expose inputs of Phonon as work.shared { exclude: modes.count };
    input work.shared.label: optional<String>;
    input dynamic<u64>;
    output results.energy: f64;
    expose outputs of Phonon as results.phonon;
    output dynamic<T>;
}}
hand::process!([T: Default + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static] Relax<T>);

/// As a step does it.
pub fn inputs_of_children(inputs: &RelaxInputs<u8>) {
    let shared = &inputs.work.shared;
    hand::launch(Scf::inputs_from(shared).structure("Si"));
    hand::launch(Phonon::inputs_from(shared).modes(|modes| modes.count(1)));
    let _: (&u64, &u8, &Option<String>) = (&inputs.machine.options.walltime, &inputs.value.of.a.kind, &shared.label);
    let _: Option<&f64> = shared.modes.rest.get("x");
    let _: u64 = inputs.rest.values().sum();
}

fn main() {
    let inputs = Relax::<u8>::inputs()
        .machine(|machine| machine.options(|options| options.walltime(1)))
        .value(|value| value.of(|of| of.a(|a| a.kind(1))))
        .work(|work| work.shared(|shared| shared.structure("Si").modes(|modes| modes.rest("x", 0.5))))
        .rest("a", 1)
        .rest_from([("b", 2)]);
    hand::launch(inputs);
}
