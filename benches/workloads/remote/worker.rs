//! The other OS process: this binary again.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::measure::child_process;

/// A worker that runs until this is dropped.
pub(crate) struct Worker {
    child: Child,
    /// Its end tells the worker to end, however this process ends.
    pipe: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    /// What it had to tell when it was ready.
    pub(crate) told: String,
}

impl Worker {
    /// Starts this binary with arguments, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = child_process(&["remote"]);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts another program.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a worker starts");
        let pipe = child.stdin.take();
        let out = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut worker = Self { child, pipe, out, told: String::new() };
        let line = worker.line();
        assert!(line.contains("ready"), "the worker is not ready: {line:?}");
        line.trim_start_matches("ready").trim().clone_into(&mut worker.told);
        worker
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It has ended already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that calls are answered from now on, and something more.
pub(crate) fn ready(told: &str) {
    println!("ready {told}");
}

/// Ends this process with the one that has started it.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
