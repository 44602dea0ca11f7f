//! `cargo xtask bench`: hands over to the benchmarks.

use std::path::PathBuf;

use crate::run::{cargo, root, succeed};
use crate::{Fault, postgres, rabbitmq, venv};

/// Others' crates for durable processes, each a program of the workspace `benches/peers`.
const PEERS: [&str; 5] = ["duroxide", "dbos", "sayiir", "cano", "apalis-workflow"];

/// Runs the named workloads, or all; with `--peers`, ours beside the named peers, or all.
pub(crate) fn bench(arguments: &[String]) -> Result<bool, Fault> {
    // The default features, the ways to the servers and the command line: what is measured is what a user gets.
    let mut command = cargo("bench -p procession --features amqp,postgres,cli,zmq,mesh --bench workloads --");
    // Without them the rows that need them say that they were not measured; this says why.
    for ensured in [rabbitmq::ensure(), postgres::ensure()] {
        if let Err(fault) = ensured {
            println!("\n{fault}\n");
        }
    }
    match venv::plumpy() {
        Ok(python) => drop(command.env("PROCESSION_PYTHON", python)),
        Err(fault) => println!("\n{fault}\n"),
    }
    let (options, named): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with("--"));
    if options.iter().any(|option| *option == "--peers") {
        command.env("PROCESSION_PEERS", std::env::join_paths(build(&peers(&named)?)?)?).arg("peers");
        command.args(options.iter().filter(|option| **option != "--peers"));
    } else {
        command.args(arguments);
    }
    succeed(&mut command)?;
    Ok(true)
}

/// The peers that are asked for: all, where none is named.
fn peers(named: &[&String]) -> Result<Vec<&'static str>, Fault> {
    let known = |name: &&String| PEERS.into_iter().find(|peer| peer == *name);
    if let Some(unknown) = named.iter().find(|name| known(name).is_none()) {
        return Err(format!("there is no peer `{unknown}`; there are {PEERS:?}").into());
    }
    Ok(if named.is_empty() { PEERS.to_vec() } else { named.iter().filter_map(known).collect() })
}

/// Builds peers; one that does not build any more is told, and left out.
fn build(names: &[&str]) -> Result<Vec<PathBuf>, Fault> {
    let target = root().join("target/peers");
    let mut built = Vec::new();
    for name in names {
        let mut command = cargo("build --release --locked --manifest-path benches/peers/Cargo.toml");
        command.args(["--package", &format!("peer-{name}")]).arg("--target-dir").arg(&target);
        match succeed(&mut command) {
            Ok(()) => built.push(target.join(format!("release/peer-{name}"))),
            Err(fault) => println!("\nNOT MEASURED: {name}. {fault}\n"),
        }
    }
    if built.is_empty() { Err("no peer was built".into()) } else { Ok(built) }
}
