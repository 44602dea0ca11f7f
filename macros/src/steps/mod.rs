//! `steps!`: the steps of a process that has no outline; each hands over to the next by a typed call.
//!
//! ```text
//! steps! { <T: Bound> Name<T> where … {
//!     run;                                    // the first one starts and has no arguments
//!     after(count: u32, name: String);        // `cx.next().after(1, name)`
//!     resumed(value: Answer);                 // `cx.wait("text").resumed()`: the resume gives the last argument
//!     blocking heavy(n: u8);                  // a plain `fn` that may block its thread
//! }}
//! ```

mod ast;
mod expand;
mod model;
mod parse;

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;
use crate::flow::Facade;
use crate::tokens::split_facade;

/// Syntax, then checked facts, then code. With errors the code keeps its types, and its bodies are for editors only.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (facade, tokens) = split_facade(input);
    let mut errors = Diagnostics::default();
    let Some(ast) = parse::steps(tokens, &mut errors) else {
        return errors.finish();
    };
    let model = model::build(Facade(facade), ast, &mut errors);
    let code = expand::expand(&model, errors.is_empty());
    [code, errors.finish()].into_iter().collect()
}
