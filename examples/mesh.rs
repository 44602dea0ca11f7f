//! Three OS processes that find each other, call each other, and notice when one of them is killed, without a broker.
//!
//! ```text
//! cargo run --example mesh --features mesh
//! ```
//!
//! starts all three: this program starts itself twice more. On several machines each is started by hand, with the same key of 64
//! hexadecimal digits in `MESH_KEY`:
//!
//! ```text
//! mesh --uid monitor --bind 10.0.0.1:4000
//! mesh --uid worker:0:0 --bind 10.0.0.2:0 --join 10.0.0.1:4000/monitor
//! ```

use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::Parser;
use procession::mesh::{Caller, Mesh, MeshBuilder, MeshEvent, MeshEvents, Uid};
use procession::transport::tcp::{Key, TcpOptions, TcpTransport};
use tokio::process::{Child, Command};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

const KEY: &str = "MESH_KEY";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Options {
    /// What this runtime is called; without it, all three are started
    #[arg(long, value_name = "UID")]
    uid: Option<Uid>,
    /// Where it listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    bind: String,
    /// The registry's address; without it, this is the registry
    #[arg(long, value_name = "ADDRESS")]
    join: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let key = std::env::var(KEY).ok();
    let Some(uid) = &options.uid else { return demonstrate().await };
    let (mesh, events) = start(uid.clone(), &options, key.as_deref()).await?;
    println!("{uid}: at {}", mesh.address());
    serve(&mesh, events).await;
    Ok(())
}

/// A runtime that adds numbers, and asks others to.
async fn start(uid: Uid, options: &Options, key: Option<&str>) -> Result<(Mesh, MeshEvents)> {
    let mut tcp = TcpOptions::new().with_bind(&options.bind);
    if let Some(key) = key {
        tcp = tcp.with_key(Key::from_hex(key)?);
    }
    let transport = TcpTransport::bind(tcp).await?;
    let own: Arc<OnceLock<Mesh>> = Arc::default();
    let mesh = Arc::clone(&own);
    let builder = MeshBuilder::new(Arc::new(transport), uid)
        .with_method("add", |_: Caller, (a, b): (i64, i64)| async move { Ok::<_, Error>(a + b) })
        .with_method("sleep", |_: Caller, (): ()| async {
            tokio::time::sleep(PATIENCE).await;
            Ok::<_, Error>(())
        })
        .with_method("ask", move |_: Caller, (other, a, b): (String, i64, i64)| {
            let mesh = Arc::clone(&mesh);
            async move {
                let mesh = mesh.get().ok_or("it has not joined yet")?;
                mesh.wait_for(&other, PATIENCE).await?;
                let sum: i64 = mesh.call(&other, "add", &(a, b)).await?;
                Ok::<_, Error>(sum)
            }
        });
    let mesh = if options.join.is_none() { builder.registry() } else { builder }.start().await?;
    // Set once, here: before anybody knows of it.
    let _ = own.set(mesh.clone());
    let events = mesh.events();
    if let Some(registry) = &options.join {
        mesh.join(registry, PATIENCE).await?;
    }
    Ok((mesh, events))
}

/// Tells what happens, until the registry is gone.
async fn serve(mesh: &Mesh, mut events: MeshEvents) {
    let uid = mesh.uid();
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::Joined { uid: other } => println!("{uid}: {other} has come"),
            MeshEvent::Lost { uid: other, why } => {
                println!("{uid}: {other} is lost: {why}");
                if other.name() == "monitor" {
                    return;
                }
            }
            MeshEvent::Left { uid: other } => {
                println!("{uid}: {other} has left");
                if other.name() == "monitor" {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// This program once more, as a worker.
fn worker(uid: &str, registry: &str, key: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--uid", uid, "--join", registry]).env(KEY, key).stdin(Stdio::null());
    Ok(command.kill_on_drop(true).spawn()?)
}

async fn demonstrate() -> Result<()> {
    // 244 random bits.
    let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let options = Options { uid: None, bind: "127.0.0.1:0".to_owned(), join: None };
    let (monitor, mut events) = start("monitor".parse()?, &options, Some(&key)).await?;
    println!("monitor: at {}", monitor.address());
    let mut first = worker("worker:0:0", monitor.address(), &key)?;
    let mut second = worker("worker:1:0", monitor.address(), &key)?;
    for uid in ["worker:0:0", "worker:1:0"] {
        monitor.wait_for(uid, PATIENCE).await?;
    }
    let sum: i64 = monitor.call("worker:0:0", "add", &(1, 2)).await?;
    println!("monitor: worker:0:0 says that 1 and 2 are {sum}");
    let sum: i64 = monitor.call("worker:1:0", "ask", &("worker:0:0", 20, 22)).await?;
    println!("monitor: worker:1:0 has asked worker:0:0 what 20 and 22 are: {sum}");

    let caller = monitor.clone();
    let waiting = tokio::spawn(async move { caller.call::<_, ()>("worker:0:0", "sleep", &()).await });
    while monitor.pending() == 0 {
        tokio::task::yield_now().await;
    }
    // As `kill -9` does.
    let killed = Instant::now();
    first.start_kill()?;
    let error = waiting.await?.err().ok_or("it slept well")?;
    println!("monitor: the call that waited failed after {} ms: {error}", killed.elapsed().as_millis());
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await?;
        if let MeshEvent::Lost { uid, why } = event.ok_or("the mesh is gone")? {
            println!("monitor: {uid} is lost: {why}");
            break;
        }
    }
    first.wait().await?;
    let sum: i64 = monitor.call("worker:1:0", "add", &(3, 4)).await?;
    println!("monitor: worker:1:0 goes on, and says that 3 and 4 are {sum}");
    monitor.stop().await;
    tokio::time::timeout(PATIENCE, second.wait()).await??;
    println!("all have ended");
    Ok(())
}
