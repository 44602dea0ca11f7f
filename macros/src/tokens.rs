//! The facade's path, names and spans.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;

/// Takes the `[$crate]` in front of the tokens of `spec!`, `outline!` and `steps!`.
pub(crate) fn split_facade(input: TokenStream) -> (TokenStream, TokenStream) {
    let mut tokens = input.into_iter();
    match tokens.next() {
        Some(TokenTree::Group(facade)) => (facade.stream(), tokens.collect()),
        other => (quote::quote!(::procession), other.into_iter().chain(tokens).collect()),
    }
}

/// The name as it is stored: without `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// `run_scf` as `RunScf`, at the place where the macro is called: derived names carry no user span.
pub(crate) fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
        })
        .collect()
}

/// The place of a token for carets, with the macro call's hygiene: used on callee paths, so that rustc underlines the
/// user's token and an editor finds one definition only.
pub(crate) fn located(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

/// FNV-1a of the dotted plain name of a port, under which its type is found.
pub(crate) fn port_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
