#![deny(warnings)]

macro_rules! process {
    ($name:ident, $ty:ty, $default:expr) => {
        #[derive(Default)]
        struct $name;
        procession::spec! { $name { input value: $ty = $default, check(|v| *v >= $default, "too small"); output value: $ty; } }
        hand::process!($name);
    };
}

process!(Scf, u8, 1 + 2);
process!(Other, f64, 1.5);

fn main() {
    hand::launch(Scf::inputs().value(1));
    hand::launch(Other::inputs().value(1.0));
}
