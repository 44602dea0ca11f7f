//! The outputs of a child that go into a namespace of its parent.

use serde_json::{Map, Value};
use std::any::TypeId;

use super::absorb::Expose;
use super::namespace::{Entry, PortNamespace};
use super::path::join;
use super::validate::{Direction, Fault, SpecError};
use super::{ProcessSpec, Spec, spec_of};
use crate::process::Ended;

/// Whose outputs a namespace exposes, and which of them.
#[derive(Clone, Copy)]
pub(super) struct Exposure {
    process: TypeId,
    rules: Expose,
}

impl PortNamespace {
    /// Takes over the outputs of another process, as [`absorb`](Self::absorb) does, and keeps the rules:
    /// [`Cx::forward`](crate::Cx::forward) and `=> namespace from child` forward those outputs and no others.
    pub fn expose_outputs<C: Spec>(self, rules: Expose) -> Self {
        let mut exposing = self.absorb(spec_of::<C>().outputs(), rules);
        exposing.exposed.push(Exposure { process: TypeId::of::<C>(), rules });
        exposing
    }

    /// The rules by which it exposes the outputs of a process; none keep all.
    fn exposure<C: Spec>(&self) -> Expose {
        let of = TypeId::of::<C>();
        self.exposed.iter().find(|known| known.process == of).map(|known| known.rules).unwrap_or_default()
    }

    /// The values that the rules keep. What is not declared belongs to the namespace that it is in.
    fn keep(&self, values: &Map<String, Value>, parent: &str, rules: Expose) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, value) in values {
            let path = join(parent, name);
            let value = match (self.entry(name), value) {
                (Some(Entry::Port(_)), _) if !rules.keeps(&path, true) => continue,
                (Some(Entry::Namespace(_)), _) if !rules.keeps(&path, false) => continue,
                (Some(Entry::Namespace(inner)), Value::Object(values)) => {
                    Value::Object(inner.keep(values, &path, rules))
                }
                _ => value.clone(),
            };
            kept.insert(name.clone(), value);
        }
        kept
    }

    /// The same ports, without what is asked of a namespace as a whole.
    fn without_checks(&self) -> Self {
        let mut bare = self.clone();
        bare.checks.clear();
        for entry in &mut bare.entries {
            if let Entry::Namespace(inner) = entry {
                *inner = inner.without_checks();
            }
        }
        bare
    }
}

impl ProcessSpec {
    /// The outputs of a child that go into a namespace, validated one by one: others of the namespace may come from
    /// elsewhere, so that what is required, and what is asked of all of them together, is for the end of the process.
    ///
    /// # Errors
    /// There is no such output, or a value does not fit; or the child did not finish normally, and is without an
    /// output that is required.
    pub(crate) fn forwarded<C: Spec>(
        &self,
        namespace: &str,
        outputs: &Map<String, Value>,
        ended: &Ended,
    ) -> Result<Map<String, Value>, SpecError> {
        let child = spec_of::<C>().outputs();
        let rules = match self.outputs.get(namespace) {
            Some(Entry::Namespace(into)) => into.exposure::<C>(),
            _ => Expose::default(),
        };
        let kept = Value::Object(child.keep(outputs, "", rules));
        let mut faults = Vec::new();
        self.outputs.without_checks().check_at(namespace, &kept, &mut faults);
        let is_of_child = |fault: &Fault| {
            let path = fault.path().strip_prefix(namespace).unwrap_or_default().trim_start_matches('.');
            child.get(path).is_some() && rules.keeps(path, true)
        };
        let faults = faults.into_iter().filter_map(|fault| match ended {
            _ if !fault.is_missing() => Some(fault),
            Ended::Finished { .. } => None,
            ended if is_of_child(&fault) => {
                Some(Fault::new(fault.path(), format!("{}: the child ended {}", fault.message(), manner(ended))))
            }
            _ => None,
        });
        SpecError::check(self.process, Direction::Outputs, faults.collect())?;
        Ok(match kept {
            Value::Object(kept) => kept,
            _ => Map::new(),
        })
    }
}

fn manner(ended: &Ended) -> String {
    match ended {
        Ended::Exited { exit } => format!("with `{} ({})`", exit.name, exit.number),
        other => format!("as {other}"),
    }
}
