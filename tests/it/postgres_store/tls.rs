//! A server that speaks TLS, with a certificate of an authority that no system knows.

use procession::store::{PostgresOptions, PostgresStore, Store, StoreErrorKind};
use std::time::{Duration, Instant};

use super::sharing::join;
use super::{Place, ending, process, step};
use crate::authority::Authority;
use crate::postgres::Postgres;

/// The tests themselves look without; a worker has a password, and comes over TLS alone.
const WHO: &str = "host all postgres all trust\nhostssl all worker all scram-sha-256\n";

/// A server with a certificate for a host.
fn server(authority: &Authority, host: &str) -> Postgres {
    let (certificate, key) = authority.vouches(host);
    // They are where the server looks for them by itself.
    let files = [("server.crt", &*certificate), ("server.key", &*key), ("pg_hba.conf", WHO)];
    Postgres::start_with(&["ssl = on"], &files)
}

fn url(server: &Postgres) -> String {
    server.url_of("worker:secret") + "?sslmode=require&application_name=encrypted"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn every_connection_of_a_worker_is_encrypted() {
    let authority = Authority::new("an authority");
    let server = server(&authority, "127.0.0.1");
    let client = server.client().await;
    let role = "CREATE ROLE worker LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE postgres TO worker";
    client.batch_execute(role).await.unwrap();
    let place = Place::new(&server);
    let options = place.options().with_ca_certificates(authority.pem());
    let store = PostgresStore::connect(&url(&server), options).await.unwrap();
    let epoch = join(&store).await;
    // At once, for a worker that is new: it has a connection of its own by then.
    store.work(epoch).await.unwrap();
    store.renew(epoch, 0).await.unwrap();
    store.create(epoch, process("one")).await.unwrap();
    store.commit(step(&"one".into(), epoch, 1)).await.unwrap();
    store.commit(ending(&"one".into(), epoch, 2)).await.unwrap();
    assert!(store.termination(&"one".into()).await.unwrap().is_some());
    let connections = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE application_name = 'encrypted'";
    let row = client.query_one(connections, &[]).await.unwrap();
    let (all, encrypted): (i64, i64) = (row.get(0), row.get(1));
    assert!(all >= 3, "one that commits, one of a worker's own, and others: {all}");
    assert_eq!(all, encrypted);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_no_trusted_authority_vouches_for_is_refused_at_once() {
    let authority = Authority::new("an authority");
    let server = server(&authority, "another.host");
    let options = || Place::new(&server).options();
    let trusts = options().with_ca_certificates(authority.pem());
    let trusts_another = options().with_ca_certificates(Authority::new("another authority").pem());
    for (options, expected) in
        [(options(), "UnknownIssuer"), (trusts_another, "UnknownIssuer"), (trusts, "not valid for name")]
    {
        let began = Instant::now();
        let refused = PostgresStore::connect(&url(&server), options).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused:?}");
        let mut reasons = Vec::new();
        let mut source = std::error::Error::source(&refused);
        while let Some(error) = source {
            reasons.push(error.to_string());
            source = error.source();
        }
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{expected}: {reasons:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "it went on trying");
    }
}

#[tokio::test]
async fn certificates_that_are_none_or_of_no_use_are_refused() {
    let encrypted = "postgres://worker@127.0.0.1:1/postgres?sslmode=require";
    let open = "postgres://worker@127.0.0.1:1/postgres";
    let authority = Authority::new("an authority");
    for (url, pem, expected) in
        [(encrypted, "none", "no certificate"), (open, authority.pem(), "does not say `sslmode=require`")]
    {
        let options = PostgresOptions::new().with_ca_certificates(pem);
        let refused = PostgresStore::connect(url, options).await.unwrap_err();
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(reason.contains(expected), "{reason}");
    }
}
