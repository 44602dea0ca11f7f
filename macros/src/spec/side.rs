//! Inputs or outputs while they are collected: own ports and those of exposed processes.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use std::collections::BTreeSet;
use syn::{Path, PathArguments};

use super::ast::{self, Docs, Entry, EntryKind, Expose};
use super::check::setter_of_all;
use super::model::{Exposed, Kind, Namespace, Node, Port, Presence, Stream, Value, join, keeps};
use super::ports::{Listing, type_text};
use crate::diag::{Diagnostics, did_you_mean, nearest};
use crate::tokens::{camel, plain};

/// Inputs or outputs while they are collected.
pub(super) struct Side<'a> {
    process: &'a str,
    facade: &'a TokenStream,
    outputs: bool,
    type_names: BTreeSet<String>,
    root: Namespace,
}

impl<'a> Side<'a> {
    pub(super) fn new(process: &'a str, facade: &'a TokenStream, outputs: bool) -> Self {
        Self { process, facade, outputs, type_names: BTreeSet::new(), root: empty(String::new()) }
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

    pub(super) fn finish(mut self) -> Namespace {
        let mut root = std::mem::replace(&mut self.root, empty(String::new()));
        root.type_name = self.type_name("");
        settle(&mut root);
        root
    }

    /// Adds what the process itself declares. What [`check`](super::check::check) reports is left out in silence.
    pub(super) fn declare(&mut self, entry: &Entry, exposes: &[Exposed], diagnostics: &mut Diagnostics) {
        let mut root = std::mem::replace(&mut self.root, empty(String::new()));
        self.put(&mut root.nodes, entry, "", exposes, diagnostics);
        self.root = root;
    }

    fn put(
        &mut self,
        nodes: &mut Vec<Node>,
        entry: &Entry,
        parent: &str,
        exposes: &[Exposed],
        diagnostics: &mut Diagnostics,
    ) {
        let Some(index) = nodes.iter().position(|known| known.plain() == plain(&entry.name)) else {
            return nodes.push(self.own(entry, parent));
        };
        let known = &mut nodes[index];
        if let Some(exposed) = known.exposed.and_then(|index| exposes.get(index)) {
            let process = last(&exposed.path);
            let (side, path) = (self.word(), &known.path);
            let message = if matches!(known.kind, Kind::Rest(_)) {
                // What takes other names has no name that could be excluded.
                let way = match &entry.kind {
                    EntryKind::Rest { .. } => "a namespace takes them from one place only:",
                    _ => "`rest` holds them: give this port another name, or",
                };
                let other = other_namespace(&exposed.namespace);
                format!("`{process}` takes other names here (`dynamic<…>`), and {way} expose it into {other} with `as`")
            } else {
                let from = path.strip_prefix(&exposed.namespace).unwrap_or(path).trim_start_matches('.');
                format!(
                    "{side} `{path}` comes from `{process}` already: add `{{ exclude: {from} }}` where it is exposed, \
                     or take another name"
                )
            };
            diagnostics.error(&entry.name, message);
            return;
        }
        let (Kind::Namespace(inner), EntryKind::Namespace { optional, entries }) = (&mut known.kind, &entry.kind)
        else {
            return;
        };
        inner.optional |= optional;
        inner.checks.extend(entry.checks.iter().cloned());
        if known.help.is_empty() {
            (known.docs, known.help) = (entry.docs.clone(), entry.docs.text());
        }
        for entry in entries {
            self.put(&mut inner.nodes, entry, &known.path, exposes, diagnostics);
        }
    }

    fn own(&mut self, entry: &Entry, parent: &str) -> Node {
        let path = join(parent, &plain(&entry.name));
        let mut checks = entry.checks.clone();
        let value = |ty: &syn::Type| Value { ty: ty.to_token_stream(), text: type_text(&ty.to_token_stream()) };
        let kind = match &entry.kind {
            EntryKind::Port { ty, optional, default } => Kind::Port(Port {
                is_string: is_string(ty),
                value: value(ty),
                presence: match (default, optional) {
                    (Some(_), _) => Presence::Defaulted,
                    (None, Some(_)) => Presence::Optional,
                    (None, None) => Presence::Required,
                },
                default: default.clone(),
                default_text: default.as_ref().map(type_text).unwrap_or_default(),
                stream: None,
            }),
            EntryKind::Stream { ty, out } => {
                let (facade, item) = (self.facade, ty.to_token_stream());
                let value =
                    Value { ty: quote!(#facade::__private::Wire<#item>), text: format!("Wire<{}>", type_text(&item)) };
                Kind::Port(Port {
                    is_string: false,
                    value,
                    presence: Presence::Required,
                    default: None,
                    default_text: String::new(),
                    stream: Some(Stream { out: *out, item }),
                })
            }
            EntryKind::Dynamic { ty } => Kind::Dynamic(value(ty)),
            EntryKind::Rest { ty } => Kind::Rest(value(ty)),
            EntryKind::Namespace { optional, entries } => {
                let mut namespace = Namespace {
                    optional: *optional,
                    checks: std::mem::take(&mut checks),
                    ..empty(self.type_name(&path))
                };
                for entry in entries {
                    // No exposure can have brought anything into a new namespace.
                    self.put(&mut namespace.nodes, entry, &path, &[], &mut Diagnostics::default());
                }
                Kind::Namespace(namespace)
            }
        };
        let help = entry.docs.text();
        Node { name: entry.name.clone(), path, docs: entry.docs.clone(), help, exposed: None, kind, checks }
    }

    /// Adds what another process declares.
    pub(super) fn expose(
        &mut self,
        expose: Expose,
        known: &[Exposed],
        listing: &Listing,
        diagnostics: &mut Diagnostics,
    ) -> Exposed {
        let listed = if self.outputs { &listing.outputs } else { &listing.inputs };
        let mut rules = self.check_rules(&expose, listed, diagnostics);
        let mut names = |keyword: &str| {
            let first = expose.rules.first().filter(|rule| rule.keyword == keyword);
            first.map(|_| std::mem::take(&mut rules[0])).unwrap_or_default()
        };
        let (include, exclude): (Vec<String>, Vec<String>) = (names("include"), names("exclude"));
        let prefix = expose.namespace.iter().map(plain).collect::<Vec<_>>().join(".");
        let from = From { process: &expose.path, index: known.len(), prefix: &prefix, rules: (&include, &exclude) };
        let repeated = known.iter().any(|known| known.is_repeated(&expose, &prefix));
        let mut root = std::mem::replace(&mut self.root, empty(String::new()));
        // A port in the way: reported by `check`.
        if let Some(namespace) = self.namespace_at(&mut root, &expose.namespace, &expose) {
            let (mut nodes, dropped) = self.take(listed, &from);
            if repeated {
                // Reported by `check`, too: each port would be one more error on the same word.
                nodes.retain(|node| namespace.nodes.iter().all(|known| known.plain() != node.plain()));
            }
            self.add(namespace, &expose, nodes, diagnostics);
            namespace.dropped.extend(dropped);
        }
        self.root = root;
        Exposed {
            outputs: expose.outputs,
            namespace: prefix,
            path: expose.path,
            include,
            exclude,
            repeated,
            listing: listed.clone(),
        }
    }

    /// The namespace that ports are exposed into; new ones are as the exposure says.
    fn namespace_at<'n>(
        &mut self,
        root: &'n mut Namespace,
        names: &[Ident],
        expose: &Expose,
    ) -> Option<&'n mut Namespace> {
        let (mut namespace, mut path) = (root, String::new());
        for (index, name) in names.iter().enumerate() {
            path = join(&path, &plain(name));
            let known = namespace.nodes.iter().position(|known| known.plain() == plain(name));
            let known = known.unwrap_or_else(|| {
                let kind = Kind::Namespace(empty(self.type_name(&path)));
                let (name, path, docs, help) = (name.clone(), path.clone(), Docs::default(), String::new());
                namespace.nodes.push(Node { name, path, docs, help, exposed: None, kind, checks: Vec::new() });
                namespace.nodes.len() - 1
            });
            let node = &mut namespace.nodes[known];
            let Kind::Namespace(inner) = &mut node.kind else { return None };
            if index + 1 == names.len() {
                inner.optional |= expose.optional.is_some();
                if !expose.docs.0.is_empty() {
                    (node.docs, node.help) = (expose.docs.clone(), expose.docs.text());
                }
                if let Some(help) = &expose.help {
                    node.help = help.value();
                }
            }
            namespace = inner;
        }
        Some(namespace)
    }

    /// An exposure brings no port that is there already.
    fn add(&self, namespace: &mut Namespace, expose: &Expose, nodes: Vec<Node>, diagnostics: &mut Diagnostics) {
        let process = last(&expose.path);
        let other = other_namespace(expose.namespace.iter().map(plain).collect::<String>().as_str());
        for node in nodes {
            let name = node.plain();
            let Some(known) = namespace.nodes.iter().find(|known| known.plain() == name) else {
                namespace.nodes.push(node);
                continue;
            };
            let message = match (&known.kind, &node.kind) {
                (Kind::Rest(_), Kind::Rest(_)) => format!(
                    "`{process}` takes other names (`dynamic<…>`), and a namespace takes them from one place only: \
                     expose into {other} with `as`"
                ),
                (_, Kind::Rest(_)) => format!(
                    "`{process}` takes other names (`dynamic<…>`), and `rest` is to hold them: give the port of this \
                     name another one, or expose into {other} with `as`"
                ),
                _ => format!(
                    "{} `{}` is declared already, and `{process}` brings it again: \
                     add `{{ exclude: {name} }}`, or expose into {other} with `as`",
                    self.word(),
                    node.path
                ),
            };
            diagnostics.error(&expose.path, message);
        }
    }

    /// `include` and `exclude` name ports that exist. Gives the names of each rule; a wrong one as the one that was
    /// meant, so that a slip of a letter is the only error.
    fn check_rules(&self, expose: &Expose, listed: &[Node], diagnostics: &mut Diagnostics) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for node in listed {
            node.paths(&mut paths);
        }
        let process = last(&expose.path);
        let mut meant = |name: &ast::Dotted| {
            let text = name.text();
            if paths.contains(&text) {
                return text;
            }
            let known = || paths.iter().map(String::as_str);
            let near = did_you_mean(&text, known());
            diagnostics.error(name, format!("`{process}` has no {} `{text}`{near}", self.word()));
            nearest(&text, known()).map(str::to_owned).unwrap_or(text)
        };
        expose.rules.iter().map(|rule| rule.names.iter().map(&mut meant).collect()).collect()
    }

    /// The ports that the rules keep, as ports of this process, and those that they leave out.
    fn take(&mut self, listed: &[Node], from: &From<'_>) -> (Vec<Node>, Vec<Node>) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for node in listed {
            let is_leaf = !matches!(node.kind, Kind::Namespace(_));
            let mut taken = Node { path: join(from.prefix, &node.path), exposed: Some(from.index), ..node.clone() };
            let value = |text: &str| Value { ty: self.projection(node, from.process), text: text.to_owned() };
            taken.kind = match &node.kind {
                Kind::Port(port) => Kind::Port(Port { value: value(&port.value.text), stream: None, ..port.clone() }),
                Kind::Dynamic(known) => Kind::Dynamic(value(&known.text)),
                Kind::Rest(known) => {
                    // A namespace that is kept stays dynamic, whichever of its ports are.
                    taken.kind = Kind::Rest(value(&known.text));
                    kept.push(taken);
                    continue;
                }
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
            Kind::Dynamic(_) | Kind::Rest(_) => quote!(<#value as #facade::__private::Dynamic>::Item),
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

fn empty(type_name: String) -> Namespace {
    Namespace { type_name, optional: false, nodes: Vec::new(), dropped: Vec::new(), checks: Vec::new(), supplies: None }
}

/// What is left out in one place may be declared in another, and other values are read after all ports.
fn settle(namespace: &mut Namespace) {
    let mut seen: BTreeSet<String> = namespace.nodes.iter().map(Node::plain).collect();
    namespace.dropped.retain(|node| seen.insert(node.plain()));
    namespace.nodes.sort_by_key(|node| matches!(node.kind, Kind::Rest(_)));
    for node in &mut namespace.nodes {
        if let Kind::Namespace(inner) = &mut node.kind {
            settle(inner);
        }
    }
}

/// The setter of all values of a dynamic namespace is not the name of a port, where one of them comes from another
/// process: that both are declared here is reported by [`check`](super::check::check).
pub(super) fn check_setters(namespace: &Namespace, exposes: &[Exposed], diagnostics: &mut Diagnostics) {
    for node in &namespace.nodes {
        if let Kind::Namespace(inner) = &node.kind {
            check_setters(inner, exposes, diagnostics);
        }
        if !matches!(node.kind, Kind::Dynamic(_) | Kind::Rest(_)) {
            continue;
        }
        let (owner, setter) = (&node.path, setter_of_all(&node.plain()));
        let Some(clash) = namespace.nodes.iter().find(|known| known.plain() == setter) else { continue };
        if node.exposed == clash.exposed {
            continue;
        }
        let what = format!("`{setter}` is the setter of all values of `{owner}`");
        let Some(from) = clash.exposed.and_then(|index| exposes.get(index)) else {
            diagnostics.error(&clash.name, format!("{what}: give this port another name"));
            continue;
        };
        let process = last(&from.path);
        let what = format!("{what}, and `{process}` brings a port of this name");
        if node.exposed.is_none() && matches!(node.kind, Kind::Dynamic(_)) {
            diagnostics.error(&node.name, format!("{what}: give this one another name"));
        } else {
            let other = other_namespace(&from.namespace);
            diagnostics.error(&from.path, format!("{what}: expose into {other} with `as`"));
        }
    }
}

/// Where to expose instead.
fn other_namespace(namespace: &str) -> &'static str {
    if namespace.is_empty() { "a namespace" } else { "another namespace" }
}

/// The name of a process, without its path.
fn last(path: &Path) -> String {
    path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}

/// Whether the type is written as `String`, alone or with its path, maybe by a macro around: `$ty` comes in a group.
pub(super) fn is_string(ty: &syn::Type) -> bool {
    let path = match ty {
        syn::Type::Group(group) => return is_string(&group.elem),
        syn::Type::Paren(inner) => return is_string(&inner.elem),
        syn::Type::Path(syn::TypePath { qself: None, path, .. }) => path,
        _ => return false,
    };
    let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let plain = path.segments.iter().all(|segment| matches!(segment.arguments, PathArguments::None));
    plain && (names == ["String"] || names == ["std", "string", "String"])
}
