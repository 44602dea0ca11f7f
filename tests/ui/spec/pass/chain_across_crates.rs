#![deny(warnings)]

#[derive(Default)]
struct Top;

procession::spec! { Top {
    expose inputs of library::Middle as middle { exclude: base.label };
    expose inputs of library::base::Base;
    expose outputs of library::Middle;
}}
hand::process!(Top);

fn run(inputs: &TopInputs) {
    hand::launch(library::Middle::inputs_from(&inputs.middle));
    hand::launch(library::base::Base::inputs_from(inputs));
    let _: &String = &inputs.label;
}

fn read(outputs: &TopOutputs) -> f64 {
    outputs.area + outputs.base.weight
}

fn main() {
    hand::launch(Top::inputs().depth(1).middle(|middle| middle.width(1.0).base(|base| base.depth(2))));
    let _ = (run, read);
}
