//! Reads an outline: what is understood, and every error. After an error it goes on at the next `;` or block.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Token, braced, parenthesized, token};

use super::ast::{Ast, Block, Branch, Node, Output, Return, Step};
use crate::diag::Diagnostics;
use crate::flow::{self, Target, UNKNOWN, name};

/// The outline, if at least the process is known.
pub(crate) fn outline(tokens: TokenStream, errors: &mut Diagnostics) -> Option<Ast> {
    let parser = |input: ParseStream| {
        let target = Target::parse(input)?;
        let body = block(input, errors)?;
        if !input.is_empty() {
            errors.push(input.error("nothing follows the braces of an outline"));
            skip_all(input)?;
        }
        Ok(Ast { target, body })
    };
    let read = parser.parse2(tokens);
    errors.ok(read)
}

fn skip_all(input: ParseStream) -> syn::Result<()> {
    input.parse::<TokenStream>().map(drop)
}

fn block(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Block> {
    if !input.peek(token::Brace) {
        return Err(input.error("expected a block: `{ … }`"));
    }
    let content;
    let brace = braced!(content in input);
    let nodes = nodes(&content, errors)?;
    Ok(Block { nodes, whole: brace.span.join(), close: brace.span.close() })
}

fn nodes(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    while !input.is_empty() {
        if input.parse::<Option<Token![;]>>()?.is_some() {
            continue;
        }
        match node(input, &mut nodes, errors) {
            Ok(()) => {}
            Err(error) => {
                errors.push(error);
                resynchronize(input)?;
            }
        }
    }
    Ok(nodes)
}

/// Skips what is left of an instruction.
fn resynchronize(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() {
        match input.parse::<TokenTree>()? {
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => break,
            _ => {}
        }
    }
    Ok(())
}

/// The words that begin an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    If,
    Elif,
    Else,
    While,
    Return,
    Step,
}

/// The word an identifier stands for. A keyword of Rust is taken for the word that is meant, with an error.
fn word(ident: &Ident, calls: bool, errors: &mut Diagnostics) -> syn::Result<Word> {
    let text = ident.to_string();
    let (word, meant) = match text.as_str() {
        "if_" | "if" => (Word::If, "if_(predicate) { … }"),
        "while_" | "while" => (Word::While, "while_(predicate) { … }"),
        "else_" | "else" => (Word::Else, "else_ { … }"),
        "return_" | "return" => (Word::Return, "return_"),
        "elif_" => (Word::Elif, ""),
        // `elif` is no keyword: it may be the name of a step.
        "elif" if calls => (Word::Elif, "elif_(predicate) { … }"),
        "async" | "await" | "break" | "continue" | "fn" | "for" | "let" | "loop" | "match" => {
            let message = format!(
                "an outline has no `{text}`: it consists of steps, `if_`, `elif_`, `else_`, `while_` and `return_`"
            );
            return Err(syn::Error::new(ident.span(), message));
        }
        _ => return Ok(Word::Step),
    };
    if !text.ends_with('_') {
        errors.error(ident, format!("`{text}` in an outline is written with an underscore: `{meant}`"));
    }
    Ok(word)
}

fn node(input: ParseStream, nodes: &mut Vec<Node>, errors: &mut Diagnostics) -> syn::Result<()> {
    let docs = documentation(input, errors)?;
    let start = input.fork();
    let ident = start
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), "expected a step, `if_`, `while_` or `return_`"))?;
    let kind = word(&ident, start.peek(token::Paren), errors)?;
    if kind == Word::Step {
        nodes.push(Node::Step(step(input, docs, errors)?));
        return Ok(());
    }
    input.call(Ident::parse_any)?;
    if let Some(first) = docs.first() {
        errors.error(first, "only steps are documented in an outline");
    }
    match kind {
        Word::While => nodes.push(Node::While(branch(input, ident, errors)?)),
        Word::Return => nodes.push(Node::Return(end(input, ident, errors)?)),
        Word::If => {
            let word = ident.clone();
            let branches = vec![branch(input, ident, errors)?];
            nodes.push(Node::If { branches, otherwise: None, word });
        }
        Word::Elif => elif(input, ident, nodes, errors)?,
        Word::Else => otherwise(input, &ident, nodes, errors)?,
        Word::Step => {}
    }
    Ok(())
}

/// `elif_(predicate) { … }` belongs to the `if_` right before it.
fn elif(input: ParseStream, ident: Ident, nodes: &mut Vec<Node>, errors: &mut Diagnostics) -> syn::Result<()> {
    let word = ident.clone();
    let branch = branch(input, ident, errors)?;
    match nodes.last_mut() {
        Some(Node::If { branches, otherwise: None, .. }) => branches.push(branch),
        Some(Node::If { .. }) => errors.error(&word, "`elif_` cannot follow `else_`; write it before"),
        _ => {
            errors.error(&word, "`elif_` must follow the block of `if_` or `elif_`");
            nodes.push(Node::If { branches: vec![branch], otherwise: None, word });
        }
    }
    Ok(())
}

/// `else_ { … }` belongs to the `if_` right before it.
fn otherwise(input: ParseStream, ident: &Ident, nodes: &mut [Node], errors: &mut Diagnostics) -> syn::Result<()> {
    let next = input.fork().call(Ident::parse_any).ok();
    if let Some(second) = next.filter(|next| next == "if_" || next == "if") {
        errors.error(ident, "write `else_ if_(predicate)` as `elif_(predicate) { … }`");
        input.call(Ident::parse_any)?;
        let branch = branch(input, second, errors)?;
        if let Some(Node::If { branches, .. }) = nodes.last_mut() {
            branches.push(branch);
        }
        return Ok(());
    }
    if input.peek(token::Paren) {
        let condition: Group = input.parse()?;
        errors.error(&condition, "`else_` has no predicate; write `elif_(predicate) { … }` for another branch");
    }
    let body = block(input, errors)?;
    match nodes.last_mut() {
        Some(Node::If { otherwise: otherwise @ None, .. }) => *otherwise = Some(body),
        Some(Node::If { .. }) => errors.error(ident, "this `if_` has an `else_` already"),
        _ => errors.error(ident, "`else_` must follow the block of `if_` or `elif_`"),
    }
    Ok(())
}

/// `(predicate) { … }`.
fn branch(input: ParseStream, word: Ident, errors: &mut Diagnostics) -> syn::Result<Branch> {
    let predicate = predicate(input, &word, errors)?;
    let body = block(input, errors)?;
    Ok(Branch { word, predicate, body })
}

/// In place of a name that is missing.
fn unknown() -> Ident {
    Ident::new(UNKNOWN, Span::call_site())
}

fn predicate(input: ParseStream, word: &Ident, errors: &mut Diagnostics) -> syn::Result<Ident> {
    let form = format!("{}_(predicate) {{ … }}", word.to_string().trim_end_matches('_'));
    if !input.peek(token::Paren) {
        // The word without underscore is reported already, together with the form.
        if word.to_string().ends_with('_') {
            errors.push(input.error(format!("write the predicate in parentheses: `{form}`")));
        }
        while !input.is_empty() && !input.peek(token::Brace) {
            input.parse::<TokenTree>()?;
        }
        return Ok(unknown());
    }
    let content;
    let parentheses = parenthesized!(content in input);
    let all: TokenStream = content.fork().parse()?;
    let keyword = content.peek(syn::Ident::peek_any) && !content.peek2(Token![.]);
    let predicate = name(&content, "the name of a predicate");
    if all.is_empty() {
        errors.error_at(parentheses.span.join(), format!("expected the name of a predicate: `{form}`"));
    } else if let (Err(error), true) = (&predicate, keyword) {
        errors.push(error.clone());
        skip_all(&content)?;
    } else if predicate.is_err() || !content.is_empty() {
        errors.error(
            all,
            "a predicate is the name of a method, `fn name(&self, cx: &Cx<Self>) -> bool`; write what is tested there",
        );
        skip_all(&content)?;
    }
    Ok(predicate.unwrap_or_else(|_| unknown()))
}

/// `return_`, `return_(Exit)`.
fn end(input: ParseStream, word: Ident, errors: &mut Diagnostics) -> syn::Result<Return> {
    let mut exit = None;
    if input.peek(token::Paren) {
        let content;
        let parentheses = parenthesized!(content in input);
        let form = "expected the name of an exit code, as in `return_(NotConverged)`; `return_` alone ends normally";
        match name(&content, "the name of an exit code") {
            Ok(name) if content.is_empty() => exit = Some(name),
            _ => {
                errors.error_at(parentheses.span.join(), form);
                exit = Some(unknown());
                skip_all(&content)?;
            }
        }
    }
    semicolon(input, &word, errors)?;
    Ok(Return { word, exit })
}

fn step(input: ParseStream, docs: Vec<Attribute>, errors: &mut Diagnostics) -> syn::Result<Step> {
    let mut name = flow::name(input, "a step, `if_`, `while_` or `return_`")?;
    let blocking = name == "blocking" && input.peek(syn::Ident::peek_any) && !input.peek(Token![as]);
    if blocking {
        name = flow::name(input, "the name of a blocking step")?;
    }
    if input.peek(token::Paren) {
        let arguments: Group = input.parse()?;
        errors.error(
            arguments,
            format!("step `{name}` takes no arguments in an outline; it reads them from the context"),
        );
    }
    let mut label = None;
    if input.parse::<Option<Token![as]>>()?.is_some() {
        let text: LitStr = input.parse().map_err(|error| {
            syn::Error::new(error.span(), format!("expected the stored name as text: `{name} as \"…\"`"))
        })?;
        label = Some(text);
    }
    let outputs = if input.peek(Token![=>]) { outputs(input, errors)? } else { Vec::new() };
    semicolon(input, &name, errors)?;
    Ok(Step { docs, blocking, name, label, outputs })
}

/// `=> name, namespace.name, namespace from field`.
fn outputs(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Vec<Output>> {
    let arrow: Token![=>] = input.parse()?;
    let mut outputs = Vec::new();
    while input.peek(syn::Ident::peek_any) {
        let path = path(input)?;
        let from = input.fork().call(Ident::parse_any).is_ok_and(|word| word == "from");
        let from = if from {
            input.call(Ident::parse_any)?;
            Some(field(input, errors)?)
        } else {
            None
        };
        outputs.push(Output { path, from });
        if input.parse::<Option<Token![,]>>()?.is_none() {
            break;
        }
    }
    if outputs.is_empty() {
        errors.error(arrow, "expected the name of an output after `=>`");
        outputs.push(Output { path: Vec::new(), from: None });
    }
    Ok(outputs)
}

fn path(input: ParseStream) -> syn::Result<Vec<Ident>> {
    let path = Punctuated::<Ident, Token![.]>::parse_separated_nonempty_with(input, Ident::parse_any)?;
    Ok(path.into_iter().collect())
}

/// The field that holds a child; `self.` before it is a mistake that is easily made.
fn field(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Vec<Ident>> {
    if !input.peek(syn::Ident::peek_any) {
        errors.push(input.error("expected the name of the field that holds the child, as in `last from scf`"));
        return Ok(Vec::new());
    }
    let mut field = path(input)?;
    if field.first().is_some_and(|first| first == "self") {
        let first = field.remove(0);
        errors.error(first, "the field is named without `self.`, as in `last from scf`");
    }
    Ok(field)
}

/// Between two instructions; after the last one it may be left out.
fn semicolon(input: ParseStream, after: &Ident, errors: &mut Diagnostics) -> syn::Result<()> {
    if input.is_empty() || input.parse::<Option<Token![;]>>()?.is_some() {
        return Ok(());
    }
    let error = input.error(format!("expected `;` after `{after}`"));
    if input.peek(syn::Ident::peek_any) || input.peek(Token![#]) {
        errors.push(error);
        return Ok(());
    }
    Err(error)
}

/// Doc comments; other attributes have no meaning here.
fn documentation(input: ParseStream, errors: &mut Diagnostics) -> syn::Result<Vec<Attribute>> {
    let mut attributes = input.call(Attribute::parse_outer)?;
    attributes.retain(|attribute| {
        let is_doc = attribute.path().is_ident("doc");
        if !is_doc {
            errors.error(attribute, "only doc comments stand before a step");
        }
        is_doc
    });
    Ok(attributes)
}
