//! The head of `outline!` and `steps!`: `<T: Bound> Name<T> where …`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::parse::ParseStream;
use syn::{AngleBracketedGenericArguments, Generics, Token};

use crate::tokens::plain;

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
