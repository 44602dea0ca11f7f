//! Reads steps: what is understood, and every error. After an error it goes on at the next `;`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Token, braced, parenthesized, token};

use super::ast::{Argument, Ast, Step};
use crate::diag::Diagnostics;
use crate::flow::{self, Target};

/// The steps, if at least the process is known.
pub(crate) fn steps(tokens: TokenStream, errors: &mut Diagnostics) -> Option<Ast> {
    let parser = |input: ParseStream| {
        let target = Target::parse(input)?;
        if !input.peek(token::Brace) {
            return Err(input.error("expected the steps: `{ … }`"));
        }
        let content;
        let brace = braced!(content in input);
        let mut steps = Vec::new();
        while !content.is_empty() {
            if content.parse::<Option<Token![;]>>()?.is_some() {
                continue;
            }
            match step(&content, errors) {
                Ok(step) => steps.push(step),
                Err(error) => {
                    errors.push(error);
                    resynchronize(&content)?;
                }
            }
        }
        if !input.is_empty() {
            errors.push(input.error("nothing follows the braces of `steps!`"));
            input.parse::<TokenStream>()?;
        }
        Ok(Ast { target, steps, braces: brace.span.join() })
    };
    let read = parser.parse2(tokens);
    errors.ok(read)
}

fn resynchronize(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![;]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

fn step(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Step> {
    let docs = input.call(Attribute::parse_outer)?;
    for attribute in docs.iter().filter(|attribute| !attribute.path().is_ident("doc")) {
        errors.error(attribute, "only doc comments stand before a step");
    }
    let docs = docs.into_iter().filter(|attribute| attribute.path().is_ident("doc")).collect();
    control_flow(input)?;
    let mut name = flow::name(input, "a step, as in `after(count: u32);`")?;
    let blocking = name == "blocking" && input.peek(syn::Ident::peek_any);
    if blocking {
        name = flow::name(input, "the name of a blocking step")?;
    }
    let arguments = if input.peek(token::Paren) { arguments(input, errors)? } else { Vec::new() };
    if !input.is_empty() && input.parse::<Option<Token![;]>>()?.is_none() {
        let error = input.error(format!("expected `;` after `{name}`"));
        if !input.peek(syn::Ident::peek_any) && !input.peek(Token![#]) {
            return Err(error);
        }
        errors.push(error);
    }
    Ok(Step { docs, blocking, name, arguments })
}

/// The words of `outline!` are no steps.
fn control_flow(input: ParseStream) -> syn::Result<()> {
    let word = input.fork().call(Ident::parse_any).map(|word| word.to_string()).unwrap_or_default();
    if matches!(word.as_str(), "if" | "if_" | "elif_" | "else" | "else_" | "while" | "while_" | "return" | "return_") {
        let message =
            format!("`steps!` has no `{word}`; it lists steps with their arguments, `outline!` has control flow");
        return Err(input.error(message));
    }
    Ok(())
}

/// `(name: Type, …)`. An argument that is not understood is left out.
fn arguments(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Vec<Argument>> {
    let content;
    parenthesized!(content in input);
    let mut arguments = Vec::new();
    while !content.is_empty() {
        match argument(&content) {
            Ok(argument) => arguments.push(argument),
            Err(error) => {
                errors.push(error);
                while !content.is_empty() && !content.peek(Token![,]) {
                    content.parse::<TokenTree>()?;
                }
            }
        }
        if !content.is_empty() && content.parse::<Option<Token![,]>>()?.is_none() {
            errors.push(content.error("expected `,` between two arguments"));
            content.parse::<TokenStream>()?;
        }
    }
    Ok(arguments)
}

fn argument(input: ParseStream) -> syn::Result<Argument> {
    if input.peek(Token![self]) || input.peek(Token![&]) {
        let message = "`steps!` lists the arguments after `&mut self` and `cx` only";
        return Err(input.error(message));
    }
    let name = flow::name(input, "an argument, as in `count: u32`")?;
    if !input.peek(Token![:]) {
        return Err(syn::Error::new(name.span(), format!("argument `{name}` has no type; write `{name}: Type`")));
    }
    input.parse::<Token![:]>()?;
    let wrong = |error: syn::Error| syn::Error::new(error.span(), format!("expected the type of argument `{name}`"));
    let ty = input.parse().map_err(wrong)?;
    Ok(Argument { name, ty })
}
