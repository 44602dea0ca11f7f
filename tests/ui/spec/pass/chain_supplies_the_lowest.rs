//! Inputs that are exposed through several processes start the lowest one: what was left out on the way is still to be
//! set, also with parameters, private types, an own port in another namespace, and a flat exposure between.
#![deny(warnings)]

#[derive(Default)]
struct Base;
procession::spec! { Base {
    input depth: u32;
    input options { walltime: u64; queue: String; }
    input note: String = "none";
    output weight: f64;
}}
hand::process!(Base);

#[derive(Default)]
struct Middle;
procession::spec! { Middle {
    expose inputs of Base as base { exclude: depth, options.queue };
    expose inputs of Base as narrow { exclude: depth };
    input own: u32 = 1;
}}
hand::process!(Middle);

#[derive(Default)]
struct Upper<T>(Option<T>);
procession::spec! { <T: Default + procession::spec::PortType> Upper<T> {
    input first: T = T::default();
    expose inputs of Middle { exclude: narrow.note, own };
}}
hand::process!([T: Default + procession::spec::PortType] Upper<T>);

#[derive(Default)]
struct Top;
procession::spec! { Top {
    expose inputs of Upper<u8> as upper;
    expose inputs of Middle as middle.deep { exclude: own };
}}
hand::process!(Top);

fn run(middle: &MiddleInputs, upper: &UpperInputs<u8>, top: &TopInputs) {
    hand::launch(Base::inputs_from(&middle.base).depth(1).options(|options| options.queue("fast")));
    hand::launch(Base::inputs_from(&middle.narrow).depth(1));
    hand::launch(Base::inputs_from(&upper.base).depth(1).options(|options| options.queue("fast")));
    hand::launch(Base::inputs_from(&top.upper.base).options(|options| options.queue("fast")).depth(1));
    hand::launch(Base::inputs_from(&top.middle.deep.base).depth(1).options(|options| options.queue("fast")));
    hand::launch(Base::inputs_from(&top.middle.deep.narrow).depth(1));
    hand::launch(Upper::<u8>::inputs_from(&top.upper));
}

fn main() {
    let _ = run;
}
