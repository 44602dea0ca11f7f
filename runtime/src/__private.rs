//! What expanded code may call, and the command line. Not part of the public API: outside of semver.

pub use crate::__procession_collect as collect;
pub use crate::__procession_editor as editor;
pub use crate::limits::ROUNDS_WITHOUT_STEP;
pub use crate::outline::{Branch, Node, Outline, Step};
pub use crate::process::{
    Ahead, Argument, Bare, BoxError, BoxFuture, ContextError, Cx, FieldReader, FieldWriter, Flow, HandOver, Hooks,
    Need, Needs, Next, PointError, Process, Saved, StepEnd, StepReturn, ViaFuture, ViaValue, all_taken, argument,
    at_once, blocking, call, holds, is_process, output_hash, returned, saved, tag, truth, without_step, yielded,
    yielded_one,
};
pub use crate::registry::RegistryBuilder;
#[cfg(feature = "conformance")]
pub use crate::runner::kinds::{run_errors, store_error_kinds};
pub use crate::spec::expanded as ports;
pub use crate::spec::{
    Declared, Dynamic, ExposedOutputs, In, Input, NoOutputs, Out, Output, OutputTable, OutputsOf, PortType, assert_set,
};
pub use crate::spec::{
    Excluded, ExitCode, ExitCodes, Expose, InputMap, Launch, OutputInfo, Port, PortNamespace, PortReader, PortValues,
    PortWriter, ProcessSpec, Set, Spec, SpecError, StreamPort, Supply, Unset, spec_of,
};
pub use crate::stream::{Carries, Incoming, Outgoing, Stream, Wire, Wired};
pub use crate::text::suggest;
#[cfg(feature = "collect")]
pub use ::inventory;
pub use ::serde;
pub use ::serde_json;

/// Code for editors, and the same code for the compiler.
///
/// An editor finds one definition of a user's token where only that token stands at the user's place; the compiler's
/// caret is exact where the whole call stands there. The choice is made here and not in the expansion: `cfg` of a name
/// that the user's crate does not declare would warn there.
#[doc(hidden)]
#[cfg(rust_analyzer)]
#[macro_export]
macro_rules! __procession_editor {
    ({ $($editor:tt)* } { $($compiler:tt)* }) => { $($editor)* };
}

/// Code for editors, and the same code for the compiler.
#[doc(hidden)]
#[cfg(not(rust_analyzer))]
#[macro_export]
macro_rules! __procession_editor {
    ({ $($editor:tt)* } { $($compiler:tt)* }) => { $($compiler)* };
}

/// Makes a process known to `register_collected()`, where that is asked for.
#[doc(hidden)]
#[cfg(feature = "collect")]
#[macro_export]
macro_rules! __procession_collect {
    ($process:ty) => {
        const _: () = {
            $crate::__private::inventory::submit! { $crate::registry::Collected::of::<$process>() }
        };
    };
}

/// Makes a process known to `register_collected()`, where that is asked for.
#[doc(hidden)]
#[cfg(not(feature = "collect"))]
#[macro_export]
macro_rules! __procession_collect {
    ($process:ty) => {};
}
