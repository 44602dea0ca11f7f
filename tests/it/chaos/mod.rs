//! Several workers on one database, while workers, the server and the way between them fail.
//!
//! The workers are OS processes, the example `ledger`; the test launches a steady load from outside. Whatever fails, each process
//! ends once, as it should, and no step that was committed runs again. `cargo xtask chaos` does it for longer.

mod account;
mod eye;
mod fault;
mod load;
mod loss;
mod race;
mod report;
mod run;
mod scene;
#[cfg(feature = "amqp")]
mod told;
mod workers;

use std::path::PathBuf;

/// The example, which cargo builds beside the tests.
fn ledger_program() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let target = own.ancestors().nth(2).expect("tests are in a folder of the target folder");
    let ledger = target.join("examples/ledger");
    assert!(ledger.exists(), "`ledger` is not there; build it: cargo build --all-features --example ledger");
    ledger
}
