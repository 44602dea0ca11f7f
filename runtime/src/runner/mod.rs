//! Runs processes.

mod error;

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

pub use error::RunError;

use crate::process::{Need, Process};
use crate::spec::{ProcessSpec, spec_of};

/// A process type without its type.
pub(crate) trait ProcessType: Send + Sync + 'static {
    fn type_id(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    fn name(&self) -> &'static str;
    fn also(&self) -> &'static [&'static str];
    fn needs(&self) -> &'static [Need];
    fn spec(&self) -> &'static ProcessSpec;
}

impl fmt::Debug for dyn ProcessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub(crate) struct TypeOf<P>(PhantomData<fn() -> P>);

impl<P: Process> TypeOf<P> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: Process> ProcessType for TypeOf<P> {
    fn type_id(&self) -> TypeId {
        TypeId::of::<P>()
    }
    fn type_name(&self) -> &'static str {
        std::any::type_name::<P>()
    }
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn also(&self) -> &'static [&'static str] {
        P::ALSO
    }
    fn needs(&self) -> &'static [Need] {
        P::NEEDS
    }
    fn spec(&self) -> &'static ProcessSpec {
        spec_of::<P>()
    }
}

/// The runtime.
#[derive(Debug)]
pub struct Runtime;
