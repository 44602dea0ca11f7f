//! Outputs of a child that become outputs of its parent.

use procession::Runtime;
use procession::prelude::*;
use procession::process::Termination;
use serde_json::{Value, json};

#[process]
#[derive(Debug, Default)]
struct Leaf {}
spec! { Leaf {
    input refuses: bool = false;
    output a: u32;
    output b: u32;
    output deep.c: u32;
    output deep.d: u32;
    exit 5 Bad "bad";
}}
outline! { Leaf { if_(refuses) { return_(Bad) } go => a, b, deep.c, deep.d; } }
impl Leaf {
    fn refuses(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().refuses
    }
    fn go(&mut self) -> (u32, u32, u32, u32) {
        (1, 2, 3, 4)
    }
}

/// A parent of one child, whose outputs it forwards.
macro_rules! parent {
    ($name:ident of $child:ident: { $($ports:tt)* } $last:tt => $($outputs:tt)*) => {
        #[process]
        #[derive(Debug, Default)]
        struct $name { child: Child<$child> }
        spec! { $name { expose inputs of $child as x; $($ports)* } }
        outline! { $name { launch; $last => $($outputs)*; } }
        impl $name {
            fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
                self.child = cx.launch($child::inputs_from(&cx.inputs().x))?;
                Ok(())
            }
        }
    };
}

parent! { Without of Leaf: { expose outputs of Leaf as y { exclude: b, deep.d }; } last => y from child }
parent! { Only of Leaf: { expose outputs of Leaf as y { include: a, deep.c }; } last => y from child }
parent! { NoDeep of Leaf: { expose outputs of Leaf as y { exclude: deep }; } last => y from child }
parent! { Twice of Without: { expose outputs of Without as z { exclude: y.a }; } last => z from child }
// Ports with the names of those that are left out, set before and after.
parent! { Own of Leaf: {
    expose outputs of Leaf as y { exclude: b, deep };
    output y.b: String;
    output y.deep.d: String;
    output y.late: optional<u32>;
    output y { check(|y| y.late.is_some(), "comes late"); }
} own => y.b, y.deep.d, y from child }

impl Without {
    fn last(&mut self) {}
}
impl Only {
    fn last(&mut self) {}
}
impl NoDeep {
    fn last(&mut self) {}
}
impl Twice {
    fn last(&mut self) {}
}
impl Own {
    fn own(&mut self, cx: &mut Cx<Self>) -> Result<(String, String), StepError> {
        // At run time it is the same.
        cx.forward("y", &self.child)?;
        cx.out("y.late", &5)?;
        Ok(("own b".to_owned(), "own d".to_owned()))
    }
}

async fn end<P: Process>(inputs: impl procession::spec::Launch<P>) -> Termination {
    let runtime = Runtime::volatile().register::<P>().build().await.expect("processes");
    let run = runtime.launch(inputs).await.expect("valid inputs");
    run.termination().await.expect("it ends")
}

async fn outputs<P: Process>(inputs: impl procession::spec::Launch<P>) -> Value {
    let end = end::<P>(inputs).await;
    assert_eq!(end.ended.to_string(), "finished");
    Value::Object(end.outputs)
}

#[tokio::test]
async fn outputs_that_are_not_exposed_are_not_forwarded() {
    assert_eq!(outputs::<Without>(Without::inputs()).await, json!({ "y": { "a": 1, "deep": { "c": 3 } } }));
    assert_eq!(outputs::<Only>(Only::inputs()).await, json!({ "y": { "a": 1, "deep": { "c": 3 } } }));
    assert_eq!(outputs::<NoDeep>(NoDeep::inputs()).await, json!({ "y": { "a": 1, "b": 2 } }));
    assert_eq!(outputs::<Twice>(Twice::inputs()).await, json!({ "z": { "y": { "deep": { "c": 3 } } } }));
}

#[tokio::test]
async fn outputs_of_a_child_and_own_ones_of_the_same_namespace_stand_beside_each_other() {
    assert_eq!(
        outputs::<Own>(Own::inputs()).await,
        json!({ "y": { "a": 1, "b": "own b", "deep": { "d": "own d" }, "late": 5 } })
    );
}

#[tokio::test]
async fn forwarding_the_outputs_of_a_child_that_ended_with_an_exit_code_names_it() {
    let end = end::<Own>(Own::inputs().x(|x| x.refuses(true))).await;
    let told = end.ended.to_string();
    assert!(told.contains("`y.a`: required, but not set: the child ended with `Bad (5)`"), "{told}");
    assert!(!told.contains("y.b"), "{told}");
}
