//! What `status` shows of a run, as a terminal would: the real output of the real command.
//!
//! The run is told by a runtime on a clock of its own, step by step: one part has ended, the others are at a step. Ages are
//! told from now, so the clock is set such that the run has come to where it is kept when now has come to it, too.

use procession::clock::{Clock, ManualClock, SystemClock, Timestamp};
use procession::prelude::*;
use procession::store::{Durability, SqliteOptions, SqliteStore, Store};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::check;
use super::examples::FOLDER;
use crate::guide::Program;
use crate::support::{Gate, eventually};

/// How wide a letter is, how high a line, and the room around all.
const SIZES: [usize; 3] = [8, 20, 20];
/// How many of its numbers each part has looked at; the first one has ended.
const LOOKED_AT: [usize; 4] = [20, 13, 7, 11];
/// How long each took. Whole seconds, as ages are told.
const EACH: Duration = Duration::from_secs(1);
/// Within this long of its clock's time the run is looked at.
const SOON: Duration = Duration::from_millis(600);

/// The process of the README, whose steps wait to be let through.
#[process(name = "Primes", needs(Gates))]
#[derive(Default)]
struct Primes {
    parts: Vec<Child<Part>>,
}

spec! { Primes { input below: u64; output count: u64; } }

outline! { Primes {
    split;
    add => count;
}}

impl Primes {
    fn split(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let (below, parts) = (cx.inputs().below, LOOKED_AT.len() as u64);
        for part in 0..parts {
            let inputs = Part::inputs().from(below * part / parts).to(below * (part + 1) / parts);
            self.parts.push(cx.launch(inputs)?);
        }
        Ok(())
    }

    fn add(&self) -> Result<u64, StepError> {
        self.parts.iter().map(|part| Ok(part.outputs()?.count)).sum()
    }
}

#[process(name = "Part", needs(Gates))]
#[derive(Default)]
struct Part {
    seen: u64,
    count: u64,
}

spec! { Part { input from: u64; input to: u64; output count: u64; } }

outline! { Part {
    while_(unfinished) { look }
    finish => count;
}}

impl Part {
    fn unfinished(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().from + self.seen < cx.inputs().to
    }

    async fn look(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let (from, to) = (cx.inputs().from, cx.inputs().to);
        let gate = usize::try_from(from / (to - from))?;
        cx.resource::<Gates>().0[gate].pass().await;
        self.seen += 1;
        Ok(())
    }

    fn finish(&self) -> u64 {
        self.count
    }
}

/// One for each part.
#[derive(Clone)]
struct Gates(Arc<[Gate; 4]>);

/// A run that is told in so long; none where that was too short.
async fn told(store: &Path, within: Duration) -> Option<Runtime> {
    let steps = u32::try_from(LOOKED_AT.iter().sum::<usize>()).unwrap();
    let begun = SystemClock.now() + within;
    let begun = Timestamp::from_millis(begun.as_millis() - i64::try_from((EACH * steps).as_millis()).unwrap());
    let clock = Arc::new(ManualClock::new(begun));
    let gates = Gates(Arc::new([(); 4].map(|()| Gate::new())));
    // No power cut is expected, and there is little time.
    let store =
        Arc::new(SqliteStore::open_with(store, SqliteOptions::new().with_durability(Durability::Normal)).unwrap());
    let builder = Runtime::builder().shared_store(store.clone()).clock(clock.clone());
    let runtime = builder.resource(gates.clone()).register::<Primes>().register::<Part>().build().await.unwrap();
    runtime.launch(Primes::inputs().below(80)).id("first").await.unwrap();
    for gate in &*gates.0 {
        gate.reached().await;
    }
    for step in 0..LOOKED_AT[0] {
        // Side by side, as far as each comes.
        for (gate, _) in gates.0.iter().zip(LOOKED_AT).filter(|(_, looked_at)| step < *looked_at) {
            clock.advance(EACH);
            gate.open(1);
            if step + 1 < LOOKED_AT[0] {
                gate.reached().await;
            }
        }
    }
    let first = ProcessId::from("first");
    eventually(|| async { store.load(&first).await.unwrap().is_some_and(|first| first.open_children == 3) }).await;
    if SystemClock.now() > clock.now() {
        leave(runtime).await;
        return None;
    }
    SystemClock.until(clock.now()).await;
    Some(runtime)
}

/// Its steps would wait for ever.
async fn leave(runtime: Runtime) {
    runtime.shutdown_within(Duration::ZERO).await.unwrap();
}

/// What the command prints, at the time at which it is kept.
async fn status() -> String {
    for seconds in [2, 4, 8, 16, 32] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("primes.db");
        let Some(runtime) = told(&store, Duration::from_secs(seconds)).await else { continue };
        let now = SystemClock.now();
        let mut command = Command::new(Program::primes().programs().join("primes"));
        let output = command.args(["status", "first", "--store"]).arg(&store).env("COLUMNS", "110").output().unwrap();
        let took = SystemClock.now().since(now);
        leave(runtime).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if took < SOON {
            return String::from_utf8(output.stdout).unwrap();
        }
    }
    panic!("this machine is too slow");
}

/// The class of what a line is about.
fn class(line: &str) -> &'static str {
    let classes = [("finished", "done"), ("running", "running"), ("waiting", "waiting"), ("excepted", "failed")];
    classes.iter().find(|(word, _)| line.contains(word)).map_or("plain", |(_, class)| class)
}

/// A terminal with a command and what it printed.
fn screen(command: &str, printed: &str) -> String {
    let [wide, high, edge] = SIZES;
    let lines: Vec<&str> = printed.lines().collect();
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default().max(command.len() + 2);
    let (width, height) = (longest * wide + 2 * edge, (lines.len() + 1) * high + 2 * edge + 24);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"screen\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{command}\">\n<title>{command}</title>\n{STYLE}\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>\n"
    );
    for (dot, x) in ["failed", "waiting", "done"].iter().zip([22, 42, 62]) {
        writeln!(svg, "<circle class=\"{dot}\" cx=\"{x}\" cy=\"22\" r=\"6\"/>").unwrap();
    }
    let rows = std::iter::once((format!("$ {command}"), "command"))
        .chain(lines.iter().map(|line| (escaped(line), class(line))));
    for (row, (text, class)) in rows.enumerate() {
        let y = edge + 24 + (row + 1) * high - 6;
        writeln!(svg, "<text class=\"{class}\" x=\"{edge}\" y=\"{y}\" xml:space=\"preserve\">{text}</text>").unwrap();
    }
    svg + "</svg>\n"
}

const STYLE: &str = "\
<style>
.screen text{font-family:ui-monospace,SFMono-Regular,'SF Mono',Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace;font-size:13px;white-space:pre}
.screen .ground{fill:#0d1117;stroke:#30363d}
.screen .command{fill:#e6edf3;font-weight:700}
.screen .plain{fill:#e6edf3}
.screen .done{fill:#56d364}
.screen .running{fill:#79c0ff}
.screen .waiting{fill:#e3b341}
.screen .failed{fill:#ff7b72}
</style>
";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_a_status_is_true() {
    let printed = status().await;
    let svg = screen("primes status first", &printed);
    roxmltree::Document::parse(&svg).expect("it is XML");
    check(FOLDER, "status.svg", &svg);
}
