//! The top is written before what it exposes, in other modules, through a re-export and another name.
#![deny(warnings)]

mod top {
    #[derive(Default)]
    pub struct Top;
    procession::spec! { Top {
        expose inputs of super::exported::Renamed as middle;
        expose outputs of crate::below::Middle as middle;
    }}
    hand::process!(Top);
}

mod exported {
    pub use super::below::Middle as Renamed;
}

mod below {
    use self::inner::*;

    #[derive(Default)]
    pub struct Middle;
    procession::spec! { Middle {
        expose inputs of Base as base;
        expose outputs of self::inner::Base;
    }}
    hand::process!(Middle);

    pub mod inner {
        #[derive(Default)]
        pub struct Base;
        procession::spec! { Base { input depth: u32; output weight: f64; } }
        hand::process!(Base);
    }
}

fn run(inputs: &top::TopInputs) {
    hand::launch(below::Middle::inputs_from(&inputs.middle));
}

fn main() {
    hand::launch(top::Top::inputs().middle(|middle| middle.base(|base| base.depth(1))));
    let _ = (run, |outputs: &top::TopOutputs| outputs.middle.weight);
}
