//! Runtimes in OS processes of their own, one of which is killed.

use std::process::{Child, Command, Stdio};

use procession_transport::mesh::MeshErrorKind;

use super::*;

const PEER: &str = "PROCESSION_TEST_PEER";

/// Kills it also where the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This test, as a peer.
fn peer(uid: &str, registry: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::a_killed_process_is_noticed_and_the_others_go_on"]);
    command.env(PEER, format!("{uid} {registry}")).stdout(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Serves until it is killed, or the one that started it is gone.
async fn serve(uid: &str, registry: &str) {
    let mesh: Arc<std::sync::OnceLock<Mesh>> = Arc::default();
    let own = Arc::clone(&mesh);
    let builder =
        Net::Sealed.builder(uid).await.with_method("ask", move |_: Caller, (uid, method): (String, String)| {
            let own = Arc::clone(&own);
            async move {
                let mesh = own.get().ok_or("it has not joined yet")?;
                let asked = match &*method {
                    "add" => mesh.call::<_, i64>(&uid, "add", &(20, 22)).await.map(|sum| sum.to_string()),
                    _ => mesh.call::<_, ()>(&uid, &method, &()).await.map(|()| "done".to_owned()),
                };
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                    asked.unwrap_or_else(|error| format!("{:?}", error.kind())),
                )
            }
        });
    let joined = builder.join(registry).await.unwrap();
    let mut events = joined.events();
    mesh.set(joined).unwrap();
    while let Some(event) = events.recv().await {
        if matches!(event, MeshEvent::Lost { uid, .. } if uid.as_str() == "monitor") {
            return;
        }
    }
}

#[tokio::test]
async fn a_killed_process_is_noticed_and_the_others_go_on() {
    if let Ok(peer) = std::env::var(PEER) {
        let (uid, registry) = peer.split_once(' ').unwrap();
        return serve(uid, registry).await;
    }
    let monitor = Net::Sealed.monitor().await;
    let mut events = monitor.events();
    let mut killed = peer("worker:0:0", monitor.address());
    let _other = peer("worker:1:0", monitor.address());
    for uid in ["worker:0:0", "worker:1:0"] {
        shaken(&monitor, uid).await;
        assert_eq!(call_add(&monitor, uid).await, 3);
    }
    let ask = |uid: &'static str, of: &'static str, method: &'static str| {
        let monitor = monitor.clone();
        tokio::spawn(async move { monitor.call::<_, String>(uid, "ask", &(of, method)).await })
    };
    // Each finds the other, as soon as the registry has told it.
    for (uid, of) in [("worker:0:0", "worker:1:0"), ("worker:1:0", "worker:0:0")] {
        soon("the other", async {
            while ask(uid, of, "add").await.unwrap().ok().as_deref() != Some("42") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    let of_the_other = ask("worker:1:0", "worker:0:0", "never");
    let own = {
        let monitor = monitor.clone();
        tokio::spawn(async move { monitor.call::<_, ()>("worker:0:0", "never", &()).await })
    };
    until("both calls", || monitor.pending() == 2).await;
    // It is answered after the other has sent its own call, so that one waits, too.
    assert_eq!(call_add(&monitor, "worker:1:0").await, 3);
    killed.0.kill().unwrap();
    let error = soon("the end of the call", own).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Disconnected, "{error}");
    let told = soon("the end of the other's call", of_the_other).await.unwrap().unwrap();
    assert!(told == "Disconnected" || told.starts_with("Transport"), "{told}");
    lost(&mut events, "worker:0:0").await;
    assert_eq!(call_add(&monitor, "worker:1:0").await, 3);
    let error = monitor.call::<_, i64>("worker:0:0", "add", &(1, 2)).await.unwrap_err();
    assert_eq!(error.kind(), MeshErrorKind::Disconnected, "{error}");
    // It comes back, as a process of another address.
    let _again = peer("worker:0:0", monitor.address());
    shaken(&monitor, "worker:0:0").await;
    assert_eq!(call_add(&monitor, "worker:0:0").await, 3);
}
