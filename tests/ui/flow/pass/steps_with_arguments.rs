//! A process without an outline.
#![deny(warnings, missing_docs, missing_debug_implementations)]

use procession::prelude::*;

/// Private, though the generated items are public.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Answer(String);

/// Greets.
#[process(name = "greet", also = ["old:Greet", "Greet"], version = 3)]
#[derive(Debug, Default)]
pub struct Greet {
    greetings: u8,
}
spec! { Greet { exit 400 Rude "no greeting"; } }
steps! { Greet {
    run;
    /// After the first one.
    after(count: u32, name: String);
    resumed(value: Answer);
    asked(self_: u8, cx: Option<u8>, at: bool,);
    blocking heavy(n: u8);
    next;
    many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8)
}}
impl Greet {
    fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().after(1, "Ada".into())
    }
    async fn after(&mut self, cx: &mut Cx<Self>, count: u32, name: String) -> Result<Next<Self>, StepError> {
        if name.is_empty() {
            return Ok(cx.wait("a name").after(count));
        }
        Ok(cx.wait("an answer").resumed())
    }
    fn resumed(&mut self, cx: &mut Cx<Self>, value: Answer) -> Next<Self> {
        if value.0.is_empty() { cx.exit(GreetExit::Rude) } else { cx.wait("").asked(1, None) }
    }
    fn asked(&self, self_: u8, _cx: Option<u8>, _at: bool) {
        let _ = self_;
    }
    fn heavy(&mut self, n: u8) -> Option<GreetExit> {
        self.greetings += n;
        None
    }
    async fn next(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.next().many(1, 2, 3, 4, 5, 6, 7, 8)
    }
    #[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
    fn many(&mut self, cx: &mut Cx<Self>, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> Next<Self> {
        cx.stop(a + b + c + d + e + f + g + h)
    }
}

fn main() {}
