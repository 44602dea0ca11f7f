//! The example `pipeline` over RabbitMQ, whose OS process is killed with SIGKILL.

use std::path::PathBuf;
use std::process::Command;

use crate::broker::Broker;

#[test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn a_file_that_is_streamed_over_rabbitmq_arrives_once_though_all_are_killed() {
    let broker = Broker::shared();
    let mut command = Command::new(pipeline());
    command.args(["--backend", "amqp", "--amqp", &broker.url(), "--kills", "4"]);
    let output = command.output().unwrap();
    let [said, failed] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    assert!(output.status.success(), "{said}{failed}");
    assert_eq!(said.lines().filter(|line| line.ends_with("killed")).count(), 4, "{said}");
    assert_eq!(said.lines().last(), Some("as the file: each record once, in order"));
}

/// The example, which cargo builds beside the tests.
fn pipeline() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let pipeline = own.ancestors().nth(2).unwrap().join("examples/pipeline");
    assert!(pipeline.exists(), "`pipeline` is not there; build it: cargo build --example pipeline --features amqp");
    pipeline
}
