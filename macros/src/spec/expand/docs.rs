//! Texts on generated items: what the user wrote, or one line of ours, and the table of ports.

use proc_macro2::TokenStream;
use quote::quote;
use std::fmt::Write as _;

use crate::spec::model::{Kind, Model, Namespace, Node, Presence};

/// The user's comments, or a line.
fn comments(node: &Node, line: &str) -> TokenStream {
    if !node.docs.0.is_empty() {
        let docs = &node.docs;
        return quote!(#docs);
    }
    let text = if node.help.is_empty() { line } else { &node.help };
    quote!(#[doc = #text])
}

/// On a field.
pub(super) fn of_field(node: &Node, outputs: bool) -> TokenStream {
    let kind = match (&node.kind, outputs) {
        (Kind::Port(_), false) => "Input",
        (Kind::Port(_), true) => "Output",
        (Kind::Rest(_), _) => return comments(node, "The values under names that are not declared."),
        (Kind::Dynamic(_), _) => "The values of the dynamic namespace",
        (Kind::Namespace(_), _) => "The namespace",
    };
    comments(node, &format!("{kind} `{}`.", node.path))
}

/// On a setter.
pub(super) fn of_setter(node: &Node) -> TokenStream {
    let docs = comments(node, &format!("Sets `{}`.", node.path));
    let line = match &node.kind {
        Kind::Port(port) => match port.presence {
            Presence::Required => "Required.".to_owned(),
            Presence::Optional => "Optional.".to_owned(),
            Presence::Defaulted => format!("Default: `{}`.", port.default_text.replace('`', "'")),
        },
        Kind::Dynamic(_) | Kind::Rest(_) => "Sets one value; may be called again for other names.".to_owned(),
        Kind::Namespace(namespace) if namespace.optional => "Optional as a whole.".to_owned(),
        Kind::Namespace(_) => "Sets the ports of the namespace; what is set already stays.".to_owned(),
    };
    quote!(#docs #[doc = ""] #[doc = #line])
}

/// On the struct of a namespace's values.
pub(super) fn of_struct(model: &Model, namespace: &Namespace, outputs: bool, path: &str) -> TokenStream {
    let side = if outputs { "outputs" } else { "inputs" };
    let text = if path.is_empty() {
        format!("The {side} of `{}`.{}", model.name, table_after(namespace, ""))
    } else {
        format!("The namespace `{path}` of the {side} of `{}`.", model.name)
    };
    quote!(#[doc = #text])
}

/// On the inherent `impl` of the process: all it takes and gives.
pub(super) fn of_process(model: &Model) -> String {
    let mut text = String::from("# Ports");
    text += &table_after(&model.inputs, "Inputs:");
    text += &table_after(&model.outputs, "Outputs:");
    if !model.exits.is_empty() {
        text += "\n\nExit codes:\n\n| Number | Name | Meaning |\n|---|---|---|";
        for exit in &model.exits {
            let _ = write!(text, "\n| {} | `{}` | {} |", exit.number, exit.name, cell(&exit.message));
        }
    }
    text
}

fn table_after(namespace: &Namespace, title: &str) -> String {
    if namespace.nodes.is_empty() {
        return String::new();
    }
    let title = if title.is_empty() { String::new() } else { format!("\n\n{title}") };
    let mut text = title + "\n\n| Name | Type | Required | Default | Help |\n|---|---|---|---|---|";
    namespace.nodes.iter().for_each(|node| rows(node, &mut text));
    text
}

fn rows(node: &Node, text: &mut String) {
    let help = cell(node.help.split("\n\n").next().unwrap_or_default());
    let required = if node.is_required() { "yes" } else { "no" };
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{}`", cell(text).replace('`', "'")) };
    let (ty, default) = match &node.kind {
        Kind::Port(port) => (code(&port.value.text), code(&port.default_text)),
        Kind::Dynamic(value) | Kind::Rest(value) => (format!("any number of {}", code(&value.text)), String::new()),
        Kind::Namespace(_) => ("namespace".to_owned(), String::new()),
    };
    let _ = write!(text, "\n| `{}` | {ty} | {required} | {default} | {help} |", node.path);
    if let Kind::Namespace(namespace) = &node.kind {
        namespace.nodes.iter().for_each(|node| rows(node, text));
    }
}

/// Text that may stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}
