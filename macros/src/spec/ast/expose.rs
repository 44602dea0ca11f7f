//! The grammar of `expose`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Token, braced, token};

use super::{Docs, Dotted, Expose, Rule, end_of_item, parse_dotted};
use crate::diag::{Diagnostics, did_you_mean};
use crate::recover::skip_item;

const EXPOSE_OPTIONS: [&str; 4] = ["exclude", "include", "optional", "help"];

/// What stands after `expose`.
pub(super) fn parse_expose(input: ParseStream<'_>, docs: Docs, diagnostics: &mut Diagnostics) -> syn::Result<Expose> {
    let form = "`expose inputs of Process as namespace;`";
    let direction = input.call(Ident::parse_any)?;
    let near = did_you_mean(&direction.to_string(), ["inputs", "outputs"]);
    let outputs = direction == "outputs" || near.contains("`outputs`");
    if direction != "inputs" && direction != "outputs" {
        let error = syn::Error::new(
            direction.span(),
            format!("expected `inputs` or `outputs`, found `{direction}`{near}: {form}"),
        );
        if near.is_empty() {
            return Err(error);
        }
        diagnostics.push(error);
    }
    let of = input.call(Ident::parse_any).map_err(|error| syn::Error::new(error.span(), format!("expected {form}")))?;
    if of != "of" {
        return Err(syn::Error::new(of.span(), format!("expected `of`, found `{of}`: {form}")));
    }
    let path = input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), format!("expected {form}")))?;
    let namespace = match input.parse::<Option<Token![as]>>()? {
        Some(_) => parse_dotted(input, diagnostics)?,
        None => Vec::new(),
    };
    let mut expose = Expose { docs, outputs, path, namespace, rules: Vec::new(), optional: None, help: None };
    if input.peek(token::Brace) {
        let body;
        braced!(body in input);
        while !body.is_empty() {
            if body.parse::<Option<Token![;]>>()?.is_some() {
                continue;
            }
            if let Err(error) = parse_expose_option(&body, &mut expose, diagnostics) {
                diagnostics.push(error);
                skip_item(&body, &[]);
            }
        }
        input.parse::<Option<Token![;]>>()?;
    } else {
        end_of_item(input, diagnostics)?;
    }
    Ok(expose)
}

fn parse_expose_option(input: ParseStream<'_>, expose: &mut Expose, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    let mut keyword = input.call(Ident::parse_any)?;
    let near = did_you_mean(&keyword.to_string(), EXPOSE_OPTIONS);
    if !EXPOSE_OPTIONS.iter().any(|option| keyword == option) {
        let known = "expected `exclude: …`, `include: …`, `optional` or `help: \"…\"`";
        let error = syn::Error::new(keyword.span(), format!("{known}, found `{keyword}`{near}"));
        // Reads on as what was meant, so that a slip of a letter is the only error.
        let Some(meant) = EXPOSE_OPTIONS.iter().find(|option| near.contains(&format!("`{option}`"))) else {
            return Err(error);
        };
        diagnostics.push(error);
        keyword = Ident::new(meant, keyword.span());
    }
    match keyword.to_string().as_str() {
        "include" | "exclude" => {
            colon(input, &format!("`{keyword}: port, namespace.port`"))?;
            let rule = parse_rule(input, keyword, diagnostics)?;
            expose.rules.push(rule);
        }
        "optional" => expose.optional = Some(keyword),
        _ => {
            colon(input, "`help: \"…\"`")?;
            let text = input.parse();
            expose.help = Some(text.map_err(|error| syn::Error::new(error.span(), "expected `help: \"…\"`"))?);
        }
    }
    end_of_item(input, diagnostics)
}

fn colon(input: ParseStream<'_>, form: &str) -> syn::Result<()> {
    let colon = input.parse::<Token![:]>().map(drop);
    colon.map_err(|error| syn::Error::new(error.span(), format!("expected {form}")))
}

/// `name, namespace.name`; a comma may follow.
fn parse_rule(input: ParseStream<'_>, keyword: Ident, diagnostics: &mut Diagnostics) -> syn::Result<Rule> {
    let mut rule = Rule { keyword, names: Vec::new(), unfinished: None };
    while rule.names.is_empty() || !(input.is_empty() || input.peek(Token![;])) {
        let mut parts = Vec::new();
        loop {
            if !input.peek(syn::Ident::peek_any) {
                diagnostics.error_at(input.span(), format!("expected the name of a port to {}", rule.keyword));
                rule.unfinished = Some(Dotted(parts));
                return Ok(rule);
            }
            parts.push(input.call(Ident::parse_any)?);
            if input.parse::<Option<Token![.]>>()?.is_none() {
                break;
            }
        }
        rule.names.push(Dotted(parts));
        if input.parse::<Option<Token![,]>>()?.is_none() {
            break;
        }
    }
    Ok(rule)
}
