//! `impl Spec`: the description at run time, and the registration of exposed processes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use std::collections::BTreeSet;
use syn::{Expr, ExprUnary, Ident, UnOp};

use super::{Names, at};
use crate::spec::ast::Check;
use crate::spec::model::{Exposed, Kind, Namespace, Node, Port, Presence, Value};

pub(super) fn expand(names: &Names<'_>) -> TokenStream {
    let (private, process, model) = (&names.private, &names.process, names.model);
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    let (inputs, outputs) = (names.apply(&model.inputs.type_name, &[]), names.apply(&model.outputs.type_name, &[]));
    let exit = format_ident!("{}Exit", model.name);
    let (name, help) = (&model.name, model.docs.text());
    let help = (!help.is_empty()).then(|| quote!(.with_help(#help)));
    let [input_ports, output_ports] = [(&model.inputs, false, "inputs"), (&model.outputs, true, "outputs")]
        .map(|(namespace, outputs, name)| fill(names, quote!(#private::PortNamespace::new(#name)), namespace, outputs));
    let register = register(names);
    let (streams, stream_ports) = (super::streams::told(names), super::streams::described(names));
    // At the name of the process: whether the values go between threads is asked here, of all ports together.
    let place = model.process.to_token_stream();
    let [input_values, output_values] = [&inputs, &outputs].map(|values| at(&place, values.clone()));
    quote! {
        impl #declare #private::Spec for #process #where_clause {
            type Inputs = #input_values;
            type Outputs = #output_values;
            type Exit = #exit;
            fn build_spec() -> #private::ProcessSpec {
                #private::editor! { { ::core::unimplemented!() } {
                    // A path that begins elsewhere, with `$crate`, would lose its caret.
                    #[allow(unused_imports)]
                    use #private::ports::{self as __ports, ViaNothing as _, ViaSchema as _};
                    #private::ProcessSpec::new(#name)
                        #help
                        .with_inputs(#input_ports)
                        .with_outputs(#output_ports)
                        .with_exits::<#exit>()
                        #stream_ports
                } }
            }
            #streams
            #register
        }
    }
}

fn register(names: &Names<'_>) -> Option<TokenStream> {
    let (private, mut seen) = (&names.private, BTreeSet::new());
    let new = |exposed: &&Exposed| seen.insert(exposed.path.to_token_stream().to_string());
    let paths: Vec<_> = names.model.exposes.iter().filter(new).map(|exposed| &exposed.path).collect();
    let registry = Ident::new("registry", Span::mixed_site());
    (!paths.is_empty()).then(|| {
        quote! {
            fn register_exposed(#registry: &mut #private::RegistryBuilder) { #(#registry.register::<#paths>();)* }
        }
    })
}

/// Puts ports into a namespace, and its validators around it.
fn fill(names: &Names<'_>, mut tokens: TokenStream, namespace: &Namespace, outputs: bool) -> TokenStream {
    let mut absorbed = BTreeSet::new();
    for node in &namespace.nodes {
        match node.exposed.and_then(|index| names.model.exposes.get(index).map(|exposed| (index, exposed))) {
            Some((index, exposed)) => {
                if absorbed.insert(index) {
                    tokens.extend(absorb(names, exposed));
                }
            }
            None => tokens = entry(names, &tokens, node, outputs),
        }
    }
    check_all(tokens, &names.apply(&namespace.type_name, &[]), &namespace.checks)
}

fn absorb(names: &Names<'_>, exposed: &Exposed) -> TokenStream {
    let (private, path, include, exclude) = (&names.private, &exposed.path, &exposed.include, &exposed.exclude);
    let rules = quote!(#private::Expose { include: &[#(#include),*], exclude: &[#(#exclude),*] });
    if exposed.outputs {
        quote!(.expose_outputs::<#path>(#rules))
    } else {
        quote!(.absorb(#private::spec_of::<#path>().inputs(), #rules))
    }
}

fn options(help: &str, optional: bool) -> TokenStream {
    let help = (!help.is_empty()).then(|| quote!(.with_help(#help)));
    let optional = optional.then(|| quote!(.optional()));
    quote!(#help #optional)
}

/// A namespace with a port or namespace of this process's own.
fn entry(names: &Names<'_>, tokens: &TokenStream, node: &Node, outputs: bool) -> TokenStream {
    let (private, name) = (&names.private, node.plain());
    match &node.kind {
        Kind::Port(known) => {
            let port = port(names, node, known, outputs);
            quote!(#tokens.port(#port))
        }
        Kind::Dynamic(Value { ty, text }) => {
            let (port, options) = (names.port(node, outputs), options(&node.help, false));
            let schema = schema(names, &quote!(<<#port as #private::Declared>::Value as #private::Dynamic>::Item));
            let namespace = quote!(#private::ports::dynamic::<#port>(#name, #text, #schema) #options);
            let namespace = check_all(namespace, &super::values::map_of(ty), &node.checks);
            quote!(#tokens.namespace(#namespace))
        }
        Kind::Rest(Value { text, .. }) => {
            let port = names.port(node, outputs);
            let schema = schema(names, &quote!(<<#port as #private::Declared>::Value as #private::Dynamic>::Item));
            quote!(#private::ports::dynamic_in::<#port>(#tokens, #text, #schema))
        }
        Kind::Namespace(inner) => {
            let options = options(&node.help, inner.optional);
            let namespace = fill(names, quote!(#private::PortNamespace::new(#name) #options), inner, outputs);
            quote!(#tokens.namespace(#namespace))
        }
    }
}

/// What JSON Schema says about a type, if it says anything: the compiler chooses by the number of references.
fn schema(names: &Names<'_>, ty: &TokenStream) -> TokenStream {
    let private = &names.private;
    quote!((&#private::ports::Probe::<#ty>::new()).schema())
}

fn port(names: &Names<'_>, node: &Node, port: &Port, outputs: bool) -> TokenStream {
    let private = &names.private;
    let (name, text, declared) = (node.plain(), &port.value.text, names.port(node, outputs));
    let options = options(&node.help, port.presence == Presence::Optional);
    let schema = schema(names, &quote!(<#declared as #private::Declared>::Value));
    let mut tokens = quote!(#private::ports::port::<#declared>(#name, #text, #schema) #options);
    if let Some(default) = &port.default {
        let ty = &port.value.ty;
        let value = if port.is_string { quote!(::core::convert::Into::<#ty>::into(#default)) } else { default.clone() };
        let with = if is_fixed(default) { quote!(with_default_value) } else { quote!(with_default) };
        tokens = quote! {
            #private::ports::#with::<#declared>(
                #tokens,
                || -> #ty { #value },
            )
        };
    }
    for Check { function, message } in &node.checks {
        tokens = if let Some(message) = message {
            let callee = at(function, quote!(__ports::with_predicate::<#declared>));
            quote!(#callee(#tokens, #function, #message))
        } else {
            let callee = at(function, quote!(__ports::with_check::<#declared, _>));
            quote!(#callee(#tokens, #function))
        };
    }
    tokens
}

/// Whether a default is the same at each launch: constants, and what operators make of them. Whatever calls something
/// is computed.
fn is_fixed(default: &TokenStream) -> bool {
    fn fixed(expression: &Expr) -> bool {
        match expression {
            Expr::Lit(_) | Expr::Path(_) => true,
            Expr::Unary(ExprUnary { op: UnOp::Neg(_) | UnOp::Not(_), expr, .. }) => fixed(expr),
            Expr::Binary(binary) => fixed(&binary.left) && fixed(&binary.right),
            Expr::Paren(inner) => fixed(&inner.expr),
            Expr::Group(inner) => fixed(&inner.expr),
            Expr::Cast(cast) => fixed(&cast.expr),
            Expr::Array(array) => array.elems.iter().all(fixed),
            Expr::Tuple(tuple) => tuple.elems.iter().all(fixed),
            Expr::Call(call) => {
                let is_some = matches!(&*call.func, Expr::Path(path) if path.path.is_ident("Some"));
                is_some && call.args.iter().all(fixed)
            }
            _ => false,
        }
    }
    syn::parse2::<Expr>(default.clone()).is_ok_and(|expression| fixed(&expression))
}

/// Validators of a whole namespace.
fn check_all(mut tokens: TokenStream, ty: &TokenStream, checks: &[Check]) -> TokenStream {
    for Check { function, message } in checks {
        tokens = if let Some(message) = message {
            let callee = at(function, quote!(__ports::all_with_predicate::<#ty>));
            quote!(#callee(#tokens, #function, #message))
        } else {
            let callee = at(function, quote!(__ports::all_with_check::<#ty, _>));
            quote!(#callee(#tokens, #function))
        };
    }
    tokens
}
