//! An outline as it is written.

use proc_macro2::{Ident, Span};
use syn::{Attribute, LitStr};

use crate::flow::Target;

/// The whole macro.
pub(crate) struct Ast {
    pub(crate) target: Target,
    pub(crate) body: Block,
}

/// `{ … }`.
pub(crate) struct Block {
    pub(crate) nodes: Vec<Node>,
    /// The place of the opening brace, for what is wrong with the whole block.
    pub(crate) open: Span,
    /// The place of the closing brace: where the block ends.
    pub(crate) close: Span,
}

/// One instruction.
pub(crate) enum Node {
    Step(Step),
    If { branches: Vec<Branch>, otherwise: Option<Block>, word: Ident },
    While(Branch),
    Return(Return),
}

/// `blocking name as "label" => outputs`.
pub(crate) struct Step {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) blocking: bool,
    pub(crate) name: Ident,
    pub(crate) label: Option<LitStr>,
    pub(crate) outputs: Vec<Output>,
}

/// `name`, `namespace.name` or `namespace from field`.
pub(crate) struct Output {
    pub(crate) path: Vec<Ident>,
    pub(crate) from: Option<Vec<Ident>>,
}

/// `word(predicate) { … }`.
pub(crate) struct Branch {
    pub(crate) word: Ident,
    pub(crate) predicate: Ident,
    pub(crate) body: Block,
}

/// `return_` or `return_(Exit)`.
pub(crate) struct Return {
    pub(crate) word: Ident,
    pub(crate) exit: Option<Ident>,
}

impl Node {
    /// Its first token, for errors.
    pub(crate) fn token(&self) -> &Ident {
        match self {
            Self::Step(step) => &step.name,
            Self::If { word, .. } => word,
            Self::While(branch) => &branch.word,
            Self::Return(end) => &end.word,
        }
    }
}
