//! The structs of values: `RelaxInputs`, `RelaxOutputs`, and one per namespace.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Ident;

use super::{Names, allow, docs, ident};
use crate::spec::model::{Kind, Namespace, Node, Presence};

/// The struct of a namespace and of all below it, with their traits.
pub(super) fn structs(names: &Names<'_>, namespace: &Namespace, outputs: bool, path: &str) -> TokenStream {
    let mut tokens = TokenStream::new();
    for node in &namespace.nodes {
        if let Kind::Namespace(inner) = &node.kind {
            tokens.extend(structs(names, inner, outputs, &node.path));
        }
    }
    let (name, declare, where_clause) = (ident(&namespace.type_name), names.declare(&[]), names.where_clause);
    let (allow, phantom) = (allow(), names.phantom_field());
    let docs = docs::of_struct(names.model, namespace, outputs, path);
    let fields = namespace.nodes.iter().map(|node| {
        let (docs, name, ty) = (docs::of_field(node, outputs), &node.name, field_type(names, node));
        quote!(#docs pub #name: #ty,)
    });
    let traits = traits(names, namespace, outputs);
    tokens.extend(quote! {
        #docs
        #allow
        pub struct #name #declare #where_clause { #(#fields)* #phantom }
        #traits
    });
    tokens
}

/// `BTreeMap<String, T>`.
pub(super) fn map_of(ty: &TokenStream) -> TokenStream {
    quote!(::std::collections::BTreeMap<::std::string::String, #ty>)
}

fn field_type(names: &Names<'_>, node: &Node) -> TokenStream {
    let (ty, optional) = match &node.kind {
        Kind::Port(port) => (port.value.ty.clone(), port.presence == Presence::Optional),
        Kind::Dynamic(value) | Kind::Rest(value) => (map_of(&value.ty), false),
        Kind::Namespace(namespace) => (names.apply(&namespace.type_name, &[]), namespace.optional),
    };
    if optional { quote!(::core::option::Option<#ty>) } else { ty }
}

/// Reading, writing, showing.
fn traits(names: &Names<'_>, namespace: &Namespace, outputs: bool) -> TokenStream {
    let private = &names.private;
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    let (this, text, phantom) = (names.apply(&namespace.type_name, &[]), &namespace.type_name, names.phantom());
    let ports = Ident::new("ports", Span::mixed_site());
    let reads = namespace.nodes.iter().map(|node| {
        let (name, read) = (&node.name, read(names, node, outputs, &ports));
        quote!(#name: #read,)
    });
    let writes = namespace.nodes.iter().map(|node| write(names, node, outputs, &ports));
    let deserialize = names.declare_first(&quote!('__de));
    quote! {
        impl #declare #private::PortValues for #this #where_clause {
            #[allow(unused_variables)]
            fn read(
                #ports: &mut #private::PortReader,
            ) -> ::core::result::Result<Self, #private::SpecError> {
                ::core::result::Result::Ok(Self { #(#reads)* #phantom })
            }
            #[allow(unused_variables)]
            fn write(&self, #ports: &mut #private::PortWriter) { #(#writes)* }
        }
        impl #declare ::core::fmt::Debug for #this #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #private::ports::debug(#text, self, f)
            }
        }
        impl #declare #private::serde::Serialize for #this #where_clause {
            fn serialize<__S: #private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                #private::ports::serialize(self, serializer)
            }
        }
        impl #deserialize #private::serde::Deserialize<'__de> for #this #where_clause {
            fn deserialize<__D: #private::serde::Deserializer<'__de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                #private::ports::deserialize(deserializer)
            }
        }
    }
}

fn read(names: &Names<'_>, node: &Node, outputs: bool, ports: &Ident) -> TokenStream {
    let (private, text, port) = (&names.private, node.plain(), names.port(node, outputs));
    match &node.kind {
        Kind::Port(known) if known.presence == Presence::Optional => {
            quote!(#private::ports::read_optional::<#port>(#ports, #text)?)
        }
        Kind::Port(_) => quote!(#private::ports::read::<#port>(#ports, #text)?),
        Kind::Rest(_) => quote!(#private::ports::read_rest::<#port, _>(#ports)?),
        Kind::Dynamic(_) => quote!(#private::ports::read_dynamic::<#port, _>(#ports, #text)?),
        Kind::Namespace(namespace) => {
            let ty = names.apply(&namespace.type_name, &[]);
            let method = if namespace.optional { quote!(namespace_optional) } else { quote!(namespace) };
            quote!(#ports.#method::<#ty>(#text)?)
        }
    }
}

/// Writes one field of `self`.
pub(super) fn write(names: &Names<'_>, node: &Node, outputs: bool, ports: &Ident) -> TokenStream {
    let (private, text, port, name) = (&names.private, node.plain(), names.port(node, outputs), &node.name);
    let optional = quote!(::core::option::Option::as_ref(&self.#name));
    match &node.kind {
        Kind::Port(known) if known.presence == Presence::Optional => {
            quote!(#private::ports::write_optional::<#port>(#ports, #text, #optional);)
        }
        Kind::Rest(_) => quote!(#private::ports::write_rest::<#port, _>(#ports, &self.#name);),
        Kind::Port(_) | Kind::Dynamic(_) => quote!(#private::ports::write::<#port>(#ports, #text, &self.#name);),
        Kind::Namespace(namespace) if namespace.optional => quote!(#ports.namespace_optional(#text, #optional);),
        Kind::Namespace(_) => quote!(#ports.namespace(#text, &self.#name);),
    }
}
