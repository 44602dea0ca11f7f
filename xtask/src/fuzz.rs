//! `cargo xtask fuzz`: messages that were changed at random, more of them than the tests read.

use crate::Fault;
use crate::run::{cargo, succeed};

const OPTIONS: [&str; 2] = ["--count", "--seed"];
/// Messages without the option.
const COUNT: u64 = 1_000_000;

/// Reads so many, optimized as a worker would be.
pub(crate) fn fuzz(arguments: &[String]) -> Result<bool, Fault> {
    let mut test = cargo("test --release --package procession-runtime --lib -- message::fuzz --nocapture");
    test.env("PROCESSION_FUZZ_COUNT", COUNT.to_string());
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u64 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        test.env(format!("PROCESSION_FUZZ_{}", option.trim_start_matches('-').to_uppercase()), number.to_string());
    }
    succeed(&mut test)?;
    Ok(true)
}
