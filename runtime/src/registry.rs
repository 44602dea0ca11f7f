//! Process types by name and by type.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::process::Process;
use crate::resources::Resources;
use crate::runner::{RunError, TypeOf, caught};
use crate::spec::DeclarationError;

pub(crate) use crate::runner::ProcessType;

/// Collects process types; given to [`Spec::register_exposed`](crate::spec::Spec::register_exposed).
#[derive(Default)]
pub struct RegistryBuilder {
    types: Vec<Arc<dyn ProcessType>>,
}

/// A process that the linker has collected.
#[cfg(feature = "collect")]
#[derive(Debug)]
pub struct Collected {
    register: fn(&mut RegistryBuilder),
}

#[cfg(feature = "collect")]
impl Collected {
    /// The process `P`. Expansions of `#[process]` call it.
    pub const fn of<P: Process>() -> Self {
        Self { register: RegistryBuilder::register::<P> }
    }
}

#[cfg(feature = "collect")]
inventory::collect!(Collected);

/// Why a set of process types cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two types have one name.
    #[error(
        "two processes are named `{name}`: `{first}` and `{second}`; give one of them another with `#[process(name = \"…\")]`, or with `register_as`"
    )]
    Duplicate {
        /// The name.
        name: String,
        /// The type that was registered first.
        first: &'static str,
        /// The other type.
        second: &'static str,
    },
    /// A resource that a process needs was not given.
    #[error(
        "`{process}` needs the resource `{resource}`, which was not given; add `.resource(…)` to the runtime's builder"
    )]
    MissingResource {
        /// The registered name of the process.
        process: &'static str,
        /// The type of the resource.
        resource: &'static str,
    },
    /// The ports of a process are declared wrongly.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
}

impl RegistryBuilder {
    /// Adds a process and those whose ports it exposes. Adding one twice is as adding it once.
    pub fn register<P: Process>(&mut self) {
        if self.types.iter().any(|known| known.type_id() == TypeId::of::<P>()) {
            return;
        }
        self.types.push(Arc::new(TypeOf::<P>::new()));
        P::register_exposed(self);
    }

    /// Adds a process under another name than its own, by which alone it is found and stored: one instantiation of a
    /// generic process, or one whose name another crate has taken. The last name counts.
    pub fn register_as<P: Process>(&mut self, name: &'static str) {
        let process = Arc::new(TypeOf::<P>::named(name));
        if let Some(known) = self.types.iter_mut().find(|known| known.type_id() == TypeId::of::<P>()) {
            *known = process;
            return;
        }
        self.types.push(process);
        P::register_exposed(self);
    }

    /// Adds every process of the binary whose `#[process]` is not on a generic type.
    #[cfg(feature = "collect")]
    pub fn register_collected(&mut self) {
        for collected in inventory::iter::<Collected> {
            (collected.register)(self);
        }
    }

    /// The name of a process with streams, if there is one.
    pub(crate) fn streaming(&self) -> Option<&'static str> {
        streaming(&self.types)
    }

    pub(crate) fn build(self, resources: &Resources) -> Result<Registry, RegistryError> {
        let mut by_name: HashMap<&'static str, Arc<dyn ProcessType>> = HashMap::new();
        let mut by_type = HashMap::new();
        for process in self.types {
            // Validators run on defaults here, and they are user code.
            caught(|| process.spec().verify())
                .unwrap_or_else(|panic| Err(DeclarationError::panicked(process.name(), panic)))?;
            if let Some(need) = process.needs().iter().find(|need| !resources.has((need.id)())) {
                return Err(RegistryError::MissingResource { process: process.name(), resource: (need.name)() });
            }
            for name in std::iter::once(process.name()).chain(process.also().iter().copied()) {
                if let Some(first) = by_name.insert(name, Arc::clone(&process))
                    && first.type_id() != process.type_id()
                {
                    let (first, second) = (first.type_name(), process.type_name());
                    return Err(RegistryError::Duplicate { name: name.to_owned(), first, second });
                }
            }
            by_type.insert(process.type_id(), process);
        }
        Ok(Registry { by_name, by_type })
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.types.iter().map(|process| process.name())).finish()
    }
}

/// The first of them by name, so that always the same is told of.
fn streaming<'a>(types: impl IntoIterator<Item = &'a Arc<dyn ProcessType>>) -> Option<&'static str> {
    let streaming = types.into_iter().filter(|process| !process.spec().streams().is_empty());
    streaming.map(|process| process.name()).min()
}

/// Process types by name and by type; does not change while a runtime lives.
pub(crate) struct Registry {
    by_name: HashMap<&'static str, Arc<dyn ProcessType>>,
    by_type: HashMap<TypeId, Arc<dyn ProcessType>>,
}

impl Registry {
    pub(crate) fn of<P: Process>(&self) -> Result<Arc<dyn ProcessType>, RunError> {
        self.by_type.get(&TypeId::of::<P>()).cloned().ok_or_else(|| self.unknown(P::NAME))
    }

    pub(crate) fn named(&self, name: &str) -> Result<Arc<dyn ProcessType>, RunError> {
        self.by_name.get(name).cloned().ok_or_else(|| self.unknown(name))
    }

    /// The name of a process with streams, if there is one.
    pub(crate) fn streaming(&self) -> Option<&'static str> {
        streaming(self.by_type.values())
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.by_type.values().map(|process| process.name()).collect();
        names.sort_unstable();
        names
    }

    fn unknown(&self, name: &str) -> RunError {
        let near = crate::text::suggest(name, self.by_name.keys().copied());
        RunError::UnknownProcess { name: name.to_owned(), near: near.map(str::to_owned) }
    }
}
