//! What an editor reads of `spec!`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

use super::allow;
use crate::spec::ast::{Dotted, Entry, EntryKind, Expose, Item, Spec, Written};
use crate::spec::model::{Kind, Node, exposed_processes, join, listing_of};
use crate::spec::ports::Listing;
use crate::spec::side::is_string;
use crate::tokens::{plain, port_hash};

/// Types, default values, validators and the names after `include` and `exclude`, each as what it is, in the order of
/// the text. Broken expressions are among them: the editor completes in them.
///
/// Nothing stands before them whose length depends on what the user writes; see the same of `outline!`.
pub(crate) fn expand(spec: &Spec, facade: &TokenStream, listings: &[Listing]) -> TokenStream {
    let (process, arguments, allow) = (&spec.process, &spec.arguments, allow());
    let private = quote!(#facade::__private);
    let (impls, _, clause) = spec.generics.split_for_impl();
    let items = spec.items.iter().map(|item| match item {
        Item::Input(port) | Item::Stream(port) => entry(&private, port, "", &quote!(Input)),
        Item::Output(port) => entry(&private, port, "", &quote!(Output)),
        Item::Expose(expose) => self::expose(&private, expose, listing_of(spec, listings, &expose.path)),
    });
    let all = quote!(<Self as #private::Spec>::Inputs);
    let checks = spec.written.iter().map(|written| self::written(&all, false, written));
    quote! {
        #private::editor! { { const _: () = {
            trait __Ports {
                fn ports();
            }
            fn __check<T, R>(_: impl ::core::ops::Fn(&T) -> R) {}
            #[automatically_derived]
            #allow
            impl #impls __Ports for #process #arguments #clause {
                fn ports() {
                    #(#items)*
                    #(#checks)*
                }
            }
        }; } {} }
    }
}

/// The exposed processes as types. They are known before their companions are asked, which a name that is still to be
/// written has none of.
pub(crate) fn exposed(spec: &Spec, facade: &TokenStream) -> Option<TokenStream> {
    let (impls, _, clause) = spec.generics.split_for_impl();
    let paths: Vec<_> = exposed_processes(spec);
    (!paths.is_empty()).then(|| {
        quote! {
            #facade::__private::editor! { { const _: () = {
                fn __exposed #impls () #clause { #(let _: #paths;)* }
            }; } {} }
        }
    })
}

fn entry(private: &TokenStream, entry: &Entry, parent: &str, side: &TokenStream) -> TokenStream {
    let path = join(parent, &plain(&entry.name));
    let text = matches!(&entry.kind, EntryKind::Port { ty, .. } if is_string(ty));
    let (head, ty) = match &entry.kind {
        EntryKind::Port { ty, .. } | EntryKind::Stream { ty, .. } => (quote!(let _: #ty;), quote!(#ty)),
        EntryKind::Dynamic { ty } | EntryKind::Rest { ty } => {
            (quote!(let _: #ty;), super::values::map_of(&quote!(#ty)))
        }
        EntryKind::Namespace { entries, .. } => {
            let entries = entries.iter().map(|inner| self::entry(private, inner, &path, side));
            let hash = port_hash(&path);
            (quote!(#(#entries)*), quote!(<Self as #private::#side<#hash>>::Value))
        }
    };
    let written = entry.written.iter().map(|written| self::written(&ty, text, written));
    quote!(#head #(#written)*)
}

/// An expression that belongs to a port of this type.
fn written(ty: &TokenStream, text: bool, written: &Written) -> TokenStream {
    match written {
        Written::Default(value) if text => quote!(let _: #ty = ::core::convert::Into::into(#value);),
        Written::Default(value) => quote!(let _: #ty = #value;),
        Written::Check(function) => quote!(__check::<#ty, _>(#function);),
    }
}

/// The names after `include` and `exclude`, as fields of what the exposed process takes or gives.
fn expose(private: &TokenStream, expose: &Expose, listing: Option<&Listing>) -> TokenStream {
    let (path, values) = (&expose.path, Ident::new("__values", Span::mixed_site()));
    let side = format_ident!("{}", if expose.outputs { "Outputs" } else { "Inputs" });
    let nodes = listing.map(|listing| if expose.outputs { &*listing.outputs } else { &*listing.inputs });
    let names = expose.rules.iter().flat_map(|rule| {
        let names = rule.names.iter().map(|name| field(&values, name, false, nodes));
        names.chain(rule.unfinished.iter().map(|name| field(&values, name, true, nodes)))
    });
    quote!(let _ = |#values: &<#path as #private::Spec>::#side| { #(#names)* };)
}

/// `let _ = &values.options.walltime;`, through what is optional.
fn field(values: &Ident, name: &Dotted, unfinished: bool, mut nodes: Option<&[Node]>) -> TokenStream {
    let mut tokens = quote!(&#values);
    let mut through = TokenStream::new();
    for part in &name.0 {
        tokens.extend(quote!(#through . #part));
        let known = nodes.unwrap_or_default().iter().find(|node| node.plain() == plain(part));
        (nodes, through) = match known.map(|node| &node.kind) {
            Some(Kind::Namespace(inner)) if inner.optional => (Some(&*inner.nodes), quote!(.as_ref().unwrap())),
            Some(Kind::Namespace(inner)) => (Some(&*inner.nodes), TokenStream::new()),
            _ => (None, TokenStream::new()),
        };
    }
    if unfinished {
        tokens.extend(quote!(#through .));
    }
    quote!(let _ = #tokens;)
}
