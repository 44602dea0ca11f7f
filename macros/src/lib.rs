//! The macros of procession: `#[process]`, `spec!`, `outline!`, `steps!`.
//!
//! Use them through the facade crate `procession`. Its `spec!`, `outline!` and `steps!` are `macro_rules` that put the
//! facade's own path, `[$crate]`, in front of the tokens, so that a renamed dependency needs no option.

mod diag;
mod flow;
mod outline;
mod process;
mod recover;
mod spec;
mod steps;
mod tokens;

use proc_macro::TokenStream;

/// Makes a struct a process.
#[proc_macro_attribute]
pub fn process(options: TokenStream, item: TokenStream) -> TokenStream {
    process::expand(options.into(), item.into()).into()
}

/// Ports of a process; see `procession::spec!`.
#[proc_macro]
pub fn spec(input: TokenStream) -> TokenStream {
    spec::expand(input.into()).into()
}

/// Second phase of `spec!`, called back by the companion macros of exposed processes.
#[proc_macro]
pub fn spec_exposed(input: TokenStream) -> TokenStream {
    spec::expand_exposed(input.into()).into()
}

/// Control flow of a process; see `procession::outline!`.
#[proc_macro]
pub fn outline(input: TokenStream) -> TokenStream {
    outline::expand(input.into()).into()
}

/// Steps of a process without an outline; see `procession::steps!`.
#[proc_macro]
pub fn steps(input: TokenStream) -> TokenStream {
    steps::expand(input.into()).into()
}
