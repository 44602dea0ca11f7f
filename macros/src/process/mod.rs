//! `#[process]`: makes a struct a process.

mod ast;
mod expand;
mod model;

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;

/// Syntax, then checked facts, then code. The struct itself is always emitted.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let options = ast::Options::parse(options, &mut errors);
    let Ok(input) = syn::parse2(item.clone()) else {
        errors.error(&item, "`#[process]` goes on a struct");
        return [item, errors.finish()].into_iter().collect();
    };
    let model = model::build(options, input, &mut errors);
    [expand::expand(&model), errors.finish()].into_iter().collect()
}
