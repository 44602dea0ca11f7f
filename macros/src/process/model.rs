//! A struct that is to be a process, checked.

use proc_macro2::Ident;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Fields, Type};

use super::ast::{self, Options};
use crate::diag::Diagnostics;
use crate::flow::Facade;

/// The facts.
pub(crate) struct Model {
    pub(crate) facade: Facade,
    pub(crate) options: Options,
    /// As it is emitted: without our attributes on its fields.
    pub(crate) item: DeriveInput,
    pub(crate) body: Body,
}

/// How the fields are saved.
pub(crate) enum Body {
    /// It is no struct, or a tuple struct: a process that saves nothing, so that what uses it is not wrong too.
    Stub,
    /// Field by field.
    Fields(Vec<Field>),
    /// By serde's own rules, because the user wrote some.
    Whole {
        fields: Vec<Field>,
        /// Whether a flattened field takes what is unknown.
        flatten: bool,
        /// The traits that the user derives already.
        derived: Vec<String>,
    },
}

/// A field of a process.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) skip: bool,
}

/// Checks the struct.
pub(crate) fn build(options: Options, mut item: DeriveInput, errors: &mut Diagnostics) -> Model {
    let facade = Facade(options.facade.as_ref().map_or_else(|| quote!(::procession), |path| quote!(#path)));
    let body = body(&mut item, errors);
    names(&options, &item, errors);
    version(&options, errors);
    Model { facade, options, item, body }
}

/// Only a struct with named fields, or with none, is a process.
fn body(item: &mut DeriveInput, errors: &mut Diagnostics) -> Body {
    let wrong = "; a process is a struct with named fields, which are saved after each step";
    let name = item.ident.clone();
    let fields = match &mut item.data {
        Data::Struct(data) => match &mut data.fields {
            Fields::Named(fields) => &mut fields.named,
            Fields::Unit => return Body::Fields(Vec::new()),
            Fields::Unnamed(_) => {
                errors.error(&name, format!("`{name}` is a tuple struct{wrong}"));
                return Body::Stub;
            }
        },
        Data::Enum(_) => {
            errors.error(&name, format!("`{name}` is an enum{wrong}"));
            return Body::Stub;
        }
        Data::Union(_) => {
            errors.error(&name, format!("`{name}` is a union{wrong}"));
            return Body::Stub;
        }
    };
    let mut serde: Vec<Attribute> = item.attrs.iter().filter(|attribute| is_serde(attribute)).cloned().collect();
    let mut checked = Vec::new();
    for field in fields {
        let skip = ast::take_skip(&mut field.attrs, errors);
        serde.extend(field.attrs.iter().filter(|attribute| is_serde(attribute)).cloned());
        let ty = field.ty.clone();
        checked.extend(field.ident.clone().map(|name| Field { name, ty, skip }));
    }
    if serde.is_empty() {
        return if owned(&checked, errors) { Body::Fields(checked) } else { Body::Stub };
    }
    let flatten = serde.iter().any(|attribute| says(attribute, &["flatten", "deny_unknown_fields"]));
    Body::Whole { fields: checked, flatten, derived: derived(&item.attrs) }
}

/// A field owns its value: it is read again where nothing is that it could borrow from.
fn owned(fields: &[Field], errors: &mut Diagnostics) -> bool {
    let mut owned = true;
    for Field { name, ty, .. } in fields.iter().filter(|field| !field.skip) {
        if matches!(ty, Type::Reference(_)) {
            errors
                .error(ty, format!("field `{name}` borrows its value; a field is saved and read again, so it owns it"));
            owned = false;
        }
    }
    owned
}

fn is_serde(attribute: &Attribute) -> bool {
    attribute.path().is_ident("serde")
}

/// Whether a serde attribute has one of these words; a wrong one is serde's to report.
fn says(attribute: &Attribute, words: &[&str]) -> bool {
    let mut found = false;
    let _ = attribute.parse_nested_meta(|meta| {
        found |= words.iter().any(|word| meta.path.is_ident(word));
        if meta.input.peek(syn::Token![=]) {
            meta.value()?.parse::<syn::Expr>()?;
        } else if meta.input.peek(syn::token::Paren) {
            meta.input.parse::<proc_macro2::Group>()?;
        }
        Ok(())
    });
    found
}

/// The names of the traits that stand in `#[derive(…)]` below `#[process]`.
pub(super) fn derived(attributes: &[Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|segment| segment.ident.to_string()));
            Ok(())
        });
    }
    names
}

/// A name is not empty, and a generic process has an explicit one: its type's name stands for many types.
fn names(options: &Options, item: &DeriveInput, errors: &mut Diagnostics) {
    for name in options.name.iter().chain(&options.also) {
        if name.value().trim().is_empty() {
            errors.error(name, "the name of a process cannot be empty");
        }
    }
    if options.name.is_none() && !item.generics.params.is_empty() && errors.is_empty() {
        let message = format!(
            "the generic process `{0}` needs an explicit name: `#[process(name = \"…\")]`; its checkpoints are found by it",
            item.ident
        );
        errors.error(&item.ident, message);
    }
}

/// A version is a number from 1.
fn version(options: &Options, errors: &mut Diagnostics) {
    if let Some(version) = &options.version
        && !version.base10_parse::<u32>().is_ok_and(|number| number > 0)
    {
        errors.error(version, "a version is a whole number from 1 to 4294967295");
    }
}
