//! `cargo xtask bench`: hands over to the benchmarks.

use crate::run::{cargo, succeed};
use crate::{Fault, postgres, rabbitmq, venv};

/// Runs the named workloads, or all.
pub(crate) fn bench(workloads: &[String]) -> Result<bool, Fault> {
    // The default features, and the ways to the servers: what is measured is what a user gets.
    let mut command = cargo("bench -p procession --features amqp,postgres --bench workloads --");
    // Without them the rows that need them say that they were not measured; this says why.
    for ensured in [rabbitmq::ensure(), postgres::ensure()] {
        if let Err(fault) = ensured {
            println!("\n{fault}\n");
        }
    }
    match venv::plumpy() {
        Ok(python) => drop(command.env("PROCESSION_PYTHON", python)),
        Err(fault) => println!("\n{fault}\n"),
    }
    succeed(command.args(workloads))?;
    Ok(true)
}
