//! What `outline!` and `steps!` share: the process they speak about, names of program points, calls of steps.

mod call;
mod names;
mod target;

pub(crate) use call::Call;
pub(crate) use names::{name, variants};
pub(crate) use target::Target;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// Stands for a name that is still to be written, where that is reported.
pub(crate) const UNKNOWN: &str = "_unknown";

/// The path to the facade crate.
#[derive(Clone)]
pub(crate) struct Facade(pub(crate) TokenStream);

impl Facade {
    /// `facade::__private`.
    pub(crate) fn private(&self) -> TokenStream {
        let facade = &self.0;
        quote!(#facade::__private)
    }

    /// The same with its tokens at a place, for carets that cover a whole path.
    pub(crate) fn private_at(&self, span: Span) -> TokenStream {
        self.private().into_iter().map(|token| moved(token, span)).collect()
    }

    /// Items in which `__private` is the facade's: one identifier, which can stand at a user's token without mixing
    /// places (a caret that spans tokens of two macros covers the whole call).
    pub(crate) fn scope(&self, items: &TokenStream) -> TokenStream {
        let private = self.private();
        quote! {
            const _: () = {
                use #private as __private;
                #items
            };
        }
    }

    /// Code for editors and code for the compiler, see `editor!` in the runtime crate: the compiler needs the whole of a
    /// call at the place of the user's token, an editor the token alone.
    pub(crate) fn for_both(&self, editor: &TokenStream, compiler: &TokenStream) -> TokenStream {
        let private = self.private();
        quote!(#private::editor! { { #editor } { #compiler } })
    }
}

fn moved(mut token: TokenTree, span: Span) -> TokenTree {
    // `$crate` keeps its meaning: only its place changes.
    token.set_span(token.span().located_at(span));
    token
}

/// The source line of a token; 0 where there is no compiler, as in unit tests.
pub(crate) fn line_of(span: Span) -> u32 {
    if proc_macro::is_available() { u32::try_from(span.unwrap().line()).unwrap_or(0) } else { 0 }
}

/// `__private` at a place; see [`Facade::scope`].
pub(crate) fn private_at(span: Span) -> Ident {
    Ident::new("__private", span)
}

/// The text of documentation comments.
pub(crate) fn doc_text(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The user's documentation, or a line of ours where there is none.
pub(crate) fn docs_or(attributes: &[Attribute], ours: &str) -> TokenStream {
    if attributes.is_empty() { quote!(#[doc = #ours]) } else { quote!(#(#attributes)*) }
}

/// Lints that speak about code a person writes. The names and types are the user's to choose, the code is not.
pub(crate) fn allowances() -> TokenStream {
    quote! {
        #[allow(
            dead_code, non_camel_case_types, private_bounds, private_interfaces, unreachable_code, unreachable_pub,
            unused_imports, unused_variables, clippy::all, clippy::pedantic
        )]
    }
}
