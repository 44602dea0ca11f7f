//! Checked facts about a process's ports. Nothing after this stage can fail.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use std::collections::BTreeSet;
use syn::{Generics, Path, PathArguments};

use super::ast::{self, Check, Docs, Entry, EntryKind, Expose, Item};
use super::ports::{Listing, type_text};
use crate::diag::{Diagnostics, did_you_mean};
use crate::tokens::{camel, plain, port_hash};

/// A process with all its ports, those of exposed processes among them.
pub(crate) struct Model {
    pub(crate) facade: TokenStream,
    pub(crate) without_tools: bool,
    pub(crate) docs: Docs,
    pub(crate) process: Ident,
    /// The type's name without `r#`.
    pub(crate) name: String,
    pub(crate) generics: Generics,
    pub(crate) arguments: TokenStream,
    pub(crate) inputs: Namespace,
    pub(crate) outputs: Namespace,
    pub(crate) exits: Vec<Exit>,
    pub(crate) exposes: Vec<Exposed>,
}

/// An exit code.
pub(crate) struct Exit {
    pub(crate) docs: Docs,
    pub(crate) number: i32,
    pub(crate) name: Ident,
    pub(crate) message: String,
}

/// The ports of another process.
pub(crate) struct Exposed {
    /// The type of the process.
    pub(crate) path: Path,
    pub(crate) outputs: bool,
    /// The name of the namespace; flat without.
    pub(crate) namespace: Option<Ident>,
    pub(crate) optional: bool,
    pub(crate) help: String,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// All ports on this side of the other process.
    pub(crate) listing: Vec<Node>,
}

/// Whether a value must be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    Defaulted,
}

/// A port or a namespace.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: Ident,
    /// The dotted name from the root, without `r#`.
    pub(crate) path: String,
    pub(crate) docs: Docs,
    pub(crate) help: String,
    /// The exposure it comes from, by index.
    pub(crate) exposed: Option<usize>,
    pub(crate) kind: Kind,
    pub(crate) checks: Vec<Check>,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Port(Port),
    Dynamic(Value),
    Namespace(Namespace),
}

/// The type of a value.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) ty: TokenStream,
    /// As the user wrote it.
    pub(crate) text: String,
}

#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) value: Value,
    pub(crate) presence: Presence,
    /// Setters take whatever becomes a `String`.
    pub(crate) is_string: bool,
    pub(crate) default: Option<TokenStream>,
    pub(crate) default_text: String,
}

#[derive(Clone)]
pub(crate) struct Namespace {
    /// The name of the struct of its values.
    pub(crate) type_name: String,
    pub(crate) optional: bool,
    pub(crate) nodes: Vec<Node>,
    /// Ports that `expose` left out.
    pub(crate) dropped: Vec<Node>,
    pub(crate) checks: Vec<Check>,
}

impl Node {
    pub(crate) fn plain(&self) -> String {
        plain(&self.name)
    }

    pub(crate) fn hash(&self) -> u64 {
        port_hash(&self.path)
    }

    /// Whether a value must be given for it, or for a port in it.
    pub(crate) fn is_required(&self) -> bool {
        match &self.kind {
            Kind::Port(port) => port.presence == Presence::Required,
            Kind::Dynamic(_) => false,
            Kind::Namespace(namespace) => !namespace.optional && namespace.nodes.iter().any(Node::is_required),
        }
    }

    /// Its own dotted name and those of all below.
    fn paths(&self, paths: &mut Vec<String>) {
        paths.push(self.path.clone());
        if let Kind::Namespace(namespace) = &self.kind {
            namespace.nodes.iter().for_each(|node| node.paths(paths));
        }
    }
}

/// The distinct processes that are exposed, in the order of the source; the process itself is refused by [`check`].
pub(crate) fn exposed_processes(spec: &ast::Spec) -> Vec<&Path> {
    let mut seen = BTreeSet::new();
    let others = exposes(spec).map(|expose| &expose.path).filter(|path| !path.is_ident(&spec.process));
    others.filter(|path| seen.insert(path.to_token_stream().to_string())).collect()
}

/// The ports of an exposed process, which stand in the order of [`exposed_processes`].
pub(crate) fn listing_of<'a>(spec: &ast::Spec, listings: &'a [Listing], path: &Path) -> Option<&'a Listing> {
    let text = |path: &Path| path.to_token_stream().to_string();
    let index = exposed_processes(spec).iter().position(|known| text(known) == text(path))?;
    listings.get(index)
}

fn exposes(spec: &ast::Spec) -> impl Iterator<Item = &Expose> {
    spec.items.iter().filter_map(|item| match item {
        Item::Expose(expose) => Some(expose),
        _ => None,
    })
}

// Rules that need no other process.

/// Reports what is wrong with the declaration itself.
pub(crate) fn check(spec: &ast::Spec, diagnostics: &mut Diagnostics) {
    let entries = |outputs: bool| {
        spec.items.iter().filter_map(move |item| match item {
            Item::Input(entry) if !outputs => Some((&entry.name, Some(entry))),
            Item::Output(entry) if outputs => Some((&entry.name, Some(entry))),
            Item::Expose(expose) if expose.outputs == outputs => expose.namespace.as_ref().map(|name| (name, None)),
            _ => None,
        })
    };
    for (outputs, side) in [(false, "input"), (true, "output")] {
        check_names(entries(outputs).map(|(name, _)| name), side, diagnostics);
        for entry in entries(outputs).filter_map(|(_, entry)| entry) {
            check_entry(entry, outputs, diagnostics);
        }
    }
    check_setters(&entries(false).filter_map(|(_, entry)| entry).collect::<Vec<_>>(), diagnostics);
    exposes(spec).for_each(|expose| check_expose(spec, expose, diagnostics));
    check_exits(spec, diagnostics);
}

/// A name is declared once in its namespace.
fn check_names<'a>(names: impl Iterator<Item = &'a Ident>, side: &str, diagnostics: &mut Diagnostics) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(plain(name)) {
            diagnostics.error(name, format!("{side} `{}` is declared twice", plain(name)));
        }
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
            let side = if outputs { "output" } else { "input" };
            check_names(entries.iter().map(|entry| &entry.name), side, diagnostics);
            for entry in entries {
                check_entry(entry, outputs, diagnostics);
            }
            if !outputs {
                check_setters(&entries.iter().collect::<Vec<_>>(), diagnostics);
            }
        }
        _ => {}
    }
}

/// `extras: dynamic<T>` brings a setter `extras_from`, which must not be the name of a port.
fn check_setters(entries: &[&Entry], diagnostics: &mut Diagnostics) {
    for dynamic in entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Dynamic { .. })) {
        let setter = format!("{}_from", plain(&dynamic.name));
        if let Some(clash) = entries.iter().find(|entry| plain(&entry.name) == setter) {
            let owner = plain(&dynamic.name);
            let message = format!("`{setter}` is the setter of all values of `{owner}`: give this port another name");
            diagnostics.error(&clash.name, message);
        }
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
    if expose.namespace.is_none() {
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

// Rules about exposed ports, and the model itself.

/// Puts everything together; `listings` holds the ports of each of [`exposed_processes`]. Reports only what concerns
/// exposed ports: [`check`] reports the rest.
pub(crate) fn resolve(
    spec: ast::Spec,
    facade: TokenStream,
    listings: &[Listing],
    diagnostics: &mut Diagnostics,
) -> Model {
    let found: Vec<Option<&Listing>> = exposes(&spec).map(|expose| listing_of(&spec, listings, &expose.path)).collect();
    let mut found = found.into_iter();
    let name = plain(&spec.process);
    let mut sides = [Side::new(&name, &facade, false), Side::new(&name, &facade, true)];
    let mut exposes = Vec::new();
    for item in spec.items {
        match item {
            Item::Input(entry) => sides[0].declare(&entry),
            Item::Output(entry) => sides[1].declare(&entry),
            Item::Expose(expose) => {
                let Some(listing) = found.next().flatten() else { continue };
                let side = &mut sides[usize::from(expose.outputs)];
                let index = exposes.len();
                exposes.push(side.expose(expose, index, listing, diagnostics));
            }
        }
    }
    let [inputs, outputs] = sides;
    let (mut inputs, outputs) = (inputs.finish(), outputs.finish());
    inputs.checks = spec.checks;
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    let exits = spec.exits.into_iter().filter_map(|exit| {
        let number = exit.number.base10_parse().ok()?;
        let new = numbers.insert(number) & names.insert(plain(&exit.name));
        new.then(|| Exit { docs: exit.docs, number, name: exit.name, message: exit.message.value() })
    });
    Model {
        facade,
        without_tools: spec.without_tools,
        docs: spec.docs,
        process: spec.process,
        name,
        generics: spec.generics,
        arguments: spec.arguments,
        exits: exits.collect(),
        inputs,
        outputs,
        exposes,
    }
}

/// Inputs or outputs while they are collected.
struct Side<'a> {
    process: &'a str,
    facade: &'a TokenStream,
    outputs: bool,
    type_names: BTreeSet<String>,
    nodes: Vec<Node>,
    dropped: Vec<Node>,
}

impl<'a> Side<'a> {
    fn new(process: &'a str, facade: &'a TokenStream, outputs: bool) -> Self {
        Self { process, facade, outputs, type_names: BTreeSet::new(), nodes: Vec::new(), dropped: Vec::new() }
    }

    fn word(&self) -> &'static str {
        if self.outputs { "output" } else { "input" }
    }

    /// A name for the struct of a namespace, unique even if dots and underscores fall together.
    fn type_name(&mut self, path: &str) -> String {
        let suffix = if self.outputs { "Outputs" } else { "Inputs" };
        let parts: String = path.split('.').map(camel).collect();
        let candidates = (1..).map(|number| {
            let number = if number == 1 { String::new() } else { number.to_string() };
            format!("{}{parts}{number}{suffix}", self.process)
        });
        let mut candidates = candidates.filter(|name| !self.type_names.contains(name));
        let name = candidates.next().unwrap_or_default();
        self.type_names.insert(name.clone());
        name
    }

    fn finish(mut self) -> Namespace {
        let type_name = self.type_name("");
        let known = |node: &Node| self.nodes.iter().any(|known| known.plain() == node.plain());
        let dropped = self.dropped.iter().filter(|node| !known(node)).cloned().collect();
        Namespace { type_name, optional: false, nodes: self.nodes, dropped, checks: Vec::new() }
    }

    fn declare(&mut self, entry: &Entry) {
        if let Some(known) = self.nodes.iter().position(|known| known.plain() == plain(&entry.name)) {
            // A port that an exposure has brought gives way, and the exposure reports it.
            if self.nodes[known].exposed.is_none() {
                return;
            }
            self.nodes.remove(known);
        }
        let node = self.own(entry, "");
        self.nodes.push(node);
    }

    fn own(&mut self, entry: &Entry, parent: &str) -> Node {
        let path = join(parent, &plain(&entry.name));
        let mut checks = entry.checks.clone();
        let kind = match &entry.kind {
            EntryKind::Port { ty, optional, default } => Kind::Port(Port {
                is_string: is_string(ty),
                value: Value { ty: ty.to_token_stream(), text: type_text(&ty.to_token_stream()) },
                presence: match (default, optional) {
                    (Some(_), _) => Presence::Defaulted,
                    (None, Some(_)) => Presence::Optional,
                    (None, None) => Presence::Required,
                },
                default: default.clone(),
                default_text: default.as_ref().map(type_text).unwrap_or_default(),
            }),
            EntryKind::Dynamic { ty } => {
                Kind::Dynamic(Value { ty: ty.to_token_stream(), text: type_text(&ty.to_token_stream()) })
            }
            EntryKind::Namespace { optional, entries } => {
                let mut seen = BTreeSet::new();
                let first = entries.iter().filter(|entry| seen.insert(plain(&entry.name)));
                Kind::Namespace(Namespace {
                    type_name: self.type_name(&path),
                    optional: *optional,
                    nodes: first.map(|entry| self.own(entry, &path)).collect(),
                    dropped: Vec::new(),
                    checks: std::mem::take(&mut checks),
                })
            }
        };
        let help = entry.docs.text();
        Node { name: entry.name.clone(), path, docs: entry.docs.clone(), help, exposed: None, kind, checks }
    }

    fn expose(&mut self, expose: Expose, index: usize, listing: &Listing, diagnostics: &mut Diagnostics) -> Exposed {
        let listed = if self.outputs { &listing.outputs } else { &listing.inputs };
        self.check_rules(&expose, listed, diagnostics);
        let names = |keyword: &str| {
            let rule = expose.rules.first().filter(|rule| rule.keyword == keyword);
            rule.map(|rule| rule.names.iter().map(ast::Dotted::text).collect()).unwrap_or_default()
        };
        let (include, exclude): (Vec<String>, Vec<String>) = (names("include"), names("exclude"));
        let prefix = expose.namespace.as_ref().map(plain).unwrap_or_default();
        let from = From { process: &expose.path, index, prefix: &prefix, rules: (&include, &exclude) };
        let type_name = expose.namespace.is_some().then(|| self.type_name(&prefix));
        let (nodes, dropped) = self.take(listed, &from);
        let mut help = expose.docs.text();
        if let Some(text) = &expose.help {
            help = text.value();
        }
        match (&expose.namespace, type_name) {
            (Some(name), Some(type_name)) => {
                let optional = expose.optional.is_some();
                let kind = Kind::Namespace(Namespace { type_name, optional, nodes, dropped, checks: Vec::new() });
                // Twice the name: reported by `check`.
                if !self.nodes.iter().any(|known| known.plain() == prefix) {
                    let (path, docs, help) = (prefix.clone(), expose.docs.clone(), help.clone());
                    let (name, exposed) = (name.clone(), Some(index));
                    self.nodes.push(Node { name, path, docs, help, exposed, kind, checks: Vec::new() });
                }
            }
            _ => self.add_flat(&expose, nodes, dropped, diagnostics),
        }
        Exposed {
            outputs: expose.outputs,
            namespace: expose.namespace,
            optional: expose.optional.is_some(),
            path: expose.path,
            help,
            include,
            exclude,
            listing: listed.clone(),
        }
    }

    /// An exposure without a namespace brings no port that is there already.
    fn add_flat(&mut self, expose: &Expose, nodes: Vec<Node>, dropped: Vec<Node>, diagnostics: &mut Diagnostics) {
        let process = expose.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        for node in nodes {
            let name = node.plain();
            if self.nodes.iter().any(|known| known.plain() == name) {
                let side = self.word();
                let message = format!(
                    "{side} `{name}` is declared already, and `{process}` brings it again: \
                     add `{{ exclude: {name} }}`, or expose into a namespace with `as`"
                );
                diagnostics.error(&expose.path, message);
            } else {
                self.nodes.push(node);
            }
        }
        self.dropped.extend(dropped);
    }

    /// `include` and `exclude` name ports that exist.
    fn check_rules(&self, expose: &Expose, listed: &[Node], diagnostics: &mut Diagnostics) {
        let mut paths = Vec::new();
        for node in listed {
            node.paths(&mut paths);
        }
        let process = expose.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        for name in expose.rules.iter().flat_map(|rule| &rule.names) {
            let text = name.text();
            if !paths.contains(&text) {
                let near = did_you_mean(&text, paths.iter().map(String::as_str));
                diagnostics.error(name, format!("`{process}` has no {} `{text}`{near}", self.word()));
            }
        }
    }

    /// The ports that the rules keep, as ports of this process, and those that they leave out.
    fn take(&mut self, listed: &[Node], from: &From<'_>) -> (Vec<Node>, Vec<Node>) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for node in listed {
            let is_leaf = !matches!(node.kind, Kind::Namespace(_));
            let mut taken = Node { path: join(from.prefix, &node.path), exposed: Some(from.index), ..node.clone() };
            let value = |text: &str| Value { ty: self.projection(node, from.process), text: text.to_owned() };
            taken.kind = match &node.kind {
                Kind::Port(port) => Kind::Port(Port { value: value(&port.value.text), ..port.clone() }),
                Kind::Dynamic(known) => Kind::Dynamic(value(&known.text)),
                Kind::Namespace(namespace) if keeps(&node.path, false, from.rules) => {
                    let type_name = self.type_name(&taken.path);
                    let (nodes, dropped) = self.take(&namespace.nodes, from);
                    Kind::Namespace(Namespace { type_name, nodes, dropped, ..namespace.clone() })
                }
                Kind::Namespace(_) => continue,
            };
            if keeps(&node.path, is_leaf, from.rules) { &mut kept } else { &mut dropped }.push(taken);
        }
        (kept, dropped)
    }

    /// The type of a port of another process, as that process says it.
    fn projection(&self, node: &Node, process: &Path) -> TokenStream {
        let (facade, hash) = (self.facade, node.hash());
        let side = if self.outputs { quote!(Output) } else { quote!(Input) };
        let value = quote!(<#process as #facade::__private::#side<#hash>>::Value);
        match node.kind {
            Kind::Dynamic(_) => quote!(<#value as #facade::__private::Dynamic>::Item),
            _ => value,
        }
    }
}

/// Where exposed ports come from.
struct From<'a> {
    process: &'a Path,
    index: usize,
    prefix: &'a str,
    rules: (&'a [String], &'a [String]),
}

/// The same rule as that of the runtime's `Expose`: names are compared whole, part by part.
pub(crate) fn keeps(path: &str, is_leaf: bool, (include, exclude): (&[String], &[String])) -> bool {
    let below = |path: &str, rule: &str| path.strip_prefix(rule).is_some_and(|rest| rest.starts_with('.'));
    let covers = |rule: &String| path == rule || below(path, rule);
    if exclude.iter().any(covers) {
        return false;
    }
    include.is_empty() || include.iter().any(covers) || (!is_leaf && include.iter().any(|rule| below(rule, path)))
}

pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// Whether the type is written as `String`, alone or with its path.
pub(crate) fn is_string(ty: &syn::Type) -> bool {
    let syn::Type::Path(syn::TypePath { qself: None, path, .. }) = ty else { return false };
    let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let plain = path.segments.iter().all(|segment| matches!(segment.arguments, PathArguments::None));
    plain && (names == ["String"] || names == ["std", "string", "String"])
}
