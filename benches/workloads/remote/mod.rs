//! What goes over RabbitMQ between two OS processes: W3, W6 and broadcasts.

mod lanes;
mod raw;
mod worker;

use std::sync::Arc;

use crate::measure::{Bench, Sample, tokio};
use crate::report::Row;
use raw::{Client, Kind};

fn url() -> String { std::env::var("AMQP_URL").expect("url") }

fn limit(bench: &Bench, kind: Kind, in_flight: usize) -> Sample {
    tokio().block_on(async {
        let client = Arc::new(Client::start(&url(), kind).await);
        lanes::throughput(bench, in_flight, move |number| {
            let client = Arc::clone(&client);
            async move { client.call(number).await }
        })
        .await
    })
}

pub(crate) fn launches(bench: &Bench) -> Vec<Row> {
    for kind in [Kind::Tasks, Kind::Calls] {
    for n in [1, 100] {
        for _ in 0..3 {
        let s = limit(bench, kind, n);
        eprintln!("{kind:?} {n} {s:?}");
        }
    }
    }
    Vec::new()
}

/// A worker.
pub(crate) fn child(arguments: &[&str]) {
    worker::end_with_parent();
    tokio().block_on(async {
        match arguments {
            ["raw", kind, url] => raw::serve(url, Kind::of(kind)).await,
            _ => panic!("unknown worker {arguments:?}"),
        }
    });
}
