//! `cargo xtask fuzz`: messages, envelopes and pickles that were changed at random, more of them than the tests read.

use crate::Fault;
use crate::run::{cargo, succeed};

const OPTIONS: [&str; 2] = ["--count", "--seed"];
/// What reads them, by package, its features, and the module of the tests.
const READERS: [(&str, &str, &str); 3] = [
    ("procession-runtime", "", "message::fuzz"),
    ("procession-transport", "plugboard", "envelope::fuzz"),
    ("procession-transport", "plugboard", "plugboard::pickle::fuzz"),
];
/// Inputs of each without the option.
const COUNT: u64 = 1_000_000;

/// Reads so many, optimized as a worker would be.
pub(crate) fn fuzz(arguments: &[String]) -> Result<bool, Fault> {
    let mut options = vec![("PROCESSION_FUZZ_COUNT".to_owned(), COUNT)];
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u64 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        options.push((format!("PROCESSION_FUZZ_{}", option.trim_start_matches('-').to_uppercase()), number));
    }
    for (package, features, module) in READERS {
        let mut test = cargo(&format!("test --release --package {package} --lib"));
        if !features.is_empty() {
            test.args(["--features", features]);
        }
        test.args(["--", module, "--nocapture"]);
        test.envs(options.iter().map(|(name, number)| (name, number.to_string())));
        succeed(&mut test)?;
    }
    Ok(true)
}
