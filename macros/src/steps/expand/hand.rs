//! What `cx.next()` and `cx.wait(…)` give: a type with a method per step.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::handling;
use super::point::bound;
use crate::flow::{allowances, docs_or};
use crate::steps::model::{Argument, Model, Step};

/// `GreetNext`.
pub(super) fn next(model: &Model) -> TokenStream {
    let (private, point) = (model.facade.private(), model.target.derived("Point"));
    let doc = format!("Hands over to a step of `{}`; given by `cx.next()`.", model.target.plain());
    let methods = model.steps.iter().map(|step| {
        let (name, variant) = (&step.name, &step.variant);
        let docs = docs_or(&step.docs, &format!("Goes on at step `{}`.", step.stored));
        let parameters = parameters(&step.arguments);
        let fields = step.arguments.iter().enumerate().map(|(index, argument)| {
            let (name, value) = (&argument.name, bound(index));
            quote!(#name: #value)
        });
        let process = model.target.self_type();
        quote! {
            #docs
            pub fn #name(self #(, #parameters)*) -> #private::Next<#process> {
                #private::Next::to(#point::#variant { #(#fields),* })
            }
        }
    });
    let hand_over = quote! {
        fn next() -> Self {
            Self { text: ::std::string::String::new(), of: ::core::marker::PhantomData }
        }

        fn wait(text: ::std::string::String) -> Self {
            Self { text, of: ::core::marker::PhantomData }
        }
    };
    hand(model, &model.target.derived("Next"), &doc, &quote!(#(#methods)*), &hand_over)
}

/// `GreetWait`.
pub(super) fn wait(model: &Model) -> TokenStream {
    let doc =
        format!("Waits for a resume, then goes on at a step of `{}`; given by `cx.wait(…)`.", model.target.plain());
    let methods = model.steps.iter().map(|step| wait_method(model, step));
    let hand_over = quote! {
        fn next() -> Self {
            Self { text: ::std::string::String::new(), of: ::core::marker::PhantomData }
        }

        fn wait(text: ::std::string::String) -> Self {
            Self { text, of: ::core::marker::PhantomData }
        }
    };
    hand(model, &model.target.derived("Wait"), &doc, &quote!(#(#methods)*), &hand_over)
}

/// All arguments but the last one, which the resume gives.
fn wait_method(model: &Model, step: &Step) -> TokenStream {
    let (private, process) = (model.facade.private(), model.target.self_type());
    let (name, stored) = (&step.name, &step.stored);
    let (ours, given) = match step.arguments.split_last() {
        Some((last, given)) => {
            (format!("Goes on at step `{stored}`, whose argument `{}` is the value of the resume.", last.stored), given)
        }
        None => (format!("Goes on at step `{stored}`; the value of the resume is not used."), &[][..]),
    };
    let docs = docs_or(&step.docs, &ours);
    let parameters = parameters(given);
    let puts = given.iter().enumerate().map(|(index, argument)| {
        let (handling, value, stored) = (handling(model, argument), bound(index), &argument.stored);
        quote!(#handling.put(arguments, #stored, &#value)?;)
    });
    quote! {
        #docs
        pub fn #name(self #(, #parameters)*) -> #private::Next<#process> {
            #private::Next::wait_then(self.text, #stored, |arguments| {
                #(#puts)*
                ::core::result::Result::Ok(())
            })
        }
    }
}

fn parameters(arguments: &[Argument]) -> impl Iterator<Item = TokenStream> + '_ {
    arguments.iter().enumerate().map(|(index, Argument { ty, .. })| {
        let value = bound(index);
        quote!(#value: #ty)
    })
}

fn hand(model: &Model, hand: &Ident, doc: &str, methods: &TokenStream, hand_over: &TokenStream) -> TokenStream {
    let private = model.facade.private();
    let allowances = allowances();
    let (impls, arguments, clause) = model.target.generics.split_for_impl();
    let params = &model.target.generics.params;
    let generics = (!params.is_empty()).then(|| quote!(<#params>));
    let process = model.target.self_type();
    let name = hand.to_string();
    let known = model.target.granted(&quote!(#private::Flow));
    quote! {
        #[doc = #doc]
        #[must_use = "a step hands over by returning what the methods give"]
        #allowances
        pub struct #hand #generics #clause {
            text: ::std::string::String,
            of: ::core::marker::PhantomData<fn() -> #process>,
        }

        #[automatically_derived]
        #allowances
        impl #impls #hand #arguments #known {
            #methods
        }

        #[automatically_derived]
        impl #impls #private::HandOver for #hand #arguments #clause {
            #hand_over
        }

        #[automatically_derived]
        impl #impls ::core::fmt::Debug for #hand #arguments #clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_tuple(#name).field(&self.text).finish()
            }
        }
    }
}
