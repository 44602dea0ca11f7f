//! Workers of both languages on one queue.

use procession::message::Node;
use serde_json::json;
use std::collections::HashSet;

use super::Scene;
use super::peers::Worker;

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn both_take_tasks_from_one_queue() {
    let scene = Scene::rust("both");
    let checkpoints = scene.folder.path().join("checkpoints");
    let plumpy = Worker::python(&scene.names, &checkpoints, "bare", &[]);
    let raw = scene.raw().await;
    let mut took = HashSet::new();
    for a in 0..12 {
        let task = json!([{ "task": "launch", "args": { "process_class": "procession_examples:AddProcess",
            "persist": true, "nowait": false, "init_kwargs": { "inputs": { "a": a, "b": 1 } } } }, false]);
        let replies = raw.task(&task.to_string()).await;
        assert_eq!((replies.pendings, replies.hosts), (1, true));
        assert_eq!(replies.result().get("sum"), Some(&Node::Integer(a + 1)));
        let host = replies.last.get("host").and_then(|host| host.get("pid")).expect("it names its host");
        took.insert(host.to_string());
    }
    assert_eq!(took, HashSet::from([scene.worker.id().to_string(), plumpy.id().to_string()]));
}
