use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    input thread: std::sync::mpsc::Sender<u8>;
    output energy: f64;
}}
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().thread(std::sync::mpsc::channel().0));
}
