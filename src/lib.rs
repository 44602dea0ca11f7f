#![doc = include_str!("../README.md")]

#[doc = include_str!("../docs/process.md")]
pub use procession_macros::process;
pub use procession_runtime::*;

/// The error that steps return: anything that is an error.
///
/// It takes every error by `?`, and therefore is none itself; the errors of the library are [`RunError`] and its sources.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;

/// The result of the library's own calls.
pub type Result<T, E = RunError> = std::result::Result<T, E>;

#[doc = include_str!("../docs/spec.md")]
#[macro_export]
macro_rules! spec {
    ($($tokens:tt)*) => { $crate::__private::macros::spec! { [$crate] $($tokens)* } };
}

#[doc = include_str!("../docs/outline.md")]
#[macro_export]
macro_rules! outline {
    ($($tokens:tt)*) => { $crate::__private::macros::outline! { [$crate] $($tokens)* } };
}

#[doc = include_str!("../docs/steps.md")]
#[macro_export]
macro_rules! steps {
    ($($tokens:tt)*) => { $crate::__private::macros::steps! { [$crate] $($tokens)* } };
}

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(doc)]
#[doc = include_str!("../docs/communicator.md")]
pub mod communicating {}

#[cfg(doc)]
#[doc = include_str!("../docs/stores.md")]
pub mod storing {}

#[cfg(doc)]
#[doc = include_str!("../docs/workers.md")]
pub mod working {}

#[cfg(doc)]
#[doc = include_str!("../docs/parity.md")]
pub mod parity {}

#[cfg(doc)]
#[doc = include_str!("../docs/compile-errors.md")]
pub mod compile_errors {}

#[doc(hidden)]
pub mod __private {
    pub use procession_macros as macros;
    pub use procession_runtime::__private::*;
}

/// What most users need: `use procession::prelude::*;`. It shadows nothing of the standard prelude.
pub mod prelude {
    pub use crate::spec::{ExitCodes as _, Launch as _};
    pub use crate::{
        Child, Cx, Next, Outcome, Process, ProcessId, ProcessState, Runtime, StepError, outline, process, spec, steps,
    };
}
