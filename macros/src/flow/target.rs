//! The head of `outline!` and `steps!`: `<T: Bound> Name<T> where …`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::{AngleBracketedGenericArguments, Generics, Token};

use super::private_at;
use crate::tokens::{located, plain};

/// The process that the macro speaks about.
pub(crate) struct Target {
    pub(crate) generics: Generics,
    pub(crate) name: Ident,
    arguments: Option<AngleBracketedGenericArguments>,
}

impl Target {
    /// Reads up to the brace.
    pub(crate) fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut generics: Generics = input.parse()?;
        let name: Ident = input
            .parse()
            .map_err(|error| syn::Error::new(error.span(), "expected the name of the process, as in `Relax { … }`"))?;
        let arguments = if input.peek(Token![<]) { Some(input.parse()?) } else { None };
        generics.where_clause = input.parse()?;
        Ok(Self { generics, name, arguments })
    }

    /// The process as a type.
    pub(crate) fn self_type(&self) -> TokenStream {
        let (name, arguments) = (&self.name, &self.arguments);
        quote!(#name #arguments)
    }

    /// An assertion that the struct is a process, with the caret on its name.
    pub(crate) fn assertion(&self) -> TokenStream {
        let span = located(self.name.span());
        let (impls, _, clause) = self.generics.split_for_impl();
        let (process, private) = (self.self_type(), private_at(span));
        let check = quote_spanned!(span=> #private::is_process::<#process>());
        quote!(const _: () = { fn check #impls () #clause { #check } };)
    }

    /// The `where` clause of the user, and bounds of the process: what it must be is taken for granted there, so that
    /// each step does not report once more what `#[process]` reports of the struct.
    ///
    /// The lifetime says nothing. Without it the compiler would report the clause itself. A generic process is granted
    /// nothing: what is granted hides the types that its implementations give.
    pub(crate) fn granted(&self, bounds: &TokenStream) -> TokenStream {
        let (process, clause) = (self.self_type(), self.generics.where_clause.as_ref());
        let predicates = clause.map(|clause| &clause.predicates).into_iter().flatten();
        let granted = self.generics.params.is_empty().then(|| quote!(for<'__any> #process: #bounds));
        quote!(where #(#predicates,)* #granted)
    }

    /// The name without `r#`.
    pub(crate) fn plain(&self) -> String {
        plain(&self.name)
    }

    /// `RelaxPoint` and the like.
    pub(crate) fn derived(&self, suffix: &str) -> Ident {
        format_ident!("{}{suffix}", self.plain(), span = proc_macro2::Span::call_site())
    }

    /// A hidden item of `spec!` beside the process.
    pub(crate) fn hidden(&self, prefix: &str) -> Ident {
        format_ident!("{prefix}{}", self.plain(), span = proc_macro2::Span::call_site())
    }
}
