//! `impl Flow`.

use proc_macro2::TokenStream;
use quote::quote;

use super::handling;
use super::point::{bound, none, pattern};
use crate::flow::{Call, allowances, private_at};
use crate::steps::model::Model;
use crate::tokens::located;

/// The implementation; without calls of the steps if these have errors that are reported already.
pub(super) fn expand(model: &Model, calls: bool) -> TokenStream {
    let allowances = allowances();
    let (impls, _, _) = model.target.generics.split_for_impl();
    let clause = model.target.granted(&quote!(__private::Spec + ::core::marker::Send));
    let process = model.target.self_type();
    let (next, wait) = (model.target.derived("Next"), model.target.derived("Wait"));
    let (_, hand_arguments, _) = model.target.generics.split_for_impl();
    let point = model.target.derived("Point");
    let (_, point_arguments, _) = model.generics.split_for_impl();
    let stored = model.steps.iter().map(|step| &step.stored);
    let (codec, ahead) = (codec(model), ahead(model, calls));
    let step = if calls { steps(model) } else { quote!(::core::unimplemented!()) };
    quote! {
            #[automatically_derived]
            #allowances
            impl #impls __private::Flow for #process #clause {
                type Point = #point #point_arguments;
                type Next = #next #hand_arguments;
                type Wait = #wait #hand_arguments;

                const POINTS: &'static [&'static str] = &[#(#stored),*];

                #codec
                #ahead

                fn step<'step>(
                    &'step mut self,
                    cx: &'step mut __private::Cx<Self>,
                    at: Self::Point,
                ) -> __private::BoxFuture<'step, __private::StepEnd<Self>> {
                    use __private::{ViaFuture as _, ViaValue as _};
                    #step
                }
            }
    }
}

/// Points as stored names and arguments by name.
fn codec(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let map = quote!(__private::serde_json::Map<::std::string::String, __private::serde_json::Value>);
    let none = none(model);
    let names = model.steps.iter().map(|step| {
        let (variant, stored) = (&step.variant, &step.stored);
        quote!(#point::#variant { .. } => #stored)
    });
    let written = model.steps.iter().map(|step| {
        let (variant, pattern) = (&step.variant, pattern(step));
        let puts = step.arguments.iter().enumerate().map(|(index, argument)| {
            let (handling, value, stored) = (handling(model, argument), bound(index), &argument.stored);
            quote!(#handling.put(&mut arguments, #stored, #value)?;)
        });
        quote!(#point::#variant #pattern => { #(#puts)* })
    });
    let read = model.steps.iter().map(|step| {
        let (variant, stored) = (&step.variant, &step.stored);
        let takes = step.arguments.iter().map(|argument| {
            let (handling, name, key) = (handling(model, argument), &argument.name, &argument.stored);
            quote!(#name: #handling.take(&mut arguments, #stored, #key)?)
        });
        quote!(#stored => #point::#variant { #(#takes),* })
    });
    let resumed = model.steps.iter().filter_map(|step| {
        let (stored, last) = (&step.stored, &step.arguments.last()?.stored);
        Some(quote!(#stored => ::core::option::Option::Some(#last)))
    });
    quote! {
        fn point_name(point: &Self::Point) -> &'static str {
            match point {
                #(#names,)*
                #none
            }
        }

        fn point_arguments(point: &Self::Point) -> ::core::result::Result<#map, __private::serde_json::Error> {
            let mut arguments = __private::serde_json::Map::new();
            match point {
                #(#written)*
                #none
            }
            ::core::result::Result::Ok(arguments)
        }

        fn point(name: &str, mut arguments: #map) -> ::core::result::Result<Self::Point, __private::PointError> {
            let point = match name {
                #(#read,)*
                _ => return ::core::result::Result::Err(__private::PointError::unknown::<Self>(name)),
            };
            __private::all_taken(&arguments, name)?;
            ::core::result::Result::Ok(point)
        }

        fn resume_argument(name: &str) -> ::core::option::Option<&'static str> {
            match name {
                #(#resumed,)*
                _ => ::core::option::Option::None,
            }
        }
    }
}

/// First the first step; after a step that hands over to none, the end.
fn ahead(model: &Model, calls: bool) -> TokenStream {
    let point = model.target.derived("Point");
    let start = if let Some(step) = model.steps.first().filter(|_| calls) {
        let variant = &step.variant;
        quote!(__private::Ahead::Step(#point::#variant))
    } else {
        quote!(__private::Ahead::End)
    };
    quote! {
        fn ahead(
            &self,
            cx: &__private::Cx<Self>,
            after: ::core::option::Option<&Self::Point>,
        ) -> ::core::result::Result<__private::Ahead<Self::Point>, __private::BoxError> {
            ::core::result::Result::Ok(match after {
                ::core::option::Option::None => #start,
                ::core::option::Option::Some(_) => __private::Ahead::End,
            })
        }
    }
}

fn steps(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let arms = model.steps.iter().map(|step| {
        let (variant, pattern) = (&step.variant, pattern(step));
        let values = (0..step.arguments.len()).map(bound);
        let types = step.arguments.iter().map(|argument| &argument.ty);
        let private = private_at(located(step.name.span()));
        let end = quote::quote_spanned!(located(step.name.span())=> #private::returned::<Self, _>(value));
        let call = Call {
            step: &step.name,
            blocking: step.blocking,
            types: quote!((#(#types,)*)),
            arguments: quote!((#(#values,)*)),
            end,
        };
        let call = call.expand();
        quote!(#point::#variant #pattern => #call)
    });
    quote! {
        match at {
            #(#arms,)*
        }
    }
}
