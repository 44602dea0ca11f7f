//! `ahead`: what comes after a point.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::flow::private_at;
use crate::outline::machine::{Goto, Machine, State};
use crate::outline::model::Model;
use crate::tokens::located;

/// A match on the point, then a match on the state until a step or an end is found.
pub(super) fn expand(model: &Model) -> TokenStream {
    let machine = Machine::new(&model.body, model.points.len());
    let point = model.target.derived("Point");
    let start = goto(model, machine.start);
    let after = model.points.iter().zip(&machine.after).map(|(from, to)| {
        let (variant, to) = (&from.variant, goto(model, *to));
        quote!(::core::option::Option::Some(#point::#variant) => #to)
    });
    let none = model.points.is_empty().then(|| quote!(::core::option::Option::Some(_) => #start,));
    let entry = quote! {
        match after {
            ::core::option::Option::None => #start,
            #(#after,)*
            #none
        }
    };
    let body = if machine.states.is_empty() { entry } else { walk(model, &machine, &entry) };
    quote! {
        fn ahead(
            &self,
            cx: &__private::Cx<Self>,
            after: ::core::option::Option<&Self::Point>,
        ) -> ::core::result::Result<__private::Ahead<Self::Point>, __private::BoxError> {
            #body
        }
    }
}

fn walk(model: &Model, machine: &Machine<'_>, entry: &TokenStream) -> TokenStream {
    let states = machine.states.iter().enumerate().map(|(index, state)| {
        let number = number(index);
        let code = self::state(model, state);
        quote!(#number => #code)
    });
    quote! {
        let mut state: u32 = #entry;
        let mut rounds: u32 = 0;
        loop {
            state = match state {
                #(#states,)*
                _ => return ::core::result::Result::Ok(__private::Ahead::End),
            };
        }
    }
}

fn state(model: &Model, state: &State<'_>) -> TokenStream {
    match state {
        State::Test { predicate, yes, no, round } => {
            let (yes, no) = (goto(model, *yes), goto(model, *no));
            let span = located(predicate.span());
            let private = private_at(span);
            let holds = quote_spanned! {span=>
                #private::truth(#private::holds::<Self, _, _>(Self::#predicate, self, cx))
            };
            let limit = round.map(|path| {
                quote! {
                    rounds += 1;
                    if rounds > __private::ROUNDS_WITHOUT_STEP {
                        return ::core::result::Result::Err(__private::without_step(#path));
                    }
                }
            });
            quote!({ #limit if #holds? { #yes } else { #no } })
        }
        State::Exit(exit) => {
            let span = located(exit.span());
            let private = private_at(span);
            let exits = Ident::new(&model.target.derived("Exit").to_string(), span);
            let code = quote_spanned!(span=> #private::ExitCodes::code(#exits::#exit));
            quote!(return ::core::result::Result::Ok(__private::Ahead::Exit(#code)))
        }
        State::Open => TokenStream::new(),
    }
}

fn goto(model: &Model, to: Goto) -> TokenStream {
    let point = model.target.derived("Point");
    match to {
        Goto::Step(index) => {
            let variant = &model.points[index].variant;
            quote!(return ::core::result::Result::Ok(__private::Ahead::Step(#point::#variant)))
        }
        Goto::End => quote!(return ::core::result::Result::Ok(__private::Ahead::End)),
        Goto::State(index) => {
            let number = number(index);
            quote!(#number)
        }
    }
}

/// States are counted in `u32`; a process with more steps than that does not exist.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
