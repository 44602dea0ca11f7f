//! Stores: the conformance suite on each, and what only one of them promises.

mod memory {
    use procession::store::MemoryStore;
    use procession::store::conformance::{Subject, conformance, sharing_conformance};
    use std::sync::Arc;

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
