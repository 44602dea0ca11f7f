//! The code of `steps!`.

mod editor;
mod flow;
mod hand;
mod point;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Argument, Model};
use crate::tokens::located;

/// The points, what hands over to them, and the control flow. With errors the steps are called for editors only.
pub(crate) fn expand(model: &Model, correct: bool) -> TokenStream {
    let (points, next, wait) = (point::expand(model), hand::next(model), hand::wait(model));
    let (editor, unwritten) = (editor::expand(model), flow::expand(model, false));
    let flow = model.facade.for_both(&quote!(#editor #unwritten), &flow::expand(model, correct));
    let process = correct.then(|| model.target.assertion());
    let flow = model.facade.scope(&quote!(#flow #process));
    quote!(#flow #points #next #wait)
}

/// What is done with an argument: one function with one bound, so that a type which cannot be saved is one error.
fn handling(model: &Model, argument: &Argument) -> TokenStream {
    let (ty, span) = (&argument.ty, located(argument.ty.span()));
    let private = model.facade.private_at(span);
    quote_spanned!(span=> #private::argument::<#ty>())
}
