//! The example `control` with workers of both languages.

use serde_json::{Value, json};
use std::process::Command;

use super::peers::example;
use super::{Scene, named};

/// The line that it prints, and whether it succeeded.
async fn control(scene: &Scene, words: &[&str]) -> (Value, bool) {
    let mut control = Command::new(example("control"));
    control.args(scene.names.arguments()).args(words);
    let output = tokio::task::spawn_blocking(move || control.output()).await.expect("no panic").expect("it starts");
    let line = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    (line, output.status.success())
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn the_example_controls_workers_of_both_languages() {
    for scene in [Scene::rust("control-rust"), Scene::python("control-python", "wrapped")] {
        let add = named("AddProcess");
        for command in [["launch", &add, r#"{"a": 2}"#], ["execute", &add, r#"{"a": 2}"#]] {
            assert_eq!(control(&scene, &command).await, (json!({ "result": { "sum": 3 } }), true));
        }
        let (line, good) = control(&scene, &["launch", &named("Fail"), r#"{"text": "boom"}"#]).await;
        assert_eq!((line, good), (json!({ "error": "boom" }), false));
        let (line, good) = control(&scene, &["execute", &named("WaitForever"), "--nowait"]).await;
        assert!(good, "{line}");
        let pid = line["result"].as_str().expect("an id");
        let (line, _) = control(&scene, &["status", pid]).await;
        assert_eq!(line["result"]["paused"], false, "{line}");
        for words in [&["pause", pid, "hold it"][..], &["play", pid], &["kill", pid, "enough", "--force"]] {
            assert_eq!(control(&scene, words).await, (json!({ "result": true }), true));
        }
        assert!(!control(&scene, &["status", pid]).await.1, "it is not alive");
        for words in [&["pause-all"][..], &["play-all"], &["kill-all", "bang"]] {
            assert_eq!(control(&scene, words).await, (json!({ "result": null }), true));
        }
        assert!(!control(&scene, &["dance"]).await.1);
    }
}
