//! `cargo xtask test`: everything that must hold, counted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::libtest::Libtest;
use crate::report::{Counts, Report};
use crate::run::{cargo, root, shown, stream, succeed, succeed_within};
use crate::{Fault, compiler, differential, examples, metadata, postgres, rabbitmq, venv};

/// What clippy is asked on every set of features. The second lint is what tells that the minimum Rust version is kept.
const DENIED: &str = "-- -D warnings -D clippy::incompatible_msrv";

/// How long the download of a component may take.
const COMPONENT: Duration = Duration::from_secs(120);

/// Runs all, or what the arguments leave of it. Goes on after a failure.
pub(crate) fn test(arguments: &[String]) -> Result<bool, Fault> {
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let filters: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--quick").collect();
    if let Some(option) = filters.iter().find(|filter| filter.starts_with('-')) {
        return Err(format!("there is no option `{option}`").into());
    }
    let mut report = Report::default();
    // Nothing with all features is built without it, so this comes first.
    report.check("C++ compiler", compiler::ensure);
    if filters.is_empty() {
        checks(&mut report, quick);
    }
    editor();
    // What stands on the other side of the communicator and of a store. Without it the tests that need it fail; this says why.
    report.check("RabbitMQ", rabbitmq::ensure);
    report.check("PostgreSQL", postgres::ensure);
    let mut python = None;
    report.check("plumpy", || {
        python = Some(venv::plumpy()?);
        Ok(())
    });
    report.count("tests", || tests(quick, &filters, python.as_deref()));
    if filters.is_empty() && !quick {
        examples::run(&mut report);
        report.count("differential", differential::test);
    }
    if quick || !filters.is_empty() {
        println!("\nThis was a part; `cargo xtask test` without arguments runs all.");
    }
    println!("{report}");
    report.failures().iter().for_each(|failure| eprintln!("FAILED {failure}"));
    Ok(report.is_good())
}

/// All that is not a test: from the quickest to the slowest.
fn checks(report: &mut Report, quick: bool) {
    report.check("format", || {
        component("fmt", "rustfmt")?;
        succeed(&mut cargo("fmt --all --check"))
    });
    report.check("clippy, all features", || {
        component("clippy", "clippy")?;
        succeed(&mut cargo(&format!("clippy --workspace --all-targets --all-features {DENIED}")))
    });
    if quick {
        return;
    }
    report.check("clippy, no default features", || {
        succeed(&mut cargo(&format!("clippy --workspace --all-targets --no-default-features {DENIED}")))
    });
    report.check("clippy, the target of libFuzzer", || {
        // A workspace of its own: nothing else compiles it.
        let command = "clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings";
        succeed(&mut cargo(command))
    });
    report.check("docs", || {
        let mut doc = cargo("doc --workspace --no-deps --all-features");
        succeed(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    match metadata::features() {
        Err(fault) => report.check("features", || Err(fault)),
        Ok(features) => {
            for (package, feature) in features {
                // Clippy, not check: both compile, and this one also denies what is unused without other features.
                report.check(format!("feature `{feature}` of {package}, alone"), || {
                    let command = format!("clippy -p {package} --no-default-features --features {feature} {DENIED}");
                    succeed(&mut cargo(&command))
                });
            }
        }
    }
}

/// All tests under plain libtest: units, integration, compile tests, doctests; those, too, that `cargo test` leaves out.
fn tests(quick: bool, filters: &[&str], python: Option<&Path>) -> Counts {
    let mut command = cargo("test --workspace --all-features --no-fail-fast -- --include-ignored");
    command.args(filters);
    if let Some(python) = python {
        command.env("PROCESSION_PYTHON", python);
    }
    if quick && filters.is_empty() {
        command.args(["--skip", "crash::"]);
    }
    println!("{}", shown(&command));
    let mut libtest = Libtest::default();
    // Where a test would be left out on a machine that lacks something, it fails here.
    command.env("PROCESSION_TEST_ALL", "1");
    match stream(&mut command, |line| libtest.line(line)) {
        Ok(success) => libtest.end(success),
        Err(fault) => Counts { failed: 1, faults: vec![fault.to_string()], ..Counts::default() },
    }
}

/// Tries to get what the test of the macros in an editor needs. Without it that test is left out, and the summary says
/// so: an editor is no part of what the crate needs, and not every toolchain has one.
fn editor() {
    let mut add = Command::new("rustup");
    add.args(["component", "add", "rust-analyzer", "rust-src"]).stdin(Stdio::null()).current_dir(root());
    if let Err(fault) = succeed_within(&mut add, COMPONENT) {
        println!("rust-analyzer may be missing: {fault}");
    }
}

/// Makes sure that a part of the toolchain is there: a minimal installation comes without.
fn component(subcommand: &str, component: &str) -> Result<(), Fault> {
    let there = cargo(subcommand).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    succeed(Command::new("rustup").args(["component", "add", component]).stdin(Stdio::null()))
        .map_err(|fault| format!("{component} is missing and cannot be installed: {fault}").into())
}
