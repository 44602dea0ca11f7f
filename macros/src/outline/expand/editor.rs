//! What an editor reads of an outline.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use crate::flow::{UNKNOWN, allowances};
use crate::outline::model::{Branch, Model, Node, Output};

/// Names every token of the user once, in the order of the text, as what it is: completion, definitions and hover come
/// from here.
///
/// Nothing whose length depends on a user's token stands before it. An editor completes by expanding the macro once
/// more with a longer word, and looks in both expansions at the same place.
pub(super) fn expand(model: &Model) -> TokenStream {
    let allowances = allowances();
    let (impls, _, clause) = model.target.generics.split_for_impl();
    let process = model.target.self_type();
    let nodes = nodes(model, &model.body);
    quote! {
        trait __Outline {
            fn outline(&self);
        }
        #[automatically_derived]
        #allowances
        impl #impls __Outline for #process #clause {
            fn outline(&self) {
                #nodes
            }
        }
    }
}

fn nodes(model: &Model, nodes: &[Node]) -> TokenStream {
    nodes.iter().map(|node| self::node(model, node)).collect()
}

fn node(model: &Model, node: &Node) -> TokenStream {
    match node {
        Node::Step(index) => {
            let (step, outputs) = (&model.points[*index].step, &model.points[*index].outputs);
            let outputs = outputs.iter().map(|output| self::output(model, output));
            quote!(let _ = Self::#step; #(#outputs)*)
        }
        Node::If { branches, otherwise } => {
            let (branches, otherwise) = (branches.iter().map(|each| branch(model, each)), nodes(model, otherwise));
            quote!(#(#branches)* #otherwise)
        }
        Node::While(each) => branch(model, each),
        Node::Return { exit: None, .. } => TokenStream::new(),
        Node::Return { exit: Some(exit), .. } => {
            let (exits, exit) = (model.target.derived("Exit"), known(exit));
            quote!(let _ = #exits::#exit;)
        }
    }
}

fn branch(model: &Model, branch: &Branch) -> TokenStream {
    let (predicate, body) = (known(&branch.predicate), nodes(model, &branch.body));
    quote!(let _ = Self::#predicate; #body)
}

fn output(model: &Model, output: &Output) -> TokenStream {
    let (names, first) = (model.target.hidden("__procession_outputs_"), output.path.first());
    let from = output.from.iter().map(|field| {
        // A field that is still to be written has its dot, so that the editor can offer some.
        if field.is_empty() { quote!(let _ = &self.;) } else { quote!(let _ = &self #(.#field)*;) }
    });
    quote!(let _ = #names::#first; #(#from)*)
}

/// Nothing, where the name is still to be written.
fn known(name: &Ident) -> Option<&Ident> {
    (name != UNKNOWN).then_some(name)
}
