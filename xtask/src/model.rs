//! `cargo xtask model`: the protocol of the workers on one store, with more of them than `cargo xtask test` looks at.

use std::process::{Command, Stdio};

use crate::Fault;
use crate::run::{root, succeed, target};

/// The model: it needs nothing of this library, nor of any other.
const MODEL: &str = "tests/it/protocol/mod.rs";
/// The test, by its whole name there.
const TEST: &str = "three_workers_share_three_processes_through_crashes";

/// Crashes, and leases that lapse while their workers go on: 3.3 million states, which take a quarter of a minute and half a
/// gigabyte, and 21 million, which take some minutes and 3 gigabytes.
const FAULTS: [(&str, &str); 2] = [("2", "0"), ("1", "1")];

/// Three workers, three processes, two faults. The search is too slow for that where it is not optimised, so the model is
/// compiled alone. The numbers go through the environment, since libtest takes no arguments for tests.
pub(crate) fn model() -> Result<bool, Fault> {
    let built = target().join("protocol");
    std::fs::create_dir_all(target())?;
    let mut compile = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compile.args(["--edition", "2024", "--test", "-O", "-o"]).arg(&built).arg(MODEL);
    succeed(compile.current_dir(root()).stdin(Stdio::null()))?;
    for (crashes, lapses) in FAULTS {
        let mut test = Command::new(&built);
        test.args(["--exact", TEST, "--nocapture"]).stdin(Stdio::null());
        succeed(test.env("PROCESSION_PROTOCOL_CRASHES", crashes).env("PROCESSION_PROTOCOL_LAPSES", lapses))?;
    }
    Ok(true)
}
