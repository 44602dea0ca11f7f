//! The companion macro: a hidden macro under the process's own name that hands its ports to whoever exposes them.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::fmt::Write as _;
use syn::parse::{Parse, ParseStream};
use syn::{Path, PathArguments, braced, bracketed};

use super::model::Model;
use super::ports;
use crate::tokens::port_hash;

/// What a companion calls back with.
pub(crate) struct Call {
    pub(crate) facade: TokenStream,
    /// The ports of the processes that are known by now, in order.
    pub(crate) known: Vec<TokenStream>,
    /// What `spec!` was given.
    pub(crate) body: TokenStream,
}

impl Parse for Call {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (new, facade, before, body);
        braced!(new in input);
        bracketed!(facade in input);
        bracketed!(before in input);
        braced!(body in input);
        let mut known = Vec::new();
        while !before.is_empty() {
            let listing;
            braced!(listing in before);
            known.push(listing.parse()?);
        }
        known.push(new.parse()?);
        Ok(Self { facade: facade.parse()?, known, body: body.parse()? })
    }
}

/// Calls the companion of a process.
pub(crate) fn ask(process: &Path, facade: &TokenStream, known: &[TokenStream], body: &TokenStream) -> TokenStream {
    let mut path = process.clone();
    for segment in &mut path.segments {
        segment.arguments = PathArguments::None;
    }
    quote! {
        #path! { @ports [#facade::__private::macros::spec_exposed] { [#facade] [#({ #known })*] { #body } } }
    }
}

/// Defines the companion of a process. It is exported always: whether the process is public cannot be seen from here.
pub(crate) fn define(model: &Model, body: &TokenStream) -> TokenStream {
    let process = &model.process;
    let hidden = format_ident!("__procession_{}_{:016x}", model.name, identity(process, body));
    let ports = ports::list(model);
    let misuse = format!("`{}` is a process, not a macro", model.name);
    quote! {
        #[doc(hidden)]
        #[macro_export]
        #[allow(non_local_definitions)]
        macro_rules! #hidden {
            (@ports [$($back:tt)*] { $($rest:tt)* }) => { $($back)*! { { #ports } $($rest)* } };
            ($($tokens:tt)*) => { ::core::compile_error!(#misuse); };
        }
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub)]
        pub use #hidden as #process;
    }
}

/// Tells processes of one name apart: by file, place, expansion and ports. Of the file's path only the last folder
/// counts, since the rest is another on every machine.
fn identity(process: &Ident, body: &TokenStream) -> u64 {
    let mut text = String::new();
    if proc_macro::is_available() {
        let span = process.span().unwrap();
        let file = span.file().replace('\\', "/");
        let near: Vec<&str> = file.rsplit('/').take(2).collect();
        let _ = write!(text, "{near:?}:{}:{}:{}:", span.line(), span.column(), expansion(span));
    }
    let _ = write!(text, "{body}");
    port_hash(&text)
}

/// Tells apart what several calls of one macro wrote: their tokens have one place. The compiler numbers its expansions
/// in the order of the source and shows the number in front of the bytes; where it does not, nothing is told apart.
fn expansion(span: proc_macro::Span) -> String {
    let shown = format!("{span:?}");
    shown.split_once(" bytes(").map(|(expansion, _)| expansion.to_owned()).unwrap_or_default()
}
