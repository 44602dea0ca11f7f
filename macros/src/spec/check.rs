//! Rules about the declaration itself: they need no other process.

use proc_macro2::Ident;
use quote::ToTokens;
use std::collections::BTreeSet;

use super::ast::{self, Entry, EntryKind, Expose, Item, REST};
use super::model::{exposes, join};
use crate::diag::Diagnostics;
use crate::tokens::plain;

/// Reports what is wrong with the declaration itself.
pub(crate) fn check(spec: &ast::Spec, diagnostics: &mut Diagnostics) {
    for (outputs, side) in [(false, "input"), (true, "output")] {
        let mut names = Names { side, ..Names::default() };
        for item in &spec.items {
            match item {
                Item::Input(entry) | Item::Stream(entry) if !outputs => names.declare(entry, diagnostics),
                Item::Output(entry) if outputs => names.declare(entry, diagnostics),
                Item::Expose(expose) if expose.outputs == outputs => names.expose(&expose.namespace, diagnostics),
                _ => {}
            }
        }
        if !outputs {
            names.check_setters(diagnostics);
        }
    }
    for item in &spec.items {
        match item {
            Item::Input(entry) => check_entry(entry, false, diagnostics),
            Item::Output(entry) => check_entry(entry, true, diagnostics),
            Item::Stream(entry) => check_stream(entry, diagnostics),
            Item::Expose(expose) => check_expose(spec, expose, diagnostics),
        }
    }
    check_targets(spec, diagnostics);
    check_exits(spec, diagnostics);
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Port,
    Dynamic,
    Rest,
    Namespace,
}

/// The names of a namespace, from wherever they are declared.
#[derive(Default)]
struct Names<'a> {
    side: &'static str,
    path: String,
    known: Vec<(&'a Ident, What, Names<'a>)>,
}

impl<'a> Names<'a> {
    fn find(&mut self, name: &Ident) -> Option<&mut (&'a Ident, What, Names<'a>)> {
        let name = plain(name);
        self.known.iter_mut().find(|(known, ..)| plain(known) == name)
    }

    /// A name is declared once in its namespace, but for namespaces: what is written in them adds up.
    fn declare(&mut self, entry: &'a Entry, diagnostics: &mut Diagnostics) {
        let what = match &entry.kind {
            EntryKind::Port { .. } | EntryKind::Stream { .. } => What::Port,
            EntryKind::Dynamic { .. } => What::Dynamic,
            EntryKind::Rest { .. } => What::Rest,
            EntryKind::Namespace { entries, .. } => {
                if let Some(inner) = self.namespace(&entry.name, diagnostics) {
                    for entry in entries {
                        inner.declare(entry, diagnostics);
                    }
                }
                return;
            }
        };
        let (side, path) = (self.side, join(&self.path, &plain(&entry.name)));
        match self.find(&entry.name) {
            None => self.known.push((&entry.name, what, Names::default())),
            Some((_, What::Rest, _)) if what != What::Rest => reserved(&entry.name, diagnostics),
            Some((known, other, _)) if what == What::Rest && *other != What::Rest => {
                reserved(known, diagnostics);
            }
            Some((_, What::Rest, _)) => {
                diagnostics.error(&entry.name, "`dynamic<…>` is declared twice in this namespace");
            }
            Some((_, What::Namespace, _)) => {
                let message = format!("{side} `{path}` is declared twice: it is a namespace already");
                diagnostics.error(&entry.name, message);
            }
            Some(_) => diagnostics.error(&entry.name, format!("{side} `{path}` is declared twice")),
        }
    }

    /// The namespace of exposed ports.
    fn expose(&mut self, names: &'a [Ident], diagnostics: &mut Diagnostics) {
        if let [first, others @ ..] = names
            && let Some(inner) = self.namespace(first, diagnostics)
        {
            inner.expose(others, diagnostics);
        }
    }

    /// The namespace of this name, new or known; nothing if a port is in the way.
    fn namespace(&mut self, name: &'a Ident, diagnostics: &mut Diagnostics) -> Option<&mut Names<'a>> {
        let (side, path) = (self.side, join(&self.path, &plain(name)));
        if self.find(name).is_none() {
            let inner = Names { side, path: path.clone(), known: Vec::new() };
            self.known.push((name, What::Namespace, inner));
        }
        match self.find(name)? {
            (_, What::Namespace, inner) => return Some(inner),
            (_, What::Rest, _) => reserved(name, diagnostics),
            (_, What::Port, _) => {
                let message = format!("{side} `{path}` is declared twice: it is a port already, and no namespace");
                diagnostics.error(name, message);
            }
            (_, What::Dynamic, _) => {
                let form = format!("`{path} {{ dynamic<…>; … }}`");
                let message = format!(
                    "{side} `{path}` is a dynamic namespace without ports already; one with ports is written {form}"
                );
                diagnostics.error(name, message);
            }
        }
        None
    }

    /// `extras: dynamic<T>` brings a setter `extras_from`, which must not be the name of a port.
    fn check_setters(&self, diagnostics: &mut Diagnostics) {
        for (dynamic, what, inner) in &self.known {
            inner.check_setters(diagnostics);
            if !matches!(what, What::Dynamic | What::Rest) {
                continue;
            }
            let owner = plain(dynamic);
            let setter = setter_of_all(&owner);
            if let Some((clash, ..)) = self.known.iter().find(|(known, ..)| plain(known) == setter) {
                let message =
                    format!("`{setter}` is the setter of all values of `{owner}`: give this port another name");
                diagnostics.error(clash, message);
            }
        }
    }
}

/// The setter of all values of a dynamic namespace.
pub(super) fn setter_of_all(dynamic: &str) -> String {
    format!("{dynamic}_from")
}

/// No port is named as the field of the values that are not those of ports.
fn reserved(port: &Ident, diagnostics: &mut Diagnostics) {
    let message = format!("`{REST}` holds the other values of this dynamic namespace: give this port another name");
    diagnostics.error(port, message);
}

/// What `spec!` writes as functions of the process.
pub(super) const FUNCTIONS: [&str; 2] = ["inputs", "inputs_from"];

/// A stream is a constant of the process, and is not named as one of its functions.
fn check_stream(entry: &Entry, diagnostics: &mut Diagnostics) {
    let name = plain(&entry.name);
    if FUNCTIONS.contains(&name.as_str()) {
        let message = format!("`{name}` is a function of the process: give this stream another name");
        diagnostics.error(&entry.name, message);
    }
}

/// Outputs have no defaults, and a default makes `optional` void.
fn check_entry(entry: &Entry, outputs: bool, diagnostics: &mut Diagnostics) {
    match &entry.kind {
        EntryKind::Port { default: Some(default), .. } if outputs => {
            diagnostics.error(default, "an output has no default: steps give it its value");
        }
        EntryKind::Port { default: Some(_), optional: Some(optional), .. } => {
            diagnostics
                .error(optional, "a port with a default may be left out anyway: write its type without `optional`");
        }
        EntryKind::Namespace { entries, .. } => {
            for entry in entries {
                check_entry(entry, outputs, diagnostics);
            }
        }
        _ => {}
    }
}

/// Either `include` or `exclude`; what an exposure without a namespace cannot have; never oneself.
fn check_expose(spec: &ast::Spec, expose: &Expose, diagnostics: &mut Diagnostics) {
    if let [first, others @ ..] = expose.rules.as_slice() {
        for other in others {
            let message = if first.keyword == other.keyword {
                format!("`{}` is given twice: list all names after the first", other.keyword)
            } else {
                "either `include` or `exclude`, not both".to_owned()
            };
            diagnostics.error(&other.keyword, message);
        }
    }
    if expose.namespace.is_empty() {
        let name = expose.path.segments.last().map(|last| last.ident.to_string().to_lowercase()).unwrap_or_default();
        let message = format!("needs a namespace: `expose … as {name}`");
        if let Some(optional) = &expose.optional {
            diagnostics.error(optional, format!("`optional` {message}"));
        }
        if let Some(help) = &expose.help {
            diagnostics.error(help, format!("`help` {message}"));
        }
    }
    if expose.path.is_ident(&spec.process) {
        diagnostics.error(&expose.path, "a process cannot expose its own ports");
    }
}

/// A process is exposed once into a namespace, and the outputs of a namespace are those of one process.
fn check_targets(spec: &ast::Spec, diagnostics: &mut Diagnostics) {
    let mut seen: Vec<(bool, String, String)> = Vec::new();
    for expose in exposes(spec) {
        let namespace = expose.namespace.iter().map(plain).collect::<Vec<_>>().join(".");
        let process = expose.path.to_token_stream().to_string();
        let place = if namespace.is_empty() { "at the top level".to_owned() } else { format!("as `{namespace}`") };
        let mut others = seen.iter().filter(|(outputs, known, _)| *outputs == expose.outputs && *known == namespace);
        if others.clone().any(|(.., known)| *known == process) {
            let message = format!("`{process}` is exposed {place} already: name all its ports there");
            diagnostics.error(&expose.path, message);
        } else if let Some((.., known)) = others.next().filter(|_| expose.outputs && !namespace.is_empty()) {
            let message = format!(
                "`{namespace}` holds the outputs of `{known}` already, and `=> {namespace} from …` fills it from one process"
            );
            diagnostics.error(&expose.path, message);
        }
        seen.push((expose.outputs, namespace, process));
    }
}

/// Numbers and names of exit codes are unique; 0 and the runtime's own number are taken.
fn check_exits(spec: &ast::Spec, diagnostics: &mut Diagnostics) {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for exit in &spec.exits {
        match exit.number.base10_parse::<i32>() {
            Ok(0) => diagnostics.error(&exit.number, "exit code 0 is success: take another number"),
            Ok(11) => {
                diagnostics
                    .error(&exit.number, "exit code 11 is the runtime's (`MISSING_OUTPUT`): take another number");
            }
            Ok(number) if !numbers.insert(number) => {
                diagnostics.error(&exit.number, format!("exit code {number} is declared twice"));
            }
            Ok(_) => {}
            Err(_) => diagnostics.error(&exit.number, "the number of an exit code is an `i32`"),
        }
        if !names.insert(plain(&exit.name)) {
            diagnostics.error(&exit.name, format!("exit code `{}` is declared twice", plain(&exit.name)));
        }
    }
}
