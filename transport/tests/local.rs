//! The transport within one OS process keeps the contract.

use std::sync::Arc;

use procession_transport::LocalTransport;
use procession_transport::conformance::{Subject, conformance};

async fn medium() -> Subject {
    let transport = LocalTransport::new();
    Subject::new(move || {
        let transport = Arc::new(transport.clone());
        Box::pin(async move { transport as _ })
    })
}

conformance!(local, medium);
