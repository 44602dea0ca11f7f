//! Going on after a mistake: skips to where the next thing starts, carries Rust expressions as they are.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, LitInt, Token, token};

/// Skips what is left of an item: through the next `;` or braces, or up to a word that starts an item.
pub(crate) fn skip_item(input: ParseStream<'_>, starts: &[&str]) {
    while !input.is_empty() && !starts_with(input, starts) {
        let ends = input.peek(Token![;]) || input.peek(token::Brace);
        if input.parse::<TokenTree>().is_err() || ends {
            return;
        }
    }
}

/// Skips everything that is left.
pub(crate) fn skip_rest(input: ParseStream<'_>) {
    while input.parse::<TokenTree>().is_ok() {}
}

/// Whether the next token is one of these words.
pub(crate) fn starts_with(input: ParseStream<'_>, words: &[&str]) -> bool {
    let fork = input.fork();
    Ident::parse_any(&fork).is_ok_and(|word| words.iter().any(|known| word == known))
}

/// Whether an item follows: one of these words, with a name or number behind it, and maybe comments before. No
/// expression goes on like this.
pub(crate) fn starts_item(input: ParseStream<'_>, starts: &[&str]) -> bool {
    let fork = input.fork();
    fork.call(Attribute::parse_outer).is_ok()
        && starts_with(&fork, starts)
        && fork.parse::<TokenTree>().is_ok()
        // `in` is a word of Rust: `stream in name`.
        && (fork.peek(syn::Ident) || fork.peek(LitInt) || fork.peek(Token![in]))
}

/// The tokens of an expression: up to `;`, to a `,` that leads to one of these words and parentheses, or to an item
/// that starts with one of `starts`: the `;` is missing then.
pub(crate) fn raw_expression(input: ParseStream<'_>, words: &[&str], starts: &[&str]) -> TokenStream {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![;]) && !starts_item(input, starts) {
        if input.peek(Token![,]) {
            let fork = input.fork();
            let leads = fork.parse::<Token![,]>().is_ok()
                && (fork.is_empty() || fork.peek(Token![;]) || starts_with(&fork, words));
            if leads {
                break;
            }
        }
        match input.parse::<TokenTree>() {
            Ok(token) => tokens.extend([token]),
            Err(_) => break,
        }
    }
    tokens
}

/// Parses a copy of the tokens, so that a mistake in them is reported where it is; the tokens themselves are used.
pub(crate) fn check_expression(tokens: &TokenStream) -> syn::Result<()> {
    let parsed = syn::parse2::<Expr>(tokens.clone()).map(drop);
    parsed.map_err(|error| match tokens.clone().into_iter().last() {
        // syn knows no place for the end of tokens and takes the whole macro call.
        Some(last) if error.to_string().starts_with("unexpected end of input") => {
            syn::Error::new(last.span(), "expected more of an expression after this")
        }
        _ => error,
    })
}
