//! Checked facts about a process's ports. Nothing after this stage can fail.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use std::collections::BTreeSet;
use syn::{Generics, Path};

use super::ast::{self, Check, Docs, Expose, Item};
use super::ports::Listing;
use super::side::{self, Side};
use super::supplied::{self, Supplied};
use crate::diag::Diagnostics;
use crate::tokens::{plain, port_hash};

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
    /// The dotted name of the namespace; empty at the top.
    pub(crate) namespace: String,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// An earlier exposure has its place: an error, and nothing that names the place is written for it.
    pub(crate) repeated: bool,
    /// All ports on this side of the other process.
    pub(crate) listing: Vec<Node>,
}

impl Exposed {
    /// Whether it is exposed where another one is: the same process, or outputs of another into one namespace.
    pub(super) fn is_repeated(&self, other: &Expose, namespace: &str) -> bool {
        let same = |path: &Path| path.to_token_stream().to_string();
        self.outputs == other.outputs
            && self.namespace == namespace
            && ((self.outputs && !self.namespace.is_empty()) || same(&self.path) == same(&other.path))
    }
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
    /// What the namespace around it takes under other names.
    Rest(Value),
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
    /// That of a stream, whose value is a wire.
    pub(crate) stream: Option<Stream>,
}

/// What an input that is a stream has beside.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) out: bool,
    /// The type of its items, as the user wrote it.
    pub(crate) item: TokenStream,
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
    /// Which required ports of a process these values start its builder with, if they do, and of one process only.
    pub(crate) supplies: Option<Supplied>,
}

impl Node {
    pub(crate) fn plain(&self) -> String {
        plain(&self.name)
    }

    pub(crate) fn hash(&self) -> u64 {
        if matches!(self.kind, Kind::Rest(_)) {
            // No port: an outline cannot name it.
            return port_hash(&format!("{}.*", self.path));
        }
        port_hash(&self.path)
    }

    /// Whether a value must be given for it, or for a port in it.
    pub(crate) fn is_required(&self) -> bool {
        match &self.kind {
            Kind::Port(port) => port.presence == Presence::Required,
            Kind::Dynamic(_) | Kind::Rest(_) => false,
            Kind::Namespace(namespace) => !namespace.optional && namespace.nodes.iter().any(Node::is_required),
        }
    }

    /// Its own dotted name and those of all below.
    pub(super) fn paths(&self, paths: &mut Vec<String>) {
        // What is not declared has no name.
        if !matches!(self.kind, Kind::Rest(_)) {
            paths.push(self.path.clone());
        }
        if let Kind::Namespace(namespace) = &self.kind {
            namespace.nodes.iter().for_each(|node| node.paths(paths));
        }
    }
}

/// The distinct processes that are exposed, in the order of the source; the process itself is refused by [`check`](super::check::check).
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

pub(super) fn exposes(spec: &ast::Spec) -> impl Iterator<Item = &Expose> {
    spec.items.iter().filter_map(|item| match item {
        Item::Expose(expose) => Some(expose),
        _ => None,
    })
}

/// Puts everything together; `listings` holds the ports of each of [`exposed_processes`]. Reports only what concerns
/// exposed ports: [`check`](super::check::check) reports the rest.
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
    let mut exposes: Vec<Exposed> = Vec::new();
    for item in spec.items {
        match item {
            Item::Input(entry) | Item::Stream(entry) => sides[0].declare(&entry, &exposes, diagnostics),
            Item::Output(entry) => sides[1].declare(&entry, &exposes, diagnostics),
            Item::Expose(expose) => {
                let Some(listing) = found.next().flatten() else { continue };
                let side = &mut sides[usize::from(expose.outputs)];
                let new = side.expose(expose, &exposes, listing, diagnostics);
                exposes.push(new);
            }
        }
    }
    let [inputs, outputs] = sides;
    let (mut inputs, outputs) = (inputs.finish(), outputs.finish());
    inputs.checks.extend(spec.checks);
    side::check_setters(&inputs, &exposes, diagnostics);
    supplied::mark(&mut inputs, &exposes);
    let mut names = BTreeSet::new();
    let exits = spec.exits.into_iter().filter_map(|exit| {
        // A number that is wrong, or taken, is reported; the name is known all the same.
        let number = exit.number.base10_parse().unwrap_or_default();
        names.insert(plain(&exit.name)).then(|| Exit {
            docs: exit.docs,
            number,
            name: exit.name,
            message: exit.message.value(),
        })
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
