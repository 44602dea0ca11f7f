//! Values of every plain type, both ways: what leaves one language arrives in the other as what it was.

use procession::communicator::{Answer, Communicator, IncomingRpc, Rpc};
use procession::message::{Node, STANDARD};
use serde_json::{Value, json};
use std::sync::Arc;

use super::peers::{Controller, Names};
use super::{Scene, launch, ours};

fn standard(tag: &str, node: Node) -> Node {
    Node::tagged(format!("{STANDARD}{tag}"), node)
}

fn keys(keys: impl IntoIterator<Item = Node>) -> Node {
    Node::Mapping(keys.into_iter().map(|key| (key, Node::Null)).collect())
}

/// A value as it is here, and as Python describes it.
fn values() -> Vec<(Node, Value)> {
    let tagged = |kind: &str, of: Value| json!({ "!": kind, "of": of });
    let float = |value: f64, text: &str| (Node::Float(value), tagged("float", text.into()));
    let mut values = vec![
        (Node::Null, Value::Null),
        (true.into(), true.into()),
        (false.into(), false.into()),
        (Node::Integer(0), 0.into()),
        (Node::Integer(-42), json!(-42)),
        (Node::Integer(i128::MIN), tagged("int", i128::MIN.to_string().into())),
        (Node::Huge("9".repeat(60).into()), tagged("int", "9".repeat(60).into())),
        float(1.5, "1.5"),
        float(1.0, "1.0"),
        float(-0.0, "-0.0"),
        float(1e16, "1e+16"),
        float(5e-324, "5e-324"),
        float(f64::INFINITY, "inf"),
        float(f64::NEG_INFINITY, "-inf"),
        (Node::Sequence(vec![]), json!([])),
        (Node::Mapping(vec![]), json!({})),
        (Node::Sequence(vec![Node::Integer(1), Node::Sequence(vec![Node::Null])]), json!([1, [null]])),
        (
            Node::Mapping(vec![(Node::Integer(1), "one".into()), (Node::Null, "none".into())]),
            tagged("dict", json!([[1, "one"], [null, "none"]])),
        ),
        (
            standard("python/tuple", Node::Sequence(vec![Node::Integer(1), "two".into()])),
            tagged("tuple", json!([1, "two"])),
        ),
        (standard("set", keys([Node::Integer(1), Node::Integer(2)])), tagged("set", json!([1, 2]))),
        (standard("binary", "AAECAwT/".into()), tagged("bytes", "AAECAwT/".into())),
        (
            standard("timestamp", "2026-01-02 03:04:05.000006".into()),
            tagged("datetime", "2026-01-02T03:04:05.000006".into()),
        ),
        (
            standard("timestamp", "2026-01-02 03:04:05+00:00".into()),
            tagged("datetime", "2026-01-02T03:04:05+00:00".into()),
        ),
        (standard("timestamp", "2026-01-02".into()), tagged("date", "2026-01-02".into())),
        (
            Node::tagged("!uuid", "5ce11889-4c3c-4070-b141-6a751fc498b9".into()),
            tagged("uuid", "5ce11889-4c3c-4070-b141-6a751fc498b9".into()),
        ),
    ];
    values.extend(texts().into_iter().map(|text| (text.as_str().into(), text.clone().into())));
    let all = Node::Sequence(values.iter().map(|(node, _)| node.clone()).collect());
    values.push((all, values.iter().map(|(_, told)| told.clone()).collect()));
    values
}

/// Texts that look like something else, and every character that needs care.
fn texts() -> Vec<String> {
    let texts = [
        "",
        " ",
        "null",
        "~",
        "true",
        "no",
        "1",
        "1.5",
        "1e16",
        ".inf",
        "0x1f",
        "1_000",
        "12:30:45",
        "2026-01-02",
        "=",
        "<<",
        "-",
        "- a",
        "a: b",
        "a #b",
        "'",
        "\"",
        "\\",
        "{",
        "[]",
        "!tag",
        "&a",
        "*a",
        "%",
        "@",
        "`",
        "|",
        ">",
        "two\nlines\n",
        "\n",
        "\r\n",
        "\t tab",
        "trailing ",
        "\u{7f}\u{80}\u{85}\u{9f}\u{a0}",
        "\u{2028}\u{2029}\u{feff}\u{fffd}\u{fffe}\u{ffff}",
        "\u{1f600}\u{10ffff}",
        "é ß 漢字",
        "\0\u{1}\u{1b}",
    ];
    let mut texts: Vec<String> = texts.map(ToOwned::to_owned).into();
    texts.push("a long line of words that is folded by those who fold at eighty columns, ".repeat(5));
    texts.push("x".repeat(1_000));
    texts
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn python_gives_back_what_we_send() {
    let scene = Scene::python("values-echo", "bare");
    let communicator = ours(&scene.names).await;
    for (node, _) in values() {
        let reply = communicator.rpc_send(Rpc::new("echo", node.clone())).await.expect("it is there");
        assert_eq!(reply.last().await.expect("it answers"), node);
    }
    communicator.close().await.expect("it closes");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn we_give_back_what_python_sends() {
    let names = Names::new(&crate::broker::Broker::shared(), "values-ours");
    let communicator = ours(&names).await;
    let (sent, told): (Vec<Node>, Vec<Value>) = values().into_iter().unzip();
    let echo = |call: IncomingRpc| async move { Ok(Answer::Value(call.body)) };
    communicator.add_rpc_subscriber(Arc::new(echo), Some("echo".to_owned())).await.expect("it subscribes");
    let give = move |call: IncomingRpc| {
        let index = usize::try_from(Value::from(call.body).as_u64().expect("a number")).expect("a small one");
        let node = sent[index].clone();
        async move { Ok(Answer::Value(node)) }
    };
    communicator.add_rpc_subscriber(Arc::new(give), Some("give".to_owned())).await.expect("it subscribes");
    let python = Controller::shared();
    for (index, told) in told.into_iter().enumerate() {
        let args = json!({ "recipient": "give", "msg": index });
        assert_eq!(python.result(&names, "communicator", "rpc_send", args).await, told, "from here");
        let args = json!({ "recipient": "echo", "msg": told });
        assert_eq!(python.result(&names, "communicator", "rpc_send", args).await, told, "there and back");
    }
    communicator.close().await.expect("it closes");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn outputs_of_a_python_process_arrive_as_they_are() {
    let scene = Scene::python("values-outputs", "bare");
    let raw = scene.raw().await;
    let (nodes, told): (Vec<Node>, Vec<Value>) = values().into_iter().unzip();
    let given: serde_json::Map<String, Value> =
        told.into_iter().enumerate().map(|(index, told)| (format!("v{index:03}"), told)).collect();
    let args = launch("Values", json!({ "given": given }));
    let task = json!([{ "task": "launch", "args": { "process_class": args["process_class"], "persist": false,
        "nowait": false, "init_kwargs": args["init_kwargs"] } }, false]);
    // As YAML: JSON as it is has escapes that Python does not read (wire.md 4.3).
    let body = procession::message::encode(&Node::from(task)).expect("it can be written");
    let replies = raw.task(std::str::from_utf8(&body).expect("it is text")).await;
    assert_eq!(replies.pendings, 1);
    let outputs = replies.result().as_mapping().expect("a mapping");
    assert_eq!(outputs.len(), nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(replies.result().get(&format!("v{index:03}")), Some(node));
    }
}
