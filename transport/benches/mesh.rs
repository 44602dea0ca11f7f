//! A call of a mesh over TCP, against an echo of the same body over a plain connection: `cargo bench -p procession-transport --features mesh`.
//!
//! Both run in this process, in turns, so that what disturbs the one disturbs the other.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession_transport::mesh::{Caller, Mesh, MeshBuilder};
use procession_transport::tcp::{Key, TcpOptions, TcpTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rounds, each of so many calls of every kind.
const ROUNDS: usize = 20;
const CALLS: usize = 500;
/// Callers at once, for the throughput.
const CALLERS: usize = 64;
/// Characters of the body.
const BODY: usize = 100;

async fn echo() -> Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    stream.set_nodelay(true)?;
    let (mut other, _) = listener.accept().await?;
    other.set_nodelay(true)?;
    tokio::spawn(async move {
        let mut buffer = [0; BODY + 2];
        while other.read_exact(&mut buffer).await.is_ok() && other.write_all(&buffer).await.is_ok() {}
    });
    Ok(stream)
}

async fn meshes(key: Option<Key>) -> Result<(Mesh, Mesh)> {
    let options = || match &key {
        Some(key) => TcpOptions::new().with_key(key.clone()),
        None => TcpOptions::new(),
    };
    let transport = Arc::new(TcpTransport::bind(options()).await?);
    let monitor = MeshBuilder::new(transport, "monitor".parse()?).registry().start().await?;
    let transport = Arc::new(TcpTransport::bind(options()).await?);
    let worker = MeshBuilder::new(transport, "worker:0:0".parse()?)
        .with_method("echo", |_: Caller, text: String| async move { Ok::<_, std::io::Error>(text) })
        .join(monitor.address())
        .await?;
    Ok((monitor, worker))
}

fn percentile(times: &mut [Duration], of: usize) -> Duration {
    times.sort();
    times[times.len() * of / 100]
}

async fn measure(what: &str) -> Result<()> {
    let mut plain = echo().await?;
    let (open, _one) = meshes(None).await?;
    let (sealed, _other) = meshes(Some(Key::new([7; 32]))).await?;
    let text = "x".repeat(BODY);
    let body = serde_json::to_vec(&text)?;
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        let mut buffer = vec![0; body.len()];
        let mut of_round = [const { Vec::new() }; 3];
        for _ in 0..CALLS {
            let start = Instant::now();
            plain.write_all(&body).await?;
            plain.read_exact(&mut buffer).await?;
            of_round[0].push(start.elapsed());
        }
        for (mesh, times) in [&open, &sealed].into_iter().zip(&mut of_round[1..]) {
            for _ in 0..CALLS {
                let start = Instant::now();
                let _: String = mesh.call("worker:0:0", "echo", &text).await?;
                times.push(start.elapsed());
            }
        }
        // The first round warms up.
        if round > 0 {
            times.iter_mut().zip(of_round).for_each(|(times, of_round)| times.extend(of_round));
        }
    }
    let [plain, call, secret] = times.each_mut().map(|times| percentile(times, 50).as_secs_f64());
    println!(
        "{what}: p50 of a plain echo {:.1} us, of a call {:.1} us ({:.2} x), with a key {:.1} us ({:.2} x)",
        plain * 1e6,
        call * 1e6,
        call / plain,
        secret * 1e6,
        secret / plain
    );
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (mesh, text) = (open.clone(), text.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS {
                    let _: String = mesh.call("worker:0:0", "echo", &text).await.unwrap_or_default();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await?;
    }
    let calls = f64::from(u32::try_from(CALLERS * CALLS)?);
    println!("{what}: {:.0} calls/s, {CALLERS} at once", calls / start.elapsed().as_secs_f64());
    Ok(())
}

fn main() -> Result<()> {
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    several
        .block_on(async { tokio::spawn(async { measure("two threads").await.map_err(|e| e.to_string()) }).await })??;
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    one.block_on(measure("one thread"))
}
