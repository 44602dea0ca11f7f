//! Sub-processes: waiting, results, failures, outputs that are forwarded, parents that come back.

use procession::prelude::*;
use procession::process::ChildError;
use std::collections::BTreeMap;
use std::time::Duration;

use super::support::{Gate, World, eventually};

/// Gives a number, or ends in the way it is told.
#[process(name = "it::Leaf", needs(Gate))]
#[derive(Default)]
pub(crate) struct Leaf {}

spec! { Leaf {
    input n: u64;
    input end: String = "well";
    input gated: bool = false;
    output n: u64;
    output square: u64;
    exit 7 Odd "it is odd";
}}

outline! { Leaf {
    if_(is_odd) { return_(Odd) }
    work => n, square;
}}

impl Leaf {
    fn is_odd(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().end == "exit"
    }

    async fn work(&mut self, cx: &mut Cx<Self>) -> Result<(u64, u64), StepError> {
        if cx.inputs().gated {
            cx.resource::<Gate>().pass().await;
        }
        let n = cx.inputs().n;
        match cx.inputs().end.as_str() {
            "fail" => Err("it was told to fail".into()),
            _ => Ok((n, n * n)),
        }
    }
}

/// Launches leaves in every way there is.
#[process(name = "it::Tree")]
#[derive(Default)]
pub(crate) struct Tree {
    one: Child<Leaf>,
    many: Vec<Child<Leaf>>,
    named: BTreeMap<String, Child<Leaf>>,
    maybe: Option<Child<Leaf>>,
    seen: Vec<String>,
}

spec! { Tree {
    input end: String = "well";
    input tolerant: bool = false;
    expose inputs of Leaf as leaf { exclude: n };
    output sum: u64;
    expose outputs of Leaf as last;
}}

outline! { Tree {
    launch;
    if_(one_is_well) { note_well } else_ { note_ill }
    collect => sum, last from one;
}}

impl Tree {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let (end, tolerant) = (cx.inputs().end.clone(), cx.inputs().tolerant);
        let inputs = |n: u64| Leaf::inputs().n(n);
        assert!(matches!(Child::<Leaf>::default().outcome(), Err(ChildError::Absent)));
        let first = Leaf::inputs_from(&cx.inputs().leaf).n(3);
        self.one = cx.launch(first)?;
        assert!(matches!(self.one.outcome(), Err(ChildError::Running(_))));
        for n in 0..3 {
            self.many.push(cx.launch(inputs(n))?);
        }
        let child =
            if tolerant { cx.allow_failure().launch(inputs(5).end(end))? } else { cx.launch(inputs(5).end(end))? };
        self.named.insert("five".into(), child);
        self.maybe = Some(cx.launch(inputs(6))?);
        Ok(())
    }

    fn one_is_well(&self) -> bool {
        self.one.is_finished()
    }

    fn note_well(&mut self) {
        self.seen.push(format!("{}", self.named["five"].termination().unwrap().ended));
    }

    fn note_ill(&mut self) {
        self.seen.push("ill".into());
    }

    fn collect(&mut self) -> Result<u64, StepError> {
        let children = self.many.iter().chain(&self.maybe).chain([&self.one]);
        children.map(|child| Ok(child.outputs()?.square)).sum()
    }
}

async fn tree(world: &World, stored: bool) -> Runtime {
    let builder = if stored { world.builder() } else { world.volatile() };
    builder.register::<Tree>().build().await.unwrap()
}

#[tokio::test]
async fn a_parent_waits_for_all_its_children_and_reads_their_results() {
    for stored in [false, true] {
        let world = World::new();
        let runtime = tree(&world, stored).await;
        let run = runtime.launch(Tree::inputs().leaf(|leaf| leaf)).await.unwrap();
        let outputs = run.outcome().await.unwrap().finished().expect("finished");
        assert_eq!((outputs.sum, outputs.last.n, outputs.last.square), (1 + 4 + 36 + 9, 3, 9));
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_child_ends_its_parent_unless_that_is_allowed() {
    for stored in [false, true] {
        let world = World::new();
        let runtime = tree(&world, stored).await;
        let run = runtime.launch(Tree::inputs().end("fail")).await.unwrap();
        let Outcome::Excepted(error) = run.outcome().await.unwrap() else { panic!() };
        assert!(error.to_string().contains("excepted: step `work` failed: it was told to fail"), "{error}");
        let run = runtime.launch(Tree::inputs().end("fail").tolerant(true)).await.unwrap();
        assert!(run.outcome().await.unwrap().is_finished());
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_exit_code_of_a_child_is_a_result_and_no_failure() {
    let world = World::new();
    let runtime = tree(&world, true).await;
    let run = runtime.launch(Tree::inputs().end("exit")).await.unwrap();
    assert!(run.outcome().await.unwrap().is_finished());
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    assert!(record.context.contains("finished with exit code Odd (7)"), "{}", record.context);
}

#[tokio::test]
async fn a_parent_that_comes_back_sees_what_its_children_reached_meanwhile() {
    let world = World::new();
    let runtime = tree(&world, true).await;
    let run = runtime.launch(Tree::inputs().leaf(|leaf| leaf.gated(true))).await.unwrap();
    world.gate.reached().await;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    // All but the gated child end; then everything is gone.
    let children = world.store.children(run.pid()).await.unwrap();
    eventually(async || {
        let mut ended = 0;
        for pid in &children {
            ended += usize::from(world.store.termination(pid).await.unwrap().is_some());
        }
        ended == children.len() - 1
    })
    .await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();

    let runtime = tree(&world, true).await;
    let again = runtime.launch(Tree::inputs().leaf(|leaf| leaf)).id(run.pid().clone()).await.unwrap();
    assert_eq!(again.status().await.unwrap().state, ProcessState::Waiting);
    world.gate.reached().await;
    world.gate.open(1);
    assert_eq!(again.outcome().await.unwrap().finished().expect("finished").sum, 50);
    assert_eq!(world.store.children(run.pid()).await.unwrap(), children, "the same children");
}

/// Launches a gated leaf in its last step, and one that nobody waits for.
#[process(name = "it::Late")]
#[derive(Default)]
pub(crate) struct Late {
    aside: Child<Leaf>,
}

spec! { Late { output done: bool; } }

outline! { Late { last => done; } }

impl Late {
    fn last(&mut self, cx: &mut Cx<Self>) -> Result<bool, StepError> {
        cx.launch(Leaf::inputs().n(1).gated(true))?;
        self.aside = cx.launch_detached(Leaf::inputs().n(2).gated(true))?;
        Ok(true)
    }
}

#[tokio::test]
async fn children_of_the_last_step_are_awaited_and_detached_ones_are_not() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Late>().register::<Leaf>().build().await.unwrap();
        let run = runtime.launch(Late::inputs()).await.unwrap();
        world.gate.reached().await;
        world.gate.reached().await;
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        world.gate.open(2);
        assert!(run.outcome().await.unwrap().finished().expect("finished").done);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_child_of_an_unregistered_type_is_refused_at_the_launch() {
    let world = World::new();
    let runtime = world.volatile().register::<Late>().build().await.unwrap();
    let run = runtime.launch(Late::inputs()).await.unwrap();
    let Outcome::Excepted(error) = run.outcome().await.unwrap() else { panic!() };
    assert!(error.to_string().contains("no process `it::Leaf` is registered"), "{error}");
}

#[tokio::test]
async fn many_children_wake_their_parent_once() {
    #[process(name = "it::Crowd")]
    #[derive(Default)]
    struct Crowd {
        children: Vec<Child<Leaf>>,
        woken: u32,
    }
    spec! { Crowd { output woken: u32; output sum: u64; } }
    outline! { Crowd { launch; collect => woken, sum; } }
    impl Crowd {
        fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
            for n in 0..500 {
                self.children.push(cx.launch(Leaf::inputs().n(n))?);
            }
            Ok(())
        }
        fn collect(&mut self) -> Result<(u32, u64), StepError> {
            self.woken += 1;
            let sum = self.children.iter().map(|child| Ok(child.outputs()?.n)).sum::<Result<u64, StepError>>()?;
            Ok((self.woken, sum))
        }
    }
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Crowd>().register::<Leaf>().build().await.unwrap();
        let run = runtime.launch(Crowd::inputs()).await.unwrap();
        let outputs = run.outcome().await.unwrap().finished().expect("finished");
        assert_eq!((outputs.woken, outputs.sum), (1, 499 * 500 / 2));
    }
}

/// Hands children over as arguments: one that is awaited with the resume, one that has ended long before.
#[process(name = "it::Courier")]
#[derive(Default)]
pub(crate) struct Courier {}

spec! { Courier { output sum: u64; } }

steps! { Courier {
    launch;
    hold(first: Child<Leaf>);
    collect(first: Child<Leaf>, second: Vec<Child<Leaf>>, add: u64);
}}

impl Courier {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        let first = cx.launch(Leaf::inputs().n(2))?;
        Ok(cx.next().hold(first))
    }

    fn hold(&mut self, cx: &mut Cx<Self>, first: Child<Leaf>) -> Result<Next<Self>, StepError> {
        assert!(first.is_finished());
        let second = vec![cx.launch(Leaf::inputs().n(3))?];
        Ok(cx.wait("for a number to add").collect(first, second))
    }

    #[allow(clippy::needless_pass_by_value)] // A step takes its arguments by value.
    fn collect(
        &mut self,
        cx: &mut Cx<Self>,
        first: Child<Leaf>,
        second: Vec<Child<Leaf>>,
        add: u64,
    ) -> Result<(), StepError> {
        let sum = first.outputs()?.square + second[0].outputs()?.square + add;
        Ok(cx.out("sum", &sum)?)
    }
}

#[tokio::test]
async fn children_among_the_arguments_of_a_wait_have_their_results() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Courier>().register::<Leaf>().build().await.unwrap();
        let run = runtime.launch(Courier::inputs()).await.unwrap();
        eventually(async || run.status().await.unwrap().position.as_deref() == Some("collect")).await;
        eventually(async || run.resume(100).await.is_ok()).await;
        assert_eq!(run.outcome().await.unwrap().finished().expect("finished").sum, 113);
        runtime.shutdown().await.unwrap();
    }
}
