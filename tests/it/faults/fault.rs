//! What goes wrong, and how it is brought about.

use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use std::fmt;
use std::time::Duration;
use tokio::time::{sleep, timeout};

use super::scene::Scene;
use crate::support::Random;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    BrokerStopped,
    BrokerKilled,
    ConnectionsClosed,
    ChannelError,
    ConsumerCancelled,
    ConsumerTimeout,
    MemoryAlarm,
    WorkerKilled,
    NetworkCut,
    NetworkFrozen,
    ConnectionsLost,
}

impl Fault {
    pub(crate) const ALL: [Self; 11] = [
        Self::BrokerStopped,
        Self::BrokerKilled,
        Self::ConnectionsClosed,
        Self::ChannelError,
        Self::ConsumerCancelled,
        Self::ConsumerTimeout,
        Self::MemoryAlarm,
        Self::WorkerKilled,
        Self::NetworkCut,
        Self::NetworkFrozen,
        Self::ConnectionsLost,
    ];

    /// This many: all kinds in an order of chance, then all again.
    pub(crate) fn plan(count: usize, random: &mut Random) -> Vec<Self> {
        let mut plan = Vec::new();
        while plan.len() < count {
            let mut left = Self::ALL.to_vec();
            while !left.is_empty() {
                plan.push(left.swap_remove(random.index(left.len())));
            }
        }
        plan.truncate(count);
        plan
    }

    /// Brings it about, and returns when it is over: all that was taken away is there again. Gives what it was exactly.
    pub(crate) async fn strike(self, scene: &mut Scene, random: &mut Random) -> String {
        let pause = Duration::from_millis(200 + random.below(2_500));
        let told = |what: &str| format!("{what} for {} ms", pause.as_millis());
        match self {
            Self::BrokerStopped => {
                scene.broker.stop_app().await;
                sleep(pause).await;
                scene.broker.start_app().await;
                told("stopped")
            }
            Self::BrokerKilled => {
                scene.broker.kill().await;
                sleep(pause).await;
                scene.broker.restart().await;
                told("down")
            }
            Self::ConnectionsClosed => {
                scene.broker.close_all_connections().await;
                String::new()
            }
            Self::ChannelError => channel_error(scene, random).await,
            Self::ConsumerCancelled => consumer_cancelled(scene, random).await,
            Self::ConsumerTimeout => consumer_timeout(scene).await,
            Self::MemoryAlarm => {
                scene.broker.ctl(&["set_vm_memory_high_watermark", "0"]).await;
                sleep(pause).await;
                scene.broker.ctl(&["set_vm_memory_high_watermark", "0.6"]).await;
                told("no memory")
            }
            Self::WorkerKilled => {
                scene.kill_worker(pause / 4).await;
                String::new()
            }
            Self::NetworkCut => {
                let (links, whose) = scene.links(random);
                links.iter().for_each(|link| link.cut());
                sleep(pause).await;
                links.iter().for_each(|link| link.open());
                told(whose)
            }
            Self::NetworkFrozen => {
                let (links, whose) = scene.links(random);
                links.iter().for_each(|link| link.freeze());
                sleep(pause).await;
                links.iter().for_each(|link| link.open());
                told(whose)
            }
            Self::ConnectionsLost => {
                let (links, whose) = scene.links(random);
                links.iter().for_each(|link| link.lose());
                whose.to_owned()
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BrokerStopped => "broker stopped and started",
            Self::BrokerKilled => "broker killed",
            Self::ConnectionsClosed => "connections closed",
            Self::ChannelError => "channel error",
            Self::ConsumerCancelled => "consumer cancelled",
            Self::ConsumerTimeout => "consumer timeout",
            Self::MemoryAlarm => "memory alarm",
            Self::WorkerKilled => "worker killed",
            Self::NetworkCut => "network cut",
            Self::NetworkFrozen => "network frozen",
            Self::ConnectionsLost => "connections lost silently",
        })
    }
}

/// An acknowledgement of what was never delivered closes a channel with an error, whoever sends it.
async fn channel_error(scene: &Scene, random: &mut Random) -> String {
    let error =
        |which: &str| format!("[rabbit_channel:do(C, {{'basic.ack', 4000000000, false}}) || C <- {which}], ok.");
    if random.below(2) == 0 {
        scene.broker.ctl(&["eval", &error("rabbit_channel:list_local()")]).await;
        return "all channels".to_owned();
    }
    let place = random.below(1_000);
    let one = format!("[lists:nth(({place} rem length(L)) + 1, L) || L <- [rabbit_channel:list_local()], L =/= []]");
    scene.broker.ctl(&["eval", &error(&one)]).await;
    "one channel".to_owned()
}

/// A queue is deleted, or its process dies: the server cancels its consumers.
async fn consumer_cancelled(scene: &Scene, random: &mut Random) -> String {
    let on = |queue: &str, what: &str| {
        format!(
            "case rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)) of {{ok, Q}} -> {what}; _ -> \
             gone end."
        )
    };
    // Tasks that wait in a queue are gone with it, whoever had sent them; without any, nothing is.
    let delete = "rabbit_amqqueue:delete(Q, false, true, <<\"test\">>)";
    let queue = scene.names.task_queue.clone();
    match random.below(4) {
        0 => {
            let said = scene.broker.ctl(&["eval", &on(&queue, delete)]).await;
            format!("the task queue is deleted: {}", said.trim())
        }
        1 => {
            scene.broker.ctl(&["eval", &on(&queue, "exit(amqqueue:get_pid(Q), kill)")]).await;
            "the process of the task queue is killed".to_owned()
        }
        _ => {
            let mut queues: Vec<String> =
                scene.broker.queues().await.into_keys().filter(|name| *name != queue).collect();
            let queue = queues.swap_remove(random.index(queues.len()));
            let delete = "rabbit_amqqueue:delete(Q, false, false, <<\"test\">>)";
            scene.broker.ctl(&["eval", &on(&queue, delete)]).await;
            format!("`{queue}` is deleted")
        }
    }
}

/// A client that holds a message without acknowledging it is cut off, which shows that the limit is in force. The tasks
/// of the worker take longer than it.
async fn consumer_timeout(scene: &Scene) -> String {
    let connection = Connection::connect(&scene.broker.url(), ConnectionProperties::default()).await.expect("connects");
    let channel = connection.create_channel().await.expect("a channel");
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(ShortString::default(), exclusive, FieldTable::default()).await.expect("a queue");
    let (plain, none) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.name().clone(), plain, b"held", none).await.expect("a message");
    let options = BasicConsumeOptions::default();
    let tag = ShortString::from("unprotected");
    let consumer = channel.basic_consume(queue.name().clone(), tag, options, FieldTable::default());
    let _consumer = consumer.await.expect("a consumer");
    let began = tokio::time::Instant::now();
    let cut_off = async {
        while channel.status().connected() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), cut_off).await.is_ok(), "an unprotected consumer is not cut off");
    format!("an unprotected consumer was cut off after {:.1} s", began.elapsed().as_secs_f64())
}
