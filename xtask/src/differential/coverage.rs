//! What the generated outlines contained, and how their processes ended: a test of nothing would pass, too.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

use super::batch::Recorded;
use super::case::{Action, Case, End, Form, Launch, Node, Output};

/// Counts by name.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, BTreeMap<String, usize>>);

impl Coverage {
    /// Counts what a case has, and what its processes did in plumpy.
    pub(crate) fn add(&mut self, case: &Case, recorded: &Recorded) {
        for node in case.nodes() {
            match node {
                Node::Step(_) => self.count("instructions", "step"),
                Node::While(..) => self.count("instructions", "while_"),
                Node::Return(None) => self.count("instructions", "return_"),
                Node::Return(Some(_)) => self.count("instructions", "return_(exit)"),
                Node::If { branches, otherwise } => {
                    self.count("instructions", "if_");
                    for _ in branches.iter().skip(1) {
                        self.count("instructions", "elif_");
                    }
                    if otherwise.is_some() {
                        self.count("instructions", "else_");
                    }
                }
            }
        }
        let depth = case.body.iter().map(Node::depth).max().unwrap_or_default();
        self.count("nesting", &depth.to_string());
        case.steps.iter().for_each(|step| self.step(step));
        for output in &case.outputs {
            self.count(
                "outputs",
                match output {
                    Output::Port { required: true, .. } => "required port",
                    Output::Port { .. } => "optional port",
                    Output::Namespace { .. } => "namespace",
                    Output::Dynamic { .. } => "dynamic namespace",
                },
            );
        }
        for predicate in &case.predicates {
            self.count(
                "predicates",
                match (predicate.fails, predicate.panics) {
                    (0, _) => "answer always",
                    (_, false) => "can fail",
                    (_, true) => "can panic",
                },
            );
        }
        self.ends(recorded);
        let stops = recorded.ours.get("stored").and_then(|ours| ours[&case.name]["end"]["stops"].as_u64());
        self.count("unfinished at", &format!("{} of the stops", stops.unwrap_or_default()));
    }

    fn step(&mut self, step: &super::case::Step) {
        self.count(
            "steps",
            match step.form {
                Form::Plain => "fn",
                Form::Async => "async fn",
                Form::Blocking => "blocking fn",
            },
        );
        if !step.gives.is_empty() {
            self.count("steps", "returns outputs");
        }
        for (_, action) in &step.actions {
            match action {
                Action::Out { tolerant: true, .. } => self.count("actions", "emits, whether it can or not"),
                Action::Out { .. } => self.count("actions", "emits"),
                Action::Sleep => self.count("actions", "sleeps"),
                Action::Launch { how: Launch::Detached, .. } => self.count("actions", "launches detached"),
                Action::Launch { kind, .. } => self.count("actions", &format!("awaits a child `{kind}`")),
            }
        }
        for (_, end) in &step.ends {
            self.count(
                "steps that may",
                match end {
                    End::Fail => "fail",
                    End::Panic => "panic",
                    End::Stop(_) => "stop with a value",
                    End::Exit(_) => "exit with a code",
                    End::Kill => "kill",
                    End::Wait => "wait for a resume",
                },
            );
        }
    }

    fn ends(&mut self, recorded: &Recorded) {
        for (name, process) in recorded.plumpy.as_object().into_iter().flatten() {
            let whose = if name.contains('/') { "children in plumpy" } else { "ends in plumpy" };
            let end = &process["end"];
            let how = match end["state"].as_str() {
                Some("finished") if end["successful"] == false => "finished unsuccessfully",
                Some("finished") if end["result"].is_null() => "finished",
                Some("finished") => "finished with a value",
                Some("excepted") => match end["error"].as_str() {
                    Some("ValueError") => "excepted by an output",
                    _ if self.by_child(process) => "excepted by a child",
                    _ => "excepted",
                },
                Some("killed") => "killed",
                _ => "not at all",
            };
            self.count(whose, how);
            let events = process["log"].as_array().into_iter().flatten();
            for event in events {
                if let kind @ ("step" | "predicate" | "emitted" | "got") = event[0].as_str().unwrap_or_default() {
                    self.count("events", kind);
                }
            }
        }
    }

    fn by_child(&self, process: &Value) -> bool {
        let states = process["log"].as_array().into_iter().flatten().filter(|event| event[0] == "state");
        states.rev().nth(1).is_some_and(|state| state[1] == "waiting")
    }

    fn count(&mut self, group: &'static str, what: &str) {
        *self.0.entry(group).or_default().entry(what.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, counts) in &self.0 {
            let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
            writeln!(f, "{group}: {}", counts.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::*;

    #[test]
    fn the_outlines_of_the_test_command_have_everything_that_there_is() {
        let mut coverage = Coverage::default();
        for number in 0..200 {
            coverage.add(&generate::case(1, number), &Recorded::default());
        }
        let text = coverage.to_string();
        for what in [
            "step",
            "if_",
            "elif_",
            "else_",
            "while_",
            "return_",
            "return_(exit)",
            "fn",
            "async fn",
            "blocking fn",
            "returns outputs",
            "emits",
            "sleeps",
            "launches detached",
            "required port",
            "optional port",
            "namespace",
            "dynamic namespace",
            "can fail",
            "can panic",
            "fail",
            "panic",
            "stop with a value",
            "exit with a code",
            "kill",
            "wait for a resume",
        ] {
            assert!(text.contains(&format!(" {what} ")), "there is no `{what}` in\n{text}");
        }
        for kind in super::super::case::KINDS {
            assert!(text.contains(&format!("awaits a child `{kind}`")), "no child `{kind}` is awaited in\n{text}");
        }
    }
}
