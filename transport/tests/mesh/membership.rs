//! Who is there: M1 to M3, M25 to M33, M37.

use std::sync::Mutex;

use procession_transport::mesh::{MeshError, MeshErrorKind, Uid};

use super::*;

#[test]
fn m1_what_can_be_a_uid() {
    for text in ["monitor", "head", "node:0", "worker:0:3", "warehouse:0", "worker:0:0:a3f7b2c1", "my-name_2:x-1"] {
        let uid: Uid = text.parse().unwrap();
        assert_eq!((uid.to_string().as_str(), uid.as_str()), (text, text));
        assert_eq!(serde_json::from_str::<Uid>(&serde_json::to_string(&uid).unwrap()).unwrap(), uid);
    }
    for text in ["", ":0", "node:", "node::0", "0node", "a b", "a/b", "a:b/c", "ä", "a:\0", &"x".repeat(101)] {
        let error = text.parse::<Uid>().unwrap_err();
        assert_eq!(error.kind(), MeshErrorKind::Invalid, "{text}");
    }
    assert!(serde_json::from_str::<Uid>("\"a/b\"").is_err());
    let uid: Uid = "worker:0:3".parse().unwrap();
    assert_eq!((uid.name(), uid.indices().collect::<Vec<_>>()), ("worker", vec!["0", "3"]));
}

#[tokio::test]
async fn m3_m25_to_m28_who_joins_knows_all_and_all_know_it() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let node = net.join("node:0", &monitor).await;
        let mut events = node.events();
        let worker = net.join("worker:0:0", &monitor).await;
        // M27: what the registry knows, at once.
        assert!(worker.is_shaken("node:0") && worker.is_shaken("monitor") && monitor.is_shaken("worker:0:0"));
        // M28: the others are told.
        shaken(&node, "worker:0:0").await;
        event(&mut events, |event| matches!(event, MeshEvent::Joined { uid } if uid.as_str() == "worker:0:0")).await;
        assert_eq!(call_add(&node, "worker:0:0").await, 3);
        let uids = |mesh: &Mesh| mesh.peers().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(uids(&worker), ["monitor", "node:0"]);
        assert_eq!(uids(&node), ["monitor", "worker:0:0"]);
        assert_eq!(uids(&monitor), ["node:0", "worker:0:0"]);
        assert_eq!(node.address_of("worker:0:0").unwrap(), worker.address());
    }
}

#[tokio::test]
async fn m27_who_has_joined_can_be_called_by_all_at_once() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let mut workers: Vec<Mesh> = Vec::new();
        for index in 0..6 {
            let worker = net.join(&format!("worker:0:{index}"), &monitor).await;
            // Whoever comes calls those who were there, whether or not they were told yet.
            for other in &workers {
                assert_eq!(call_add(&worker, other.uid().as_str()).await, 3);
            }
            workers.push(worker);
        }
    }
}

#[tokio::test]
async fn m25_a_join_is_repeated_until_the_registry_is_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let joining = tokio::spawn(async move {
        let worker = Net::Tcp.builder("worker:0:0").await.with_join_deadline(PATIENCE);
        worker.join(&format!("{port}/monitor")).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!joining.is_finished(), "it goes on asking");
    let transport = TcpTransport::bind(options().with_bind(port.to_string())).await.unwrap();
    let monitor = MeshBuilder::new(Arc::new(transport), "monitor".parse().unwrap());
    let monitor = monitor.registry().start().await.unwrap();
    let worker = soon("the join", joining).await.unwrap().unwrap();
    shaken(&monitor, "worker:0:0").await;
    assert!(worker.is_shaken("monitor"));
}

#[tokio::test]
async fn m25_a_join_that_cannot_be_ends() {
    let brief = Duration::from_millis(200);
    let worker = || async { Net::Tcp.builder("worker:0:0").await.with_join_deadline(brief) };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = soon("an error", worker().await.join(&format!("{closed}/monitor"))).await.unwrap_err();
    assert!(matches!(error, MeshError::Transport { .. }) && error.is_retryable(), "{error}");
    // One that never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let error = soon("an error", worker().await.join(&format!("{at}/monitor"))).await.unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Deadline, "{error}");
    let monitor = Net::Tcp.monitor().await;
    let node = Net::Tcp.join("node:0", &monitor).await;
    let error = soon("an error", worker().await.join(node.address())).await.unwrap_err();
    assert_eq!(error.to_string(), "joining the mesh was refused: `node:0` is not the registry");
    assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Refused, false));
}

#[tokio::test]
async fn m29_a_uid_that_is_there_is_not_given_to_another() {
    let monitor = Net::Tcp.monitor().await;
    let worker = Net::Tcp.join("worker:0:0", &monitor).await;
    let error = Net::Tcp.builder("worker:0:0").await.join(monitor.address()).await.unwrap_err();
    let expected = format!("joining the mesh was refused: `worker:0:0` is at `{}`", worker.address());
    assert_eq!(error.to_string(), expected);
    let error = Net::Tcp.builder("monitor").await.join(monitor.address()).await.unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Refused);
    assert_eq!(call_add(&monitor, "worker:0:0").await, 3);
    let net = Net::local();
    let _monitor = net.monitor().await;
    let error = net.builder("monitor").await.start().await.unwrap_err();
    assert!(matches!(error, MeshError::Transport { .. }), "the mailbox is taken: {error}");
}

#[tokio::test]
async fn m29_m37_who_comes_back_elsewhere_is_reached_there() {
    let monitor = Net::Tcp.monitor().await;
    let node = Net::Tcp.join("node:0", &monitor).await;
    let mut events = node.events();
    let worker = Net::Tcp.join("worker:0:0", &monitor).await;
    shaken(&node, "worker:0:0").await;
    let before = node.address_of("worker:0:0").unwrap();
    // Without a word.
    drop(worker);
    lost(&mut events, "worker:0:0").await;
    let worker = Net::Tcp.join("worker:0:0", &monitor).await;
    shaken(&node, "worker:0:0").await;
    assert_eq!(node.address_of("worker:0:0").unwrap(), worker.address());
    assert_ne!(worker.address(), before);
    assert_eq!((call_add(&node, "worker:0:0").await, call_add(&monitor, "worker:0:0").await), (3, 3));
}

#[tokio::test]
async fn m37_who_comes_back_at_once_is_let_in() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let node = net.join("node:0", &monitor).await;
        for _ in 0..3 {
            let worker = soon("a join", async {
                loop {
                    // The mailbox of one that was dropped may be there a little longer.
                    if let Ok(worker) = net.builder("worker:0:0").await.join(monitor.address()).await {
                        return worker;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            assert_eq!(call_add(&monitor, "worker:0:0").await, 3);
            soon("a call", async {
                while node.call::<_, i64>("worker:0:0", "add", &(1, 2)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            // Whether or not the registry has seen it go.
            drop(worker);
        }
    }
}

#[tokio::test]
async fn m30_who_is_connected_and_who_is_shaken() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        let address = worker.address().to_owned();
        assert!(monitor.is_connected("monitor") && !monitor.is_shaken("monitor"), "itself");
        assert!(monitor.is_connected("worker:0:0") && monitor.is_shaken("worker:0:0"));
        worker.stop().await;
        until("the goodbye", || !monitor.is_shaken("worker:0:0")).await;
        assert!(monitor.is_connected("worker:0:0"), "also after it is gone");
        assert_eq!(monitor.address_of("worker:0:0").unwrap(), address);
        assert!(!monitor.is_connected("worker:0:1"));
        assert!(matches!(monitor.address_of("worker:0:1"), Err(MeshError::UnknownPeer { .. })));
    }
}

#[tokio::test]
async fn m31_waiting_for_a_runtime_has_a_bound() {
    let net = Net::local();
    let monitor = net.monitor().await;
    monitor.wait_for("monitor", Duration::ZERO).await.unwrap();
    let error = monitor.wait_for("worker:0:0", Duration::from_millis(30)).await.unwrap_err();
    assert_eq!(error.to_string(), "waiting for `worker:0:0` took more than 30ms");
    let waiting = {
        let monitor = monitor.clone();
        tokio::spawn(async move { monitor.wait_for("worker:0:0", PATIENCE).await })
    };
    let _worker = net.join("worker:0:0", &monitor).await;
    soon("it", waiting).await.unwrap().unwrap();
    let waiting = {
        let monitor = monitor.clone();
        tokio::spawn(async move { monitor.wait_for("worker:0:1", PATIENCE).await })
    };
    tokio::task::yield_now().await;
    monitor.stop().await;
    assert!(matches!(soon("the end", waiting).await.unwrap(), Err(MeshError::Stopped)));
}

#[tokio::test]
async fn m32_a_disconnect_is_told_to_all_and_fails_calls() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let node = net.join("node:1", &monitor).await;
        let worker = net.join("worker:0:0", &monitor).await;
        shaken(&node, "worker:0:0").await;
        let mut events = node.events();
        let pending = {
            let node = node.clone();
            tokio::spawn(async move { node.call::<_, ()>("worker:0:0", "never", &()).await })
        };
        until("the call", || node.pending() == 1).await;
        monitor.disconnect("worker:0:0", true).await.unwrap();
        event(&mut events, |event| matches!(event, MeshEvent::Left { uid } if uid.as_str() == "worker:0:0")).await;
        let error = soon("the end of the call", pending).await.unwrap().unwrap_err();
        assert!(matches!(&error, MeshError::Lost { uid } if uid == worker.uid()), "{error}");
        let error = monitor.disconnect("worker:0:0", true).await.unwrap_err();
        assert!(matches!(error, MeshError::NotConnected { .. }), "{error}");
        assert!(matches!(monitor.disconnect("x", true).await, Err(MeshError::UnknownPeer { .. })));
    }
}

#[tokio::test]
async fn m32_any_runtime_disconnects_with_notice_by_the_registry() {
    let net = Net::Tcp;
    let monitor = net.monitor().await;
    let (node, other) = (net.join("node:0", &monitor).await, net.join("node:1", &monitor).await);
    let _worker = net.join("worker:5:0", &monitor).await;
    shaken(&other, "worker:5:0").await;
    shaken(&node, "worker:5:0").await;
    let mut events = other.events();
    node.disconnect("worker:5:0", true).await.unwrap();
    assert!(!node.is_shaken("worker:5:0"));
    event(&mut events, |event| matches!(event, MeshEvent::Left { uid } if uid.as_str() == "worker:5:0")).await;
}

#[tokio::test]
async fn m32_a_node_takes_its_workers_with_it() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let head = net.join("head", &monitor).await;
        let node = net.join("node:0", &monitor).await;
        let mut workers = Vec::new();
        for uid in ["worker:0:0", "worker:0:1", "worker:1:0"] {
            workers.push(net.join(uid, &monitor).await);
            shaken(&head, uid).await;
        }
        shaken(&head, "node:0").await;
        node.stop().await;
        for mesh in [&monitor, &head] {
            until("all of the node are gone", || {
                ["node:0", "worker:0:0", "worker:0:1"].iter().all(|uid| !mesh.is_shaken(uid))
            })
            .await;
            assert!(mesh.is_shaken("worker:1:0"), "another node's stays");
        }
    }
}

#[tokio::test]
async fn m33_who_stops_says_so_and_is_not_lost() {
    for net in Net::all() {
        let called = Arc::new(Mutex::new(Vec::new()));
        let calls = Arc::clone(&called);
        let monitor = net.builder("monitor").await.registry();
        let monitor = monitor.on_peer_lost(move |uid| calls.lock().unwrap().push(uid.to_string()));
        let monitor = monitor.start().await.unwrap();
        let node = net.join("node:0", &monitor).await;
        let (mut events, mut at_node) = (monitor.events(), node.events());
        let worker = net.join("worker:7:0", &monitor).await;
        shaken(&node, "worker:7:0").await;
        worker.stop().await;
        let again = net.builder("worker:7:0").await.start().await;
        assert!(again.is_ok(), "its mailbox is given up: {again:?}");
        let is_it = |event: &MeshEvent| !matches!(event, MeshEvent::Joined { .. });
        for events in [&mut events, &mut at_node] {
            let event = event(events, is_it).await;
            assert!(matches!(&event, MeshEvent::Left { uid } if uid.as_str() == "worker:7:0"), "{event:?}");
        }
        assert!(called.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_lost_peer_fails_its_calls_and_is_told() {
    // The local transport tells no loss: there it is found out by who asks.
    for net in [Net::Tcp, Net::Sealed] {
        let (told, mut lost_uids) = tokio::sync::mpsc::channel(10);
        let monitor = net.builder("monitor").await.registry();
        let monitor = monitor.on_peer_lost(move |uid| told.try_send(uid.to_string()).unwrap());
        let monitor = monitor.start().await.unwrap();
        let node = net.join("node:0", &monitor).await;
        let worker = net.join("worker:9:0", &monitor).await;
        shaken(&node, "worker:9:0").await;
        let mut events = node.events();
        let pending = |from: &Mesh| {
            let from = from.clone();
            tokio::spawn(async move { from.call::<_, ()>("worker:9:0", "never", &()).await })
        };
        let pending = [pending(&node), pending(&monitor)];
        until("the calls", || node.pending() == 1 && monitor.pending() == 1).await;
        drop(worker);
        for pending in pending {
            let error = soon("the end of the call", pending).await.unwrap().unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Disconnected, true), "{error}");
        }
        lost(&mut events, "worker:9:0").await;
        assert_eq!(soon("the callback", lost_uids.recv()).await.unwrap(), "worker:9:0");
        assert_eq!(call_add(&node, "monitor").await, 3, "the others go on");
    }
}

#[tokio::test]
async fn a_registry_that_comes_back_is_joined_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let monitor = || async {
        let transport = soon("the port", async {
            loop {
                match TcpTransport::bind(options().with_bind(port.to_string())).await {
                    Ok(transport) => return transport,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let monitor = MeshBuilder::new(Arc::new(transport.await), "monitor".parse().unwrap());
        methods(monitor).registry().start().await.unwrap()
    };
    let first = monitor().await;
    let (node, worker) = (Net::Tcp.join("node:3", &first).await, Net::Tcp.join("worker:0:0", &first).await);
    shaken(&node, "worker:0:0").await;
    drop(first);
    until("the loss", || !node.is_shaken("monitor") && !worker.is_shaken("monitor")).await;
    assert_eq!(call_add(&node, "worker:0:0").await, 3, "what they say to one another needs no registry");
    let second = monitor().await;
    for uid in ["node:3", "worker:0:0"] {
        shaken(&second, uid).await;
    }
    assert_eq!((call_add(&second, "node:3").await, call_add(&node, "worker:0:0").await), (3, 3));
    let other = Net::Tcp.join("worker:0:1", &second).await;
    shaken(&node, "worker:0:1").await;
    assert_eq!(call_add(&other, "node:3").await, 3);
}

#[tokio::test]
async fn who_was_given_up_by_mistake_is_let_in_again() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        monitor.disconnect("worker:0:0", true).await.unwrap();
        assert!(!monitor.is_shaken("worker:0:0"));
        // It notices when it says something.
        let _ = worker.call::<_, i64>("monitor", "add", &(1, 2)).await;
        shaken(&monitor, "worker:0:0").await;
        assert_eq!(call_add(&monitor, "worker:0:0").await, 3);
    }
}

#[tokio::test]
async fn the_registry_stops_others_and_nobody_else_does() {
    let net = Net::Tcp;
    let monitor = net.monitor().await;
    let (node, worker) = (net.join("node:8", &monitor).await, net.join("worker:0:0", &monitor).await);
    shaken(&node, "worker:0:0").await;
    node.stop_peer("worker:0:0").await.unwrap();
    assert_eq!(call_add(&node, "worker:0:0").await, 3, "what came after it was done");
    assert!(!worker.is_stopped());
    monitor.stop_peer("worker:0:0").await.unwrap();
    soon("the stop", worker.stopped()).await;
    until("the goodbye", || !node.is_shaken("worker:0:0")).await;
}
