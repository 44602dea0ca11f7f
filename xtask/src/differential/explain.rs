//! The differences that are meant, each as a change of plumpy's record into what ours must be.
//!
//! The numbers are those of the rules in `docs/parity.md`. Nothing is left out of the comparison: every function
//! writes what is expected instead, and counts itself only where that is something else than what plumpy did.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::compare::{Applied, Expected, is, last_deed, last_step};

/// A state and what happened in it.
#[derive(Debug, Clone)]
struct Stay {
    state: String,
    events: Vec<Value>,
}

impl Stay {
    fn has_step(&self) -> bool {
        self.events.iter().any(|event| is(event, "step"))
    }

    fn launched(&self, how: &str) -> impl Iterator<Item = &str> {
        self.events.iter().filter(move |event| is(event, how)).filter_map(|event| event[1].as_str())
    }
}

/// One process of plumpy, on its way to what ours must be.
struct Account<'a> {
    stays: Vec<Stay>,
    /// Where it ended, which is no part of the stays.
    terminal: String,
    end: Value,
    outputs: Value,
    plumpy: &'a Value,
    applied: &'a mut Applied,
}

/// What our processes must have written down, by name.
pub(crate) fn expected(plumpy: &Map<String, Value>, applied: &mut Applied) -> BTreeMap<String, Expected> {
    let mut expected = BTreeMap::new();
    let mut absent = Vec::new();
    // Children come after their parents in order, and the end of a parent asks for that of its children.
    for (name, record) in plumpy {
        let mut account = Account::new(record, applied);
        absent.extend(account.launched_in_vain());
        account.merged_namespaces();
        account.context_as_result();
        account.return_with_exit_code();
        account.missing_output();
        account.outputs_of_failed_step();
        account.children_at_the_end(plumpy);
        account.first_failed_child(plumpy);
        account.steps_without_leaf();
        expected.insert(name.clone(), account.finish());
    }
    let in_vain = |name: &String| {
        absent
            .iter()
            .any(|gone: &String| name == gone || name.strip_prefix(gone).is_some_and(|rest| rest.starts_with('/')))
    };
    expected.retain(|name, _| !in_vain(name));
    expected
}

impl<'a> Account<'a> {
    fn new(plumpy: &'a Value, applied: &'a mut Applied) -> Self {
        let log = plumpy["log"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut stays: Vec<Stay> = Vec::new();
        for event in log {
            match stays.last_mut() {
                _ if is(event, "state") => {
                    stays.push(Stay { state: event[1].as_str().unwrap_or_default().to_owned(), events: Vec::new() });
                }
                Some(stay) => stay.events.push(event.clone()),
                None => stays.push(Stay { state: "none".to_owned(), events: vec![event.clone()] }),
            }
        }
        let terminal = stays.pop().map(|stay| stay.state).unwrap_or_default();
        let end = plain_end(&plumpy["end"], log, stays.last());
        Self { stays, terminal, end, outputs: plumpy["outputs"].clone(), plumpy, applied }
    }

    fn apply(&mut self, rule: &'static str) {
        *self.applied.entry(rule).or_default() += 1;
    }

    /// The engine step that ended the process, if one did.
    fn last_stay(&self) -> Option<&Stay> {
        self.stays.last().filter(|stay| stay.state == "running")
    }

    fn step_failed(&self) -> bool {
        self.terminal == "excepted" && self.last_stay().is_some_and(Stay::has_step)
    }

    /// S36: plumpy starts a child at once; ours start with the step boundary, and a step that fails or kills its
    /// process has none.
    fn launched_in_vain(&mut self) -> Vec<String> {
        let names =
            |stay: &Stay| ["launch", "detach"].map(|how| stay.launched(how).map(str::to_owned).collect::<Vec<_>>());
        let killed = self.terminal == "killed";
        let last = self.last_stay().filter(|_| killed || self.step_failed());
        let absent = last.map(names).unwrap_or_default().concat();
        if !absent.is_empty() {
            self.apply("S36: children of a step that failed, or that killed its process, never start");
        }
        absent
    }

    /// S48: a mapping for a namespace replaces what was there in plumpy, and is put beside it here. Whether a required
    /// output is then missing, plumpy's own validation says.
    fn merged_namespaces(&mut self) {
        let outputs = self.emitted();
        let has_mapping = |stay: &Stay| stay.events.iter().any(|event| is(event, "emitted") && event[2].is_object());
        if outputs != self.outputs && self.stays.iter().any(has_mapping) {
            self.outputs = outputs;
            let (was, is) = match self.plumpy["end"]["valid_beside"].as_bool() {
                Some(true) => ("unsuccessful", "finished"),
                _ => ("finished", "unsuccessful"),
            };
            if let Some(result) = self.end.get(was).cloned() {
                self.end = json!({ is: result });
            }
            self.apply("S48: a mapping for a namespace keeps what was there beside it");
        }
    }

    /// S108: a `ToContext` that the last step returns is plumpy's result, live futures and all; a step here returns none.
    fn context_as_result(&mut self) {
        for how in ["finished", "unsuccessful"] {
            if self.end[how].get("to_context").is_some() {
                self.end[how] = Value::Null;
                self.apply("S108: what the last step puts into the context is no result");
            }
        }
    }

    /// S109: `return_(code)` counts as successful in plumpy, with the code as result; here it is an exit code.
    fn return_with_exit_code(&mut self) {
        let without_step = self.last_stay().is_some_and(|stay| !stay.has_step());
        let result = &self.plumpy["end"]["result"];
        if self.terminal == "finished" && without_step && !result.is_null() {
            self.end = json!({ "exit": result });
            self.apply("S109: `return_(code)` ends with an exit code, not with a result");
        }
    }

    /// S43: a required output that is missing ends plumpy's process as unsuccessful without saying so; here it is exit
    /// code 11.
    fn missing_output(&mut self) {
        if self.end.get("unsuccessful").is_some() {
            self.end = json!({ "exit": 11 });
            self.apply("S43: a missing required output is exit code 11");
        }
    }

    /// S47: plumpy stores an output at once; here with the step boundary, and a step that fails leaves none.
    fn outputs_of_failed_step(&mut self) {
        if !self.step_failed() {
            return;
        }
        let Some(last) = self.stays.last_mut() else { return };
        let before = last.events.len();
        last.events.retain(|event| !is(event, "emitted"));
        if last.events.len() < before {
            self.outputs = self.emitted();
            self.apply("S47: a step that fails emits no outputs");
        }
    }

    /// What all outputs that were emitted come to.
    fn emitted(&self) -> Value {
        let mut outputs = json!({});
        for event in self.stays.iter().flat_map(|stay| &stay.events).filter(|event| is(event, "emitted")) {
            let path: Vec<&str> = event[1].as_str().unwrap_or_default().split('.').collect();
            put(&mut outputs, &path, &event[2]);
        }
        outputs
    }

    /// S112: plumpy drops what the last step awaits, a quirk; here the end waits for it, and a child that fails ends
    /// its parent as excepted.
    fn children_at_the_end(&mut self, plumpy: &Map<String, Value>) {
        let Some(last) = self.last_stay().filter(|stay| self.terminal == "finished" && stay.has_step()) else { return };
        let awaited: Vec<String> = last.launched("launch").map(str::to_owned).collect();
        if awaited.is_empty() && !last.events.iter().any(|event| is(event, "sleep")) {
            return;
        }
        self.stays.push(Stay { state: "waiting".to_owned(), events: Vec::new() });
        if let Some(text) = awaited.iter().find_map(|child| failure(&plumpy[child])) {
            "excepted".clone_into(&mut self.terminal);
            self.end = json!({ "child": text });
        }
        self.apply("S112: what the last step awaits is waited for");
    }

    /// S111: the child that fails first, in time, excepts plumpy's process at once; here the first in order of launch
    /// does when all have ended.
    fn first_failed_child(&mut self, plumpy: &Map<String, Value>) {
        let [.., step, wait] = self.stays.as_slice() else { return };
        if wait.state != "waiting" || self.terminal != "excepted" {
            return;
        }
        let text = step.launched("launch").find_map(|child| failure(&plumpy[child]));
        let first = json!({ "child": text });
        if first != self.end {
            self.end = first;
            self.apply("S111: of several failed children the first in order is named");
        }
    }

    /// S106: an `if_` without a true branch, a `while_` that is over, a `return_` and a predicate that fails each cost
    /// plumpy an engine step of its own, which runs no leaf; here they are part of the boundary before.
    fn steps_without_leaf(&mut self) {
        let before = self.stays.len();
        let mut kept: Vec<Stay> = Vec::new();
        for stay in std::mem::take(&mut self.stays) {
            match kept.last_mut() {
                Some(last) if stay.state == "running" && !stay.has_step() => last.events.extend(stay.events),
                None if stay.state == "running" && !stay.has_step() => {
                    kept.push(Stay { state: String::new(), events: stay.events });
                }
                _ => kept.push(stay),
            }
        }
        // A process that never ran a step was running all the same before it finished (S2).
        if let [only] = kept.as_mut_slice()
            && only.state.is_empty()
            && self.terminal == "finished"
        {
            only.state.push_str("running");
        }
        self.stays = kept;
        let states = self.stays.iter().filter(|stay| !stay.state.is_empty()).count();
        if states < before {
            self.apply("S106: an engine step without a leaf is no transition");
        }
    }

    fn finish(self) -> Expected {
        let mut log = Vec::new();
        for stay in self.stays {
            if !stay.state.is_empty() {
                log.push(json!(["state", stay.state]));
            }
            log.extend(stay.events);
        }
        log.push(json!(["state", self.terminal]));
        Expected { log, end: self.end, outputs: self.outputs }
    }
}

/// Why a child ends its parent, if it does.
fn failure(child: &Value) -> Option<String> {
    let end = &child["end"];
    let failed = end["state"] == "excepted" || end["state"] == "killed";
    failed.then(|| end["text"].as_str().unwrap_or_default().to_owned())
}

/// Puts a value into the tree of outputs as we do.
fn put(outputs: &mut Value, path: &[&str], value: &Value) {
    let Some((head, rest)) = path.split_first() else { return };
    let Some(outputs) = outputs.as_object_mut() else { return };
    if !rest.is_empty() {
        return put(outputs.entry(*head).or_insert_with(|| json!({})), rest, value);
    }
    match (outputs.get_mut(*head), value) {
        (Some(known @ Value::Object(_)), Value::Object(new)) => {
            new.iter().for_each(|(name, value)| put(known, &[name.as_str()], value));
        }
        _ => drop(outputs.insert((*head).to_owned(), value.clone())),
    }
}

/// How plumpy's process ended, in the common form.
fn plain_end(end: &Value, log: &[Value], last: Option<&Stay>) -> Value {
    let deed = last_deed(log);
    match end["state"].as_str() {
        Some("finished") if is(deed, "end") && deed[1] == "exit" => json!({ "exit": end["result"] }),
        Some("finished") if end["successful"] == true => json!({ "finished": end["result"] }),
        Some("finished") => json!({ "unsuccessful": end["result"] }),
        Some("killed") => json!({ "killed": end["text"] }),
        _ if last.is_some_and(|stay| stay.state == "waiting") => json!({ "child": end["text"] }),
        _ if end["error"] == "ValueError" && is(deed, "out") && deed[3] == false => json!({ "output": deed[1] }),
        _ if end["error"] == "Planned" => {
            let step = if is(deed, "end") { last_step(log) } else { Value::Null };
            json!({ "excepted": end["text"], "step": step })
        }
        _ => end.clone(),
    }
}

#[cfg(test)]
// Values are written where they are used.
#[allow(clippy::needless_pass_by_value)]
mod tests {
    use super::*;

    /// Explains one process, beside children that ended as given; gives its states and steps, end, outputs, and rules.
    fn explained(log: Value, end: Value, outputs: Value, children: Value) -> (String, Value, Value, Vec<&'static str>) {
        let mut plumpy = Map::new();
        for (name, end) in children.as_object().into_iter().flatten() {
            let log = json!([["state", "running"], ["step", "work"], ["state", end["state"]]]);
            plumpy.insert(name.clone(), json!({ "log": log, "end": end, "outputs": {} }));
        }
        plumpy.insert("C".to_owned(), json!({ "log": log, "end": end, "outputs": outputs }));
        let mut applied = Applied::new();
        let expected = expected(&plumpy, &mut applied);
        let own = &expected["C"];
        let moves = own.log.iter().filter(|event| is(event, "state") || is(event, "step"));
        let moves: Vec<&str> = moves.filter_map(|event| event[1].as_str()).collect();
        let rules = applied.keys().map(|rule| rule.split(':').next().unwrap_or_default()).collect();
        (moves.join(" "), own.end.clone(), own.outputs.clone(), rules)
    }

    fn finished(result: Value) -> Value {
        json!({ "state": "finished", "result": result, "successful": true })
    }

    const RUNNING: (&str, &str) = ("state", "running");
    const FINISHED: (&str, &str) = ("state", "finished");

    #[test]
    fn engine_steps_without_a_leaf_are_no_transitions() {
        let log = json!([RUNNING, ["predicate", "p0", false], RUNNING, ["step", "a"], RUNNING, RUNNING, FINISHED]);
        let (moves, _, _, rules) = explained(log, finished(Value::Null), json!({}), json!({}));
        assert_eq!((moves.as_str(), rules), ("running a finished", vec!["S106"]));
        let log = json!([RUNNING, ["predicate", "p0", false], FINISHED]);
        let (moves, _, _, rules) = explained(log, finished(Value::Null), json!({}), json!({}));
        assert_eq!((moves.as_str(), rules), ("running finished", vec![]));
        let log = json!([RUNNING, ["predicate", "p0", "fails"], ["state", "excepted"]]);
        let end = json!({ "state": "excepted", "error": "Planned", "text": "p0 fails" });
        let (moves, end, _, rules) = explained(log, end, json!({}), json!({}));
        assert_eq!((moves.as_str(), rules), ("excepted", vec!["S106"]));
        assert_eq!(end, json!({ "excepted": "p0 fails", "step": null }));
    }

    #[test]
    fn an_exit_code_of_the_outline_is_told_from_a_result_of_a_step() {
        let log = json!([RUNNING, ["step", "a"], RUNNING, FINISHED]);
        let (_, end, _, rules) = explained(log, finished(json!(410)), json!({}), json!({}));
        assert_eq!((end, rules), (json!({ "exit": 410 }), vec!["S106", "S109"]));
        let log = json!([RUNNING, ["step", "a"], ["end", "stop", 410], FINISHED]);
        let (_, end, _, rules) = explained(log, finished(json!(410)), json!({}), json!({}));
        assert_eq!((end, rules), (json!({ "finished": 410 }), vec![]));
    }

    #[test]
    fn a_missing_output_is_told_from_an_unsuccessful_result() {
        let unsuccessful = json!({ "state": "finished", "result": 5, "successful": false });
        let log = json!([RUNNING, ["step", "a"], ["end", "stop", 5], FINISHED]);
        let (_, end, _, rules) = explained(log, unsuccessful.clone(), json!({}), json!({}));
        assert_eq!((end, rules), (json!({ "exit": 11 }), vec!["S43"]));
        let log = json!([RUNNING, ["step", "a"], ["end", "exit", 5], FINISHED]);
        let (_, end, _, rules) = explained(log, unsuccessful, json!({}), json!({}));
        assert_eq!((end, rules), (json!({ "exit": 5 }), vec![]));
    }

    #[test]
    fn a_step_that_fails_leaves_neither_outputs_nor_children() {
        let log = json!([
            RUNNING,
            ["step", "a"],
            ["emitted", "o", 1],
            RUNNING,
            ["step", "b"],
            ["emitted", "o", 2],
            ["launch", "C/c2_0", "well"],
            ["end", "fail", "no"],
            ["state", "excepted"]
        ]);
        let end = json!({ "state": "excepted", "error": "Planned", "text": "no" });
        let children = json!({ "C/c2_0": finished(Value::Null), "C/c2_0/c1_0": finished(Value::Null) });
        let (_, end, outputs, rules) = explained(log.clone(), end.clone(), json!({ "o": 2 }), children.clone());
        assert_eq!((end, outputs), (json!({ "excepted": "no", "step": "b" }), json!({ "o": 1 })));
        assert_eq!(rules, ["S36", "S47"]);
        let plumpy = json!({ "C": { "log": log, "end": {}, "outputs": { "o": 2 } }, "C/c2_0": {}, "C/c2_0/c1_0": {} });
        let left = expected(plumpy.as_object().expect("an object"), &mut Applied::new());
        assert_eq!(left.keys().collect::<Vec<_>>(), ["C"]);
    }

    #[test]
    fn what_the_last_step_awaits_decides_the_end() {
        let log = json!([RUNNING, ["step", "a"], ["launch", "C/c1_0", "fail"], ["emitted", "o", 1], FINISHED]);
        let failed = json!({ "C/c1_0": { "state": "excepted", "error": "Planned", "text": "it fails" } });
        let (moves, end, outputs, rules) = explained(log.clone(), finished(Value::Null), json!({ "o": 1 }), failed);
        assert_eq!((moves.as_str(), rules), ("running a waiting excepted", vec!["S112"]));
        assert_eq!((end, outputs), (json!({ "child": "it fails" }), json!({ "o": 1 })));
        let well = json!({ "C/c1_0": finished(Value::Null) });
        let (moves, end, _, _) = explained(log, finished(json!({ "to_context": ["c"] })), json!({ "o": 1 }), well);
        assert_eq!((moves.as_str(), end), ("running a waiting finished", json!({ "finished": null })));
    }

    #[test]
    fn of_several_failed_children_the_first_in_order_is_named() {
        let log = json!([
            RUNNING,
            ["step", "a"],
            ["launch", "C/c1_0", "fail"],
            ["launch", "C/c1_1", "kill"],
            ["state", "waiting"],
            ["state", "excepted"]
        ]);
        let end = json!({ "state": "excepted", "error": "KilledError", "text": "second" });
        let children = json!({
            "C/c1_0": { "state": "excepted", "error": "Planned", "text": "first" },
            "C/c1_1": { "state": "killed", "text": "second" }
        });
        let (_, end, _, rules) = explained(log, end, json!({}), children);
        assert_eq!((end, rules), (json!({ "child": "first" }), vec!["S111"]));
    }

    #[test]
    fn a_mapping_for_a_namespace_is_put_beside_what_was_there() {
        let log = json!([RUNNING, ["step", "a"], ["emitted", "n.p", 1], ["emitted", "n", { "q": 2 }], FINISHED]);
        // Whether it was successful in plumpy, whether it is with both outputs, and what that comes to.
        for (successful, beside, ended, rules) in [
            (true, true, json!({ "finished": 3 }), vec!["S48"]),
            (false, true, json!({ "finished": 3 }), vec!["S48"]),
            (true, false, json!({ "exit": 11 }), vec!["S43", "S48"]),
            (false, false, json!({ "exit": 11 }), vec!["S43", "S48"]),
        ] {
            let end = json!({ "state": "finished", "result": 3, "successful": successful, "valid_beside": beside });
            let (_, end, outputs, applied) = explained(log.clone(), end, json!({ "n": { "q": 2 } }), json!({}));
            assert_eq!((end, outputs, applied), (ended, json!({ "n": { "p": 1, "q": 2 } }), rules));
        }
        let mapping = json!({ "deep": { "q": 2 } });
        let log =
            json!([RUNNING, ["step", "a"], ["emitted", "n.deep.p", 1], ["emitted", "n", mapping.clone()], FINISHED]);
        let end = json!({ "state": "finished", "result": null, "successful": true, "valid_beside": true });
        let (_, _, outputs, _) = explained(log, end, json!({ "n": mapping }), json!({}));
        assert_eq!(outputs, json!({ "n": { "deep": { "p": 1, "q": 2 } } }));
    }
}
