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
        // Of a namespace that is unknown its own name is told; of one with ports at fault theirs.
        let first = path.split('.').next().unwrap_or_default();
        let forms = [format!("`{path}`"), format!("`{path}."), format!("`{first}`")];
        let fits = forms.iter().any(|form| message.contains(form)) && step == last_step(log);
        return if fits { json!({ "output": path }) } else { error.clone() };
    }
    json!({ "excepted": message, "step": step })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s0; while_(p0) { s1 } s2`, where `s0` launches a child and `s1` waits: what each side writes down.
    fn recorded() -> Recorded {
        let deeds = json!([
            ["step", "s0"], ["out", "a", 1, true], ["launch", "C/c1_0", "well"], ["predicate", "p0", true],
            ["got", "c1_0", { "n": 0 }], ["step", "s1"], ["predicate", "p0", false], ["step", "s2"]
        ]);
        let [s0, out, launch, yes, got, s1, no, s2] = deeds.as_array().expect("a list").as_slice() else { panic!() };
        let (running, waiting) = (json!(["state", "running"]), json!(["state", "waiting"]));
        let (finished, emitted) = (json!(["state", "finished"]), json!(["emitted", "a", 1]));
        let plumpy = json!([
            running, s0, emitted, out, launch, waiting, running, yes, got, s1, running, no, running, s2, finished
        ]);
        let ours =
            json!([running, s0, out, launch, waiting, emitted, yes, running, got, s1, no, running, s2, finished]);
        let child = json!([running, ["step", "work"], finished]);
        let end = json!({ "state": "finished", "result": null, "successful": true });
        let ended = json!({ "ended": { "state": "finished" }, "outputs": { "a": 1 } });
        let well = json!({ "ended": { "state": "finished" }, "outputs": {} });
        let both = json!({ "C": { "log": ours, "end": ended }, "C/c1_0": { "log": child, "end": well } });
        Recorded {
            plumpy: json!({
                "C": { "log": plumpy, "end": end, "outputs": { "a": 1 } },
                "C/c1_0": { "log": child, "end": end, "outputs": {} }
            }),
            ours: MODES.map(|mode| (mode.to_owned(), both.clone())).into(),
        }
    }

    #[test]
    fn what_is_the_same_but_for_meant_differences_is_the_same() {
        let mut applied = Applied::new();
        assert_eq!(compare(&recorded(), &mut applied), Vec::<String>::new());
        assert_eq!(applied.values().sum::<usize>(), 1, "{applied:?}");
    }

    /// What is changed, how, and what is said then.
    type Change = (&'static str, fn(&mut Value), &'static str);

    #[test]
    fn every_change_of_a_trace_is_found() {
        let changes: [Change; 12] = [
            ("a predicate", |ours| ours["C"]["log"][6][2] = json!(false), "predicates"),
            ("a step", |ours| ours["C"]["log"][12][1] = json!("s3"), "steps"),
            ("an output that a step emits", |ours| ours["C"]["log"][2][2] = json!(2), "steps"),
            ("a result of a child", |ours| ours["C"]["log"][8][2] = json!({}), "steps"),
            ("a state", |ours| ours["C"]["log"][4][1] = json!("running"), "states"),
            ("an output that is heard of", |ours| ours["C"]["log"][5][2] = json!(2), "listeners"),
            ("the outputs", |ours| ours["C"]["end"]["outputs"]["a"] = json!(2), "outputs"),
            ("the result", |ours| ours["C"]["end"]["ended"]["result"] = json!(2), "end"),
            ("the end", |ours| ours["C"]["end"]["ended"]["state"] = json!("killed"), "end"),
            ("a step of a child", |ours| ours["C/c1_0"]["log"][1][1] = json!("turn"), "C/c1_0: steps"),
            ("a child less", |ours| drop(ours.as_object_mut().map(|all| all.remove("C/c1_0"))), "does not exist"),
            ("a child more", |ours| ours["C/c1_1"] = json!({ "log": [] }), "exists, in plumpy it does not"),
        ];
        for (what, change, said) in changes {
            for mode in ["volatile", "stored"] {
                let mut other = recorded();
                other.ours.get_mut(mode).map(change).expect("the mode is there");
                let differences = compare(&other, &mut Applied::new());
                assert!(!differences.is_empty(), "{what} was changed, and nothing is said");
                let all = differences.iter().all(|text| text.starts_with(&format!("{mode}: ")));
                assert!(all && differences.iter().any(|text| text.contains(said)), "{what}: {differences:?}");
            }
        }
    }

    #[test]
    fn a_side_that_did_not_run_is_a_difference() {
        let mut silent = recorded();
        silent.ours.remove("quiet");
        assert_eq!(compare(&silent, &mut Applied::new()), ["quiet: it was not run"]);
        silent.plumpy = Value::Null;
        assert_eq!(compare(&silent, &mut Applied::new()), ["plumpy did not run it"]);
    }

    #[test]
    fn an_error_that_does_not_fit_what_the_process_did_stays_as_it_is() {
        let log = [json!(["step", "s0"]), json!(["out", "a.b", 1, false])];
        let error =
            |message: &str, step: &str| json!({ "state": "excepted", "error": { "message": message, "step": step } });
        assert_eq!(own_end(&error("`a.b`: no", "if_(p)/s0#2"), &log), json!({ "output": "a.b" }));
        assert_ne!(own_end(&error("`c`: no", "s0"), &log), json!({ "output": "a.b" }));
        assert_ne!(own_end(&error("`a.b`: no", "s1"), &log), json!({ "output": "a.b" }));
        assert_eq!(own_end(&error("no", "s0"), &log[..1]), json!({ "excepted": "no", "step": "s0" }));
    }
}
