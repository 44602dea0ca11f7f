//! W8: items from a sender to a receiver, over each transport, against what carries them with nothing around it; and a call over the
//! mesh against an echo.

mod local;
mod mesh;
mod python;
mod rabbit;
mod sqlite;
mod zeromq;

use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::channel::{ChannelError, Connector, ConnectorBuilder};
use procession::transport::Transport;

use crate::measure::{Bench, Sample, per_second};
use crate::report::Row;

/// Items before the clock starts.
const WARM_UP: usize = 200;
/// Bytes of an item.
const BYTES: usize = 100;

pub(crate) fn channels(bench: &Bench) -> Vec<Row> {
    [local::rows, rabbit::rows, zeromq::rows, sqlite::rows, mesh::rows]
        .into_iter()
        .flat_map(|rows| rows(bench))
        .collect()
}

/// An item that tells its number, so that none is taken for another.
fn text(number: usize) -> String {
    format!("{number:0>BYTES$}")
}

/// Items a second from one transport to another, received in order and each acknowledged once the next is asked for.
async fn through(from: Arc<dyn Transport>, to: Arc<dyn Transport>, items: usize, is_lasting: bool) -> Sample {
    let connector = |transport| -> Connector<String> {
        let builder = ConnectorBuilder::new(transport);
        let builder = if is_lasting { builder.lasting() } else { builder };
        builder.build(&"bench.out..bench.in_1".parse().expect("a spec")).expect("a connector")
    };
    let mut receiver = connector(to).connect_recv().await.expect("a receiver");
    let mut sender = connector(from).connect_send().await.expect("a sender");
    let sending = tokio::spawn(async move {
        for number in 0..WARM_UP + items {
            sender.send(text(number)).await.expect("sent");
        }
        sender.close().await.expect("closed");
    });
    let (mut expected, mut start) = (0, Instant::now());
    loop {
        match receiver.recv().await {
            Ok(item) => assert_eq!(item, text(expected), "in order, each once"),
            Err(ChannelError::Closed { .. }) => break,
            Err(error) => panic!("{error}"),
        }
        expected += 1;
        if expected == WARM_UP {
            start = Instant::now();
        }
    }
    let took = start.elapsed();
    receiver.close().await.expect("closed");
    sending.await.expect("sent");
    assert_eq!(expected, WARM_UP + items);
    rate(items, took)
}

fn rate(items: usize, took: Duration) -> Sample {
    Sample::new(per_second(items as u64, took))
}
