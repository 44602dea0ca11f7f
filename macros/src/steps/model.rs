//! Steps, checked.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, GenericParam, Generics, Type, WherePredicate};

use super::ast::{self, Ast};
use crate::diag::Diagnostics;
use crate::flow::{Facade, Target, variants};
use crate::tokens::plain;

/// The most arguments of a step: what calls are implemented for.
const ARGUMENTS: usize = 8;

/// The facts.
pub(crate) struct Model {
    pub(crate) facade: Facade,
    pub(crate) target: Target,
    pub(crate) steps: Vec<Step>,
    /// The generics of the enum of points: the parameters that arguments use.
    pub(crate) generics: Generics,
}

/// A step.
pub(crate) struct Step {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) blocking: bool,
    pub(crate) name: Ident,
    pub(crate) stored: String,
    pub(crate) variant: Ident,
    pub(crate) arguments: Vec<Argument>,
}

/// An argument.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) stored: String,
    pub(crate) ty: Type,
}

/// Checks the steps.
pub(crate) fn build(facade: Facade, ast: Ast, errors: &mut Diagnostics) -> Model {
    if ast.steps.is_empty() && errors.is_empty() {
        errors.error_at(ast.braces, "expected a step: the first one starts the process, as in `run;`");
    }
    start(&ast.steps, errors);
    let mut steps: Vec<Step> = Vec::new();
    for step in ast.steps {
        let stored = plain(&step.name);
        if steps.iter().any(|known| known.stored == stored) {
            errors.error(&step.name, format!("step `{stored}` is declared twice"));
            continue;
        }
        let arguments = arguments(&step, errors);
        let ast::Step { docs, blocking, name, .. } = step;
        steps.push(Step { docs, blocking, variant: name.clone(), name, stored, arguments });
    }
    let variants = variants(steps.iter().map(|step| step.stored.as_str()));
    steps.iter_mut().zip(variants).for_each(|(step, variant)| step.variant = variant);
    let generics = used(&ast.target.generics, &steps);
    Model { facade, target: ast.target, steps, generics }
}

/// The first step starts the process, so nobody gives it arguments.
fn start(steps: &[ast::Step], errors: &mut Diagnostics) {
    if let Some(argument) = steps.first().and_then(|step| step.arguments.first().map(|argument| (step, argument))) {
        let (step, argument) = argument;
        let message = format!("`{}` starts the process, so it has no arguments; it reads the inputs", step.name);
        errors.error(&argument.name, message);
    }
}

/// Arguments have different names, and are not more than a call can take.
fn arguments(step: &ast::Step, errors: &mut Diagnostics) -> Vec<Argument> {
    let mut checked: Vec<Argument> = Vec::new();
    for ast::Argument { name, ty } in &step.arguments {
        let stored = plain(name);
        if checked.iter().any(|known| known.stored == stored) {
            errors.error(name, format!("argument `{stored}` is declared twice"));
        } else if let Type::Reference(borrowed) = ty {
            let message = format!("argument `{stored}` is saved with the step, so it cannot be borrowed");
            errors.error(borrowed, message);
        } else if checked.len() == ARGUMENTS {
            let message = format!("a step has at most {ARGUMENTS} arguments; put some of them into a struct");
            errors.error(name, message);
        } else {
            checked.push(Argument { name: name.clone(), stored, ty: ty.clone() });
        }
    }
    checked
}

/// The generics without the parameters that no argument uses: an enum cannot have those.
fn used(generics: &Generics, steps: &[Step]) -> Generics {
    let types: TokenStream =
        steps.iter().flat_map(|step| &step.arguments).map(|argument| argument.ty.to_token_stream()).collect();
    let (kept, dropped): (Vec<GenericParam>, Vec<GenericParam>) =
        generics.params.iter().cloned().partition(|param| mentions(types.clone(), &[name(param)]));
    let dropped: Vec<String> = dropped.iter().map(name).collect();
    let mut used = generics.clone();
    used.params = kept.into_iter().collect();
    if let Some(clause) = &mut used.where_clause {
        let fits = |predicate: &&WherePredicate| !mentions(predicate.to_token_stream(), &dropped);
        clause.predicates = clause.predicates.iter().filter(fits).cloned().collect();
    }
    used
}

fn name(param: &GenericParam) -> String {
    match param {
        GenericParam::Type(param) => param.ident.to_string(),
        GenericParam::Const(param) => param.ident.to_string(),
        GenericParam::Lifetime(param) => param.lifetime.to_string(),
    }
}

fn mentions(tokens: TokenStream, names: &[String]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name.as_str()),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}
