//! `cargo xtask chaos`: workers on one database while all fails, for as long as one likes; adds up over runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::run::{Scratch, cargo, root, succeed};
use crate::{Fault, postgres};

const OPTIONS: [&str; 3] = ["--minutes", "--seed", "--kills"];

/// The test, by its whole name.
const TEST: &str = "chaos::run::sixty_kills_lose_nothing_and_nothing_ends_twice";

/// What runs so far came to, in the folder of what is built.
const SUM: &str = "target/chaos.json";

/// Of these the greatest counts, and not the sum.
const GREATEST: [&str; 3] = ["worst_taken_over_ms", "greatest_median_taken_over_ms", "worst_taken_over_amid_faults_ms"];

type Figures = BTreeMap<String, u64>;

/// Runs it; the numbers go through the environment, since libtest takes no arguments for tests.
pub(crate) fn chaos(arguments: &[String]) -> Result<bool, Fault> {
    let mut test = cargo("test --all-features --test it --");
    test.args(["--exact", TEST, "--include-ignored", "--nocapture"]);
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let option = OPTIONS
            .iter()
            .find(|option| *option == name)
            .ok_or_else(|| format!("there is no option `{name}`; the options are {}", OPTIONS.join(", ")))?;
        let number: u64 =
            arguments.next().and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number"))?;
        test.env(format!("PROCESSION_CHAOS_{}", option.trim_start_matches('-').to_uppercase()), number.to_string());
    }
    postgres::ensure()?;
    let scratch = Scratch::new("chaos")?;
    let result = scratch.path().join("result.json");
    test.env("PROCESSION_CHAOS_RESULT", &result);
    // With a test named, cargo builds no examples.
    succeed(&mut cargo("build --all-features --example ledger"))?;
    let done = succeed(&mut test);
    let mut run = read(&result)?;
    run.insert("runs".to_owned(), 1);
    run.insert("failed_runs".to_owned(), u64::from(done.is_err()));
    let file = root().join(SUM);
    let sum = add(read(&file)?, run);
    fs::write(&file, serde_json::to_string_pretty(&sum)?)?;
    println!("all runs so far, in {SUM}:");
    for (name, figure) in &sum {
        println!("  {:<28}{figure:>10}", name.replace('_', " "));
    }
    done.map(|()| true)
}

/// Nothing where there is no file: of a run that came to no end, too.
fn read(file: &Path) -> Result<Figures, Fault> {
    if !file.exists() {
        return Ok(Figures::new());
    }
    Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
}

fn add(mut sum: Figures, run: Figures) -> Figures {
    for (name, figure) in run {
        let of_all = sum.entry(name.clone()).or_default();
        *of_all = if GREATEST.contains(&&*name) { figure.max(*of_all) } else { of_all.saturating_add(figure) };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Figures, add};

    #[test]
    fn runs_add_up_and_the_longest_time_stays() {
        let figures = |kills, worst| {
            let figures = [("kills", kills), ("worst_taken_over_ms", worst)];
            Figures::from(figures.map(|(name, figure)| (name.to_owned(), figure)))
        };
        let sum = add(add(Figures::new(), figures(60, 2_400)), figures(5, 2_100));
        assert_eq!(sum, figures(65, 2_400));
    }
}
