//! Communicators: the conformance suite on the one in this process, and what only that one promises.

mod bounds;
mod local;
mod reply;

mod suite {
    use procession::communicator::LocalCommunicator;
    use procession::communicator::conformance::{Subject, conformance};
    use std::sync::Arc;

    async fn medium() -> Subject {
        let first = LocalCommunicator::new();
        Subject::new(move || {
            let communicator = Arc::new(first.another());
            Box::pin(async move { communicator as _ })
        })
    }

    conformance!(local, medium);
}
