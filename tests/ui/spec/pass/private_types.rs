//! A process that is private may have ports of private types.
#![deny(warnings)]

mod inner {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Structure(u8);

    #[derive(Default)]
    struct Relax;

    procession::spec! { Relax {
        input structure: Structure;
        input options { other: Structure; more: optional<Structure>; }
        input all: dynamic<Structure>;
        output structure: Structure;
    }}
    hand::process!(Relax);

    pub fn launch() {
        hand::launch(Relax::inputs().structure(Structure(1)).options(|options| options.other(Structure(2))));
    }
}

fn main() {
    inner::launch();
}
