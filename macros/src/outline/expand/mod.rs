//! The code of `outline!`.

mod ahead;
mod editor;
mod point;
mod step;
mod tree;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::model::Model;
use crate::flow::{allowances, private_at};
use crate::tokens::located;

/// The points, the control flow, and the check of every normal end.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let points = point::expand(model);
    let (editor, unwritten) = (editor::expand(model), unwritten(model));
    let (ahead, step) = (ahead::expand(model), step::expand(model));
    let written = implementation(model, &quote!(#ahead #step));
    let flow = model.facade.for_both(&quote!(#editor #unwritten), &written);
    let checks = checks(model);
    let process = model.target.assertion();
    let flow = model.facade.scope(&quote!(#flow #checks #process));
    quote!(#flow #points)
}

/// The types as they are; an editor still sees the calls, the compiler has only the errors to tell.
pub(crate) fn recovered(model: &Model) -> TokenStream {
    let points = point::expand(model);
    let (editor, unwritten) = (editor::expand(model), unwritten(model));
    let flow = model.facade.for_both(&quote!(#editor #unwritten), &unwritten);
    let flow = model.facade.scope(&flow);
    quote!(#flow #points)
}

/// The implementation without the steps.
fn unwritten(model: &Model) -> TokenStream {
    implementation(
        model,
        &quote! {
            fn ahead(
                &self,
                cx: &__private::Cx<Self>,
                after: ::core::option::Option<&Self::Point>,
            ) -> ::core::result::Result<__private::Ahead<Self::Point>, __private::BoxError> {
                ::core::unimplemented!()
            }

            fn step<'step>(
                &'step mut self,
                cx: &'step mut __private::Cx<Self>,
                at: Self::Point,
            ) -> __private::BoxFuture<'step, __private::StepEnd<Self>> {
                ::core::unimplemented!()
            }
        },
    )
}

/// `impl Flow` around what names tokens of the user.
fn implementation(model: &Model, methods: &TokenStream) -> TokenStream {
    let allowances = allowances();
    let (impls, _, _) = model.target.generics.split_for_impl();
    let clause = model.target.granted(&quote!(__private::Spec + ::core::marker::Send));
    let process = model.target.self_type();
    let point = model.target.derived("Point");
    let tree = tree::expand(model);
    let stored = model.points.iter().map(|point| &point.stored);
    quote! {
            #[automatically_derived]
            #allowances
            impl #impls __private::Flow for #process #clause {
                type Point = #point;
                type Next = __private::Next<Self>;
                type Wait = __private::Next<Self>;

                const OUTLINE: ::core::option::Option<&'static __private::Outline> =
                    ::core::option::Option::Some(#tree);
                const POINTS: &'static [&'static str] = &[#(#stored),*];

                fn point_name(point: &Self::Point) -> &'static str {
                    point.name()
                }

                fn point(
                    name: &str,
                    arguments: __private::serde_json::Map<::std::string::String, __private::serde_json::Value>,
                ) -> ::core::result::Result<Self::Point, __private::PointError> {
                    __private::all_taken(&arguments, name)?;
                    #point::from_name(name).ok_or_else(|| __private::PointError::unknown::<Self>(name))
                }

                #methods
            }
    }
}

/// One assertion per normal end, at that end.
///
/// The constants of a generic process are not evaluated by a check, so there the names of the outputs stand on a hidden
/// type. The process itself is asked where it can be: if it has no `spec!`, nothing more is said about that.
fn checks(model: &Model) -> TokenStream {
    let is_generic = !model.target.generics.params.is_empty();
    let (process, table) = (model.target.plain(), model.target.hidden("__Procession"));
    let checks = model.ends.iter().map(|end| {
        let (set, mentioned, path, span) = (&end.set, &end.mentioned, &end.path, located(end.span));
        let private = private_at(span);
        let table = if is_generic { table.to_string() } else { process.clone() };
        let table = proc_macro2::Ident::new(&table, model.target.name.span().resolved_at(span));
        quote_spanned! {span=>
            const _: () =
                #private::assert_set(
                    #private::OutputsOf::<#table>::OUTPUTS, #process, &[#(#set),*], &[#(#mentioned),*], #path
                );
        }
    });
    quote! {
        #[allow(unused_imports)]
        use __private::NoOutputs as _;
        #(#checks)*
    }
}
