//! All processes of the examples on one command line.
//!
//! ```text
//! cargo run --example every --features cli,amqp -- spec
//! cargo run --example every --features cli,amqp -- run Converge tolerance=1e-4 energy.decay=9
//! ```

#![allow(dead_code, unreachable_pub)] // Each example has a `main` of its own, too.

#[path = "convergence.rs"]
mod convergence;
#[path = "ledger.rs"]
mod ledger;
#[path = "quickstart.rs"]
mod quickstart;
#[path = "restart.rs"]
mod restart;
#[path = "stages.rs"]
mod stages;
#[path = "worker.rs"]
mod worker;

use procession::RuntimeBuilder;
use std::path::Path;

fn main() -> std::process::ExitCode {
    procession::cli::main(|runtime| with_ledger(with_worker(runtime)).register::<quickstart::CountWords>())
}

/// Those of the example `worker`, and those that need nothing.
fn with_worker(runtime: RuntimeBuilder) -> RuntimeBuilder {
    runtime
        .register::<convergence::Converge>()
        .register::<stages::Pipeline>()
        .register::<restart::Restart>()
        .register::<worker::AddProcess>()
        .register::<worker::WaitChain>()
        .register::<worker::WaitForever>()
        .register::<worker::Fail>()
        .register::<worker::Busy>()
        .register::<worker::MissingOutput>()
}

/// A resource is made where the processes are registered. Nobody reads these effects.
fn with_ledger(runtime: RuntimeBuilder) -> RuntimeBuilder {
    match ledger::Effects::open(Path::new(if cfg!(windows) { "NUL" } else { "/dev/null" })) {
        Ok(effects) => runtime.register::<ledger::Ledger>().resource(effects),
        Err(_) => runtime,
    }
}
