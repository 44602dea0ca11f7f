//! The transport within one OS process keeps the contract.

use std::sync::Arc;

use procession_transport::conformance::{Subject, conformance};
use procession_transport::{LocalTransport, Mode, Topic, Transport, TransportErrorKind, limits};

async fn medium() -> Subject {
    let transport = LocalTransport::new();
    Subject::new(move || {
        let transport = Arc::new(transport.clone());
        Box::pin(async move { transport as _ })
    })
}

conformance!(local, medium);

/// What nobody receives is kept, and what is kept is bounded.
#[tokio::test]
async fn forgotten_topics_are_bounded() {
    let transport = LocalTransport::new();
    let topic = |number: usize| Topic::new(format!("topic {number}"), Mode::Pipeline).unwrap();
    for number in 0..limits::TOPICS {
        let mut outlet = transport.outlet(&topic(number)).await.unwrap();
        outlet.close().await.unwrap();
    }
    let refused = transport.outlet(&topic(limits::TOPICS)).await.unwrap_err();
    assert_eq!(refused.kind(), TransportErrorKind::Invalid, "{refused}");
    // Received, one is forgotten, and there is room again.
    assert!(transport.inlet(&topic(7)).await.unwrap().recv().await.unwrap().is_none());
    transport.outlet(&topic(limits::TOPICS)).await.unwrap();
}
