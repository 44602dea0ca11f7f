//! `cargo xtask model`: the protocol of the workers on one store, with more of them than `cargo xtask test` looks at.

use crate::Fault;
use crate::run::{cargo, succeed};

/// The test, by its whole name.
const TEST: &str = "protocol::three_workers_share_three_processes_through_crashes";

/// Three workers, three processes, two crashes; the number goes through the environment, since libtest takes no arguments
/// for tests.
pub(crate) fn model() -> Result<bool, Fault> {
    let mut test = cargo("test --all-features --test it --");
    test.args(["--exact", TEST, "--nocapture"]);
    test.env("PROCESSION_PROTOCOL_CRASHES", "2");
    succeed(&mut test)?;
    Ok(true)
}
