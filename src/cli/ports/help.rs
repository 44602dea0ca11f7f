//! The ports of a process as what a command takes.

use procession_runtime::spec::{EntryDescription, NamespaceDescription, PortDescription, ProcessSpec};

use super::super::fault::Fault;
use super::super::print::Printer;

/// What a process is and takes, after what the command itself takes.
pub(in crate::cli) fn print(printer: Printer, process: &str, spec: &ProcessSpec) -> Result<(), Fault> {
    let description = spec.description();
    let mut rows = Vec::new();
    ports(&description.inputs, "", &mut rows);
    printer.line(&format!("\nPorts of {process}, each as `port=value`, or `port:=value` with JSON:"))?;
    if rows.is_empty() {
        return printer.line("none");
    }
    printer.table(&["port", "type", "default", "help"], rows)
}

fn ports(namespace: &NamespaceDescription, before: &str, rows: &mut Vec<Vec<String>>) {
    for entry in &namespace.entries {
        match entry {
            EntryDescription::Port(port) => {
                rows.push(vec![
                    format!("{before}{}", port.name),
                    port.type_name.clone(),
                    standing(port),
                    first(&port.help),
                ]);
            }
            EntryDescription::Namespace(below) => {
                let path = format!("{before}{}.", below.name);
                if !below.help.is_empty() || !below.required {
                    let standing = if below.required { "" } else { "(optional)" };
                    rows.push(vec![path.clone(), "namespace".to_owned(), standing.to_owned(), first(&below.help)]);
                }
                ports(below, &path, rows);
            }
            _ => {}
        }
    }
    if let Some(dynamic) = &namespace.dynamic {
        rows.push(vec![format!("{before}*"), dynamic.clone(), "(optional)".to_owned(), "any other name".to_owned()]);
    }
}

/// What is there where nothing is given.
fn standing(port: &PortDescription) -> String {
    match &port.default {
        Some(default) => default.to_string(),
        None if port.computed_default => "(computed)".to_owned(),
        None if port.required => "(required)".to_owned(),
        None => "(optional)".to_owned(),
    }
}

fn first(help: &str) -> String {
    help.lines().next().unwrap_or_default().to_owned()
}
