//! Over ZeroMQ: the limit is libzmq through the same crate, without blocking, with the same marks.

use std::future::poll_fn;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use procession::transport::__private::zmq::{self, DONTWAIT, SNDMORE};
use procession::transport::{Transport, ZmqTransport};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{WARM_UP, python, rate, text, through};
use crate::measure::{Bench, Sample, tokio};
use crate::report::Row;

const TOPIC: &str = "bench.out..bench.in_1";
/// What a topic of the default capacity has on either side, in messages and in bytes of the kernel.
const MARK: i32 = 512;
const KERNEL: i32 = 256 << 10;

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let items = bench.count(300_000, 5_000);
    let case = bench.case(|| tokio().block_on(ours(items)), || tokio().block_on(limit(items)));
    let mut rows = vec![Row::new("W8", "ZeroMQ", "items/s", "≥ 0.80", case)];
    let name = "ZeroMQ, against pyzmq";
    rows.push(match python::interpreter() {
        Some(python) => {
            let peer = || python::measure(&python, "sockets", items);
            Row::new("W8", name, "items/s", "≥ 1", bench.case(|| tokio().block_on(ours(items)), peer))
        }
        None => Row::not_measured("W8", name, "items/s"),
    });
    rows
}

async fn ours(items: usize) -> Sample {
    let to = Arc::new(ZmqTransport::host("tcp://127.0.0.1:*").await.expect("a rendezvous"));
    let from = Arc::new(ZmqTransport::join(to.endpoint()).await.expect("it is joined"));
    let (sends, receives) = (Arc::clone(&from), Arc::clone(&to));
    let sample = tokio::spawn(through(sends, receives, items, false)).await.expect("it ran");
    from.close().await.expect("closed");
    to.close().await.expect("closed");
    sample
}

struct Raw {
    fd: AsyncFd<RawFd>,
    socket: zmq::Socket,
}

impl Raw {
    fn new(socket: zmq::Socket) -> Self {
        let fd = socket.get_fd().expect("a descriptor");
        // What takes its place is `unsafe`; the descriptor lives as long as its socket.
        #[expect(deprecated)]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).expect("it is watched");
        Self { fd, socket }
    }

    fn poll_change(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.fd.poll_read_ready(cx)).expect("it is watched").clear_ready();
        Poll::Ready(())
    }

    fn poll_send(&mut self, body: &[u8], cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.send(TOPIC, DONTWAIT | SNDMORE) {
                Ok(()) => {
                    self.socket.send(body, DONTWAIT).expect("the second frame goes with the first");
                    return Poll::Ready(());
                }
                Err(zmq::Error::EAGAIN) if self.socket.get_events().expect("events").contains(zmq::POLLOUT) => {}
                Err(zmq::Error::EAGAIN) => ready!(self.poll_change(cx)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn poll_recv(&mut self, frame: &mut zmq::Message, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.recv(frame, DONTWAIT) {
                Ok(()) => {
                    self.socket.recv(frame, DONTWAIT).expect("the second frame comes with the first");
                    return Poll::Ready(());
                }
                Err(zmq::Error::EAGAIN) => ready!(self.poll_change(cx)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn limit(items: usize) -> Sample {
    let pull = zmq::Context::new().socket(zmq::PULL).expect("a socket");
    pull.set_rcvhwm(MARK).and_then(|()| pull.set_rcvbuf(KERNEL)).expect("marks");
    pull.bind("tcp://127.0.0.1:*").expect("a port");
    let at = pull.get_last_endpoint().expect("an endpoint").expect("text");
    let push = zmq::Context::new().socket(zmq::PUSH).expect("a socket");
    push.set_sndhwm(MARK).and_then(|()| push.set_sndbuf(KERNEL)).expect("marks");
    push.connect(&at).expect("connected");
    let (mut push, mut pull) = (Raw::new(push), Raw::new(pull));
    let sending = tokio::spawn(async move {
        for number in 0..WARM_UP + items {
            let body = text(number);
            poll_fn(|cx| push.poll_send(body.as_bytes(), cx)).await;
        }
        push
    });
    let receiving = tokio::spawn(async move {
        let (mut frame, mut start) = (zmq::Message::new(), Instant::now());
        for expected in 0..WARM_UP + items {
            poll_fn(|cx| pull.poll_recv(&mut frame, cx)).await;
            assert_eq!(&frame[..], text(expected).as_bytes());
            if expected + 1 == WARM_UP {
                start = Instant::now();
            }
        }
        rate(items, start.elapsed())
    });
    let sample = receiving.await.expect("it ran");
    drop(sending.await.expect("sent"));
    sample
}
