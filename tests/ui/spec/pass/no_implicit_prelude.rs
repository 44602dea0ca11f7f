#![no_implicit_prelude]
#![deny(warnings)]

#[derive(::std::default::Default)]
struct Scf;
#[derive(::std::default::Default)]
struct Relax;

// Names that expansions must not take for those of the standard library.
#[allow(dead_code)]
struct Option;
#[allow(dead_code)]
struct Result;
#[allow(dead_code)]
mod std {}
#[allow(dead_code)]
mod core {}

::procession::spec! { #![no_implicit_prelude] Scf { input structure: u8; input note: optional<u8>; output energy: f64; } }
::hand::process!(Scf);

::procession::spec! { #![no_implicit_prelude] Relax {
    input steps: u32 = 10, check(|n| *n > 0, "must be positive");
    input extras: dynamic<u8>;
    input options: optional { a: u8; }
    expose inputs of Scf as scf;
    expose outputs of Scf as scf;
    exit 400 Failed "failed";
}}
::hand::process!(Relax);

fn main() {
    ::hand::launch(Relax::inputs().extras("a", 1).options(|options| options.a(1)).scf(|scf| scf.structure(1)));
}
