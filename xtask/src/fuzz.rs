//! `cargo xtask fuzz`: messages, envelopes, frames and pickles that were changed at random, more of them than the tests read.

use std::process::Command;

use crate::Fault;
use crate::run::{cargo, succeed};

const OPTIONS: [&str; 2] = ["--count", "--seed"];
/// All tests whose names have `fuzz`.
const TESTS: [&str; 2] = [
    "test --release --package procession-runtime --lib -- message::fuzz --nocapture",
    "test --release --package procession-transport --all-features --lib -- fuzz --nocapture",
];
/// Messages without the option.
const COUNT: u64 = 1_000_000;

/// Reads so many, optimized as a worker would be.
pub(crate) fn fuzz(arguments: &[String]) -> Result<bool, Fault> {
    let mut tests = TESTS.map(cargo);
    set(&mut tests, "PROCESSION_FUZZ_COUNT", COUNT);
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u64 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        set(&mut tests, &format!("PROCESSION_FUZZ_{}", option.trim_start_matches('-').to_uppercase()), number);
    }
    for test in &mut tests {
        succeed(test)?;
    }
    Ok(true)
}

fn set(tests: &mut [Command], name: &str, number: u64) {
    for test in tests {
        test.env(name, number.to_string());
    }
}
