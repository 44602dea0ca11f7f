//! Sending and calling: M12 to M24, as mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use procession_transport::mesh::{Caller, MeshBuilder, MeshError, MeshErrorKind, Methods, blocking};
use procession_transport::{
    BoxFuture, Capabilities, Envelope, Inlet, LocalTransport, Outlet, Topic, TransportErrorKind, TransportResult,
};
use tokio::sync::{Notify, mpsc};

use super::*;

#[tokio::test]
async fn m12_m14_calls_and_sends_between_all_kinds_of_runtimes() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let (told, mut heard) = mpsc::channel::<(String, String)>(10);
        let worker = net.builder("worker:0:0").await.with_method("tell", move |caller: Caller, text: String| {
            let told = told.clone();
            async move { told.send((caller.uid.to_string(), text)).await }
        });
        let worker = worker.join(monitor.address()).await.unwrap();
        let node = net.join("node:0", &monitor).await;
        shaken(&worker, "node:0").await;
        for (from, to) in [(&monitor, "worker:0:0"), (&worker, "monitor"), (&node, "worker:0:0"), (&worker, "node:0")] {
            assert_eq!(call_add(from, to).await, 3);
            let who: String = from.call(to, "who", &()).await.unwrap();
            assert_eq!(who, from.uid().as_str());
        }
        node.send("worker:0:0", "tell", "hello").await.unwrap();
        assert_eq!(soon("it", heard.recv()).await.unwrap(), ("node:0".to_owned(), "hello".to_owned()));
    }
}

#[tokio::test]
async fn m12_to_itself_it_goes_without_the_transport() {
    let monitor = Net::Tcp.monitor().await;
    assert_eq!(call_add(&monitor, "monitor").await, 3);
    let counted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    let alone = Net::Tcp.builder("alone").await.with_method("count", move |_: Caller, by: usize| {
        count.fetch_add(by, Ordering::SeqCst);
        async { Ok::<_, std::io::Error>(()) }
    });
    let alone = alone.start().await.unwrap();
    alone.send("alone", "count", &5).await.unwrap();
    until("the count", || counted.load(Ordering::SeqCst) == 5).await;
    let error = alone.send("alone", "cont", &5).await.unwrap_err();
    assert_eq!(error.to_string(), "`alone` has no method `cont`; did you mean `count`?");
}

#[tokio::test]
async fn m12_who_is_unknown_is_an_error_with_the_nearest_name() {
    let net = Net::local();
    let monitor = net.monitor().await;
    let _worker = net.join("worker:0:0", &monitor).await;
    let error = monitor.call::<_, ()>("worker:0:1", "add", &(1, 2)).await.unwrap_err();
    assert_eq!(error.to_string(), "the runtime `worker:0:1` is not known; did you mean `worker:0:0`?");
    assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::NotFound, true));
    let error = monitor.send("nobody", "add", &(1, 2)).await.unwrap_err();
    assert!(matches!(error, MeshError::UnknownPeer { nearest: None, .. }), "{error}");
}

#[tokio::test]
async fn m13_who_is_disconnected_or_stopped_is_an_error() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        worker.stop().await;
        for error in [
            worker.send("monitor", "add", &(1, 2)).await.unwrap_err(),
            worker.call::<_, i64>("monitor", "add", &(1, 2)).await.unwrap_err(),
            worker.disconnect("monitor", true).await.unwrap_err(),
            worker.wait_for("monitor", PATIENCE).await.unwrap_err(),
            worker.join(monitor.address(), PATIENCE).await.unwrap_err(),
        ] {
            assert!(matches!(error, MeshError::Stopped), "{error}");
        }
        until("the goodbye", || !monitor.is_shaken("worker:0:0")).await;
        let error = monitor.send("worker:0:0", "add", &(1, 2)).await.unwrap_err();
        assert!(matches!(error, MeshError::NotConnected { .. }), "{error}");
        assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Disconnected, true));
    }
}

#[tokio::test]
async fn m14_m22_objects_and_methods_that_are_registered_and_no_others() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        let counted = Arc::new(AtomicUsize::new(0));
        let methods = {
            let (count, read) = (Arc::clone(&counted), Arc::clone(&counted));
            Methods::new()
                .with("count", move |_: Caller, by: usize| {
                    let all = count.fetch_add(by, Ordering::SeqCst) + by;
                    async move { Ok::<_, std::io::Error>(all) }
                })
                .with("read", move |_: Caller, (): ()| {
                    let all = read.load(Ordering::SeqCst);
                    async move { Ok::<_, std::io::Error>(all) }
                })
        };
        let object = worker.register("tessera", "one", methods.clone()).unwrap();
        let taken = worker.register("tessera", "one", methods).unwrap_err();
        assert_eq!(taken.to_string(), "an object was refused: there is a tessera `one`");
        let all: usize = monitor.call_object("worker:0:0", ("tessera", "one"), "count", &2).await.unwrap();
        assert_eq!(all, 2);
        monitor.cmd("worker:0:0", ("tessera", "one"), "count", &5).await.unwrap();
        let one = monitor.peer("worker:0:0").object("tessera", "one");
        until("the count", || counted.load(Ordering::SeqCst) == 7).await;
        assert_eq!(one.call::<_, usize>("read", &()).await.unwrap(), 7);
        for (object, method, expected) in [
            (("tessera", "on"), "read", "`worker:0:0` has no tessera `on`; did you mean `one`?"),
            (("warehouse", "one"), "read", "`worker:0:0` has no warehouse `one`"),
            (("tessera", "one"), "reed", "`worker:0:0` has no method `reed`; did you mean `read`?"),
        ] {
            let error = monitor.call_object::<_, usize>("worker:0:0", object, method, &()).await.unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, MeshErrorKind::NotFound));
        }
        let error = monitor.call::<_, usize>("worker:0:0", "read", &()).await.unwrap_err();
        assert!(matches!(error, MeshError::UnknownMethod { .. }), "an object's method is not the runtime's: {error}");
        drop(object);
        let error = one.call::<_, usize>("read", &()).await.unwrap_err();
        assert!(matches!(error, MeshError::UnknownObject { .. }), "{error}");
    }
}

#[tokio::test]
async fn m21_an_unknown_method_is_one_error_and_counted() {
    let net = Net::Tcp;
    let monitor = net.monitor().await;
    let worker = net.join("worker:0:0", &monitor).await;
    let error = monitor.call::<_, ()>("worker:0:0", "ecco", &"x").await.unwrap_err();
    assert_eq!(error.to_string(), "`worker:0:0` has no method `ecco`; did you mean `echo`?");
    assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::NotFound, false));
    assert_eq!(worker.refused(), 1);
    monitor.send("worker:0:0", "nothing", &"x").await.unwrap();
    until("the count", || worker.refused() == 2).await;
    let builder =
        net.builder("x").await.with_method("mesh.hand", |_: Caller, (): ()| async { Ok::<_, std::io::Error>(()) });
    let error = builder.start().await.unwrap_err();
    assert!(matches!(error, MeshError::MethodName { .. }), "the mesh's own cannot be replaced: {error}");
}

#[tokio::test]
async fn m24_an_error_or_a_panic_of_a_method_ends_the_call() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        let error = soon("an error", worker.call::<_, ()>("monitor", "fail", &())).await.unwrap_err();
        assert_eq!(error.to_string(), "`fail` of `monitor` failed: outer: inner");
        assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Failed, false));
        let error = soon("an error", worker.call::<_, ()>("monitor", "panic", &())).await.unwrap_err();
        assert_eq!(error.to_string(), "`panic` of `monitor` failed: it panicked");
        let error = soon("an error", monitor.call::<_, ()>("monitor", "panic", &())).await.unwrap_err();
        assert_eq!(error.to_string(), "`panic` of `monitor` failed: it panicked");
        assert_eq!(call_add(&worker, "monitor").await, 3, "it goes on");
    }
}

#[tokio::test]
async fn what_is_typed_otherwise_is_told_to_who_calls() {
    let net = Net::Tcp;
    let monitor = net.monitor().await;
    let worker = net.join("worker:0:0", &monitor).await;
    let error = worker.call::<_, i64>("monitor", "add", &("a", 2)).await.unwrap_err();
    assert!(error.to_string().starts_with("`add` of `monitor` takes other arguments: arguments is not"), "{error}");
    assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Invalid, false));
    let error = worker.call::<_, String>("monitor", "add", &(1, 2)).await.unwrap_err();
    assert_eq!(error.to_string(), "a result is not as expected");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("invalid type"), "{source}");
}

#[tokio::test]
async fn m18_a_call_ends_with_its_deadline() {
    for net in Net::all() {
        let monitor = net.monitor().await;
        let worker = net.join("worker:0:0", &monitor).await;
        let brief = Duration::from_millis(50);
        for from in [&worker, &monitor] {
            let call = from.peer("monitor").with_deadline(brief);
            let error = soon("the deadline", call.call::<_, ()>("never", &())).await.unwrap_err();
            assert_eq!(error.to_string(), "`never` of `monitor` took more than 50ms");
            assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Deadline, true));
        }
        assert_eq!((worker.pending(), monitor.pending()), (0, 0));
    }
}

#[tokio::test]
async fn m18_a_method_knows_how_long_is_waited() {
    let net = Net::Tcp;
    let monitor = net.builder("monitor").await.with_method("left", |caller: Caller, (): ()| async move {
        let left = caller.deadline.map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
        Ok::<_, std::io::Error>(left)
    });
    let monitor = monitor.registry().start().await.unwrap();
    let worker = net.join("worker:0:0", &monitor).await;
    let hour = Duration::from_secs(3600);
    let left: Option<Duration> = worker.peer("monitor").with_deadline(hour).call("left", &()).await.unwrap();
    assert!(left.is_some_and(|left| left <= hour && left + PATIENCE > hour), "{left:?}");
}

#[tokio::test]
async fn m17_a_late_answer_is_ignored() {
    for net in Net::all() {
        let (go, gone) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (may_go, done) = (Arc::clone(&go), Arc::clone(&gone));
        let monitor = net.builder("monitor").await.with_method("late", move |_: Caller, (): ()| {
            let (may_go, done) = (Arc::clone(&may_go), Arc::clone(&done));
            async move {
                may_go.notified().await;
                done.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>("late")
            }
        });
        let monitor = monitor.registry().start().await.unwrap();
        let worker = net.join("worker:0:0", &monitor).await;
        let brief = worker.peer("monitor").with_deadline(Duration::from_millis(30));
        brief.call::<_, String>("late", &()).await.unwrap_err();
        // Dropped by who calls: nobody waits, and nothing is kept of it.
        let dropped = tokio::time::timeout(Duration::from_millis(30), worker.call::<_, String>("monitor", "late", &()));
        assert!(dropped.await.is_err());
        assert_eq!(worker.pending(), 0);
        go.notify_one();
        until("one", || gone.load(Ordering::SeqCst) == 1).await;
        go.notify_one();
        until("both", || gone.load(Ordering::SeqCst) == 2).await;
        assert_eq!(call_add(&worker, "monitor").await, 3, "its own answer, not a late one");
    }
}

#[tokio::test]
async fn m22_handlers_run_at_once_and_no_more_than_may() {
    for net in Net::all() {
        let monitor = net.builder("monitor").await.with_handlers(2).registry().start().await.unwrap();
        let worker = net.join("worker:0:0", &monitor).await;
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let worker = worker.clone();
                tokio::spawn(async move { worker.call::<_, ()>("monitor", "never", &()).await })
            })
            .collect();
        until("both", || worker.pending() == 2).await;
        let error = soon("busy", worker.call::<_, i64>("monitor", "add", &(1, 2))).await.unwrap_err();
        assert_eq!(error.to_string(), "`monitor` is busy");
        assert_eq!((error.kind(), error.is_retryable()), (MeshErrorKind::Busy, true));
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn m22_no_more_calls_wait_than_may() {
    let net = Net::Tcp;
    let monitor = net.monitor().await;
    let worker = net.builder("worker:0:0").await.with_calls(1).join(monitor.address()).await.unwrap();
    let waiting = {
        let worker = worker.clone();
        tokio::spawn(async move { worker.call::<_, ()>("monitor", "never", &()).await })
    };
    until("the first", || worker.pending() == 1).await;
    let error = worker.call::<_, i64>("monitor", "add", &(1, 2)).await.unwrap_err();
    assert!(matches!(error, MeshError::Busy { .. }), "{error}");
    waiting.abort();
    until("room", || worker.pending() == 0).await;
    assert_eq!(call_add(&worker, "monitor").await, 3);
}

#[tokio::test]
async fn m33_a_stop_fails_what_waits_and_drops_what_runs() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for net in Net::all() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let within = Arc::clone(&dropped);
        let monitor = net.builder("monitor").await.with_method("wait", move |_: Caller, (): ()| {
            let guard = Dropped(Arc::clone(&within));
            async move {
                let _guard = guard;
                std::future::pending::<Result<(), std::io::Error>>().await
            }
        });
        let monitor = monitor.registry().start().await.unwrap();
        let worker = net.join("worker:0:0", &monitor).await;
        let call = |from: &Mesh| {
            let from = from.clone();
            tokio::spawn(async move { from.call::<_, ()>("monitor", "wait", &()).await })
        };
        let (one, two) = (call(&worker), call(&worker));
        until("both", || worker.pending() == 2).await;
        worker.stop().await;
        for waiting in [one, two] {
            let error = soon("the end", waiting).await.unwrap().unwrap_err();
            assert!(matches!(error, MeshError::Stopped), "{error}");
        }
        monitor.stop().await;
        monitor.stop().await;
        assert!(monitor.is_stopped() && worker.is_stopped());
        until("what ran is dropped", || dropped.load(Ordering::SeqCst) == 2).await;
    }
}

#[tokio::test]
async fn large_results_arrive_and_too_large_ones_are_told() {
    let net = Net::Sealed;
    let monitor = net
        .builder("monitor")
        .await
        .with_method("much", |_: Caller, bytes: usize| async move { Ok::<_, std::io::Error>("x".repeat(bytes)) });
    let monitor = monitor.registry().start().await.unwrap();
    let worker = net.join("worker:0:0", &monitor).await;
    let text: String = soon("much", worker.call("monitor", "much", &5_000_000)).await.unwrap();
    assert!(text.len() == 5_000_000 && text.bytes().all(|byte| byte == b'x'));
    let too_much = procession_transport::limits::ENVELOPE_BYTES + 1;
    let error = soon("an error", worker.call::<_, String>("monitor", "much", &too_much)).await.unwrap_err();
    assert!(error.to_string().starts_with("`much` of `monitor` failed: an envelope's body in bytes has"), "{error}");
    assert_eq!(call_add(&worker, "monitor").await, 3);
}

#[tokio::test]
async fn a_transport_without_mailboxes_is_refused_when_it_is_built() {
    #[derive(Debug)]
    struct Bare(LocalTransport);
    impl Transport for Bare {
        fn capabilities(&self) -> Capabilities {
            Capabilities::none("the bare transport")
        }
        fn outlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Outlet>>> {
            self.0.outlet(topic)
        }
        fn inlet<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
            self.0.inlet(topic)
        }
        fn mailbox<'a>(&'a self, address: &'a str) -> BoxFuture<'a, TransportResult<Box<dyn Inlet>>> {
            self.0.mailbox(address)
        }
        fn post<'a>(&'a self, address: &'a str, envelope: Envelope) -> BoxFuture<'a, TransportResult<()>> {
            self.0.post(address, envelope)
        }
        fn close(&self) -> BoxFuture<'_, TransportResult<()>> {
            self.0.close()
        }
    }
    let builder = MeshBuilder::new(Arc::new(Bare(LocalTransport::new())), "monitor".parse().unwrap());
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Transport(TransportErrorKind::Unsupported));
}

/// Where peers are not asked for a key, nobody but this machine may reach what can be called.
#[cfg(feature = "zmq")]
#[tokio::test]
async fn m5_a_mesh_that_anybody_could_join_is_refused() {
    use procession_transport::ZmqOptions;
    let options = || ZmqOptions::new("tcp://127.0.0.1:*");
    let (here, everywhere) = (options(), options().with_interface(std::net::Ipv4Addr::new(192, 0, 2, 1).into()));
    for (options, is_open) in [(here, false), (everywhere, true)] {
        let transport = Arc::new(options.host().await.unwrap());
        assert_eq!(transport.capabilities().open, is_open);
        let started = MeshBuilder::new(transport, "monitor".parse().unwrap()).start().await;
        assert_eq!(started.is_err(), is_open);
        if let Err(error) = started {
            assert_eq!(error.kind(), MeshErrorKind::Transport(TransportErrorKind::Refused));
            assert!(format!("{error:?}").contains("asks nobody for a key"), "{error:?}");
        }
    }
}

#[test]
fn m15_the_blocking_mesh_waits_and_says_where_it_cannot() {
    let engine = blocking::Engine::start().unwrap();
    let net = Net::Tcp;
    let builder = |uid: &'static str| engine.run(net.builder(uid)).unwrap();
    let monitor = blocking::Mesh::start(&engine, builder("monitor").registry()).unwrap();
    let worker = blocking::Mesh::join(&engine, builder("worker:0:0"), monitor.address()).unwrap();
    monitor.wait_for("worker:0:0", PATIENCE).unwrap();
    let sum: i64 = monitor.call("worker:0:0", "add", &(1, 2)).unwrap();
    assert_eq!(sum, 3);
    let error = worker.call::<_, ()>("monitor", "fail", &()).unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Failed);
    let methods = Methods::new().with("half", |_: Caller, of: u32| async move { Ok::<_, std::io::Error>(of / 2) });
    let _object = worker.register("number", "x", methods).unwrap();
    assert_eq!(monitor.call_object::<_, u32>("worker:0:0", ("number", "x"), "half", &8).unwrap(), 4);
    monitor.cmd("worker:0:0", ("number", "x"), "half", &8).unwrap();
    monitor.send("worker:0:0", "add", &(1, 2)).unwrap();
    assert_eq!((worker.uid().as_str(), worker.mesh().is_stopped()), ("worker:0:0", false));
    let within = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = within.block_on(async { monitor.call::<_, i64>("worker:0:0", "add", &(1, 2)).unwrap_err() });
    assert!(matches!(error, MeshError::Blocking), "{error}");
    monitor.disconnect("worker:0:0", true).unwrap();
    worker.stop().unwrap();
    assert!(matches!(worker.call::<_, i64>("monitor", "add", &(1, 2)), Err(MeshError::Stopped)));
}
