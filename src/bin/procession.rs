//! The command line for stores of processes, whoever runs them.

fn main() -> std::process::ExitCode {
    procession::cli::main(|runtime| runtime)
}
