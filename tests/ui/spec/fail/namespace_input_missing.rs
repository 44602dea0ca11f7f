use procession::spec;

#[derive(Default)]
struct Relax;

spec! { Relax { input options { walltime: u64; queue: String = "normal"; } } }
hand::process!(Relax);

fn main() {
    hand::launch(Relax::inputs().options(|options| options.queue("fast")));
}
