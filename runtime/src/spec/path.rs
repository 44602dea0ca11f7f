//! Dotted names of ports.

use super::validate::Fault;

/// Where a walk through a namespace stands. It becomes text only where something is to be said.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The namespace that the walk began in.
    Root,
    /// Below another one.
    Below(&'a Path<'a>, &'a str),
}

impl<'a> Path<'a> {
    pub(super) fn join(&'a self, name: &'a str) -> Path<'a> {
        Path::Below(self, name)
    }

    /// The names from the root, with dots between.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Below(parent, name) => join(&parent.text(), name),
        }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(&self.text(), message)
    }
}

pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// The first name, and the others.
pub(super) fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)))
}
