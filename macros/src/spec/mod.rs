//! `spec!`: parse, check, resolve exposed ports, expand.
//!
//! With `expose` it takes one more phase per exposed process: the process's companion macro is asked for its ports
//! and calls `spec_exposed!` with them.

mod ast;
mod check;
mod companion;
mod expand;
mod model;
mod ports;
mod side;
mod supplied;

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;
use crate::tokens::split_facade;

/// The first phase: all that can be reported without other processes, and the expansion if there are none.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (facade, body) = split_facade(input);
    let mut diagnostics = Diagnostics::default();
    let Some(spec) = ast::parse(body.clone(), &mut diagnostics) else { return diagnostics.finish() };
    check::check(&spec, &mut diagnostics);
    let exposed = expand::editor::exposed(&spec, &facade);
    let expanded = go_on(spec, &facade, &[], &[], &body, &mut diagnostics);
    let errors = diagnostics.finish();
    quote::quote!(#exposed #expanded #errors)
}

/// A later phase: the ports of one more process are known.
pub(crate) fn expand_exposed(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let Some(call) = diagnostics.ok(syn::parse2::<companion::Call>(input)) else { return diagnostics.finish() };
    // The first phase has reported what is wrong here.
    let mut reported = Diagnostics::default();
    let spec = ast::parse(call.body.clone(), &mut reported);
    let _ = reported.finish();
    let Some(spec) = spec else { return diagnostics.finish() };
    let mut listings = Vec::new();
    for known in &call.known {
        listings.extend(diagnostics.ok(syn::parse2::<ports::Listing>(known.clone())));
    }
    let expanded = go_on(spec, &call.facade, &listings, &call.known, &call.body, &mut diagnostics);
    let errors = diagnostics.finish();
    quote::quote!(#expanded #errors)
}

/// Asks for the ports of the next exposed process, or expands if all are known.
fn go_on(
    spec: ast::Spec,
    facade: &TokenStream,
    listings: &[ports::Listing],
    known: &[TokenStream],
    body: &TokenStream,
    diagnostics: &mut Diagnostics,
) -> TokenStream {
    let exposed = model::exposed_processes(&spec);
    if let Some(next) = exposed.get(known.len()) {
        return companion::ask(next, facade, known, body);
    }
    let editor = expand::editor::expand(&spec, facade, listings);
    let model = model::resolve(spec, facade.clone(), listings, diagnostics);
    let companion = companion::define(&model, body);
    let expanded = expand::expand(&model);
    quote::quote!(#editor #expanded #companion)
}
