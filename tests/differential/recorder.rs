//! What the generated processes of the differential test have in common: they write down what happens to them.
//!
//! `recorder.py` is its counterpart on plumpy's side; the two write the same events.

mod harness;
mod leaf;

pub use harness::run;
pub use leaf::Leaf;

use procession::prelude::*;
use procession::spec::Spec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// What was written down in a run. Names are the same on both sides, ids of children are not.
#[derive(Default)]
struct Records {
    names: HashMap<String, String>,
    pids: BTreeMap<String, ProcessId>,
    logs: BTreeMap<String, Vec<Value>>,
    resume: Option<UnboundedSender<ProcessId>>,
}

static RECORDS: LazyLock<Mutex<Records>> = LazyLock::new(Mutex::default);
fn records() -> MutexGuard<'static, Records> {
    RECORDS.lock().expect("nothing panics while it is held")
}

fn name_of(pid: &ProcessId) -> String {
    let text = pid.to_string();
    records().names.get(&text).cloned().unwrap_or(text)
}

fn called(pid: &ProcessId, name: &str) {
    let mut records = records();
    records.names.insert(pid.to_string(), name.to_owned());
    records.pids.insert(name.to_owned(), pid.clone());
}

fn log(pid: &ProcessId, event: Value) {
    let name = name_of(pid);
    records().logs.entry(name).or_default().push(event);
}

/// An error with a text that is the same on both sides.
#[derive(Debug)]
struct Planned(String);

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Planned {}

/// A child, and whether its end was seen.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    key: String,
    child: Child<Leaf>,
    seen: bool,
}

/// The context of every generated process: all that its steps and predicates decide by.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Track {
    steps: u64,
    children: Vec<Kept>,
}

impl Track {
    /// A step begins.
    pub fn begin(&mut self, pid: &ProcessId, step: &str) {
        self.steps += 1;
        for kept in self.children.iter_mut().filter(|kept| !kept.seen) {
            if let Ok(termination) = kept.child.termination() {
                kept.seen = true;
                log(pid, json!(["got", kept.key, termination.outputs]));
            }
        }
        log(pid, json!(["step", step]));
    }

    /// The table's entry for the number of steps so far.
    pub fn on(&self, table: u64) -> bool {
        table >> self.steps.min(63) & 1 == 1
    }

    /// The answer of a predicate.
    pub fn ask(&self, pid: &ProcessId, predicate: &str, table: u64) -> bool {
        let answer = self.on(table);
        log(pid, json!(["predicate", predicate, answer]));
        answer
    }

    /// A predicate that fails.
    pub fn refuse<T>(&self, pid: &ProcessId, predicate: &str) -> Result<T, StepError> {
        log(pid, json!(["predicate", predicate, "fails"]));
        Err(Planned(format!("{predicate} fails")).into())
    }

    /// A predicate that panics.
    pub fn panic<T>(&self, pid: &ProcessId, predicate: &str) -> T {
        log(pid, json!(["predicate", predicate, "fails"]));
        panic!("{predicate} fails")
    }

    /// Emits an output.
    pub fn out<P: Spec>(&self, cx: &mut Cx<P>, path: &str, value: Value) -> Result<(), StepError> {
        let emitted = cx.out(path, &value);
        log(cx.pid(), json!(["out", path, value, emitted.is_ok()]));
        Ok(emitted?)
    }

    /// An output that the step returns.
    pub fn give<T: Serialize>(&self, pid: &ProcessId, path: &str, value: T) -> T {
        log(pid, json!(["out", path, value, true]));
        value
    }

    /// Launches a child that is waited for.
    pub fn launch<P: Spec>(&mut self, cx: &mut Cx<P>, place: u32, kind: &str) -> Result<(), StepError> {
        let child = cx.launch(Leaf::inputs().kind(kind).n(i64::from(place)))?;
        let key = self.launched(cx.pid(), &child, place, "launch", kind);
        self.children.push(Kept { key, child, seen: false });
        Ok(())
    }

    /// Launches a child that is not waited for.
    pub fn detach<P: Spec>(&mut self, cx: &mut Cx<P>, place: u32, kind: &str) -> Result<(), StepError> {
        let child = cx.launch_detached(Leaf::inputs().kind(kind).n(i64::from(place)))?;
        self.launched(cx.pid(), &child, place, "detach", kind);
        Ok(())
    }

    fn launched(&self, pid: &ProcessId, child: &Child<Leaf>, place: u32, how: &str, kind: &str) -> String {
        let key = format!("c{}_{place}", self.steps);
        let name = format!("{}/{key}", name_of(pid));
        called(child.pid().expect("it was launched"), &name);
        log(pid, json!([how, name, kind]));
        key
    }

    /// Waits for a moment after this step.
    pub fn sleep<P: Spec>(&self, cx: &mut Cx<P>) {
        log(cx.pid(), json!(["sleep"]));
        cx.sleep(Duration::from_millis(1));
    }

    /// The step says how it ends the process.
    pub fn end(&self, pid: &ProcessId, how: &str, with: Value) {
        log(pid, json!(["end", how, with]));
    }

    /// The step fails.
    pub fn fail<T>(&self, pid: &ProcessId, text: &str) -> Result<T, StepError> {
        self.end(pid, "fail", json!(text));
        Err(Planned(text.to_owned()).into())
    }

    /// The step waits for a resume, which comes soon.
    pub fn wait(&self, pid: &ProcessId, text: &str) {
        log(pid, json!(["wait", text]));
        let resume = records().resume.clone();
        resume.and_then(|resume| resume.send(pid.clone()).ok()).expect("the harness listens");
    }
}
