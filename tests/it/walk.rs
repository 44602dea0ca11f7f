//! Outlines on a runtime: which steps run in which order, and which outputs they leave.

// Steps have all the forms there are, whether they need them or not.
#![allow(clippy::unnecessary_wraps, clippy::unused_async, clippy::unused_self)]

use procession::prelude::*;
use std::sync::Mutex;

/// Answers its predicates from its inputs, one letter each, and writes down what it did.
#[process(name = "it::Walk")]
#[derive(Debug, Default)]
pub(crate) struct Walk {
    #[process(skip)]
    seen: Mutex<String>,
}
spec! { Walk {
    /// `y` and `n`, then `n` for ever.
    input answers: String;
    output seen: optional<String>;
    exit 401 Broken "broken";
}}
outline! { Walk {
    a;
    while_(p) {
        b;
        while_(p) { if_(p) { c } }
        if_(p) { d; d } elif_(p) { return_; } elif_(p) { return_(Broken) } else_ { blocking e }
    }
    if_(p) { if_(p) { b as "b again" } }
    f => seen;
}}
impl Walk {
    fn see(&self, what: char) {
        self.seen.lock().expect("no step panics").push(what);
    }
    fn p(&self, cx: &Cx<Self>) -> Result<bool, StepError> {
        self.see('?');
        let asked = self.seen.lock().expect("no step panics").matches('?').count();
        Ok(cx.inputs().answers.as_bytes().get(asked - 1) == Some(&b'y'))
    }
    fn a(&mut self) {
        self.see('a');
    }
    fn b(&mut self) -> Result<(), StepError> {
        self.see('b');
        Ok(())
    }
    async fn c(&mut self) {
        tokio::task::yield_now().await;
        self.see('c');
    }
    fn d(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        self.see('d');
        Ok(cx.next())
    }
    fn e(&self) {
        self.see('e');
    }
    async fn f(&mut self) -> Result<String, StepError> {
        self.see('f');
        Ok(self.seen.lock().expect("no step panics").clone())
    }
}

async fn walk(answers: &str) -> Outcome<Walk> {
    let runtime = Runtime::volatile().register::<Walk>().build().await.expect("one process");
    let run = runtime.launch::<Walk>(Walk::inputs().answers(answers)).await.expect("valid inputs");
    run.outcome().await.expect("it ends")
}

#[tokio::test]
async fn predicates_are_asked_once_each_in_the_order_of_the_text() {
    for (answers, expected) in [
        ("n", "a??f"),
        ("nyy", "a???bf"),
        ("nyn", "a???f"),
        ("ynnnn", "a?b????e??f"),
        ("ynyn", "a?b??dd??f"),
        ("yyyyynnnn", "a?b??c??c????e??f"),
    ] {
        let Outcome::Finished(outputs) = walk(answers).await else { panic!("{answers} does not finish") };
        assert_eq!(outputs.seen.as_deref(), Some(expected), "{answers}");
    }
}

#[tokio::test]
async fn a_walk_ends_where_the_outline_says_so() {
    let Outcome::Finished(outputs) = walk("ynny").await else { panic!("`return_` is a normal end") };
    assert_eq!(outputs.seen, None);
    let Outcome::Exited(exited) = walk("ynnny").await else { panic!("`return_(Broken)` is an exit") };
    assert_eq!(exited.exit(), Some(WalkExit::Broken));
}

/// Never gets to a step.
#[process(name = "it::Round")]
#[derive(Debug, Default)]
struct Round;
spec! { Round {} }
outline! { Round { while_(yes) { if_(no) { a } } } }
impl Round {
    fn yes(&self) -> bool {
        true
    }
    fn no(&self) -> bool {
        false
    }
    fn a(&mut self) {}
}

#[tokio::test]
async fn a_loop_without_a_step_is_an_error_that_names_it() {
    let runtime = Runtime::volatile().register::<Round>().build().await.expect("one process");
    let run = runtime.launch::<Round>(Round::inputs()).await.expect("no inputs");
    let Ok(Outcome::Excepted(error)) = run.outcome().await else { panic!("an endless loop ends as excepted") };
    assert!(error.to_string().contains("`while_(yes)` of the outline went round 1000 times without a step"), "{error}");
}

/// A child with outputs.
#[process(name = "it::Leaf")]
#[derive(Debug, Default)]
pub(crate) struct Leaf;
spec! { Leaf { output energy: f64; } }
outline! { Leaf { run => energy } }
impl Leaf {
    fn run(&mut self) -> f64 {
        1.5
    }
}

/// Sets outputs in all ways there are.
#[process(name = "it::Outputs")]
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    leaf: Child<Leaf>,
}
spec! { Outputs {
    output name: String;
    output options { depth: u8; label: String }
    expose outputs of Leaf as last;
}}
outline! { Outputs { launch => options.depth; finish => name, options.label, last from leaf } }
impl Outputs {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<u8, StepError> {
        self.leaf = cx.launch(Leaf::inputs())?;
        Ok(3)
    }
    async fn finish(&mut self) -> (String, String) {
        ("name".into(), "label".into())
    }
}

#[tokio::test]
async fn outputs_behind_an_arrow_reach_their_ports() {
    let builder = Runtime::volatile().register::<Outputs>().register::<Leaf>();
    let runtime = builder.build().await.expect("two processes");
    let run = runtime.launch::<Outputs>(Outputs::inputs()).await.expect("no inputs");
    let outcome = run.outcome().await.expect("it ends");
    let Outcome::Finished(outputs) = outcome else { panic!("{outcome:?}") };
    assert_eq!((outputs.name.as_str(), outputs.options.depth, outputs.options.label.as_str()), ("name", 3, "label"));
    assert!((outputs.last.energy - 1.5).abs() < f64::EPSILON);
}
