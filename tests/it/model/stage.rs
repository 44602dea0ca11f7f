//! The real runtime, driven event by event: each is followed until nothing moves any more, and compared.

use procession::listener::Listener;
use procession::prelude::*;
use procession::process::{ErrorInfo, Transition};
use procession::{AnyHandle, RunError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};

use super::super::support::{Gate, World};
use super::reference::{Answer, Ask, Event, Model, Way};

/// Rounds of the scheduler after which nothing moves any more. A third of them would do, twice as many change nothing.
const CALM: usize = 12;
const MINUTE: Duration = Duration::from_secs(60);

/// What the steps of a scripted process do, and what they have seen.
struct Script {
    ways: tokio::sync::Mutex<mpsc::UnboundedReceiver<Way>>,
    inside: AtomicUsize,
    resumed: Mutex<Option<usize>>,
    children: Mutex<Vec<ProcessId>>,
}

/// Counts a step while it runs, also one that is cut off.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does in each step what the test says.
#[process(name = "it::Scripted", needs(Arc<Script>))]
#[derive(Default)]
struct Scripted {
    turns: u32,
}

spec! { Scripted {
    input quiet: bool;
    exit 1 Planned "";
}}

outline! { Scripted { while_(always) { turn } } }

impl Scripted {
    fn always(&self) -> bool {
        true
    }

    async fn turn(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        let script = Arc::clone(&cx.resource::<Arc<Script>>());
        script.inside.fetch_add(1, Ordering::Relaxed);
        let inside = Inside(&script.inside);
        *script.resumed.lock().unwrap() = cx.resumed()?;
        let way = script.ways.lock().await.recv().await.ok_or("the test is over")?;
        drop(inside);
        self.turns += 1;
        if !cx.inputs().quiet {
            cx.set_status(format!("turn {}", self.turns));
        }
        Ok(match way {
            Way::Go => cx.next(),
            Way::WaitForResume => cx.wait("for anyone"),
            Way::WaitForTimer => {
                cx.sleep(MINUTE);
                cx.next()
            }
            Way::WaitForChild => {
                let child = cx.launch(Waiter::inputs())?;
                script.children.lock().unwrap().extend(child.pid().cloned());
                cx.next()
            }
            Way::Finish => cx.stop(()),
            Way::Exit => cx.exit(ScriptedExit::Planned),
            Way::KillItself => cx.kill("by itself"),
            Way::Fail => return Err("planned".into()),
        })
    }
}

/// Waits for a resume, then passes a gate, if it is a blocker; then again.
#[process(name = "it::Waiter", needs(Gate))]
#[derive(Default)]
struct Waiter;

spec! { Waiter { input blocks: bool = false; } }

outline! { Waiter { stay; while_(blocks) { hold } } }

impl Waiter {
    fn stay(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.wait("for anyone")
    }

    fn blocks(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().blocks
    }

    async fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        cx.resource::<Gate>().pass().await;
        cx.wait("for anyone")
    }
}

type Seen = Arc<Mutex<Vec<(ProcessId, Option<ProcessState>, ProcessState)>>>;

struct Trace(Seen);

impl Listener for Trace {
    fn on_transition(&self, transition: Transition<'_>, _: &str) {
        self.0.lock().unwrap().push((transition.pid.clone(), transition.from, transition.to));
    }
}

/// Where a sequence is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Without a store, and nobody watches: steps run in bursts.
    Quiet,
    /// Without a store, with a listener.
    Watched,
    /// With a store and a listener.
    Stored,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Quiet, Self::Watched, Self::Stored];
}

/// One process in a runtime of its own, and its model.
pub(super) struct Stage {
    place: Place,
    world: World,
    runtime: Runtime,
    run: AnyHandle,
    blocker: AnyHandle,
    script: Arc<Script>,
    ways: mpsc::UnboundedSender<Way>,
    seen: Seen,
    pub(super) model: Model,
    /// Whether there was a child to wait for before what happens now.
    open_child: bool,
    asked: BTreeMap<usize, JoinHandle<Result<bool, RunError>>>,
    answers: BTreeMap<usize, Answer>,
}

async fn calm() {
    for _ in 0..CALM {
        yield_now().await;
    }
}

impl Stage {
    /// A process that is created and has not run: another one has the only slot.
    pub(super) async fn new(place: Place) -> Self {
        let world = World::new();
        let (ways, receiver) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            ways: tokio::sync::Mutex::new(receiver),
            inside: AtomicUsize::new(0),
            resumed: Mutex::default(),
            children: Mutex::default(),
        });
        let seen = Seen::default();
        let mut builder = if place == Place::Stored { world.builder() } else { world.volatile() };
        if place != Place::Quiet {
            builder = builder.listener(Trace(Arc::clone(&seen)));
        }
        let builder = builder.resource(Arc::clone(&script)).concurrent(1);
        let runtime = builder.register::<Scripted>().register::<Waiter>().build().await.unwrap();
        let blocker = runtime.launch(Waiter::inputs().blocks(true)).await.unwrap().any().clone();
        calm().await;
        let model = Model::new(place == Place::Quiet);
        let run = blocker.clone();
        let (asked, answers) = (BTreeMap::new(), BTreeMap::new());
        let open_child = false;
        let mut stage =
            Self { place, world, runtime, run, blocker, script, ways, seen, model, open_child, asked, answers };
        stage.model.slot_taken = false;
        stage.again().await;
        stage
    }

    /// The same with another process.
    async fn again(&mut self) {
        if !self.model.slot_taken {
            assert!(self.blocker.resume(()).await.unwrap());
            calm().await;
        }
        let quiet = self.place == Place::Quiet;
        self.run = self.runtime.launch(Scripted::inputs().quiet(quiet)).await.unwrap().any().clone();
        self.model = Model::new(quiet);
        self.seen.lock().unwrap().clear();
        self.script.children.lock().unwrap().clear();
        self.asked.clear();
        self.answers.clear();
        calm().await;
    }

    /// Lets all of this happen, one after the other; what is only asked happens at once with what is asked before.
    pub(super) async fn play(&mut self, events: &[(Event, bool)]) {
        for (place, &(event, at_once)) in events.iter().enumerate() {
            let asked = |event| matches!(event, Event::Ask(_));
            let followed = at_once && events.get(place + 1).is_some_and(|(next, _)| asked(*next)) && asked(event);
            self.happen(event, !followed).await;
        }
    }

    async fn happen(&mut self, event: Event, settles: bool) {
        if !self.model.permits(event) {
            return;
        }
        match event {
            Event::Ask(ask) => self.ask(ask),
            Event::Step(way) => self.ways.send(way).unwrap(),
            Event::Timer => self.world.clock.advance(MINUTE),
            Event::Child { killed } => {
                let pid = self.script.children.lock().unwrap().last().unwrap().clone();
                let child = self.runtime.attach(&pid).await.unwrap();
                let done = if killed { child.kill("planned").await } else { child.resume(()).await };
                assert!(done.unwrap());
            }
            Event::TakeSlot => assert!(self.blocker.resume(()).await.unwrap()),
            Event::FreeSlot => self.world.gate.open(1),
        }
        self.open_child |= self.model.has_open_child();
        self.model.take(event);
        if settles {
            self.model.settle();
            calm().await;
            self.check(event).await;
            if self.open_child && self.model.state == ProcessState::Killed {
                self.check_child_killed().await;
            }
            self.open_child = false;
        }
    }

    fn ask(&mut self, ask: Ask) {
        let (run, number) = (self.run.clone(), self.asked.len());
        let text = format!("ask {number}");
        let asking = async move {
            match ask {
                Ask::Pause { text: false } => run.pause("").await,
                Ask::Pause { text: true } => run.pause(text).await,
                Ask::Play => run.play().await,
                Ask::Kill => run.kill(text).await,
                Ask::KillForce => run.kill_force(text).await,
                Ask::Resume => run.resume(number).await,
                Ask::Fail => run.fail(ErrorInfo::new(text)).await,
            }
        };
        self.asked.insert(number, tokio::spawn(asking));
    }

    async fn check(&mut self, event: Event) {
        for (number, asking) in &mut self.asked {
            if !self.answers.contains_key(number) && asking.is_finished() {
                let answer = match asking.await.unwrap() {
                    Ok(held) => Answer::Held(held),
                    Err(RunError::InvalidState { state, .. }) => Answer::Refused(state),
                    Err(error) => panic!("{error}"),
                };
                self.answers.insert(*number, answer);
            }
        }
        let Model { state, paused, stepping, .. } = self.model;
        assert_eq!(self.answers, self.model.answers, "answers after {event:?}");
        let status = self.run.status().await.unwrap();
        // Without a store, only the end is known of a process that has ended.
        let known = !state.is_terminal() || self.place == Place::Stored;
        assert_eq!(status.state, state, "after {event:?}");
        if known {
            assert_eq!((status.paused, &status.text), (paused, &self.model.status), "after {event:?}");
        }
        assert_eq!(self.script.inside.load(Ordering::Relaxed), usize::from(stepping), "steps after {event:?}");
        if stepping {
            assert_eq!(*self.script.resumed.lock().unwrap(), self.model.resumed, "after {event:?}");
        }
        self.check_trace();
        if let Some(ended) = &self.model.ended {
            let end = self.run.termination().await.unwrap().ended.to_string();
            assert!(end.starts_with(ended.as_str()), "{end}, not {ended}");
        }
    }

    /// Only legal transitions, each from where the one before led, and those of the model (S2).
    fn check_trace(&self) {
        if self.place == Place::Quiet {
            return;
        }
        let mut last = ProcessState::Created;
        let mut trace = Vec::new();
        for (pid, from, to) in &*self.seen.lock().unwrap() {
            if pid == self.run.pid() && from.is_some() {
                assert_eq!(*from, Some(last));
                assert!(last.can_go_to(*to), "{last} to {to}");
                last = *to;
                trace.push(last);
            }
        }
        assert_eq!(trace, self.model.trace);
    }

    async fn check_child_killed(&self) {
        let pid = self.script.children.lock().unwrap().last().unwrap().clone();
        match self.runtime.attach(&pid).await {
            Ok(child) => assert_eq!(child.status().await.unwrap().state, ProcessState::Killed, "with its parent"),
            // Nothing is known any more of one that has ended without a store.
            Err(error) => assert!(self.place != Place::Stored && matches!(error, RunError::NotFound(_)), "{error}"),
        }
    }

    /// A forced kill at the end: every ask has its answer, and another process can be played with.
    pub(super) async fn end(&mut self) {
        self.happen(Event::Ask(Ask::KillForce), true).await;
        assert_eq!(self.answers.len(), self.asked.len(), "every ask is answered");
        let children = std::mem::take(&mut *self.script.children.lock().unwrap());
        for pid in children {
            if let Ok(child) = self.runtime.attach(&pid).await {
                child.kill_force("").await.unwrap();
            }
        }
        self.again().await;
    }

    /// Nothing keeps the runtime from closing.
    pub(super) async fn close(self) {
        self.world.gate.open(1_000);
        self.runtime.shutdown().await.unwrap();
    }
}
