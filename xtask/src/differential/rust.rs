//! Writes a case as a process with our macros.

// Pieces of text are put together here, and `write!` into text would bring an error that cannot happen to every line.
#![allow(clippy::format_push_string)]

use serde_json::Value;

use super::case::{ALWAYS, Action, Case, End, Form, Launch, Node, Output, Predicate, Step, Table, Type};
use super::generate::{DEEP, EXITS};

/// A module with the process.
pub(crate) fn module(case: &Case) -> String {
    let name = &case.name;
    let mut text = format!(
        "pub mod {} {{\nuse procession::prelude::*;\nuse recorder::Track;\nuse serde_json::json;\n\n\
         #[process(name = \"{name}\")]\n#[derive(Default)]\npub struct {name} {{\n    track: Track,\n}}\n\n",
        name.to_lowercase()
    );
    text += &spec(case);
    text += &format!("outline! {{ {name} {{\n");
    block(case, &case.body, 1, &mut text);
    text += "}}\n\n";
    text += &format!("impl {name} {{\n");
    let (steps, predicates) = case.named();
    for (place, asked) in predicates {
        predicate(place, asked, &mut text);
    }
    for (place, step) in steps {
        method(case, place, step, &mut text);
    }
    text + "}\n}\n"
}

fn spec(case: &Case) -> String {
    let mut text = format!("spec! {{ {} {{\n", case.name);
    for output in &case.outputs {
        text += &match output {
            Output::Port { name, of, required: true } => format!("    output {name}: {};\n", rust_type(*of)),
            Output::Port { name, of, .. } => format!("    output {name}: optional<{}>;\n", rust_type(*of)),
            Output::Dynamic { name, of } => format!("    output {name}: dynamic<{}>;\n", rust_type(*of)),
            Output::Namespace { name, ports } => {
                let (mut inner, mut deep) = (String::new(), String::new());
                for (port, of, required) in ports {
                    let of = rust_type(*of);
                    let of = if *required { of.to_owned() } else { format!("optional<{of}>") };
                    match port.strip_prefix(DEEP) {
                        Some(port) => deep += &format!(" {port}: {of};"),
                        None => inner += &format!(" {port}: {of};"),
                    }
                }
                let deep = if deep.is_empty() { deep } else { format!(" deep {{{deep} }}") };
                format!("    output {name}: optional {{{inner}{deep} }}\n")
            }
        };
    }
    for exit in EXITS {
        text += &format!("    exit {exit} E{exit} \"exit {exit}\";\n");
    }
    text + "}}\n\n"
}

fn rust_type(of: Type) -> &'static str {
    match of {
        Type::Integer => "i64",
        Type::Text => "String",
        Type::Float => "f64",
        Type::Boolean => "bool",
        Type::List => "Vec<i64>",
        Type::Any => "serde_json::Value",
    }
}

fn block(case: &Case, nodes: &[Node], depth: usize, text: &mut String) {
    let indent = "    ".repeat(depth);
    for node in nodes {
        *text += &indent;
        match node {
            Node::Step(place) => {
                let step = &case.steps[*place];
                let blocking = if step.form == Form::Blocking { "blocking " } else { "" };
                let names: Vec<&str> = step.gives.iter().map(|(name, _)| name.as_str()).collect();
                let gives = if names.is_empty() { String::new() } else { format!(" => {}", names.join(", ")) };
                *text += &format!("{blocking}s{place}{gives};\n");
            }
            Node::Return(None) => *text += "return_;\n",
            Node::Return(Some(exit)) => *text += &format!("return_(E{exit});\n"),
            Node::While(predicate, body) => {
                *text += &format!("while_(p{predicate}) {{\n");
                block(case, body, depth + 1, text);
                *text += &format!("{indent}}}\n");
            }
            Node::If { branches, otherwise } => {
                for (place, (predicate, body)) in branches.iter().enumerate() {
                    let word = if place == 0 { "if_" } else { " elif_" };
                    *text += &format!("{word}(p{predicate}) {{\n");
                    block(case, body, depth + 1, text);
                    *text += &format!("{indent}}}");
                }
                if let Some(body) = otherwise {
                    *text += " else_ {\n";
                    block(case, body, depth + 1, text);
                    *text += &format!("{indent}}}");
                }
                *text += "\n";
            }
        }
    }
}

fn predicate(place: usize, predicate: &Predicate, text: &mut String) {
    let (fails, table) = (predicate.fails, predicate.table);
    let refuse = if predicate.panics { "panic" } else { "refuse" };
    *text += &if fails == 0 {
        format!(
            "    fn p{place}(&self, cx: &Cx<Self>) -> bool {{\n        self.track.ask(cx.pid(), \"p{place}\", {table:#x})\n    }}\n"
        )
    } else {
        format!(
            "    fn p{place}(&self, cx: &Cx<Self>) -> Result<bool, StepError> {{\n        \
             if self.track.on({fails:#x}) {{ return self.track.{refuse}(cx.pid(), \"p{place}\"); }}\n        \
             Ok(self.track.ask(cx.pid(), \"p{place}\", {table:#x}))\n    }}\n"
        )
    };
}

fn method(case: &Case, place: usize, step: &Step, text: &mut String) {
    let types: Vec<&str> = step.gives.iter().map(|(_, value)| type_of(value)).collect();
    let returned = match types.as_slice() {
        [] => "Next<Self>".to_owned(),
        [of] => (*of).to_owned(),
        types => format!("({})", types.join(", ")),
    };
    let asynchronous = if step.form == Form::Async { "async " } else { "" };
    *text += &format!(
        "    {asynchronous}fn s{place}(&mut self, cx: &mut Cx<Self>) -> Result<{returned}, StepError> {{\n        \
         self.track.begin(cx.pid(), \"s{place}\");\n"
    );
    for (number, (when, action)) in step.actions.iter().enumerate() {
        let action = match action {
            Action::Out { path, value, tolerant: false } => format!("self.track.out(cx, {path:?}, json!({value}))?;"),
            Action::Out { path, value, .. } => format!("let _ = self.track.out(cx, {path:?}, json!({value}));"),
            Action::Launch { kind, how: Launch::Detached } => format!("self.track.detach(cx, {number}, {kind:?})?;"),
            Action::Launch { kind, .. } => format!("self.track.launch(cx, {number}, {kind:?})?;"),
            Action::Sleep => "self.track.sleep(cx);".to_owned(),
        };
        *text += &guarded(*when, &action);
    }
    if step.form == Form::Async {
        *text += "        tokio::task::yield_now().await;\n";
    }
    for (when, end) in &step.ends {
        *text += &guarded(*when, &ending(case, place, end));
    }
    let values: Vec<String> = (step.gives.iter())
        .map(|(name, value)| format!("self.track.give(cx.pid(), {name:?}, {})", literal(value)))
        .collect();
    let value = match values.as_slice() {
        [] => "cx.next()".to_owned(),
        [value] => value.clone(),
        values => format!("({})", values.join(", ")),
    };
    *text += &format!("        Ok({value})\n    }}\n");
}

fn ending(case: &Case, place: usize, end: &End) -> String {
    match end {
        End::Fail => format!("return self.track.fail(cx.pid(), \"s{place} fails\");"),
        End::Panic => {
            format!("self.track.end(cx.pid(), \"fail\", json!(\"s{place} panics\")); panic!(\"s{place} panics\");")
        }
        End::Stop(value) => {
            format!("self.track.end(cx.pid(), \"stop\", json!({value})); return Ok(cx.stop(json!({value})));")
        }
        End::Exit(exit) => format!(
            "self.track.end(cx.pid(), \"exit\", json!({exit})); return Ok(cx.exit({}Exit::E{exit}));",
            case.name
        ),
        End::Kill => format!(
            "self.track.end(cx.pid(), \"kill\", json!(\"s{place} kills\")); return Ok(cx.kill(\"s{place} kills\"));"
        ),
        End::Wait => {
            format!("self.track.wait(cx.pid(), \"s{place} waits\"); return Ok(cx.wait(\"s{place} waits\"));")
        }
    }
}

fn guarded(when: Table, action: &str) -> String {
    if when == ALWAYS {
        format!("        {action}\n")
    } else {
        format!("        if self.track.on({when:#x}) {{ {action} }}\n")
    }
}

fn type_of(value: &Value) -> &'static str {
    rust_type(match value {
        Value::Bool(_) => Type::Boolean,
        Value::Number(number) if number.is_f64() => Type::Float,
        Value::Number(_) => Type::Integer,
        Value::Array(_) => Type::List,
        _ => Type::Text,
    })
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("String::from({text:?})"),
        Value::Array(_) => format!("vec!{value}"),
        value => format!("{value}{}", if value.is_i64() || value.is_u64() { "i64" } else { "" }),
    }
}

/// The program of a batch.
pub(crate) fn program(cases: &[Case]) -> String {
    let mut text = String::from("#![allow(warnings)]\n\nfn main() {\n    recorder::run(\n        |builder| builder");
    for case in cases {
        text += &format!("\n            .register::<{}::{}>()", case.name.to_lowercase(), case.name);
    }
    let names: Vec<String> = cases.iter().map(|case| format!("{:?}", case.name)).collect();
    text += &format!(",\n        &[{}],\n    );\n}}\n\n", names.join(", "));
    for case in cases {
        text += &(module(case) + "\n");
    }
    text
}
