//! Workers as OS processes of their own: the example `ledger`, to be killed, stopped and started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::ledger_program;

/// How long one may take until it has joined, while the server is there.
const READY: Duration = Duration::from_secs(90);
/// How long one may take to end when it is asked to.
const END: Duration = Duration::from_secs(60);

/// Ends the program when the pipe ends that only the test process holds.
const GUARD: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
echo $child >"$PIDFILE"
{ cat <&3 >/dev/null; kill -KILL $child; } 2>/dev/null &
wait $child
"#;

/// What all workers of a scene are started with.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Where the server is, as workers reach it.
    pub(crate) url: String,
    pub(crate) schema: String,
    pub(crate) effects: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) lease: Duration,
    pub(crate) slots: usize,
    pub(crate) more: Vec<String>,
}

/// A worker that runs, or that was stopped for a while.
#[derive(Debug)]
pub(crate) struct Worker {
    /// What its connections are called.
    pub(crate) name: String,
    guard: Child,
    pipe: Option<ChildStdin>,
    pid: u32,
    out: PathBuf,
    errors: PathBuf,
    begun: Instant,
}

impl Worker {
    /// Starts one; it need not be ready.
    pub(crate) fn start(start: &Start, number: usize) -> Self {
        let name = format!("worker-{number}");
        let file = |kind: &str| start.folder.join(format!("{name}.{kind}"));
        let (pid, out, errors) = (file("pid"), file("out"), file("errors"));
        let create = |path: &Path| File::create(path).expect("room for a file");
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(ledger_program()).env("PIDFILE", &pid);
        guard.args(["--store", &format!("{}?application_name={name}", start.url), "--schema", &start.schema]);
        guard.arg("--effects").arg(&start.effects).args(["--worker", "--slots", &start.slots.to_string()]);
        guard.args(["--lease", &start.lease.as_secs_f64().to_string()]).args(&start.more);
        guard.stdin(Stdio::piped()).stdout(create(&out)).stderr(create(&errors));
        let mut guard = guard.spawn().expect("a worker starts");
        let pipe = guard.stdin.take();
        let begun = Instant::now();
        let pid = loop {
            if let Ok(pid) = fs::read_to_string(&pid).unwrap_or_default().trim().parse() {
                break pid;
            }
            assert!(begun.elapsed() < READY, "a worker has no id");
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { name, guard, pipe, pid, out, errors, begun }
    }

    /// Its id as the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    /// Whether it has joined; fails where it has ended instead.
    pub(crate) fn is_ready(&mut self) -> bool {
        let ready = self.said().contains("ready");
        assert!(self.begun.elapsed() < READY || ready, "a worker is not ready: {}", self.complaints());
        ready
    }

    /// Whether it has ended by itself, which none should.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.guard.try_wait().expect("a child can be waited for").is_some()
    }

    /// What it complained of.
    pub(crate) fn complaints(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// How many writes it was refused as stale, as far as it has told.
    pub(crate) fn refused(&self) -> u64 {
        let lines = self.said();
        let told = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        told.filter_map(|line| line["refused"].as_u64()).next_back().unwrap_or_default()
    }

    /// Sends a signal: `KILL`, `STOP`, `CONT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(sent.expect("`kill` starts").success(), "`{}` has ended by itself: {}", self.name, self.complaints());
    }

    /// Waits until it is gone; whether it ended well.
    pub(crate) async fn ended(&mut self) -> bool {
        let until = Instant::now() + END;
        loop {
            if let Some(status) = self.guard.try_wait().expect("a child can be waited for") {
                return status.success();
            }
            assert!(Instant::now() < until, "`{}` does not end: {}", self.name, self.complaints());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The guard ends what still runs.
        drop(self.pipe.take());
        let _ = self.guard.wait();
    }
}
