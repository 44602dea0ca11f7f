use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax {
    exit 410 First "a";
    exit 410 Second "b";
}}
hand::process!(Relax);

fn main() {
    let _ = (RelaxExit::First, RelaxExit::Second);
}
