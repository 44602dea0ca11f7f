//! A member's side of the rendezvous.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::core::Core;
use super::news::News;
use super::plug::{Plug, failed};
use super::wire::{Answer, Ask, Asked, Refusal, Shape, Tell};
use super::{Shared, spawn_undo};
use crate::{TransportError, TransportResult, limits};

/// A request, and where its answer goes.
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<TransportResult<Reply>>,
}

/// An answer; of an end, with what is told about it from then on. Dropped by one who does not want it any more, it
/// undoes what was done.
pub(super) struct Reply {
    pub(super) answer: Option<Answer>,
    pub(super) news: Arc<News>,
    /// Of an outlet.
    core: Option<Core>,
    shared: Weak<Shared>,
}

impl Reply {
    pub(super) fn take(mut self) -> (Answer, Arc<News>, Option<Core>) {
        (self.answer.take().unwrap_or(Answer::Done {}), Arc::clone(&self.news), self.core.take())
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let undo = match self.answer.take() {
            Some(Answer::Outlet { id, .. }) => Ask::Finish { outlet: id, ends: false, holds: false },
            Some(Answer::Inlet { id, .. }) => Ask::Leave { inlet: id, told: false },
            Some(Answer::Mailbox { id }) => Ask::GiveUp { mailbox: id },
            _ => return,
        };
        if let Some(shared) = self.shared.upgrade() {
            spawn_undo(shared, undo);
        }
    }
}

/// What the host tells goes to the ends by their numbers.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Ends>);

#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) by_id: HashMap<u64, Arc<News>>,
    pub(super) posts: HashMap<String, Arc<News>>,
    /// What the outlets of a topic share. It stays when the last of them has gone, so that what the next one sends
    /// comes after what
    /// that one has sent.
    pub(super) topics: HashMap<String, Core>,
    /// Why nothing goes on any more.
    pub(super) stopped: Option<TransportError>,
}

impl Known {
    pub(super) fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All ends are told that nothing goes on any more. The first reason stays.
    pub(super) fn stop(&self, error: &TransportError) {
        let mut ends = self.lock();
        let error = ends.stopped.get_or_insert_with(|| error.clone()).clone();
        for news in ends.by_id.values().chain(ends.posts.values()) {
            news.stop(&error);
        }
    }
}

fn plug(context: &zmq::Context, endpoint: &str) -> TransportResult<Plug> {
    let socket = context.socket(zmq::DEALER).map_err(failed("making a member's socket"))?;
    let set = || {
        socket.set_linger(limits::ZMQ_LAST_WORDS_MS)?;
        // What the host tells is a list of inlets at most.
        socket.set_maxmsgsize(1 << 24)?;
        socket.set_ipv6(endpoint.contains('['))?;
        socket.connect(endpoint)
    };
    set().map_err(failed("connecting to the rendezvous"))?;
    Plug::new(socket)
}

/// Connects to a host, which answers within `patience`; with what it says it takes for silence.
pub(super) async fn connect(
    context: &zmq::Context,
    endpoint: &str,
    patience: Duration,
) -> TransportResult<(Plug, Duration)> {
    let mut plug = plug(context, endpoint)?;
    say(&plug, 1, Ask::Hello { version: super::wire::VERSION })?;
    let plug_ref = &mut plug;
    let welcome = async move {
        loop {
            let frames = poll_fn(|cx| plug_ref.poll_frames(cx)).await?;
            match read(&frames) {
                Some(Tell::Granted { answer: Answer::Welcome { silence_ms }, .. }) => {
                    return Ok(Duration::from_millis(silence_ms.max(1)));
                }
                Some(Tell::Refused { refusal, .. }) => return Err(refusal.into()),
                _ => {}
            }
        }
    };
    let silence: TransportResult<Duration> = tokio::time::timeout(patience, welcome)
        .await
        .map_err(|elapsed| TransportError::failed("reaching the host of the rendezvous", elapsed))?;
    Ok((plug, silence?))
}

fn read(frames: &[zmq::Message]) -> Option<Tell> {
    let [_, told] = frames else { return None };
    serde_json::from_slice(told).inspect_err(|error| tracing::warn!(%error, "the host's words cannot be read")).ok()
}

fn say(plug: &Plug, n: u64, ask: Ask) -> TransportResult<()> {
    let said =
        serde_json::to_vec(&Asked { n, ask }).map_err(|error| TransportError::failed("writing a request", error))?;
    let is_said = plug.try_send_all(&[b"", &said])?;
    if is_said { Ok(()) } else { Err(lost("the host does not take requests any more")) }
}

/// The host was lost, and how that is known.
pub(super) fn lost(how: &str) -> TransportError {
    TransportError::Disconnected(Some(Arc::new(std::io::Error::new(std::io::ErrorKind::ConnectionAborted, how))))
}

/// Speaks with the host, for as long as anyone has the transport.
pub(super) struct Speaker {
    pub(super) plug: Plug,
    pub(super) known: Arc<Known>,
    pub(super) shared: Weak<Shared>,
    pub(super) silence: Duration,
    pending: HashMap<u64, oneshot::Sender<TransportResult<Reply>>>,
    next: u64,
    heard: Instant,
}

impl Speaker {
    pub(super) fn new(plug: Plug, shared: &Arc<Shared>, silence: Duration) -> Self {
        Self {
            plug,
            known: Arc::clone(&shared.known),
            shared: Arc::downgrade(shared),
            silence,
            pending: HashMap::new(),
            next: 1,
            heard: Instant::now(),
        }
    }

    pub(super) async fn speak(mut self, mut requests: mpsc::Receiver<Request>) {
        let ended = self.run(&mut requests).await;
        let error = ended.err().unwrap_or(TransportError::Closed);
        self.known.stop(&error);
        requests.close();
        while let Ok(request) = requests.try_recv() {
            let _ = request.answer.send(Err(error.clone()));
        }
        for (_, answer) in self.pending {
            let _ = answer.send(Err(error.clone()));
        }
    }

    async fn run(&mut self, requests: &mut mpsc::Receiver<Request>) -> TransportResult<()> {
        let mut beat = tokio::time::interval(self.silence / 4);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let plug = &mut self.plug;
            tokio::select! {
                frames = poll_fn(|cx| plug.poll_frames(cx)) => {
                    self.heard = Instant::now();
                    if let Some(told) = read(&frames?) {
                        self.hear(told)?;
                    }
                }
                request = requests.recv() => {
                    let Some(Request { ask, answer }) = request else { return say(&self.plug, 0, Ask::Bye {}) };
                    self.next += 1;
                    say(&self.plug, self.next, ask)?;
                    self.pending.insert(self.next, answer);
                }
                _ = beat.tick() => {
                    if self.heard.elapsed() > self.silence {
                        return Err(lost("the host is silent"));
                    }
                    say(&self.plug, 0, Ask::Beat {})?;
                }
            }
        }
    }

    fn hear(&mut self, told: Tell) -> TransportResult<()> {
        let known = Arc::clone(&self.known);
        match told {
            Tell::Granted { n, answer } => self.granted(n, answer),
            Tell::Refused { refusal: Refusal::Stranger {}, .. } => {
                return Err(lost("the host does not know this member any more"));
            }
            Tell::Refused { n, refusal } => {
                if let Some(asker) = self.pending.remove(&n) {
                    let _ = asker.send(Err(refusal.into()));
                }
            }
            Tell::Add { token, outlet, place } => {
                if let Some(news) = known.lock().by_id.get(&outlet) {
                    news.add(place);
                }
                say(&self.plug, 0, Ask::Heeded { token })?;
            }
            Tell::Remove { outlet, inlet } => {
                if let Some(news) = known.lock().by_id.get(&outlet) {
                    news.remove(inlet);
                }
            }
            Tell::Over { inlet, senders } => {
                if let Some(news) = known.lock().by_id.get(&inlet) {
                    news.over(senders);
                }
            }
            Tell::Gone { token, address } => {
                if let Some(news) = known.lock().posts.remove(&address) {
                    news.stop(&TransportError::NoSuchAddress { address });
                }
                say(&self.plug, 0, Ask::Heeded { token })?;
            }
            Tell::Beat {} => {}
            Tell::Closing {} => return Err(lost("the host has closed")),
        }
        Ok(())
    }

    /// An end is known before anything is told about it.
    fn granted(&mut self, n: u64, answer: Answer) {
        let Some(asker) = self.pending.remove(&n) else { return };
        let mut core = None;
        let (id, news) = match &answer {
            Answer::Outlet { id, topic, places } => {
                let Some(shared) = self.shared.upgrade() else { return };
                let shared_core = core.insert(self.core(&shared, topic));
                shared_core.keep_only(places);
                let news = shared_core.news();
                news.add_all(places);
                (Some(*id), news)
            }
            Answer::Finished { outlet, places, .. } => {
                // Those it may not have been told of yet.
                let news = self.known.lock().by_id.get(outlet).cloned().unwrap_or_default();
                news.add_all(places);
                (None, news)
            }
            Answer::Inlet { id, over } => {
                let news = News::default();
                if let Some(senders) = over {
                    news.over(senders.clone());
                }
                (Some(*id), Arc::new(news))
            }
            Answer::Mailbox { id } => (Some(*id), Arc::default()),
            Answer::Found { id, at, .. } => {
                let news = Arc::new(News::default());
                news.add((*id, at.clone()));
                (None, news)
            }
            _ => (None, Arc::default()),
        };
        if let Some(id) = id {
            self.known.lock().by_id.insert(id, Arc::clone(&news));
        }
        if let Answer::Found { address, .. } = &answer {
            self.known.lock().posts.insert(address.clone(), Arc::clone(&news));
        }
        let _ = asker.send(Ok(Reply { answer: Some(answer), news, core, shared: Weak::clone(&self.shared) }));
    }

    /// What the outlets of a topic share: what there is, or something new.
    fn core(&self, shared: &Shared, topic: &Shape) -> Core {
        let mut ends = self.known.lock();
        if let Some(core) = ends.topics.get(&topic.name).filter(|core| core.fits(topic.mode, topic.capacity)) {
            return core.clone();
        }
        if ends.topics.len() >= limits::ZMQ_POSTS {
            ends.topics.retain(|_, core| core.is_used());
        }
        let core = shared.core(Arc::default(), &topic.name, topic.mode, topic.capacity);
        ends.topics.insert(topic.name.clone(), core.clone());
        core
    }
}
