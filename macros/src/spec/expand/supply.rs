//! `impl Supply`: exposed values as the start of the exposed process's own builder.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use super::{Names, values};
use crate::spec::model::{Exposed, Kind, Namespace, Node};
use crate::spec::supplied::Supplied;
use crate::tokens::port_hash;

/// For every namespace that is exposed, and for those that come with it.
pub(super) fn expand(names: &Names<'_>) -> TokenStream {
    let exposes = names.model.exposes.iter().enumerate();
    let inputs = exposes.filter(|(_, exposed)| !exposed.outputs && !exposed.repeated);
    inputs
        .filter_map(|(index, exposed)| {
            let target = target(&names.model.inputs, &exposed.namespace)?;
            let (own, nested) = (own(names, index, exposed, target), nested(names, index, exposed, target));
            Some(quote!(#own #nested))
        })
        .collect()
}

/// What the exposed values lack of the exposed process's inputs.
fn own(names: &Names<'_>, index: usize, exposed: &Exposed, target: &Namespace) -> TokenStream {
    let (private, path) = (&names.private, &exposed.path);
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    let (this, state) = (names.apply(&target.type_name, &[]), Supplied::of(exposed).state(private));
    let supply = supply(names, target.nodes.iter().filter(|node| node.exposed == Some(index)));
    quote! {
        impl #declare #private::Supply<#path> for #this #where_clause {
            type State = #state;
            #supply
        }
    }
}

/// The namespaces that the exposed process exposes itself: what they supply there, they supply here.
fn nested(names: &Names<'_>, index: usize, exposed: &Exposed, namespace: &Namespace) -> TokenStream {
    let (private, path) = (&names.private, &exposed.path);
    let mut tokens = TokenStream::new();
    for node in namespace.nodes.iter().filter(|node| node.exposed == Some(index)) {
        let Kind::Namespace(inner) = &node.kind else { continue };
        tokens.extend(nested(names, index, exposed, inner));
        let Some(supplied) = &inner.supplies else { continue };
        let there = node.path.strip_prefix(&exposed.namespace).unwrap_or(&node.path).trim_start_matches('.');
        let (hash, state, process) = (port_hash(there), supplied.state(private), quote!(__P));
        let there = quote!(<#path as #private::Input<#hash>>::Value);
        let declare = names.declare(std::slice::from_ref(&process));
        // The process has no name here: it is whichever the namespace supplies there.
        let bounds = names.where_with(&[quote!(#there: #private::Supply<#process, State = #state>)]);
        let (this, supply) = (names.apply(&inner.type_name, &[]), supply(names, inner.nodes.iter()));
        tokens.extend(quote! {
            impl #declare #private::Supply<#process> for #this #bounds {
                type State = #state;
                #supply
            }
        });
    }
    tokens
}

fn supply<'a>(names: &Names<'_>, nodes: impl Iterator<Item = &'a Node>) -> TokenStream {
    let (private, ports) = (&names.private, Ident::new("ports", Span::mixed_site()));
    let writes = nodes.map(|node| values::write(names, node, false, &ports));
    quote! {
        fn supply(&self) -> #private::InputMap {
            #[allow(unused_mut)]
            let mut #ports = #private::PortWriter::new();
            { let #ports = &mut #ports; #(#writes)* let _ = #ports; }
            #ports.finish()
        }
    }
}

/// The namespace at a dotted name.
fn target<'a>(root: &'a Namespace, path: &str) -> Option<&'a Namespace> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(root, |namespace, name| {
        namespace.nodes.iter().find_map(|node| match &node.kind {
            Kind::Namespace(inner) if node.plain() == name => Some(inner),
            _ => None,
        })
    })
}
