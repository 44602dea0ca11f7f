//! The facade under another name.
#![deny(warnings)]

mod renamed {
    pub use procession::*;
}

use renamed::prelude::{Cx, Next};

#[renamed::process(crate = crate::renamed, hooks)]
#[derive(Default)]
pub struct Relax {
    #[serde(default)]
    pub n: u8,
}
renamed::spec! { Relax {} }
renamed::outline! { Relax { run } }
impl renamed::process::Hooks for Relax {}
impl Relax {
    fn run(&mut self, _cx: &mut Cx<Self>) -> Option<Next<Self>> {
        None
    }
}

fn main() {}
