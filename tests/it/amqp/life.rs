//! Threads and connections, while they live and when they end.

use super::{connect, echoes, options, soon};
use crate::broker::Broker;
use crate::network::Network;
use crate::support::{Gate, eventually};
use procession::communicator::{AmqpCommunicator, Answer, Communicator, Incoming, Rpc, Task};
use procession::message::Node;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn a_thread_that_is_blocked_stops_neither_calls_nor_tasks_nor_heartbeats() {
    let broker = Broker::shared();
    let options = options().heartbeat(Duration::from_secs(1));
    let blocked = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = blocked.block_on(async {
        let worker = connect(&broker, &options).await;
        echoes(&worker, "echo").await;
        let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
        worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
        worker
    });
    // Nobody drives the runtime on which it was made.
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        let sender = connect(&broker, &options).await;
        for round in 0..40 {
            let reply = sender.rpc_send(Rpc::new("echo", Node::from(round))).await.unwrap();
            assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from(round));
            let reply = sender.task_send(Task::new(Node::from(round))).await.unwrap().unwrap();
            assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from(round));
            // Heartbeats that are missed for two seconds would end the connection.
            tokio::time::sleep(Duration::from_millis(75)).await;
        }
        assert_eq!((sender.statistics().reconnects, worker.statistics().reconnects), (0, 0));
    });
}

/// Threads that only this test has: it runs itself once more, alone.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn nothing_is_left_of_communicators_that_are_closed_or_dropped() {
    const ALONE: &str = "PROCESSION_TEST_ALONE";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Ok(url) = std::env::var(ALONE) else {
        let broker = Broker::start(&[]);
        let thread = std::thread::current();
        let this = thread.name().expect("a test's thread has its name");
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--include-ignored", "--exact", this]).env(ALONE, broker.url());
        let output = alone.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let none = || async { broker.list("list_connections", &["pid"]).await.iter().all(|row| row[0].is_empty()) };
        return runtime.block_on(eventually(none));
    };
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut names: Vec<_> =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect();
        names.sort();
        names
    };
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    runtime.block_on(async {
        // lapin's way to tokio has a thread for all that stays.
        AmqpCommunicator::connect(&url, options()).await.unwrap().close().await.unwrap();
        let ending = ["procession", "lapin", "tokio-rt-worker"];
        eventually(|| async { !threads().iter().any(|name| ending.iter().any(|thread| name.starts_with(thread))) })
            .await;
        let before = (threads(), files());
        for round in 0..8 {
            let communicator = AmqpCommunicator::connect(&url, options()).await.unwrap();
            echoes(&communicator, "echo").await;
            let refused = AmqpCommunicator::connect(&url.replace("guest:guest", "guest:wrong"), options()).await;
            assert!(refused.is_err());
            if round % 2 == 0 {
                communicator.close().await.unwrap();
            }
        }
        eventually(|| async {
            let now = (threads(), files());
            if now != before {
                println!("{before:?} was, {now:?} is");
            }
            now == before
        })
        .await;
    });
}

/// A link that carries nothing any more and says so to nobody: the broker goes on holding what was given over it.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_connection_that_is_lost_in_silence_is_noticed_and_replaced() {
    let broker = Broker::shared();
    let network = Network::to(broker.port()).await;
    let options = options().heartbeat(Duration::from_secs(1));
    let url = broker.url().replace(&format!(":{}/", broker.port()), &format!(":{}/", network.port()));
    let worker = AmqpCommunicator::connect(&url, options.clone()).await.unwrap();
    let sender = connect(&broker, &options).await;
    echoes(&worker, "echo").await;
    let (gate, runs) = (Gate::new(), Arc::new(AtomicU32::new(0)));
    let (at, counted) = (gate.clone(), Arc::clone(&runs));
    let does = move |task: Incoming| {
        counted.fetch_add(1, Ordering::SeqCst);
        let at = at.clone();
        async move {
            at.pass().await;
            Ok(Answer::Value(task.body))
        }
    };
    worker.add_task_subscriber(Arc::new(does), None).await.unwrap();
    let task = sender.task_send(Task::new(Node::from("begun before"))).await.unwrap().unwrap();
    gate.reached().await;
    network.lose();
    eventually(|| async { worker.statistics().reconnects == 1 && worker.is_connected() }).await;
    let call = sender.rpc_send(Rpc::new("echo", Node::from("again"))).await.unwrap();
    assert_eq!(soon("a reply", call.last()).await.unwrap(), Node::from("again"));
    // The broker notices by its own heartbeats, and gives the task again, which is still being done.
    eventually(|| async { worker.statistics().joined == 1 }).await;
    gate.open(1);
    assert_eq!(soon("a reply", task.last()).await.unwrap(), Node::from("begun before"));
    assert_eq!((runs.load(Ordering::SeqCst), sender.statistics().reconnects), (1, 0));
}
