//! What an editor reads of `steps!`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::flow::allowances;
use crate::steps::model::Model;

/// Names every step and type of the user once, in the order of the text, with nothing before it whose length depends on
/// it; see the same of `outline!`.
pub(super) fn expand(model: &Model) -> TokenStream {
    let allowances = allowances();
    let (impls, _, clause) = model.target.generics.split_for_impl();
    let process = model.target.self_type();
    let steps = model.steps.iter().map(|step| {
        let (name, types) = (&step.name, step.arguments.iter().map(|argument| &argument.ty));
        quote!(let _ = Self::#name; #(let _: #types;)*)
    });
    quote! {
        trait __Steps {
            fn steps(&self);
        }
        #[automatically_derived]
        #allowances
        impl #impls __Steps for #process #clause {
            fn steps(&self) {
                #(#steps)*
            }
        }
    }
}
