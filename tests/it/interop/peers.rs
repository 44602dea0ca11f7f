//! Workers of both languages, and a Python controller: programs that end when the tests do.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::broker::Broker;

/// How long a program may take to say something.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts a program, says its id, and ends it when the pipe ends that only the test process holds.
const GUARD: &str = r#"
exec 3<&0 </dev/null
sh -c 'echo $$; exec "$0" "$@"' "$@" 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -KILL $child; } 2>/dev/null &
wait $child
"#;

/// The exchanges and the queue of one test.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) url: String,
    pub(crate) message_exchange: String,
    pub(crate) task_exchange: String,
    pub(crate) task_queue: String,
}

impl Names {
    pub(crate) fn new(broker: &Broker, test: &str) -> Self {
        let name = |kind: &str| format!("{test}.{kind}");
        Self {
            url: broker.url(),
            message_exchange: name("messages"),
            task_exchange: name("tasks"),
            task_queue: name("queue"),
        }
    }

    pub(crate) fn arguments(&self) -> [&str; 8] {
        [
            "--amqp",
            &self.url,
            "--message-exchange",
            &self.message_exchange,
            "--task-exchange",
            &self.task_exchange,
            "--task-queue",
            &self.task_queue,
        ]
    }
}

/// A worker of either language that takes tasks.
#[derive(Debug)]
pub(crate) struct Worker {
    process: Child,
    /// Where it stands by a shell that guards it, its own id.
    pid: u32,
    pipe: Option<ChildStdin>,
    /// What it said when it was ready.
    pub(crate) ready: Value,
}

impl Worker {
    /// The example, on a store.
    pub(crate) fn rust(names: &Names, store: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "guard"]).arg(example("worker")).args(names.arguments()).arg("--store").arg(store);
        Self::start(&mut shell, true)
    }

    /// plumpy, whose processes have the communicator `bare` or `wrapped`.
    pub(crate) fn python(names: &Names, checkpoints: &Path, processes: &str, more: &[&str]) -> Self {
        let mut python = python("worker.py");
        python
            .args(names.arguments())
            .arg("--checkpoints")
            .arg(checkpoints)
            .args(["--processes", processes])
            .args(more);
        Self::start(&mut python, false)
    }

    fn start(command: &mut Command, guarded: bool) -> Self {
        let mut process = start(command);
        let pipe = process.stdin.take();
        let lines = lines(process.stdout.take().expect("it has a pipe"));
        let line = || lines.recv_timeout(PATIENCE).expect("a worker says that it is ready");
        let pid = if guarded { line().parse().expect("an id") } else { process.id() };
        let ready: Value = serde_json::from_str(&line()).expect("a line of JSON");
        assert_eq!(ready["ready"], true, "{ready}");
        Self { process, pid, pipe, ready }
    }

    /// Its id as the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    /// Sends a signal: `TERM`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(sent.expect("`kill` starts").success());
    }

    /// Waits until it has ended; whether it did so well.
    pub(crate) async fn ended(mut self) -> bool {
        // The guard waits at the pipe.
        let pipe = self.pipe.take();
        let ended = tokio::task::spawn_blocking(move || self.process.wait());
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends").expect("no panic");
        drop(pipe);
        ended.expect("a child can be waited for").success()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.process.wait();
    }
}

/// plumpy's controllers, in one Python process for all tests.
pub(crate) struct Controller {
    input: Mutex<ChildStdin>,
    next: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    results: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    heard: Mutex<HashMap<String, mpsc::UnboundedSender<Value>>>,
}

impl Controller {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Controller> = LazyLock::new(Controller::start);
        &SHARED
    }

    fn start() -> Self {
        let mut process = start(&mut python("controller.py"));
        let input = Mutex::new(process.stdin.take().expect("it has a pipe"));
        let lines = lines(process.stdout.take().expect("it has a pipe"));
        let ready = lines.recv_timeout(PATIENCE).expect("the controller says that it is ready");
        assert_eq!(ready, r#"{"ready": true}"#);
        let shared = Arc::new(Shared::default());
        let hearing = Arc::clone(&shared);
        std::thread::spawn(move || {
            for line in lines {
                hearing.hear(&line);
            }
            // It has ended: with the pipe of its input, or by a fault that all who wait learn about.
            lock(&hearing.results).clear();
            let _ = process.wait();
        });
        Self { input, next: AtomicU64::new(1), shared }
    }

    /// What a call of a controller came to: `result`, `error`, `pendings`.
    /// `by` is `coroutine`, `thread` or `communicator`.
    pub(crate) async fn call(&self, names: &Names, by: &str, call: &str, args: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.shared.results).insert(id, sender);
        let Names { url, message_exchange, task_exchange, task_queue } = names;
        let on = json!({ "amqp": url, "message_exchange": message_exchange, "task_exchange": task_exchange,
            "task_queue": task_queue });
        let line = format!("{}\n", json!({ "id": id, "on": on, "by": by, "call": call, "args": args }));
        lock(&self.input).write_all(line.as_bytes()).expect("the controller reads");
        let result = tokio::time::timeout(PATIENCE, receiver).await;
        result.expect("the controller answers").expect("the controller does not fail")
    }

    /// The result of a call that succeeds.
    #[track_caller]
    pub(crate) fn result<'a>(
        &'a self,
        names: &'a Names,
        by: &'a str,
        call: &'a str,
        args: Value,
    ) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut told = self.call(names, by, call, args).await;
            assert!(told.get("error").is_none(), "{call}: {told}, at {caller}");
            told["result"].take()
        }
    }

    /// The text with which a call fails that fails on the other side.
    pub(crate) async fn refused(&self, names: &Names, by: &str, call: &str, args: Value) -> String {
        let told = self.call(names, by, call, args).await;
        assert_eq!(told["error"]["type"], "RemoteException", "{call}: {told}");
        told["error"]["text"].as_str().expect("a text").to_owned()
    }

    /// The broadcasts that pass a filter, from now on.
    pub(crate) async fn listen(&self, names: &Names, filter: Value) -> mpsc::UnboundedReceiver<Value> {
        let name = format!("listener-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.shared.heard).insert(name.clone(), sender);
        let mut args = filter;
        args["name"] = name.into();
        self.result(names, "communicator", "listen", args).await;
        receiver
    }
}

impl Shared {
    fn hear(&self, line: &str) {
        let said: Value = serde_json::from_str(line).expect("the controller says JSON");
        if let Some(id) = said["id"].as_u64() {
            if let Some(sender) = lock(&self.results).remove(&id) {
                let _ = sender.send(said);
            }
        } else if let Some(listener) = said["heard"].as_str()
            && let Some(sender) = lock(&self.heard).get(listener)
        {
            let _ = sender.send(said);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A script of `tests/python`, by the interpreter that has plumpy.
fn python(script: &str) -> Command {
    let interpreter = std::env::var_os("PROCESSION_PYTHON")
        .expect("PROCESSION_PYTHON is not set: `cargo xtask test` makes a Python with plumpy and sets it");
    let mut python = Command::new(interpreter);
    python.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script));
    python
}

/// An example, which cargo builds beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let target = own.ancestors().nth(2).expect("tests are in a folder of the target folder");
    let example = target.join("examples").join(name);
    assert!(example.exists(), "`{name}` is not there; build it: cargo build --features amqp --example {name}");
    example
}

/// Starts a program. Its complaints are shown if the test fails: a broker that goes away has a Python print pages.
fn start(command: &mut Command) -> Child {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = pipes.spawn().expect("it starts");
    let complaints = BufReader::new(process.stderr.take().expect("it has a pipe"));
    // A thread of the test, so what it prints is the test's.
    std::thread::spawn(move || complaints.lines().map_while(Result::ok).for_each(|line| eprintln!("{line}")));
    process
}

/// What a program prints, line by line.
fn lines(output: ChildStdout) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            // Whoever no longer listens must not keep the program from printing.
            let _ = sender.send(line);
        }
    });
    receiver
}
