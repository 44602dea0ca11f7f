//! `outline!`: the control flow of a process.
//!
//! ```text
//! outline! { <T: Bound> Name<T> where … {
//!     step;                                   // `fn step(&mut self, …)` of the process
//!     blocking step;                          // a plain `fn` that may block its thread
//!     step as "stored name";                  // a program point that keeps its name when the outline changes
//!     step => output, namespace.output;       // the step returns the value, or the tuple of values
//!     step => namespace from child;           // the outputs of the child in this field
//!     if_(predicate) { … } elif_(predicate) { … } else_ { … }
//!     while_(predicate) { … }
//!     return_;   return_(ExitCode);
//! }}
//! ```

mod ast;
mod ends;
mod expand;
mod machine;
mod model;
mod names;
mod parse;

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;
use crate::flow::Facade;
use crate::tokens::split_facade;

/// Syntax, then checked facts, then code. With errors the code keeps its types, and its bodies are for editors only.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (facade, tokens) = split_facade(input);
    let mut errors = Diagnostics::default();
    let Some(ast) = parse::outline(tokens, &mut errors) else {
        return errors.finish();
    };
    let model = model::build(Facade(facade), ast, &mut errors);
    let code = if errors.is_empty() { expand::expand(&model) } else { expand::recovered(&model) };
    [code, errors.finish()].into_iter().collect()
}
