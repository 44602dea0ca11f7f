//! How a step is called.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;

use super::private_at;
use crate::tokens::located;

/// A call of a step by its function path.
pub(crate) struct Call<'a> {
    pub(crate) step: &'a Ident,
    pub(crate) blocking: bool,
    /// The types of the arguments after the context handle, as a tuple. They are written out: a step that takes others
    /// is then no step at all, and the error says what a step takes.
    pub(crate) types: TokenStream,
    /// The arguments, as a tuple.
    pub(crate) arguments: TokenStream,
    /// The end of the step, from `value`.
    pub(crate) end: TokenStream,
}

impl Call<'_> {
    /// The boxed future of the step.
    ///
    /// No generic `async fn` stands between: it would fail for the commonest return type there is. The value is made
    /// and consumed in a block of its own, so that the future does not hold it twice.
    pub(crate) fn expand(&self) -> TokenStream {
        let Self { step, blocking, types, arguments, end } = self;
        let span = located(step.span());
        let private = private_at(span);
        let call =
            quote_spanned!(span=> #private::call::<Self, _, #types, _>(Self::#step, &mut *self, &mut *cx, #arguments));
        let waiting = if *blocking {
            quote_spanned! {span=>
                let value = #private::blocking(|| #call);
                #private::at_once((&#private::tag(&value)).kind()).wait(value)
            }
        } else {
            quote_spanned! {span=>
                let value = #call;
                (&#private::tag(&value)).kind().wait(value)
            }
        };
        quote_spanned! {span=>
            ::std::boxed::Box::pin(async move {
                let waiting = { #waiting };
                let value = waiting.await;
                #end
            })
        }
    }
}
