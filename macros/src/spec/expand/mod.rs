//! From the model to tokens.

mod builder;
mod description;
mod docs;
pub(super) mod editor;
mod streams;
mod supply;
mod values;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::GenericParam;

use super::model::{Exit, Kind, Model, Namespace, Node};
use crate::tokens::port_hash;

/// Everything that a process's ports give, but its companion.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let names = Names::new(model);
    let values = [(&model.inputs, false), (&model.outputs, true)]
        .map(|(namespace, outputs)| values::structs(&names, namespace, outputs, ""));
    let builders = builder::expand(&names);
    let spec = description::expand(&names);
    let exits = exits(&names);
    let table = output_table(&names);
    let wiring = wiring(&names);
    let streams = streams::constants(&names);
    quote! { #(#values)* #builders #spec #exits #table #wiring #streams }
}

/// What all generated items are relieved of: the process may be private, and not all of it is used.
pub(super) fn allow() -> TokenStream {
    quote!(#[allow(dead_code, unreachable_pub, private_interfaces, private_bounds)])
}

/// The same tokens at the place of the user's, for carets; what they mean stays.
pub(super) fn at(user: &TokenStream, tokens: TokenStream) -> TokenStream {
    let spans: Vec<Span> = user.clone().into_iter().map(|token| token.span()).collect();
    let [first, .., last] = *spans.as_slice() else { return at_once(spans.first(), tokens) };
    let mut moved: Vec<_> = at_once(Some(&first), tokens).into_iter().collect();
    if let Some(end) = moved.last_mut() {
        end.set_span(last.resolved_at(end.span()));
    }
    moved.into_iter().collect()
}

fn at_once(place: Option<&Span>, tokens: TokenStream) -> TokenStream {
    let move_to = |mut token: proc_macro2::TokenTree| {
        token.set_span(place.copied().unwrap_or_else(Span::call_site).resolved_at(token.span()));
        token
    };
    tokens.into_iter().map(move_to).collect()
}

/// An identifier of ours, at the place of the call.
pub(super) fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// The names of a process in generated code.
pub(super) struct Names<'a> {
    pub(super) model: &'a Model,
    /// The hidden module of the runtime.
    pub(super) private: TokenStream,
    /// The type of the process.
    pub(super) process: TokenStream,
    parameters: Vec<TokenStream>,
    arguments: Vec<TokenStream>,
    pub(super) where_clause: Option<&'a syn::WhereClause>,
}

impl<'a> Names<'a> {
    fn new(model: &'a Model) -> Self {
        let (facade, process, arguments) = (&model.facade, &model.process, &model.arguments);
        let argument = |parameter: &GenericParam| match parameter {
            GenericParam::Lifetime(lifetime) => lifetime.lifetime.to_token_stream(),
            GenericParam::Type(ty) => ty.ident.to_token_stream(),
            GenericParam::Const(constant) => constant.ident.to_token_stream(),
        };
        Self {
            model,
            private: quote!(#facade::__private),
            process: quote!(#process #arguments),
            parameters: model.generics.params.iter().map(ToTokens::to_token_stream).collect(),
            arguments: model.generics.params.iter().map(argument).collect(),
            where_clause: model.generics.where_clause.as_ref(),
        }
    }

    /// `<T: Bound, extra>`, to declare.
    pub(super) fn declare(&self, extra: &[TokenStream]) -> TokenStream {
        angles(self.parameters.iter().chain(extra))
    }

    /// The same with a lifetime in front.
    pub(super) fn declare_first(&self, lifetime: &TokenStream) -> TokenStream {
        angles(std::iter::once(lifetime).chain(&self.parameters))
    }

    /// `Name<T, extra>`, to use.
    pub(super) fn apply(&self, name: &str, extra: &[TokenStream]) -> TokenStream {
        let (name, arguments) = (ident(name), angles(self.arguments.iter().chain(extra)));
        quote!(#name #arguments)
    }

    /// A field that uses the parameters, where there are some.
    pub(super) fn phantom_field(&self) -> Option<TokenStream> {
        let process = &self.process;
        self.is_generic().then(|| quote!(#[doc(hidden)] pub __process: ::core::marker::PhantomData<fn() -> #process>,))
    }

    /// The value of [`phantom_field`](Self::phantom_field).
    pub(super) fn phantom(&self) -> Option<TokenStream> {
        self.is_generic().then(|| quote!(__process: ::core::marker::PhantomData,))
    }

    fn is_generic(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The port as a type.
    pub(super) fn port(&self, node: &Node, outputs: bool) -> TokenStream {
        let (private, process, hash) = (&self.private, &self.process, node.hash());
        let side = if outputs { quote!(Out) } else { quote!(In) };
        quote!(#private::#side<#process, #hash>)
    }

    /// `where` clauses of the user's and more.
    pub(super) fn where_with(&self, more: &[TokenStream]) -> TokenStream {
        let user = self.where_clause.map(|clause| &clause.predicates).into_iter().flatten().map(|p| quote!(#p));
        let all: Vec<TokenStream> = user.chain(more.iter().cloned()).collect();
        if all.is_empty() { TokenStream::new() } else { quote!(where #(#all),*) }
    }
}

fn angles<'a>(parts: impl Iterator<Item = &'a TokenStream>) -> TokenStream {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { TokenStream::new() } else { quote!(<#(#parts),*>) }
}

/// The enum of exit codes.
fn exits(names: &Names<'_>) -> TokenStream {
    let (private, model) = (&names.private, names.model);
    let name = format_ident!("{}Exit", model.name);
    let docs = format!("The exit codes of `{}`.", model.name);
    let variants = model.exits.iter().map(|Exit { docs, number, name, message }| {
        let line = format!("{number}: {message}");
        let docs = if docs.0.is_empty() { quote!(#[doc = #line]) } else { quote!(#docs) };
        quote!(#docs #name)
    });
    let all = model.exits.iter().map(|exit| &exit.name);
    let codes = model.exits.iter().map(|exit| {
        let (variant, number, message, text) = (&exit.name, exit.number, &exit.message, exit.name.to_string());
        let text = text.trim_start_matches("r#");
        quote!(Self::#variant => #private::ExitCode::new(#number, #text, #message))
    });
    let allow = allow();
    quote! {
        #[doc = #docs]
        #allow
        #[derive(
            ::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy, ::core::cmp::PartialEq, ::core::cmp::Eq
        )]
        pub enum #name { #(#variants),* }
        impl #private::ExitCodes for #name {
            const ALL: &'static [Self] = &[#(Self::#all),*];
            fn code(self) -> #private::ExitCode {
                match self { #(#codes),* }
            }
        }
        impl<__P: #private::Flow<Exit = #name>> #private::StepReturn<__P> for #name {
            fn into_next(self) -> ::core::result::Result<#private::Next<__P>, #private::BoxError> {
                ::core::result::Result::Ok(#private::Next::exit(self))
            }
        }
        impl ::core::convert::From<#name> for #private::BoxError {
            fn from(exit: #name) -> Self {
                ::std::boxed::Box::new(#private::ExitCodes::code(exit))
            }
        }
    }
}

/// Which outputs a normal end demands, on a type without parameters, and their names as items, so that the compiler
/// itself answers for an unknown one.
fn output_table(names: &Names<'_>) -> TokenStream {
    let (private, model) = (&names.private, names.model);
    let (table, module) = (format_ident!("__Procession{}", model.name), outputs_module(&model.name));
    let (process, declare, where_clause) = (&names.process, names.declare(&[]), names.where_clause);
    let mut rows = Vec::new();
    output_rows(names, &model.outputs, true, &mut rows);
    let declared = model.outputs.nodes.iter().filter(|node| !matches!(node.kind, Kind::Rest(_)));
    let items = declared.map(|node| {
        let (ident, name) = (&node.name, node.plain());
        quote!(pub const #ident: &str = #name;)
    });
    quote! {
        #[doc(hidden)]
        #[allow(dead_code, unreachable_pub, non_camel_case_types, missing_debug_implementations)]
        pub struct #table;
        impl #private::OutputTable for #table {
            const OUTPUTS: &'static [#private::OutputInfo] = &[#(#rows),*];
        }
        impl #declare #private::OutputTable for #process #where_clause {
            const OUTPUTS: &'static [#private::OutputInfo] = <#table as #private::OutputTable>::OUTPUTS;
        }
        #[doc(hidden)]
        #[allow(dead_code, unreachable_pub, non_snake_case, non_upper_case_globals, missing_docs)]
        pub mod #module { #(#items)* }
    }
}

/// A row for each output, and before its ports one for each namespace. Below what is not demanded nothing is required.
fn output_rows(names: &Names<'_>, namespace: &Namespace, demanded: bool, rows: &mut Vec<TokenStream>) {
    let private = &names.private;
    for node in &namespace.nodes {
        let (path, required, exposed) = (&node.path, demanded && node.is_required(), node.exposed.is_some());
        rows.push(quote!(#private::OutputInfo { name: #path, required: #required, exposed: #exposed }));
        if let Kind::Namespace(inner) = &node.kind {
            output_rows(names, inner, required, rows);
        }
    }
}

/// The module of the names of a process's outputs.
fn outputs_module(process: &str) -> Ident {
    format_ident!("__procession_outputs_{}", process)
}

/// The types of all ports, by the hash of their names.
fn wiring(names: &Names<'_>) -> TokenStream {
    let (private, process) = (&names.private, &names.process);
    let [editor, compiler] = [Place::Call, Place::Type].map(|place| {
        let mut tokens = TokenStream::new();
        wire(names, &names.model.inputs, false, place, &mut tokens);
        wire(names, &names.model.outputs, true, place, &mut tokens);
        tokens
    });
    let mut tokens = quote!(#private::editor! { { #editor } { #compiler } });
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    for exposed in names.model.exposes.iter().filter(|exposed| exposed.outputs) {
        if exposed.namespace.is_empty() || exposed.repeated {
            continue;
        }
        let (path, hash) = (&exposed.path, port_hash(&exposed.namespace));
        tokens.extend(quote! {
            impl #declare #private::ExposedOutputs<#hash> for #process #where_clause { type Of = #path; }
        });
    }
    tokens
}

/// Where the words around a port's type stand: the compiler's caret is to cover the type, an editor would take them for
/// definitions of it.
#[derive(Clone, Copy)]
enum Place {
    Call,
    Type,
}

fn wire(names: &Names<'_>, namespace: &Namespace, outputs: bool, place: Place, tokens: &mut TokenStream) {
    let (private, process) = (&names.private, &names.process);
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    let side = if outputs { quote!(Output) } else { quote!(Input) };
    for node in &namespace.nodes {
        let (hash, allow) = (node.hash(), allow());
        let value = match &node.kind {
            Kind::Port(port) => port.value.ty.clone(),
            Kind::Dynamic(value) | Kind::Rest(value) => match place {
                Place::Call => values::map_of(&value.ty),
                Place::Type => at(&value.ty, values::map_of(&value.ty)),
            },
            Kind::Namespace(inner) => {
                wire(names, inner, outputs, place, tokens);
                names.apply(&inner.type_name, &[])
            }
        };
        let item = quote!(type Value);
        let item = match place {
            Place::Call => item,
            Place::Type => at(&value, item),
        };
        tokens.extend(quote! {
            #allow
            impl #declare #private::#side<#hash> for #process #where_clause { #item = #value; }
        });
    }
}
