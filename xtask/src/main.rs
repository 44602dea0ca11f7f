//! The commands of the repository: `cargo xtask test` runs all that CI runs.

mod bench;
mod chaos;
mod compile_time;
mod compiler;
mod crash;
mod debian;
mod differential;
mod examples;
mod faults;
mod fuzz;
mod libtest;
mod metadata;
mod model;
mod pictures;
mod postgres;
mod rabbitmq;
mod ray;
mod report;
mod run;
mod test;
mod venv;

use std::process::ExitCode;

/// What went wrong, as a sentence for people.
type Fault = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
cargo xtask test [--quick] [FILTER…]   all checks and tests; --quick: format, clippy and tests without the crash test;
                                       with a filter: only the tests whose names contain it
cargo xtask test-ray [FILTER…]         format, clippy, docs and tests of the transport over Ray, which no other command builds:
                                       it gets Ray, and runs it in a network namespace of its own
cargo xtask pictures                   draws the pictures in docs/pictures and tests/data/pictures anew
cargo xtask bench [WORKLOAD…]          the benchmarks: prints a table and writes target/bench.json
cargo xtask bench --peers [PEER…]      the same beside other crates for durable processes, which it builds first
cargo xtask compile-time               how long a small program takes to build
cargo xtask crash [--kills N] [--seed S] [--processes N] [--steps M] [--children K]
                                       a longer run of the crash test
cargo xtask faults [--count N] [--seed S] [--processes N]
                                       a longer run of the faults under load: broker, network and worker fail
cargo xtask chaos [--minutes M] [--seed S] [--kills N]
                                       a longer run of workers on one database while workers, server and network fail;
                                       adds up over runs
cargo xtask model                      every state of three workers that share three processes, through two crashes,
                                       and through a crash and a lapse: some minutes and 3 GB
cargo xtask differential [--count N] [--seed S] [--first N]
                                       random outlines, run by plumpy and here; without options 10,000 of them
cargo xtask fuzz [--count N] [--seed S]
                                       messages changed at random, read; without options 1,000,000 of them";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "test" => test::test(&arguments),
        "test-ray" => ray::test(&arguments),
        "bench" => bench::bench(&arguments),
        "compile-time" => compile_time::compile_time(),
        "chaos" => chaos::chaos(&arguments),
        "crash" => crash::crash(&arguments),
        "faults" => faults::faults(&arguments),
        "model" => model::model(),
        "pictures" => pictures::pictures(),
        "fuzz" => fuzz::fuzz(&arguments),
        "differential" => differential::differential(&arguments),
        "" | "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(true)
        }
        unknown => Err(format!("there is no command `{unknown}`\n{HELP}").into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
