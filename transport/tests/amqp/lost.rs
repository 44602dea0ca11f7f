//! Connections that are lost, servers that are started again, receivers that crash.

use std::sync::Arc;
use std::time::Duration;

use procession_transport::channel::{Connector, ConnectorBuilder};
use procession_transport::{AmqpTransport, Inlet, Mode, Topic, Transport, TransportError};
use tokio::time::sleep;

use super::seen::{item, next, number, rest, send, soon, topic};
use super::{Broker, connect, host, place};

const ITEMS: u32 = 3_000;

/// Carries items over a lasting channel while the broker is disturbed; each comes once, in order.
async fn undisturbed(from: AmqpTransport, to: AmqpTransport, disturb: impl AsyncFnOnce()) {
    let connector = |transport| -> Connector<u32> {
        let builder = ConnectorBuilder::new(Arc::new(transport) as _).with_job("Job_0123456789abcdef").lasting();
        builder.build(&"a.out..b.in_1".parse().unwrap()).unwrap()
    };
    let mut sender = connector(from).connect_send().await.unwrap();
    let mut receiver = connector(to).connect_recv().await.unwrap();
    let sending = tokio::spawn(async move {
        for item in 1..=ITEMS {
            soon("room", sender.send(item)).await.unwrap();
            if item % 50 == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        soon("a close", sender.close()).await.unwrap();
    });
    let receiving = tokio::spawn(async move {
        let mut came = Vec::new();
        while let Ok(item) = soon("an item or the end", receiver.recv()).await {
            came.push(item);
        }
        came
    });
    sleep(Duration::from_millis(100)).await;
    disturb().await;
    let came = soon("the receiver's end", receiving).await.unwrap();
    assert_eq!(came, (1..=ITEMS).collect::<Vec<_>>());
    soon("the sender", sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn nothing_is_lost_or_comes_twice_when_the_broker_is_started_again() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(&[])).await.unwrap();
    let (from, to) = (connect(&broker.url()).await, connect(&broker.url()).await);
    undisturbed(from, to, async || {
        broker.stop_app().await;
        broker.start_app().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn nothing_is_lost_when_the_broker_is_killed() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(&[])).await.unwrap();
    let (from, to) = (connect(&broker.url()).await, connect(&broker.url()).await);
    undisturbed(from, to, async || {
        broker.kill().await;
        broker.restart().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn nothing_is_lost_or_comes_twice_when_connections_are_closed() {
    let (broker, host) = place().await;
    let url = format!("{}{host}", broker.url().strip_suffix("%2f").unwrap());
    let (from, to) = (connect(&url).await, connect(&url).await);
    undisturbed(from, to, async || {
        for _ in 0..3 {
            broker.ctl(&["close_all_connections", "--vhost", &host, "a test"]).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_was_given_out_before_a_connection_was_lost_does_not_come_twice() {
    let (broker, host) = place().await;
    let url = format!("{}{host}", broker.url().strip_suffix("%2f").unwrap());
    let (from, to) = (connect(&url).await, connect(&url).await);
    let topic = topic("given.out..b.in_1", Mode::Pipeline, 64).lasting();
    let (mut inlet, mut outlet) = (to.inlet(&topic).await.unwrap(), from.outlet(&topic).await.unwrap());
    send(&mut outlet, 1..=6).await;
    assert_eq!(number(&mut inlet).await, Some(1));
    let (two, three) = (next(&mut inlet).await.unwrap(), next(&mut inlet).await.unwrap());
    let four = next(&mut inlet).await.unwrap();
    broker.ctl(&["close_all_connections", "--vhost", &host, "a test"]).await;
    // One between two connections, one over the next; the third is given back.
    two.receipt.ack();
    let mut came = vec![number(&mut inlet).await.unwrap()];
    three.receipt.ack();
    drop(four);
    soon("a flush", outlet.flush()).await.unwrap();
    soon("a close", outlet.close()).await.unwrap();
    came.extend(rest(&mut inlet).await);
    came.sort_unstable();
    assert_eq!(came, [4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_a_receiver_had_that_crashed_comes_again() {
    let url = host().await;
    let from = connect(&url).await;
    let topic = topic("crash.out..b.in_1", Mode::Pipeline, 64);
    let mut outlet = from.outlet(&topic).await.unwrap();
    send(&mut outlet, 1..=10).await;
    // Its tasks and its connection end with its runtime, without a word.
    let (of, on) = (url.clone(), topic.clone());
    let crashes = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let transport = connect(&of).await;
            let mut inlet = transport.inlet(&on).await.unwrap();
            for expected in 1..=4 {
                let delivery = next(&mut inlet).await.unwrap();
                assert_eq!(delivery.envelope.number, expected);
                std::mem::forget(delivery);
            }
            std::mem::forget((inlet, transport));
        });
        runtime.shutdown_background();
    });
    soon("the crash", tokio::task::spawn_blocking(move || crashes.join())).await.unwrap().unwrap();
    let mut inlet = from.inlet(&topic).await.unwrap();
    soon("a close", outlet.close()).await.unwrap();
    let mut came = Vec::new();
    while let Some(delivery) = next(&mut inlet).await {
        came.push((delivery.envelope.number, delivery.again));
        delivery.receipt.ack();
    }
    assert_eq!(came.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert!(came[..4].iter().all(|(_, again)| *again), "{came:?}");
}

/// A broker gives what a lost connection had to others only once it has seen the loss, and until then what comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn what_a_lone_receiver_had_that_hangs_comes_before_what_was_sent_later() {
    let url = host().await;
    let (from, to) = (connect(&url).await, connect(&url).await);
    let topic = topic("alone.out..b.in_1", Mode::Pipeline, 256).lasting().exclusive();
    let mut outlet = from.outlet(&topic).await.unwrap();
    send(&mut outlet, 1..=200).await;
    let (of, on) = (url.clone(), topic.clone());
    let hangs = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let transport = connect(&of).await;
            let mut inlet = transport.inlet(&on).await.unwrap();
            for expected in 1..=5 {
                let delivery = next(&mut inlet).await.unwrap();
                assert_eq!(delivery.envelope.number, expected);
                std::mem::forget(delivery);
            }
            std::mem::forget((inlet, transport));
        });
        // Nobody runs it: its connection is there, and does nothing.
        runtime
    });
    let hangs = tokio::task::spawn_blocking(move || hangs.join()).await.unwrap().unwrap();
    let following = tokio::spawn(async move {
        let mut inlet = alone(&to, &topic).await;
        let mut came = Vec::new();
        for _ in 1..=200 {
            came.push(number(&mut inlet).await.unwrap());
        }
        came
    });
    sleep(Duration::from_millis(500)).await;
    assert!(!following.is_finished());
    hangs.shutdown_background();
    assert_eq!(soon("all of it", following).await.unwrap(), (1..=200).collect::<Vec<_>>());
}

/// An inlet, as soon as nobody else receives.
async fn alone(transport: &AmqpTransport, topic: &Topic) -> Box<dyn Inlet> {
    let opened = async {
        loop {
            match transport.inlet(topic).await {
                Err(TransportError::Occupied { .. }) => sleep(Duration::from_millis(1)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    soon("a free topic", opened).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_subscriber_and_a_mailbox_go_on_after_a_lost_connection() {
    let (broker, host) = place().await;
    let url = format!("{}{host}", broker.url().strip_suffix("%2f").unwrap());
    let (from, to) = (connect(&url).await, connect(&url).await);
    let news = topic("press.news", Mode::PubSub, 64);
    let (mut inlet, mut outlet) = (to.inlet(&news).await.unwrap(), from.outlet(&news).await.unwrap());
    let mut owner = to.mailbox("node:0").await.unwrap();
    send(&mut outlet, 1..=3).await;
    for expected in 1..=3 {
        assert_eq!(number(&mut inlet).await, Some(expected));
    }
    broker.ctl(&["close_all_connections", "--vhost", &host, "a test"]).await;
    // What is published while nobody is there is heard by nobody.
    let publishing = tokio::spawn(async move {
        for number in 4.. {
            if outlet.send(item(number)).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(number(&mut inlet).await.unwrap() > 3);
    soon("a post that arrives", async {
        while from.post("node:0", item(7)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(number(&mut owner).await, Some(7));
    soon("the close", from.close()).await.unwrap();
    soon("the publisher", publishing).await.unwrap();
}
