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

macro_rules! text {
    ($name:ident, $ty:ty) => {
        #[derive(Default)]
        struct $name;
        procession::spec! { $name { input text: $ty; input more { text: $ty = "a"; } } }
        hand::process!($name);
    };
}

text!(Text, String);
text!(Path, std::string::String);

fn main() {
    hand::launch(Scf::inputs().value(1));
    hand::launch(Other::inputs().value(1.0));
    hand::launch(Text::inputs().text("b").more(|more| more.text("c")));
    hand::launch(Path::inputs().text("b"));
}
