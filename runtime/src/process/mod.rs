//! What a process is: its traits, its states, the machine that moves it, and what its steps see.

mod arguments;
mod child;
mod context;
mod effects;
mod fields;
mod hooks;
mod id;
mod machine;
mod next;
mod outcome;
mod progress;
mod state;
mod step;

pub use arguments::{Argument, ArgumentOf, all_taken, argument};
pub use child::{Child, ChildError};
pub use context::{CallHandle, Cx, Launcher};
pub use fields::{ContextError, FieldReader, FieldWriter, Saved, SavedField, Storable, saved};
pub use hooks::{Hooks, Transition};
pub use id::ProcessId;
pub use machine::{Action, Event, Machine, Request};
pub use next::{Ahead, HandOver, Next, PointError, StepEnd};
pub use outcome::{Exited, Outcome};
pub use progress::Progress;
pub use state::{Ended, ErrorInfo, ProcessState, Termination};
pub use step::{
    AtOnce, Bare, IntoTruth, OutputPorts, Predicate, RefBare, RefWithCx, Shape, StepReturn, ViaFuture, ViaValue,
    WithCx, Yields, at_once, blocking, call, holds, output_hash, returned, tag, truth, without_step, yielded,
    yielded_one,
};

pub(crate) use child::{Slot, SlotCollector};
pub(crate) use context::{CxCore, Env, Has};
pub(crate) use effects::{Call, Cleanup, Collected, Effects, Exclusive, Launched};
pub(crate) use next::{Hand, Resumed};
pub(crate) use progress::{Board, Told};

use std::future::Future;
use std::pin::Pin;

use crate::outline::Outline;
use crate::spec::Spec;

/// Any error, as steps return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The one future type of all object-safe traits of this crate.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A durable process: a struct whose fields are saved after each step. `#[process]` writes this.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a process", label = "annotate the struct with `#[process]`")]
pub trait Process: Flow + Hooks + Default + Send {
    /// The name under which it is registered and stored, `crate::Type` by default.
    const NAME: &'static str;
    /// Other names under which it is found: old ones, and those of Python peers.
    const ALSO: &'static [&'static str] = &[];
    /// The version of its saved form.
    const VERSION: u32 = 1;
    /// The names of the saved fields, for the schema fingerprint.
    const FIELDS: &'static [&'static str];
    /// The resources it needs, checked when it is registered.
    const NEEDS: &'static [Need] = &[];

    /// Writes the saved fields.
    ///
    /// # Errors
    /// A field that refuses to be written.
    fn save(&self, fields: &mut FieldWriter<'_>) -> Result<(), ContextError>;

    /// Reads the saved fields; those that are not saved start from their defaults.
    ///
    /// # Errors
    /// A field that is missing, unknown or of another type.
    fn load(fields: FieldReader<'_>) -> Result<Self, ContextError>;
}

/// Asserts that `P` is a process; expansions of `outline!` and `steps!` call it.
pub fn is_process<P: Process>() {}

/// A resource that a process needs, by type.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub(crate) id: fn() -> std::any::TypeId,
    pub(crate) name: fn() -> &'static str,
}

impl Need {
    /// The need for a resource of type `T`.
    pub const fn of<T: Send + Sync + 'static>() -> Self {
        Self { id: std::any::TypeId::of::<T>, name: std::any::type_name::<T> }
    }
}

/// That a process declares its need for the resource `T`, so that [`Cx::resource`] can give it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare that it needs the resource `{T}`",
    label = "add it: `#[process(needs({T}))]`"
)]
pub trait Needs<T> {}

/// The control flow of a process. `outline!` or `steps!` writes this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `outline!` or `steps!`",
    label = "write `outline! {{ {Self} {{ … }} }}` or `steps! {{ {Self} {{ … }} }}` in the module of the struct"
)]
pub trait Flow: Spec {
    /// A program point: one variant per step in the outline, with its arguments where there are some.
    type Point: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What [`Cx::next`] gives: a step hands over by it.
    type Next: HandOver;
    /// What [`Cx::wait`] gives: a step waits by it.
    type Wait: HandOver;

    /// The outline; a process of `steps!` has none.
    const OUTLINE: Option<&'static Outline> = None;
    /// The stored names of all program points.
    const POINTS: &'static [&'static str];

    /// The stored name of a point.
    fn point_name(point: &Self::Point) -> &'static str;

    /// The arguments of a point, by name.
    ///
    /// # Errors
    /// An argument that cannot be written as JSON.
    fn point_arguments(point: &Self::Point) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
        let _ = point;
        Ok(serde_json::Map::new())
    }

    /// The point with a stored name and arguments.
    ///
    /// # Errors
    /// No point has the name, or an argument is missing or of another type.
    fn point(name: &str, arguments: serde_json::Map<String, serde_json::Value>) -> Result<Self::Point, PointError>;

    /// The name of the argument that takes the value of a resume, where a wait leads to the named point.
    fn resume_argument(name: &str) -> Option<&'static str> {
        let _ = name;
        None
    }

    /// What comes after a point, or first: evaluates predicates, changes nothing. Without an outline it may be asked what comes first
    /// by a launch that finds its key taken, too.
    ///
    /// # Errors
    /// A predicate that failed, or a loop that goes round without a step.
    fn ahead(&self, cx: &Cx<Self>, after: Option<&Self::Point>) -> Result<Ahead<Self::Point>, BoxError>;

    /// Runs the step at a point.
    fn step<'a>(&'a mut self, cx: &'a mut Cx<Self>, at: Self::Point) -> BoxFuture<'a, StepEnd<Self>>;
}
