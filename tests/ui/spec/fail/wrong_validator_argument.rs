use procession::spec;

#[derive(Default)]
struct Relax;

fn is_short(text: &str) -> Result<(), String> {
    if text.len() < 10 { Ok(()) } else { Err("too long".into()) }
}

spec! { Relax { input steps: u32, check(is_short); } }

fn main() {}
