//! Messages as Python made them (`tests/data/wire`), and what they are here.

use procession::ProcessId;
use procession::message::{Broadcast, Intent, Node, ReplyBody, TaskBody, TaskEnvelope, UUID, decode, encode};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

use super::values::shown;

const PID: &str = "5ce11889-4c3c-4070-b141-6a751fc498b9";

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire")
}

/// The names and bytes of all messages.
pub(super) fn messages() -> Vec<(String, Vec<u8>)> {
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            messages.push((name, std::fs::read(path).unwrap()));
        }
    }
    messages.sort();
    messages
}

fn read(name: &str) -> Node {
    decode(&std::fs::read(folder().join(format!("{name}.yaml"))).unwrap()).unwrap()
}

#[test]
fn captured_messages_are_the_values_that_were_sent() {
    let path = folder().join("values.json");
    let expected: Map<String, Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut found = Map::new();
    for (name, message) in messages() {
        let node = decode(&message).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = decode(&encode(&node).unwrap()).unwrap_or_else(|error| panic!("{name}, written: {error}"));
        assert_eq!(shown(&again), shown(&node), "{name}");
        found.insert(name, node.into());
    }
    for (name, value) in &found {
        assert_eq!(Some(value), expected.get(name), "{name}");
    }
    assert_eq!(found.len(), expected.len(), "each message has its value");
}

#[test]
fn tasks_of_plumpy_are_read() {
    let task = |name: &str| {
        let envelope = TaskEnvelope::try_from(read(name)).unwrap();
        (TaskBody::try_from(&envelope.payload).unwrap(), envelope.no_reply)
    };
    let pid = ProcessId::from(PID);
    let inputs = json!({"a": 2, "b": 3});

    let (TaskBody::Launch { create, nowait: false }, false) = task("task_launch") else { panic!("a launch") };
    assert_eq!((&*create.process, create.persist), ("plumpy_worker:AddProcess", false));
    assert_eq!(create.init_args, []);
    assert_eq!(create.init_kwargs, [(Node::text("inputs"), Node::from(inputs))]);

    let (TaskBody::Launch { create, nowait: true }, true) = task("task_launch_nowait") else { panic!("a launch") };
    assert_eq!((create.init_args, create.init_kwargs), (vec![Node::from(json!({"a": 2}))], vec![]));

    let (TaskBody::Create(create), false) = task("task_create") else { panic!("a create") };
    assert!(create.persist);

    assert_eq!(task("task_continue"), (TaskBody::Continue { pid, nowait: false, tag: None }, false));
    let tag = Some("before".to_owned());
    assert_eq!(task("task_continue_tag"), (TaskBody::Continue { pid: 12.into(), nowait: true, tag }, false));
    // As plumpy before 0.25 wrote a UUID, here one beyond 127 bits.
    let pid = ProcessId::from("f7d81789-4c3c-4070-b141-6a751fc498b9");
    assert_eq!(task("old_task_continue"), (TaskBody::Continue { pid, nowait: true, tag: None }, false));
    assert!(matches!(task("json_task_launch"), (TaskBody::Launch { nowait: false, .. }, false)));
}

#[test]
fn replies_of_kiwipy_are_read() {
    let reply = |name: &str| ReplyBody::try_from(read(name)).unwrap();
    let exception = |text: &str| ReplyBody::Exception(text.to_owned());
    assert_eq!(reply("reply_pending_task"), ReplyBody::Pending);
    assert_eq!(reply("reply_pending"), ReplyBody::Pending);
    assert_eq!(reply("reply_result_task"), ReplyBody::Value(json!({"sum": 5}).into()));
    assert_eq!(reply("reply_created"), ReplyBody::Value(Node::tagged(UUID, PID.into())));
    assert_eq!(reply("reply_true"), ReplyBody::Value(true.into()));
    assert_eq!(reply("reply_exception_task"), exception("Great scott!"));
    let folded = "Error occurred validating port 'inputs.a': value 'a' is not of the right type. \
        Got '<class 'str'>', expected '<class 'int'>'";
    assert_eq!(reply("reply_exception_folded"), exception(folded));
    assert_eq!(reply("reply_exception_empty"), exception(""));
    assert_eq!(reply("reply_unknown_intent"), exception("Unknown intent"));
    assert_eq!(reply("reply_no_intent"), exception("'intent'"));
    assert_eq!(reply("reply_cancelled"), ReplyBody::Cancelled(None));
    assert_eq!(reply("reply_cancelled_text"), ReplyBody::Cancelled(Some("enough".to_owned())));
    let smile = json!({"a": 1, "b": [true, null, 1.5], "c": "\u{1f600} /"});
    assert_eq!(reply("json_reply"), ReplyBody::Value(smile.into()));
    let ReplyBody::Value(status) = reply("reply_status") else { panic!("a status") };
    assert_eq!(status.get("ctime"), Some(&Node::Float(1_795_196_633.307_791_7)));
    assert_eq!(status.get("state"), Some(&"ProcessState.WAITING".into()));
}

#[test]
fn calls_of_plumpy_are_read_from_every_version() {
    let intent = |name: &str| Intent::try_from(&read(name)).unwrap();
    let kill = |message: &str, force| Intent::Kill { message: Some(message.to_owned()), force };
    for (name, expected) in [
        ("rpc_play", Intent::Play),
        ("old_rpc_play", Intent::Play),
        ("rpc_pause", Intent::Pause(Some("hold it".to_owned()))),
        ("rpc_pause_no_text", Intent::Pause(None)),
        ("old_rpc_pause", Intent::Pause(None)),
        ("rpc_kill", kill("enough", false)),
        ("rpc_kill_force", kill("now", true)),
        ("old_rpc_kill", kill("enough", false)),
        ("rpc_status", Intent::Status),
        ("old_rpc_status", Intent::Status),
    ] {
        assert_eq!(intent(name), expected, "{name}");
    }
}

#[test]
fn broadcasts_of_plumpy_are_read_from_every_version() {
    let broadcast = |name: &str| Broadcast::try_from(read(name)).unwrap();
    let pid = ProcessId::from(PID);
    let running = Broadcast::new(Node::Null).sender(&pid).subject("state_changed.created.running");
    assert_eq!(broadcast("broadcast_running"), running);
    assert_eq!(broadcast("broadcast_created").subject.as_deref(), Some("state_changed.None.created"));
    assert_eq!(broadcast("broadcast_integer_pid").sender.as_pid(), Some(1234.into()));
    let kill = |message: Option<&str>| Intent::Kill { message: message.map(str::to_owned), force: false };
    for (name, expected) in [
        ("broadcast_running", None),
        ("broadcast_created", None),
        ("broadcast_play_all", Some(Intent::Play)),
        ("broadcast_pause_all", Some(Intent::Pause(Some("everybody freeze".to_owned())))),
        ("broadcast_kill_all", Some(kill(Some("bang")))),
        ("old_broadcast_pause", Some(Intent::Pause(Some("hold it".to_owned())))),
        ("old_broadcast_kill", Some(kill(None))),
    ] {
        assert_eq!(Intent::of_broadcast(&broadcast(name)), expected, "{name}");
    }
}

/// What is written here has the structure that Python writes, in whatever order of keys.
#[test]
fn bodies_are_written_as_plumpy_writes_them() {
    let same = |name: &str, node: Node| {
        assert_eq!(Value::from(decode(&encode(&node).unwrap()).unwrap()), Value::from(read(name)), "{name}");
    };
    for name in ["task_launch", "task_launch_nowait", "task_create", "task_continue", "task_continue_tag"] {
        let envelope = TaskEnvelope::try_from(read(name)).unwrap();
        let payload = Node::from(&TaskBody::try_from(&envelope.payload).unwrap());
        same(name, TaskEnvelope { payload, ..envelope }.into());
    }
    for (name, _) in messages() {
        if name.starts_with("rpc_") {
            same(&name, (&Intent::try_from(&read(&name)).unwrap()).into());
        } else if name.starts_with("broadcast_") {
            let broadcast = Broadcast::try_from(read(&name)).unwrap();
            if let Some(intent) = Intent::of_broadcast(&broadcast) {
                assert_eq!(intent.to_broadcast(), Some(broadcast.clone()), "{name}");
            }
            same(&name, broadcast.into());
        } else if name.starts_with("reply_") {
            let node = read(&name);
            let host = node.get("host").cloned();
            let reply = ReplyBody::try_from(node).unwrap();
            same(
                &name,
                match host {
                    None => reply.into(),
                    Some(host) => reply.with_host(&procession::message::Host {
                        hostname: host.get("hostname").and_then(Node::as_text).unwrap().to_owned(),
                        pid: host.get("pid").map(Node::to_string).unwrap().parse().unwrap(),
                    }),
                },
            );
        }
    }
}
