use procession::spec;
use procession::stream::Wire;

#[derive(Default)]
struct Read;
#[derive(Default)]
struct Count;

spec! { Read { stream out numbers: u32; } }
hand::process!(Read);
spec! { Count { stream in texts: String; } }
hand::process!(Count);

fn main() {
    let wire = Wire::unique();
    hand::launch(Read::inputs().numbers(wire.clone()));
    hand::launch(Count::inputs().texts(wire));
}
