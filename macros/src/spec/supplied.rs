//! Which required ports of a process an exposed namespace supplies: what `inputs_from` starts its builder with.
//!
//! It travels with the listing of ports, so that a namespace that comes through several processes supplies the first
//! one's ports still.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use super::model::{Exposed, Kind, Namespace, Node, keeps};

/// The required ports of a process, in order.
#[derive(Clone)]
pub(crate) enum Supplied {
    Set,
    Unset,
    /// Those of a namespace, or of all inputs.
    All(Vec<Supplied>),
}

impl Supplied {
    /// What an exposure supplies of the other process's required ports.
    pub(crate) fn of(exposed: &Exposed) -> Self {
        fn all(nodes: &[Node], exposed: &Exposed) -> Supplied {
            let required = nodes.iter().filter(|node| node.is_required());
            let states = required.map(|node| match &node.kind {
                Kind::Namespace(namespace) => all(&namespace.nodes, exposed),
                _ if keeps(&node.path, true, (&exposed.include, &exposed.exclude)) => Supplied::Set,
                _ => Supplied::Unset,
            });
            Supplied::All(states.collect())
        }
        all(&exposed.listing, exposed)
    }

    /// The state of the builder, as a type.
    pub(crate) fn state(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Set => quote!(#private::Set),
            Self::Unset => quote!(#private::Unset),
            Self::All(all) => {
                let states = all.iter().map(|state| state.state(private));
                quote!((#(#states,)*))
            }
        }
    }

    /// Reads what [`ToTokens`] has written.
    pub(crate) fn read(group: &Group) -> Self {
        let states = group.stream().into_iter().map(|token| match token {
            TokenTree::Group(inner) => Self::read(&inner),
            word if word.to_string() == "set" => Self::Set,
            _ => Self::Unset,
        });
        Self::All(states.collect())
    }
}

/// In a listing: `(set unset (set))`.
impl ToTokens for Supplied {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Set => quote!(set),
            Self::Unset => quote!(unset),
            Self::All(all) => Group::new(Delimiter::Parenthesis, quote!(#(#all)*)).to_token_stream(),
        });
    }
}

/// Finds out which namespaces of inputs supply the inputs of one process: those that it is exposed into, and those that
/// were such a namespace in a process that is exposed here, as long as nothing is left out of them or added to them.
pub(crate) fn mark(inputs: &mut Namespace, exposes: &[Exposed]) {
    for node in &mut inputs.nodes {
        let Kind::Namespace(namespace) = &mut node.kind else { continue };
        mark(namespace, exposes);
        let here = |(_, other): &(usize, &Exposed)| !other.outputs && !other.repeated && other.namespace == node.path;
        let into: Vec<_> = exposes.iter().enumerate().filter(here).collect();
        match (into.as_slice(), node.exposed) {
            ([(index, other)], None) if is_all_of(namespace, *index) => {
                namespace.supplies = Some(Supplied::of(other));
            }
            ([], Some(index)) if is_all_of(namespace, index) && is_whole(namespace) => {}
            _ => namespace.supplies = None,
        }
    }
}

fn is_all_of(namespace: &Namespace, index: usize) -> bool {
    namespace.nodes.iter().all(|node| {
        let below = if let Kind::Namespace(inner) = &node.kind { is_all_of(inner, index) } else { true };
        node.exposed == Some(index) && below
    })
}

fn is_whole(namespace: &Namespace) -> bool {
    let below = |node: &Node| if let Kind::Namespace(inner) = &node.kind { is_whole(inner) } else { true };
    namespace.dropped.is_empty() && namespace.nodes.iter().all(below)
}
