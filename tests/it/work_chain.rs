//! What plumpy's work chains do, rule by rule (S104 to S118), where no other test shows it.

// Steps are methods, also those that do nothing.
#![allow(clippy::unnecessary_wraps, clippy::unused_self)]

use procession::prelude::*;
use procession::process::{Ended, Termination};
use procession::spec::MISSING_OUTPUT;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::children::Leaf;
use super::support::{Gate, World, eventually};

/// Loops in loops and branches, as often as its inputs say.
#[process(name = "it::Nest")]
#[derive(Debug, Default)]
struct Nest {
    outer: u32,
    inner: u32,
}

spec! { Nest {
    input outer: u32;
    input inner: u32;
    input branch: u32 = 0;
}}

outline! { Nest {
    while_(more_outer) {
        begin;
        while_(more_inner) { step }
    }
    if_(first) { step as "first"; step as "second" } elif_(second) { step as "third" }
    if_(first) { return_; }
    end;
}}

impl Nest {
    fn more_outer(&self, cx: &Cx<Self>) -> bool {
        self.outer < cx.inputs().outer
    }

    fn more_inner(&self, cx: &Cx<Self>) -> bool {
        self.inner < cx.inputs().inner
    }

    fn first(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().branch == 1
    }

    fn second(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().branch == 2
    }

    fn begin(&mut self) {
        (self.outer, self.inner) = (self.outer + 1, 0);
    }

    fn step(&mut self) {
        self.inner += 1;
    }

    fn end(&mut self, cx: &mut Cx<Self>) {
        cx.report(format!("{} steps before", cx.steps()));
    }
}

// S106. plumpy counts a step more for each loop that is left: there, leaving is an engine step of its own.
#[tokio::test]
async fn each_leaf_is_a_step_and_a_finished_loop_is_none() {
    for (outer, inner, branch, leaves) in
        [(0, 0, 0, 1), (0, 9, 2, 2), (1, 0, 0, 2), (1, 3, 0, 5), (2, 2, 0, 7), (3, 1, 1, 8), (2, 0, 2, 4)]
    {
        let world = World::new();
        let runtime = world.builder().register::<Nest>().build().await.unwrap();
        let run = runtime.launch(Nest::inputs().outer(outer).inner(inner).branch(branch)).await.unwrap();
        assert!(run.outcome().await.unwrap().is_finished());
        let case = format!("{outer} rounds of {inner}, branch {branch}");
        assert_eq!(run.status().await.unwrap().steps, leaves, "{case}");
        let history = world.store.history(run.pid()).await.unwrap();
        // From created to running, from step to step, and to the end.
        assert_eq!(history.len() as u64, leaves + 1, "{case}");
        let again = history.iter().filter(|row| (row.from, row.to) == (ProcessState::Running, ProcessState::Running));
        assert_eq!(again.count() as u64, leaves - 1, "{case}");
        let report = world.store.report(run.pid()).await.unwrap();
        let told = report.first().map(|line| line.text.clone());
        assert_eq!(told, (branch != 1).then(|| format!("{} steps before", leaves - 1)), "{case}");
        runtime.shutdown().await.unwrap();
    }
}

/// Ends in the midst of a loop, as it is told.
#[process(name = "it::Ender")]
#[derive(Debug, Default)]
struct Ender {
    rounds: u32,
}

spec! { Ender {
    input how: Value;
    output rounds: optional<u32>;
    output total: optional<u32>;
    exit 1 One "the number one";
    exit 400 Other "another one";
}}

outline! { Ender {
    while_(always) {
        count;
        if_(returns) { return_; } elif_(returns_exit) { return_(One) }
        decide => total;
    }
    count as "never";
}}

impl Ender {
    fn always(&self) -> bool {
        true
    }

    fn returns(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().how == "return"
    }

    fn returns_exit(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().how == "return exit"
    }

    fn count(&mut self, cx: &mut Cx<Self>) -> Result<Option<Next<Self>>, StepError> {
        self.rounds += 1;
        cx.out("rounds", &self.rounds)?;
        if self.rounds < 2 {
            return Ok(None);
        }
        Ok(match &cx.inputs().how {
            how if how == "proceed" => Some(cx.next()),
            how if how == "exit" => Some(cx.exit(EnderExit::One)),
            how if how == "kill" => Some(cx.kill("enough")),
            how if how == "fail with exit" => Err(EnderExit::Other)?,
            how if how == "return" || how == "return exit" || how == "exit of values" || how == "foreign exit" => None,
            value => Some(cx.stop(value)),
        })
    }

    fn decide(&mut self, cx: &mut Cx<Self>) -> Result<u32, StepError> {
        match cx.inputs().how.as_str() {
            Some("exit of values") => Err(EnderExit::Other.into()),
            Some("foreign exit") => Err(super::life::SumExit::Refused.into()),
            Some("proceed") if self.rounds > 2 => Err(EnderExit::One.into()),
            _ => Ok(self.rounds),
        }
    }
}

async fn end(how: Value) -> Vec<Termination> {
    let world = World::new();
    let mut ends = Vec::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = builder.register::<Ender>().build().await.unwrap();
        let run = runtime.launch(Ender::inputs().how(how.clone())).await.unwrap();
        ends.push(run.termination().await.unwrap());
        runtime.shutdown().await.unwrap();
    }
    ends
}

// S108, S118: any value, `0` and `false` as well. `()` goes on; nothing else ends a process unasked.
#[tokio::test]
async fn a_step_ends_the_process_at_once_with_any_value() {
    for value in [json!(0), json!(false), json!(1), json!(null), json!("text"), json!({ "a": [1] }), json!([])] {
        for termination in end(value.clone()).await {
            assert_eq!(termination.ended, Ended::Finished { result: value.clone() });
            assert_eq!(termination.ended.state(), ProcessState::Finished);
            assert!(termination.ended.is_successful(), "{value}");
            assert_eq!(termination.outputs["rounds"], 2, "in the second round, before `decide`");
        }
    }
}

// S108. plumpy takes a code for a result, and the end for a success. Here a code is an unsuccessful end, from wherever
// it comes: returned, as the error of a step, also of one that returns outputs.
#[tokio::test]
async fn an_exit_code_is_an_unsuccessful_end_wherever_it_comes_from() {
    for (how, number, rounds) in [
        ("exit", 1, 2),
        ("fail with exit", 400, 2),
        ("exit of values", 400, 1),
        ("proceed", 1, 3),
        ("return exit", 1, 1),
    ] {
        for termination in end(json!(how)).await {
            let Ended::Exited { exit } = &termination.ended else { panic!("{how}: {termination:?}") };
            assert_eq!((exit.number, termination.ended.state()), (number, ProcessState::Finished), "{how}");
            assert!(!termination.ended.is_successful());
            assert_eq!(termination.outputs["rounds"], rounds, "{how}: what the step emitted is kept");
        }
    }
    for termination in end(json!("kill")).await {
        assert_eq!(termination.ended, Ended::Killed { text: "enough".into() });
    }
}

#[tokio::test]
async fn an_exit_code_of_another_process_is_an_error_like_any_other() {
    for termination in end(json!("foreign exit")).await {
        let Ended::Excepted { error } = &termination.ended else { panic!("{termination:?}") };
        assert_eq!(error.to_string(), "step `decide` failed: Refused (400): it was told to refuse");
    }
}

// S109. plumpy gives the code as the result of a success.
#[tokio::test]
async fn return_ends_without_a_result_or_with_an_exit_code() {
    for termination in end(json!("return")).await {
        assert_eq!(
            (termination.ended, &termination.outputs["rounds"]),
            (Ended::Finished { result: Value::Null }, &json!(1))
        );
    }
}

/// Stops before its output is there.
#[process(name = "it::Hasty")]
#[derive(Debug, Default)]
struct Hasty {}

spec! { Hasty { output value: u32; } }

outline! { Hasty { stop; give => value; } }

impl Hasty {
    fn stop(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.stop("early")
    }

    fn give(&mut self) -> u32 {
        1
    }
}

// S43, S108: an early end is no way around the outputs. plumpy loses which one is missing.
#[tokio::test]
async fn an_early_end_without_a_required_output_is_unsuccessful() {
    let runtime = World::new().volatile().register::<Hasty>().build().await.unwrap();
    let Outcome::Exited(exited) = runtime.launch(Hasty::inputs()).await.unwrap().outcome().await.unwrap() else {
        panic!()
    };
    assert_eq!(exited.code().number, MISSING_OUTPUT);
    assert!(exited.code().message.contains("`value`"), "{}", exited.code());
}

/// Launches a leaf that ends as told, and one that takes its time.
#[process(name = "it::Pair")]
#[derive(Debug, Default)]
struct Pair {
    leaves: Vec<Child<Leaf>>,
}

spec! { Pair { input end: String; } }

outline! { Pair { launch; never; } }

impl Pair {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let end = cx.inputs().end.clone();
        self.leaves.push(cx.launch(Leaf::inputs().n(1).end(end))?);
        self.leaves.push(cx.launch(Leaf::inputs().n(2).gated(true))?);
        Ok(())
    }

    fn never(&mut self) -> Result<(), StepError> {
        Err("its children have failed".into())
    }
}

// S110, S111, S113. plumpy excepts at once, and forgets the others; here they end first, and nothing is left behind.
#[tokio::test]
async fn a_failed_child_excepts_its_parent_when_all_children_have_ended() {
    for stored in [false, true] {
        let world = World::new();
        let builder = if stored { world.builder() } else { world.volatile() };
        let runtime = builder.register::<Pair>().register::<Leaf>().build().await.unwrap();
        let run = runtime.launch(Pair::inputs().end("fail")).await.unwrap();
        world.gate.reached().await;
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        if stored {
            let children = world.store.children(run.pid()).await.unwrap();
            runtime.attach(&children[0]).await.unwrap().termination().await.unwrap();
            assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting, "for the other one");
        }
        world.gate.open(1);
        let Outcome::Excepted(error) = run.outcome().await.unwrap() else { panic!("{run:?}") };
        assert!(error.to_string().contains("excepted: step `work` failed: it was told to fail"), "{error}");
        runtime.shutdown().await.unwrap();
    }
}

// S113.
#[tokio::test]
async fn a_killed_child_excepts_its_parent() {
    let world = World::new();
    let runtime = world.builder().register::<Pair>().register::<Leaf>().build().await.unwrap();
    let run = runtime.launch(Pair::inputs().end("well")).await.unwrap();
    world.gate.reached().await;
    eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
    let children = world.store.children(run.pid()).await.unwrap();
    assert!(runtime.attach(&children[1]).await.unwrap().kill_force("no more").await.unwrap());
    let Outcome::Excepted(error) = run.outcome().await.unwrap() else { panic!("{run:?}") };
    assert!(error.to_string().contains("killed: no more"), "{error}");
}

/// Has a context like plumpy's: names that come and go, beside fields that the compiler knows.
#[process(name = "it::Mapped", needs(Gate))]
#[derive(Debug, Default)]
struct Mapped {
    rounds: u32,
    ctx: Map<String, Value>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

spec! { Mapped { output ctx: Value; output rounds: u32; } }

outline! { Mapped { fill; hold; read => ctx, rounds; } }

impl Mapped {
    fn fill(&mut self) {
        self.rounds += 1;
        self.ctx.insert("a".into(), json!([1, { "b": null }]));
        self.ctx.entry("a").or_insert_with(|| json!("set by default"));
        self.ctx.entry("c").or_insert_with(|| json!("set by default"));
        self.ctx.insert("d".into(), json!(4));
        self.ctx.remove("d");
        self.more.insert("e".into(), json!(5));
    }

    async fn hold(&mut self, cx: &mut Cx<Self>) {
        cx.resource::<Gate>().pass().await;
    }

    fn read(&mut self) -> Result<(Value, u32), StepError> {
        assert!(self.ctx.get("d").is_none() && self.ctx.get("missing").is_none());
        let mut ctx = self.ctx.clone();
        ctx.extend(std::mem::take(&mut self.more));
        Ok((Value::Object(ctx), self.rounds))
    }
}

// S114: attributes are fields, items are those of a map; both are saved by value.
#[tokio::test]
async fn a_context_can_hold_names_that_are_not_known_before() {
    let world = World::new();
    let build = || world.builder().register::<Mapped>().build();
    let runtime = build().await.unwrap();
    let run = runtime.launch(Mapped::inputs()).key("m").await.unwrap();
    world.gate.reached().await;
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
    let record = world.store.load(run.pid()).await.unwrap().unwrap();
    let context: Value = serde_json::from_str(&record.context).unwrap();
    let expected = json!({ "rounds": 1, "ctx": { "a": [1, { "b": null }], "c": "set by default" }, "e": 5 });
    assert_eq!(context, expected);

    let runtime = build().await.unwrap();
    let run = runtime.launch(Mapped::inputs()).key("m").await.unwrap();
    world.gate.open(1);
    let outputs = run.outcome().await.unwrap().finished().expect("finished");
    assert_eq!(outputs.ctx, json!({ "a": [1, { "b": null }], "c": "set by default", "e": 5 }));
    assert_eq!(outputs.rounds, 1);
}

/// How often predicates and bodies were run, in all runtimes.
#[derive(Default)]
struct Counts {
    predicates: AtomicU32,
    bodies: AtomicU32,
}

/// Chooses a branch, and passes the gate in the midst of a future in it.
#[process(name = "it::Chooser", needs(Gate, Arc<Counts>))]
#[derive(Debug, Default)]
struct Chooser {
    rounds: u32,
}

spec! { Chooser { output rounds: u32; } }

outline! { Chooser {
    while_(again) {
        if_(chosen) { work } else_ { other }
    }
    finish => rounds;
}}

impl Chooser {
    fn again(&self) -> bool {
        self.rounds == 0
    }

    /// True for the first time only: a predicate that is asked again would choose the other branch.
    fn chosen(&self, cx: &Cx<Self>) -> bool {
        cx.resource::<Arc<Counts>>().predicates.fetch_add(1, Ordering::SeqCst) == 0
    }

    async fn work(&mut self, cx: &mut Cx<Self>) {
        let counts = cx.resource::<Arc<Counts>>();
        counts.bodies.fetch_add(1, Ordering::SeqCst);
        self.rounds += 1;
        // A plain future: it lives in this body, and is not stored.
        cx.resource::<Gate>().pass().await;
    }

    fn other(&mut self) -> Result<(), StepError> {
        Err("the branch was chosen again".into())
    }

    fn finish(&mut self) -> u32 {
        self.rounds
    }
}

async fn chooser(restarts: u32) -> (u32, Arc<Counts>) {
    let (world, counts) = (World::new(), Arc::<Counts>::default());
    let build = || world.builder().register::<Chooser>().resource(Arc::clone(&counts)).build();
    for _ in 0..restarts {
        let runtime = build().await.unwrap();
        let _run = runtime.launch(Chooser::inputs()).key("c").await.unwrap();
        world.gate.reached().await;
        runtime.shutdown_within(Duration::ZERO).await.unwrap();
    }
    let runtime = build().await.unwrap();
    let run = runtime.launch(Chooser::inputs()).key("c").await.unwrap();
    world.gate.open(1);
    let outputs = run.outcome().await.unwrap().finished().expect("finished");
    (outputs.rounds, counts)
}

// S115.
#[tokio::test]
async fn a_branch_that_was_chosen_is_not_chosen_again_after_a_restart() {
    let (rounds, counts) = chooser(3).await;
    assert_eq!((rounds, counts.predicates.load(Ordering::SeqCst)), (1, 1));
}

// S110, S116. plumpy puts a future into the context and waits outside of any step; a checkpoint loses it. Here a future
// is awaited in a step, and a crash runs the body of that step again; its effect on the fields counts once.
#[tokio::test]
async fn a_future_is_awaited_in_a_step_whose_body_runs_again_after_a_crash() {
    for restarts in 0..4 {
        let (rounds, counts) = chooser(restarts).await;
        assert_eq!((rounds, counts.bodies.load(Ordering::SeqCst)), (1, restarts + 1));
    }
}

/// Waits for children, a time and a resume at once.
#[process(name = "it::Everything")]
#[derive(Debug, Default)]
struct Everything {
    leaf: Child<Leaf>,
}

spec! { Everything { output sum: u64; } }

outline! { Everything { wait; sum => sum; } }

impl Everything {
    fn wait(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        self.leaf = cx.launch(Leaf::inputs().n(3).gated(true))?;
        cx.sleep(Duration::from_secs(60));
        Ok(cx.wait("for a number"))
    }

    fn sum(&mut self, cx: &mut Cx<Self>) -> Result<u64, StepError> {
        Ok(self.leaf.outputs()?.square + cx.resumed::<u64>()?.ok_or("no number")?)
    }
}

// S110: all that is waited for adds up, in whatever order it comes, also after a restart (S116).
#[tokio::test]
async fn what_a_step_waits_for_adds_up_in_any_order() {
    for order in [["child", "time", "resume"], ["resume", "time", "child"], ["time", "resume", "child"]] {
        let world = World::new();
        let build = || world.builder().register::<Everything>().register::<Leaf>().build();
        let mut runtime = build().await.unwrap();
        let mut run = runtime.launch(Everything::inputs()).key("e").await.unwrap();
        world.gate.reached().await;
        eventually(async || run.status().await.unwrap().state == ProcessState::Waiting).await;
        for what in order {
            assert_eq!(run.status().await.unwrap().state, ProcessState::Waiting, "{what} is still to come");
            match what {
                "child" => {
                    world.gate.open(2);
                    let child = world.store.children(run.pid()).await.unwrap().remove(0);
                    runtime.attach(&child).await.unwrap().termination().await.unwrap();
                }
                "time" => world.clock.advance(Duration::from_secs(60)),
                _ => assert!(run.resume(4).await.unwrap()),
            }
            if what == order[0] {
                runtime.shutdown_within(Duration::ZERO).await.unwrap();
                runtime = build().await.unwrap();
                run = runtime.launch(Everything::inputs()).key("e").await.unwrap();
            }
        }
        assert_eq!(run.outcome().await.unwrap().finished().expect("finished").sum, 13);
        runtime.shutdown().await.unwrap();
    }
}
