//! Runs a batch of generated processes in each way there is, and prints what they wrote down, one line each.

use procession::listener::Listener;
use procession::process::Transition;
use procession::store::{MemoryStore, Store};
use procession::{AnyHandle, ProcessId, ProcessState, RunError, Runtime, RuntimeBuilder};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::{Leaf, RECORDS, Records, log, name_of, records};

/// Stops of a run over a store, each in the middle of what was launched just before it.
const STOPS: usize = 24;

/// After so long the program hangs; a batch takes a second or two.
const PATIENCE: Duration = Duration::from_secs(180);

/// How the processes are run.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Without a store, and unobserved: the runtime may run several steps at once.
    Quiet,
    /// Without a store.
    Volatile,
    /// Over a store that encodes everything; stopped and started again several times.
    Stored,
}

/// Writes transitions and outputs down.
struct Witness;

impl Listener for Witness {
    fn on_transition(&self, transition: Transition<'_>, _point: &str) {
        if transition.to != ProcessState::Created {
            log(transition.pid, json!(["state", transition.to]));
        }
    }

    fn on_output_emitted(&self, pid: &ProcessId, port: &str, value: &Value) {
        log(pid, json!(["emitted", port, value]));
    }
}

/// Runs all processes in all modes; `register` knows their types.
pub fn run(register: fn(RuntimeBuilder) -> RuntimeBuilder, names: &[&str]) {
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        eprintln!("it hangs: no end after {PATIENCE:?}");
        std::process::exit(1);
    });
    // A panic of a step is planned.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            for (name, mode) in [("quiet", Mode::Quiet), ("volatile", Mode::Volatile), ("stored", Mode::Stored)] {
                let ended = one_mode(register, names, mode).await.map_err(|error| format!("{name}: {error}"))?;
                print(names, name, &ended);
            }
            Ok(())
        })
    });
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

type Ends = BTreeMap<String, Value>;

async fn one_mode(
    register: fn(RuntimeBuilder) -> RuntimeBuilder,
    names: &[&str],
    mode: Mode,
) -> Result<Ends, RunError> {
    let (resume, resumed) = unbounded_channel();
    *RECORDS.lock().expect("nothing panics while it is held") = Records { resume: Some(resume), ..Records::default() };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let build = || {
        let builder = match mode {
            Mode::Stored => Runtime::builder().shared_store(Arc::clone(&store)).listener(Witness),
            Mode::Volatile => Runtime::volatile().listener(Witness),
            Mode::Quiet => Runtime::volatile(),
        };
        register(builder).register::<Leaf>().build()
    };
    let mut runtime = build().await?;
    let current = watch::Sender::new(runtime.clone());
    let resuming = tokio::spawn(resume_all(resumed, current.subscribe()));
    let (mut handles, mut stops) = (Vec::new(), BTreeMap::<String, u64>::new());
    for (part, names) in names.chunks(names.len().div_ceil(STOPS + 1)).enumerate() {
        if mode == Mode::Stored && part > 0 {
            // What was launched just before is in the middle of it.
            runtime.shutdown().await?;
            for record in store.unfinished(None, usize::MAX).await?.records {
                *stops.entry(name_of(&record.pid)).or_default() += 1;
            }
            runtime = build().await?;
            current.send_replace(runtime.clone());
        }
        for name in names {
            handles.push(runtime.launch_by_name(name, Map::new()).id(*name).await?);
        }
    }
    if mode == Mode::Stored {
        for handle in &mut handles {
            *handle = runtime.attach(handle.pid()).await?;
        }
    }
    let mut ends = Ends::new();
    for (name, handle) in names.iter().zip(handles) {
        ends.insert((*name).to_owned(), end(&Ok(handle), name).await?);
    }
    for (name, stops) in stops {
        if let Some(end) = ends.get_mut(&name) {
            end["stops"] = json!(stops);
        }
    }
    if mode != Mode::Quiet {
        all_children(&runtime, &mut ends).await?;
    }
    runtime.shutdown().await?;
    resuming.abort();
    Ok(ends)
}

/// Waits for the children of all, and theirs. One that was launched in a step that failed does not exist.
async fn all_children(runtime: &Runtime, ends: &mut Ends) -> Result<(), RunError> {
    loop {
        let launched = records().pids.clone();
        let new: Vec<_> = launched.into_iter().filter(|(name, _)| !ends.contains_key(name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for (name, pid) in new {
            let end = end(&runtime.attach(&pid).await, &name).await?;
            ends.insert(name, end);
        }
    }
}

/// How a process ended. A runtime without a store forgets those that have ended; then only its record tells.
async fn end(handle: &Result<AnyHandle, RunError>, name: &str) -> Result<Value, RunError> {
    match handle {
        Ok(handle) => {
            let ended = tokio::time::timeout(Duration::from_secs(20), handle.termination()).await;
            let termination = ended.unwrap_or_else(|_| panic!("{name} never ends"))?;
            Ok(json!({ "ended": termination.ended, "outputs": termination.outputs }))
        }
        Err(RunError::NotFound(_)) => Ok(Value::Null),
        Err(error) => Err(error.clone()),
    }
}

/// Whether the last thing that a process did is to wait for a resume.
fn waits(pid: &ProcessId) -> bool {
    let name = name_of(pid);
    let records = records();
    let mut events = records.logs.get(&name).into_iter().flatten().rev();
    let last = events.find(|event| !["state", "emitted"].iter().any(|kind| event[0] == *kind));
    last.is_some_and(|event| event[0] == "wait")
}

/// Resumes what waits for it. A request is refused while the step still runs, and while a runtime is stopped.
async fn resume_all(mut resumed: UnboundedReceiver<ProcessId>, runtimes: watch::Receiver<Runtime>) {
    while let Some(pid) = resumed.recv().await {
        while waits(&pid) {
            let runtime = runtimes.borrow().clone();
            let answer = match runtime.attach(&pid).await {
                Ok(handle) => handle.resume(()).await,
                Err(error) => Err(error),
            };
            // An answer may be lost with its runtime: then the resume has worked, and the process may have ended since.
            match answer {
                Ok(_) => break,
                Err(RunError::InvalidState { state, .. }) if state.is_terminal() => break,
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn print(names: &[&str], mode: &str, ends: &Ends) {
    let records = records();
    for case in names {
        let own = |name: &str| name == *case || name.strip_prefix(*case).is_some_and(|rest| rest.starts_with('/'));
        let mut processes = Map::new();
        for (name, end) in ends.iter().filter(|(name, _)| own(name)) {
            let log = records.logs.get(name).cloned().unwrap_or_default();
            if end.is_null() && log.is_empty() {
                continue;
            }
            processes.insert(name.clone(), json!({ "log": log, "end": end }));
        }
        println!("{}", json!({ "case": case, "mode": mode, "processes": processes }));
    }
}
