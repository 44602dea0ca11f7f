//! The code of `#[process]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, LitInt, parse_quote};

use super::model::{Body, Field, Model, derived};
use crate::tokens::{located, plain};

/// The struct and its implementations.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let item = item(model);
    let process = match &model.body {
        Body::Stub => {
            let (process, default) = (process(model, &[], &stub(model)), default(model));
            quote!(#process #default)
        }
        Body::Fields(fields) => process(model, fields, &by_field(model, fields)),
        Body::Whole { fields, .. } => process(model, fields, &whole(model)),
    };
    let hooks = hooks(model);
    let needs = needs(model);
    let collect = collect(model);
    quote!(#item #process #hooks #needs #collect)
}

/// The struct, with what serde's derive needs where it is used.
fn item(model: &Model) -> TokenStream {
    let Body::Whole { fields, flatten, derived } = &model.body else {
        return model.item.to_token_stream();
    };
    let mut item = model.item.clone();
    let private = model.facade.private();
    let missing = |name: &str| !derived.iter().any(|known| known == name);
    let mut attributes = Vec::new();
    if missing("Serialize") {
        attributes.push(parse_quote!(#[derive(#private::serde::Serialize)]));
    }
    if missing("Deserialize") {
        attributes.push(parse_quote!(#[derive(#private::serde::Deserialize)]));
    }
    if !attributes.is_empty() {
        let serde = quote!(#private::serde).to_string().replace(' ', "");
        attributes.push(parse_quote!(#[serde(crate = #serde)]));
    }
    if !flatten {
        attributes.push(parse_quote!(#[serde(deny_unknown_fields)]));
    }
    item.attrs.splice(0..0, attributes);
    if let Data::Struct(data) = &mut item.data {
        for (field, _) in data.fields.iter_mut().zip(fields).filter(|(_, field)| field.skip) {
            field.attrs.push(parse_quote!(#[serde(skip)]));
        }
    }
    item.into_token_stream()
}

fn process(model: &Model, fields: &[Field], body: &TokenStream) -> TokenStream {
    let private = model.facade.private();
    let (name, options) = (&model.item.ident, &model.options);
    let (impls, arguments, clause) = model.item.generics.split_for_impl();
    let stored = stored_name(model);
    let also = &options.also;
    let version = options.version.as_ref().and_then(|version: &LitInt| version.base10_parse::<u32>().ok()).unwrap_or(1);
    let saved = fields.iter().filter(|field| !field.skip).map(|field| plain(&field.name));
    let needs = &options.needs;
    quote! {
        #[automatically_derived]
        #[allow(unused_mut, unused_variables, clippy::all, clippy::pedantic)]
        impl #impls #private::Process for #name #arguments #clause {
            const NAME: &'static str = #stored;
            const ALSO: &'static [&'static str] = &[#(#also),*];
            const VERSION: u32 = #version;
            const FIELDS: &'static [&'static str] = &[#(#saved),*];
            const NEEDS: &'static [#private::Need] = &[#(#private::Need::of::<#needs>()),*];
            #body
        }
    }
}

/// `crate::Type`, unless the user gave another.
fn stored_name(model: &Model) -> TokenStream {
    if let Some(name) = &model.options.name {
        return name.to_token_stream();
    }
    let name = plain(&model.item.ident);
    let without_cargo = format!("the name of this crate is not known; write `#[process(name = \"…::{name}\")]`");
    // rust-analyzer takes the second argument of `env!` for a mistake.
    let private = model.facade.private();
    quote! {
        #private::editor! {
            { ::core::concat!(::core::env!("CARGO_CRATE_NAME"), "::", #name) }
            { ::core::concat!(::core::env!("CARGO_CRATE_NAME", #without_cargo), "::", #name) }
        }
    }
}

/// Each field by itself. Both directions go through one function with one bound, so that a type which cannot be saved
/// is one error, on the type.
fn by_field(model: &Model, fields: &[Field]) -> TokenStream {
    let private = model.facade.private();
    let saved = |field: &Field| {
        let (ty, span) = (&field.ty, located(field.ty.span()));
        let private = model.facade.private_at(span);
        quote_spanned!(span=> #private::saved::<#ty>())
    };
    let writes = fields.iter().filter(|field| !field.skip).map(|field| {
        let (saved, name, stored) = (saved(field), &field.name, plain(&field.name));
        quote!(#saved.write(fields, #stored, &self.#name)?;)
    });
    let reads = fields.iter().map(|field| {
        let (name, stored) = (&field.name, plain(&field.name));
        if field.skip {
            let span = located(field.ty.span());
            return quote_spanned!(span=> #name: ::core::default::Default::default());
        }
        let saved = saved(field);
        quote!(#name: #saved.read(&mut fields, #stored)?)
    });
    quote! {
        fn save(&self, fields: &mut #private::FieldWriter<'_>) -> ::core::result::Result<(), #private::ContextError> {
            #(#writes)*
            ::core::result::Result::Ok(())
        }

        fn load(mut fields: #private::FieldReader<'_>) -> ::core::result::Result<Self, #private::ContextError> {
            let process = Self { #(#reads),* };
            fields.finish()?;
            ::core::result::Result::Ok(process)
        }
    }
}

/// `Default` for what is no struct, where it is not derived: it could not be.
fn default(model: &Model) -> Option<TokenStream> {
    let (name, (impls, arguments, clause)) = (&model.item.ident, model.item.generics.split_for_impl());
    let derived = derived(&model.item.attrs).iter().any(|name| name == "Default");
    (!derived && !matches!(model.item.data, Data::Struct(_))).then(|| {
        quote! {
            #[automatically_derived]
            impl #impls ::core::default::Default for #name #arguments #clause {
                fn default() -> Self {
                    ::core::unimplemented!()
                }
            }
        }
    })
}

fn stub(model: &Model) -> TokenStream {
    let private = model.facade.private();
    quote! {
        fn save(&self, fields: &mut #private::FieldWriter<'_>) -> ::core::result::Result<(), #private::ContextError> {
            ::core::result::Result::Ok(())
        }

        fn load(fields: #private::FieldReader<'_>) -> ::core::result::Result<Self, #private::ContextError> {
            ::core::result::Result::Ok(::core::default::Default::default())
        }
    }
}

fn whole(model: &Model) -> TokenStream {
    let private = model.facade.private();
    quote! {
        fn save(&self, fields: &mut #private::FieldWriter<'_>) -> ::core::result::Result<(), #private::ContextError> {
            fields.whole(self)
        }

        fn load(fields: #private::FieldReader<'_>) -> ::core::result::Result<Self, #private::ContextError> {
            fields.whole()
        }
    }
}

/// Without the option `hooks` there are none, at no cost.
fn hooks(model: &Model) -> TokenStream {
    if model.options.hooks {
        return TokenStream::new();
    }
    let (private, name) = (model.facade.private(), &model.item.ident);
    let (impls, arguments, clause) = model.item.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impls #private::Hooks for #name #arguments #clause {
            const ENABLED: bool = false;
        }
    }
}

/// Whether anything is collected, the runtime crate decides. A generic process has no one type to collect.
fn collect(model: &Model) -> TokenStream {
    if matches!(model.body, Body::Stub) || !model.item.generics.params.is_empty() {
        return TokenStream::new();
    }
    let (private, name) = (model.facade.private(), &model.item.ident);
    quote!(#private::collect! { #name })
}

fn needs(model: &Model) -> TokenStream {
    let (private, name, needs) = (model.facade.private(), &model.item.ident, &model.options.needs);
    let (impls, arguments, clause) = model.item.generics.split_for_impl();
    quote! {
        #(
            #[automatically_derived]
            impl #impls #private::Needs<#needs> for #name #arguments #clause {}
        )*
    }
}
