//! Stores: the conformance suite on each, and what only one of them promises.

mod memory {
    use procession::clock::{ManualClock, Timestamp};
    use procession::limits;
    use procession::store::conformance::{Subject, conformance, sharing_conformance};
    use procession::store::{Envelope, FORMAT, MemoryStore, NewProcess, Placement, Store, Worker};
    use std::sync::Arc;
    use std::time::Duration;

    async fn empty() -> Subject {
        let kept = MemoryStore::with_retention(3, 3);
        Subject::open(3, move || {
            let store = Arc::new(kept.clone());
            Box::pin(async move { store as _ })
        })
        .await
    }

    conformance!(keeps, empty);
    sharing_conformance!(shares, empty);

    fn process(pid: &str) -> NewProcess {
        NewProcess {
            pid: pid.into(),
            key: None,
            parent: None,
            envelope: Envelope { format: FORMAT, process: "it::Relax".into(), version: 1, fingerprint: "f00d".into() },
            position: r#"{"at":"setup"}"#.into(),
            context: "{}".into(),
            inputs: "{}".into(),
            defaulted: None,
            listeners: None,
            owes: None,
            begun: None,
            placement: Placement::default(),
            messages: Vec::new(),
            at: Timestamp::from_millis(1),
        }
    }

    /// What it has is lost with it, however long ago that was.
    #[tokio::test]
    async fn a_lapsed_worker_is_not_forgotten_while_it_has_something() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1)));
        let store = MemoryStore::new().with_clock(clock.clone());
        let lease = Duration::from_secs(1);
        let join = || {
            let (host, version, queues) = ("here".to_owned(), "1".to_owned(), vec![String::new()]);
            store.join(Worker { host, os_process: 1, version, queues, slots: 1 }, lease)
        };
        let lost = join().await.unwrap();
        store.create(lost, process("its")).await.unwrap();
        clock.advance(limits::LAPSED_WORKER + lease);
        let next = join().await.unwrap();
        let claimed = store.claim(next, 10, 0).await.unwrap();
        assert_eq!(claimed.parked.len(), 1, "an attempt too many: {claimed:?}");
        join().await.unwrap();
        let epochs: Vec<_> = store.workers().await.unwrap().iter().map(|row| row.epoch).collect();
        assert!(!epochs.contains(&lost), "it has nothing any more: {epochs:?}");
    }
}

mod file {
    use procession::store::conformance::{Subject, conformance};
    use procession::store::{FileOptions, FileStore};
    use std::sync::Arc;

    async fn empty() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        Subject::open(3, move || {
            let options = FileOptions::new().with_history(3).with_reports(3);
            let store = Arc::new(FileStore::open_with(folder.path().join("store"), options).unwrap());
            Box::pin(async move { store as _ })
        })
        .await
    }

    conformance!(keeps, empty);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use procession::store::conformance::{Subject, conformance, sharing_conformance};
    use procession::store::{SqliteOptions, SqliteStore};
    use std::sync::Arc;

    async fn empty() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        Subject::open(3, move || {
            let options = SqliteOptions::new().with_history(3).with_reports(3);
            let store = Arc::new(SqliteStore::open_with(folder.path().join("store.db"), options).unwrap());
            Box::pin(async move { store as _ })
        })
        .await
    }

    conformance!(keeps, empty);
    sharing_conformance!(shares, empty);
}

#[cfg(all(unix, feature = "postgres"))]
mod postgres {
    use crate::postgres::Postgres;
    use procession::store::conformance::{Subject, conformance, sharing_conformance};
    use procession::store::{PostgresOptions, PostgresStore};
    use std::sync::Arc;

    async fn empty() -> Subject {
        let (url, schema) = (Postgres::shared().url(), Postgres::schema());
        Subject::open(3, move || {
            let options = PostgresOptions::new().with_schema(&*schema).with_connections(3);
            let (url, options) = (url.clone(), options.with_history(3).with_reports(3));
            Box::pin(async move { Arc::new(PostgresStore::connect(&url, options).await.unwrap()) as _ })
        })
        .await
    }

    conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test"]
        keeps,
        empty
    );
    sharing_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test"]
        shares,
        empty
    );
}
