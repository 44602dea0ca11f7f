use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input first u32;
    input second: u32 = ;
    outptu third: u32;
    input fourth: u32
    input fifth: u32;
    input type: u8;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().fourth(0).fifth(1).r#type(2));
}
