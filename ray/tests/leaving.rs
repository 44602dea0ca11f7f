//! Leaving the cluster, in an OS process of its own: it is left for all in it.

// A test fails by a panic, its helpers, too.
#![allow(clippy::unwrap_used)]

mod common;

use procession_ray::disconnect;
use procession_transport::{Content, Envelope, Kind, Mode, Topic, Transport, TransportErrorKind};

use self::common::{connect, namespace};

/// What is open is of no use any more, and starts no cluster of its own; what was sent is there when it is joined
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_can_be_joined_again() {
    disconnect().await.unwrap();
    let namespace = namespace();
    let topic = Topic::new("stays", Mode::Pipeline).unwrap();
    let transport = connect(&namespace).await;
    let mut outlet = transport.outlet(&topic).await.unwrap();
    let item = Envelope::new(Kind::Data, "one".into(), Content::Bytes, "item".into());
    outlet.send(item.clone()).await.unwrap();
    outlet.flush().await.unwrap();
    disconnect().await.unwrap();
    let error = async {
        loop {
            if let Err(error) = outlet.send(item.clone()).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(std::time::Duration::from_secs(60), error).await.unwrap();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
    let error = transport.inlet(&topic).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
    let again = connect(&namespace).await;
    let mut inlet = again.inlet(&topic).await.unwrap();
    let delivery = inlet.recv().await.unwrap().unwrap();
    assert_eq!(delivery.envelope, item);
    delivery.receipt.ack();
    again.close().await.unwrap();
}
