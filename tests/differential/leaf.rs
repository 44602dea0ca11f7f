//! The child of all generated processes: ends in the way it is told.

use procession::prelude::*;
use serde_json::json;

use crate::Track;

/// Ends in the way it is told.
#[process(name = "differential::Leaf")]
#[derive(Debug, Default)]
pub struct Leaf {
    track: Track,
}

spec! { Leaf {
    input kind: String;
    input n: i64;
    output n: optional<i64>;
    output square: i64;
    exit 7 Odd "it was told to";
}}

outline! { Leaf {
    if_(nests) { nest }
    if_(dozes) { doze }
    if_(exits) { return_(Odd) }
    turn;
    work => square;
}}

impl Leaf {
    fn nests(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().kind.starts_with("nest")
    }

    fn nest(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.track.begin(cx.pid(), "nest");
        let kind = if cx.inputs().kind == "nest" { "well" } else { "fail" };
        self.track.launch(cx, 0, kind)
    }

    fn dozes(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().kind == "doze"
    }

    fn doze(&mut self, cx: &mut Cx<Self>) {
        self.track.begin(cx.pid(), "doze");
        self.track.sleep(cx);
    }

    fn exits(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().kind == "exit"
    }

    fn turn(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        self.track.begin(cx.pid(), "turn");
        let n = cx.inputs().n;
        self.track.out(cx, "n", json!(n))?;
        match cx.inputs().kind.as_str() {
            "fail" => self.track.fail(cx.pid(), "it was told to fail"),
            "panic" => {
                self.track.end(cx.pid(), "fail", json!("it was told to panic"));
                panic!("it was told to panic");
            }
            "kill" => {
                self.track.end(cx.pid(), "kill", json!("it was told to be killed"));
                Ok(cx.kill("it was told to be killed"))
            }
            "missing" => {
                self.track.end(cx.pid(), "stop", json!(5));
                Ok(cx.stop(5))
            }
            _ => Ok(cx.next()),
        }
    }

    fn work(&mut self, cx: &mut Cx<Self>) -> i64 {
        self.track.begin(cx.pid(), "work");
        self.track.give(cx.pid(), "square", cx.inputs().n * cx.inputs().n)
    }
}
