//! The transport over ZeroMQ keeps the contract.

mod keeps {
    use std::sync::Arc;

    use procession_transport::conformance::{Subject, conformance};
    use procession_transport::{Transport, ZmqTransport};

    async fn medium() -> Subject {
        let host = Arc::new(ZmqTransport::host("tcp://127.0.0.1:*").await.unwrap());
        Subject::new(move || {
            let host = Arc::clone(&host);
            Box::pin(async move {
                let member = ZmqTransport::join(host.endpoint()).await.unwrap();
                Arc::new(member) as Arc<dyn Transport>
            })
        })
    }

    conformance!(zmq, medium);
}
