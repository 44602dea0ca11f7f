//! A receiver that waits is given what comes; it does not ask again and again (C29).

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use procession_transport::{Mode, Transport};

use super::seen::{next, send, topic, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_receiver_that_waits_is_a_consumer_of_its_queue() {
    let url = super::host().await;
    let transport = super::connect(&url).await;
    let topic = topic("idle.out..idle.in_1", Mode::Pipeline, 8);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let consumers = async || {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(topic.name().into(), passive, FieldTable::default()).await.unwrap().consumer_count()
    };
    let mut outlet = transport.outlet(&topic).await.unwrap();
    assert_eq!(consumers().await, 0);
    let mut inlet = transport.inlet(&topic).await.unwrap();
    until("a consumer", async || consumers().await == 1).await;
    send(&mut outlet, [7]).await;
    assert_eq!(next(&mut inlet).await.unwrap().envelope.number, 7);
}
