#![deny(warnings)]

macro_rules! family {
    ($module:ident, $ty:ty) => {
        mod $module {
            #[derive(Default)]
            pub struct Scf;
            procession::spec! { Scf { input a.b: u32; output c: u32; } }
            hand::process!(Scf);

            #[derive(Default)]
            pub struct Relax;
            procession::spec! { Relax { expose inputs of Scf as scf; expose outputs of Scf as scf; input d: $ty; } }
            hand::process!(Relax);
        }
    };
}

family!(one, u8);
family!(two, u8);
family!(three, String);

fn main() {
    hand::launch(one::Relax::inputs().d(1).scf(|scf| scf.a(|a| a.b(1))));
    hand::launch(two::Relax::inputs().d(1).scf(|scf| scf.a(|a| a.b(1))));
    hand::launch(three::Relax::inputs().d("1").scf(|scf| scf.a(|a| a.b(1))));
    in_a_function();
    in_another_function();
}

macro_rules! function {
    ($name:ident) => {
        fn $name() {
            #[derive(Default)]
            struct Local;
            procession::spec! { Local { output c: u32; } }
            hand::process!(Local);
            hand::launch(Local::inputs());
        }
    };
}

function!(in_a_function);
function!(in_another_function);
