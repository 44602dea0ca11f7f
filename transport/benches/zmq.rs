//! Envelopes over ZeroMQ against libzmq itself, in turns: `cargo bench -p procession-transport --features zmq --bench
//! zmq`.
//!
//! Both send bodies of 100 bytes in messages of two frames from one task to another, over one connection with the same
//! marks, without
//! blocking, and wait with `AsyncFd`. Prints each round, and the median of the quotients. `--quick` makes it short.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::future::poll_fn;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use procession_transport::{Content, Envelope, Kind, Mode, Topic, Transport, ZmqTransport};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zmq::{DONTWAIT, SNDMORE};

const BODY: [u8; 100] = [b'x'; 100];
const TOPIC: &str = "a.out..b.in_1";
/// What a topic of the default capacity has on either side, in messages and in bytes of the kernel.
const MARK: i32 = 512;
const KERNEL: i32 = 256 << 10;

struct Raw {
    fd: AsyncFd<RawFd>,
    socket: zmq::Socket,
}

impl Raw {
    fn new(socket: zmq::Socket) -> Self {
        #[expect(deprecated)]
        let fd = AsyncFd::with_interest(socket.get_fd().unwrap(), Interest::READABLE).unwrap();
        Self { fd, socket }
    }

    fn poll_change(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.fd.poll_read_ready(cx)).unwrap().clear_ready();
        Poll::Ready(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.send(TOPIC, DONTWAIT | SNDMORE) {
                Ok(()) => {
                    self.socket.send(&BODY[..], DONTWAIT).unwrap();
                    return Poll::Ready(());
                }
                Err(zmq::Error::EAGAIN) if self.socket.get_events().unwrap().contains(zmq::POLLOUT) => {}
                Err(zmq::Error::EAGAIN) => ready!(self.poll_change(cx)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn poll_recv(&mut self, frame: &mut zmq::Message, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.recv(frame, DONTWAIT) {
                Ok(()) => {
                    self.socket.recv(frame, DONTWAIT).unwrap();
                    return Poll::Ready(());
                }
                Err(zmq::Error::EAGAIN) => ready!(self.poll_change(cx)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Messages a second of libzmq.
async fn raw(count: u64) -> f64 {
    let pull = zmq::Context::new().socket(zmq::PULL).unwrap();
    pull.set_rcvhwm(MARK).unwrap();
    pull.set_rcvbuf(KERNEL).unwrap();
    pull.bind("tcp://127.0.0.1:*").unwrap();
    let at = pull.get_last_endpoint().unwrap().unwrap();
    let push = zmq::Context::new().socket(zmq::PUSH).unwrap();
    push.set_sndhwm(MARK).unwrap();
    push.set_sndbuf(KERNEL).unwrap();
    push.connect(&at).unwrap();
    let (mut push, mut pull) = (Raw::new(push), Raw::new(pull));
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            poll_fn(|cx| push.poll_send(cx)).await;
        }
        push
    });
    let receiving = tokio::spawn(async move {
        let mut frame = zmq::Message::new();
        for _ in 0..count {
            poll_fn(|cx| pull.poll_recv(&mut frame, cx)).await;
            assert_eq!(frame.len(), BODY.len());
        }
    });
    receiving.await.unwrap();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    drop(sending.await.unwrap());
    rate
}

/// Envelopes a second of the transport.
async fn ours(count: u64) -> f64 {
    let to = ZmqTransport::host("tcp://127.0.0.1:*").await.unwrap();
    let from = ZmqTransport::join(to.endpoint()).await.unwrap();
    let topic = Topic::new(TOPIC, Mode::Pipeline).unwrap();
    let (mut inlet, mut outlet) = (to.inlet(&topic).await.unwrap(), from.outlet(&topic).await.unwrap());
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        let (sender, body): (Arc<str>, _) = ("a sender".into(), Bytes::from_static(&BODY));
        for number in 1..=count {
            let envelope =
                Envelope { number, ..Envelope::new(Kind::Data, Arc::clone(&sender), Content::Bytes, body.clone()) };
            outlet.send(envelope).await.unwrap();
        }
        outlet.close().await.unwrap();
    });
    let receiving = tokio::spawn(async move {
        for number in 1..=count {
            let delivery = inlet.recv().await.unwrap().unwrap();
            assert_eq!((delivery.envelope.number, delivery.envelope.body.len()), (number, BODY.len()));
            delivery.receipt.ack();
        }
        inlet
    });
    let inlet = receiving.await.unwrap();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    sending.await.unwrap();
    drop(inlet);
    from.close().await.unwrap();
    to.close().await.unwrap();
    rate
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let (rounds, count) = if is_quick { (1, 20_000) } else { (11, 300_000) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut quotients = Vec::new();
    for round in 1..=rounds {
        let limit = runtime.block_on(raw(count));
        let own = runtime.block_on(ours(count));
        println!("round {round}: libzmq {limit:.0} messages/s, ours {own:.0}, {:.2}", own / limit);
        quotients.push(own / limit);
    }
    quotients.sort_by(f64::total_cmp);
    println!("median of ours / libzmq: {:.2}", quotients[quotients.len() / 2]);
}
