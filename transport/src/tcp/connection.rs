//! One connection: what is written to it, what is known of the other side, and whom its loss is told to.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use snow::StatelessTransportState;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::cipher;
use super::frame::{self, HEAD, Message};
use crate::{TransportError, TransportResult, limits};

/// A buffer that has grown beyond this is not kept.
const KEPT: usize = 1 << 20;

pub(super) struct Connection {
    /// Where the other side is reached, as it says.
    pub(super) peer: Arc<str>,
    half: OwnedWriteHalf,
    cipher: Option<StatelessTransportState>,
    out: Mutex<Out>,
    queue_bytes: usize,
    /// Frames that were written by callers since something came.
    direct: AtomicU8,
    /// There is something to be written.
    work: Notify,
    /// Something was written, or the connection is lost.
    room: Notify,
    is_lost: AtomicBool,
    names: Mutex<Names>,
    traffic: Mutex<Traffic>,
}

/// What is to be written.
struct Out {
    buffer: BytesMut,
    /// A message before it is sealed.
    plain: BytesMut,
    number: u64,
}

/// Mailboxes of the other side.
#[derive(Default)]
struct Names {
    known: HashSet<String>,
    asked: HashMap<String, Vec<oneshot::Sender<bool>>>,
}

/// Which mailboxes had to do with whom.
#[derive(Default)]
struct Traffic {
    pairs: HashMap<Arc<str>, HashSet<Arc<str>>>,
    count: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost() -> TransportError {
    TransportError::Disconnected(None)
}

/// What a handshake has made.
pub(super) struct Made {
    pub(super) stream: TcpStream,
    pub(super) cipher: Option<StatelessTransportState>,
    pub(super) peer: Arc<str>,
    /// What was read beyond the handshake, and the number of the next Noise message.
    pub(super) reader: Unread,
}

/// What was read and not looked at.
#[derive(Default)]
pub(super) struct Unread {
    pub(super) buffer: BytesMut,
    pub(super) number: u64,
}

impl Unread {
    /// The next message that is here whole.
    pub(super) fn next(&mut self, cipher: Option<&StatelessTransportState>) -> TransportResult<Option<Message>> {
        let Some(frame) = frame::next(&mut self.buffer, limits::FRAME_BYTES)? else { return Ok(None) };
        let bytes: Bytes = match cipher {
            None => frame.freeze(),
            Some(state) => cipher::open(state, &mut self.number, &frame)?,
        };
        Message::read(bytes).map(Some)
    }

    /// Makes room for what is read next. What was cut out of the buffer keeps it, so a new one is made only when it is nearly full.
    fn reserve(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < limits::TCP_READ_BYTES / 4 {
            self.buffer.reserve(limits::TCP_READ_BYTES);
        }
    }
}

impl Connection {
    pub(super) fn new(made: Made, queue_bytes: usize) -> (Arc<Self>, OwnedReadHalf, Unread) {
        let (read, half) = made.stream.into_split();
        let connection = Self {
            peer: made.peer,
            half,
            cipher: made.cipher,
            out: Mutex::new(Out { buffer: BytesMut::new(), plain: BytesMut::new(), number: 0 }),
            queue_bytes,
            direct: AtomicU8::new(0),
            work: Notify::new(),
            room: Notify::new(),
            is_lost: AtomicBool::new(false),
            names: Mutex::default(),
            traffic: Mutex::default(),
        };
        (Arc::new(connection), read, made.reader)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst)
    }

    /// Nothing is written or read any more; all who wait are told.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        // It may be gone already.
        let _ = SockRef::from(self.half.as_ref()).shutdown(Shutdown::Both);
        let asked = std::mem::take(&mut lock(&self.names).asked);
        drop(asked);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Sends something of this transport itself, whether or not there is room: it is small, and answers what the other side sent.
    pub(super) fn tell(&self, message: &Message) -> TransportResult<()> {
        self.push(&mut lock(&self.out), &|bytes| {
            message.write(bytes);
            Ok(())
        })
    }

    /// Sends what `write` writes, once there is room. When it is cancelled, nothing was sent.
    pub(super) async fn send(
        &self,
        write: &(dyn Fn(&mut BytesMut) -> TransportResult<()> + Sync),
    ) -> TransportResult<()> {
        loop {
            {
                let mut out = lock(&self.out);
                if out.buffer.len() < self.queue_bytes {
                    return self.push(&mut out, write);
                }
            }
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            let is_full = lock(&self.out).buffer.len() >= self.queue_bytes;
            if is_full && !self.is_lost() {
                room.await;
            }
        }
    }

    fn push(&self, out: &mut Out, write: &dyn Fn(&mut BytesMut) -> TransportResult<()>) -> TransportResult<()> {
        if self.is_lost() {
            return Err(lost());
        }
        let start = out.buffer.len();
        if let Err(error) = self.put(out, write) {
            out.buffer.truncate(start);
            return Err(error);
        }
        let direct = self.direct.load(Ordering::Relaxed);
        if start == 0 && direct < limits::TCP_DIRECT {
            self.direct.store(direct + 1, Ordering::Relaxed);
            if !self.write(out) {
                return Err(lost());
            }
        }
        if !out.buffer.is_empty() {
            self.work.notify_one();
        }
        Ok(())
    }

    fn put(&self, out: &mut Out, write: &dyn Fn(&mut BytesMut) -> TransportResult<()>) -> TransportResult<()> {
        let Some(state) = &self.cipher else {
            let start = out.buffer.len();
            out.buffer.extend_from_slice(&[0; HEAD]);
            write(&mut out.buffer)?;
            let length = out.buffer.len() - start - HEAD;
            out.buffer[start..start + HEAD].copy_from_slice(&frame::head(length));
            return Ok(());
        };
        out.plain.clear();
        write(&mut out.plain)?;
        out.buffer.extend_from_slice(&frame::head(cipher::sealed_length(out.plain.len())));
        let sealed = cipher::seal(state, &mut out.number, &out.plain, &mut out.buffer);
        if out.plain.capacity() > KEPT {
            out.plain = BytesMut::new();
        }
        // A number that was used cannot be used again: nobody could open what follows.
        sealed.inspect_err(|_| self.lose())
    }

    /// Writes what can be written now; whether the connection still is.
    fn write(&self, out: &mut Out) -> bool {
        while !out.buffer.is_empty() {
            match self.half.try_write(&out.buffer) {
                Ok(written) if written > 0 => out.buffer.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {
                    self.lose();
                    return false;
                }
            }
        }
        if out.buffer.is_empty() && out.buffer.capacity() > KEPT {
            out.buffer = BytesMut::new();
        }
        true
    }

    /// Writes what callers have left, as much at once as there is.
    pub(super) async fn write_on(&self) {
        loop {
            self.work.notified().await;
            loop {
                if self.is_lost() || self.half.writable().await.is_err() {
                    return;
                }
                let is_done = {
                    let mut out = lock(&self.out);
                    if !self.write(&mut out) {
                        return;
                    }
                    out.buffer.is_empty()
                };
                self.room.notify_waiters();
                if is_done {
                    break;
                }
            }
        }
    }

    /// Waits until all is written, or nothing can be.
    pub(super) async fn written(&self) -> TransportResult<()> {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if lock(&self.out).buffer.is_empty() {
                return Ok(());
            }
            if self.is_lost() {
                return Err(lost());
            }
            room.await;
        }
    }

    /// The next message; `None` when the other side has closed.
    pub(super) async fn read(&self, half: &mut OwnedReadHalf, unread: &mut Unread) -> TransportResult<Option<Message>> {
        loop {
            if let Some(message) = unread.next(self.cipher.as_ref())? {
                return Ok(Some(message));
            }
            unread.reserve();
            let read = half.read_buf(&mut unread.buffer).await;
            if read.map_err(|error| TransportError::Disconnected(Some(Arc::new(error))))? == 0 {
                return Ok(None);
            }
            self.direct.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the other side has a mailbox of this name. It is asked once; it tells when one goes.
    pub(super) async fn has(&self, name: &str) -> TransportResult<bool> {
        let answer = {
            let mut names = lock(&self.names);
            if names.known.contains(name) {
                return Ok(true);
            }
            let (answers, answer) = oneshot::channel();
            let waiting = names.asked.entry(name.to_owned()).or_default();
            waiting.retain(|other| !other.is_closed());
            waiting.push(answers);
            answer
        };
        self.tell(&Message::Ask(name.to_owned()))?;
        let answer = timeout(limits::TCP_ASKING, answer).await;
        answer.map_err(|error| TransportError::failed("asking for a mailbox", error))?.map_err(|_| lost())
    }

    /// The other side says whether it has a mailbox.
    pub(super) fn told(&self, name: String, has: bool) {
        let mut names = lock(&self.names);
        for waiting in names.asked.remove(&name).unwrap_or_default() {
            // Whoever asked may have gone.
            let _ = waiting.send(has);
        }
        if !has {
            names.known.remove(&name);
            return;
        }
        if names.known.len() >= limits::TCP_NAMES {
            names.known.clear();
        }
        names.known.insert(name);
    }

    /// Remembers that a mailbox of this side had to do with someone of the other.
    pub(super) fn note(&self, mailbox: &str, other: &str) {
        let mut traffic = lock(&self.traffic);
        if traffic.pairs.get(mailbox).is_some_and(|others| others.contains(other))
            || traffic.count >= limits::TCP_TRAFFIC
        {
            return;
        }
        traffic.count += 1;
        traffic.pairs.entry(mailbox.into()).or_default().insert(other.into());
    }

    /// Each mailbox with whom it had to do.
    pub(super) fn traffic(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let traffic = std::mem::take(&mut *lock(&self.traffic));
        let of = |(mailbox, others): (Arc<str>, HashSet<Arc<str>>)| {
            others.into_iter().map(move |other| (Arc::clone(&mailbox), other))
        };
        traffic.pairs.into_iter().flat_map(of).collect()
    }
}
