//! Reads what `cargo test` prints and counts it.

use crate::report::Counts;

/// The one test that may be left out, where it says so: it needs rust-analyzer.
const MAY_BE_LEFT_OUT: &str = "editor";

/// Counts tests line by line.
#[derive(Default)]
pub(crate) struct Libtest {
    counts: Counts,
    ignored: usize,
    /// The test program that runs, until it has told its result.
    running: Option<String>,
}

impl Libtest {
    /// Takes one line of output.
    pub(crate) fn line(&mut self, line: &str) {
        let words = line.trim_start();
        if let Some(program) = words.strip_prefix("Running ").filter(|_| words != line && line.ends_with(')')) {
            self.end_program();
            self.running = Some(program.to_owned());
        } else if words.starts_with("Doc-tests ") && words != line {
            self.end_program();
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.running = None;
            self.counts.passed += number_before(result, " passed");
            self.counts.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some((name, why)) = test.split_once(" ... ignored") {
                if let Some(why) = why.strip_prefix(", left out: ").filter(|_| name == MAY_BE_LEFT_OUT) {
                    self.counts.left_out.push(format!("{name}: {why}"));
                    return;
                }
                self.counts.faults.push(format!("IGNORED, which counts as failed here: {name}"));
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.counts.faults.push(name.to_owned());
            }
        } else if let Some(rest) = line.strip_prefix("error: could not compile `")
            && let Some((name, _)) = rest.split_once('`')
        {
            let fault = format!("`{name}` does not compile");
            // It is said for each target of the crate; the crate counts once.
            if !self.counts.faults.contains(&fault) {
                self.counts.failed += 1;
                self.counts.faults.push(fault);
            }
        }
    }

    /// The end of the output, and whether the command succeeded.
    pub(crate) fn end(mut self, success: bool) -> Counts {
        self.end_program();
        self.counts.failed += self.ignored.saturating_sub(self.counts.left_out.len());
        if !success && self.counts.failed == 0 {
            self.counts.failed = 1;
            self.counts.faults.push("the command failed, though no test did".to_owned());
        } else if self.counts.passed + self.counts.failed == 0 {
            self.counts.failed = 1;
            self.counts.faults.push("no test was run".to_owned());
        }
        self.counts
    }

    /// A program that ended without a result has crashed.
    fn end_program(&mut self) {
        if let Some(program) = self.running.take() {
            self.counts.failed += 1;
            self.counts.faults.push(format!("ended without a result: {program}"));
        }
    }
}

/// The number in front of a word: 3 in `ok. 3 passed; 0 failed`.
fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, success: bool, passed: usize, failed: usize, faults: &[&str]) {
        let mut libtest = Libtest::default();
        output.lines().for_each(|line| libtest.line(line));
        let faults = faults.iter().map(ToString::to_string).collect();
        assert_eq!(libtest.end(success), Counts { passed, failed, faults, left_out: Vec::new() });
    }

    const RUNNING: &str = "     Running unittests src/lib.rs (target/debug/deps/procession-1234)\n";
    const DOC: &str = "   Doc-tests procession\n";

    fn result(passed: usize, failed: usize, ignored: usize) -> String {
        format!("test result: ok. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out\n")
    }

    #[test]
    fn results_of_all_programs_are_summed() {
        let output = [RUNNING, &result(12, 0, 0), RUNNING, &result(0, 0, 0), DOC, &result(3, 0, 0), &result(1, 0, 0)];
        check(&output.concat(), true, 16, 0, &[]);
        let output =
            [RUNNING, "test a::b ... FAILED\n", "test c ... ok\n", &result(1, 1, 0), RUNNING, &result(2, 0, 0)];
        check(&output.concat(), false, 3, 1, &["a::b"]);
    }

    #[test]
    fn an_ignored_test_has_failed() {
        let fault = "IGNORED, which counts as failed here: slow";
        check(&[RUNNING, "test slow ... ignored\n", &result(1, 0, 1)].concat(), true, 1, 1, &[fault]);
        check(&[RUNNING, "test slow ... ignored, why\n", &result(1, 0, 1)].concat(), true, 1, 1, &[fault]);
    }

    #[test]
    fn the_test_of_the_editor_may_be_left_out_and_is_named() {
        let mut libtest = Libtest::default();
        let output = [RUNNING, "test editor ... ignored, left out: it is not there\n", &result(1, 0, 1)].concat();
        output.lines().for_each(|line| libtest.line(line));
        let left_out = vec!["editor: it is not there".to_owned()];
        assert_eq!(libtest.end(true), Counts { passed: 1, left_out, ..Counts::default() });

        let fault = "IGNORED, which counts as failed here: other";
        let output = [RUNNING, "test other ... ignored, left out: it is not there\n", &result(1, 0, 1)].concat();
        check(&output, true, 1, 1, &[fault]);
        let fault = "IGNORED, which counts as failed here: editor";
        check(&[RUNNING, "test editor ... ignored\n", &result(1, 0, 1)].concat(), true, 1, 1, &[fault]);
    }

    #[test]
    fn what_tells_no_result_has_failed() {
        let crashed = "ended without a result: unittests src/lib.rs (target/debug/deps/procession-1234)";
        check(&[RUNNING, "running 3 tests\n", DOC, &result(1, 0, 0)].concat(), false, 1, 1, &[crashed]);
        check(&[RUNNING, &result(1, 0, 0), RUNNING].concat(), false, 1, 1, &[crashed]);
        check("", true, 0, 1, &["no test was run"]);
        check(&result(1, 0, 0), false, 1, 1, &["the command failed, though no test did"]);
    }

    #[test]
    fn a_crate_that_does_not_compile_has_failed_once() {
        let said = "error: could not compile `it` (lib test) due to 2 previous errors\n\
                    error: could not compile `it` (lib) due to 2 previous errors\n";
        check(said, false, 0, 1, &["`it` does not compile"]);
    }
}
