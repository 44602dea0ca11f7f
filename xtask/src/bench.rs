//! `cargo xtask bench`: hands over to the benchmarks.

use crate::Fault;
use crate::run::{cargo, succeed};

/// Runs the named workloads, or all.
pub(crate) fn bench(workloads: &[String]) -> Result<bool, Fault> {
    // The default features: what is measured is what a user gets.
    succeed(cargo("bench -p procession --bench workloads --").args(workloads))?;
    Ok(true)
}
