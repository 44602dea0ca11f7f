//! plumpy: its launcher in one OS process, its controller in another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lanes::WARM_UP;
use super::worker::Worker;
use crate::measure::{Bench, Sample};

const NAMES: [&str; 6] =
    ["--message-exchange", "plumpy.messages", "--task-exchange", "plumpy.tasks", "--task-queue", "plumpy.tasks"];

/// Long enough that some calls end in it: with many in flight each takes half a second.
const WINDOW: Duration = Duration::from_secs(3);

/// What is asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Launch,
    /// With a checkpoint, which is a file that is not flushed.
    Persist,
    Status,
}

/// The interpreter that has plumpy; `cargo xtask bench` makes one.
pub(crate) fn interpreter() -> Option<PathBuf> {
    std::env::var_os("PROCESSION_PYTHON").map(PathBuf::from)
}

fn python(interpreter: &Path, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    command
}

pub(crate) fn measure(interpreter: &Path, bench: &Bench, url: &str, call: Call, in_flight: usize) -> Sample {
    let checkpoints = tempfile::tempdir_in(bench.directory()).expect("room for a folder");
    let mut worker = python(interpreter, "tests/python/worker.py");
    // It has to wake by itself, and the shorter it sleeps the faster it is.
    worker.args(["--amqp", url, "--tick", "0.001", "--checkpoints"]).arg(checkpoints.path()).args(NAMES);
    let _worker = Worker::spawn(worker);
    let call = match call {
        Call::Launch => "launch",
        Call::Persist => "persist",
        Call::Status => "status",
    };
    let mut caller = python(interpreter, "benches/workloads/remote/caller.py");
    let [warm_up, window] = [WARM_UP, bench.window().max(WINDOW)].map(|time| time.as_secs_f64().to_string());
    caller
        .args([call, &in_flight.to_string(), "--warm-up", &warm_up, "--window", &window, "--amqp", url])
        .args(NAMES)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = caller.output().expect("the interpreter starts");
    assert!(output.status.success(), "a controller of plumpy: {}", output.status);
    figures(&String::from_utf8_lossy(&output.stdout))
}

/// Figures as they are printed by who has taken them.
pub(super) fn figures(line: &str) -> Sample {
    let figures: serde_json::Value = serde_json::from_str(line).expect("figures");
    let figure = |name: &str| figures[name].as_f64();
    Sample { p50: figure("p50"), p99: figure("p99"), ..Sample::new(figure("value").expect("a figure")) }
}

/// One tells, one hears.
pub(super) fn broadcasts(interpreter: &Path, url: &str, count: usize) -> Sample {
    let command = |what: &str| {
        let mut command = python(interpreter, "benches/workloads/remote/caller.py");
        command.args([what, &count.to_string(), "--amqp", url]).args(NAMES);
        command
    };
    let mut hearing = Worker::spawn(command("hear"));
    let told = command("tell").stdin(Stdio::null()).status().expect("the interpreter starts");
    assert!(told.success(), "a communicator of plumpy: {told}");
    figures(&hearing.line())
}
