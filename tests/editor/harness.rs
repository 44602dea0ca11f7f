//! Prints what the standard harness prints, so that whoever reads it counts these checks as tests.

use std::process::ExitCode;
use std::time::Instant;

/// The checks that are asked for, and what came of them.
pub(crate) struct Harness {
    wanted: Vec<&'static str>,
    only_list: bool,
    filtered: usize,
    /// The checks that were made, and what was wrong.
    told: Vec<(&'static str, Option<String>)>,
    start: Instant,
}

impl Harness {
    /// Reads the command line: filters, `--skip`, `--exact`, `--list`; other options change nothing here.
    pub(crate) fn from_arguments(names: impl Iterator<Item = &'static str>) -> Self {
        let (mut filters, mut skipped) = (Vec::new(), Vec::new());
        let (mut exact, mut only_list) = (false, false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => exact = true,
                "--list" => only_list = true,
                "--skip" => skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                    drop(arguments.next());
                }
                filter if !filter.starts_with('-') => filters.push(argument),
                _ => {}
            }
        }
        let fits = |name: &str, filter: &String| if exact { name == filter } else { name.contains(filter.as_str()) };
        let (wanted, others): (Vec<_>, Vec<_>) = names.partition(|name| {
            let asked = filters.is_empty() || filters.iter().any(|filter| fits(name, filter));
            asked && !skipped.iter().any(|filter| fits(name, filter))
        });
        if !only_list {
            println!("\nrunning {} tests", wanted.len());
        }
        Self { wanted, only_list, filtered: others.len(), told: Vec::new(), start: Instant::now() }
    }

    /// Whether there is nothing to check.
    pub(crate) fn is_idle(&self) -> bool {
        self.only_list || self.wanted.is_empty()
    }

    /// Whether this check is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.contains(&name)
    }

    /// What was wrong in one check, if anything was.
    pub(crate) fn tell(&mut self, name: &'static str, wrong: Option<String>) {
        println!("test {name} ... {}", if wrong.is_some() { "FAILED" } else { "ok" });
        self.told.push((name, wrong));
    }

    /// All checks that are not told yet have failed.
    pub(crate) fn fail_the_rest(&mut self, why: &str) {
        for name in self.wanted.clone() {
            if !self.told.iter().any(|(told, _)| *told == name) {
                self.tell(name, Some(why.to_owned()));
            }
        }
    }

    /// All of it cannot be checked here: it counts as one test that is ignored.
    pub(crate) fn leave_out(self, why: &str) -> ExitCode {
        println!("test editor ... ignored, left out: {why}");
        self.result(0, 1)
    }

    /// The last lines, and whether all is well.
    pub(crate) fn finish(self) -> ExitCode {
        if self.only_list {
            self.wanted.iter().for_each(|name| println!("{name}: test"));
            return ExitCode::SUCCESS;
        }
        let mut failed = 0;
        for (name, wrong) in &self.told {
            if let Some(why) = wrong {
                failed += 1;
                println!("\n---- {name} ----\n{why}");
            }
        }
        self.result(failed, 0)
    }

    fn result(&self, failed: usize, ignored: usize) -> ExitCode {
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {verdict}. {} passed; {failed} failed; {ignored} ignored; 0 measured; {} filtered out; \
             finished in {:.2}s\n",
            self.told.len() - failed,
            self.filtered,
            self.start.elapsed().as_secs_f64()
        );
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
