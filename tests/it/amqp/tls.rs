//! A broker that speaks TLS, with a certificate of an authority that no system knows.

use super::{options, soon};
use crate::authority::Authority;
use crate::broker::Broker;
use crate::private::free_port;
use procession::communicator::{AmqpCommunicator, Answer, Communicator, CommunicatorError, Incoming, Task};
use procession::message::Node;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tempfile::TempDir;

/// Lines of configuration for a broker with a certificate for this host, and the folder of its files.
fn vouches(authority: &Authority, host: &str, port: u16) -> (Vec<String>, TempDir) {
    let (certificate, key) = authority.vouches(host);
    let folder = tempfile::tempdir().unwrap();
    // The server may run as another user.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut lines = vec![format!("listeners.ssl.1 = 127.0.0.1:{port}")];
    let files = [("cacertfile", authority.pem()), ("certfile", &certificate), ("keyfile", &key)];
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        lines.push(format!("ssl_options.{name} = {}", path.display()));
    }
    (lines, folder)
}

/// A broker with a certificate for a host, and its address there.
fn broker(authority: &Authority, host: &str) -> (Broker, TempDir, String) {
    let port = free_port();
    let (lines, folder) = vouches(authority, host, port);
    let broker = Broker::start(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    (broker, folder, format!("amqps://guest:guest@127.0.0.1:{port}/%2f"))
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_task_is_sent_and_done_over_tls() {
    let authority = Authority::new("an authority");
    let (_broker, _folder, url) = broker(&authority, "127.0.0.1");
    let options = options().ca_certificates(authority.pem());
    let connect = async || soon("a connection", AmqpCommunicator::connect(&url, options.clone())).await.unwrap();
    let (sender, worker) = (connect().await, connect().await);
    let task = |task: Incoming| async move { Ok(Answer::Value(task.body)) };
    worker.add_task_subscriber(Arc::new(task), None).await.unwrap();
    let reply = sender.task_send(Task::new(Node::from("in secret"))).await.unwrap().unwrap();
    assert_eq!(soon("a reply", reply.last()).await.unwrap(), Node::from("in secret"));
    sender.close().await.unwrap();
    worker.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_broker_that_no_trusted_authority_vouches_for_is_refused_at_once() {
    let authority = Authority::new("an authority");
    let (_broker, _folder, url) = broker(&authority, "another.host");
    let trusts = options().ca_certificates(authority.pem());
    let trusts_another = options().ca_certificates(Authority::new("another authority").pem());
    for (options, expected) in
        [(options(), "UnknownIssuer"), (trusts_another, "UnknownIssuer"), (trusts, "not valid for name")]
    {
        let began = tokio::time::Instant::now();
        let refused = soon("the refusal", AmqpCommunicator::connect(&url, options)).await.unwrap_err();
        let CommunicatorError::Broker { action: "connecting", source } = &refused else { panic!("{refused:?}") };
        assert!(source.to_string().contains(expected), "{expected}: {source}");
        assert!(began.elapsed().as_secs() < 10, "it went on trying");
    }
}

#[tokio::test]
async fn what_is_no_certificate_is_refused() {
    let options = options().ca_certificates("none");
    let refused = AmqpCommunicator::connect("amqps://localhost", options).await;
    let Err(CommunicatorError::Broker { source, .. }) = &refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("no certificate"), "{source}");
}
