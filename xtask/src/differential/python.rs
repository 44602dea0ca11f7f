//! Writes a case as a work chain of plumpy.

// Pieces of text are put together here, and `write!` into text would bring an error that cannot happen to every line.
#![allow(clippy::format_push_string)]

use serde_json::Value;

use super::case::{ALWAYS, Action, Case, End, Launch, Node, Output, Step, Table, Type};

/// The class.
pub(crate) fn class(case: &Case) -> String {
    let mut text = format!("class {}(Recorded):\n    @classmethod\n    def define(cls, spec):\n", case.name);
    text += "        super().define(spec)\n";
    text += &case.outputs.iter().map(declaration).collect::<String>();
    text += &format!("        spec.outline({})\n", instructions(&case.body, 3));
    let (steps, predicates) = case.named();
    for (place, predicate) in predicates {
        text += &format!("\n    def p{place}(self):\n");
        if predicate.fails != 0 {
            text += &format!("        if self.on({:#x}):\n            self.refuse('p{place}')\n", predicate.fails);
        }
        text += &format!("        return self.ask('p{place}', {:#x})\n", predicate.table);
    }
    for (place, step) in steps {
        method(place, step, &mut text);
    }
    text
}

fn declaration(output: &Output) -> String {
    let port = |name: &str, of: Type, required: bool| {
        let required = if required { "True" } else { "False" };
        format!("        spec.output('{name}', valid_type={}, required={required})\n", python_type(of))
    };
    match output {
        Output::Port { name, of, required } => port(name, *of, *required),
        Output::Dynamic { name, of: Type::Any } => format!("        spec.output_namespace('{name}', dynamic=True)\n"),
        Output::Dynamic { name, of } => {
            format!("        spec.output_namespace('{name}', dynamic=True, valid_type={})\n", python_type(*of))
        }
        Output::Namespace { name, ports } => {
            let mut text = format!("        spec.output_namespace('{name}', required=False)\n");
            for (inner, of, required) in ports {
                text += &port(&format!("{name}.{inner}"), *of, *required);
            }
            text
        }
    }
}

fn python_type(of: Type) -> &'static str {
    match of {
        Type::Integer => "int",
        Type::Text => "str",
        Type::Float => "float",
        Type::Boolean => "bool",
        Type::List => "list",
        Type::Any => "object",
    }
}

fn instructions(nodes: &[Node], depth: usize) -> String {
    let indent = "    ".repeat(depth);
    let mut text = String::new();
    for node in nodes {
        let instruction = match node {
            Node::Step(place) => format!("cls.s{place}"),
            Node::Return(None) => "return_".to_owned(),
            Node::Return(Some(exit)) => format!("return_({exit})"),
            Node::While(predicate, body) => format!("while_(cls.p{predicate})({})", instructions(body, depth + 1)),
            Node::If { branches, otherwise } => {
                let mut text = String::new();
                for (place, (predicate, body)) in branches.iter().enumerate() {
                    let word = if place == 0 { "if_" } else { ".elif_" };
                    text += &format!("{word}(cls.p{predicate})({})", instructions(body, depth + 1));
                }
                let last = otherwise.as_ref().map(|body| format!(".else_({})", instructions(body, depth + 1)));
                text + &last.unwrap_or_default()
            }
        };
        text += &format!("\n{indent}{instruction},");
    }
    format!("{text}\n{}", "    ".repeat(depth - 1))
}

fn method(place: usize, step: &Step, text: &mut String) {
    *text += &format!("\n    def s{place}(self):\n        self.begin('s{place}')\n");
    let mut returned = "None";
    for (number, (when, action)) in step.actions.iter().enumerate() {
        let action = match action {
            Action::Out { path, value, tolerant: false } => format!("self.emit('{path}', {})", literal(value)),
            Action::Out { path, value, .. } => format!("self.emit_if_possible('{path}', {})", literal(value)),
            Action::Launch { kind, how: Launch::Awaited } => format!("self.wait_for({number}, '{kind}')"),
            Action::Launch { kind, how: Launch::Detached } => format!("self.detach({number}, '{kind}')"),
            Action::Launch { kind, how: Launch::Returned } => {
                returned = "awaited";
                format!("awaited = self.wait_by_return({number}, '{kind}')")
            }
            Action::Sleep => "self.sleep()".to_owned(),
        };
        *text += &guarded(*when, &action);
    }
    for (when, end) in &step.ends {
        let end = match end {
            End::Fail => format!("self.fail('s{place} fails')"),
            End::Panic => format!("self.fail('s{place} panics')"),
            End::Stop(value) => format!("return self.stop({})", literal(value)),
            End::Exit(exit) => format!("return self.exit({exit})"),
            End::Kill => format!("return self.kill_self('s{place} kills')"),
            End::Wait => format!("return self.wait('s{place} waits')"),
        };
        *text += &guarded(*when, &end);
    }
    for (name, value) in &step.gives {
        *text += &format!("        self.emit('{name}', {})\n", literal(value));
    }
    *text += &format!("        return {returned}\n");
}

fn guarded(when: Table, action: &str) -> String {
    if when == ALWAYS {
        format!("        {action}\n")
    } else {
        format!("        if self.on({when:#x}):\n            {action}\n")
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(values) => {
            let entries: Vec<_> = values.iter().map(|(name, value)| format!("'{name}': {}", literal(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        value => value.to_string(),
    }
}

/// The program of a batch.
pub(crate) fn program(cases: &[Case]) -> String {
    let mut text = String::from("from plumpy import if_, return_, while_\n\nfrom recorder import Recorded, run\n\n\n");
    for case in cases {
        text += &(class(case) + "\n\n");
    }
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    text + &format!("run([{}])\n", names.join(", "))
}
