//! Bodies that are not as they should be: what the sender hears.

use procession::communicator::Refusal;
use procession::message::{Broadcast, Intent, MessageError, Node, ReplyBody, TaskBody, TaskEnvelope, decode};

fn node(text: &str) -> Node {
    decode(text.as_bytes()).unwrap()
}

/// The texts are those of plumpy 0.26.1, taken from its own launcher.
#[test]
fn the_arguments_of_a_task_are_checked_as_python_does() {
    let launch = "ProcessLauncher._launch()";
    for (payload, expected) in [
        (
            "{task: launch, args: {process_class: x}}",
            format!("{launch} missing 2 required positional arguments: 'persist' and 'nowait'"),
        ),
        (
            "{task: launch, args: {}}",
            format!("{launch} missing 3 required positional arguments: 'process_class', 'persist', and 'nowait'"),
        ),
        (
            "{task: launch}",
            format!("{launch} missing 3 required positional arguments: 'process_class', 'persist', and 'nowait'"),
        ),
        (
            "{task: launch, args: {process_class: x, persist: no}}",
            format!("{launch} missing 1 required positional argument: 'nowait'"),
        ),
        ("{task: launch, args: {foo: 1}}", format!("{launch} got an unexpected keyword argument 'foo'")),
        (
            "{task: launch, args: null}",
            format!("plumpy.process_comms.{launch} argument after ** must be a mapping, not NoneType"),
        ),
        (
            "{task: launch, args: [1]}",
            format!("plumpy.process_comms.{launch} argument after ** must be a mapping, not list"),
        ),
        ("{task: launch, args: {1: 1}}", "keywords must be strings".to_owned()),
        (
            "{task: launch, args: {process_class: 5, persist: no, nowait: no}}",
            "`5` cannot be the name of a process".to_owned(),
        ),
        (
            "{task: launch, args: {process_class: x, persist: no, nowait: no, init_args: 5}}",
            "x() argument after * must be an iterable, not int".to_owned(),
        ),
        (
            "{task: launch, args: {process_class: x, persist: no, nowait: no, init_kwargs: 5}}",
            "x() argument after ** must be a mapping, not int".to_owned(),
        ),
        (
            "{task: create, args: {process_class: x, persist: no, nowait: no}}",
            "ProcessLauncher._create() got an unexpected keyword argument 'nowait'".to_owned(),
        ),
        (
            "{task: create, args: {}}",
            "ProcessLauncher._create() missing 2 required positional arguments: 'process_class' and 'persist'"
                .to_owned(),
        ),
        (
            "{task: continue, args: {}}",
            "ProcessLauncher._continue() missing 2 required positional arguments: 'pid' and 'nowait'".to_owned(),
        ),
        ("{task: continue, args: {pid: null, nowait: no}}", "`null` cannot be the id of a process".to_owned()),
        ("{task: continue, args: {pid: a, nowait: no, tag: 5}}", "`5` cannot be the tag of a snapshot".to_owned()),
        (
            "{task: continue, args: {pid: a, nowait: no, tag: [here]}}",
            "`[\"here\"]` cannot be the tag of a snapshot".to_owned(),
        ),
        ("{}", "'task'".to_owned()),
        ("null", "'NoneType' object is not subscriptable".to_owned()),
        ("abc", "string indices must be integers, not 'str'".to_owned()),
        ("[1]", "list indices must be integers or slices, not str".to_owned()),
        ("!!python/tuple [1]", "tuple indices must be integers or slices, not str".to_owned()),
        ("5", "'int' object is not subscriptable".to_owned()),
    ] {
        assert_eq!(TaskBody::try_from(&node(payload)), Err(Refusal::Failed(expected)), "{payload}");
    }
    for payload in ["{task: dance, args: {}}", "{task: null}", "{task: [1]}"] {
        assert!(matches!(TaskBody::try_from(&node(payload)), Err(Refusal::Rejected(_))), "{payload}");
    }
}

#[test]
fn what_counts_as_true_is_what_does_in_python() {
    for (said, expected) in [
        ("yes", true),
        ("1", true),
        ("a", true),
        ("[0]", true),
        ("0", false),
        ("''", false),
        ("[]", false),
        ("~", false),
        ("0.0", false),
        ("!!python/tuple []", false),
    ] {
        let task = node(&format!("{{task: continue, args: {{pid: a, nowait: {said}}}}}"));
        let TaskBody::Continue { nowait, .. } = TaskBody::try_from(&task).unwrap() else { panic!("a continue") };
        assert_eq!(nowait, expected, "{said}");
        let envelope = TaskEnvelope::try_from(node(&format!("[a, {said}]"))).unwrap();
        assert_eq!(envelope.no_reply, expected, "{said}");
    }
}

#[test]
fn a_task_without_its_envelope_is_refused() {
    for text in ["{task: launch}", "[1]", "[1, 2, 3]", "null", "launch"] {
        assert!(matches!(TaskEnvelope::try_from(node(text)), Err(MessageError::Form(_))), "{text}");
    }
}

#[test]
fn an_unknown_intent_and_none_have_the_texts_of_python() {
    let refused = |text: &str| Intent::try_from(&node(text)).unwrap_err().to_string();
    assert_eq!(refused("{intent: dance}"), "Unknown intent");
    assert_eq!(refused("{intent: null}"), "Unknown intent");
    assert_eq!(refused("{message: play}"), "'intent'");
    assert_eq!(refused("play"), "string indices must be integers, not 'str'");
    assert_eq!(Intent::try_from(&node("{intent: play, colour: red}")), Ok(Intent::Play));
}

#[test]
fn the_first_of_the_deciding_keys_of_a_reply_counts() {
    let reply = |text: &str| ReplyBody::try_from(node(text));
    assert_eq!(
        reply("{pending: 1, result: 2, exception: a, cancelled: b}"),
        Ok(ReplyBody::Cancelled(Some("b".to_owned())))
    );
    assert_eq!(reply("{pending: 1, result: 2, exception: a}"), Ok(ReplyBody::Exception("a".to_owned())));
    assert_eq!(reply("{pending: 1, result: null, other: 3}"), Ok(ReplyBody::Value(Node::Null)));
    assert_eq!(reply("{host: {}, pending: 1}"), Ok(ReplyBody::Pending));
    assert_eq!(reply("{exception: 5}"), Ok(ReplyBody::Exception("5".to_owned())));
    for text in ["{host: {}}", "[]", "null", "result"] {
        assert!(matches!(reply(text), Err(MessageError::Form(_))), "{text}");
    }
}

#[test]
fn a_broadcast_may_lack_keys_but_must_be_a_mapping() {
    assert_eq!(Broadcast::try_from(node("{subject: play, extra: 1}")), Ok(Broadcast::new(Node::Null).subject("play")));
    assert!(matches!(Broadcast::try_from(node("[play]")), Err(MessageError::Form(_))));
    assert_eq!(Intent::of_broadcast(&Broadcast::new(Node::Null)), None);
    assert_eq!(Intent::Status.to_broadcast(), None);
}
