//! The controllers of plumpy, and a client over plain AMQP, with the example `worker`.

use procession::message::Node;
use serde_json::{Value, json};

use super::peers::Worker;
use super::{Scene, heard, launch, named, uuid};

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_launches_and_gets_the_outputs() {
    let scene = Scene::rust("rust-launch");
    for by in ["coroutine", "thread"] {
        let sum = scene.result(by, "launch_process", launch("AddProcess", json!({ "a": 2, "b": 3 }))).await;
        assert_eq!(sum, json!({ "sum": 5 }));
        let by_place = json!({ "process_class": named("AddProcess"), "init_args": [{ "a": 2 }], "persist": true });
        assert_eq!(scene.result(by, "launch_process", by_place).await, json!({ "sum": 3 }));
        let execute = launch("WaitChain", json!({ "n": 2, "delay": 0.05 }));
        assert_eq!(scene.result("coroutine", "execute_process", execute).await, json!({ "rounds": 2 }));
        let missing = scene.result(by, "launch_process", launch("MissingOutput", json!({}))).await;
        assert_eq!(missing, json!({}), "a missing output cannot be told from a reply (P20)");
    }
    assert_eq!(scene.worker.ready["ready"], true);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_hears_why_a_launch_fails() {
    let scene = Scene::rust("rust-failures");
    for text in ["Great scott!", "two\nlines: {\"of\": 'all'} #kinds\t\u{1f600}\u{85}\u{7f}é", "null", "1.0", " "] {
        let said = scene.refused("coroutine", "launch_process", launch("Fail", json!({ "text": text }))).await;
        assert_eq!(said, text);
    }
    let said = scene.refused("thread", "launch_process", launch("AddProcess", json!({ "a": "x" }))).await;
    assert!(said.contains("`a`"), "{said}");
    let said = scene.refused("thread", "launch_process", launch("AddProcess", json!({ "b": 1, "c": 1 }))).await;
    assert!(said.contains("`a`") && said.contains("`c`"), "{said}");
    let said = scene.refused("thread", "launch_process", launch("Nowhere", json!({}))).await;
    assert!(said.contains("procession_examples:Nowhere"), "{said}");
    for (args, missing) in [(json!({ "nowait": false, "persist": false }), "process_class"), (json!({}), "persist")] {
        let task = json!({ "task": { "task": "launch", "args": args } });
        let said = scene.refused("communicator", "task_send", task).await;
        assert!(said.contains(missing), "{said}");
    }
    let said = scene.refused("communicator", "task_send", json!({ "task": { "args": {} } })).await;
    assert_eq!(said, "'task'", "the text of a KeyError");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_creates_and_continues() {
    let scene = Scene::rust("rust-create");
    let args = json!({ "process_class": named("AddProcess"), "persist": true, "init_args": null,
        "init_kwargs": { "inputs": { "a": 20 } } });
    let create = json!({ "task": { "task": "create", "args": args } });
    let pid = scene.result("communicator", "task_send", create).await;
    uuid(&pid);
    let status = scene.result("thread", "get_status", json!({ "pid": pid })).await;
    assert_eq!(status["state"], "ProcessState.CREATED");
    for by in ["coroutine", "thread"] {
        // The second time it has ended, and its result is there all the same (P2).
        let sum = scene.result(by, "continue_process", json!({ "pid": pid })).await;
        assert_eq!(sum, json!({ "sum": 21 }));
    }
    let again = scene.result("coroutine", "continue_process", json!({ "pid": pid, "nowait": true })).await;
    assert_eq!(again, pid);
    let unknown = json!({ "!": "uuid", "of": "5ce11889-4c3c-4070-b141-6a751fc498b9" });
    let said = scene.refused("coroutine", "continue_process", json!({ "pid": unknown })).await;
    assert!(said.contains("5ce11889"), "{said}");
    let sum = scene.result("coroutine", "execute_process", launch("AddProcess", json!({ "a": 1 }))).await;
    assert_eq!(sum, json!({ "sum": 2 }));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_pauses_plays_and_kills() {
    let scene = Scene::rust("rust-control");
    for by in ["coroutine", "thread"] {
        let pid = scene.launched("WaitForever", json!({})).await;
        scene.until_waiting(&pid).await;
        let status = scene.result(by, "get_status", json!({ "pid": pid })).await;
        assert_eq!(status["ctime"]["!"], "float", "{status}");
        let status = status.as_object().expect("a mapping");
        assert_eq!(status.keys().collect::<Vec<_>>(), ["ctime", "paused", "process_string", "state"]);
        assert_eq!(status["process_string"], "<WaitForever> (ProcessState.WAITING)");
        assert_eq!((&status["paused"], &status["state"]), (&json!(false), &json!("ProcessState.WAITING")));

        let paused = scene.result(by, "pause_process", json!({ "pid": pid, "msg_text": "hold it" })).await;
        assert_eq!(paused, true);
        scene.until(&pid, |status| status["paused"] == true).await;
        assert_eq!(scene.result(by, "play_process", json!({ "pid": pid })).await, true);
        scene.until(&pid, |status| status["paused"] == false).await;
        assert_eq!(scene.result(by, "kill_process", json!({ "pid": pid, "msg_text": "enough" })).await, true);
        scene.until_nobody_is_reached(by, &pid).await;
        let said = scene.refused(by, "continue_process", json!({ "pid": pid })).await;
        assert_eq!(said, "enough", "whoever asks later hears how it ended");
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_kill_ends_the_launch_that_waits() {
    let scene = Scene::rust("rust-kill");
    let mut rests = scene.python.listen(&scene.names, json!({ "subject": "state_changed.running.waiting" })).await;
    for (text, force) in [("bang", false), ("at once", true), ("", false)] {
        let kill = async {
            let pid = heard(&mut rests).await["sender"].clone();
            let args = json!({ "pid": pid, "msg_text": text, "force_kill": force });
            scene.result("coroutine", "kill_process", args).await
        };
        let wait = launch("WaitForever", json!({}));
        let (said, killed) = tokio::join!(scene.refused("coroutine", "launch_process", wait), kill);
        assert_eq!((said.as_str(), killed), (text, json!(true)));
    }
}

/// P5: a step that blocks its thread keeps nobody from being served, its own process among them.
#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_step_that_blocks_stops_no_replies() {
    let scene = Scene::rust("rust-busy");
    let mut begins = scene.python.listen(&scene.names, json!({ "subject": "state_changed.created.running" })).await;
    let meanwhile = async {
        let pid = heard(&mut begins).await["sender"].clone();
        let sum = scene.result("coroutine", "launch_process", launch("AddProcess", json!({ "a": 1 }))).await;
        assert_eq!(sum, json!({ "sum": 2 }));
        let status = scene.result("coroutine", "get_status", json!({ "pid": pid })).await;
        assert_eq!(status["state"], "ProcessState.RUNNING");
    };
    let busy = scene.result("coroutine", "launch_process", launch("Busy", json!({ "seconds": 3 })));
    assert_eq!(tokio::join!(busy, meanwhile).0, json!({}));
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_pauses_plays_and_kills_all() {
    let scene = Scene::rust("rust-all");
    let mut killed = scene.python.listen(&scene.names, json!({ "subject": "state_changed.*.killed" })).await;
    let mut pids = Vec::new();
    for _ in 0..3 {
        let pid = scene.launched("WaitForever", json!({})).await;
        scene.until_waiting(&pid).await;
        pids.push(pid);
    }
    scene.result("thread", "pause_all", json!({ "msg_text": "everybody freeze" })).await;
    for pid in &pids {
        scene.until(pid, |status| status["paused"] == true).await;
    }
    scene.result("thread", "play_all", json!({})).await;
    for pid in &pids {
        scene.until(pid, |status| status["paused"] == false).await;
    }
    // What older senders send: a text, or nothing.
    let raw = scene.raw().await;
    raw.broadcast(r#"{"body": "freeze", "sender": null, "subject": "pause", "correlation_id": null}"#).await;
    for pid in &pids {
        scene.until(pid, |status| status["paused"] == true).await;
    }
    scene.result("thread", "kill_all", json!({ "msg_text": "bang" })).await;
    let mut ended = Vec::new();
    for _ in &pids {
        ended.push(uuid(&heard(&mut killed).await["sender"]).to_owned());
    }
    ended.sort_unstable();
    let mut pids: Vec<&str> = pids.iter().map(uuid).collect();
    pids.sort_unstable();
    assert_eq!(ended, pids);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn each_request_has_its_number_of_pendings() {
    let scene = Scene::rust("rust-pendings");
    let raw = scene.raw().await;
    let launch = |process: &str, inputs: &str, nowait: bool| {
        format!(
            r#"[{{"task": "launch", "args": {{"process_class": "procession_examples:{process}", "persist": true,
            "nowait": {nowait}, "init_kwargs": {{"inputs": {inputs}}}}}}}, false]"#
        )
    };
    let sum = raw.task(&launch("AddProcess", r#"{"a": 2}"#, false)).await;
    assert_eq!((sum.pendings, sum.hosts), (1, true));
    assert_eq!(Value::from(sum.result().clone()), json!({ "sum": 3 }));
    // A process that ends at once does not overtake the word that its result follows.
    for _ in 0..100 {
        assert_eq!(raw.task(&launch("AddProcess", r#"{"a": 2}"#, false)).await.pendings, 1);
    }
    let failed = raw.task(&launch("Fail", r#"{"text": "boom"}"#, false)).await;
    assert_eq!((failed.pendings, failed.exception()), (1, "boom"));
    let refused = raw.task(&launch("Nowhere", "{}", false)).await;
    assert_eq!(refused.pendings, 1, "{}", refused.exception());
    let launched = raw.task(&launch("WaitForever", "{}", true)).await;
    assert_eq!(launched.pendings, 1);
    let Node::Tagged(pid) = launched.result() else { panic!("no pid: {launched:?}") };
    assert_eq!(pid.tag, "!uuid");
    let pid = pid.node.as_text().expect("a text");
    for (body, pendings) in [
        (r#"{"intent": "status", "message": null}"#, 0),
        (r#"{"intent": "status"}"#, 0),
        (r#"{"intent": "pause", "message": "hold it"}"#, 1),
        (r#"{"intent": "pause"}"#, 1),
        (r#"{"intent": "play", "message": null}"#, 1),
        (r#"{"intent": "play", "more": 1}"#, 1),
    ] {
        let replies = raw.rpc(pid, body).await.expect("it is alive");
        assert_eq!((replies.pendings, replies.last.get("exception")), (pendings, None), "{body}");
        assert!(!replies.hosts, "replies to calls name no host");
    }
    for (body, said) in [(r#"{"intent": "dance", "message": null}"#, "Unknown intent"), ("{}", "'intent'")] {
        let replies = raw.rpc(pid, body).await.expect("it is alive");
        assert_eq!((replies.pendings, replies.exception()), (0, said));
    }
    let tag = format!(r#"[{{"task": "continue", "args": {{"pid": !uuid "{pid}", "nowait": true}}}}, false]"#);
    let text = format!(r#"[{{"task": "continue", "args": {{"pid": "{pid}", "nowait": true, "tag": null}}}}, false]"#);
    for body in [tag, text] {
        let continued = raw.task(&body).await;
        assert_eq!((continued.pendings, continued.result()), (1, launched.result()));
    }
    let kill = r#"{"intent": "kill", "message": "enough", "force_kill": false}"#;
    let killed = raw.rpc(pid, kill).await.expect("it is alive");
    assert_eq!((killed.pendings, killed.result()), (1, &Node::Bool(true)));
    assert_eq!(raw.rpc("5ce11889-4c3c-4070-b141-6a751fc498b9", kill).await, None);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_hears_every_transition_in_order() {
    let scene = Scene::rust("rust-broadcasts");
    let mut listener = scene.python.listen(&scene.names, json!({ "subject": "state_changed.*" })).await;
    let mut ends = scene.python.listen(&scene.names, json!({ "subject": "state_changed.*.finished" })).await;
    let pid = scene.launched("WaitChain", json!({ "n": 1, "delay": 0.05 })).await;
    for subject in ["None.created", "created.running", "running.waiting", "waiting.running", "running.finished"] {
        let said = heard(&mut listener).await;
        let wanted = json!({ "body": null, "correlation_id": null, "heard": said["heard"], "sender": pid,
            "subject": format!("state_changed.{subject}") });
        assert_eq!(said, wanted);
    }
    assert_eq!(heard(&mut ends).await["subject"], "state_changed.running.finished");
    assert!(ends.try_recv().is_err(), "the filter holds back the others");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_worker_that_stops_or_is_killed_loses_no_process_and_no_reply() {
    let Scene { names, worker, python, folder } = Scene::rust("rust-restart");
    let chain = || launch("WaitChain", json!({ "n": 6, "delay": 0.3 }));
    let mut waits = python.listen(&names, json!({ "subject": "state_changed.running.waiting" })).await;
    let reply = python.result(&names, "coroutine", "launch_process", chain());
    let restart = async {
        heard(&mut waits).await;
        worker.signal("TERM");
        assert!(worker.ended().await, "it stops well");
        let worker = Worker::rust(&names, &folder.path().join("store.db"));
        heard(&mut waits).await;
        worker.signal("KILL");
        assert!(!worker.ended().await);
        Worker::rust(&names, &folder.path().join("store.db"))
    };
    let (rounds, worker) = tokio::join!(reply, restart);
    assert_eq!(rounds, json!({ "rounds": 6 }));
    drop(worker);
}
