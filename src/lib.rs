// Where pages lead within this documentation; in the repository they lead from file to file. The first definition counts.
#![doc = "[status]: https://raw.githubusercontent.com/procession-rs/procession/main/docs/pictures/status.svg"]
#![doc = "[run]: https://raw.githubusercontent.com/procession-rs/procession/main/docs/pictures/run.svg"]
#![doc = "[guide]: crate::guide"]
#![doc = "[rabbitmq]: crate::guide::rabbitmq"]
#![doc = "[errors]: crate::guide::errors"]
#![doc = "[compile errors]: crate::compile_errors"]
#![doc = "[trace table]: crate::parity"]
#![doc = "[reference of stores]: crate::storing"]
#![doc = "[reference of workers]: crate::working"]
#![doc = ""]
// Its program needs the command line.
#![cfg_attr(any(not(doctest), feature = "cli"), doc = include_str!("../README.md"))]

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
#[doc = include_str!("../docs/pictures/run.svg")]
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

// Below the macros: an error that shows one of them shows its line.
#[cfg(feature = "mesh")]
pub use procession_transport::mesh;
pub use procession_transport::{self as transport, channel};

#[cfg(doc)]
#[doc = include_str!("../docs/communicator.md")]
pub mod communicating {}

#[cfg(doc)]
#[doc = include_str!("../docs/stores.md")]
pub mod storing {}

#[cfg(doc)]
#[doc = include_str!("../docs/workers.md")]
pub mod working {}

/// What stands for each rule and name of Python's plumpy, plugboard's connectors and mosaic's mesh. The table names items of all features, so it is shown with these.
#[cfg(doc)]
#[cfg_attr(
    all(
        unix,
        feature = "amqp",
        feature = "collect",
        feature = "conformance",
        feature = "mesh",
        feature = "sqlite",
        feature = "zmq"
    ),
    doc = include_str!("../docs/parity.md")
)]
pub mod parity {}

#[cfg(doc)]
#[doc = include_str!("../docs/compile-errors.md")]
pub mod compile_errors {}

/// A page of the guide, with its links as they are in this documentation.
#[cfg(doc)]
macro_rules! page {
    ($page:literal) => {
        concat!(
            "[run]: https://raw.githubusercontent.com/procession-rs/procession/main/docs/pictures/run.svg\n",
            "[first process]: crate::guide::first_process\n[ports]: crate::guide::ports\n",
            "[outlines]: crate::guide::outlines\n[children]: crate::guide::children\n[stores]: crate::guide::stores\n",
            "[workers]: crate::guide::workers\n[rabbitmq]: crate::guide::rabbitmq\n",
            "[channels]: crate::guide::channels\n[mesh]: crate::guide::mesh\n",
            "[operations]: crate::guide::operations\n[errors]: crate::guide::errors\n",
            "[reference of processes]: macro@crate::process\n[reference of ports]: crate::spec!\n",
            "[reference of outlines]: crate::outline!\n[reference of steps]: crate::steps!\n",
            "[reference of stores]: crate::storing\n[reference of workers]: crate::working\n",
            "[reference of messages]: crate::communicating\n[reference of control]: crate::controller\n",
            "[compile errors]: crate::compile_errors\n[trace table]: crate::parity\n\n",
            include_str!(concat!("../docs/guide/", $page))
        )
    };
}

// The programs of its pages need these features.
#[cfg(all(doc, any(not(doctest), all(feature = "cli", feature = "sqlite", feature = "amqp", feature = "mesh"))))]
#[doc = page!("README.md")]
pub mod guide {
    #[doc = page!("first-process.md")]
    pub mod first_process {}

    #[doc = page!("ports.md")]
    pub mod ports {}

    #[doc = page!("outlines.md")]
    pub mod outlines {}

    #[doc = page!("children.md")]
    pub mod children {}

    #[doc = page!("stores.md")]
    pub mod stores {}

    #[doc = page!("workers.md")]
    pub mod workers {}

    #[doc = page!("rabbitmq.md")]
    pub mod rabbitmq {}

    #[doc = page!("channels.md")]
    pub mod channels {}

    #[doc = page!("mesh.md")]
    pub mod mesh {}

    #[doc = page!("operations.md")]
    pub mod operations {}

    #[doc = page!("errors.md")]
    pub mod errors {}
}

#[doc(hidden)]
pub mod __private {
    pub use procession_macros as macros;
    pub use procession_runtime::__private::*;
}

/// What most users need: `use procession::prelude::*;`. It shadows nothing of the standard prelude.
pub mod prelude {
    pub use crate::spec::{ExitCodes as _, Launch as _};
    pub use crate::stream::Wire;
    pub use crate::{
        Child, Cx, Next, Outcome, Process, ProcessId, ProcessState, Runtime, StepError, outline, process, spec, steps,
    };
}
