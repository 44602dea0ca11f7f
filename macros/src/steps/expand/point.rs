//! The enum of the program points, with the arguments as fields.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::handling;
use crate::flow::{allowances, docs_or};
use crate::steps::model::{Model, Step};

/// The enum. `Clone` and `Debug` are written out: derived, they would report an unfit type once more.
pub(super) fn expand(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let allowances = allowances();
    let doc = format!("The program points of `{}`: its steps with their arguments.", model.target.plain());
    let (impls, arguments, clause) = model.generics.split_for_impl();
    let params = &model.generics.params;
    let generics = (!params.is_empty()).then(|| quote!(<#params>));
    let variants = model.steps.iter().map(variant);
    let copies = model.steps.iter().map(|step| {
        let (variant, pattern) = (&step.variant, pattern(step));
        let fields = step.arguments.iter().enumerate().map(|(index, argument)| {
            let (name, value, handling) = (&argument.name, bound(index), handling(model, argument));
            quote!(#name: #handling.copy(#value))
        });
        quote!(Self::#variant #pattern => Self::#variant { #(#fields),* })
    });
    let shown = model.steps.iter().map(|step| {
        let (variant, pattern, name) = (&step.variant, pattern(step), step.variant.to_string());
        let fields = step.arguments.iter().enumerate().map(|(index, argument)| {
            let (stored, value, handling) = (&argument.stored, bound(index), handling(model, argument));
            quote!(.field(#stored, #handling.debug(#value)))
        });
        quote!(Self::#variant #pattern => f.debug_struct(#name) #(#fields)* .finish())
    });
    quote! {
        #[doc = #doc]
        #allowances
        pub enum #point #generics #clause {
            #(#variants),*
        }

        #[automatically_derived]
        #allowances
        impl #impls ::core::clone::Clone for #point #arguments #clause {
            fn clone(&self) -> Self {
                match self {
                    #(#copies,)*
                }
            }
        }

        #[automatically_derived]
        #allowances
        impl #impls ::core::fmt::Debug for #point #arguments #clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self {
                    #(#shown,)*
                }
            }
        }
    }
}

fn variant(step: &Step) -> TokenStream {
    let docs = docs_or(&step.docs, &format!("At step `{}`.", step.stored));
    let variant = &step.variant;
    let fields = step.arguments.iter().map(|argument| {
        let (doc, name, ty) = (format!("Argument `{}`.", argument.stored), &argument.name, &argument.ty);
        quote!(#[doc = #doc] #name: #ty)
    });
    let fields = (!step.arguments.is_empty()).then(|| quote!({ #(#fields),* }));
    quote!(#docs #variant #fields)
}

/// `{ count: argument0 }`: the arguments under names of ours, which meet no name of the user.
pub(super) fn pattern(step: &Step) -> TokenStream {
    let fields = step.arguments.iter().enumerate().map(|(index, argument)| {
        let (name, value) = (&argument.name, bound(index));
        quote!(#name: #value)
    });
    quote!({ #(#fields),* })
}

/// The name under which the argument with this index is bound.
pub(super) fn bound(index: usize) -> proc_macro2::Ident {
    format_ident!("argument{index}", span = proc_macro2::Span::mixed_site())
}
