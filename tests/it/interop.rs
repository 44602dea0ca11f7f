//! With plumpy as it is on the other end: our worker under its controllers, its workers under ours.

mod control;
pub(crate) mod peers;
mod python_worker;
mod raw;
mod rust_worker;
mod timeout;
mod two_languages;
mod values;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::broker::Broker;
use peers::{Controller, Names, Worker};
use procession::communicator::{AmqpCommunicator, AmqpOptions};
use raw::Raw;

/// The processes, to launch them by type.
#[path = "../../examples/worker.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod worker;

/// A worker on exchanges of its own, and a Python controller.
struct Scene {
    names: Names,
    worker: Worker,
    python: &'static Controller,
    folder: tempfile::TempDir,
}

impl Scene {
    /// With our worker.
    fn rust(test: &str) -> Self {
        Self::new(test, |names, folder| Worker::rust(names, &folder.join("store.db")))
    }

    /// With a worker of plumpy, whose processes have the communicator `bare` or `wrapped`.
    fn python(test: &str, processes: &str) -> Self {
        Self::new(test, |names, folder| Worker::python(names, folder, processes, &["--echo", "echo"]))
    }

    fn new(test: &str, worker: impl FnOnce(&Names, &std::path::Path) -> Worker) -> Self {
        let names = Names::new(&Broker::shared(), test);
        let folder = tempfile::tempdir().expect("room for a folder");
        let worker = worker(&names, folder.path());
        Self { names, worker, python: Controller::shared(), folder }
    }

    async fn raw(&self) -> Raw {
        Raw::new(&self.names).await
    }

    /// The result of a call by a controller of Python.
    async fn result(&self, by: &str, call: &str, args: Value) -> Value {
        self.python.result(&self.names, by, call, args).await
    }

    /// The text with which it fails.
    async fn refused(&self, by: &str, call: &str, args: Value) -> String {
        self.python.refused(&self.names, by, call, args).await
    }

    /// The id of a process that was launched and not waited for.
    async fn launched(&self, process: &str, inputs: Value) -> Value {
        let mut args = launch(process, inputs);
        args["nowait"] = true.into();
        args["persist"] = true.into();
        self.result("coroutine", "launch_process", args).await
    }

    /// Waits until the status of a process is as wanted.
    async fn until(&self, pid: &Value, wanted: impl Fn(&Value) -> bool) {
        for _ in 0..500 {
            let status = self.result("coroutine", "get_status", json!({ "pid": pid })).await;
            if wanted(&status) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the status of {pid} never was as wanted");
    }

    /// Waits until the broker knows of nobody under the id of a process that has ended.
    async fn until_nobody_is_reached(&self, by: &str, pid: &Value) {
        let refusal = format!("nobody is reached under `{}` any more", uuid(pid));
        for _ in 0..500 {
            let told = self.python.call(&self.names, by, "get_status", json!({ "pid": pid })).await;
            let error = &told["error"];
            if error["type"] == "UnroutableError" {
                return;
            }
            // Until it has left, it tells how it ended; what the broker has routed before it forgot the id is refused.
            let refused = error["type"] == "RemoteException" && error["text"] == *refusal;
            assert!(refused || told["result"]["state"] == "ProcessState.KILLED", "{told}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{pid} is reached for ever");
    }

    async fn until_waiting(&self, pid: &Value) {
        self.until(pid, |status| status["state"] == "ProcessState.WAITING").await;
    }
}

/// A communicator of ours.
pub(crate) async fn ours(names: &Names) -> AmqpCommunicator {
    let options = AmqpOptions::new()
        .message_exchange(&names.message_exchange)
        .task_exchange(&names.task_exchange)
        .task_queue(&names.task_queue);
    AmqpCommunicator::connect(&names.url, options).await.expect("the broker is there")
}

/// The name of a process on the wire.
fn named(process: &str) -> String {
    format!("procession_examples:{process}")
}

/// The arguments of `launch_process`.
#[allow(clippy::needless_pass_by_value)] // What `json!` gives is handed over.
fn launch(process: &str, inputs: Value) -> Value {
    json!({ "process_class": named(process), "init_kwargs": { "inputs": inputs } })
}

/// The text of a pid as Python tells it.
fn uuid(pid: &Value) -> &str {
    assert_eq!(pid["!"], "uuid", "{pid}");
    pid["of"].as_str().expect("a text")
}

/// The next broadcast that a listener hears.
async fn heard(listener: &mut UnboundedReceiver<Value>) -> Value {
    let heard = tokio::time::timeout(std::time::Duration::from_secs(30), listener.recv()).await;
    heard.expect("something is heard").expect("the controller runs")
}
