//! The ports of streams: a constant of the process for each, and what the runtime is told of them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

use super::{Names, allow, at, docs};
use crate::spec::check::FUNCTIONS;
use crate::spec::model::{Kind, Node, Stream};

/// The streams of the process itself, with their ports.
fn streams<'a>(names: &Names<'a>) -> impl Iterator<Item = (&'a Node, &'a Stream)> + Clone + use<'a> {
    let model = names.model;
    model.inputs.nodes.iter().filter_map(|node| match &node.kind {
        Kind::Port(port) => Some((node, port.stream.as_ref()?)),
        _ => None,
    })
}

/// `Self::texts`, by which steps name a stream.
pub(super) fn constants(names: &Names<'_>) -> Option<TokenStream> {
    let (private, process, allow) = (&names.private, &names.process, allow());
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    // What would be declared twice is reported.
    let free = streams(names).filter(|(node, _)| !FUNCTIONS.contains(&node.plain().as_str()));
    let constants: Vec<_> = free
        .clone()
        .map(|(node, Stream { out, .. })| {
            let (ident, name, hash) = (&node.name, node.plain(), node.hash());
            let port = format_ident!("{}", if *out { "Outgoing" } else { "Incoming" });
            let docs = docs::of_field(node, false);
            quote! {
                #docs
                pub const #ident: #private::#port<Self, <Self as #private::Carries<#hash>>::Item> =
                    #private::#port::declared::<#hash>(#name);
            }
        })
        .collect();
    let carries = free.map(|(node, Stream { item, .. })| {
        let hash = node.hash();
        // At the type of the items: whether they can be some is asked here.
        let ty = at(item, quote!(<<Self as #private::Input<#hash>>::Value as #private::Wired>::Item));
        quote! {
            #allow
            impl #declare #private::Carries<#hash> for #process #where_clause { type Item = #ty; }
        }
    });
    let carries: TokenStream = carries.collect();
    (!constants.is_empty()).then(|| {
        quote! {
            #[allow(non_upper_case_globals)]
            #allow
            impl #declare #process #where_clause { #(#constants)* }
            #carries
        }
    })
}

/// What the description says of them.
pub(super) fn described(names: &Names<'_>) -> TokenStream {
    let private = &names.private;
    let described = streams(names).map(|(node, Stream { out, .. })| {
        let (name, side) = (node.plain(), format_ident!("{}", if *out { "Out" } else { "In" }));
        quote!(.with_stream(#private::StreamPort::#side(::std::borrow::Cow::Borrowed(#name))))
    });
    described.collect()
}

/// The function of `Spec` that gives the wires.
pub(super) fn told(names: &Names<'_>) -> Option<TokenStream> {
    let private = &names.private;
    let inputs = Ident::new("inputs", Span::mixed_site());
    let told: Vec<_> = streams(names)
        .map(|(node, Stream { out, .. })| {
            let (ident, name) = (&node.name, node.plain());
            let side = format_ident!("{}", if *out { "outgoing" } else { "incoming" });
            quote!(#private::Stream::#side(#name, &#inputs.#ident))
        })
        .collect();
    (!told.is_empty()).then(|| {
        quote! {
            fn streams(#inputs: &Self::Inputs) -> ::std::vec::Vec<#private::Stream> {
                ::std::vec![#(#told),*]
            }
        }
    })
}
