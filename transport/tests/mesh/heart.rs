//! Hearts and beats: M34 to M36. Time is paused, so waits are exact.

use procession_transport::mesh::Heartbeat;
use procession_transport::{Content, Envelope, Kind, LocalTransport, Transport};
use tokio::time::Instant;

use super::*;

/// A runtime that joins, and then does nothing.
struct Silent {
    transport: Arc<LocalTransport>,
    mailbox: Box<dyn procession_transport::Inlet>,
    uid: &'static str,
}

impl Silent {
    async fn join(transport: &Arc<LocalTransport>, uid: &'static str) -> Self {
        let mailbox = transport.mailbox(uid).await.unwrap();
        let mut silent = Self { transport: Arc::clone(transport), mailbox, uid };
        let who = format!(r#"{{"uid":"{uid}","address":"{uid}","incarnation":1}}"#);
        silent.say(Kind::Call, "mesh.hand", 1, &who).await;
        assert_eq!(silent.hear().await.kind, Kind::Reply);
        silent
    }

    async fn say(&self, kind: Kind, subject: &str, correlation: u64, body: &str) {
        let body = body.as_bytes().to_vec().into();
        let envelope = Envelope::new(kind, self.uid.into(), Content::Json, body);
        let envelope = Envelope { subject: subject.into(), correlation, ..envelope };
        self.transport.post("monitor", envelope).await.unwrap();
    }

    async fn hear(&mut self) -> Envelope {
        let delivery = self.mailbox.recv().await.unwrap().unwrap();
        delivery.receipt.ack();
        delivery.envelope
    }
}

async fn monitored(heartbeat: Heartbeat) -> (Mesh, MeshEvents, Silent) {
    let transport = Arc::new(LocalTransport::new());
    let monitor = MeshBuilder::new(Arc::<LocalTransport>::clone(&transport), "monitor".parse().unwrap());
    let monitor = methods(monitor).with_heartbeat(heartbeat).registry().start().await.unwrap();
    let events = monitor.events();
    let silent = Silent::join(&transport, "node:0").await;
    (monitor, events, silent)
}

const INTERVAL: Duration = Duration::from_secs(15);

#[test]
fn m35_the_defaults() {
    assert_eq!(Heartbeat::default(), Heartbeat { interval: INTERVAL, attempts: 5 });
}

/// Interval × (1 + 1 + 5/4 + 5/3 + 5/2 + 5) = 12.4 intervals.
#[tokio::test(start_paused = true)]
async fn m34_m35_who_is_silent_is_asked_five_times_and_then_lost() {
    let (monitor, mut events, mut silent) = monitored(Heartbeat::default()).await;
    let start = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..5 {
        let heart = silent.hear().await;
        assert_eq!((heart.kind, &*heart.subject), (Kind::Call, "mesh.heart"));
        asked.push(start.elapsed().as_secs_f64() / 15.0);
    }
    lost_at(&mut events).await;
    let expected = [1.0, 2.0, 3.25, 3.25 + 5.0 / 3.0, 7.416_667];
    let near = |one: f64, other: f64| (one - other).abs() < 0.01;
    assert!(asked.iter().zip(expected).all(|(&one, other)| near(one, other)), "{asked:?}");
    let lost = start.elapsed().as_secs_f64() / 15.0;
    assert!(near(lost, 12.416_667), "{lost}");
    assert!(!monitor.is_shaken("node:0"));
}

async fn lost_at(events: &mut MeshEvents) {
    loop {
        match events.recv().await.unwrap() {
            MeshEvent::Lost { uid, why } => {
                assert_eq!((uid.as_str(), why.as_str()), ("node:0", "it does not answer"));
                return;
            }
            other => assert!(matches!(other, MeshEvent::Joined { .. }), "{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn m20_m36_any_message_is_a_beat_and_begins_anew() {
    for is_beat in [true, false] {
        let (_monitor, mut events, mut silent) = monitored(Heartbeat::default()).await;
        for _ in 0..4 {
            silent.hear().await;
        }
        if is_beat {
            silent.say(Kind::Reply, "", 12345, "").await;
        } else {
            silent.say(Kind::Notice, "add", 0, "[1, 2]").await;
        }
        let start = Instant::now();
        for _ in 0..5 {
            silent.hear().await;
        }
        lost_at(&mut events).await;
        let lost = start.elapsed().as_secs_f64() / 15.0;
        assert!((lost - 12.416_667).abs() < 0.01, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn m35_the_schedule_can_be_told() {
    let heartbeat = Heartbeat { interval: Duration::from_secs(1), attempts: 2 };
    let (_monitor, mut events, _silent) = monitored(heartbeat).await;
    let start = Instant::now();
    lost_at(&mut events).await;
    // 1 + 2/2 + 2/1
    assert!((start.elapsed().as_secs_f64() - 4.0).abs() < 0.05, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn m36_who_answers_is_not_lost() {
    let net = Net::local();
    let heartbeat = Heartbeat { interval: Duration::from_secs(1), attempts: 2 };
    let monitor = net.builder("monitor").await.with_heartbeat(heartbeat).registry().start().await.unwrap();
    let node = net.builder("node:0").await.with_heartbeat(heartbeat).join(monitor.address()).await.unwrap();
    let worker = net.builder("worker:1:0").await.with_heartbeat(heartbeat).join(monitor.address()).await.unwrap();
    let mut events = monitor.events();
    assert!(tokio::time::timeout(Duration::from_secs(1000), events.recv()).await.is_err(), "nothing happens");
    assert!(monitor.is_shaken("node:0") && node.is_shaken("monitor") && worker.is_shaken("monitor"));
}

#[tokio::test(start_paused = true)]
async fn without_a_heartbeat_silence_is_no_loss() {
    let transport = Arc::new(LocalTransport::new());
    let monitor = MeshBuilder::new(Arc::<LocalTransport>::clone(&transport), "monitor".parse().unwrap());
    let monitor = monitor.without_heartbeat().registry().start().await.unwrap();
    let mut silent = Silent::join(&transport, "node:0").await;
    assert!(tokio::time::timeout(Duration::from_secs(1000), silent.hear()).await.is_err());
    assert!(monitor.is_shaken("node:0"));
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_without_a_word_is_found_out_and_its_calls_fail() {
    let net = Net::local();
    let monitor = net.monitor().await;
    let node = net.builder("node:0").await.join(monitor.address()).await.unwrap();
    let mut events = monitor.events();
    let pending = {
        let monitor = monitor.clone();
        tokio::spawn(async move {
            monitor.peer("node:0").with_deadline(Duration::from_secs(100_000)).call::<_, ()>("never", &()).await
        })
    };
    until("the call", || monitor.pending() == 1).await;
    drop(node);
    let (error, _) = tokio::join!(async { pending.await.unwrap().unwrap_err() }, events.recv());
    assert!(matches!(error, procession_transport::mesh::MeshError::Lost { .. }), "{error}");
}
