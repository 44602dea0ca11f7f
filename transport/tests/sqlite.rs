//! The transport through a SQLite file keeps the contract, also between OS processes, and when something goes wrong.

use std::sync::Arc;

use procession_transport::SqliteTransport;
use procession_transport::conformance::{Subject, conformance};

async fn medium() -> Subject {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    Subject::new(move || {
        let transport = SqliteTransport::open(directory.path().join("channels")).unwrap();
        Box::pin(async move { Arc::new(transport) as _ })
    })
}

conformance!(sqlite, medium);
