//! The options of `#[process]` and of its fields, as they are written.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, LitInt, LitStr, Path, Token, Type, bracketed, parenthesized};

use crate::diag::{Diagnostics, did_you_mean};

const OPTIONS: [&str; 6] = ["name", "also", "version", "needs", "hooks", "crate"];

/// What stands in `#[process(…)]` on the struct.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) also: Vec<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) needs: Vec<Type>,
    pub(crate) hooks: bool,
    pub(crate) facade: Option<Path>,
}

impl Options {
    /// Reads what can be read; each mistake is one error, and the options after it are read all the same.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Diagnostics) -> Self {
        let mut options = Self::default();
        let mut seen = Vec::new();
        let parser = |input: ParseStream| {
            while !input.is_empty() {
                if let Err(error) = options.one(input, &mut seen, errors) {
                    errors.push(error);
                }
                skip_past_comma(input)?;
            }
            Ok(())
        };
        let read = parser.parse2(tokens);
        errors.ok(read);
        options
    }

    fn one(&mut self, input: ParseStream, seen: &mut Vec<String>, errors: &mut Diagnostics) -> syn::Result<()> {
        let option = Ident::parse_any(input)
            .map_err(|error| syn::Error::new(error.span(), format!("expected an option: {}", allowed())))?;
        let name = option.to_string();
        if seen.contains(&name) {
            errors.error(&option, format!("option `{name}` is given twice"));
        }
        match name.as_str() {
            "name" => self.name = Some(value(input, &option, r#"name = "…""#)?),
            "also" => self.also = names(input, &option)?,
            "version" => self.version = Some(value(input, &option, "version = 2")?),
            "crate" => self.facade = Some(value(input, &option, "crate = path::to::procession")?),
            "hooks" => self.hooks = true,
            "needs" => self.needs = types(input, &option)?,
            wrong => {
                let near = did_you_mean(wrong, OPTIONS);
                return Err(syn::Error::new(
                    option.span(),
                    format!("unknown option `{wrong}`; the options are {}{near}", allowed()),
                ));
            }
        }
        seen.push(name);
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error("expected `,` between two options"));
        }
        Ok(())
    }
}

fn allowed() -> String {
    OPTIONS.map(|option| format!("`{option}`")).join(", ")
}

/// `= value`.
fn value<T: syn::parse::Parse>(input: ParseStream, option: &Ident, form: &str) -> syn::Result<T> {
    let wrong = |_| syn::Error::new(option.span(), format!("write option `{option}` as `{form}`"));
    input.parse::<Token![=]>().and_then(|_| input.parse()).map_err(wrong)
}

/// `= ["…", …]`.
fn names(input: ParseStream, option: &Ident) -> syn::Result<Vec<LitStr>> {
    let list = || {
        input.parse::<Token![=]>()?;
        let content;
        bracketed!(content in input);
        Punctuated::<LitStr, Token![,]>::parse_terminated(&content)
    };
    let wrong = |_| syn::Error::new(option.span(), r#"write option `also` as `also = ["…", "…"]`"#);
    list().map(|names| names.into_iter().collect()).map_err(wrong)
}

/// `(Type, …)`.
fn types(input: ParseStream, option: &Ident) -> syn::Result<Vec<Type>> {
    let list = || {
        let content;
        parenthesized!(content in input);
        Punctuated::<Type, Token![,]>::parse_terminated(&content)
    };
    let wrong = |_| syn::Error::new(option.span(), "write option `needs` as `needs(Pool, Client)`, with types");
    list().map(|types| types.into_iter().collect()).map_err(wrong)
}

fn skip_past_comma(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() {
        if input.parse::<Option<Token![,]>>()?.is_some() {
            break;
        }
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

/// Takes `#[process(skip)]` off a field and tells whether it was there.
pub(crate) fn take_skip(attributes: &mut Vec<Attribute>, errors: &mut Diagnostics) -> bool {
    let mut skip = false;
    attributes.retain(|attribute| {
        if !attribute.path().is_ident("process") {
            return true;
        }
        let read = attribute.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated);
        match read {
            Ok(options) if options.is_empty() => errors.error(attribute, "write `#[process(skip)]`"),
            Ok(options) => {
                for option in options {
                    if option == "skip" {
                        if std::mem::replace(&mut skip, true) {
                            errors.error(&option, "option `skip` is given twice");
                        }
                    } else {
                        let near = did_you_mean(&option.to_string(), ["skip"]);
                        errors.error(
                            &option,
                            format!("unknown option `{option}`; a field has the option `skip` only{near}"),
                        );
                    }
                }
            }
            Err(_) => errors.error(attribute, "write `#[process(skip)]`; a field has no other option"),
        }
        false
    });
    skip
}
