//! Names that are keywords.
#![deny(warnings)]

use procession::prelude::*;

#[process]
#[derive(Debug, Default)]
pub struct Keywords {
    r#type: u8,
    child: u8,
}
spec! { Keywords { output r#match: u8; exit 400 Bad "bad"; } }
outline! { Keywords { r#loop; if_(r#in) { r#loop } r#fn => r#match; } }
impl Keywords {
    fn r#loop(&mut self) {
        self.child += 1;
    }
    fn r#in(&self) -> bool {
        self.r#type == 0
    }
    fn r#fn(&self) -> u8 {
        self.r#type
    }
}

#[process]
#[derive(Debug, Default)]
pub struct Plain;
spec! { Plain {} }
steps! { Plain { r#type; r#match(r#in: u8); } }
impl Plain {
    fn r#type(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().r#match(1)
    }
    fn r#match(&mut self, r#in: u8) {
        let _ = r#in;
    }
}

fn main() {
    assert_eq!(KeywordsPoint::ALL[0].name(), "loop");
}
