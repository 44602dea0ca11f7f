//! `cargo xtask crash`: the crash test of the integration tests, with other numbers.

use crate::Fault;
use crate::run::{cargo, succeed};

const OPTIONS: [&str; 5] = ["--kills", "--seed", "--processes", "--steps", "--children"];

/// Runs it; the numbers go through the environment, since libtest takes no arguments for tests.
pub(crate) fn crash(arguments: &[String]) -> Result<bool, Fault> {
    let mut test = cargo("test --all-features --test it -- crash:: --nocapture");
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u64 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        test.env(format!("PROCESSION_CRASH_{}", option.trim_start_matches('-').to_uppercase()), number.to_string());
    }
    // With a test named, cargo builds no examples.
    succeed(&mut cargo("build --all-features --example ledger"))?;
    succeed(&mut test)?;
    Ok(true)
}
