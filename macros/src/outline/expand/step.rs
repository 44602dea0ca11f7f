//! `step`: runs the step at a point.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::flow::{Call, private_at};
use crate::outline::model::{Model, Output, Point};
use crate::tokens::located;

/// A match on the point, with a boxed future per step.
pub(super) fn expand(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let arms = model.points.iter().map(|at| {
        let variant = &at.variant;
        let call = Call {
            step: &at.step,
            blocking: at.blocking,
            types: quote!(()),
            arguments: quote!(()),
            end: end(model, at),
        };
        let call = call.expand();
        quote!(#point::#variant => #call)
    });
    quote! {
        fn step<'step>(
            &'step mut self,
            cx: &'step mut __private::Cx<Self>,
            at: Self::Point,
        ) -> __private::BoxFuture<'step, __private::StepEnd<Self>> {
            use __private::{ViaFuture as _, ViaValue as _};
            match at {
                #(#arms,)*
            }
        }
    }
}

/// The end of a step, from the value it returned.
fn end(model: &Model, point: &Point) -> TokenStream {
    let (forwarded, returned): (Vec<&Output>, Vec<&Output>) =
        point.outputs.iter().partition(|output| output.from.is_some());
    let at = returned.first().and_then(|output| output.path.last()).unwrap_or(&point.step).span();
    let span = located(at);
    let private = private_at(span);
    let types: Vec<_> = returned.iter().map(|output| port(model, output)).collect();
    let names: Vec<_> = returned.iter().map(|output| output.name.as_str()).collect();
    let end = match (types.as_slice(), names.as_slice()) {
        ([], _) => quote_spanned!(span=> #private::returned::<Self, _>(value)),
        ([ty], [name]) => quote_spanned!(span=> #private::yielded_one::<Self, #ty, _>(value, #name)),
        _ => quote_spanned!(span=> #private::yielded::<Self, (#(#types,)*), _>(value, &[#(#names),*])),
    };
    let forwards = forwarded.iter().map(|output| {
        let child = exposed(model, output);
        let field = output.from.iter().flatten();
        let span = located(output.from.iter().flatten().last().map_or_else(Span::call_site, Ident::span));
        let name = &output.name;
        quote_spanned!(span=> .forward::<#child>(#name, &(*self) #(.#field)*))
    });
    quote!(#end #(#forwards)*)
}

/// An output as a type.
fn port(model: &Model, output: &Output) -> TokenStream {
    let (span, hash) = hash(model, output);
    let private = private_at(span);
    quote_spanned!(span=> #private::Out<Self, #hash>)
}

/// The process whose outputs the output exposes.
fn exposed(model: &Model, output: &Output) -> TokenStream {
    let (span, hash) = hash(model, output);
    let private = private_at(span);
    quote_spanned!(span=> <Self as #private::ExposedOutputs<#hash>>::Of)
}

/// What an output is known by, asked by its name: as a path, so that rustc knows the near ones and is silent about what
/// follows from a wrong one.
fn hash(model: &Model, output: &Output) -> (Span, TokenStream) {
    let span = located(output.path.last().map_or_else(Span::call_site, Ident::span));
    let private = private_at(span);
    let names = Ident::new(&model.target.hidden("__procession_outputs_").to_string(), span);
    let (first, below) = (output.path.first(), output.name.find('.').map_or("", |dot| &output.name[dot..]));
    (span, quote_spanned!(span=> { #private::output_hash(#names::#first, #below) }))
}
