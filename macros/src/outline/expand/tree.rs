//! The outline as a constant tree.

use proc_macro2::TokenStream;
use quote::quote;

use crate::flow::doc_text;
use crate::outline::model::{Branch, Model, Node, Point};
use crate::tokens::plain;

/// `&Outline { … }`.
pub(super) fn expand(model: &Model) -> TokenStream {
    let body = nodes(model, &model.body);
    quote!(&__private::Outline { body: #body })
}

fn nodes(model: &Model, nodes: &[Node]) -> TokenStream {
    let nodes = nodes.iter().map(|node| self::node(model, node));
    quote!(&[#(#nodes),*])
}

fn node(model: &Model, node: &Node) -> TokenStream {
    match node {
        Node::Step(index) => step(&model.points[*index]),
        Node::If { branches, otherwise } => {
            let branches = branches.iter().map(|branch| self::branch(model, branch));
            let otherwise = nodes(model, otherwise);
            quote!(__private::Node::If { branches: &[#(#branches),*], otherwise: #otherwise })
        }
        Node::While(branch) => {
            let branch = self::branch(model, branch);
            quote!(__private::Node::While(#branch))
        }
        Node::Return { exit: None, line } => {
            quote!(__private::Node::Return { exit: ::core::option::Option::None, line: #line })
        }
        Node::Return { exit: Some(exit), line } => {
            let exit = plain(exit);
            quote!(__private::Node::Return { exit: ::core::option::Option::Some(#exit), line: #line })
        }
    }
}

fn branch(model: &Model, branch: &Branch) -> TokenStream {
    let (predicate, body, line) = (plain(&branch.predicate), nodes(model, &branch.body), branch.line);
    quote!(__private::Branch::new(#predicate, #body, #line))
}

fn step(point: &Point) -> TokenStream {
    let (stored, name, line) = (&point.stored, plain(&point.step), point.line);
    let doc = doc_text(&point.docs);
    let doc = (!doc.is_empty()).then(|| quote!(.doc(#doc)));
    let outputs = point.outputs.iter().map(|output| &output.name);
    let outputs = (!point.outputs.is_empty()).then(|| quote!(.outputs(&[#(#outputs),*])));
    let blocking = point.blocking.then(|| quote!(.blocking()));
    quote!(__private::Node::Step(__private::Step::new(#stored, #name).line(#line)#doc #outputs #blocking))
}
