//! Steps as they are written.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Type};

use crate::flow::Target;

/// The whole macro.
pub(crate) struct Ast {
    pub(crate) target: Target,
    pub(crate) steps: Vec<Step>,
    /// The place of the opening brace.
    pub(crate) open: Span,
}

/// `blocking name(argument: Type)`.
pub(crate) struct Step {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) blocking: bool,
    pub(crate) name: Ident,
    pub(crate) arguments: Vec<Argument>,
}

/// `name: Type`.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}
