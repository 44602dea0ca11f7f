#[derive(serde::Serialize, serde::Deserialize)]
struct Structure(u8);

#[derive(Default)]
pub struct Relax;

procession::spec! { Relax { input structure: Structure; } }

fn main() {}
