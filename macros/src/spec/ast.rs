//! The grammar of `spec!`. Knows only syntax; goes on after a mistake.
//!
//! ```text
//! spec    = ["#![no_implicit_prelude]"] docs [generics] Name [arguments] [where] "{" item* "}"
//! item    = docs ("input" port | "output" port | stream | "expose" expose | "exit" NUMBER Name "text" | check) [";"]
//! port    = dotted ":" ( type | "optional" "<" type ">" | "dynamic" "<" type ">" ) ["=" expression] ("," check)*
//!         | dotted [":" "optional"] "{" (docs (port | check) ";")* "}"
//!         | "dynamic" "<" type ">"
//! stream  = "stream" ("in" | "out") name ":" type
//! check   = "check" "(" predicate "," "text" ")" | "check" "(" function ")"
//! expose  = ("inputs" | "outputs") "of" Path ["as" dotted] ["{" option (";" option)* "}"]
//! dotted  = name ("." name)*
//! option  = ("include" | "exclude") ":" dotted ("," dotted)* | "optional" | "help" ":" "text"
//! ```

mod expose;
mod stream;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Expr, Generics, LitInt, LitStr, Path, Token, Type, WhereClause, braced, parenthesized, token};

use crate::diag::{Diagnostics, did_you_mean};
use crate::recover::{check_expression, raw_expression, skip_item, skip_rest, starts_item, starts_with};

/// The words that start an item.
const ITEMS: [&str; 6] = ["input", "output", "stream", "expose", "exit", "check"];
/// Those that can follow a mistake without a `;` between: `check` is a part of a port, too.
const RESUME: [&str; 5] = ["input", "output", "stream", "expose", "exit"];
/// The field of the values of a dynamic namespace that are not those of its ports.
pub(crate) const REST: &str = "rest";

/// What `spec!` was given.
pub(crate) struct Spec {
    /// `#![no_implicit_prelude]`, as in the module around: there are no tool attributes then.
    pub(crate) without_tools: bool,
    /// Comments above the process's name.
    pub(crate) docs: Docs,
    /// The parameters, with bounds and `where` clause.
    pub(crate) generics: Generics,
    /// The name of the process's type.
    pub(crate) process: Ident,
    /// Its arguments, `<T>`, or nothing.
    pub(crate) arguments: TokenStream,
    /// Inputs, outputs and exposures in the order of the source.
    pub(crate) items: Vec<Item>,
    /// Exit codes.
    pub(crate) exits: Vec<Exit>,
    /// Validators of all inputs.
    pub(crate) checks: Vec<Check>,
    /// The same as they were written.
    pub(crate) written: Vec<Written>,
}

/// Something with ports.
pub(crate) enum Item {
    Input(Entry),
    Output(Entry),
    Stream(Entry),
    Expose(Expose),
}

/// Comments of the user, as attributes.
#[derive(Clone, Default)]
pub(crate) struct Docs(pub(crate) Vec<Attribute>);

/// A port or a namespace.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) docs: Docs,
    pub(crate) name: Ident,
    pub(crate) kind: EntryKind,
    pub(crate) checks: Vec<Check>,
    pub(crate) written: Vec<Written>,
}

/// A Rust expression as it was written, broken or not: an editor completes in it.
#[derive(Clone)]
pub(crate) enum Written {
    Default(TokenStream),
    Check(TokenStream),
}

#[derive(Clone)]
pub(crate) enum EntryKind {
    Port {
        ty: Type,
        optional: Option<Ident>,
        default: Option<TokenStream>,
    },
    Dynamic {
        ty: Type,
    },
    /// `stream in texts: T;`: an input, whose value is a wire.
    Stream {
        ty: Type,
        out: bool,
    },
    /// `dynamic<T>;`: the namespace around it takes other names, too.
    Rest {
        ty: Type,
    },
    Namespace {
        optional: bool,
        entries: Vec<Entry>,
    },
}

/// `check(function)` or `check(predicate, "message")`.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) function: TokenStream,
    pub(crate) message: Option<LitStr>,
}

/// `expose inputs of Scf as scf { … }`.
pub(crate) struct Expose {
    pub(crate) docs: Docs,
    pub(crate) outputs: bool,
    pub(crate) path: Path,
    /// The names behind `as`; none without.
    pub(crate) namespace: Vec<Ident>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) optional: Option<Ident>,
    pub(crate) help: Option<LitStr>,
}

/// `include: …` or `exclude: …`.
pub(crate) struct Rule {
    pub(crate) keyword: Ident,
    pub(crate) names: Vec<Dotted>,
    /// A name that ends too early, or is not there yet.
    pub(crate) unfinished: Option<Dotted>,
}

/// `options.walltime`.
pub(crate) struct Dotted(pub(crate) Vec<Ident>);

/// `exit 410 NotConverged "message";`.
pub(crate) struct Exit {
    pub(crate) docs: Docs,
    pub(crate) number: LitInt,
    pub(crate) name: Ident,
    pub(crate) message: LitStr,
}

impl Docs {
    /// The text without markers and common spaces.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.iter().filter_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) => match &pair.value {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        });
        lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

impl ToTokens for Docs {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.iter().for_each(|attribute| attribute.to_tokens(tokens));
    }
}

impl Dotted {
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(crate::tokens::plain).collect::<Vec<_>>().join(".")
    }
}

impl ToTokens for Dotted {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let names = &self.0;
        tokens.extend(quote!(#(#names).*));
    }
}

/// Parses all of it; nothing if not even the process is named.
pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Option<Spec> {
    let parser = |input: ParseStream<'_>| {
        let spec = parse_spec(input, diagnostics);
        if spec.is_err() {
            skip_rest(input);
        }
        Ok(spec)
    };
    let spec = parser.parse2(tokens).and_then(|spec| spec);
    diagnostics.ok(spec)
}

fn parse_spec(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Spec> {
    let without_tools = parse_without_tools(input, diagnostics)?;
    let docs = parse_docs(input, diagnostics);
    let mut generics: Generics = input.parse()?;
    for parameter in generics.type_params_mut() {
        parameter.default = None;
    }
    let process = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), "expected the name of the process: `spec! { Name { … } }`"))?;
    let arguments = if input.peek(Token![<]) {
        input.parse::<syn::AngleBracketedGenericArguments>()?.to_token_stream()
    } else {
        TokenStream::new()
    };
    if !arguments.is_empty() && generics.params.is_empty() {
        let message = format!("declare the parameters in front: `spec! {{ <T: …> {process}{} {{ … }} }}`", "<T>");
        diagnostics.error(&arguments, message);
    }
    if let Some(clause) = input.parse::<Option<WhereClause>>()? {
        generics.make_where_clause().predicates.extend(clause.predicates);
    }
    let mut spec = Spec {
        without_tools,
        docs,
        generics,
        process,
        arguments,
        items: Vec::new(),
        exits: Vec::new(),
        checks: Vec::new(),
        written: Vec::new(),
    };
    if !input.peek(token::Brace) {
        let message = format!("expected the ports in braces: `spec! {{ {} {{ … }} }}`", spec.process);
        return Err(syn::Error::new(input.span(), message));
    }
    let body;
    braced!(body in input);
    while !body.is_empty() {
        if body.peek(Token![;]) {
            body.parse::<Token![;]>()?;
            continue;
        }
        if let Err(error) = parse_item(&body, &mut spec, diagnostics) {
            diagnostics.push(error);
            skip_item(&body, &RESUME);
        }
    }
    if !input.is_empty() {
        diagnostics.error_at(input.span(), "nothing may follow the braces");
        skip_rest(input);
    }
    Ok(spec)
}

fn parse_without_tools(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<bool> {
    let mut without_tools = false;
    for attribute in input.call(Attribute::parse_inner)? {
        if attribute.path().is_ident("no_implicit_prelude") {
            without_tools = true;
        } else {
            diagnostics.error(attribute, "expected `#![no_implicit_prelude]` or no inner attribute");
        }
    }
    Ok(without_tools)
}

fn parse_docs(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Docs {
    let mut docs = Docs::default();
    while input.peek(Token![#]) {
        match input.call(Attribute::parse_outer) {
            Ok(attributes) => {
                for attribute in attributes {
                    if attribute.path().is_ident("doc") {
                        docs.0.push(attribute);
                    } else {
                        diagnostics.error(attribute, "only comments are allowed here: they are the help of the port");
                    }
                }
            }
            Err(error) => {
                diagnostics.push(error);
                let _ = input.parse::<TokenTree>();
            }
        }
    }
    docs
}

fn parse_item(input: ParseStream<'_>, spec: &mut Spec, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    let docs = parse_docs(input, diagnostics);
    let expected = "expected `input`, `output`, `stream`, `expose`, `exit` or `check`";
    if !input.peek(syn::Ident::peek_any) {
        let error = syn::Error::new(input.span(), expected);
        // At least one token goes, or the loop would not end.
        let _ = input.parse::<TokenTree>();
        return Err(error);
    }
    let keyword = Ident::parse_any(input)?;
    let written = keyword.to_string();
    let meant = if ITEMS.contains(&written.as_str()) {
        written
    } else {
        let near = did_you_mean(&written, ITEMS);
        diagnostics.error(&keyword, format!("{expected}, found `{written}`{near}"));
        // Reads on as what was meant, so that a slip of a letter is the only error.
        let Some(item) = ITEMS.iter().find(|item| near.contains(&format!("`{item}`"))) else {
            skip_item(input, &RESUME);
            return Ok(());
        };
        (*item).to_owned()
    };
    match meant.as_str() {
        "input" => spec.items.push(Item::Input(parse_entry(input, docs, diagnostics)?)),
        "output" => spec.items.push(Item::Output(parse_entry(input, docs, diagnostics)?)),
        "stream" => spec.items.push(Item::Stream(stream::parse_stream(input, docs, diagnostics)?)),
        "expose" => spec.items.push(Item::Expose(expose::parse_expose(input, docs, diagnostics)?)),
        "exit" => spec.exits.push(parse_exit(input, docs, diagnostics)?),
        _ => {
            spec.checks.extend(parse_check(input, &mut spec.written, diagnostics)?);
            end_of_item(input, diagnostics)?;
        }
    }
    Ok(())
}

/// A `;`, or the end. Where the next item follows at once, nothing but the `;` is missing, and this one is kept.
fn end_of_item(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    if input.is_empty() || input.parse::<Option<Token![;]>>()?.is_some() {
        return Ok(());
    }
    let error = syn::Error::new(input.span(), "expected `;`");
    if !starts_item(input, &RESUME) {
        return Err(error);
    }
    diagnostics.push(error);
    Ok(())
}

/// A name of a port; words of Rust are taken with `r#` only.
fn parse_name(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Ident> {
    let name = Ident::parse_any(input).map_err(|error| syn::Error::new(error.span(), "expected the name of a port"))?;
    if syn::parse2::<Ident>(name.to_token_stream()).is_ok() {
        return Ok(name);
    }
    if ["self", "Self", "super", "crate", "_"].iter().any(|word| name == word) {
        return Err(syn::Error::new(name.span(), format!("`{name}` cannot be the name of a port")));
    }
    diagnostics.error(&name, format!("`{name}` is a word of Rust: write `r#{name}`; the port's name is `{name}`"));
    Ok(Ident::new_raw(&name.to_string(), name.span()))
}

/// Names with dots between.
fn parse_dotted(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Vec<Ident>> {
    let mut names = vec![parse_name(input, diagnostics)?];
    while input.parse::<Option<Token![.]>>()?.is_some() {
        names.push(parse_name(input, diagnostics)?);
    }
    Ok(names)
}

fn parse_entry(input: ParseStream<'_>, docs: Docs, diagnostics: &mut Diagnostics) -> syn::Result<Entry> {
    if starts_with(input, &["dynamic"]) && input.peek2(Token![<]) {
        let name = Ident::new(REST, input.parse::<Ident>()?.span());
        let entry = Entry {
            docs,
            name,
            kind: EntryKind::Rest { ty: parse_in_angles(input)? },
            checks: Vec::new(),
            written: Vec::new(),
        };
        end_of_item(input, diagnostics)?;
        return Ok(entry);
    }
    let mut names = parse_dotted(input, diagnostics)?;
    let Some(name) = names.pop() else { return Err(input.error("expected the name of a port")) };
    let entry = parse_named(input, docs, name, diagnostics)?;
    // `a.b: T` is `a { b: T }`.
    let around = |inner: Entry, name: Ident| {
        let kind = EntryKind::Namespace { optional: false, entries: vec![inner] };
        Entry { docs: Docs::default(), name, kind, checks: Vec::new(), written: Vec::new() }
    };
    Ok(names.into_iter().rev().fold(entry, around))
}

/// What follows the name.
fn parse_named(input: ParseStream<'_>, docs: Docs, name: Ident, diagnostics: &mut Diagnostics) -> syn::Result<Entry> {
    if input.peek(token::Brace) {
        return parse_namespace(input, docs, name, false, diagnostics);
    }
    if !input.peek(Token![:]) || input.peek(Token![::]) {
        return Err(syn::Error::new(input.span(), format!("expected `: type` or `{{ ports }}` after `{name}`")));
    }
    input.parse::<Token![:]>()?;
    let word = input.fork().call(Ident::parse_any).ok();
    let optional = word.filter(|word| word == "optional" && !input.peek2(Token![::]));
    if optional.is_some() && input.peek2(token::Brace) {
        input.parse::<Ident>()?;
        return parse_namespace(input, docs, name, true, diagnostics);
    }
    let mut entry = if starts_with(input, &["dynamic"]) && input.peek2(Token![<]) {
        input.parse::<Ident>()?;
        Entry {
            docs,
            name,
            kind: EntryKind::Dynamic { ty: parse_in_angles(input)? },
            checks: Vec::new(),
            written: Vec::new(),
        }
    } else if optional.is_some() && input.peek2(Token![<]) {
        input.parse::<Ident>()?;
        let kind = EntryKind::Port { ty: parse_in_angles(input)?, optional, default: None };
        Entry { docs, name, kind, checks: Vec::new(), written: Vec::new() }
    } else {
        let wrong = |error: syn::Error| syn::Error::new(error.span(), format!("expected the type of `{name}`"));
        let kind = EntryKind::Port { ty: input.parse().map_err(wrong)?, optional: None, default: None };
        Entry { docs, name, kind, checks: Vec::new(), written: Vec::new() }
    };
    if !parse_default(input, &mut entry, diagnostics)? && starts_item(input, &RESUME) {
        // What the default lacks is reported; the `;` behind it is no more than a part of that.
        return Ok(entry);
    }
    while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() && !input.peek(Token![;]) {
        let word = input.call(Ident::parse_any)?;
        if word != "check" {
            let near = did_you_mean(&word.to_string(), ["check"]);
            return Err(syn::Error::new(word.span(), format!("expected `check(…)`, found `{word}`{near}")));
        }
        entry.checks.extend(parse_check(input, &mut entry.written, diagnostics)?);
    }
    end_of_item(input, diagnostics)?;
    Ok(entry)
}

/// `= expression`; whether there is nothing wrong with it.
fn parse_default(input: ParseStream<'_>, entry: &mut Entry, diagnostics: &mut Diagnostics) -> syn::Result<bool> {
    let Some(equals) = input.parse::<Option<Token![=]>>()? else { return Ok(true) };
    let mut tokens = raw_expression(input, &["check"], &RESUME);
    entry.written.push(Written::Default(tokens.clone()));
    if tokens.is_empty() {
        diagnostics.error(equals, "expected a default value after `=`");
    } else if let Err(error) = check_expression(&tokens) {
        diagnostics.push(error);
        tokens = TokenStream::new();
    }
    let sound = !tokens.is_empty();
    if !sound {
        // Of any type and never run: the port keeps its default, so that nothing else is reported.
        tokens = quote!(loop {});
    }
    match &mut entry.kind {
        EntryKind::Port { default, .. } => *default = Some(tokens),
        _ => diagnostics.error(equals, "a dynamic namespace has no default: it is empty where nothing is given"),
    }
    Ok(sound)
}

fn parse_in_angles(input: ParseStream<'_>) -> syn::Result<Type> {
    input.parse::<Token![<]>()?;
    if input.peek(Token![>]) {
        return Err(input.error("expected a type between `<` and `>`"));
    }
    let ty = input.parse()?;
    input.parse::<Token![>]>()?;
    Ok(ty)
}

fn parse_namespace(
    input: ParseStream<'_>,
    docs: Docs,
    name: Ident,
    optional: bool,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Entry> {
    let body;
    braced!(body in input);
    let (mut entries, mut checks, mut written) = (Vec::new(), Vec::new(), Vec::new());
    while !body.is_empty() {
        if body.parse::<Option<Token![;]>>()?.is_some() {
            continue;
        }
        let docs = parse_docs(&body, diagnostics);
        let result = if starts_with(&body, &["check"]) && body.peek2(token::Paren) {
            body.parse::<Ident>()
                .and_then(|_| parse_check(&body, &mut written, diagnostics))
                .and_then(|check| end_of_item(&body, diagnostics).map(|()| checks.extend(check)))
        } else {
            parse_entry(&body, docs, diagnostics).map(|entry| entries.push(entry))
        };
        if let Err(error) = result {
            diagnostics.push(error);
            skip_item(&body, &[]);
        }
    }
    input.parse::<Option<Token![;]>>()?;
    Ok(Entry { docs, name, kind: EntryKind::Namespace { optional, entries }, checks, written })
}

/// `(function)` or `(predicate, "message")`; nothing after a mistake inside, which is reported.
fn parse_check(
    input: ParseStream<'_>,
    written: &mut Vec<Written>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<Check>> {
    let body;
    let parentheses = parenthesized!(body in input);
    let mut tokens: Vec<TokenTree> = body.parse::<TokenStream>()?.into_iter().collect();
    let is_comma = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ',');
    if is_comma(tokens.last()) {
        tokens.pop();
    }
    let mut message = None;
    if tokens.len() > 2 && is_comma(tokens.get(tokens.len() - 2)) {
        message = tokens.last().and_then(|last| syn::parse2::<LitStr>(last.to_token_stream()).ok());
        if message.is_some() {
            tokens.truncate(tokens.len() - 2);
        }
    }
    if message.is_none()
        && let Some(comma) = comma_before_a_message(&tokens)
    {
        let wrong: TokenStream = tokens.drain(comma..).skip(1).collect();
        diagnostics.error(&wrong, "the message of a validator is a text literal");
        message = Some(LitStr::new("", Span::call_site()));
    }
    let function: TokenStream = tokens.into_iter().collect();
    written.push(Written::Check(function.clone()));
    if function.is_empty() {
        let span = parentheses.span.join();
        diagnostics.error_at(span, "expected `check(|value| …, \"message\")` or `check(function)`");
        return Ok(None);
    }
    Ok(diagnostics.ok(check_expression(&function)).map(|()| Check { function, message }))
}

/// The last comma, if it parts two expressions and not, say, the parameters of a closure.
fn comma_before_a_message(tokens: &[TokenTree]) -> Option<usize> {
    let comma = tokens.iter().rposition(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))?;
    let is_expression = |tokens: &[TokenTree]| syn::parse2::<Expr>(tokens.iter().cloned().collect()).is_ok();
    let parted = is_expression(&tokens[..comma]) && is_expression(&tokens[comma + 1..]);
    (parted && !is_expression(tokens)).then_some(comma)
}

fn parse_exit(input: ParseStream<'_>, docs: Docs, diagnostics: &mut Diagnostics) -> syn::Result<Exit> {
    let form = "`exit 410 Name \"message\";`";
    let wants = |what: &str, span: Span| syn::Error::new(span, format!("expected {what}: {form}"));
    let number = input.parse().map_err(|error: syn::Error| wants("the number of the exit code", error.span()))?;
    let name = input.parse().map_err(|error: syn::Error| wants("the name of the exit code", error.span()))?;
    let message = input.parse().map_err(|error: syn::Error| wants("what the exit code means", error.span()))?;
    end_of_item(input, diagnostics)?;
    Ok(Exit { docs, number, name, message })
}
