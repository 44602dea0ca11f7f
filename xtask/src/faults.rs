//! `cargo xtask faults`: the faults under load of the integration tests, with other numbers.

use crate::run::{cargo, succeed};
use crate::{Fault, rabbitmq};

const OPTIONS: [&str; 3] = ["--count", "--seed", "--processes"];

/// The test, by its whole name.
const TEST: &str = "faults::no_process_is_lost_and_none_ends_twice_whatever_fails";

/// Runs them; the numbers go through the environment, since libtest takes no arguments for tests.
pub(crate) fn faults(arguments: &[String]) -> Result<bool, Fault> {
    let mut test = cargo("test --all-features --test it --");
    test.args(["--exact", TEST, "--include-ignored", "--nocapture"]);
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u32 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        test.env(format!("PROCESSION_FAULTS_{}", option.trim_start_matches('-').to_uppercase()), number.to_string());
    }
    rabbitmq::ensure()?;
    // With a test named, cargo builds no examples.
    succeed(&mut cargo("build --all-features --example worker"))?;
    succeed(&mut test)?;
    Ok(true)
}
