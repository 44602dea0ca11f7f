//! The ports of a process as tokens: what its companion macro hands to the `spec!` of another.
//!
//! ```text
//! { inputs { structure [port required value "Structure" "" "The start."] options [namespace …] { … } } outputs { … } }
//! ```
//!
//! A namespace that supplies the inputs of a process says which of the required ones: `scf [namespace …] (set unset) { … }`.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{LitStr, braced, bracketed, token};

use super::ast::Docs;
use super::model::{Kind, Model, Namespace, Node, Port, Presence, Value, join};
use super::supplied::Supplied;

/// The ports of a process that is exposed.
pub(crate) struct Listing {
    pub(crate) inputs: Vec<Node>,
    pub(crate) outputs: Vec<Node>,
}

/// Writes the ports of a process.
pub(crate) fn list(model: &Model) -> TokenStream {
    let (inputs, outputs) = (model.inputs.nodes.iter().map(write), model.outputs.nodes.iter().map(write));
    quote!(inputs { #(#inputs)* } outputs { #(#outputs)* })
}

fn write(node: &Node) -> TokenStream {
    let (name, help) = (&node.name, &node.help);
    match &node.kind {
        Kind::Port(port) => {
            let (text, default) = (&port.value.text, &port.default_text);
            let presence = match port.presence {
                Presence::Required => quote!(required),
                Presence::Optional => quote!(optional),
                Presence::Defaulted => quote!(defaulted),
            };
            let setter = if port.is_string { quote!(text) } else { quote!(value) };
            quote!(#name [port #presence #setter #text #default #help])
        }
        Kind::Dynamic(value) => {
            let text = &value.text;
            quote!(#name [dynamic optional value #text "" #help])
        }
        Kind::Rest(value) => {
            let text = &value.text;
            quote!(#name [rest optional value #text "" #help])
        }
        Kind::Namespace(namespace) => {
            let presence = if namespace.optional { quote!(optional) } else { quote!(required) };
            let nodes = namespace.nodes.iter().map(write);
            let supplies = &namespace.supplies;
            quote!(#name [namespace #presence value "" "" #help] #supplies { #(#nodes)* })
        }
    }
}

impl Parse for Listing {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut sides = [Vec::new(), Vec::new()];
        for side in &mut sides {
            input.call(Ident::parse_any)?;
            let body;
            braced!(body in input);
            *side = read_all(&body, "")?;
        }
        let [inputs, outputs] = sides;
        Ok(Self { inputs, outputs })
    }
}

fn read_all(input: ParseStream<'_>, parent: &str) -> syn::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    while !input.is_empty() {
        nodes.push(read(input, parent)?);
    }
    Ok(nodes)
}

fn read(input: ParseStream<'_>, parent: &str) -> syn::Result<Node> {
    let name = input.call(Ident::parse_any)?;
    let path = join(parent, &crate::tokens::plain(&name));
    let facts;
    bracketed!(facts in input);
    let word = || facts.call(Ident::parse_any).map(|word| word.to_string());
    let (kind, presence, setter) = (word()?, word()?, word()?);
    let text = || facts.parse::<LitStr>().map(|text| text.value());
    let (type_text, default_text, help) = (text()?, text()?, text()?);
    let presence = match presence.as_str() {
        "required" => Presence::Required,
        "defaulted" => Presence::Defaulted,
        _ => Presence::Optional,
    };
    // The type is named through the process, which is known to the reader only.
    let value = Value { ty: TokenStream::new(), text: type_text };
    let supplies = if input.peek(token::Paren) { Some(Supplied::read(&input.parse()?)) } else { None };
    let kind = if input.peek(token::Brace) {
        let body;
        braced!(body in input);
        let nodes = read_all(&body, &path)?;
        Kind::Namespace(Namespace {
            type_name: String::new(),
            optional: presence == Presence::Optional,
            nodes,
            dropped: Vec::new(),
            checks: Vec::new(),
            supplies,
        })
    } else if kind == "dynamic" {
        Kind::Dynamic(value)
    } else if kind == "rest" {
        Kind::Rest(value)
    } else {
        Kind::Port(Port { value, presence, is_string: setter == "text", default: None, default_text, stream: None })
    };
    Ok(Node { name, path, docs: Docs::default(), help, exposed: None, kind, checks: Vec::new() })
}

/// Tokens as a person would write them, for texts.
pub(crate) fn type_text(tokens: &TokenStream) -> String {
    let mut text = String::new();
    write_text(tokens.to_token_stream(), &mut text);
    text
}

fn write_text(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => (" { ", " }"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_text(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ',' => text.push_str(", "),
                '+' | '=' | '-' | '|' if punct.spacing() == proc_macro2::Spacing::Alone => {
                    text.push(' ');
                    text.push(punct.as_char());
                    text.push(' ');
                }
                other => text.push(other),
            },
            word => {
                let word = word.to_string();
                let touches = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
                if text.chars().last().is_some_and(touches) && word.starts_with(touches) {
                    text.push(' ');
                }
                text.push_str(&word);
            }
        }
    }
}
