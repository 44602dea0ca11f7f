//! `stream in texts: T;` and `stream out lines: T;`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Token, token};

use super::{Docs, Entry, EntryKind, RESUME, end_of_item, parse_name};
use crate::diag::{Diagnostics, nearest};
use crate::recover::{raw_expression, skip_item, starts_with};

/// The words that say which way items go.
const WAYS: [&str; 2] = ["in", "out"];

/// What follows the word `stream`.
pub(super) fn parse_stream(input: ParseStream<'_>, docs: Docs, diagnostics: &mut Diagnostics) -> syn::Result<Entry> {
    let form = "`stream in name: type;` or `stream out name: type;`";
    let word = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), format!("expected `in` or `out` after `stream`: {form}")))?;
    let written = word.to_string();
    let way = if WAYS.contains(&written.as_str()) {
        written
    } else {
        let near = nearest(&written, WAYS);
        let help = near.map_or_else(|| format!(": {form}"), |near| format!("; did you mean `{near}`?"));
        diagnostics.error(&word, format!("expected `in` or `out` after `stream`, found `{written}`{help}"));
        // Which way it was meant is told by the word where it is near; otherwise the port is one all the same.
        if input.peek(Token![:]) {
            // The way is missing, and this is the name.
            return parse_port(input, docs, word, "in", diagnostics);
        }
        near.unwrap_or("in").to_owned()
    };
    let name = parse_name(input, diagnostics)?;
    parse_port(input, docs, name, &way, diagnostics)
}

/// What follows the name.
fn parse_port(
    input: ParseStream<'_>,
    docs: Docs,
    name: Ident,
    way: &str,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Entry> {
    if input.peek(Token![.]) {
        let error = syn::Error::new(input.span(), "a stream stands at the top level: its name has no dots");
        skip_item(input, &RESUME);
        return Err(error);
    }
    if input.peek(token::Brace) {
        return Err(syn::Error::new(
            input.span(),
            format!("a stream has one type, and no ports in it: `{name}: type`"),
        ));
    }
    if !input.peek(Token![:]) || input.peek(Token![::]) {
        return Err(syn::Error::new(input.span(), format!("expected `: type` after `{name}`")));
    }
    input.parse::<Token![:]>()?;
    for word in ["optional", "dynamic"] {
        if starts_with(input, &[word]) && input.peek2(Token![<]) {
            let message = format!("a stream is always wired: write the type of its items, without `{word}`");
            return Err(syn::Error::new(input.span(), message));
        }
    }
    let wrong =
        |error: syn::Error| syn::Error::new(error.span(), format!("expected the type of the items of `{name}`"));
    let ty = input.parse().map_err(wrong)?;
    if let Some(equals) = input.parse::<Option<Token![=]>>()? {
        diagnostics.error(equals, "a stream has no default: a launch wires it");
        raw_expression(input, &["check"], &RESUME);
    }
    if input.peek(Token![,]) {
        diagnostics.error_at(input.span(), "a stream has no validators: steps look at its items");
        while input.parse::<Option<Token![,]>>()?.is_some() {
            raw_expression(input, &["check"], &RESUME);
        }
    }
    end_of_item(input, diagnostics)?;
    let kind = EntryKind::Stream { ty, out: way == "out" };
    Ok(Entry { docs, name, kind, checks: Vec::new(), written: Vec::new() })
}
