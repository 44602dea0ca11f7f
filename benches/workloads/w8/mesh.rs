//! A call over the mesh, with and without a key; the limit is an echo of the same bytes over a plain connection.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::mesh::{Caller, Mesh, MeshBuilder};
use procession::transport::tcp::{Key, TcpOptions, TcpTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::text;
use crate::measure::{Bench, Case, Sample, tokio};
use crate::report::Row;

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let calls = bench.count(5_000, 200);
    let runtime = tokio();
    let [open, sealed] = [None, Some(Key::new([7; 32]))]
        .map(|key| runtime.block_on(async { tokio::spawn(meshes(key)).await }).expect("two runtimes"));
    let echo = RefCell::new(Some(runtime.block_on(echo())));
    let mut limit = || {
        let stream = echo.take().expect("it is put back");
        // As a task, as ours.
        let (sample, stream) = runtime.block_on(async { tokio::spawn(echoed(stream, calls)).await }).expect("it ran");
        echo.replace(Some(stream));
        sample
    };
    let (mut plain, mut with_key) = (|| called(&runtime, &open.0, calls), || called(&runtime, &sealed.0, calls));
    let [plain, with_key]: [Case; 2] = bench.cases([&mut plain, &mut with_key], &mut limit);
    [("mesh call over TCP", plain), ("mesh call over TCP, with a key", with_key)]
        .map(|(name, case)| Row::new("W8", name, "ms", "≤ 2.0", case))
        .into()
}

/// The median is what counts.
fn p50(latencies: Vec<Duration>) -> Sample {
    let sample = Sample::default().with_latencies(latencies);
    Sample { value: sample.p50.unwrap_or(f64::NAN), ..sample }
}

async fn meshes(key: Option<Key>) -> (Mesh, Mesh) {
    let bind = async || {
        let options = key.clone().map_or_else(TcpOptions::new, |key| TcpOptions::new().with_key(key));
        Arc::new(TcpTransport::bind(options).await.expect("a port"))
    };
    let uid = |uid: &str| uid.parse().expect("a name");
    let monitor = MeshBuilder::new(bind().await, uid("monitor")).registry().start().await.expect("a registry");
    let worker = MeshBuilder::new(bind().await, uid("worker:0:0"))
        .with_method("echo", |_: Caller, text: String| async move { Ok::<_, io::Error>(text) })
        .join(monitor.address())
        .await
        .expect("it is joined");
    (monitor, worker)
}

fn called(runtime: &Runtime, mesh: &Mesh, calls: usize) -> Sample {
    let mesh = mesh.clone();
    // As a task: the thread that blocks on it has no place in the runtime.
    let measure = async move {
        let mut latencies = Vec::with_capacity(calls);
        for number in 0..calls {
            let (text, start) = (text(number), Instant::now());
            let echoed: String = mesh.call("worker:0:0", "echo", &text).await.expect("an answer");
            latencies.push(start.elapsed());
            assert_eq!(echoed, text);
        }
        latencies
    };
    p50(runtime.block_on(async { tokio::spawn(measure).await }).expect("it ran"))
}

async fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
    let (mut other, _) = listener.accept().await.expect("accepted");
    stream.set_nodelay(true).and_then(|()| other.set_nodelay(true)).expect("without delay");
    tokio::spawn(async move {
        let mut buffer = vec![0; text(0).len()];
        while other.read_exact(&mut buffer).await.is_ok() && other.write_all(&buffer).await.is_ok() {}
    });
    stream
}

async fn echoed(mut stream: TcpStream, calls: usize) -> (Sample, TcpStream) {
    let (mut latencies, mut buffer) = (Vec::with_capacity(calls), vec![0; text(0).len()]);
    for number in 0..calls {
        let (text, start) = (text(number), Instant::now());
        stream.write_all(text.as_bytes()).await.expect("written");
        stream.read_exact(&mut buffer).await.expect("echoed");
        latencies.push(start.elapsed());
        assert_eq!(buffer, text.as_bytes());
    }
    (p50(latencies), stream)
}
