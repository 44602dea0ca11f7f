//! Taking over the ports of another process: including, excluding, overriding.

use super::namespace::{Entry, PortNamespace};
use super::path::join;
use super::validate::Fault;
use crate::text::suggest;

/// Which ports of another process are exposed; names may be dotted.
///
/// A rule that names a namespace is one about all of it. No rules take everything (S85).
#[derive(Debug, Clone, Copy, Default)]
pub struct Expose {
    /// Only these; all where empty.
    pub include: &'static [&'static str],
    /// All but these.
    pub exclude: &'static [&'static str],
}

impl Expose {
    /// Whether the entry is wanted, and the rules for what is below it.
    ///
    /// Names are compared whole, part by part (S86 compares prefixes of text, a quirk).
    pub(super) fn keeps(&self, path: &str, is_leaf: bool) -> bool {
        let covers =
            |rule: &&'static str| path == *rule || path.strip_prefix(*rule).is_some_and(|rest| rest.starts_with('.'));
        let leads = |rule: &&'static str| rule.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        if self.exclude.iter().any(covers) {
            return false;
        }
        self.include.is_empty() || self.include.iter().any(covers) || (!is_leaf && self.include.iter().any(leads))
    }

    /// What is wrong with the rules.
    fn mistakes(&self, source: &PortNamespace) -> Vec<Fault> {
        let mut mistakes = Vec::new();
        if !self.include.is_empty() && !self.exclude.is_empty() {
            mistakes.push(Fault::new("", "ports are exposed by either `include` or `exclude`, not both"));
        }
        let paths = source.paths();
        for (word, rule) in
            self.include.iter().map(|rule| ("include", rule)).chain(self.exclude.iter().map(|rule| ("exclude", rule)))
        {
            if !paths.iter().any(|path| path == rule) {
                let near = suggest(rule, paths.iter().map(String::as_str));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                mistakes.push(Fault::new("", format!("`{word}` names `{rule}`, which is not exposed here{near}")));
            }
        }
        mistakes
    }
}

impl PortNamespace {
    /// Takes over the ports of another namespace (S85).
    ///
    /// The rules name ports from the root of `other`; a name that is not there is a mistake of the declaration.
    /// Ports are copied: what becomes of this namespace does not change `other`. Own ports of the same name are
    /// replaced, others stay.
    /// An attribute (help, required, dynamic, default, filling in of defaults) that is set here stays, before or after;
    /// one that is not is that of `other`.
    /// Validators of `other` come along only if all its ports do: they are written for the whole. So does its default.
    pub fn absorb(mut self, other: &PortNamespace, rules: Expose) -> Self {
        self.mistakes.extend(rules.mistakes(other));
        let before = other.count();
        let kept: Vec<Entry> = other.entries.iter().filter_map(|entry| filter(entry, "", rules)).collect();
        let whole = kept.iter().map(count).sum::<usize>() == before;
        for entry in kept {
            self.replace(entry);
        }
        if whole {
            self.checks.extend(other.checks.iter().cloned());
            self.default = self.default.or_else(|| other.default.clone());
        }
        self.dynamic = self.dynamic.or(other.dynamic);
        self.required = self.required.or(other.required);
        self.populate_defaults = self.populate_defaults.or(other.populate_defaults);
        if self.help.is_empty() {
            self.help = other.help;
        }
        self
    }

    /// The number of entries on all levels.
    fn count(&self) -> usize {
        self.entries.iter().map(count).sum()
    }

    fn replace(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.name() == entry.name()) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }
}

fn count(entry: &Entry) -> usize {
    match entry {
        Entry::Port(_) => 1,
        Entry::Namespace(namespace) => 1 + namespace.count(),
    }
}

fn filter(entry: &Entry, parent: &str, rules: Expose) -> Option<Entry> {
    let path = join(parent, entry.name());
    match entry {
        Entry::Port(_) => rules.keeps(&path, true).then(|| entry.clone()),
        Entry::Namespace(namespace) => {
            let mut kept = namespace.clone();
            kept.entries = namespace.entries.iter().filter_map(|entry| filter(entry, &path, rules)).collect();
            // A validator reads the whole namespace, also what is further below.
            if kept.count() != namespace.count() {
                kept.checks.clear();
                kept.default = None;
            }
            rules.keeps(&path, false).then_some(Entry::Namespace(kept))
        }
    }
}
