//! Compares what plumpy did with what we did. Where we differ on purpose, plumpy's record is changed into what ours
//! must be, by one function per rule; what is still different then is unexplained.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::batch::Recorded;

/// How our side runs each case: without a store and unobserved, without a store, and over one with stops in between.
const MODES: [&str; 3] = ["quiet", "volatile", "stored"];

/// Events that are shown on both sides of a difference.
const AROUND: usize = 4;

/// How often each rule explained a difference.
pub(crate) type Applied = BTreeMap<&'static str, usize>;

/// What is compared of one process.
#[derive(Debug, Clone, PartialEq)]
struct Story {
    /// Steps, predicates, outputs, launches and ends, in order.
    told: Vec<Value>,
    /// Steps and states, in order.
    moves: Vec<Value>,
    /// What listeners heard of outputs.
    emitted: Vec<Value>,
    end: Value,
    outputs: Value,
}

/// Compares one case in all modes; gives what differs without an explanation, and in which modes.
pub(crate) fn compare(recorded: &Recorded, applied: &mut Applied) -> Vec<String> {
    let Some(plumpy) = recorded.plumpy.as_object() else { return vec!["plumpy did not run it".to_owned()] };
    let expected = super::explain::expected(plumpy, applied);
    let mut differences: Vec<(String, Vec<&str>)> = Vec::new();
    for mode in MODES {
        let found = match recorded.ours.get(mode).and_then(Value::as_object) {
            Some(ours) => compare_mode(mode, &expected, ours),
            None => vec!["it was not run".to_owned()],
        };
        for text in found {
            match differences.iter_mut().find(|(known, _)| *known == text) {
                Some((_, modes)) => modes.push(mode),
                None => differences.push((text, vec![mode])),
            }
        }
    }
    differences.into_iter().map(|(text, modes)| format!("{}: {text}", modes.join(", "))).collect()
}

/// The record of a process as the explained plumpy gives it: the same shape as ours, the end in the common form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) log: Vec<Value>,
    pub(crate) end: Value,
    pub(crate) outputs: Value,
}

fn compare_mode(mode: &str, expected: &BTreeMap<String, Expected>, ours: &Map<String, Value>) -> Vec<String> {
    let quiet = mode == "quiet";
    // Without an observer only the process itself is waited for.
    let counts = |name: &str| !quiet || !name.contains('/');
    let surplus = ours.keys().filter(|name| counts(name) && !expected.contains_key(*name));
    let mut differences: Vec<String> = surplus.map(|name| format!("{name} exists, in plumpy it does not")).collect();
    for (name, expected) in expected.iter().filter(|(name, _)| counts(name)) {
        let Some(own) = ours.get(name) else {
            differences.push(format!("{name} does not exist, in plumpy it does"));
            continue;
        };
        let mut wanted = story(&expected.log, expected.end.clone(), expected.outputs.clone());
        let log = own["log"].as_array().cloned().unwrap_or_default();
        let mut found = story(&log, own_end(&own["end"]["ended"], &log), own["end"]["outputs"].clone());
        if quiet {
            for story in [&mut wanted, &mut found] {
                story.moves.clear();
                story.emitted.clear();
            }
        } else if own["end"].is_null() {
            // A runtime without a store has forgotten a child that ended; its log is there.
            (wanted.end, wanted.outputs) = (found.end.clone(), found.outputs.clone());
        }
        differences.extend(wanted.against(&found).into_iter().map(|text| format!("{name}: {text}")));
    }
    differences
}

impl Story {
    fn against(&self, ours: &Self) -> Vec<String> {
        let lists = [
            ("steps, predicates and outputs", &self.told, &ours.told),
            ("states", &self.moves, &ours.moves),
            ("outputs that listeners heard of", &self.emitted, &ours.emitted),
        ];
        let mut differences: Vec<String> =
            lists.into_iter().filter_map(|(what, a, b)| first_difference(what, a, b)).collect();
        for (what, plumpy, ours) in [("end", &self.end, &ours.end), ("outputs", &self.outputs, &ours.outputs)] {
            if plumpy != ours {
                differences.push(format!("{what}\n    plumpy {plumpy}\n    ours   {ours}"));
            }
        }
        differences
    }
}

/// Where two lists begin to differ, with some of what stands around.
fn first_difference(what: &str, plumpy: &[Value], ours: &[Value]) -> Option<String> {
    let at = (0..plumpy.len().max(ours.len())).find(|at| plumpy.get(*at) != ours.get(*at))?;
    let around = |list: &[Value]| {
        let (from, to) = (at.saturating_sub(AROUND).min(list.len()), (at + AROUND).min(list.len()));
        list[from..to].iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
    };
    Some(format!("{what}, from event {at}\n    plumpy … {}\n    ours   … {}", around(plumpy), around(ours)))
}

pub(crate) fn is(event: &Value, kind: &str) -> bool {
    event[0] == kind
}

/// Predicates are asked at the step boundary here, and in the next engine step by plumpy (S106): in the sequence of
/// states they do not appear, and in that of predicates states do not.
fn story(log: &[Value], end: Value, outputs: Value) -> Story {
    let of = |kinds: &[&str]| -> Vec<Value> {
        log.iter().filter(|event| kinds.iter().any(|kind| is(event, kind))).cloned().collect()
    };
    Story {
        told: of(&["got", "step", "predicate", "out", "launch", "detach", "sleep", "end", "wait"]),
        moves: of(&["step", "state"]),
        emitted: of(&["emitted"]),
        end,
        outputs,
    }
}

/// The last thing that a process did.
pub(crate) fn last_deed(log: &[Value]) -> &Value {
    log.iter().rev().find(|event| !is(event, "state") && !is(event, "emitted")).unwrap_or(&Value::Null)
}

/// The name of the last step.
pub(crate) fn last_step(log: &[Value]) -> Value {
    log.iter().rev().find(|event| is(event, "step")).map_or(Value::Null, |event| event[1].clone())
}

/// How our process ended, in the common form. What does not look as it should stays as it is, and is then different.
fn own_end(ended: &Value, log: &[Value]) -> Value {
    match ended["state"].as_str() {
        Some("finished") => json!({ "finished": ended["result"] }),
        Some("exited") => json!({ "exit": ended["exit"]["number"] }),
        Some("killed") => json!({ "killed": ended["text"] }),
        Some("excepted") => excepted(&ended["error"], log),
        _ => ended.clone(),
    }
}

fn excepted(error: &Value, log: &[Value]) -> Value {
    let message = error["message"].as_str().unwrap_or_default();
    let deed = last_deed(log);
    // A step that stands twice in an outline is told by its path.
    let step = error["step"].as_str().map(|path| path.rsplit('/').next().unwrap_or_default());
    let step = json!(step.map(|name| name.split('#').next().unwrap_or_default()));
    if message.starts_with("child ") && error["step"].is_null() {
        // The innermost of the children says why.
        return json!({ "child": message.rsplit(": ").next() });
    }
    if is(deed, "out") && deed[3] == false {
        let path = deed[1].as_str().unwrap_or_default();
        let named = message.contains(&format!("`{path}")) && step == last_step(log);
        return if named { json!({ "output": path }) } else { error.clone() };
    }
    json!({ "excepted": message, "step": step })
}
