//! The transport over Ray keeps the contract. Each property has a namespace of its own in one cluster.

#[allow(dead_code)]
mod common;

use std::sync::Arc;

use procession_transport::conformance::{Subject, conformance};

async fn medium() -> Subject {
    let namespace = common::namespace();
    Subject::new(move || {
        let namespace = namespace.clone();
        Box::pin(async move { Arc::new(common::connect(&namespace).await) as _ })
    })
}

conformance!(ray, medium);
