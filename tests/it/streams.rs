//! Streams: items go from process to process while both run.

#[cfg(all(unix, feature = "sqlite", feature = "amqp"))]
mod example;
#[cfg(all(unix, feature = "sqlite"))]
mod killed;

use procession::prelude::*;
use procession::store::FileStore;
use procession::stream::StreamError;
use procession::transport::{Content, Envelope, Kind, LocalTransport, Mode, Topic, Transport};
use procession::{AnyHandle, RunError, RuntimeBuilder, limits};
use serde_json::json;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use crate::support::{Gate, World, eventually};

/// Sends the numbers up to a limit, some in each step.
#[process]
#[derive(Debug, Default)]
pub(super) struct Count {
    next: u64,
}
spec! { Count {
    input to: u64;
    input at_once: u64 = 1;
    /// How often a step lets others run.
    input turns: usize = 0;
    /// The numbers.
    stream out numbers: u64;
}}
outline! { Count { while_(goes_on) { count; } } }

impl Count {
    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        self.next < cx.inputs().to
    }

    async fn count(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        for _ in 0..cx.inputs().turns {
            tokio::task::yield_now().await;
        }
        for _ in 0..cx.inputs().at_once {
            if self.goes_on(cx) {
                cx.send(Self::numbers, self.next)?;
                self.next += 1;
            }
        }
        Ok(())
    }
}

/// Takes numbers until they end, and keeps them.
#[process]
#[derive(Debug, Default)]
pub(super) struct Collect {
    all: Vec<u64>,
}
spec! { Collect {
    input at_once: usize = 1;
    stream in numbers: u64;
    output all: Vec<u64>;
}}
outline! { Collect { listen; while_(goes_on) { collect; } finish => all; } }

impl Collect {
    fn listen(&mut self, cx: &mut Cx<Self>) {
        cx.receive_up_to(Self::numbers, cx.inputs().at_once);
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::numbers)
    }

    fn collect(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        while let Some(number) = cx.received(Self::numbers)? {
            self.all.push(number);
        }
        self.listen(cx);
        Ok(())
    }

    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.all)
    }
}

/// Takes from one stream and sends on to another, twice as much.
#[process]
#[derive(Debug, Default)]
struct Double {}
spec! { Double { input turns: usize; stream in plain: u64; stream out doubled: u64; } }
outline! { Double { listen; while_(goes_on) { double; } } }

impl Double {
    fn listen(&mut self, cx: &mut Cx<Self>) {
        cx.receive_up_to(Self::plain, 3);
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::plain)
    }

    async fn double(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        for _ in 0..cx.inputs().turns {
            tokio::task::yield_now().await;
        }
        while let Some(number) = cx.received(Self::plain)? {
            cx.send(Self::doubled, 2 * number)?;
        }
        self.listen(cx);
        Ok(())
    }
}

/// Sends a number, and the next one when it has come back.
#[process]
#[derive(Debug, Default)]
struct Serve {
    rounds: u64,
}
spec! { Serve { input rounds: u64; input begins: bool = false; stream out to: u64; stream in from: u64; output rounds: u64; } }
outline! { Serve { begin; while_(goes_on) { play; } finish => rounds; } }

impl Serve {
    fn begin(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        if cx.inputs().begins {
            cx.send(Self::to, 0)?;
        }
        cx.receive(Self::from);
        Ok(())
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        self.rounds < cx.inputs().rounds && !cx.has_ended(Self::from)
    }

    fn play(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let number = cx.received(Self::from)?.ok_or("nothing has come, though the wait is over")?;
        self.rounds += 1;
        cx.send(Self::to, number + 1)?;
        cx.receive(Self::from);
        Ok(())
    }

    fn finish(&mut self) -> u64 {
        self.rounds
    }
}

/// Sends two numbers, closes or not, and goes on at a gate.
#[process(needs(Gate))]
#[derive(Debug, Default)]
struct Stay {}
spec! { Stay { input closes: bool = false; input fails: bool = false; stream out numbers: u64; } }
outline! { Stay { send; stay; } }

impl Stay {
    fn send(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        cx.send(Self::numbers, 1)?;
        cx.send(Self::numbers, 2)?;
        if cx.inputs().closes {
            cx.close(Self::numbers);
            let refused = cx.send(Self::numbers, 3).unwrap_err();
            assert!(matches!(refused, StreamError::Closed { port: "numbers" }), "{refused}");
        }
        Ok(())
    }

    async fn stay(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        if cx.inputs().closes {
            let refused = cx.send(Self::numbers, 3).unwrap_err();
            assert!(matches!(refused, StreamError::Closed { port: "numbers" }), "{refused}");
        } else {
            cx.send(Self::numbers, 3)?;
        }
        cx.resource::<Gate>().pass().await;
        if cx.inputs().fails { Err("it fails".into()) } else { Ok(()) }
    }
}

/// Takes one number, and is done.
#[process]
#[derive(Debug, Default)]
struct TakeOne {}
spec! { TakeOne { stream in numbers: u64; output one: u64; } }
outline! { TakeOne { listen; take => one; } }

impl TakeOne {
    fn listen(&mut self, cx: &mut Cx<Self>) {
        cx.receive(Self::numbers);
    }

    fn take(&mut self, cx: &mut Cx<Self>) -> Result<u64, StepError> {
        Ok(cx.received(Self::numbers)?.ok_or("nothing has come")?)
    }
}

/// Takes texts, and counts what is none.
#[process]
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<String>,
    others: u64,
}
spec! { Texts { input strict: bool; stream in texts: String; output others: u64; } }
outline! { Texts { listen; while_(goes_on) { take; } finish => others; } }

impl Texts {
    fn listen(&mut self, cx: &mut Cx<Self>) {
        cx.receive(Self::texts);
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::texts)
    }

    fn take(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        match cx.received(Self::texts) {
            Err(StreamError::Malformed { port: "texts", .. }) if !cx.inputs().strict => self.others += 1,
            received => self.texts.extend(received?),
        }
        self.listen(cx);
        Ok(())
    }

    fn finish(&mut self) -> u64 {
        self.others
    }
}

/// Sends more in one step than it may.
#[process]
#[derive(Debug, Default)]
struct Flood {}
spec! { Flood { input bytes: bool; stream out texts: String; } }
outline! { Flood { flood; } }

impl Flood {
    fn flood(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        let text = if cx.inputs().bytes { "x".repeat(limits::STREAM_BYTES / 2) } else { String::new() };
        (0..=limits::STREAM_SENT).try_for_each(|_| cx.send(Self::texts, text.clone()))
    }
}

/// Sends a number, and another one in the step in which it ends as killed.
#[process]
#[derive(Debug, Default)]
struct Quit {}
spec! { Quit { stream out numbers: u64; } }
outline! { Quit { send; quit; } }

impl Quit {
    fn send(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        cx.send(Self::numbers, 1)
    }

    fn quit(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StreamError> {
        cx.send(Self::numbers, 2)?;
        Ok(cx.kill("enough"))
    }
}

/// Does nothing.
#[process]
#[derive(Debug, Default)]
struct Plain {}
spec! { Plain {} }
outline! { Plain { run; } }

impl Plain {
    fn run(&mut self) {}
}

fn with_all(builder: RuntimeBuilder) -> RuntimeBuilder {
    let builder = builder.register::<Count>().register::<Collect>().register::<Double>().register::<Serve>();
    builder
        .register::<Stay>()
        .register::<TakeOne>()
        .register::<Texts>()
        .register::<Flood>()
        .register::<Plain>()
        .register::<Quit>()
}

/// With a store and without.
async fn both(world: &World, channels: &Arc<dyn Transport>) -> [Runtime; 2] {
    let [stored, volatile] = [world.builder(), world.volatile()];
    let channels = |builder: RuntimeBuilder| with_all(builder).channels(Arc::clone(channels));
    [channels(stored).await.unwrap(), channels(volatile).await.unwrap()]
}

fn local() -> Arc<dyn Transport> {
    Arc::new(LocalTransport::new())
}

pub(super) fn up_to(most: u64) -> Vec<u64> {
    (0..most).collect()
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

async fn excepted(handle: impl Future<Output = procession::Result<procession::process::Termination>>) -> String {
    handle.await.unwrap().ended.to_string()
}

#[tokio::test]
async fn two_processes_hand_one_another_items_while_they_run() {
    for runtime in both(&World::new(), &local()).await {
        for at_once in [1, 7] {
            let wire = Wire::unique();
            let collect = runtime.launch(Collect::inputs().numbers(wire.clone()).at_once(at_once)).await.unwrap();
            let count = runtime.launch(Count::inputs().to(100).numbers(wire)).await.unwrap();
            assert!(count.outcome().await.unwrap().is_finished());
            assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(100));
        }
    }
}

/// What was sent before there was a receiver waits for it.
#[tokio::test]
async fn a_receiver_may_come_after_its_sender_has_ended() {
    for runtime in both(&World::new(), &local()).await {
        let wire = Wire::unique();
        let count = runtime.launch(Count::inputs().to(50).numbers(wire.clone()).at_once(5)).await.unwrap();
        assert!(count.outcome().await.unwrap().is_finished());
        let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(50));
    }
}

/// Each waits for the other, over and over: with one slot, one that held it while it waits would wait for ever.
#[tokio::test]
async fn two_processes_share_one_slot_for_thousands_of_items() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = with_all(builder).concurrent(1).await.unwrap();
        let (there, back) = (Wire::unique(), Wire::unique());
        let first = Serve::inputs().rounds(2_000).begins(true).to(there.clone()).from(back.clone());
        let second = Serve::inputs().rounds(2_000).to(back).from(there);
        let first = runtime.launch(first).await.unwrap();
        let second = runtime.launch(second).await.unwrap();
        assert_eq!(first.outcome().await.unwrap().finished().unwrap().rounds, 2_000);
        assert_eq!(second.outcome().await.unwrap().finished().unwrap().rounds, 2_000);
    }
}

#[tokio::test]
async fn a_process_that_waits_at_a_stream_is_waiting_and_says_for_what() {
    let world = World::new();
    let runtime = with_all(world.builder()).concurrent(1).await.unwrap();
    let collect = runtime.launch(Collect::inputs().numbers(Wire::unique())).await.unwrap();
    eventually(|| async { collect.status().await.unwrap().state == ProcessState::Waiting }).await;
    let plain = runtime.launch(Plain::inputs()).await.unwrap();
    assert!(plain.outcome().await.unwrap().is_finished(), "the slot is free");
    let record = world.store.load(collect.pid()).await.unwrap().unwrap();
    assert_eq!(record.awaiting.streams, ["numbers"]);
    assert!(!record.awaiting.is_empty());
    assert!(collect.kill("enough").await.unwrap());
}

/// The topic is full, and the sender waits: without a slot, with a bounded number of items in its hands.
#[tokio::test]
async fn a_sender_waits_while_nobody_receives() {
    let world = World::new();
    for builder in [world.volatile(), world.builder()] {
        let runtime = with_all(builder).concurrent(1).await.unwrap();
        let wire = Wire::unique().with_capacity(NonZeroUsize::new(8).unwrap());
        let most = 8 + limits::STREAM_AHEAD as u64 + 2;
        let count = runtime.launch(Count::inputs().to(4 * most).numbers(wire.clone())).await.unwrap();
        eventually(|| async { count.status().await.unwrap().steps + 4 >= most }).await;
        for _ in 0..20 {
            let plain = runtime.launch(Plain::inputs()).await.unwrap();
            assert!(plain.outcome().await.unwrap().is_finished(), "the slot is free");
        }
        let status = count.status().await.unwrap();
        assert!(status.steps <= most && status.state == ProcessState::Running, "{status:?}");
        let collect = runtime.launch(Collect::inputs().numbers(wire).at_once(16)).await.unwrap();
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(4 * most));
        assert!(count.outcome().await.unwrap().is_finished());
    }
}

#[tokio::test]
async fn a_process_that_ends_waits_until_all_has_left() {
    let world = World::new();
    let runtime = with_all(world.builder()).await.unwrap();
    let wire = Wire::unique().with_capacity(NonZeroUsize::new(2).unwrap());
    let count = runtime.launch(Count::inputs().to(10).numbers(wire.clone()).at_once(10)).await.unwrap();
    eventually(|| async { world.store.load(count.pid()).await.unwrap().unwrap().position.contains("\"end\"") }).await;
    assert!(!count.status().await.unwrap().state.is_terminal());
    let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
    assert!(count.outcome().await.unwrap().is_finished());
    assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(10));
}

#[tokio::test]
async fn a_closed_stream_ends_while_its_sender_goes_on() {
    let world = World::new();
    for runtime in both(&world, &local()).await {
        let wire = Wire::unique();
        let stay = runtime.launch(Stay::inputs().numbers(wire.clone()).closes(true)).await.unwrap();
        let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, [1, 2]);
        world.gate.reached().await;
        world.gate.open(1);
        assert!(stay.outcome().await.unwrap().is_finished());
    }
}

/// What the step sent that was cut off, or that failed, was not sent; what was committed was, and the end.
#[tokio::test]
async fn the_streams_of_a_process_that_is_killed_or_fails_end() {
    let world = World::new();
    for runtime in both(&world, &local()).await {
        for fails in [false, true] {
            let wire = Wire::unique();
            let stay = runtime.launch(Stay::inputs().numbers(wire.clone()).fails(fails)).await.unwrap();
            let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
            world.gate.reached().await;
            if fails {
                world.gate.open(1);
                assert!(excepted(stay.termination()).await.contains("it fails"));
            } else {
                assert!(stay.kill_force("enough").await.unwrap());
            }
            assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, [1, 2], "fails: {fails}");
        }
    }
}

/// A kill that waits for the step to end: what that step has sent is dropped with it.
#[tokio::test]
async fn a_step_that_a_kill_waited_for_has_sent_nothing() {
    let world = World::new();
    for runtime in both(&world, &local()).await {
        let wire = Wire::unique();
        let stay = runtime.launch(Stay::inputs().numbers(wire.clone())).await.unwrap();
        let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
        world.gate.reached().await;
        let (killed, ()) = tokio::join!(stay.kill("enough"), async {
            eventually(|| async { stay.status().await.unwrap().killing }).await;
            world.gate.open(1);
        });
        assert!(killed.unwrap());
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, [1, 2]);
    }
}

#[tokio::test]
async fn a_step_that_ends_its_process_as_killed_has_sent_nothing() {
    for runtime in both(&World::new(), &local()).await {
        let wire = Wire::unique();
        let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
        let quit = runtime.launch(Quit::inputs().numbers(wire)).await.unwrap();
        assert!(excepted(quit.termination()).await.contains("enough"));
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, [1]);
    }
}

#[tokio::test]
async fn several_senders_end_together() {
    let world = World::new();
    for runtime in both(&world, &local()).await {
        let wire = Wire::unique().with_senders(number(2));
        let collect = runtime.launch(Collect::inputs().numbers(wire.clone()).at_once(4)).await.unwrap();
        let first = runtime.launch(Count::inputs().to(60).numbers(wire.clone())).await.unwrap();
        assert!(first.outcome().await.unwrap().is_finished(), "its end is one of two");
        let second = runtime.launch(Count::inputs().to(40).numbers(wire).at_once(3)).await.unwrap();
        assert!(second.outcome().await.unwrap().is_finished());
        let mut all = collect.outcome().await.unwrap().finished().unwrap().all;
        assert_eq!(all.drain(..60).collect::<Vec<_>>(), up_to(60), "in the order of the sender");
        assert_eq!(all, up_to(40));
    }
}

/// What had come for a process that ended without taking it comes again, to who receives next.
#[tokio::test]
async fn what_a_receiver_had_and_did_not_store_comes_again() {
    let world = World::new();
    for runtime in both(&world, &local()).await {
        let wire = Wire::unique();
        let count = runtime.launch(Count::inputs().to(20).numbers(wire.clone()).at_once(20)).await.unwrap();
        assert!(count.outcome().await.unwrap().is_finished());
        for expected in 0..3 {
            let one = runtime.launch(TakeOne::inputs().numbers(wire.clone())).await.unwrap();
            assert_eq!(one.outcome().await.unwrap().finished().unwrap().one, expected);
        }
        let collect = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, (3..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_item_of_another_type_is_a_typed_error() {
    for runtime in both(&World::new(), &local()).await {
        for strict in [false, true] {
            // By hand, where no compiler looks.
            let inputs = json!({ "texts": format!("numbers {strict}"), "strict": strict });
            let texts = runtime.launch_by_name(<Texts as Process>::NAME, inputs.as_object().unwrap().clone());
            let texts: AnyHandle = texts.await.unwrap();
            let wire = Wire::new(format!("numbers {strict}"));
            let count = runtime.launch(Count::inputs().to(3).numbers(wire)).await.unwrap();
            assert!(count.outcome().await.unwrap().is_finished());
            let end = texts.termination().await.unwrap();
            if strict {
                let ended = end.ended.to_string();
                assert!(ended.contains("what came on stream `texts` is no `alloc::string::String`"), "{ended}");
            } else {
                assert_eq!(end.outputs["others"], 3);
            }
        }
    }
}

#[tokio::test]
async fn a_wire_that_cannot_be_one_is_refused_at_the_launch() {
    let runtime = with_all(World::new().volatile()).await.unwrap();
    let refused = runtime.launch(TakeOne::inputs().numbers(Wire::new(""))).await.unwrap_err();
    let RunError::Inputs(refused) = refused else { panic!("{refused}") };
    assert!(refused.to_string().contains("`` cannot be the name of a topic"), "{refused}");
}

#[tokio::test]
async fn a_step_that_sends_too_much_fails() {
    let runtime = with_all(World::new().volatile()).await.unwrap();
    for (bytes, what) in [(false, "a step sends more items"), (true, "a step sends more bytes")] {
        let flood = runtime.launch(Flood::inputs().bytes(bytes).texts(Wire::unique())).await.unwrap();
        let ended = excepted(flood.termination()).await;
        assert!(ended.contains(what), "{ended}");
    }
}

/// The topic is open in another way: waiting would not help, so both fail.
#[tokio::test]
async fn a_stream_that_cannot_be_opened_fails_its_process() {
    let channels = local();
    let topic = Topic::new("taken", Mode::Pipeline).unwrap().with_capacity(NonZeroUsize::new(3).unwrap()).unwrap();
    let _outlet = channels.outlet(&topic).await.unwrap();
    for runtime in both(&World::new(), &channels).await {
        let collect = runtime.launch(Collect::inputs().numbers(Wire::new("taken"))).await.unwrap();
        let count = runtime.launch(Count::inputs().to(3).numbers(Wire::new("taken"))).await.unwrap();
        for ended in [excepted(collect.termination()).await, excepted(count.termination()).await] {
            assert!(ended.contains("stream `numbers` failed"), "{ended}");
        }
    }
}

#[tokio::test]
async fn a_paused_receiver_takes_nothing_until_it_is_played() {
    for runtime in both(&World::new(), &local()).await {
        let wire = Wire::unique();
        let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
        eventually(|| async { collect.status().await.unwrap().state == ProcessState::Waiting }).await;
        assert!(collect.pause("").await.unwrap());
        let steps = collect.status().await.unwrap().steps;
        let count = runtime.launch(Count::inputs().to(10).numbers(wire)).await.unwrap();
        assert!(count.outcome().await.unwrap().is_finished());
        assert_eq!(collect.status().await.unwrap().steps, steps);
        assert!(collect.play().await.unwrap());
        assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(10));
    }
}

/// It is in the store alone, and what comes wakes it all the same.
#[tokio::test]
async fn a_receiver_that_is_not_in_memory_is_woken() {
    let world = World::new();
    let runtime = with_all(world.builder()).resident(0).await.unwrap();
    let wire = Wire::unique();
    let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
    eventually(|| async { collect.status().await.unwrap().state == ProcessState::Waiting }).await;
    let count = runtime.launch(Count::inputs().to(30).numbers(wire)).await.unwrap();
    assert!(count.outcome().await.unwrap().is_finished());
    assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(30));
}

/// What is stored goes on after a crash, and misses what was on its way.
#[tokio::test]
async fn streams_that_would_be_lost_beside_a_store_that_is_not_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::open(folder.path()).unwrap();
    let refused = with_all(Runtime::builder()).resource(Gate::new()).store(store()).build().await.unwrap_err();
    let RunError::NoChannels { process } = refused else { panic!("{refused}") };
    assert!(process.ends_with("::Collect"), "{process}");
    // Nothing is owned yet, and who has no streams needs nothing to carry them.
    Runtime::builder().store(store()).build().await.unwrap().shutdown().await.unwrap();
    // Whoever says that it may be so is told, and has it.
    let runtime =
        with_all(Runtime::builder()).resource(Gate::new()).store(store()).channels(local()).build().await.unwrap();
    let wire = Wire::unique();
    let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
    runtime.launch(Count::inputs().to(3).numbers(wire)).await.unwrap();
    assert_eq!(collect.outcome().await.unwrap().finished().unwrap().all, up_to(3));
    runtime.shutdown().await.unwrap();
}

/// It waits until that one has ended, and has what is left.
#[tokio::test]
async fn a_second_process_on_a_wire_does_not_take_from_the_first() {
    let item = |number: u64, subject: &str| {
        let body = number.to_string().into();
        let envelope = Envelope::new(Kind::Data, "someone".into(), Content::Json, body);
        Envelope { number: number + 1, subject: subject.into(), ..envelope }
    };
    for runtime in both(&World::new(), &local()).await {
        let wire = Wire::unique();
        let topic = Topic::new(wire.topic(), Mode::Pipeline).unwrap().lasting();
        let mut outlet = runtime.channels().outlet(&topic).await.unwrap();
        let first = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
        let steps = async |run: &AnyHandle| run.status().await.unwrap().steps;
        outlet.send(item(0, "")).await.unwrap();
        eventually(|| async { steps(first.any()).await == 2 }).await;
        let second = runtime.launch(Collect::inputs().numbers(wire)).await.unwrap();
        eventually(|| async { second.status().await.unwrap().state == ProcessState::Waiting }).await;
        for next in 1..20 {
            outlet.send(item(next, "")).await.unwrap();
        }
        eventually(|| async { steps(first.any()).await == 21 }).await;
        assert_eq!(steps(second.any()).await, 1);
        first.kill("").await.unwrap();
        outlet.send(item(20, "")).await.unwrap();
        outlet.send(item(21, "end")).await.unwrap();
        assert_eq!(second.outcome().await.unwrap().finished().unwrap().all, [20]);
    }
}

#[tokio::test]
async fn a_receiver_goes_on_listening_in_the_next_runtime() {
    let (world, channels) = (World::new(), local());
    let build = || with_all(world.builder()).channels(Arc::clone(&channels)).build();
    let (runtime, wire) = (build().await.unwrap(), Wire::unique());
    let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
    let pid = collect.pid().clone();
    eventually(|| async { collect.status().await.unwrap().state == ProcessState::Waiting }).await;
    runtime.shutdown().await.unwrap();
    let runtime = build().await.unwrap();
    runtime.launch(Count::inputs().to(5).numbers(wire)).await.unwrap();
    let end = runtime.attach(&pid).await.unwrap().termination().await.unwrap();
    assert_eq!(end.outputs["all"], json!(up_to(5)));
}

/// Three processes in a row, cut off again and again wherever they are: the tokio runtime is dropped with all that runs on it, after so
/// many turns of its only thread.
#[test]
fn a_pipeline_that_is_cut_off_again_and_again_loses_and_repeats_nothing() {
    const CUTS: [usize; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25];
    let (world, channels) = (World::new(), local());
    let (plain, doubled) = (Wire::new("plain").with_capacity(NonZeroUsize::new(4).unwrap()), Wire::new("doubled"));
    let (mut pids, mut cut_off) = (Vec::new(), 0);
    for turns in CUTS.into_iter().map(Some).chain([None]) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = tokio.block_on(async {
            let runtime = with_all(world.builder()).channels(Arc::clone(&channels)).build().await.unwrap();
            if pids.is_empty() {
                let count = Count::inputs().to(400).at_once(3).turns(2).numbers(plain.clone());
                let double = Double::inputs().turns(3).plain(plain.clone()).doubled(doubled.clone());
                let collect = Collect::inputs().numbers(doubled.clone()).at_once(5);
                pids.push(runtime.launch(count).await.unwrap().pid().clone());
                pids.push(runtime.launch(double).await.unwrap().pid().clone());
                pids.push(runtime.launch(collect).await.unwrap().pid().clone());
            }
            let Some(turns) = turns else {
                for pid in &pids {
                    let end = runtime.attach(pid).await.unwrap().termination().await.unwrap();
                    assert!(end.ended.is_successful(), "{end:?}");
                }
                return true;
            };
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            false
        });
        let ended = |record: Option<procession::store::Record>| record.is_some_and(|record| record.state.is_terminal());
        cut_off += usize::from(!done && !ended(tokio.block_on(world.store.load(&pids[2])).unwrap()));
        drop(tokio);
    }
    assert!(cut_off > 15, "it was at work when it was cut off: {cut_off}");
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let record = tokio.block_on(world.store.load(&pids[2])).unwrap().unwrap();
    let outputs: serde_json::Value = serde_json::from_str(&record.outputs).unwrap();
    assert_eq!(outputs["all"], json!(up_to(400).iter().map(|number| 2 * number).collect::<Vec<_>>()));
}
