#![deny(warnings)]

#[allow(non_camel_case_types)]
#[derive(Default)]
struct r#struct;
#[derive(Default)]
struct Relax;

procession::spec! { r#struct {
    input r#type: String;
    input r#match { r#for: u8; }
    output r#loop: u8;
}}
hand::process!(r#struct);

procession::spec! { Relax {
    expose inputs of r#struct as r#in { exclude: type };
    expose outputs of r#struct;
}}
hand::process!(Relax);

fn run(inputs: &RelaxInputs) {
    hand::launch(r#struct::inputs_from(&inputs.r#in).r#type("a"));
}

fn main() {
    hand::launch(Relax::inputs().r#in(|ports| ports.r#match(|ports| ports.r#for(1))));
    let _ = run;
}
